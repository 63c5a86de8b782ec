/* test_store.c - the store's file: made, opened, refused, migrated, shared; and the small values in it. Its contents are
 * tested in test_profiles.c and test_attempts.c, its log in test_audit.c, power cuts in test_store_crash.c.
 */
#include "edge/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/audit.h"
#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/scratch.h"

static const char secret_text[] = "a recording that nobody else may hear";

static vx_store_options options_of(const scratch *folder, bool create)
{
    return (vx_store_options){.folder = folder->path, .keyring = VX_KEYRING_FILE, .create = create, .busy_ms = 2000};
}

static vx_store *open_store(const scratch *folder)
{
    vx_store *store = NULL;
    vx_errinfo info = {0};
    vx_store_options options = options_of(folder, true);
    if (vx_store_open(&options, &store, &info) != VX_OK)
        fail_msg("%s: %s", info.path, info.text);
    return store;
}

/* Opening it must fail so, and say a word. */
static void expect_refused(const scratch *folder, bool create, vx_err err, const char *word)
{
    vx_store *store = (vx_store *)(uintptr_t)1;
    vx_errinfo info = {0};
    vx_store_options options = options_of(folder, create);
    options.busy_ms = 100;
    assert_int_equal(vx_store_open(&options, &store, &info), err);
    assert_ptr_equal(store, (vx_store *)(uintptr_t)1);
    assert_int_equal(info.code, err);
    if (!strstr(info.text, word))
        fail_msg("'%s' does not say '%s'", info.text, word);
}

/* Runs SQL on the file as anybody could who can write to it. */
static void tamper(const scratch *folder, const char *sql)
{
    char path[256];
    char *error = NULL;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch_path(folder, VX_STORE_FILE, path, sizeof path), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

static void put_text(vx_store *store, const char *name, const char *text)
{
    vx_errinfo info = {0};
    if (vx_store_put(store, name, text, strlen(text), &info) != VX_OK)
        fail_msg("%s", info.text);
}

static void expect_text(vx_store *store, const char *name, const char *text)
{
    vx_buf value = {0};
    assert_int_equal(vx_store_get(store, name, &value, NULL), VX_OK);
    assert_int_equal(value.len, strlen(text));
    assert_memory_equal(value.data, text, value.len);
    vx_buf_wipe_done(&value);
}

/* ---- made and opened ---------------------------------------------------------------------------------------------- */

static void is_made_for_the_owner_alone(void **state)
{
    (void)state;
    scratch outer = scratch_make();
    scratch folder = {0};
    snprintf(folder.path, sizeof folder.path, "%.50s/a/b", outer.path);
    mode_t before = umask(0); /* the most open one */
    vx_store *store = open_store(&folder);
    put_text(store, "prior/1", "0.85");
    assert_int_equal(scratch_mode(&outer, "a"), 0700);
    assert_int_equal(scratch_mode(&outer, "a/b"), 0700);
    assert_int_equal(scratch_mode(&folder, VX_STORE_FILE), 0600);
    assert_int_equal(scratch_mode(&folder, VX_STORE_FILE "-wal"), 0600);
    assert_int_equal(scratch_mode(&folder, VX_STORE_FILE "-shm"), 0600);
    assert_int_equal(scratch_mode(&folder, VX_KEY_FILE), 0600);
    umask(before);
    vx_store_close(store);
    vx_store_close(NULL);
    scratch_done(&outer);
}

static void a_tight_umask_does_no_harm(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    mode_t before = umask(0777);
    vx_store *store = open_store(&folder);
    umask(before);
    assert_int_equal(scratch_mode(&folder, VX_STORE_FILE), 0600);
    vx_store_close(store);
    vx_store_close(open_store(&folder));
    scratch_done(&folder);
}

static void keeps_what_it_said_it_keeps(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    vx_store_view view;
    put_text(store, "prior/1", "0.85");
    assert_int_equal(vx_audit_add(store, "enrolled", "Ada", "{}", NULL), VX_OK);
    vx_store_close(store);

    vx_store_options options = options_of(&folder, false);
    assert_int_equal(vx_store_open(&options, &store, NULL), VX_OK);
    expect_text(store, "prior/1", "0.85");
    assert_int_equal(vx_store_get_view(store, &view, NULL), VX_OK);
    assert_non_null(strstr(view.path, folder.path));
    assert_int_equal(view.schema, VX_STORE_SCHEMA);
    assert_string_equal(view.key_source, "file");
    assert_non_null(strstr(view.key_warning, "copies the folder"));
    assert_true(view.bytes > 0);
    assert_int_equal(view.n_speakers, 0);
    assert_int_equal(view.n_samples, 0);
    assert_int_equal(view.n_attempts, 0);
    assert_int_equal(view.n_audit, 1);
    vx_store_close(store);
    scratch_done(&folder);
}

static void is_not_made_unasked(void **state)
{
    (void)state;
    scratch folder = scratch_make(), none = {.path = "/tmp/voxlock-no-such-folder"};
    expect_refused(&folder, false, VX_ERR_NOT_FOUND, "voxlock enroll");
    assert_false(scratch_has(&folder, VX_STORE_FILE));
    expect_refused(&none, false, VX_ERR_NOT_FOUND, "voxlock enroll");
    /* A program that was cut off between making the file and filling it left one without anything in it. */
    scratch_write(&folder, VX_STORE_FILE, "", 0);
    expect_refused(&folder, false, VX_ERR_NOT_FOUND, "voxlock enroll");
    vx_store_close(open_store(&folder));
    scratch_done(&folder);
}

static void settings_of_sqlite_are_in_force(void **state)
{
    (void)state;
    static const struct {
        const char *pragma, *value;
    } cases[] = {
        {"journal_mode", "wal"},       {"synchronous", "2"}, {"foreign_keys", "1"},
        {"secure_delete", "1"},        {"fullfsync", "1"},   {"trusted_schema", "0"},
        {"checkpoint_fullfsync", "1"}, {"temp_store", "2"},  {"cell_size_check", "1"},
    };
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[64];
        sqlite3_stmt *statement = NULL;
        bool row = false;
        snprintf(sql, sizeof sql, "PRAGMA %s", cases[i].pragma);
        assert_int_equal(vx_store_prepare(store, &statement, NULL, sql, ""), VX_OK);
        assert_int_equal(vx_store_step(store, statement, &row, NULL), VX_OK);
        assert_true(row);
        if (strcmp((const char *)sqlite3_column_text(statement, 0), cases[i].value) != 0)
            fail_msg("%s is %s", sql, (const char *)sqlite3_column_text(statement, 0));
        sqlite3_finalize(statement);
    }
    /* Defensive: not even we can write into the schema by hand. */
    assert_int_equal(vx_store_run(store, NULL, "PRAGMA writable_schema = ON", ""), VX_OK);
    assert_int_not_equal(vx_store_run(store, NULL, "DELETE FROM sqlite_schema", ""), VX_OK);
    assert_int_not_equal(vx_store_run(store, NULL, "SELECT load_extension('x')", ""), VX_OK);
    vx_store_close(store);
    scratch_done(&folder);
}

/* ---- refused ------------------------------------------------------------------------------------------------------ */

static void what_others_can_reach_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* "" the folder */
        int mode;
        vx_err err;
        const char *word;
    } cases[] = {
        {"", 0755, VX_ERR_PERMISSION, "chmod 700"},
        {"", 0701, VX_ERR_PERMISSION, "chmod 700"},
        {VX_STORE_FILE, 0640, VX_ERR_PERMISSION, "chmod 600"},
        {VX_STORE_FILE, 0602, VX_ERR_PERMISSION, "chmod 600"},
        {VX_STORE_FILE "-wal", 0644, VX_ERR_PERMISSION, "chmod 600"},
        {VX_KEY_FILE, 0604, VX_ERR_STORE_KEY, "chmod 600"},
    };
    scratch folder = scratch_make();
    vx_store *kept_open = open_store(&folder); /* or there would be no -wal */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256];
        scratch_path(&folder, cases[i].name, path, sizeof path);
        assert_int_equal(chmod(path, (mode_t)cases[i].mode), 0);
        expect_refused(&folder, true, cases[i].err, cases[i].word);
        assert_int_equal(chmod(path, cases[i].name[0] ? 0600 : 0700), 0);
    }
    vx_store_close(open_store(&folder));
    vx_store_close(kept_open);
    scratch_done(&folder);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    char path[256];
    scratch_path(&folder, VX_STORE_FILE, path, sizeof path);
    assert_int_equal(symlink("/dev/null", path), 0);
    expect_refused(&folder, true, VX_ERR_PERMISSION, "regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(&folder, true, VX_ERR_PERMISSION, "regular file");
    scratch_done(&folder);
}

/* The same bytes before and after. */
static void expect_refused_untouched(const scratch *folder, vx_err err, const char *word)
{
    vx_buf before = scratch_read(folder, VX_STORE_FILE);
    expect_refused(folder, true, err, word);
    vx_buf after = scratch_read(folder, VX_STORE_FILE);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    assert_false(scratch_has(folder, VX_KEY_FILE));
    vx_buf_done(&before);
    vx_buf_done(&after);
}

static void files_of_others_are_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        vx_err err;
        const char *word;
    } cases[] = {
        {"CREATE TABLE bookmarks (url TEXT)", VX_ERR_STORE_CORRUPT, "not made by voxlock"},
        {"PRAGMA application_id = 252006673; CREATE TABLE x (y)", VX_ERR_STORE_CORRUPT, "not made by voxlock"},
        {"PRAGMA application_id = 252006673", VX_ERR_STORE_CORRUPT, "not made by voxlock"},
        {"PRAGMA user_version = 1", VX_ERR_STORE_CORRUPT, "not made by voxlock"},
        {"PRAGMA application_id = 1987016780", VX_ERR_STORE_CORRUPT, "not made by voxlock"}, /* ours, version 0 */
        {"PRAGMA application_id = 1987016780; PRAGMA user_version = 4; CREATE TABLE new (x)", VX_ERR_STORE_VERSION,
         "newer voxlock"},
        {"PRAGMA application_id = 1987016780; PRAGMA user_version = -1", VX_ERR_STORE_CORRUPT, "not made by voxlock"},
    };
    assert_int_equal(VX_STORE_APPLICATION, 1987016780);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        scratch_write(&folder, VX_STORE_FILE, "", 0);
        tamper(&folder, cases[i].sql);
        expect_refused_untouched(&folder, cases[i].err, cases[i].word);
        scratch_done(&folder);
    }
    scratch folder = scratch_make();
    scratch_write(&folder, VX_STORE_FILE, "these are no pages of a database, and there are many of them", 60);
    expect_refused_untouched(&folder, VX_ERR_STORE_CORRUPT, "not a database");
    scratch_done(&folder);
}

static void a_store_without_its_key_gets_no_new_one(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    char path[256];
    vx_store_close(open_store(&folder));
    scratch_copy(&folder, VX_KEY_FILE, "key.kept");
    assert_int_equal(unlink(scratch_path(&folder, VX_KEY_FILE, path, sizeof path)), 0);
    expect_refused(&folder, true, VX_ERR_STORE_KEY, "the key of the profiles is not in the file");
    assert_false(scratch_has(&folder, VX_KEY_FILE));

    /* The right name with another key. */
    vx_buf lines = scratch_read(&folder, "key.kept");
    lines.data[40] = lines.data[40] == '0' ? '1' : '0';
    scratch_write(&folder, VX_KEY_FILE, lines.data, lines.len);
    expect_refused(&folder, true, VX_ERR_STORE_KEY, "not the one these profiles were sealed with");
    vx_buf_wipe_done(&lines);

    scratch_copy(&folder, "key.kept", VX_KEY_FILE);
    vx_store_close(open_store(&folder));
    scratch_done(&folder);
}

static void damage_of_what_opens_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        vx_err err;
        const char *word;
    } cases[] = {
        {"DELETE FROM meta WHERE name = 'key_id'", VX_ERR_STORE_CORRUPT, "key_id is missing"},
        {"DELETE FROM meta WHERE name = 'key_proof'", VX_ERR_STORE_CORRUPT, "key_proof is missing"},
        {"UPDATE meta SET value = 'x' WHERE name = 'key_proof'", VX_ERR_STORE_KEY, "sealed with"},
        {"UPDATE meta SET value = 17 WHERE name = 'key_id'", VX_ERR_STORE_CORRUPT, "damaged"},
        {"UPDATE meta SET value = 'zz345678901234567890123456789012' WHERE name = 'key_id'", VX_ERR_STORE_CORRUPT,
         "damaged"},
        {"UPDATE meta SET value = '12345678901234567890123456789012' WHERE name = 'key_id'", VX_ERR_STORE_KEY,
         "not in the file"},
        {"DROP TABLE meta", VX_ERR_STORE_CORRUPT, "no such table"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store_close(open_store(&folder));
        tamper(&folder, cases[i].sql);
        expect_refused(&folder, true, cases[i].err, cases[i].word);
        scratch_done(&folder);
    }
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

static void values_are_put_got_and_dropped(void **state)
{
    (void)state;
    enum { MOST = 64 << 10 };
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    vx_buf value = {0};
    vx_errinfo info = {0};
    char *large = calloc(1, MOST + 1), name[200];
    assert_non_null(large);

    assert_int_equal(vx_store_get(store, "prior/1", &value, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "prior/1"));
    put_text(store, "prior/1", "0.85");
    put_text(store, "prior/2", "0.5");
    put_text(store, "prior/1", "0.86"); /* in its place */
    expect_text(store, "prior/1", "0.86");
    expect_text(store, "prior/2", "0.5");
    put_text(store, "empty", "");
    expect_text(store, "empty", "");

    assert_int_equal(vx_store_put(store, "large", large, MOST, NULL), VX_OK);
    assert_int_equal(vx_store_put(store, "large", large, MOST + 1, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_buf_append(&value, "before", 6), VX_OK);
    assert_int_equal(vx_store_get(store, "large", &value, NULL), VX_OK); /* appended */
    assert_int_equal(value.len, MOST + 6);

    memset(name, 'n', sizeof name);
    name[128] = '\0';
    put_text(store, name, "long name");
    expect_text(store, name, "long name");
    name[128] = 'n', name[129] = '\0';
    assert_int_equal(vx_store_put(store, name, "x", 1, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_put(store, "", "x", 1, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_get(store, "", &value, NULL), VX_ERR_RANGE);

    assert_int_equal(vx_store_drop(store, "prior/1", NULL), VX_OK);
    assert_int_equal(vx_store_drop(store, "prior/1", NULL), VX_OK); /* absent is no error */
    assert_int_equal(vx_store_get(store, "prior/1", &value, NULL), VX_ERR_NOT_FOUND);
    expect_text(store, "prior/2", "0.5");
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
    free(large);
    vx_buf_done(&value);
    vx_store_close(store);
    scratch_done(&folder);
}

static void a_value_moved_or_damaged_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "UPDATE vals SET value = (SELECT value FROM vals WHERE name = 'b') WHERE name = 'a'",
        "UPDATE vals SET value = substr(value, 1, length(value) - 1) WHERE name = 'a'",
        "UPDATE vals SET value = x'' WHERE name = 'a'",
        "UPDATE vals SET value = zeroblob(length(value)) WHERE name = 'a'",
        "DELETE FROM vals WHERE name = 'a'; UPDATE vals SET name = 'a' WHERE name = 'b'",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store *store = open_store(&folder);
        vx_buf value = {0};
        vx_errinfo info = {0};
        put_text(store, "a", "first");
        put_text(store, "b", "second");
        assert_int_equal(vx_store_check(store, NULL), VX_OK);
        tamper(&folder, cases[i]);
        assert_int_equal(vx_store_get(store, "a", &value, &info), VX_ERR_STORE_CORRUPT);
        assert_non_null(strstr(info.text, "a calibration was"));
        assert_int_equal(value.len, 0);
        assert_int_equal(vx_store_check(store, NULL), VX_ERR_STORE_CORRUPT);
        vx_buf_done(&value);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

static void no_plain_text_lies_in_the_files(void **state)
{
    (void)state;
    static const char *const files[] = {VX_STORE_FILE, VX_STORE_FILE "-wal", VX_STORE_FILE "-shm"};
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    put_text(store, "recording", secret_text);
    put_text(store, "recording", "in its place");
    put_text(store, "again", secret_text);
    for (int closed = 0; closed < 2; closed++) {
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            assert_false(scratch_holds(&folder, files[i], secret_text, 12));
        if (!closed)
            assert_true(scratch_holds(&folder, VX_STORE_FILE "-wal", "recording", 9)); /* names are not sealed */
        if (!closed)
            vx_store_close(store);
    }
    assert_true(scratch_holds(&folder, VX_STORE_FILE, "recording", 9));
    scratch_done(&folder);
}

/* ---- transactions ------------------------------------------------------------------------------------------------- */

static vx_err nested(vx_store *store, vx_err inner, vx_err outer)
{
    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    put_text(store, "outer", "1");
    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    put_text(store, "inner", "1");
    assert_int_equal(vx_store_end(store, inner, NULL), inner);
    return vx_store_end(store, outer, NULL);
}

static void transactions_are_whole_or_nothing(void **state)
{
    (void)state;
    static const struct {
        vx_err inner, outer, result;
    } cases[] = {
        {VX_OK, VX_OK, VX_OK},
        {VX_ERR_RANGE, VX_OK, VX_ERR_RANGE}, /* an outer one cannot make good what failed inside */
        {VX_OK, VX_ERR_IO, VX_ERR_IO},
        {VX_ERR_RANGE, VX_ERR_IO, VX_ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_store *store = open_store(&folder);
        vx_buf value = {0};
        assert_int_equal(nested(store, cases[i].inner, cases[i].outer), cases[i].result);
        vx_err there = cases[i].result == VX_OK ? VX_OK : VX_ERR_NOT_FOUND;
        assert_int_equal(vx_store_get(store, "outer", &value, NULL), there);
        assert_int_equal(vx_store_get(store, "inner", &value, NULL), there);
        put_text(store, "after", "works"); /* the failure is forgotten */
        expect_text(store, "after", "works");
        vx_buf_done(&value);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

/* SQLite rolls back by itself after some errors; ROLLBACK stands for them. What follows must not be saved alone. */
static void a_transaction_that_was_undone_is_not_reported_as_saved(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    vx_buf value = {0};
    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    put_text(store, "a", "1");
    assert_int_equal(sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(vx_store_put(store, "b", "2", 1, NULL), VX_ERR_IO);
    assert_int_equal(vx_store_end(store, VX_OK, NULL), VX_ERR_IO);

    assert_int_equal(vx_store_begin(store, NULL), VX_OK);
    assert_int_equal(sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(vx_store_end(store, VX_OK, NULL), VX_ERR_IO);
    assert_int_equal(vx_store_get(store, "a", &value, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_store_get(store, "b", &value, NULL), VX_ERR_NOT_FOUND);
    vx_store_close(store);
    scratch_done(&folder);
}

static void references_hold(void **state)
{
    (void)state;
    static const char sample[] = "INSERT INTO samples (speaker, taken_ms, microphone, seconds, speech_s, speech_share,"
                                 " speech_dbfs, noise_dbfs, snr_db, clipped_share, score)"
                                 " VALUES (?1, 0, '', 3, 2, 0.7, -20, -60, 40, 0, 0.9)";
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    vx_store_view view;
    vx_errinfo info = {0};
    static const char speaker[] = "INSERT INTO speakers (name, created_ms, updated_ms) VALUES ('Ada', 1, 1)";
    assert_int_equal(vx_store_run(store, NULL, sample, "i", (int64_t)7), VX_ERR_IO); /* nobody has number 7 */
    assert_int_equal(vx_store_run(store, NULL, speaker, ""), VX_OK);
    assert_int_equal(vx_store_run(store, &info, speaker, ""), VX_ERR_EXISTS);
    assert_int_equal(vx_store_run(store, NULL, sample, "i", (int64_t)1), VX_OK);
    assert_int_equal(vx_store_run(store, NULL, "DELETE FROM speakers", ""), VX_OK); /* and what hangs on it */
    assert_int_equal(vx_store_get_view(store, &view, NULL), VX_OK);
    assert_int_equal(view.n_samples, 0);
    /* A number is never given again. */
    assert_int_equal(vx_store_run(store, NULL, speaker, ""), VX_OK);
    assert_int_equal(vx_store_run(store, NULL, sample, "i", (int64_t)1), VX_ERR_IO);
    assert_int_equal(vx_store_run(store, NULL, sample, "i", (int64_t)2), VX_OK);
    assert_int_equal(sqlite3_last_insert_rowid(store->db), 2);
    vx_store_close(store);
    scratch_done(&folder);
}

static void a_full_disk_is_told_and_survived(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *store = open_store(&folder);
    vx_errinfo info = {0};
    char large[8000] = "";
    put_text(store, "before", "1");
    assert_int_equal(sqlite3_exec(store->db, "PRAGMA max_page_count = 1", NULL, NULL, NULL), SQLITE_OK);
    vx_err err = VX_OK;
    for (int i = 0; err == VX_OK && i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%d", i);
        err = vx_store_put(store, name, large, sizeof large, &info);
    }
    assert_int_equal(err, VX_ERR_IO);
    assert_non_null(strstr(info.text, "full"));
    assert_int_equal(sqlite3_exec(store->db, "PRAGMA max_page_count = 100000", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(vx_store_put(store, "after", large, sizeof large, NULL), VX_OK);
    expect_text(store, "before", "1");
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
    vx_store_close(store);
    scratch_done(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_made_for_the_owner_alone),
        cmocka_unit_test(a_tight_umask_does_no_harm),
        cmocka_unit_test(keeps_what_it_said_it_keeps),
        cmocka_unit_test(is_not_made_unasked),
        cmocka_unit_test(settings_of_sqlite_are_in_force),
        cmocka_unit_test(what_others_can_reach_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(files_of_others_are_left_alone),
        cmocka_unit_test(a_store_without_its_key_gets_no_new_one),
        cmocka_unit_test(damage_of_what_opens_it_is_told),
        cmocka_unit_test(values_are_put_got_and_dropped),
        cmocka_unit_test(a_value_moved_or_damaged_is_refused),
        cmocka_unit_test(no_plain_text_lies_in_the_files),
        cmocka_unit_test(transactions_are_whole_or_nothing),
        cmocka_unit_test(a_transaction_that_was_undone_is_not_reported_as_saved),
        cmocka_unit_test(references_hold),
        cmocka_unit_test(a_full_disk_is_told_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
