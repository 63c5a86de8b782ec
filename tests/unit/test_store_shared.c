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

#include "edge/store/attempts.h"
#include "edge/store/audit.h"
#include "edge/store/store_private.h"
#include "edge/store/utterances.h"
#include "shared/base/file.h"
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

/* A store of an older form, as the voxlock of that time wrote it: two speakers, four values; of Aino, in form 2, five
 * utterances were heard and three kept. */
static void make_older(const scratch *folder, int version)
{
    static const char *const names[] = {VX_STORE_FILE, VX_KEY_FILE}, *const ends[] = {"db", "key"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        vx_buf file = {0};
        (void)snprintf(path, sizeof path, "tests/data/store/form%d.%s", version, ends[i]);
        assert_int_equal(vx_file_read(path, 1 << 20, &file, NULL), VX_OK);
        scratch_write(folder, names[i], file.data, file.len);
        vx_buf_done(&file);
    }
}

/* A store of some version with two speakers, an attempt, and so three audit entries, and a value. */
static void make_old(const scratch *folder, int version)
{
    forms f;
    int64_t id;
    if (version < LAST) {
        make_older(folder, version);
        return;
    }
    forms_of(&f, version, add_nicknames, add_language);
    vx_store *store = open_as(folder, &f.schema);
    enrol(store, "Aino");
    enrol(store, "Bo");
    assert_int_equal(vx_store_put(store, "prior/1", "0.85", 4, NULL), VX_OK);
    assert_int_equal(vx_attempt_begin(store, "verify", "Aino", 1700000000000, &id, NULL), VX_OK);
    const vx_attempt_record r = {.ended_ms = 1700000000900, .speaker = "Aino", .verdict = VX_REJECT, .detail = "{}"};
    assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
    vx_store_close(store);
}

static const char before_last[] = VX_STORE_FILE ".before-3";

static void expect_migrated(vx_store *store)
{
    int64_t proven = 0;
    assert_int_equal(number(store, "PRAGMA user_version"), AFTER);
    assert_int_equal(number(store, "SELECT count(*) FROM nicknames WHERE name IN ('aino', 'bo')"), 2);
    assert_int_equal(number(store, "SELECT count(*) FROM speakers WHERE language = 'fi'"), 1);
    expect_held(store, "prior/1", "0.85");
    assert_int_equal(vx_audit_verify(store, &proven, NULL), VX_OK);
    assert_int_equal(proven, 3);
    assert_int_equal(vx_store_check(store, NULL), VX_OK);
    assert_int_equal(vx_store_remember(store, 1, VX_UTTERANCE_OWN, 1700000000000, "landmarks", 9, NULL), VX_OK);
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
            /* What was kept is the store as it was, and opens as such; of a form whose MACs this program does not write,
             * it is brought to the last once more. */
            forms old;
            forms_of(&old, from < LAST ? AFTER : from, add_nicknames, add_language);
            assert_int_equal(scratch_mode(&folder, before), 0600);
            scratch_copy(&folder, before, VX_STORE_FILE);
            store = open_as(&folder, &old.schema);
            assert_int_equal(number(store, "PRAGMA user_version"), old.schema.version);
            expect_held(store, "prior/1", "0.85");
            assert_int_equal(vx_store_check(store, NULL), VX_OK);
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

typedef struct {
    int n;
    vx_utterance_kind kind;
    int64_t numbers[8], taken_ms[8];
    uint8_t first[8];
} seen;

static vx_err see(void *arg, const vx_utterance *u)
{
    seen *s = arg;
    assert_true(s->n < 8);
    s->kind = u->kind, s->numbers[s->n] = u->n, s->taken_ms[s->n] = u->taken_ms, s->first[s->n] = u->bytes[0];
    s->n++;
    return VX_OK;
}

/* With SQLite alone, as anybody could; nothing has the store open. */
static void tamper(const scratch *folder, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch_path(folder, VX_STORE_FILE, path, sizeof path), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* All that an older store held is there, what was heard as the owner's; and what the old form left unbound is bound. */
static void what_older_forms_held_is_bound(void **state)
{
    (void)state;
    for (int from = 1; from < LAST; from++) {
        scratch folder = scratch_make();
        seen s = {0};
        make_older(&folder, from);
        vx_store *store = open_as(&folder, vx_schema_current());
        store_assert_whole(store);
        expect_held(store, "habits/1", "mornings");
        expect_held(store, "prior/2", "0.80");
        expect_held(store, "calibration/of a model", "own");
        assert_int_equal(vx_store_utterances(store, 1, see, &s, NULL), VX_OK);
        assert_int_equal(s.n, from > 1 ? 3 : 0);
        for (int i = 0; i < s.n; i++) {
            assert_int_equal(s.kind, VX_UTTERANCE_OWN);
            assert_int_equal(s.numbers[i], 3 + i);
            assert_int_equal(s.taken_ms[i], 103 + i);
            assert_int_equal(s.first[i], 3 + i);
        }
        vx_store_close(store);
        tamper(&folder, "DELETE FROM vals WHERE name = 'habits/1'");
        store = open_as(&folder, vx_schema_current());
        assert_int_equal(vx_store_check(store, NULL), VX_ERR_STORE_CORRUPT);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

/* A migration makes nothing good: what did not fit before does not after, the rest does, and the way out is as ever. */
static void a_migration_makes_no_forgery_good(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        vx_err aino, bo;
    } cases[] = {
        {"UPDATE samples SET microphone = 'Phone' WHERE speaker = 1", VX_ERR_STORE_CORRUPT, VX_OK},
        {"UPDATE heard SET first = 4", VX_ERR_STORE_CORRUPT, VX_OK},
        {"UPDATE speakers SET armed = 1 WHERE id = 2", VX_OK, VX_ERR_STORE_CORRUPT},
        {"UPDATE speakers SET mac = zeroblob(32) WHERE id = 2", VX_ERR_STORE_CORRUPT, VX_ERR_STORE_CORRUPT},
        {"DELETE FROM meta WHERE name = 'audit_head'", VX_ERR_AUDIT_BROKEN, VX_ERR_AUDIT_BROKEN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch folder = scratch_make();
        vx_speaker speaker;
        make_older(&folder, 2);
        tamper(&folder, cases[i].sql);
        vx_store *store = open_as(&folder, vx_schema_current());
        assert_int_equal(vx_store_speaker(store, "Aino", &speaker, NULL), cases[i].aino);
        assert_int_equal(vx_store_speaker(store, "Bo", &speaker, NULL), cases[i].bo);
        if (cases[i].bo == VX_OK) {
            assert_int_equal(vx_store_remove(store, "Aino", NULL), VX_OK);
            store_assert_whole(store);
        }
        vx_store_close(store);
        scratch_done(&folder);
    }
}

/* The form that a file is said to be of is plain. A file of this form that is called an older one, of which MACs covered
 * less, is not taken for one: an older value would come in by that. */
static void no_file_is_called_an_older_one(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    vx_speaker speaker;
    vx_store *store = open_as(&folder, vx_schema_current());
    enrol(store, "Aino");
    assert_int_equal(vx_store_put(store, "prior/1", "0.95", 4, NULL), VX_OK);
    assert_int_equal(sqlite3_exec(store->db, "CREATE TABLE old AS SELECT * FROM vals", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(vx_store_drop(store, "prior/1", NULL), VX_OK);
    store_assert_whole(store);
    vx_store_close(store);
    tamper(&folder, "INSERT INTO vals SELECT * FROM old; PRAGMA user_version = 2");
    store = open_as(&folder, vx_schema_current());
    assert_int_equal(vx_store_speaker(store, "Aino", &speaker, NULL), VX_ERR_STORE_CORRUPT);
    vx_store_close(store);
    scratch_done(&folder);
}

/* MACs are of the form at the end: a later step may change what they cover. */
static void what_fits_is_bound_behind_the_last_step(void **state)
{
    (void)state;
    for (int from = 1; from < LAST; from++) {
        scratch folder = scratch_make();
        forms f;
        forms_of(&f, AFTER, "UPDATE samples SET microphone = 'a microphone'",
                 "UPDATE speakers SET updated_ms = updated_ms + 1");
        make_older(&folder, from);
        vx_store *store = open_as(&folder, &f.schema);
        store_assert_whole(store);
        vx_store_close(store);
        scratch_done(&folder);
    }
}

/* The sealed bytes of a value, from a file that nothing has open. */
static vx_buf sealed_value(const scratch *folder, const char *name)
{
    char path[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    vx_buf bytes = {0};
    assert_int_equal(sqlite3_open(scratch_path(folder, VX_STORE_FILE, path, sizeof path), &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT value FROM vals WHERE name = ?1", -1, &rows, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_bind_text(rows, 1, name, -1, SQLITE_STATIC), SQLITE_OK);
    assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
    assert_int_equal(vx_buf_append(&bytes, sqlite3_column_blob(rows, 0), (size_t)sqlite3_column_bytes(rows, 0)), VX_OK);
    sqlite3_finalize(rows);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return bytes;
}

/* The copy that a migration leaves is of a form that binds no values. A value that was written since, put into it, does not
 * pass for one of its time; and none of its values passes for one that was written since. */
static void forms_lend_each_other_no_values(void **state)
{
    (void)state;
    scratch folder = scratch_make();
    char hex[2 * 200 + 1], sql[sizeof hex + 100];
    vx_buf value = {0};
    make_older(&folder, 2);
    vx_buf old = sealed_value(&folder, "habits/1");
    vx_store *store = open_as(&folder, vx_schema_current());
    assert_int_equal(vx_vault_open(store->vault, "value/habits/1", old.data, old.len, &value, NULL), VX_OK);
    assert_int_equal(vx_vault_open(store->vault, "value-3/habits/1", old.data, old.len, &value, NULL),
                     VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_put(store, "habits/1", "evenings", 8, NULL), VX_OK);
    vx_store_close(store);
    vx_buf newer = sealed_value(&folder, "habits/1");
    assert_true(2 * newer.len < sizeof hex);
    vx_hex(newer.data, newer.len, hex);
    scratch_copy(&folder, VX_STORE_FILE ".before-2", VX_STORE_FILE);
    (void)snprintf(sql, sizeof sql, "UPDATE vals SET value = x'%s' WHERE name = 'habits/1'", hex);
    tamper(&folder, sql);
    store = open_as(&folder, vx_schema_current());
    assert_int_equal(vx_store_get(store, "habits/1", &value, NULL), VX_ERR_STORE_CORRUPT);
    expect_held(store, "prior/1", "0.85");
    assert_int_equal(vx_store_remove(store, "Aino", NULL), VX_OK);
    store_assert_whole(store);
    vx_store_close(store);
    vx_buf_done(&value);
    vx_buf_done(&old);
    vx_buf_done(&newer);
    scratch_done(&folder);
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
    scratch_write(&folder, VX_STORE_FILE ".before-3.new", "half", 4);
    scratch_write(&folder, VX_STORE_FILE ".before-3", "of an earlier try", 17);
    vx_store *store = open_as(&folder, &f.schema);
    expect_migrated(store);
    vx_store_close(store);
    assert_false(scratch_has(&folder, VX_STORE_FILE ".before-3.new"));
    scratch_copy(&folder, VX_STORE_FILE ".before-3", VX_STORE_FILE);
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
        cmocka_unit_test(what_older_forms_held_is_bound),
        cmocka_unit_test(a_migration_makes_no_forgery_good),
        cmocka_unit_test(no_file_is_called_an_older_one),
        cmocka_unit_test(what_fits_is_bound_behind_the_last_step),
        cmocka_unit_test(forms_lend_each_other_no_values),
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
