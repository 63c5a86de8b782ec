/* test_audit.c - the log proves itself while it is left alone, and every way to change it shows. */
#include "edge/store/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/store/store_private.h"
#include "shared/base/clock.h"
#include "tests/support/scratch.h"

typedef struct {
    scratch folder;
    vx_store *store;
} logbook;

static vx_store *open_store(const scratch *folder)
{
    vx_store *store = NULL;
    vx_errinfo info = {0};
    vx_store_options options = {.folder = folder->path, .keyring = VX_KEYRING_FILE, .create = true, .busy_ms = 2000};
    if (vx_store_open(&options, &store, &info) != VX_OK)
        fail_msg("%s: %s", info.path, info.text);
    return store;
}

static void add(vx_store *store, int i)
{
    char detail[64];
    snprintf(detail, sizeof detail, "{\"number\": %d}", i);
    assert_int_equal(vx_audit_add(store, i % 2 ? "attempt" : "enrolled", i % 3 ? "Ada" : "", detail, NULL), VX_OK);
}

static logbook logbook_of(int n)
{
    logbook book = {.folder = scratch_make()};
    book.store = open_store(&book.folder);
    for (int i = 1; i <= n; i++)
        add(book.store, i);
    return book;
}

static void logbook_done(logbook *book)
{
    vx_store_close(book->store);
    scratch_done(&book->folder);
}

/* As anybody could who can write to the file. */
static void tamper(logbook *book, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(book->store->db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
}

static void expect_whole(vx_store *store, int64_t n)
{
    vx_errinfo info = {0};
    int64_t proven = -1;
    if (vx_audit_verify(store, &proven, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_int_equal(proven, n);
}

typedef struct {
    int64_t next, n;
    vx_err answer;
} reading;

static vx_err read_entry(void *arg, const vx_audit_entry *entry)
{
    reading *r = arg;
    char detail[64];
    assert_int_equal(entry->n, r->next);
    snprintf(detail, sizeof detail, "{\"number\": %lld}", (long long)entry->n);
    assert_string_equal(entry->detail, detail);
    assert_string_equal(entry->kind, entry->n % 2 ? "attempt" : "enrolled");
    assert_string_equal(entry->subject, entry->n % 3 ? "Ada" : "");
    assert_true(entry->when_ms > 0 && entry->when_ms <= vx_wall_ms() + 1000);
    r->next++;
    r->n++;
    return r->answer;
}

static void entries_come_back_in_order(void **state)
{
    (void)state;
    static const struct {
        int64_t most, first, n;
    } cases[] = {{0, 1, 7}, {3, 5, 3}, {7, 1, 7}, {100, 1, 7}, {-1, 1, 7}, {1, 7, 1}};
    logbook book = logbook_of(7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reading r = {.next = cases[i].first};
        assert_int_equal(vx_audit_walk(book.store, cases[i].most, read_entry, &r, NULL), VX_OK);
        assert_int_equal(r.n, cases[i].n);
    }
    reading stopped = {.next = 1, .answer = VX_ERR_CLOSED};
    assert_int_equal(vx_audit_walk(book.store, 0, read_entry, &stopped, NULL), VX_ERR_CLOSED);
    assert_int_equal(stopped.n, 1);
    logbook_done(&book);
}

static void a_log_left_alone_is_whole(void **state)
{
    (void)state;
    for (int n = 0; n < 4; n++) {
        logbook book = logbook_of(n);
        expect_whole(book.store, n);
        vx_store_close(book.store);
        book.store = open_store(&book.folder);
        expect_whole(book.store, n);
        add(book.store, n + 1);
        expect_whole(book.store, n + 1);
        logbook_done(&book);
    }
}

static void what_is_too_long_is_refused_whole(void **state)
{
    (void)state;
    static const size_t caps[] = {24, 65, 512};
    logbook book = logbook_of(1);
    for (int field = 0; field < 3; field++) {
        char text[600];
        vx_errinfo info = {0};
        memset(text, 'x', sizeof text);
        const char *fields[] = {"kind", "subject", "{}"};
        fields[field] = text;
        text[caps[field]] = '\0';
        assert_int_equal(vx_audit_add(book.store, fields[0], fields[1], fields[2], &info), VX_ERR_RANGE);
        assert_int_equal(info.code, VX_ERR_RANGE);
        expect_whole(book.store, 1 + field);
        text[caps[field] - 1] = '\0'; /* the longest there is */
        assert_int_equal(vx_audit_add(book.store, fields[0], fields[1], fields[2], NULL), VX_OK);
        expect_whole(book.store, 2 + field);
    }
    logbook_done(&book);
}

/* What an entry tells of and the entry are one transaction. */
static void an_entry_goes_with_its_transaction(void **state)
{
    (void)state;
    logbook book = logbook_of(2);
    assert_int_equal(vx_store_begin(book.store, NULL), VX_OK);
    add(book.store, 3);
    assert_int_equal(vx_store_end(book.store, VX_ERR_IO, NULL), VX_ERR_IO);
    expect_whole(book.store, 2);
    assert_int_equal(vx_store_begin(book.store, NULL), VX_OK);
    add(book.store, 3);
    assert_int_equal(vx_store_end(book.store, VX_OK, NULL), VX_OK);
    expect_whole(book.store, 3);
    logbook_done(&book);
}

static void every_change_shows(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        int64_t proven;
        const char *word;
    } cases[] = {
        {"UPDATE audit SET detail = '{}' WHERE n = 3", 2, "entry 3 was changed"},
        {"UPDATE audit SET kind = 'alert' WHERE n = 1", 0, "entry 1 was changed"},
        {"UPDATE audit SET subject = 'Eve' WHERE n = 5", 4, "entry 5 was changed"},
        {"UPDATE audit SET when_ms = when_ms + 1 WHERE n = 2", 1, "entry 2 was changed"},
        {"UPDATE audit SET mac = zeroblob(32) WHERE n = 4", 3, "entry 4 was changed"},
        {"UPDATE audit SET mac = substr(mac, 1, 31) WHERE n = 4", 3, "entry 4 was changed"},
        {"UPDATE audit SET detail = printf('%.600c', 'x') WHERE n = 3", 2, "entry 3 was changed"},
        {"UPDATE audit SET detail = detail || char(0) WHERE n = 3", 2, "entry 3 was changed"},
        /* Bytes moved from one field to the next. */
        {"UPDATE audit SET kind = 'attemptA', subject = 'da' WHERE n = 5", 4, "entry 5 was changed"},
        {"DELETE FROM audit WHERE n = 3", 2, "entry 3 is missing"},
        {"DELETE FROM audit WHERE n = 1", 0, "entry 1 is missing"},
        {"DELETE FROM audit WHERE n = 3; UPDATE audit SET n = n - 1 WHERE n > 3", 2, "entry 3 was changed"},
        {"DELETE FROM audit WHERE n = 5", 4, "end was cut off"},
        {"DELETE FROM audit", 0, "end was cut off"},
        {"INSERT INTO audit SELECT 6, when_ms, kind, subject, detail, mac FROM audit WHERE n = 5", 5, "does not count"},
        {"INSERT INTO audit SELECT 0, when_ms, kind, subject, detail, mac FROM audit WHERE n = 5", 0,
         "entry 0 was added"},
        {"UPDATE audit SET n = -n WHERE n IN (2, 3); UPDATE audit SET n = 5 + n WHERE n < 0", 1, "entry 2 was changed"},
        {"DELETE FROM meta WHERE name = 'audit_head'", 0, "head"},
        {"UPDATE meta SET value = zeroblob(71) WHERE name = 'audit_head'", 0, "head"},
        {"UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'key_proof') WHERE name = 'audit_head'", 0,
         "head"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        logbook book = logbook_of(5);
        vx_errinfo info = {0};
        int64_t proven = -1;
        tamper(&book, cases[i].sql);
        assert_int_equal(vx_audit_verify(book.store, &proven, &info), VX_ERR_AUDIT_BROKEN);
        assert_int_equal(info.code, VX_ERR_AUDIT_BROKEN);
        if (proven != cases[i].proven || !strstr(info.text, cases[i].word))
            fail_msg("%s: %lld proven, '%s'", cases[i].sql, (long long)proven, info.text);
        assert_int_equal(vx_audit_verify(book.store, &proven, NULL), VX_ERR_AUDIT_BROKEN);
        logbook_done(&book);
    }
}

/* The head of an earlier time, which opens with the key, alone. */
static void an_old_head_shows(void **state)
{
    (void)state;
    logbook book = logbook_of(3);
    vx_errinfo info = {0};
    int64_t proven = -1;
    tamper(&book, "INSERT INTO meta SELECT 'kept', value FROM meta WHERE name = 'audit_head'");
    add(book.store, 4);
    expect_whole(book.store, 4);
    tamper(&book, "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'kept') WHERE name = 'audit_head'");
    assert_int_equal(vx_audit_verify(book.store, &proven, &info), VX_ERR_AUDIT_BROKEN);
    assert_int_equal(proven, 3);
    assert_non_null(strstr(info.text, "entry 4"));
    logbook_done(&book);
}

/* The limit that audit.c states: an old head together with the entries of its time is a whole, older log. Only a number
 * kept elsewhere tells. */
static void an_older_copy_of_everything_is_whole(void **state)
{
    (void)state;
    logbook book = logbook_of(3);
    tamper(&book, "INSERT INTO meta SELECT 'kept', value FROM meta WHERE name = 'audit_head'");
    add(book.store, 4);
    tamper(&book, "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'kept') WHERE name = 'audit_head';"
                  "DELETE FROM audit WHERE n = 4");
    expect_whole(book.store, 3);
    logbook_done(&book);
}

/* An entry that did stand in that place once, before the file was put back to an earlier time and went on otherwise. */
static void an_entry_of_another_history_shows(void **state)
{
    (void)state;
    logbook book = logbook_of(3);
    vx_errinfo info = {0};
    int64_t proven = -1;
    tamper(&book, "INSERT INTO meta SELECT 'kept', value FROM meta WHERE name = 'audit_head'");
    add(book.store, 40);
    tamper(&book, "CREATE TABLE kept AS SELECT * FROM audit WHERE n = 4; DELETE FROM audit WHERE n = 4;"
                  "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'kept') WHERE name = 'audit_head'");
    add(book.store, 4);
    add(book.store, 5);
    expect_whole(book.store, 5);
    tamper(&book, "DELETE FROM audit WHERE n = 4; INSERT INTO audit SELECT * FROM kept");
    assert_int_equal(vx_audit_verify(book.store, &proven, &info), VX_ERR_AUDIT_BROKEN);
    assert_int_equal(proven, 4);
    assert_non_null(strstr(info.text, "does not follow"));
    logbook_done(&book);
}

static void another_stores_entries_do_not_fit(void **state)
{
    (void)state;
    logbook a = logbook_of(3), b = logbook_of(3);
    char path[256], sql[400];
    int64_t proven = -1;
    vx_store_close(b.store);
    b.store = NULL;
    snprintf(
        sql, sizeof sql,
        "ATTACH '%s' AS other; DELETE FROM audit WHERE n = 2; INSERT INTO audit SELECT * FROM other.audit WHERE n = 2",
        scratch_path(&b.folder, VX_STORE_FILE, path, sizeof path));
    tamper(&a, sql);
    assert_int_equal(vx_audit_verify(a.store, &proven, NULL), VX_ERR_AUDIT_BROKEN);
    assert_int_equal(proven, 1);
    logbook_done(&a);
    logbook_done(&b);
}

/* A log whose head is gone takes no entries: they would hang on nothing. */
static void nothing_is_added_to_a_broken_head(void **state)
{
    (void)state;
    logbook book = logbook_of(2);
    vx_errinfo info = {0};
    tamper(&book, "DELETE FROM meta WHERE name = 'audit_head'");
    assert_int_equal(vx_audit_add(book.store, "attempt", "", "{}", &info), VX_ERR_AUDIT_BROKEN);
    assert_non_null(strstr(info.text, "head"));
    assert_int_equal(vx_store_check(book.store, NULL), VX_ERR_AUDIT_BROKEN);
    logbook_done(&book);
}

static vx_err ignore_entry(void *arg, const vx_audit_entry *entry)
{
    (void)arg, (void)entry;
    return VX_OK;
}

static void a_row_that_cannot_be_shown_is_refused(void **state)
{
    (void)state;
    logbook book = logbook_of(2);
    vx_errinfo info = {0};
    tamper(&book, "UPDATE audit SET detail = printf('%.600c', 'x') WHERE n = 2");
    assert_int_equal(vx_audit_walk(book.store, 0, ignore_entry, NULL, &info), VX_ERR_AUDIT_BROKEN);
    assert_non_null(strstr(info.text, "entry 2"));
    logbook_done(&book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back_in_order),
        cmocka_unit_test(a_log_left_alone_is_whole),
        cmocka_unit_test(what_is_too_long_is_refused_whole),
        cmocka_unit_test(an_entry_goes_with_its_transaction),
        cmocka_unit_test(every_change_shows),
        cmocka_unit_test(an_old_head_shows),
        cmocka_unit_test(an_older_copy_of_everything_is_whole),
        cmocka_unit_test(an_entry_of_another_history_shows),
        cmocka_unit_test(another_stores_entries_do_not_fit),
        cmocka_unit_test(nothing_is_added_to_a_broken_head),
        cmocka_unit_test(a_row_that_cannot_be_shown_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
