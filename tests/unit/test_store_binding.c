/* test_store_binding.c - somebody who can write to the file and has no key: what is plain in it is changed, row by row and
 * column by column, and has to be noticed by whoever reads it next, and by the check.
 * Owns:   the attacks. What each reader gives of an honest store is in the tests of its module.
 */
#include "edge/store/binding.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "edge/store/attempts.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { FILE_MAX = 8 << 20, ADA = 1, BOB = 2, SQL_CAP = 512, COLUMNS_MAX = 32 };

/* ---- a store that two people use ---------------------------------------------------------------------------------- */

static struct {
    char folder[STORE_FIXTURE_CAP];
    vx_buf honest, key;
} f;

static void put_file(const char *name, const vx_buf *content)
{
    const char *path = store_folder_path(f.folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(content->data, 1, content->len, file) != content->len || fclose(file) != 0 ||
        chmod(path, 0600) != 0)
        fail_msg("cannot write %s", path);
}

static void keep_file(const char *name, vx_buf *ret_content)
{
    assert_int_equal(vx_file_read(store_folder_path(f.folder, name), FILE_MAX, ret_content, NULL), VX_OK);
}

static void enrol(vx_store *store, const char *name, uint64_t seed)
{
    const vx_new_sample s[] = {fixture_sample(seed, 1, 0.5, "Built-in"), fixture_sample(seed + 1, 1, 0.7, "Headset")};
    vx_enrolled enrolled;
    assert_int_equal(vx_store_enrol(store, name, s, COUNT(s), false, &enrolled, NULL), VX_OK);
}

static void attempt(vx_store *store, const char *speaker, vx_verdict verdict)
{
    vx_attempt_record r = {.ended_ms = 1700000000900, .verdict = verdict, .has_probability = true, .detail = "{}"};
    int64_t id;
    (void)snprintf(r.speaker, sizeof r.speaker, "%s", speaker);
    assert_int_equal(vx_attempt_begin(store, "verify", speaker, 1700000000000, &id, NULL), VX_OK);
    if (verdict != VX_N_VERDICTS)
        assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
}

/* ada and bob with two recordings each, of two models; bob is armed. Attempts 1 to 4 of ada: refused, refused, broken off,
 * refused. */
static int make_honest(void **state)
{
    (void)state;
    static const int64_t samples[] = {1, 2};
    const vx_embedding anew[] = {fixture_embedding(21, 2, FIXTURE_DIM), fixture_embedding(22, 2, FIXTURE_DIM)};
    store_folder_make(f.folder);
    vx_store *store = store_start(f.folder);
    enrol(store, "ada", 1);
    enrol(store, "bob", 11);
    assert_int_equal(vx_store_put_embeddings(store, ADA, samples, anew, COUNT(anew), NULL), VX_OK);
    assert_int_equal(vx_store_arm(store, "bob", true, true, NULL), VX_OK);
    attempt(store, "ada", VX_REJECT);
    attempt(store, "ada", VX_REJECT);
    attempt(store, "ada", VX_N_VERDICTS);
    attempt(store, "ada", VX_REJECT);
    store_assert_whole(store);
    vx_store_close(store);
    keep_file(VX_STORE_FILE, &f.honest);
    keep_file(VX_KEY_FILE, &f.key);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    store_folder_clear(f.folder, true);
    vx_buf_done(&f.honest);
    vx_buf_wipe_done(&f.key);
    return 0;
}

static void rewind_to(const vx_buf *database)
{
    store_folder_clear(f.folder, false);
    put_file(VX_STORE_FILE, database);
    put_file(VX_KEY_FILE, &f.key);
}

/* With SQLite alone, as anybody could; nothing has the store open. */
static void edit(const char *sql)
{
    sqlite3 *db = NULL;
    char *text = NULL;
    assert_int_equal(sqlite3_open(store_folder_path(f.folder, VX_STORE_FILE), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
    if (sqlite3_total_changes(db) == 0)
        fail_msg("%s: changes nothing", sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* ---- readers ------------------------------------------------------------------------------------------------------ */

static vx_err ignore(void *arg, const vx_attempt_record *record)
{
    (void)arg, (void)record;
    return VX_OK;
}

static vx_err read_speaker(vx_store *store, int64_t id, vx_errinfo *info)
{
    vx_speaker speaker;
    return vx_store_speaker(store, id == ADA ? "ada" : "bob", &speaker, info);
}

static vx_err read_speakers(vx_store *store, int64_t id, vx_errinfo *info)
{
    vx_speaker *list = NULL;
    size_t n;
    (void)id;
    vx_err err = vx_store_speakers(store, &list, &n, info);
    free(list);
    return err;
}

static vx_err read_samples(vx_store *store, int64_t id, vx_errinfo *info)
{
    vx_sample *list = NULL;
    size_t n;
    vx_err err = vx_store_samples(store, id, NULL, &list, &n, info);
    free(list);
    return err;
}

static vx_err read_exemplars(vx_store *store, int64_t id, vx_errinfo *info)
{
    const vx_model_digest model = fixture_model(1);
    vx_exemplar *list = NULL;
    size_t n;
    vx_err err = vx_store_exemplars(store, id, &model, &list, &n, info);
    free(list);
    return err;
}

static vx_err read_audio(vx_store *store, int64_t id, vx_errinfo *info)
{
    vx_err err = VX_OK;
    for (int64_t sample = 2 * id - 1; err == VX_OK && sample <= 2 * id; sample++) {
        float *pcm = NULL;
        size_t n;
        err = vx_store_sample_audio(store, sample, &pcm, &n, info);
        free(pcm);
    }
    return err;
}

static vx_err read_nobody(vx_store *store, int64_t id, vx_errinfo *info)
{
    vx_speaker speaker;
    (void)id;
    return vx_store_speaker(store, "carl", &speaker, info);
}

static vx_err read_history(vx_store *store, int64_t id, vx_errinfo *info)
{
    return vx_attempt_walk(store, id == ADA ? "ada" : "bob", 0, ignore, NULL, info);
}

static vx_err read_rejections(vx_store *store, int64_t id, vx_errinfo *info)
{
    int64_t ms[8];
    size_t n;
    return vx_attempt_rejections(store, id == ADA ? "ada" : "bob", 0, ms, COUNT(ms), &n, info);
}

static vx_err check(vx_store *store, int64_t id, vx_errinfo *info)
{
    (void)id;
    return vx_store_check(store, info);
}

typedef vx_err reader(vx_store *store, int64_t id, vx_errinfo *info);
static reader *const of_profiles[] = {read_speaker, read_speakers, read_samples, read_exemplars,
                                      read_audio,   check,         NULL};
static reader *const of_audio[] = {read_audio, check, NULL};
static reader *const of_attempts[] = {read_history, read_rejections, check, NULL};

/* Each reader says `err`, and a sentence with this word. */
static void expect_all(const char *sql, reader *const *readers, int64_t id, vx_err err, const char *word)
{
    vx_store *store = store_start(f.folder);
    for (size_t i = 0; readers[i]; i++) {
        vx_errinfo info = {0};
        const vx_err got = readers[i](store, id, &info);
        if (got != err || !strstr(info.text, word))
            fail_msg("%s: reader %zu: %s '%s', not %s '%s'", sql, i, vx_err_code(got), info.text, vx_err_code(err),
                     word);
    }
    vx_store_close(store);
}

/* ---- every column of every row ------------------------------------------------------------------------------------ */

typedef struct {
    char names[COLUMNS_MAX][32], types[COLUMNS_MAX][16];
    int64_t rowids[COLUMNS_MAX];
    size_t n_columns, n_rows;
} table;

/* Asked of the file and not listed here: a column that is added and not bound makes the test fail. */
static void look_at(const char *name, table *ret)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    char sql[SQL_CAP];
    memset(ret, 0, sizeof *ret);
    assert_int_equal(sqlite3_open(store_folder_path(f.folder, VX_STORE_FILE), &db), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT name, type FROM pragma_table_info('%s')", name);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &rows, NULL), SQLITE_OK);
    for (; sqlite3_step(rows) == SQLITE_ROW && ret->n_columns < COLUMNS_MAX; ret->n_columns++) {
        (void)snprintf(ret->names[ret->n_columns], 32, "%s", (const char *)sqlite3_column_text(rows, 0));
        (void)snprintf(ret->types[ret->n_columns], 16, "%s", (const char *)sqlite3_column_text(rows, 1));
    }
    sqlite3_finalize(rows);
    (void)snprintf(sql, sizeof sql, "SELECT rowid FROM %s", name);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &rows, NULL), SQLITE_OK);
    for (; sqlite3_step(rows) == SQLITE_ROW && ret->n_rows < COLUMNS_MAX; ret->n_rows++)
        ret->rowids[ret->n_rows] = sqlite3_column_int64(rows, 0);
    sqlite3_finalize(rows);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_true(ret->n_columns > 3 && ret->n_rows > 1);
}

/* Another value of the column's type. */
static void other_value(const char *name, const char *type, char ret_sql[96])
{
    static const struct {
        const char *what, *before, *after;
    } forms[] = {
        {"armed", "1 - ", ""},
        {"starter_accepted", "1 - ", ""},
        {"INTEGER", "coalesce(", " + 100, 7)"},
        {"REAL", "coalesce(", " + 0.25, 0.5)"},
        {"TEXT", "coalesce(", " || 'x', 'REJECT')"},
        {"BLOB", "zeroblob(length(", "))"},
    };
    size_t i = 0;
    while (i < COUNT(forms) && strcmp(forms[i].what, name) != 0 && strcmp(forms[i].what, type) != 0)
        i++;
    assert_true(i < COUNT(forms));
    (void)snprintf(ret_sql, 96, "%s%s%s", forms[i].before, name, forms[i].after);
}

/* Whose row it is, by what make_honest wrote: speaker 2; recordings 3 and 4; voiceprints 3 and 4. */
static int64_t owner_of(const char *table_name, int64_t rowid)
{
    if (strcmp(table_name, "speakers") == 0)
        return rowid;
    return strcmp(table_name, "attempts") != 0 && (rowid == 3 || rowid == 4) ? BOB : ADA;
}

/* The other profile can be read, unless it is unknown now which profiles there are. */
static void expect_of_one(const char *sql, const char *column, int64_t owner)
{
    static reader *const readers[] = {read_speaker, read_samples, read_exemplars, read_audio, NULL};
    if (strcmp(column, "name") == 0 || strcmp(column, "mac") == 0 || strcmp(column, "id") == 0)
        return;
    expect_all(sql, readers, owner, VX_ERR_STORE_CORRUPT, owner == BOB ? "'bob'" : "'ada'");
    expect_all(sql, readers, owner == BOB ? ADA : BOB, VX_OK, "");
}

static void every_column_of_every_row_is_bound(void **state)
{
    (void)state;
    static const char *const tables[] = {"speakers", "samples", "embeddings", "attempts"};
    size_t n_edits = 0;
    for (size_t t = 0; t < COUNT(tables); t++) {
        const bool of_profile = strcmp(tables[t], "attempts") != 0;
        table seen;
        rewind_to(&f.honest);
        look_at(tables[t], &seen);
        for (size_t i = 0; i < seen.n_columns * seen.n_rows; i++, n_edits++) {
            const char *column = seen.names[i / seen.n_rows];
            const int64_t rowid = seen.rowids[i % seen.n_rows], owner = owner_of(tables[t], rowid);
            char value[96], sql[SQL_CAP];
            rewind_to(&f.honest);
            other_value(column, seen.types[i / seen.n_rows], value);
            (void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = %s WHERE rowid = %lld", tables[t], column, value,
                           (long long)rowid);
            edit(sql);
            if (strcmp(column, "audio") == 0) {
                expect_all(sql, of_audio, owner, VX_ERR_STORE_CORRUPT, "/audio");
                continue;
            }
            expect_all(sql, of_profile ? of_profiles : of_attempts, owner, VX_ERR_STORE_CORRUPT,
                       of_profile ? "profile" : "attempt");
            if (of_profile)
                expect_of_one(sql, column, owner);
        }
    }
    print_message("# %zu edits\n", n_edits);
}

/* ---- rows added, taken away, swapped ------------------------------------------------------------------------------ */

static void what_is_moved_is_noticed(void **state)
{
    (void)state;
    static reader *const ada[] = {read_speaker, check, NULL}, *const nobody[] = {read_nobody, check, NULL};
    static const struct {
        const char *sql;
        reader *const *readers;
        vx_err err;
        const char *word;
    } cases[] = {
        /* An armed profile under the owner's name. */
        {"UPDATE speakers SET name = 'x' WHERE id = 1; UPDATE speakers SET name = 'ada' WHERE id = 2", ada,
         VX_ERR_STORE_CORRUPT, "not as voxlock left it"},
        {"UPDATE speakers SET id = 99 WHERE id = 1; UPDATE speakers SET id = 1 WHERE id = 2;"
         "UPDATE speakers SET id = 2 WHERE id = 99",
         of_profiles, VX_ERR_STORE_CORRUPT, "profile"},
        {"CREATE TEMP TABLE t AS SELECT * FROM speakers;"
         "UPDATE speakers SET armed = (SELECT armed FROM t WHERE t.id = 3 - speakers.id),"
         " starter_accepted = (SELECT starter_accepted FROM t WHERE t.id = 3 - speakers.id),"
         " mac = (SELECT mac FROM t WHERE t.id = 3 - speakers.id)",
         of_profiles, VX_ERR_STORE_CORRUPT, "profile"},
        {"UPDATE speakers SET mac = x'' WHERE id = 1", of_profiles, VX_ERR_STORE_CORRUPT, "profile"},
        /* Recordings and voiceprints of one speaker to the other, or changed for each other. */
        {"UPDATE samples SET speaker = 1", of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        {"UPDATE samples SET speaker = 3 - speaker", of_profiles, VX_ERR_STORE_CORRUPT, "profile"},
        {"UPDATE embeddings SET sample = 3 WHERE sample = 1 AND model = (SELECT max(model) FROM embeddings)",
         of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        {"CREATE TEMP TABLE t AS SELECT * FROM embeddings;"
         "UPDATE embeddings SET vector = (SELECT vector FROM t WHERE t.sample = 3 - embeddings.sample"
         " AND t.model = embeddings.model) WHERE sample < 3",
         of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        {"CREATE TEMP TABLE t AS SELECT * FROM samples; UPDATE samples SET microphone ="
         " (SELECT microphone FROM t WHERE t.id = 3 - samples.id) WHERE id < 3",
         of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        /* The order of writing says which model is the last. */
        {"UPDATE embeddings SET rowid = rowid + 100 WHERE rowid = 1", of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        /* Taken away. */
        {"DELETE FROM speakers WHERE id = 2", of_profiles, VX_ERR_STORE_CORRUPT, ""},
        {"PRAGMA foreign_keys = ON; DELETE FROM speakers WHERE id = 2", of_profiles, VX_ERR_STORE_CORRUPT,
         "a profile was added, removed"},
        {"PRAGMA foreign_keys = ON; DELETE FROM speakers", nobody, VX_ERR_STORE_CORRUPT,
         "a profile was added, removed"},
        {"DELETE FROM samples WHERE id = 1; DELETE FROM embeddings WHERE sample = 1", of_profiles, VX_ERR_STORE_CORRUPT,
         "'ada'"},
        {"DELETE FROM embeddings WHERE sample = 1", of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        {"UPDATE samples SET audio = NULL WHERE speaker = 1", of_profiles, VX_ERR_STORE_CORRUPT, "'ada'"},
        /* Added. */
        {"INSERT INTO speakers SELECT 3, 'carl', created_ms, updated_ms, 1, 1, mac FROM speakers WHERE id = 2",
         of_profiles, VX_ERR_STORE_CORRUPT, "a profile was added"},
        {"INSERT INTO embeddings SELECT 1, zeroblob(32), vector, made_ms FROM embeddings WHERE sample = 3", of_profiles,
         VX_ERR_STORE_CORRUPT, "'ada'"},
        /* Numbers that would be given again. */
        {"UPDATE sqlite_sequence SET seq = 1 WHERE name = 'speakers'", of_profiles, VX_ERR_STORE_CORRUPT, "a profile"},
        {"DELETE FROM sqlite_sequence WHERE name = 'samples'", of_profiles, VX_ERR_STORE_CORRUPT, "a profile"},
        /* A name that is gone may have become another. */
        {"UPDATE speakers SET name = 'bea' WHERE id = 2", nobody, VX_ERR_STORE_CORRUPT, "profile 2 ('bea')"},
        {"UPDATE speakers SET name = 'b' || char(27) || '[2J' WHERE id = 2", nobody, VX_ERR_STORE_CORRUPT,
         "profile 2 ('?')"},
        /* Attempts. */
        {"DELETE FROM attempts WHERE id = 4", of_attempts, VX_ERR_STORE_CORRUPT, "the last attempt is number 3"},
        {"DELETE FROM attempts WHERE id = 3", of_attempts, VX_ERR_STORE_CORRUPT, "attempt 3 was taken away"},
        {"DELETE FROM attempts WHERE id = 1", of_attempts, VX_ERR_STORE_CORRUPT, "attempt 1 was taken away"},
        {"DELETE FROM attempts", of_attempts, VX_ERR_STORE_CORRUPT, "the last attempt is number 0"},
        {"DELETE FROM attempts WHERE id = 2; UPDATE attempts SET id = id - 1 WHERE id > 2", of_attempts,
         VX_ERR_STORE_CORRUPT, "the last attempt is number 3"},
        {"INSERT INTO attempts (id, begun_ms, ended_ms, command, speaker, verdict, mac, detail)"
         " SELECT 5, begun_ms, ended_ms, command, speaker, 'AUTHENTICATE', mac, detail FROM attempts WHERE id = 4",
         of_attempts, VX_ERR_STORE_CORRUPT, "the last attempt is number 5"},
        {"INSERT INTO attempts SELECT 0, begun_ms, ended_ms, command, speaker, verdict, probability, mac, detail"
         " FROM attempts WHERE id = 4",
         of_attempts, VX_ERR_STORE_CORRUPT, "attempt 0 was"},
        {"UPDATE attempts SET id = -2 WHERE id = 2; UPDATE attempts SET id = 2 WHERE id = 1;"
         "UPDATE attempts SET id = 1 WHERE id = -2",
         of_attempts, VX_ERR_STORE_CORRUPT, "attempt 2 was changed"},
        /* A log whose end is gone, and a head that is. */
        {"DELETE FROM audit WHERE n = (SELECT max(n) FROM audit)", of_profiles, VX_ERR_AUDIT_BROKEN, "ends with entry"},
        {"UPDATE audit SET mac = zeroblob(32) WHERE n = (SELECT max(n) FROM audit)", of_attempts, VX_ERR_AUDIT_BROKEN,
         "ends with entry"},
        {"DELETE FROM meta WHERE name = 'audit_head'", of_profiles, VX_ERR_AUDIT_BROKEN, "head"},
        {"DELETE FROM meta WHERE name = 'audit_head'", of_attempts, VX_ERR_AUDIT_BROKEN, "head"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        rewind_to(&f.honest);
        edit(cases[i].sql);
        expect_all(cases[i].sql, cases[i].readers, ADA, cases[i].err, cases[i].word);
    }
}

/* The index of names says of bob's row that it is ada's, while the table is as it was: no reader believes it. */
static void an_index_that_lies_is_not_asked(void **state)
{
    (void)state;
    static const char *const steps[] = {
        "UPDATE speakers SET name = 'x' WHERE id = 1; UPDATE speakers SET name = 'ada' WHERE id = 2;"
        "CREATE INDEX forged ON speakers (name)",
        "PRAGMA writable_schema = ON; CREATE TABLE aside AS SELECT rootpage FROM sqlite_schema WHERE name = 'forged';"
        "DELETE FROM sqlite_schema WHERE name = 'forged'",
        "UPDATE speakers SET name = 'bob' WHERE id = 2; UPDATE speakers SET name = 'ada' WHERE id = 1;",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM aside)"
        " WHERE name = 'sqlite_autoindex_speakers_1'",
    };
    vx_speaker ada;
    rewind_to(&f.honest);
    for (size_t i = 0; i < COUNT(steps); i++)
        edit(steps[i]);
    vx_store *store = store_start(f.folder);
    assert_int_equal(vx_store_speaker(store, "ada", &ada, NULL), VX_OK);
    assert_int_equal(ada.id, ADA);
    assert_false(ada.armed);
    assert_int_equal(vx_store_check(store, NULL), VX_ERR_STORE_CORRUPT);
    vx_store_close(store);
}

/* ---- rows of an older time ---------------------------------------------------------------------------------------- */

/* bob is disarmed by voxlock; then the parts named are put back to what they were while he was armed. */
static void what_is_put_back_alone_is_noticed(void **state)
{
    (void)state;
#define BACK(table) "DELETE FROM " table "; INSERT INTO " table " SELECT * FROM old." table ";"
    static const struct {
        const char *sql;
        vx_err err;
        const char *word;
    } cases[] = {
        {BACK("speakers"), VX_ERR_STORE_CORRUPT, "put back to an older state"},
        {BACK("speakers") BACK("samples") BACK("embeddings"), VX_ERR_STORE_CORRUPT, "put back to an older state"},
        {BACK("speakers") BACK("meta"), VX_ERR_AUDIT_BROKEN, "ends with entry 9, and not as its head says (entry 7)"},
        {BACK("speakers") BACK("meta") BACK("audit"), VX_ERR_STORE_CORRUPT, "the last attempt is number 5, and not 4"},
        {BACK("speakers") BACK("audit") BACK("attempts"), VX_ERR_AUDIT_BROKEN, "ends with entry 7"},
        {BACK("samples"), VX_OK, ""}, /* they are what they were */
    };
    char sql[SQL_CAP * 2];
    vx_buf later = {0};
    rewind_to(&f.honest);
    vx_store *store = store_start(f.folder);
    assert_int_equal(vx_store_arm(store, "bob", false, false, NULL), VX_OK);
    attempt(store, "bob", VX_REJECT);
    vx_store_close(store);
    keep_file(VX_STORE_FILE, &later);
    for (size_t i = 0; i < COUNT(cases); i++) {
        static reader *const readers[] = {read_speaker, read_samples, check, NULL};
        rewind_to(&later);
        put_file("old.db", &f.honest);
        (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS old; %s", store_folder_path(f.folder, "old.db"), cases[i].sql);
        edit(sql);
        expect_all(cases[i].sql, readers, BOB, cases[i].err, cases[i].word);
    }
    vx_buf_done(&later);
}

/* The limit that docs/store.md states: the whole file of an older time is a whole store. Only the number of audit entries,
 * noted elsewhere, tells. */
static void an_older_file_is_whole(void **state)
{
    (void)state;
    vx_speaker bob;
    int64_t before = 0, after = 0;
    rewind_to(&f.honest);
    vx_store *store = store_start(f.folder);
    assert_int_equal(vx_store_arm(store, "bob", false, false, NULL), VX_OK);
    assert_int_equal(vx_audit_verify(store, &before, NULL), VX_OK);
    vx_store_close(store);
    rewind_to(&f.honest);
    store = store_start(f.folder);
    store_assert_whole(store);
    assert_int_equal(vx_store_speaker(store, "bob", &bob, NULL), VX_OK);
    assert_true(bob.armed);
    assert_int_equal(vx_audit_verify(store, &after, NULL), VX_OK);
    assert_true(after < before);
    vx_store_close(store);
}

/* An attempt that is put back to where it had begun and not ended: that counts as a rejection, so nothing is won. */
static void an_attempt_opened_again_is_a_rejection(void **state)
{
    (void)state;
    char sql[SQL_CAP];
    vx_buf open = {0};
    int64_t ms[8], id;
    size_t n;
    rewind_to(&f.honest);
    vx_store *store = store_start(f.folder);
    assert_int_equal(vx_attempt_begin(store, "verify", "ada", 1700000001000, &id, NULL), VX_OK);
    vx_store_close(store);
    keep_file(VX_STORE_FILE, &open);
    store = store_start(f.folder);
    const vx_attempt_record r = {.ended_ms = 1700000001900, .speaker = "ada", .verdict = VX_AUTHENTICATE};
    assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
    assert_int_equal(vx_attempt_rejections(store, "ada", 0, ms, COUNT(ms), &n, NULL), VX_OK);
    assert_int_equal(n, 0);
    vx_store_close(store);
    put_file("old.db", &open);
    (void)snprintf(sql, sizeof sql, "ATTACH '%s' AS old; " BACK("attempts"), store_folder_path(f.folder, "old.db"));
    edit(sql);
    store = store_start(f.folder);
    assert_int_equal(vx_attempt_rejections(store, "ada", 0, ms, COUNT(ms), &n, NULL), VX_OK);
    assert_int_equal(n, 5);
    vx_store_close(store);
    vx_buf_done(&open);
}

/* ---- changes over what was changed -------------------------------------------------------------------------------- */

static vx_err do_enrol(vx_store *store, vx_errinfo *info)
{
    const vx_new_sample s = fixture_sample(31, 1, 0.9, "");
    vx_enrolled enrolled;
    return vx_store_enrol(store, "bob", &s, 1, true, &enrolled, info);
}

static vx_err do_arm(vx_store *store, vx_errinfo *info)
{
    return vx_store_arm(store, "bob", false, false, info);
}

static vx_err do_rename(vx_store *store, vx_errinfo *info)
{
    return vx_store_rename(store, "bob", "bill", info);
}

static vx_err do_rename_other(vx_store *store, vx_errinfo *info)
{
    return vx_store_rename(store, "ada", "eda", info);
}

static vx_err do_put(vx_store *store, vx_errinfo *info)
{
    static const int64_t sample = 3;
    const vx_embedding anew = fixture_embedding(31, 3, FIXTURE_DIM);
    return vx_store_put_embeddings(store, BOB, &sample, &anew, 1, info);
}

static vx_err do_forget(vx_store *store, vx_errinfo *info)
{
    const vx_model_digest keep = fixture_model(2);
    return vx_store_forget_models(store, &keep, info);
}

static vx_err do_pad(vx_store *store, vx_errinfo *info)
{
    const vx_model_digest model = fixture_model(3);
    return vx_store_pad_legacy(store, "bob", &model, FIXTURE_DIM, info);
}

/* A MAC that is written anew must not make good what somebody had changed: every writer proves first. */
static void no_change_makes_a_forgery_good(void **state)
{
    (void)state;
    static vx_err (*const writers[])(vx_store *, vx_errinfo *) = {do_enrol, do_arm,    do_rename, do_rename_other,
                                                                  do_put,   do_forget, do_pad};
    for (size_t i = 0; i < COUNT(writers); i++) {
        vx_errinfo info = {0};
        rewind_to(&f.honest);
        edit("UPDATE samples SET microphone = 'Phone' WHERE speaker = 2");
        vx_store *store = store_start(f.folder);
        const vx_err err = writers[i](store, &info);
        if (err != VX_ERR_STORE_CORRUPT || !strstr(info.text, "'bob'"))
            fail_msg("writer %zu: %s '%s'", i, vx_err_code(err), info.text);
        assert_int_equal(vx_store_check(store, NULL), VX_ERR_STORE_CORRUPT);
        vx_store_close(store);
    }
}

static void attempts_are_not_begun_or_ended_over_a_forgery(void **state)
{
    (void)state;
    const vx_attempt_record r = {.ended_ms = 1700000001900, .speaker = "ada", .verdict = VX_REJECT};
    int64_t id = -1;
    rewind_to(&f.honest);
    edit("DELETE FROM attempts WHERE id = 4");
    vx_store *store = store_start(f.folder);
    assert_int_equal(vx_attempt_begin(store, "verify", "ada", 1, &id, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(id, -1);
    vx_store_close(store);

    rewind_to(&f.honest);
    edit("UPDATE attempts SET speaker = 'bob' WHERE id = 3");
    store = store_start(f.folder);
    assert_int_equal(vx_attempt_end(store, 3, &r, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_rename(store, "bob", "bill", NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_check(store, NULL), VX_ERR_STORE_CORRUPT);
    vx_store_close(store);
}

/* What doctor advises. */
static void a_damaged_profile_is_removed_and_enrolled_anew(void **state)
{
    (void)state;
    rewind_to(&f.honest);
    edit("UPDATE embeddings SET vector = zeroblob(length(vector)) WHERE sample = 3");
    vx_store *store = store_start(f.folder);
    assert_int_equal(read_speaker(store, BOB, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_remove(store, "bob", NULL), VX_OK);
    enrol(store, "bob", 11);
    store_assert_whole(store);
    vx_store_close(store);
}

/* ---- honest changes ----------------------------------------------------------------------------------------------- */

static void honest_changes_leave_it_whole(void **state)
{
    (void)state;
    int64_t ms[8];
    size_t n;
    rewind_to(&f.honest);
    edit("CREATE TABLE t (x); INSERT INTO t VALUES (1); DROP TABLE t; VACUUM"); /* SQLite may number voiceprints anew */
    vx_store *store = store_start(f.folder);
    store_assert_whole(store);
    assert_int_equal(vx_store_rename(store, "ada", "eda", NULL), VX_OK);
    store_assert_whole(store);
    assert_int_equal(vx_attempt_rejections(store, "eda", 0, ms, COUNT(ms), &n, NULL), VX_OK);
    assert_int_equal(n, 4);
    assert_int_equal(do_forget(store, NULL), VX_OK);
    store_assert_whole(store);
    assert_int_equal(do_enrol(store, NULL), VX_OK);
    assert_int_equal(do_put(store, NULL), VX_ERR_NOT_FOUND); /* its recording was replaced */
    store_assert_whole(store);
    assert_int_equal(vx_store_remove(store, "eda", NULL), VX_OK);
    assert_int_equal(vx_store_remove(store, "bob", NULL), VX_OK);
    store_assert_whole(store);
    attempt(store, "", VX_NOT_ENROLLED);
    store_assert_whole(store);
    vx_store_close(store);
}

enum { ROUNDS = 40 };

static void *arm_often(void *arg)
{
    vx_store *store = arg;
    for (int i = 0; i < ROUNDS; i++)
        if (vx_store_arm(store, "bob", i % 2 == 0, false, NULL) != VX_OK)
            return arg;
    return NULL;
}

/* A proof takes several statements: all of them see the file of one moment, though another program writes between. */
static void readers_see_one_moment(void **state)
{
    (void)state;
    pthread_t thread;
    void *failed = NULL;
    rewind_to(&f.honest);
    vx_store *mine = store_start(f.folder), *theirs = store_start(f.folder);
    assert_int_equal(pthread_create(&thread, NULL, arm_often, theirs), 0);
    for (int i = 0; i < ROUNDS; i++) {
        vx_errinfo info = {0};
        for (size_t j = 0; of_profiles[j]; j++)
            if (of_profiles[j](mine, BOB, &info) != VX_OK)
                fail_msg("reader %zu: %s", j, info.text);
        if (read_history(mine, ADA, &info) != VX_OK)
            fail_msg("history: %s", info.text);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    vx_store_close(mine);
    vx_store_close(theirs);
}

static vx_err read_all(void *ctx)
{
    vx_err err = VX_OK;
    for (size_t i = 0; err == VX_OK && of_profiles[i]; i++)
        err = of_profiles[i](ctx, BOB, NULL);
    for (size_t i = 0; err == VX_OK && of_attempts[i]; i++)
        err = of_attempts[i](ctx, BOB, NULL);
    return err;
}

static vx_err rename_ada(void *ctx)
{
    return do_rename_other(ctx, NULL);
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    rewind_to(&f.honest);
    vx_store *store = store_start(f.folder);
    vx_alloc_fail_each(read_all, store);
    vx_alloc_fail_each(rename_ada, store);
    store_assert_whole(store);
    vx_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_of_every_row_is_bound),
        cmocka_unit_test(what_is_moved_is_noticed),
        cmocka_unit_test(an_index_that_lies_is_not_asked),
        cmocka_unit_test(what_is_put_back_alone_is_noticed),
        cmocka_unit_test(an_older_file_is_whole),
        cmocka_unit_test(an_attempt_opened_again_is_a_rejection),
        cmocka_unit_test(no_change_makes_a_forgery_good),
        cmocka_unit_test(attempts_are_not_begun_or_ended_over_a_forgery),
        cmocka_unit_test(a_damaged_profile_is_removed_and_enrolled_anew),
        cmocka_unit_test(honest_changes_leave_it_whole),
        cmocka_unit_test(readers_see_one_moment),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, make_honest, remove_all);
}
