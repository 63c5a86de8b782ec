/* backup.c - one file that holds everything, and a store made from it again.
 * Owns:   what is copied, proven and put in whose place. Does not: seal (backup_seal.c), keep keys (keyring.h).
 *
 * No plain copy of the database touches a disk on the way out: pages go through memory. On the way in it is unpacked
 * where it will stay, inside the store's folder of 0700, proven there, and put in place by one rename.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/store/audit.h"
#include "edge/store/backup_private.h"
#include "edge/store/durable.h"
#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/private_file.h"

enum { PATH_CAP = 1024 };
#define SCRATCH "restoring"

/* ---- backup ------------------------------------------------------------------------------------------------------- */

static vx_err take_image(sqlite3 *copy, vx_buf *ret_image)
{
    sqlite3_int64 len = 0;
    unsigned char *bytes = sqlite3_serialize(copy, "main", &len, 0);
    if (!bytes)
        return VX_ERR_NOMEM;
    vx_err err = vx_buf_append(ret_image, bytes, (size_t)len);
    vx_wipe(bytes, (size_t)len);
    sqlite3_free(bytes);
    return err;
}

/* By way of a database in memory: sqlite3_serialize alone would take a page that cannot be read for zeros. */
static vx_err copy_database(vx_store *store, vx_buf *ret_image, vx_errinfo *info)
{
    sqlite3 *copy = NULL;
    vx_err err = sqlite3_open(":memory:", &copy) == SQLITE_OK ? VX_OK : VX_ERR_NOMEM;
    if (err == VX_OK) {
        sqlite3_backup *pages = sqlite3_backup_init(copy, "main", store->db, "main");
        const int code = pages ? sqlite3_backup_step(pages, -1) : sqlite3_errcode(copy);
        if (pages)
            (void)sqlite3_backup_finish(pages);
        if (code == SQLITE_NOMEM)
            err = VX_ERR_NOMEM;
        else if (code != SQLITE_DONE)
            err = vx_errinfo_set_at(info, code == SQLITE_BUSY ? VX_ERR_STORE_LOCKED : VX_ERR_IO, store->path, -1, 0,
                                    "cannot copy it: %s", sqlite3_errstr(code));
    }
    if (err == VX_OK)
        err = take_image(copy, ret_image);
    (void)sqlite3_close(copy);
    return err;
}

/* An empty file first holds the name: whatever else wants it between now and the rename finds it taken. */
static vx_err write_new(const char *path, const vx_buf *file, vx_errinfo *info)
{
    int fd = -1;
    vx_err err = vx_durable_create(path, &fd, info);
    if (err != VX_OK)
        return err;
    close(fd);
    err = vx_durable_write(path, file->data, file->len, info);
    if (err != VX_OK)
        unlink(path);
    return err;
}

vx_err vx_store_backup(vx_store *store, const char *path, const char *passphrase, vx_errinfo *info)
{
    vx_backup backup = {0};
    vx_buf file = {0};
    vx_store_key key;
    struct stat st;

    if (lstat(path, &st) == 0)
        return vx_errinfo_set_at(info, VX_ERR_EXISTS, path, -1, 0, "there is a file of that name already");
    vx_store_lock(store);
    vx_err err = vx_keyring_get(store->keyring, store->key_id, store->folder, false, &key, info);
    if (err == VX_OK) {
        memcpy(backup.key, key.key, sizeof backup.key);
        memcpy(backup.key_id, store->key_id, sizeof backup.key_id);
        vx_wipe(&key, sizeof key);
        err = copy_database(store, &backup.database, info);
    }
    vx_store_unlock(store);
    if (err == VX_OK)
        err = vx_backup_seal(&backup, passphrase, VX_BACKUP_LOG2_N, &file, info);
    if (err == VX_OK)
        err = write_new(path, &file, info);
    vx_backup_done(&backup);
    vx_buf_done(&file);
    return err;
}

/* ---- restore ------------------------------------------------------------------------------------------------------ */

/* Where things lie while a store is put in place of another. */
typedef struct {
    char store[PATH_CAP], log[PATH_CAP], index[PATH_CAP]; /* voxlock.db, -wal, -shm */
    char aside[PATH_CAP], aside_log[PATH_CAP];            /* voxlock.db.replaced-TIME, and its -wal */
    char scratch[PATH_CAP], fresh[PATH_CAP];              /* restoring, and voxlock.db in it */
} paths;

static vx_err find_paths(const char *folder, paths *p, vx_errinfo *info)
{
    char now[VX_TIMESTAMP_CAP];
    vx_timestamp(now);
    const struct {
        char *path;
        const char *base, *name, *more;
    } all[] = {
        {p->store, folder, "/" VX_STORE_FILE, ""},
        {p->log, folder, "/" VX_STORE_FILE "-wal", ""},
        {p->index, folder, "/" VX_STORE_FILE "-shm", ""},
        {p->aside, folder, "/" VX_STORE_FILE ".replaced-", now},
        {p->aside_log, p->aside, "-wal", ""},
        {p->scratch, folder, "/" SCRATCH, ""},
        {p->fresh, p->scratch, "/" VX_STORE_FILE, ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const int n = snprintf(all[i].path, PATH_CAP, "%s%s%s", all[i].base, all[i].name, all[i].more);
        if (n < 0 || n >= PATH_CAP)
            return vx_errinfo_set_at(info, VX_ERR_RANGE, folder, -1, 0, "the path is too long");
    }
    return VX_OK;
}

/* All that a restore can leave in its scratch folder. */
static void clear_scratch(const paths *p)
{
    static const char *const names[] = {
        VX_STORE_FILE, VX_STORE_FILE ".new", VX_STORE_FILE "-wal", VX_STORE_FILE "-shm", VX_STORE_FILE "-journal",
        VX_KEY_FILE,   VX_KEY_FILE ".new",
    };
    char path[PATH_CAP];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (vx_path_join(p->scratch, names[i], path, sizeof path) == VX_OK)
            (void)unlink(path);
    for (int version = 0; version <= VX_STORE_SCHEMA; version++) {
        const int n = snprintf(path, sizeof path, "%s/" VX_STORE_FILE ".before-%d", p->scratch, version);
        if (n > 0 && (size_t)n < sizeof path)
            (void)unlink(path);
    }
    (void)rmdir(p->scratch);
}

/* Opened as a store of its own, with its key in a file: migrated, checked, and told in its audit log that it came from a
 * backup. Closing empties its write-ahead log: the one file is whole then. */
static vx_err open_and_check(const vx_store_options *options, const paths *p, const vx_backup *backup, vx_errinfo *info)
{
    vx_store *store = NULL;
    vx_store_key key = {0};
    vx_store_options own = *options;
    own.folder = p->scratch;
    own.keyring = VX_KEYRING_FILE;
    own.create = false;

    memcpy(key.key, backup->key, sizeof key.key);
    vx_err err = vx_durable_write(p->fresh, backup->database.data, backup->database.len, info);
    if (err == VX_OK)
        err = vx_keyring_put(VX_KEYRING_FILE, backup->key_id, p->scratch, &key, info);
    if (err == VX_OK)
        err = vx_store_open(&own, &store, info);
    if (err == VX_OK)
        err = vx_store_check(store, info);
    if (err == VX_OK)
        err = vx_audit_add(store, "restored", "", "{}", info);
    vx_store_close(store);
    vx_wipe(&key, sizeof key);
    return err == VX_OK ? vx_durable_sync(p->fresh, info) : err;
}

static vx_err prove(const vx_store_options *options, const paths *p, const vx_backup *backup, vx_errinfo *info)
{
    vx_errinfo cause = {0};
    vx_err err = open_and_check(options, p, backup, &cause);
    if (err == VX_OK)
        return VX_OK;
    /* Errors that would name the scratch folder, which is gone when they are read. */
    if (err == VX_ERR_NOT_FOUND || err == VX_ERR_STORE_KEY)
        err = VX_ERR_STORE_CORRUPT;
    return vx_errinfo_set(info, err, "what the backup holds cannot be used: %s", vx_errinfo_text(&cause, err));
}

/* A key of the same number that is another key would be lost, and what it seals with it: nobody's honest backup. */
static vx_err keep_key(const vx_store_options *options, const vx_backup *backup, vx_errinfo *info)
{
    vx_store_key key = {0};
    vx_err err = vx_keyring_get(options->keyring, backup->key_id, options->folder, false, &key, NULL);
    if (err == VX_OK) {
        if (!vx_equal_ct(key.key, backup->key, sizeof key.key))
            err = vx_errinfo_set(info, VX_ERR_STORE_KEY, "another key is kept under the number of the backup's store");
    } else {
        memcpy(key.key, backup->key, sizeof key.key);
        err = vx_keyring_put(options->keyring, backup->key_id, options->folder, &key, info);
    }
    vx_wipe(&key, sizeof key);
    return err;
}

/* Brings the log of the store that is put away into its file, where that store still works. */
static void settle_log(const vx_store_options *options, const paths *p)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(p->store, &db, SQLITE_OPEN_READWRITE, options->vfs) == SQLITE_OK)
        (void)sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    (void)sqlite3_close(db);
}

/* False, with errno set, if it is there and cannot be given its second name. */
static bool link_if_there(const char *from, const char *to)
{
    return link(from, to) == 0 || errno == ENOENT;
}

/* The old file gets a second name before the new one takes its first, so that there is a store at every moment. A log that
 * would not settle goes with the old file, and is gone for certain before the new one comes: SQLite would play it into
 * whatever lies beside it. */
static vx_err put_in_place(const vx_store_options *options, const paths *p, vx_errinfo *info)
{
    settle_log(options, p);
    if (!link_if_there(p->log, p->aside_log) || !link_if_there(p->store, p->aside))
        return vx_file_failed(p->aside, "keep the old profiles as", info);
    if ((unlink(p->log) != 0 && errno != ENOENT) || (unlink(p->index) != 0 && errno != ENOENT))
        return vx_file_failed(p->log, "put away", info);
    vx_err err = vx_durable_sync(options->folder, info);
    return err == VX_OK ? vx_durable_rename(p->fresh, p->store, info) : err;
}

static vx_err restore(const vx_store_options *options, const paths *p, const vx_backup *backup, vx_errinfo *info)
{
    int claim = -1;
    vx_err err = vx_store_claim(options->folder, true, options->busy_ms, &claim, info);
    if (err != VX_OK)
        return err;
    clear_scratch(p); /* left by one that was cut off */
    if (mkdir(p->scratch, 0700) != 0)
        err = vx_file_failed(p->scratch, "make", info);
    if (err == VX_OK)
        err = prove(options, p, backup, info);
    if (err == VX_OK)
        err = keep_key(options, backup, info);
    if (err == VX_OK)
        err = put_in_place(options, p, info);
    clear_scratch(p);
    close(claim);
    return err;
}

vx_err vx_store_restore(const vx_store_options *options, const char *path, const char *passphrase, vx_errinfo *info)
{
    vx_backup backup = {0};
    vx_buf file = {0};
    paths p;
    vx_err err = find_paths(options->folder, &p, info);
    if (err == VX_OK)
        err = vx_file_read(path, VX_BACKUP_FILE_MAX, &file, info);
    if (err == VX_OK)
        err = vx_backup_open(file.data, file.len, passphrase, &backup, info);
    vx_buf_done(&file);
    if (err == VX_OK)
        err = vx_private_folder_make(options->folder, info);
    if (err == VX_OK)
        err = restore(options, &p, &backup, info);
    vx_backup_done(&backup);
    return err;
}
