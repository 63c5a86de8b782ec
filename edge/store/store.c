/* store.c - opening the store: place, connection, key, schema, in that order, each refused before it is changed.
 * Owns:   what a file must be before it is written to. Does not: know its tables (schema.c), read or write values, look at
 *         permissions (place.c).
 *
 * The order is what keeps a user's profiles whole. Permissions are looked at before SQLite sees the file; a file of
 * another program or of a newer voxlock is recognised before anything is written to it; the key is proven before an old
 * schema is migrated; and a new file's key is kept before the file says which one it needs.
 */
#include "edge/store/store.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/store/binding.h"
#include "edge/store/durable.h"
#include "shared/base/clock.h"

enum { VALUE_MAX = 16 << 20 }; /* the longest value is a minute of sealed audio: 1.9 MB */

static const char key_proof[] = "voxlock";

/* ---- connection --------------------------------------------------------------------------------------------------- */

/* What a hostile file could make SQLite do, off; what keeps ours whole, on. */
static vx_err restrain(vx_store *store, vx_errinfo *info)
{
    static const struct {
        int what, value;
    } config[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    };
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        int now = -1;
        if (sqlite3_db_config(store->db, config[i].what, config[i].value, &now) != SQLITE_OK || now != config[i].value)
            return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "SQLite %s lacks a safeguard (%d) that voxlock needs",
                                  sqlite3_libversion(), config[i].what);
    }
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    return VX_OK;
}

static vx_err connect_file(vx_store *store, const vx_store_options *options, vx_errinfo *info)
{
    /* NOMUTEX: store->lock does it. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(store->path, &store->db, flags, options->vfs);
    if (!store->db)
        return VX_ERR_NOMEM;
    if (code != SQLITE_OK)
        return vx_store_failed(store, "open the profiles", info);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, options->busy_ms);
    return restrain(store, info);
}

static vx_err read_int(vx_store *store, const char *sql, int *ret, vx_errinfo *info)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &statement, info, sql, "");
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK)
        *ret = row ? sqlite3_column_int(statement, 0) : 0;
    sqlite3_finalize(statement);
    return err;
}

/* The schema's version, 0 for a file without anything in it; the errors are for what is not ours to write to. */
static vx_err judge(const vx_store *store, int application, int version, int n_tables, int newest, vx_errinfo *info)
{
    if (application == 0 && version == 0 && n_tables == 0)
        return VX_OK;
    if (application != VX_STORE_APPLICATION || version < 1)
        return vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                                 "this database was not made by voxlock, and is left as it is");
    if (version > newest)
        return vx_errinfo_set_at(info, VX_ERR_STORE_VERSION, store->path, -1, 0,
                                 "a newer voxlock wrote these profiles (form %d; this one knows %d): use that one",
                                 version, newest);
    return VX_OK;
}

/* In one transaction: another process may be making the tables. */
static vx_err identify(vx_store *store, const vx_schema *schema, int *ret_version, vx_errinfo *info)
{
    int application = 0, version = 0, n_tables = 0;
    bool alone = store->depth == 0;
    if (alone && sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return vx_store_failed(store, "read the profiles", info);
    store->depth++;
    vx_err err = read_int(store, "PRAGMA application_id", &application, info);
    if (err == VX_OK)
        err = read_int(store, "PRAGMA user_version", &version, info);
    if (err == VX_OK)
        err = read_int(store, "SELECT count(*) FROM sqlite_schema", &n_tables, info);
    if (err == VX_OK)
        err = judge(store, application, version, n_tables, schema->version, info);
    store->depth--;
    if (alone && sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK && err == VX_OK)
        err = vx_store_failed(store, "read the profiles", info);
    if (err == VX_OK)
        *ret_version = version;
    return err;
}

/* The log stays on from then on. Two processes that open a new file at once can each hold what the other waits for;
 * SQLite then fails one of them at once, whatever its busy timeout. */
static vx_err use_log(vx_store *store, int busy_ms, vx_errinfo *info)
{
    uint64_t due_ns = vx_now_ns() + (uint64_t)busy_ms * 1000000u;
    for (;;) {
        sqlite3_stmt *statement = NULL;
        bool row = false;
        vx_errinfo cause = {0};
        vx_err err = vx_store_prepare(store, &statement, &cause, "PRAGMA journal_mode = WAL", "");
        if (err == VX_OK)
            err = vx_store_step(store, statement, &row, &cause);
        const char *mode = err == VX_OK && row ? (const char *)sqlite3_column_text(statement, 0) : NULL;
        bool done = mode && strcmp(mode, "wal") == 0;
        sqlite3_finalize(statement);
        if (done)
            return VX_OK;
        if (err == VX_OK)
            return vx_errinfo_set_at(info, VX_ERR_IO, store->path, -1, 0,
                                     "this file system cannot hold a write-ahead log; choose another VOXLOCK_DATA_DIR");
        if (err != VX_ERR_STORE_LOCKED || vx_now_ns() >= due_ns)
            return vx_errinfo_set_at(info, err, cause.path, -1, 0, "%s", cause.text);
        sqlite3_sleep(VX_STORE_POLL_MS);
    }
}

/* synchronous=FULL: each commit is synced. fullfsync: on macOS through the drive's cache; elsewhere it does nothing.
 * temp_store: what is sorted never lies in a temporary file. */
static vx_err set_up(vx_store *store, vx_errinfo *info)
{
    static const char pragmas[] = "PRAGMA synchronous = FULL;"
                                  "PRAGMA fullfsync = ON;"
                                  "PRAGMA checkpoint_fullfsync = ON;"
                                  "PRAGMA secure_delete = ON;"
                                  "PRAGMA temp_store = MEMORY;"
                                  "PRAGMA cell_size_check = ON;";
    if (sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
        return vx_store_failed(store, "set up the profiles", info);
    return VX_OK;
}

/* ---- key ---------------------------------------------------------------------------------------------------------- */

static vx_err adopt_key(vx_store *store, vx_keyring_kind kind, bool make, vx_errinfo *info)
{
    vx_store_key key = {0};
    vx_err err = vx_keyring_get(kind, store->key_id, store->folder, make, &key, info);
    if (err == VX_OK)
        err = vx_vault_create(key.key, &store->vault);
    if (err == VX_OK) {
        store->key_source = key.source;
        memcpy(store->key_warning, key.warning, sizeof store->key_warning);
    }
    vx_wipe(&key, sizeof key);
    return err;
}

/* Tables, key and the values that prove it; inside a transaction. */
static vx_err fill_new(vx_store *store, const vx_schema *schema, vx_keyring_kind kind, vx_errinfo *info)
{
    uint8_t id[(VX_KEY_ID_CAP - 1) / 2];
    vx_buf proof = {0};
    if (RAND_bytes(id, sizeof id) != 1)
        return vx_errinfo_set(info, VX_ERR_INTERNAL, "the system has no random numbers");
    vx_hex(id, sizeof id, store->key_id);
    vx_err err = adopt_key(store, kind, true, info);
    if (err == VX_OK)
        err = vx_schema_migrate_by(store, schema, 0, info);
    if (err == VX_OK)
        err = vx_vault_seal(store->vault, VX_PLACE_KEY_PROOF, key_proof, sizeof key_proof, &proof);
    if (err == VX_OK)
        err = vx_meta_put(store, VX_META_KEY_PROOF, proof.data, proof.len, info);
    if (err == VX_OK)
        err = vx_meta_put(store, VX_META_KEY_ID, store->key_id, strlen(store->key_id), info);
    if (err == VX_OK)
        err = vx_head_found(store, info);
    vx_buf_done(&proof);
    return err;
}

/* Fills the file, unless another process has done so since it was looked at; that one's key is the right one then. */
static vx_err fill(vx_store *store, const vx_schema *schema, vx_keyring_kind kind, int *ret_version, vx_errinfo *info)
{
    int version = 0;
    vx_err err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = identify(store, schema, &version, info);
    bool is_new = err == VX_OK && version == 0;
    if (is_new)
        err = fill_new(store, schema, kind, info);
    /* The key stays kept when this fails: after a failed sync nobody can say whether the file asks for it. */
    err = vx_store_end(store, err, info);
    if (err == VX_OK)
        *ret_version = is_new ? schema->version : version;
    return err;
}

static vx_err prove_key(vx_store *store, vx_errinfo *info)
{
    vx_buf sealed = {0}, proof = {0};
    vx_err err = vx_meta_get(store, VX_META_KEY_PROOF, &sealed, info);
    if (err != VX_OK)
        goto out;
    err = vx_vault_open(store->vault, VX_PLACE_KEY_PROOF, sealed.data, sealed.len, &proof, NULL);
    if (err == VX_ERR_STORE_CORRUPT)
        err = vx_errinfo_set_at(info, VX_ERR_STORE_KEY, store->path, -1, 0,
                                "the key (%s) is not the one these profiles were sealed with", store->key_source);
out:
    vx_buf_done(&sealed);
    vx_buf_done(&proof);
    return err;
}

/* The key of a file that has one; never a new one, which would not open it. */
static vx_err find_key(vx_store *store, vx_keyring_kind kind, vx_errinfo *info)
{
    uint8_t id[(VX_KEY_ID_CAP - 1) / 2];
    vx_buf text = {0};
    vx_err err = vx_meta_get(store, VX_META_KEY_ID, &text, info);
    if (err == VX_OK && (text.len != VX_KEY_ID_CAP - 1 || !vx_unhex((const char *)text.data, sizeof id, id)))
        err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0, "the name of its key is damaged");
    if (err == VX_OK) {
        vx_hex(id, sizeof id, store->key_id);
        err = adopt_key(store, kind, false, info);
    }
    if (err == VX_OK)
        err = prove_key(store, info);
    vx_buf_done(&text);
    return err;
}

/* ---- migration ---------------------------------------------------------------------------------------------------- */

/* The file as it is, as voxlock.db.before-N. */
static vx_err keep_before(vx_store *store, int version, vx_errinfo *info)
{
    char kept[sizeof store->path + 32], beside[sizeof store->path + 32];
    int fd = -1;
    snprintf(kept, sizeof kept, "%s.before-%d", store->path, version);
    snprintf(beside, sizeof beside, "%s.before-%d.new", store->path, version);
    unlink(beside); /* left by a migration that was cut off */
    vx_err err = vx_durable_create(beside, &fd, info);
    if (err != VX_OK)
        return err;
    close(fd);
    /* VACUUM INTO takes an empty file, and with it its mode; it does not sync. */
    err = vx_store_run(store, info, "VACUUM INTO ?1", "t", beside);
    if (err == VX_OK)
        err = vx_durable_sync(beside, info);
    if (err == VX_OK)
        err = vx_durable_rename(beside, kept, info);
    if (err != VX_OK)
        unlink(beside);
    return err;
}

static vx_err check_references(vx_store *store, vx_errinfo *info)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &statement, info, "PRAGMA foreign_key_check", "");
    if (err == VX_OK)
        err = vx_store_step(store, statement, &row, info);
    if (err == VX_OK && row)
        err = vx_errinfo_set_at(info, VX_ERR_STORE_CORRUPT, store->path, -1, 0,
                                "a row of %.40s belongs to nothing; the profiles stay in their old form",
                                (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return err;
}

/* Alone: a process that has the old form open would go on writing it. */
static vx_err migrate(vx_store *store, const vx_schema *schema, int version, int busy_ms, vx_errinfo *info)
{
    vx_err err = vx_store_lock_folder(store->claim, true, busy_ms, store->folder, info);
    if (err == VX_OK)
        err = keep_before(store, version, info);
    if (err == VX_OK)
        err = vx_store_begin(store, info);
    if (err != VX_OK)
        return err;
    err = identify(store, schema, &version, info); /* another process may have been faster */
    if (err == VX_OK)
        err = vx_schema_migrate_by(store, schema, version, info);
    if (err == VX_OK)
        err = check_references(store, info);
    err = vx_store_end(store, err, info);
    if (err == VX_OK)
        err = vx_store_lock_folder(store->claim, false, busy_ms, store->folder, info);
    return err;
}

/* A lock that changes from alone to shared is let go for a moment, in which the file may have been replaced. */
static vx_err check_in_place(vx_store *store, vx_errinfo *info)
{
    int moved = 0;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved)
        return vx_errinfo_set_at(info, VX_ERR_STORE_LOCKED, store->path, -1, 0, "it was replaced just now; try again");
    return VX_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

static vx_err bring_up(vx_store *store, const vx_store_options *options, const vx_schema *schema, vx_errinfo *info)
{
    int version = 0;
    vx_err err = identify(store, schema, &version, info);
    if (err == VX_OK && version == 0 && !options->create)
        err = vx_store_no_profiles(store->folder, info);
    if (err == VX_OK)
        err = set_up(store, info);
    if (err == VX_OK)
        err = use_log(store, options->busy_ms, info);
    if (err == VX_OK && version == 0)
        err = fill(store, schema, options->keyring, &version, info);
    if (err == VX_OK && !store->vault)
        err = find_key(store, options->keyring, info);
    if (err == VX_OK && version < schema->version)
        err = migrate(store, schema, version, options->busy_ms, info);
    if (err == VX_OK)
        err = check_in_place(store, info);
    return err;
}

static bool init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0)
        return false;
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    bool done = pthread_mutex_init(lock, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    return done;
}

vx_err vx_store_open_as(const vx_store_options *options, const vx_schema *schema, vx_store **ret_store,
                        vx_errinfo *info)
{
    vx_store *store = calloc(1, sizeof *store);
    if (!store)
        return VX_ERR_NOMEM;
    if (!init_lock(&store->lock)) {
        free(store);
        return VX_ERR_NOMEM;
    }
    store->claim = -1;
    store->keyring = options->keyring;
    vx_err err = vx_store_take_place(store, options, info);
    if (err == VX_OK)
        err = connect_file(store, options, info);
    if (err == VX_OK)
        err = bring_up(store, options, schema, info);
    if (err != VX_OK) {
        vx_store_close(store);
        return err;
    }
    *ret_store = store;
    return VX_OK;
}

vx_err vx_store_open(const vx_store_options *options, vx_store **ret_store, vx_errinfo *info)
{
    return vx_store_open_as(options, vx_schema_current(), ret_store, info);
}

void vx_store_close(vx_store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db); /* the last one writes the log into the file; NULL is fine */
    vx_vault_destroy(store->vault);
    if (store->claim >= 0)
        close(store->claim);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
