/* test_store_values.c - what was learned is bound: somebody who can write to the file and has no key takes values away, moves
 * them and puts them back to what they were, and is noticed as with profiles.
 * Owns:   the attacks on values. What is put and got of an honest store is in test_store.c, older forms in
 *         test_store_shared.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "edge/store/binding.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/store_fixture.h"
#include "tests/support/store_watch.h"

static const char *const learned_kinds[] = {"habits", "places", "prior", "throat"};

static void put(vx_store *store, const char *name, const char *text)
{
    vx_errinfo info = {0};
    if (vx_store_put(store, name, text, strlen(text), &info) != VX_OK)
        fail_msg("%s: %s", name, info.text);
}

static vx_err get(vx_store *store, const char *name, vx_errinfo *info)
{
    vx_buf value = {0};
    const vx_err err = vx_store_get(store, name, &value, info);
    vx_buf_wipe_done(&value);
    return err;
}

static void edit(const store_fixture *f, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(f->store->db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

/* Aino and Bo, of whom things were learned, and a calibration of the computer's; and in old_vals what the file said before
 * the last of it was learned. */
static store_fixture *make_learned(void)
{
    static const char *const names[] = {"Aino", "Bo"};
    void *own = NULL;
    assert_int_equal(fixture_set_up(&own), 0);
    store_fixture *f = own;
    for (int i = 0; i < 2; i++) {
        const vx_new_sample sample = fixture_sample((uint64_t)(7 + i), 1, 0.5, "");
        fixture_enrol(f->store, names[i], &sample, 1, false, 1, 0);
    }
    put(f->store, "prior/1", "0.85");
    put(f->store, "habits/1", "evenings");
    put(f->store, "throat/2", "16.5");
    put(f->store, "calibration/of a model", "made in May");
    edit(f, "CREATE TABLE old_vals AS SELECT * FROM vals; CREATE TABLE old_speakers AS SELECT * FROM speakers;"
            "CREATE TABLE old_meta AS SELECT * FROM meta");
    put(f->store, "prior/1", "0.30");
    put(f->store, "calibration/of a model", "made in June");
    return f;
}

static void drop(store_fixture *f)
{
    vx_store_close(f->store);
    store_folder_clear(f->folder, true);
}

#define BACK(table, name)                                                                                              \
    "DELETE FROM " table " WHERE name = '" name "'; INSERT INTO " table " SELECT * FROM old_" table                    \
    " WHERE name = '" name "';"

/* Of Aino: what is noticed when any of hers is read, and of Bo not. */
static const char *const of_aino[] = {
    "DELETE FROM vals WHERE name = 'habits/1'",
    "DELETE FROM vals WHERE name = 'prior/1'",
    "DELETE FROM vals WHERE name IN ('habits/1', 'prior/1')",
    BACK("vals", "prior/1"),
    "UPDATE vals SET value = (SELECT value FROM old_vals WHERE name = 'prior/1') WHERE name = 'prior/1'",
    "UPDATE vals SET value = zeroblob(length(value)) WHERE name = 'habits/1'",
    "UPDATE vals SET value = x'' WHERE name = 'habits/1'",
    "UPDATE vals SET value = (SELECT value FROM vals WHERE name = 'prior/1') WHERE name = 'habits/1'",
    "INSERT INTO vals SELECT 'throat/1', value FROM vals WHERE name = 'throat/2'",
    "UPDATE vals SET name = 'places/1' WHERE name = 'habits/1'",
    "INSERT INTO vals SELECT '1', value FROM vals WHERE name = 'throat/2'",
};
/* Of nobody, or of who is not known: nothing is read. */
static const char *const of_all[] = {
    "DELETE FROM vals",
    "DELETE FROM vals WHERE name = 'calibration/of a model'",
    BACK("vals", "calibration/of a model"),
    "UPDATE vals SET value = zeroblob(length(value)) WHERE name = 'calibration/of a model'",
    "INSERT INTO vals SELECT 'calibration/of another', value FROM vals WHERE name = 'throat/2'",
    "UPDATE vals SET name = 'prior/01' WHERE name = 'prior/1'",
    "UPDATE vals SET name = 'prior/99' WHERE name = 'prior/1'",
    (BACK("vals", "prior/1") "UPDATE speakers SET mac = (SELECT mac FROM old_speakers o WHERE o.id = speakers.id)"),
};

static void expect_noticed(const store_fixture *f, const char *how, bool all)
{
    static const char *const aino[] = {"prior/1", "habits/1", "throat/1", "places/1"};
    vx_speaker speaker;
    for (size_t i = 0; i < sizeof aino / sizeof *aino; i++) {
        vx_errinfo info = {0};
        const vx_err err = get(f->store, aino[i], &info);
        if (err != VX_ERR_STORE_CORRUPT || !strstr(info.text, all ? "a calibration was" : "learned of it"))
            fail_msg("%s: %s: %s '%s'", how, aino[i], vx_err_code(err), info.text);
    }
    const vx_err of_others = all ? VX_ERR_STORE_CORRUPT : VX_OK;
    assert_int_equal(vx_store_speaker(f->store, "Aino", &speaker, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_speaker(f->store, "Bo", &speaker, NULL), of_others);
    assert_int_equal(get(f->store, "throat/2", NULL), of_others);
    assert_int_equal(get(f->store, "calibration/of a model", NULL), of_others);
    assert_int_equal(vx_store_check(f->store, NULL), VX_ERR_STORE_CORRUPT);
    /* Nothing that is written makes it good. */
    assert_int_equal(vx_store_put(f->store, "habits/1", "x", 1, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_drop(f->store, "habits/1", NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_arm(f->store, "Aino", true, false, NULL), VX_ERR_STORE_CORRUPT);
    assert_int_equal(vx_store_put(f->store, "throat/2", "16.5", 4, NULL), of_others);
    assert_int_equal(vx_store_check(f->store, NULL), VX_ERR_STORE_CORRUPT);
}

static void a_learned_value_is_as_it_was_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof of_aino / sizeof *of_aino; i++) {
        store_fixture *f = make_learned();
        store_assert_whole(f->store);
        edit(f, of_aino[i]);
        expect_noticed(f, of_aino[i], false);
        /* The way out is that of every damaged profile. */
        assert_int_equal(vx_store_remove(f->store, "Aino", NULL), VX_OK);
        store_assert_whole(f->store);
        drop(f);
    }
}

static void nobodys_value_is_as_it_was_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++) {
        store_fixture *f = make_learned();
        edit(f, of_all[i]);
        expect_noticed(f, of_all[i], true);
        drop(f);
    }
}

/* With all that binds it, one value is put back to before the last attempt: the head counts attempts. */
static void a_head_of_before_is_noticed(void **state)
{
    (void)state;
    int64_t id;
    store_fixture *f = make_learned();
    assert_int_equal(vx_attempt_begin(f->store, "verify", "Aino", 1700000000000, &id, NULL), VX_OK);
    edit(f, "DELETE FROM vals; INSERT INTO vals SELECT * FROM old_vals;"
            "UPDATE speakers SET mac = (SELECT mac FROM old_speakers o WHERE o.id = speakers.id);" BACK("meta",
                                                                                                        "audit_head"));
    assert_int_equal(get(f->store, "prior/1", NULL), VX_ERR_STORE_CORRUPT);
    drop(f);
}

/* The index of names says that there is no prior of Aino's, while the table has one. */
static void an_index_that_lies_is_not_asked(void **state)
{
    (void)state;
    store_fixture *f = make_learned();
    vx_buf value = {0};
    vx_store_close(f->store);
    sqlite3 *db = NULL; /* a table of the same rows without that one lends its index */
    assert_int_equal(sqlite3_open(store_folder_path(f->folder, VX_STORE_FILE), &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "CREATE TABLE lent (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;"
            "DELETE FROM vals WHERE name = 'throat/1';"
            "INSERT INTO lent (rowid, name, value) SELECT rowid, name, value FROM vals WHERE name <> 'prior/1';"
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema"
            " WHERE name = 'sqlite_autoindex_lent_1') WHERE name = 'sqlite_autoindex_vals_1'",
            NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    f->store = store_start(f->folder);
    assert_int_equal(vx_store_get(f->store, "prior/1", &value, NULL), VX_OK);
    assert_int_equal(value.len, 4);
    assert_memory_equal(value.data, "0.30", 4);
    const vx_err err = vx_store_put(f->store, "prior/1", "0.40", 4, NULL);
    value.len = 0;
    assert_int_equal(vx_store_get(f->store, "prior/1", &value, NULL), VX_OK);
    assert_memory_equal(value.data, err == VX_OK ? "0.40" : "0.30", 4);
    vx_buf_done(&value);
    drop(f);
}

static void values_go_with_their_profile(void **state)
{
    (void)state;
    store_fixture *f = make_learned();
    assert_int_equal(vx_store_rename(f->store, "Aino", "Anna", NULL), VX_OK);
    assert_int_equal(get(f->store, "habits/1", NULL), VX_OK);
    assert_int_equal(vx_store_remove(f->store, "Anna", NULL), VX_OK);
    assert_int_equal(get(f->store, "habits/1", NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(get(f->store, "throat/2", NULL), VX_OK);
    assert_int_equal(get(f->store, "calibration/of a model", NULL), VX_OK);
    assert_int_equal(vx_store_drop(f->store, "calibration/of a model", NULL), VX_OK);
    store_assert_whole(f->store);
    drop(f);
}

static void a_backup_has_them_bound(void **state)
{
    (void)state;
    char folder[STORE_FIXTURE_CAP];
    store_fixture *f = make_learned();
    vx_store *restored = NULL;
    const char *file = store_folder_path(f->folder, "backup");
    assert_int_equal(vx_store_backup(f->store, file, "a passphrase", NULL), VX_OK);
    store_folder_make(folder);
    const vx_store_options options = {.folder = folder, .keyring = VX_KEYRING_FILE, .busy_ms = 2000};
    assert_int_equal(vx_store_restore(&options, file, "a passphrase", NULL), VX_OK);
    assert_int_equal(vx_store_open(&options, &restored, NULL), VX_OK);
    store_assert_whole(restored);
    assert_int_equal(get(restored, "habits/1", NULL), VX_OK);
    put(restored, "habits/1", "mornings");
    store_assert_whole(restored);
    assert_int_equal(sqlite3_exec(restored->db, "DELETE FROM vals WHERE name = 'habits/1'", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(get(restored, "habits/1", NULL), VX_ERR_STORE_CORRUPT);
    vx_store_close(restored);
    store_folder_clear(folder, true);
    drop(f);
}

/* Ten recordings of a profile, and what is learned of it. */
static void enrol_learned(store_fixture *f, int p)
{
    static const char *const people[] = {"Aino", "Bo", "Cid"};
    enum { LEARNED = 6000 /* bytes: more than habits have */ };
    static const char bytes[LEARNED];
    vx_new_sample samples[10];
    for (int i = 0; i < 10; i++)
        samples[i] = fixture_sample((uint64_t)(100 * p + i), 1, 0.5, "");
    fixture_enrol(f->store, people[p], samples, 10, false, 10, 0);
    for (size_t i = 0; i < sizeof learned_kinds / sizeof *learned_kinds; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s/%d", learned_kinds[i], p + 1);
        assert_int_equal(vx_store_put(f->store, name, bytes, sizeof bytes, NULL), VX_OK);
    }
}

/* What an attempt reads of the first profile. */
static void read_learned(const store_fixture *f)
{
    for (size_t i = 0; i < sizeof learned_kinds / sizeof *learned_kinds; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%s/1", learned_kinds[i]);
        assert_int_equal(get(f->store, name, NULL), VX_OK);
    }
}

/* Of the profile that is asked for everything is read, of each other one its MAC, however much is in it. */
static void proving_costs_little(void **state)
{
    (void)state;
    enum { RUNS = 50, PEOPLE = 3, VALUES = sizeof learned_kinds / sizeof *learned_kinds };
    void *own = NULL;
    store_rows rows[PEOPLE] = {{0}};
    assert_int_equal(fixture_set_up(&own), 0);
    store_fixture *f = own;
    for (int p = 0; p < PEOPLE; p++) {
        enrol_learned(f, p);
        store_count(f->store, &rows[p]);
        read_learned(f);
        store_count(f->store, NULL);
        assert_int_equal(rows[p].n, rows[0].n + p * VALUES);
    }
    const uint64_t start = vx_cpu_ns();
    for (int run = 0; run < RUNS; run++)
        read_learned(f);
    print_message("# the four values of an attempt, proven: %.3f ms, %d rows\n",
                  (double)(vx_cpu_ns() - start) / 1e6 / RUNS, rows[PEOPLE - 1].n);
    (void)fixture_tear_down(&own);
}

static vx_err use_values(void *ctx)
{
    vx_err err = vx_store_put(ctx, "habits/1", "mornings", 8, NULL);
    if (err == VX_OK)
        err = get(ctx, "habits/1", NULL);
    if (err == VX_OK)
        err = vx_store_put(ctx, "calibration/x", "y", 1, NULL);
    if (err == VX_OK)
        err = get(ctx, "calibration/x", NULL);
    return err == VX_OK ? vx_store_drop(ctx, "habits/1", NULL) : err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    store_fixture *f = make_learned();
    vx_alloc_fail_each(use_values, f->store);
    store_assert_whole(f->store);
    drop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learned_value_is_as_it_was_left),
        cmocka_unit_test(nobodys_value_is_as_it_was_left),
        cmocka_unit_test(a_head_of_before_is_noticed),
        cmocka_unit_test(an_index_that_lies_is_not_asked),
        cmocka_unit_test(values_go_with_their_profile),
        cmocka_unit_test(a_backup_has_them_bound),
        cmocka_unit_test(proving_costs_little),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
