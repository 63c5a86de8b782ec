/* test_backup.c - a store into one file and back: whole, proven before it replaces anything, and closed to others. */
#include "edge/store/backup_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PASSPHRASE   "correct horse"
/* Backups that tests make cost a thousandth of a real one to open. */
enum { CHEAP = 7, FILE_MAX = 64 << 20 };

typedef struct {
    char from[STORE_FIXTURE_CAP], to[STORE_FIXTURE_CAP], out[STORE_FIXTURE_CAP];
    char *picture; /* of the store in from */
} fixture;

static char *picture_in(const char *folder)
{
    vx_store *store = store_start(folder);
    char *picture = store_picture(store, NULL);
    store_assert_whole(store);
    vx_store_close(store);
    assert_non_null(picture);
    return picture;
}

static void enrol(vx_store *store, const char *name, uint64_t seed)
{
    const vx_new_sample s[] = {fixture_sample(seed, 1, 0.8, "Built-in"), fixture_sample(seed + 1, 1, 0.5, "")};
    vx_enrolled enrolled;
    assert_int_equal(vx_store_enrol(store, name, s, COUNT(s), false, &enrolled, NULL), VX_OK);
}

static int set_up(void **state)
{
    static fixture f;
    int64_t id;
    store_folder_make(f.from);
    store_folder_make(f.to);
    store_folder_make(f.out);
    vx_store *store = store_start(f.from);
    enrol(store, "ada", 1);
    assert_int_equal(vx_store_put(store, "prior/1", "value", 5, NULL), VX_OK);
    assert_int_equal(vx_attempt_begin(store, "verify", "ada", 1000, &id, NULL), VX_OK);
    vx_store_close(store);
    f.picture = picture_in(f.from);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    free(f->picture);
    store_folder_clear(f->from, true);
    store_folder_clear(f->to, true);
    store_folder_clear(f->out, true);
    return 0;
}

/* ---- cheap backups ------------------------------------------------------------------------------------------------ */

/* What a backup of the store in a folder holds: its file, and the first key of its key file. */
static vx_backup read_backup(const char *folder)
{
    vx_backup backup = {.key_id = ""};
    vx_buf keys = {0};
    assert_int_equal(vx_file_read(store_folder_path(folder, VX_STORE_FILE), FILE_MAX, &backup.database, NULL), VX_OK);
    assert_int_equal(vx_file_read(store_folder_path(folder, VX_KEY_FILE), FILE_MAX, &keys, NULL), VX_OK);
    memcpy(backup.key_id, keys.data, VX_KEY_ID_CAP - 1);
    assert_true(vx_unhex((const char *)keys.data + VX_KEY_ID_CAP, VX_KEY_BYTES, backup.key));
    vx_buf_wipe_done(&keys);
    return backup;
}

static void put_file(const char *path, const void *data, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len && close(fd) == 0);
}

static void write_cheap(const vx_backup *backup, const char *path)
{
    vx_buf file = {0};
    assert_int_equal(vx_backup_seal(backup, PASSPHRASE, CHEAP, &file, NULL), VX_OK);
    put_file(path, file.data, file.len);
    vx_buf_done(&file);
}

static const char *cheap_backup(const fixture *f)
{
    vx_backup backup = read_backup(f->from);
    const char *path = store_folder_path(f->out, "cheap");
    write_cheap(&backup, path);
    vx_backup_done(&backup);
    return path;
}

static vx_err restore(const char *folder, const char *path, const char *passphrase, vx_errinfo *info)
{
    const vx_store_options options = {.folder = folder, .keyring = VX_KEYRING_FILE, .busy_ms = 50};
    return vx_store_restore(&options, path, passphrase, info);
}

/* The picture of a restored store is that of before and one entry. */
static void expect_restored(const fixture *f, const char *folder)
{
    char *now = picture_in(folder), *entry = strstr(now, "audit 2 restored '' {}\n");
    assert_non_null(entry);
    const size_t before = (size_t)(entry - now);
    assert_int_equal(strncmp(now, f->picture, before), 0);
    assert_string_equal(f->picture + before, "end\n");
    free(now);
}

/* Names in a folder that start like this; the last of them. */
static int count_names(const char *folder, const char *prefix, char ret_name[256])
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            (void)snprintf(ret_name, 256, "%s", entry->d_name);
            n++;
        }
    (void)closedir(dir);
    return n;
}

/* ---- there and back ----------------------------------------------------------------------------------------------- */

static void a_backup_is_the_store(void **state)
{
    fixture *f = *state;
    const char *path = store_folder_path(f->out, "voxlock.backup");
    vx_store *store = store_start(f->from);
    vx_errinfo info = {0};
    vx_buf file = {0};
    struct stat st;
    char name[256];
    const mode_t mask = umask(0);
    if (vx_store_backup(store, path, PASSPHRASE, &info) != VX_OK)
        fail_msg("backup: %s", info.text);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count_names(f->out, "voxlock", name), 1);
    /* Names lie open in the store, and closed in its backup. */
    assert_int_equal(vx_file_read(path, FILE_MAX, &file, NULL), VX_OK);
    assert_null(memmem(file.data, file.len, "ada", 3));
    assert_null(memmem(file.data, file.len, "SQLite", 6));
    vx_buf_done(&file);
    vx_store_close(store);

    const char *to = store_folder_path(f->to, "made/by/it");
    if (restore(to, path, PASSPHRASE, &info) != VX_OK)
        fail_msg("restore: %s", info.text);
    expect_restored(f, to);
    assert_int_equal(count_names(to, "restoring", name), 0);
    assert_int_equal(count_names(to, VX_STORE_FILE ".replaced", name), 0);
    assert_int_equal(stat(store_folder_path(to, VX_STORE_FILE), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* What another program writes at the same time is in the backup whole or not at all; the log counts as the file does. */
static void a_backup_holds_what_is_still_in_the_log(void **state)
{
    fixture *f = *state;
    vx_store *store = store_start(f->from), *other = store_start(f->from);
    const char *path = store_folder_path(f->out, "b");
    enrol(other, "bob", 7);
    assert_int_equal(vx_store_begin(other, NULL), VX_OK);
    assert_int_equal(vx_store_put(other, "prior/2", "half-way", 8, NULL), VX_OK);
    assert_int_equal(vx_store_backup(store, path, PASSPHRASE, NULL), VX_OK);
    assert_int_equal(vx_store_end(other, VX_OK, NULL), VX_OK);
    vx_store_close(store);
    vx_store_close(other);
    assert_int_equal(restore(f->to, path, PASSPHRASE, NULL), VX_OK);
    char *picture = picture_in(f->to);
    assert_non_null(strstr(picture, "'bob'"));
    assert_null(strstr(picture, "prior/2"));
    free(picture);
}

static void a_backup_overwrites_nothing(void **state)
{
    fixture *f = *state;
    const char *path = store_folder_path(f->out, "taken");
    char name[256];
    vx_errinfo info = {0};
    vx_buf file = {0};
    vx_store *store = store_start(f->from);
    put_file(path, "mine", 4);
    assert_int_equal(vx_store_backup(store, path, PASSPHRASE, &info), VX_ERR_EXISTS);
    assert_string_equal(info.path, path);
    assert_int_equal(vx_file_read(path, FILE_MAX, &file, NULL), VX_OK);
    assert_int_equal(file.len, 4);
    vx_buf_done(&file);
    assert_int_equal(vx_store_backup(store, store_folder_path(f->out, "b"), "7 bytes", NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_backup(store, store_folder_path(f->out, "no/b"), PASSPHRASE, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(count_names(f->out, "b", name), 0);
    vx_store_close(store);
}

/* ---- in place of another ------------------------------------------------------------------------------------------ */

static void what_is_replaced_is_kept_and_still_opens(void **state)
{
    fixture *f = *state;
    char name[256];
    vx_store *store = store_start(f->to);
    enrol(store, "bob", 7);
    vx_store_close(store);
    char *before = picture_in(f->to);
    assert_int_equal(restore(f->to, cheap_backup(f), PASSPHRASE, NULL), VX_OK);
    expect_restored(f, f->to);

    assert_int_equal(count_names(f->to, VX_STORE_FILE ".replaced-", name), 1);
    assert_int_equal(rename(store_folder_path(f->to, name), store_folder_path(f->to, VX_STORE_FILE)), 0);
    char *after = picture_in(f->to);
    assert_string_equal(before, after); /* its key is still there too */
    free(before);
    free(after);
}

static void a_store_goes_back_to_its_own_backup(void **state)
{
    fixture *f = *state;
    const char *path = cheap_backup(f);
    vx_store *store = store_start(f->from);
    assert_int_equal(vx_store_remove(store, "ada", NULL), VX_OK);
    vx_store_close(store);
    assert_int_equal(restore(f->from, path, PASSPHRASE, NULL), VX_OK);
    expect_restored(f, f->from);
}

/* The log of a store after one small write: pages of a table, without the first of the file. */
static vx_buf take_log(const char *folder)
{
    vx_buf log = {0};
    vx_store *store = store_start(folder);
    assert_int_equal(vx_store_put(store, "prior/1", "first", 5, NULL), VX_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL), SQLITE_OK);
    assert_int_equal(vx_store_put(store, "prior/1", "after", 5, NULL), VX_OK);
    assert_int_equal(vx_file_read(store_folder_path(folder, VX_STORE_FILE "-wal"), FILE_MAX, &log, NULL), VX_OK);
    vx_store_close(store);
    return log;
}

/* What cannot be opened any more is what backups are for. Its log goes with it: SQLite would play it into the new file. */
static void a_broken_store_is_put_away_with_its_log(void **state)
{
    fixture *f = *state;
    char name[256];
    vx_buf log = take_log(f->to), kept = {0};
    put_file(store_folder_path(f->to, VX_STORE_FILE), "broken file", 11);
    put_file(store_folder_path(f->to, VX_STORE_FILE "-wal"), log.data, log.len);
    put_file(store_folder_path(f->to, VX_STORE_FILE "-shm"), "broken index", 12);
    assert_int_equal(restore(f->to, cheap_backup(f), PASSPHRASE, NULL), VX_OK);
    expect_restored(f, f->to);
    assert_int_equal(count_names(f->to, VX_STORE_FILE ".replaced-", name), 2);
    const size_t stem = strlen(VX_STORE_FILE ".replaced-2026-01-31T12:34:56.789Z");
    name[stem] = '\0';
    assert_int_equal(vx_file_read(store_folder_path(f->to, name), 99, &kept, NULL), VX_OK);
    assert_int_equal(kept.len, 11);
    assert_memory_equal(kept.data, "broken file", 11);
    kept.len = 0;
    (void)snprintf(name + stem, sizeof name - stem, "-wal");
    assert_int_equal(vx_file_read(store_folder_path(f->to, name), FILE_MAX, &kept, NULL), VX_OK);
    assert_int_equal(kept.len, log.len);
    assert_memory_equal(kept.data, log.data, log.len);
    vx_buf_done(&kept);
    vx_buf_done(&log);
}

static void a_store_in_use_is_not_replaced(void **state)
{
    fixture *f = *state;
    const char *path = cheap_backup(f);
    vx_store *store = store_start(f->to);
    vx_errinfo info = {0};
    assert_int_equal(restore(f->to, path, PASSPHRASE, &info), VX_ERR_STORE_LOCKED);
    assert_non_null(strstr(info.text, "end it"));
    store_assert_whole(store);
    vx_store_close(store);
    assert_int_equal(restore(f->to, path, PASSPHRASE, NULL), VX_OK);
}

/* ---- what is no backup -------------------------------------------------------------------------------------------- */

/* Restoring fails like this and leaves the store that is there as it is. */
static void expect_refused(const fixture *f, const char *path, const char *passphrase, vx_err want, const char *text)
{
    char name[256];
    vx_errinfo info = {0};
    vx_err err = restore(f->from, path, passphrase, &info);
    if (err != want || info.code != want || !strstr(info.text, text))
        fail_msg("%s: '%s' is not '%s'", vx_err_code(err), info.text, text);
    char *picture = picture_in(f->from);
    assert_string_equal(picture, f->picture);
    free(picture);
    assert_int_equal(count_names(f->from, "restoring", name), 0);
    assert_int_equal(count_names(f->from, VX_STORE_FILE ".replaced", name), 0);
}

static void damaged_backups_are_refused(void **state)
{
    fixture *f = *state;
    const char *path = cheap_backup(f);
    vx_buf file = {0};
    vx_backup got = {.key_id = ""};
    assert_int_equal(vx_file_read(path, FILE_MAX, &file, NULL), VX_OK);
    expect_refused(f, path, "wrong horse", VX_ERR_STORE_CORRUPT, "passphrase is wrong, or");
    expect_refused(f, store_folder_path(f->out, "none"), PASSPHRASE, VX_ERR_NOT_FOUND, "open");

    /* Every byte of the header and of the tag, and some between; each cut of the header, and some behind. */
    for (size_t at = 0; at < file.len; at += at < 200 || at + 40 > file.len ? 1 : file.len / 50) {
        if (at == 9 || at == 10 || at == 11)
            continue; /* the cost: below */
        file.data[at] ^= 0x10;
        const vx_err err = vx_backup_open(file.data, file.len, PASSPHRASE, &got, NULL);
        file.data[at] ^= 0x10;
        assert_int_equal(err, at == 8 ? VX_ERR_STORE_VERSION : VX_ERR_STORE_CORRUPT);
        assert_int_equal(vx_backup_open(file.data, at, PASSPHRASE, &got, NULL), VX_ERR_STORE_CORRUPT);
    }
    assert_int_equal(vx_buf_append(&file, "", 1), VX_OK);
    assert_int_equal(vx_backup_open(file.data, file.len, PASSPHRASE, &got, NULL), VX_ERR_STORE_CORRUPT);
    assert_null(got.database.data);
    vx_buf_done(&file);
}

/* A hostile header asks for memory or for hours; only bounds are read before it is refused. */
static void hostile_costs_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t log2_n, r, p;
        bool good;
    } cases[] = {
        {17, 8, 1, true},    {18, 8, 1, true},    {17, 8, 4, true},       {1, 1, 1, true},   {15, 1, 1, true},
        {0, 8, 1, false},    {63, 8, 1, false},   {255, 255, 255, false}, {17, 0, 1, false}, {17, 8, 0, false},
        {16, 1, 1, false},   {18, 9, 1, false},   {19, 8, 1, false},      {17, 8, 5, false}, {14, 1, 255, true},
        {15, 1, 255, false}, {1, 255, 255, true},
    };
    uint8_t file[VX_BACKUP_HEAD + VX_BACKUP_KEY + VX_BACKUP_TAG] = "VXBACKUP\1";
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_backup_cost cost = {.log2_n = -7};
        file[9] = cases[i].log2_n, file[10] = cases[i].r, file[11] = cases[i].p;
        vx_err err = vx_backup_read_head(file, sizeof file, &cost, NULL);
        if (err != (cases[i].good ? VX_OK : VX_ERR_STORE_CORRUPT) || cost.log2_n != (err ? -7 : cases[i].log2_n))
            fail_msg("N 2^%d, r %d, p %d: %s", cases[i].log2_n, cases[i].r, cases[i].p, vx_err_code(err));
    }
}

/* Sealed with the right passphrase, and wrong inside. */
static void what_is_sealed_is_proven_first(void **state)
{
    fixture *f = *state;
    const char *path = store_folder_path(f->out, "bad");
    static const struct {
        const char *what, *text;
        vx_err err;
    } cases[] = {
        {"no database", "not a database", VX_ERR_STORE_CORRUPT},  {"nothing", "no profiles", VX_ERR_STORE_CORRUPT},
        {"a newer store", "newer voxlock", VX_ERR_STORE_VERSION}, {"another key", "not the one", VX_ERR_STORE_CORRUPT},
        {"another store's key", "", VX_ERR_STORE_CORRUPT},        {"a page of rubbish", "", VX_ERR_STORE_CORRUPT},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_backup backup = read_backup(f->from);
        switch (i) {
        case 0: memset(backup.database.data, 'x', backup.database.len); break;
        case 1: backup.database.len = 0; break;
        case 2: backup.database.data[63] = VX_STORE_SCHEMA + 1; break; /* user_version, big-endian at 60 */
        case 3: backup.key[0] ^= 1; break;
        case 4: backup.key_id[0] = backup.key_id[0] == '0' ? '1' : '0'; break;
        default: memset(backup.database.data + backup.database.len - 300, 0xff, 300); break;
        }
        write_cheap(&backup, path);
        vx_backup_done(&backup);
        (void)printf("# %s\n", cases[i].what);
        expect_refused(f, path, PASSPHRASE, cases[i].err, cases[i].text);
        assert_int_equal(unlink(path), 0);
    }
}

/* A backup that brings another key for the store that is here would lock it: the key stays. */
static void a_key_is_not_overwritten(void **state)
{
    fixture *f = *state;
    vx_backup here = read_backup(f->from);
    vx_store_key other = {.key = {1, 2, 3}};
    vx_errinfo info = {0};
    const char *path = cheap_backup(f);
    assert_int_equal(vx_keyring_put(VX_KEYRING_FILE, here.key_id, f->to, &other, NULL), VX_OK);
    assert_int_equal(restore(f->to, path, PASSPHRASE, &info), VX_ERR_STORE_KEY);
    assert_non_null(strstr(info.text, "another key"));
    memset(other.key, 0, sizeof other.key);
    assert_int_equal(vx_keyring_get(VX_KEYRING_FILE, here.key_id, f->to, false, &other, NULL), VX_OK);
    assert_int_equal(other.key[2], 3);
    vx_backup_done(&here);
}

/* ---- cut off ------------------------------------------------------------------------------------------------------ */

/* A restore that is killed leaves the store of before or that of the backup, and the next restore works. */
static void a_killed_restore_leaves_one_store_or_the_other(void **state)
{
    fixture *f = *state;
    enum { ROUNDS = SANITIZED ? 10 : 60 };
    char path[512];
    int n_old = 0, n_new = 0;
    uint64_t random = vx_now_ns();
    (void)printf("# seed %llu\n", (unsigned long long)random);
    (void)snprintf(path, sizeof path, "%s", cheap_backup(f));
    /* How long one takes here; a little more, so that some are killed too late. */
    const uint64_t start_ns = vx_now_ns();
    assert_int_equal(restore(f->to, path, PASSPHRASE, NULL), VX_OK);
    const uint64_t longest_ns = (vx_now_ns() - start_ns) * 5 / 4;
    for (int round = 0; round < ROUNDS; round++) {
        store_folder_clear(f->to, false);
        vx_store *store = store_start(f->to);
        enrol(store, "bob", 7);
        vx_store_close(store);
        const struct timespec pause = {.tv_nsec = (long)(stats_random(&random) % longest_ns)};
        const pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(restore(f->to, path, PASSPHRASE, NULL) == VX_OK ? 0 : 1);
        (void)nanosleep(&pause, NULL);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);

        char *picture = picture_in(f->to);
        const bool is_old = strstr(picture, "'bob'") != NULL;
        free(picture);
        if (!is_old)
            expect_restored(f, f->to);
        *(is_old ? &n_old : &n_new) += 1;
        assert_int_equal(restore(f->to, path, PASSPHRASE, NULL), VX_OK);
        expect_restored(f, f->to);
    }
    (void)printf("# %d rounds: %d left the old store, %d the new one\n", ROUNDS, n_old, n_new);
}

/* ---- failed allocations ------------------------------------------------------------------------------------------- */

static vx_err seal_and_open(void *ctx)
{
    const vx_backup *backup = ctx;
    vx_backup got = {.key_id = ""};
    vx_buf file = {0};
    vx_err err = vx_backup_seal(backup, PASSPHRASE, CHEAP, &file, NULL);
    if (err == VX_OK)
        err = vx_backup_open(file.data, file.len, PASSPHRASE, &got, NULL);
    if (err == VX_OK) {
        assert_int_equal(got.database.len, backup->database.len);
        assert_memory_equal(got.database.data, backup->database.data, got.database.len);
        assert_memory_equal(got.key, backup->key, sizeof got.key);
        assert_string_equal(got.key_id, backup->key_id);
    }
    vx_buf_done(&file);
    vx_backup_done(&got);
    return err;
}

static vx_err restore_anew(void *ctx)
{
    const fixture *f = ctx;
    return restore(f->to, store_folder_path(f->out, "cheap"), PASSPHRASE, NULL);
}

static void failed_allocations_are_reported(void **state)
{
    fixture *f = *state;
    vx_backup backup = read_backup(f->from);
    (void)cheap_backup(f);
    vx_alloc_fail_each(seal_and_open, &backup);
    vx_alloc_fail_each(restore_anew, f);
    vx_backup_done(&backup);
    expect_restored(f, f->to);
}

int main(void)
{
#define BACKUP_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        BACKUP_TEST(a_backup_is_the_store),
        BACKUP_TEST(a_backup_holds_what_is_still_in_the_log),
        BACKUP_TEST(a_backup_overwrites_nothing),
        BACKUP_TEST(what_is_replaced_is_kept_and_still_opens),
        BACKUP_TEST(a_store_goes_back_to_its_own_backup),
        BACKUP_TEST(a_broken_store_is_put_away_with_its_log),
        BACKUP_TEST(a_store_in_use_is_not_replaced),
        BACKUP_TEST(damaged_backups_are_refused),
        cmocka_unit_test(hostile_costs_are_refused),
        BACKUP_TEST(what_is_sealed_is_proven_first),
        BACKUP_TEST(a_key_is_not_overwritten),
        BACKUP_TEST(a_killed_restore_leaves_one_store_or_the_other),
        BACKUP_TEST(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
