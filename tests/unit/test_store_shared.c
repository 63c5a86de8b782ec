/* test_store_shared.c - the store's file over time and among processes: migrations from every older form, and who may have
 * it open while another does what.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/audit.h"
#include "edge/store/store_private.h"
#include "edge/store/utterances.h"
#include "tests/support/scratch.h"
#include "tests/support/service.h"
#include "tests/support/store_fixture.h"

static vx_store_options options_of(const scratch *folder)
{
    return (vx_store_options){
        .folder = folder->path, .keyring = VX_KEYRING_FILE, .create = true, .busy_ms = PATIENCE_MS};
}

static vx_store *open_as(const scratch *folder, const vx_schema *schema)
{
    vx_store *store = NULL;
    vx_errinfo info = {0};
    vx_store_options options = options_of(folder);
    if (vx_store_open_as(&options, schema, &store, &info) != VX_OK)
        fail_msg("%s: %s", info.path, info.text);
    return store;
}

static vx_err refusal(const scratch *folder, const vx_schema *schema, vx_errinfo *info)
{
    vx_store *store = NULL;
    vx_store_options options = options_of(folder);
    options.busy_ms = 50;
    *info = (vx_errinfo){0};
    vx_err err = vx_store_open_as(&options, schema, &store, info);
    assert_null(store);
    return err;
}

static void expect_held(vx_store *store, const char *name, const char *text)
{
    vx_buf value = {0};
    assert_int_equal(vx_store_get(store, name, &value, NULL), VX_OK);
    assert_int_equal(value.len, strlen(text));
    assert_memory_equal(value.data, text, value.len);
    vx_buf_done(&value);
}

static int64_t number(vx_store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    assert_int_equal(vx_store_prepare(store, &statement, NULL, sql, ""), VX_OK);
    assert_int_equal(vx_store_step(store, statement, &row, NULL), VX_OK);
    assert_true(row);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* ---- migrations --------------------------------------------------------------------------------------------------- */

/* Forms that come after the last, for tests: the released steps first, then two more. */
enum { LAST = VX_STORE_SCHEMA, NEXT = VX_STORE_SCHEMA + 1, AFTER = VX_STORE_SCHEMA + 2 };

static const char add_nicknames[] = "CREATE TABLE nicknames (speaker INTEGER NOT NULL REFERENCES speakers ON DELETE "
                                    "CASCADE, name TEXT NOT NULL) STRICT;"
                                    "INSERT INTO nicknames SELECT id, lower(name) FROM speakers;";
static const char add_language[] = "ALTER TABLE speakers ADD COLUMN language TEXT NOT NULL DEFAULT 'en';"
                                   "UPDATE speakers SET language = 'fi' WHERE name = 'Aino';";

typedef struct {
    const char *steps[AFTER];
    vx_schema schema;
} forms;

/* The released steps up to `version`, then the given ones. */
static void forms_of(forms *f, int version, const char *next, const char *after)
{
    memcpy(f->steps, vx_schema_current()->steps, LAST * sizeof *f->steps);
    f->steps[LAST] = next;
    f->steps[LAST + 1] = after;
    f->schema = (vx_schema){.steps = f->steps, .version = version};
}

static void enrol(vx_store *store, const char *name)
{
    const vx_new_sample sample = fixture_sample(1, 1, 0.5, "");
    vx_enrolled enrolled;
    assert_int_equal(vx_store_enrol(store, name, &sample, 1, false, &enrolled, NULL), VX_OK);
}

/* A store of some version with two speakers, and so two audit entries, and a value. */
static void make_old(const scratch *folder, int version)
{
    forms f;
    forms_of(&f, version < LAST ? LAST : version, add_nicknames, add_language);
    vx_store *store = open_as(folder, &f.schema);
    enrol(store, "Aino");
    enrol(store, "Bo");
    assert_int_equal(vx_store_put(store, "prior/1", "0.85", 4, NULL), VX_OK);
    /* This program writes no older form; what it adds to one is taken away again. */
    if (version < 2)
        assert_int_equal(sqlite3_exec(store->db, "DROP TABLE utterances; DROP TABLE heard; PRAGMA user_version = 1",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
    vx_store_close(store);
}

static const char before_last[] = VX_STORE_FILE ".before-2";

static void expect_migrated(vx_store *store)
{
    int64_t proven = 0;
    assert_int_equal(number(store, "PRAGMA user_version"), AFTER);
    assert_int_equal(number(store, "SELECT count(*) FROM nicknames WHERE name IN ('aino', 'bo')"), 2);
    assert_int_equal(number(store, "SELECT count(*) FROM speakers WHERE language = 'fi'"), 1);
    expect_held(store, "prior/1", "0.85");
    assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
    assert_int_equal(proven, 2);
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
    assert_int_equal(vx_store_remember(store, 1, 1700000000000, "landmarks", 9, NULL), VX_OK);
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
}

static void every_older_form_becomes_the_last(void **state)
{
    (void)state;
    forms f;
    forms_of(&f, AFTER, add_nicknames, add_language);
    for (int from = 1; from <= AFTER; from++) {
        scratch folder = scratch_make();
        char before[64];
        make_old(&folder, from);
        vx_store *store = open_as(&folder, &f.schema);
        /* Nicknames are copied of speakers by the step, so only where it ran after them. */
        if (from < NEXT)
            expect_migrated(store);
        assert_int_equal(number(store, "PRAGMA user_version"), AFTER);
        assert_int_equal(number(store, "SELECT count(*) FROM speakers"), 2);
        expect_held(store, "prior/1", "0.85");
        vx_store_close(store);

        snprintf(before, sizeof before, VX_STORE_FILE ".before-%d", from);
        assert_int_equal(scratch_has(&folder, before), from < AFTER);
        if (from < AFTER) {
            /* What was kept is the store as it was, and opens as such. */
            forms old;
            forms_of(&old, from, add_nicknames, add_language);
            assert_int_equal(scratch_mode(&folder, before), 0600);
            scratch_copy(&folder, before, VX_STORE_FILE);
            store = open_as(&folder, &old.schema);
            assert_int_equal(number(store, "PRAGMA user_version"), from);
            expect_held(store, "prior/1", "0.85");
            vx_store_close(store);
        }
        scratch_done(&folder);
    }
}

/* The same tables, however many steps it took to get there. */
static void a_migrated_form_is_a_new_ones(void **state)
{
    (void)state;
    forms f;
    sqlite3_stmt *rows = NULL;
    char *dumps[2] = {NULL, NULL};
    forms_of(&f, AFTER, add_nicknames, add_language);
    for (int i = 0; i < 2; i++) {
        scratch folder = scratch_make();
        bool row = false;
        if (i == 0)
            make_old(&folder, LAST);
        vx_store *store = open_as(&folder, &f.schema);
        assert_int_equal(
            vx_store_prepare(store, &rows, NULL,
                             "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)", ""),
            VX_OK);
        assert_int_equal(vx_store_step(store, rows, &row, NULL), VX_OK);
        dumps[i] = sqlite3_mprintf("%s", sqlite3_column_text(rows, 0));
        sqlite3_finalize(rows);
        vx_store_close(store);
        scratch_done(&folder);
    }
    assert_string_equal(dumps[0], dumps[1]);
    sqlite3_free(dumps[0]);
    sqlite3_free(dumps[1]);
}

static void a_step_that_fails_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *after;
        const char *word;
    } cases[] = {
        {"CREATE TABLE half (x); CREATE TABLE half (x)", "already exists"},
        {"CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)", "no such table"},
        {"UPDATE speakers SET id = id + 100 WHERE name = 'Bo'", "belongs to nothing"}, /* its nickname */
        {"DELETE FROM speakers; SELECT syntax error", "syntax"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        forms bad, good;
        vx_errinfo info;
        /* Deferred, so that the last case of references is found at the end, by the check of the migration itself. */
        char after[256];
        snprintf(after, sizeof after, "PRAGMA defer_foreign_keys = ON; %s", cases[i].after);
        forms_of(&bad, AFTER, add_nicknames, after);
        forms_of(&good, AFTER, add_nicknames, add_language);
        make_old(&folder, LAST);
        assert_int_equal(refusal(&folder, &bad.schema, &info), VX_ERR_STORE_CORRUPT);
        if (!strstr(info.text, cases[i].word))
            fail_msg("'%s' does not say '%s'", info.text, cases[i].word);
        assert_true(scratch_has(&folder, before_last));
        vx_store *store = open_as(&folder, vx_schema_current()); /* still of the old form */
        assert_int_equal(number(store, "SELECT count(*) FROM speakers"), 2);
        assert_int_equal(number(store, "SELECT count(*) FROM sqlite_schema WHERE name IN ('half', 'nicknames')"), 0);
        vx_store_close(store);
        store = open_as(&folder, &good.schema);
        expect_migrated(store);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

static void an_older_program_leaves_a_newer_form_alone(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_errinfo info;
    make_old(&folder, AFTER);
    vx_buf before = scratch_read(&folder, VX_STORE_FILE);
    assert_int_equal(refusal(&folder, vx_schema_current(), &info), VX_ERR_STORE_VERSION);
    vx_buf after = scratch_read(&folder, VX_STORE_FILE);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    vx_buf_done(&before);
    vx_buf_done(&after);
    scratch_done(&folder);
}

static void nobody_migrates_below_another(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    forms f;
    vx_errinfo info;
    forms_of(&f, AFTER, add_nicknames, add_language);
    make_old(&folder, LAST);
    vx_store *old = open_as(&folder, vx_schema_current());
    assert_int_equal(refusal(&folder, &f.schema, &info), VX_ERR_STORE_LOCKED);
    assert_non_null(strstr(info.text, "another voxlock"));
    assert_int_equal(vx_store_put(old, "after", "1", 1, NULL), VX_OK);
    vx_store_close(old);
    vx_store *store = open_as(&folder, &f.schema);
    expect_migrated(store);
    expect_held(store, "after", "1");
    /* Done with that, it shares the file again. */
    vx_store_close(open_as(&folder, &f.schema));
    vx_store_close(store);
    scratch_done(&folder);
}

static void a_migration_needs_the_key(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    forms f;
    vx_errinfo info;
    char path[256];
    forms_of(&f, AFTER, add_nicknames, add_language);
    make_old(&folder, LAST);
    assert_int_equal(unlink(scratch_path(&folder, VX_KEY_FILE, path, sizeof path)), 0);
    assert_int_equal(refusal(&folder, &f.schema, &info), VX_ERR_STORE_KEY);
    assert_false(scratch_has(&folder, before_last));
    scratch_done(&folder);
}

static void what_a_cut_off_migration_left_is_no_hindrance(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    forms f;
    forms_of(&f, AFTER, add_nicknames, add_language);
    make_old(&folder, LAST);
    scratch_write(&folder, VX_STORE_FILE ".before-2.new", "half", 4);
    scratch_write(&folder, VX_STORE_FILE ".before-2", "of an earlier try", 17);
    vx_store *store = open_as(&folder, &f.schema);
    expect_migrated(store);
    vx_store_close(store);
    assert_false(scratch_has(&folder, VX_STORE_FILE ".before-2.new"));
    scratch_copy(&folder, VX_STORE_FILE ".before-2", VX_STORE_FILE);
    vx_store_close(open_as(&folder, vx_schema_current()));
    scratch_done(&folder);
}

/* ---- processes ---------------------------------------------------------------------------------------------------- */

enum { PROCESSES = 6, ROUNDS = 3, FILES = 12, APPENDED = 150 };

/* Each child's life; the exit status is the number of things that went wrong. */
static int live(const scratch *folder, int child, int go)
{
    int wrong = 0;
    char byte;
    (void)!read(go, &byte, 1); /* until all are there */
    for (int i = 0; i < ROUNDS; i++) {
        vx_store *store = NULL;
        vx_store_options options = options_of(folder);
        char name[32];
        snprintf(name, sizeof name, "child/%d/%d", child, i);
        if (vx_store_open(&options, &store, NULL) != VX_OK) {
            wrong++;
            continue;
        }
        wrong += vx_store_put(store, name, name, strlen(name), NULL) != VX_OK;
        wrong += vx_audit_add(store, "attempt", name, "{}", NULL) != VX_OK;
        vx_store_close(store);
    }
    return wrong;
}

/* Lets them all go at once, and counts what went wrong in them. */
static int run_children(const scratch *folder)
{
    int go[2], n_wrong = 0;
    pid_t pids[PROCESSES];
    assert_int_equal(pipe(go), 0);
    for (int c = 0; c < PROCESSES; c++) {
        pids[c] = fork();
        assert_true(pids[c] >= 0);
        if (pids[c] == 0) {
            close(go[1]);
            _exit(live(folder, c, go[0]));
        }
    }
    close(go[0]);
    close(go[1]);
    for (int c = 0; c < PROCESSES; c++) {
        int status = -1;
        assert_int_equal(waitpid(pids[c], &status, 0), pids[c]);
        n_wrong += status != 0;
    }
    return n_wrong;
}

static void processes_that_meet_at_a_new_file_agree(void **state)
{
    (void)state;
    for (int file = 0; file < FILES; file++) {
        scratch folder = scratch_make();
        int64_t proven = 0;
        assert_int_equal(run_children(&folder), 0);
        vx_store *store = open_as(&folder, vx_schema_current());
        for (int c = 0; c < PROCESSES; c++) {
            for (int i = 0; i < ROUNDS; i++) {
                char name[32];
                snprintf(name, sizeof name, "child/%d/%d", c, i);
                expect_held(store, name, name);
            }
        }
        assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
        assert_int_equal(proven, PROCESSES * ROUNDS);
        assert_int_equal(vx_store_check(store, NULL), VX_OK);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

/* Head and entries are read one after the other; what another process appends in between is no break. */
static void a_log_is_proven_while_another_process_writes_it(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *store = open_as(&folder, vx_schema_current());
    int64_t proven = 0, n_proofs = 0;
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        vx_store_options options = options_of(&folder);
        vx_store *own = NULL;
        int wrong = vx_store_open(&options, &own, NULL) != VX_OK;
        for (int i = 0; i < APPENDED && !wrong; i++)
            wrong = vx_audit_add(own, "attempt", "Ada", "{}", NULL) != VX_OK;
        vx_store_close(own);
        _exit(wrong);
    }
    while (waitpid(pid, &status, WNOHANG) == 0) {
        vx_errinfo info = {0};
        if (vx_audit_verify(store, &proven, &info) != VX_OK)
            fail_msg("after %lld proofs: %s", (long long)n_proofs, info.text);
        n_proofs++;
    }
    assert_int_equal(status, 0);
    assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
    assert_int_equal(proven, APPENDED);
    print_message("# %lld proofs meanwhile\n", (long long)n_proofs);
    vx_store_close(store);
    scratch_done(&folder);
}

/* A file that has no log yet, as a copy made by other tools may be, and a reader who is gone in a moment. */
static void a_log_is_begun_when_the_last_reader_has_gone(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    char path[256], byte = 0;
    int is_reading[2], status = -1;
    sqlite3 *db = NULL;
    vx_store_close(open_as(&folder, vx_schema_current()));
    scratch_path(&folder, VX_STORE_FILE, path, sizeof path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(pipe(is_reading), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        bool reads = sqlite3_open(path, &db) == SQLITE_OK &&
                     sqlite3_exec(db, "BEGIN; SELECT count(*) FROM meta", NULL, NULL, NULL) == SQLITE_OK;
        (void)!write(is_reading[1], &byte, 1);
        usleep(100000);
        sqlite3_close(db);
        _exit(!reads);
    }
    assert_int_equal(read(is_reading[0], &byte, 1), 1);
    vx_store_close(open_as(&folder, vx_schema_current()));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(is_reading[0]);
    close(is_reading[1]);
    scratch_done(&folder);
}

static void a_busy_file_is_waited_for_and_then_told(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_store *writer = open_as(&folder, vx_schema_current()), *other = NULL;
    vx_store_options options = options_of(&folder);
    vx_buf value = {0};
    vx_errinfo info = {0};
    options.busy_ms = 50;
    assert_int_equal(vx_store_open(&options, &other, NULL), VX_OK);
    assert_int_equal(vx_store_begin(writer, NULL), VX_OK);
    assert_int_equal(vx_store_put(writer, "a", "1", 1, NULL), VX_OK);
    assert_int_equal(vx_store_put(other, "b", "2", 1, &info), VX_ERR_STORE_LOCKED);
    assert_true(info.text[0]);
    assert_int_equal(vx_store_get(other, "a", &value, NULL), VX_ERR_NOT_FOUND); /* readers do not wait */
    vx_store *third = NULL;
    assert_int_equal(vx_store_open(&options, &third, NULL), VX_OK); /* nor does who opens it */
    vx_store_close(third);
    assert_int_equal(vx_store_end(writer, VX_OK, NULL), VX_OK);
    assert_int_equal(vx_store_put(other, "b", "2", 1, NULL), VX_OK);
    expect_held(writer, "b", "2");
    expect_held(other, "a", "1");
    vx_store_close(writer);
    vx_store_close(other);
    scratch_done(&folder);
}

static void an_open_store_is_not_replaced(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    int claim = -1;
    vx_errinfo info = {0};
    vx_store *store = open_as(&folder, vx_schema_current());
    assert_int_equal(vx_store_claim(folder.path, true, 30, &claim, &info), VX_ERR_STORE_LOCKED);
    assert_non_null(strstr(info.text, "another voxlock"));
    vx_store_close(store);
    assert_int_equal(vx_store_claim(folder.path, true, 30, &claim, NULL), VX_OK);
    assert_int_equal(refusal(&folder, vx_schema_current(), &info), VX_ERR_STORE_LOCKED);
    close(claim);
    vx_store_close(open_as(&folder, vx_schema_current()));
    scratch_done(&folder);
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, ENTRIES = 12 };

static void *add_entries(void *arg)
{
    vx_store *store = arg;
    intptr_t wrong = 0;
    for (int i = 0; i < ENTRIES; i++) {
        vx_buf value = {0};
        int64_t proven;
        wrong += vx_audit_add(store, "attempt", "Ada", "{}", NULL) != VX_OK;
        wrong += vx_store_put(store, "shared", "value", 5, NULL) != VX_OK;
        wrong += vx_store_get(store, "shared", &value, NULL) != VX_OK;
        wrong += i % 4 == 0 && vx_audit_verify(store, &proven, NULL) != VX_OK;
        vx_buf_done(&value);
    }
    return (void *)wrong;
}

static void threads_share_a_store(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    pthread_t threads[THREADS];
    int64_t proven = 0;
    vx_store *store = open_as(&folder, vx_schema_current());
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_entries, store), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
    assert_int_equal(proven, THREADS * ENTRIES);
    vx_store_close(store);
    scratch_done(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_older_form_becomes_the_last),
        cmocka_unit_test(a_migrated_form_is_a_new_ones),
        cmocka_unit_test(a_step_that_fails_changes_nothing),
        cmocka_unit_test(an_older_program_leaves_a_newer_form_alone),
        cmocka_unit_test(nobody_migrates_below_another),
        cmocka_unit_test(a_migration_needs_the_key),
        cmocka_unit_test(what_a_cut_off_migration_left_is_no_hindrance),
        cmocka_unit_test(processes_that_meet_at_a_new_file_agree),
        cmocka_unit_test(a_log_is_proven_while_another_process_writes_it),
        cmocka_unit_test(a_log_is_begun_when_the_last_reader_has_gone),
        cmocka_unit_test(a_busy_file_is_waited_for_and_then_told),
        cmocka_unit_test(an_open_store_is_not_replaced),
        cmocka_unit_test(threads_share_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
