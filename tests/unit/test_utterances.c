/* test_utterances.c - what was heard is remembered, in order, sealed; and whoever edits the file is noticed. What is
 * learned of a throat is kept as it was learned. Power cuts are in test_store_crash.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/learned.h"
#include "edge/store/binding.h"
#include "edge/store/utterances.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/store_fixture.h"

typedef struct {
    int n;
    int64_t taken_ms[64];
    uint8_t first[64];
    size_t len[64];
} seen;

static vx_err see(void *arg, const vx_utterance *u)
{
    seen *s = arg;
    s->taken_ms[s->n % 64] = u->taken_ms, s->first[s->n % 64] = u->bytes[0], s->len[s->n % 64] = u->len;
    s->n++;
    return VX_OK;
}

static int64_t enrol(vx_store *store, const char *name)
{
    const vx_new_sample sample = fixture_sample(7, 1, 0.5, "");
    fixture_enrol(store, name, &sample, 1, false, 1, 0);
    return fixture_speaker(store, name).id;
}

static void remember(vx_store *store, int64_t speaker, int64_t taken_ms, uint8_t mark)
{
    const uint8_t bytes[5] = {mark, 1, 2, 3, 4};
    assert_int_equal(vx_store_remember(store, speaker, VX_UTTERANCE_OWN, taken_ms, bytes, sizeof bytes, NULL), VX_OK);
}

static void what_was_heard_is_told_in_order(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino"), b = enrol(f->store, "Bo");
    seen s = {0};
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 0);
    for (int i = 0; i < 5; i++) {
        remember(f->store, a, 100 + i, (uint8_t)i);
        remember(f->store, b, 200 + i, (uint8_t)(50 + i));
    }
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(s.taken_ms[i], 100 + i);
        assert_int_equal(s.first[i], i);
        assert_int_equal(s.len[i], 5);
    }
    store_assert_whole(f->store);
}

static void what_cannot_be_kept_is_refused(void **state)
{
    const store_fixture *f = *state;
    static const uint8_t bytes[VX_UTTERANCE_MAX + 1];
    const int64_t a = enrol(f->store, "Aino");
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, 1, bytes, 0, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, 1, bytes, sizeof bytes, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, 1, bytes, VX_UTTERANCE_MAX, NULL), VX_OK);
    assert_int_equal(vx_store_remember(f->store, a + 77, VX_UTTERANCE_OWN, 1, bytes, 5, NULL), VX_ERR_NOT_ENROLLED);
}

static void of_too_many_the_oldest_go(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    seen s = {0};
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(vx_store_remember_most(f->store, a, VX_UTTERANCE_OWN, i, &i, 1, 3, NULL), VX_OK);
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.first[0], 3);
    assert_int_equal(s.first[2], 5);
}

static vx_err count_kind(void *arg, const vx_utterance *u)
{
    ((int *)arg)[u->kind]++;
    return VX_OK;
}

static void expect_of_kinds(vx_store *store, int64_t speaker, int own, int other)
{
    int n[VX_N_UTTERANCE_KINDS] = {0};
    assert_int_equal(vx_store_utterances(store, speaker, count_kind, n, NULL), VX_OK);
    assert_int_equal(n[VX_UTTERANCE_OWN], own);
    assert_int_equal(n[VX_UTTERANCE_OTHER], other);
}

/* However many attempts fail, what the owner said stays, and the other way round; each kind drops its own oldest. */
static void no_kind_pushes_out_the_other(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, i, &i, 1, NULL), VX_OK);
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK); /* one sync for all */
    for (int i = 0; i < VX_STORE_UTTERANCES_OTHER + 20; i++) {
        const uint8_t byte = (uint8_t)i;
        assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OTHER, 100 + i, &byte, 1, NULL), VX_OK);
    }
    assert_int_equal(vx_store_end(f->store, VX_OK, NULL), VX_OK);
    expect_of_kinds(f->store, a, 3, VX_STORE_UTTERANCES_OTHER);
    for (uint8_t i = 3; i < 8; i++)
        assert_int_equal(vx_store_remember_most(f->store, a, VX_UTTERANCE_OWN, i, &i, 1, 4, NULL), VX_OK);
    expect_of_kinds(f->store, a, 4, VX_STORE_UTTERANCES_OTHER);
    store_assert_whole(f->store);
}

/* Who reads on from where he was sees what came since, and with what he saw before has all there is. */
static void the_rest_is_read_from_a_mark(void **state)
{
    const store_fixture *f = *state;
    static const struct {
        int n_new, n_seen;
        int64_t first;
    } rounds[] = {{2, 2, 1}, {0, 0, 1}, {2, 2, 2}, {1, 1, 3}, {9, 3, 12}, {3, 3, 15}, {4, 3, 19}};
    const int64_t a = enrol(f->store, "Aino");
    vx_heard_mark mark = {0};
    uint8_t next = 0;
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        seen s = {0};
        for (int k = 0; k < rounds[i].n_new; k++, next++)
            assert_int_equal(vx_store_remember_most(f->store, a, VX_UTTERANCE_OTHER, next, &next, 1, 3, NULL), VX_OK);
        assert_int_equal(vx_store_utterances_since(f->store, a, &mark, see, &s, NULL), VX_OK);
        assert_int_equal(s.n, rounds[i].n_seen);
        assert_true(s.n == 0 || s.first[s.n - 1] == next - 1);
        assert_int_equal(mark.ends[VX_UTTERANCE_OTHER].first, rounds[i].first);
        assert_int_equal(mark.ends[VX_UTTERANCE_OTHER].last, next);
    }
}

/* A file in which something else came after the mark, or nothing of it is left, is not read on from there. */
static void a_mark_of_another_past_is_refused(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_heard_mark mark = {0}, same;
    seen s = {0};
    remember(f->store, a, 1, 1);
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK);
    remember(f->store, a, 2, 2);
    assert_int_equal(vx_store_utterances_since(f->store, a, &mark, see, &s, NULL), VX_OK);
    assert_int_equal(vx_store_end(f->store, VX_ERR_IO, NULL), VX_ERR_IO); /* as if it had not been */
    same = mark;
    for (uint8_t i = 2; i < 5; i++) {
        assert_int_equal(vx_store_utterances_since(f->store, a, &mark, see, &s, NULL), VX_ERR_STORE_CORRUPT);
        assert_memory_equal(&mark, &same, sizeof mark);
        remember(f->store, a, 2, i);
    }
    mark = (vx_heard_mark){0};
    assert_int_equal(vx_store_utterances_since(f->store, a, &mark, see, &s, NULL), VX_OK);
}

static void profile_and_utterances_go_together(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino"), b = enrol(f->store, "Bo");
    seen s = {0};
    remember(f->store, a, 1, 1);
    remember(f->store, b, 2, 2);
    assert_int_equal(vx_store_rename(f->store, "Aino", "Anna", NULL), VX_OK);
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 1);
    assert_int_equal(vx_store_remove(f->store, "Anna", NULL), VX_OK);
    assert_int_equal(vx_store_utterances(f->store, b, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 2);
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_ERR_NOT_ENROLLED);
    store_assert_whole(f->store);
}

static void a_backup_has_them(void **state)
{
    const store_fixture *f = *state;
    char folder[STORE_FIXTURE_CAP];
    vx_store *restored = NULL;
    seen s = {0};
    const int64_t a = enrol(f->store, "Aino");
    for (uint8_t i = 0; i < 4; i++)
        assert_int_equal(vx_store_remember_most(f->store, a, VX_UTTERANCE_OWN, 10 + i, &i, 1, 3, NULL), VX_OK);
    const char *file = store_folder_path(f->folder, "backup");
    assert_int_equal(vx_store_backup(f->store, file, "a passphrase", NULL), VX_OK);
    store_folder_make(folder);
    const vx_store_options options = {.folder = folder, .keyring = VX_KEYRING_FILE, .busy_ms = 2000};
    assert_int_equal(vx_store_restore(&options, file, "a passphrase", NULL), VX_OK);
    assert_int_equal(vx_store_open(&options, &restored, NULL), VX_OK);
    assert_int_equal(vx_store_utterances(restored, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.taken_ms[2], 13);
    remember(restored, a, 14, 4);
    store_assert_whole(restored);
    vx_store_close(restored);
    store_folder_clear(folder, true);
}

/* A recording made again of the same person is one more past utterance, not a reason to forget the others. */
static void enrolling_anew_forgets_no_utterance(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    const vx_new_sample sample = fixture_sample(9, 1, 0.6, "");
    seen s = {0};
    remember(f->store, a, 1, 1);
    fixture_enrol(f->store, "Aino", &sample, 1, true, 1, 0);
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 1);
}

/* ---- somebody who can write to the file and has no key ------------------------------------------------------------- */

/* Aino, who was heard four times, of which the first was dropped; and Bo, who was heard once. */
static store_fixture *make_heard(void)
{
    void *own = NULL;
    assert_int_equal(fixture_set_up(&own), 0);
    store_fixture *f = own;
    const int64_t a = enrol(f->store, "Aino"), b = enrol(f->store, "Bo");
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    for (uint8_t i = 0; i < 4; i++)
        assert_int_equal(vx_store_remember_most(f->store, a, VX_UTTERANCE_OWN, i, &i, 1, 3, NULL), VX_OK);
    remember(f->store, b, 0, 0);
    return f;
}

static void edit(const store_fixture *f, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(f->store->db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static void drop_heard(store_fixture *f)
{
    vx_store_close(f->store);
    store_folder_clear(f->folder, true);
}

/* Nobody reads it, the check finds it, one more utterance does not make it good, and the way out is that of every damaged
 * profile. */
static void expect_noticed(store_fixture *f, const char *how)
{
    seen s = {0};
    vx_errinfo info = {0};
    const uint8_t byte = 1;
    for (int again = 0; again < 2; again++) {
        const vx_err err = vx_store_utterances(f->store, 1, see, &s, again ? NULL : &info);
        if (err != VX_ERR_STORE_CORRUPT)
            fail_msg("%s: %s", how, vx_err_code(err));
        if (vx_store_check(f->store, NULL) != VX_ERR_STORE_CORRUPT)
            fail_msg("%s: the check finds nothing", how);
        const vx_err more = vx_store_remember(f->store, 1, VX_UTTERANCE_OWN, 9, &byte, 1, NULL);
        if (more != VX_OK && more != VX_ERR_STORE_CORRUPT && more != VX_ERR_EXISTS)
            fail_msg("%s: remembering: %s", how, vx_err_code(more));
    }
    if (!strstr(info.text, "heard") && !strstr(info.text, "profile"))
        fail_msg("%s: '%s'", how, info.text);
    assert_int_equal(vx_store_remove(f->store, "Aino", NULL), VX_OK);
}

static void edits_without_the_key_are_noticed(void **state)
{
    static const char *const edits[] = {
        "DELETE FROM utterances WHERE speaker = 1 AND n = 3",
        "DELETE FROM utterances WHERE speaker = 1 AND n = 4",
        "DELETE FROM utterances WHERE speaker = 1 AND n = 2",
        "DELETE FROM utterances",
        "DELETE FROM utterances; DELETE FROM heard",
        "DELETE FROM heard",
        "DELETE FROM utterances WHERE speaker = 1 AND n = 4; UPDATE heard SET last = 3",
        "DELETE FROM utterances WHERE speaker = 1 AND n = 4; UPDATE heard SET last = 3,"
        " tag = (SELECT substr(fingerprint, -16) FROM utterances WHERE speaker = 1 AND n = 3) WHERE speaker = 1",
        "DELETE FROM utterances WHERE speaker = 1 AND n = 2; UPDATE heard SET first = 3 WHERE speaker = 1",
        "UPDATE utterances SET taken_ms = 5 WHERE speaker = 1 AND n = 2",
        "UPDATE utterances SET n = 99 WHERE speaker = 1 AND n = 4",
        "UPDATE utterances SET n = 1 WHERE speaker = 1 AND n = 2",
        "UPDATE utterances SET n = n + 100 WHERE speaker = 1",
        "UPDATE utterances SET speaker = 2 WHERE speaker = 1 AND n = 4",
        "UPDATE utterances SET fingerprint = zeroblob(length(fingerprint)) WHERE speaker = 1 AND n = 3",
        "UPDATE utterances SET fingerprint = x'' WHERE speaker = 1 AND n = 3",
        "UPDATE utterances SET fingerprint = (SELECT fingerprint FROM utterances WHERE speaker = 1 AND n = 2)"
        " WHERE speaker = 1 AND n = 3",
        "UPDATE utterances SET fingerprint = (SELECT fingerprint FROM utterances WHERE speaker = 2)"
        " WHERE speaker = 1 AND n = 3",
        "INSERT INTO utterances SELECT speaker, 0, 5, taken_ms, fingerprint FROM utterances WHERE speaker = 1 AND n = "
        "4",
        "INSERT INTO utterances SELECT speaker, 0, 1, taken_ms, fingerprint FROM utterances WHERE speaker = 1 AND n = "
        "4",
        "UPDATE heard SET first = 1 WHERE speaker = 1",
        "UPDATE heard SET last = 5 WHERE speaker = 1",
        "UPDATE heard SET before = zeroblob(16) WHERE speaker = 1",
        "UPDATE heard SET tag = zeroblob(16) WHERE speaker = 1",
        "UPDATE heard SET tag = x'00' WHERE speaker = 1",
        "DELETE FROM heard WHERE speaker = 2; UPDATE heard SET speaker = 2",
        "UPDATE utterances SET kind = 1",
        "UPDATE utterances SET kind = 1; UPDATE heard SET kind = 1",
        "UPDATE utterances SET kind = 1 WHERE speaker = 1 AND n = 4; UPDATE heard SET last = 3 WHERE speaker = 1;"
        " INSERT INTO heard SELECT speaker, 1, 4, 4, before, tag FROM heard WHERE speaker = 1",
        "INSERT INTO heard SELECT 1, 1, first, last, before, tag FROM heard WHERE speaker = 2",
        "INSERT INTO utterances SELECT 1, 1, 1, taken_ms, fingerprint FROM utterances WHERE speaker = 1 AND n = 4",
    };
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        store_fixture *f = make_heard();
        edit(f, edits[i]);
        expect_noticed(f, edits[i]);
        drop_heard(f);
    }
}

/* What once was right, put back: the rows that were there before the last was heard, with what was said of them then. */
static void older_rows_are_noticed(void **state)
{
    static const char *const edits[] = {
        "DELETE FROM heard; INSERT INTO heard SELECT * FROM old_heard",
        "DELETE FROM utterances; INSERT INTO utterances SELECT * FROM old_utterances",
        ("DELETE FROM utterances; INSERT INTO utterances SELECT * FROM old_utterances;"
         "DELETE FROM heard; INSERT INTO heard SELECT * FROM old_heard"),
        "INSERT INTO utterances SELECT * FROM old_utterances WHERE n = 2 AND speaker = 1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        store_fixture *f = make_heard();
        const uint8_t byte = 4;
        edit(f,
             "CREATE TABLE old_heard AS SELECT * FROM heard; CREATE TABLE old_utterances AS SELECT * FROM utterances");
        assert_int_equal(vx_store_remember_most(f->store, 1, VX_UTTERANCE_OWN, 4, &byte, 1, 3, NULL), VX_OK);
        edit(f, edits[i]);
        expect_noticed(f, edits[i]);
        drop_heard(f);
    }
}

/* A store that was restored from a backup gives numbers again. What was sealed for the same number and time before that
 * does not go in the place of what was sealed since. */
static void rows_of_another_past_are_noticed(void **state)
{
    (void)state;
    store_fixture *f = make_heard();
    vx_buf other = {0};
    seen s = {0};
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK);
    remember(f->store, 1, 4, 40);
    remember(f->store, 1, 5, 50);
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_prepare_v2(f->store->db, "SELECT fingerprint FROM utterances WHERE speaker = 1 AND n = 5",
                                        -1, &row, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_int_equal(vx_buf_append(&other, sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0)), VX_OK);
    sqlite3_finalize(row);
    assert_int_equal(vx_store_end(f->store, VX_ERR_IO, NULL), VX_ERR_IO); /* as if it had not been */
    remember(f->store, 1, 4, 41);
    remember(f->store, 1, 5, 51);
    assert_int_equal(vx_store_utterances(f->store, 1, see, &s, NULL), VX_OK);
    assert_int_equal(vx_store_run(f->store, NULL, "UPDATE utterances SET fingerprint = ?1 WHERE speaker = 1 AND n = 5",
                                  "b", (const void *)other.data, other.len),
                     VX_OK);
    expect_noticed(f, "the fifth of another past");
    vx_buf_done(&other);
    drop_heard(f);
}

static void nothing_lies_there_in_plain(void **state)
{
    const store_fixture *f = *state;
    static const char words[] = "landmarks of what was said";
    const int64_t a = enrol(f->store, "Aino");
    vx_buf file = {0};
    assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, 1, words, sizeof words, NULL), VX_OK);
    static const char *const names[] = {VX_STORE_FILE, VX_STORE_FILE "-wal"};
    for (int i = 0; i < 2; i++) {
        file.len = 0;
        assert_int_equal(vx_file_read(store_folder_path(f->folder, names[i]), 1 << 24, &file, NULL), VX_OK);
        for (size_t at = 0; at + 12 <= file.len; at++)
            assert_int_not_equal(memcmp(file.data + at, words, 12), 0);
    }
    vx_buf_done(&file);
}

/* ---- cost and memory ----------------------------------------------------------------------------------------------- */

static void as_many_as_are_kept_are_remembered_and_read(void **state)
{
    const store_fixture *f = *state;
    enum { MORE = 3, SIZE = 900 /* bytes of 3 s */ };
    uint8_t bytes[SIZE] = {0};
    const int64_t a = enrol(f->store, "Aino");
    seen s = {0};
    uint64_t last = 0;
    assert_int_equal(vx_store_begin(f->store, NULL), VX_OK); /* one sync for all */
    for (int i = 0; i < VX_STORE_UTTERANCES_OWN + MORE; i++) {
        const uint64_t start = vx_cpu_ns();
        assert_int_equal(vx_store_remember(f->store, a, VX_UTTERANCE_OWN, i, bytes, sizeof bytes, NULL), VX_OK);
        last = vx_cpu_ns() - start;
    }
    assert_int_equal(vx_store_end(f->store, VX_OK, NULL), VX_OK);
    const uint64_t start = vx_cpu_ns();
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    print_message("# the last of %d remembered in %.2f ms, all read in %.1f ms\n", VX_STORE_UTTERANCES_OWN + MORE,
                  (double)last / 1e6, (double)(vx_cpu_ns() - start) / 1e6);
    assert_int_equal(s.n, VX_STORE_UTTERANCES_OWN);
    assert_int_equal(s.taken_ms[(VX_STORE_UTTERANCES_OWN - 1) % 64], VX_STORE_UTTERANCES_OWN + MORE - 1);
}

static vx_err remember_and_read(void *ctx)
{
    seen s = {0};
    const vx_err err = vx_store_remember(ctx, 1, VX_UTTERANCE_OWN, 1, "landmarks", 9, NULL);
    return err == VX_OK ? vx_store_utterances(ctx, 1, see, &s, NULL) : err;
}

static void failed_allocations_are_reported(void **state)
{
    const store_fixture *f = *state;
    (void)enrol(f->store, "Aino");
    vx_alloc_fail_each(remember_and_read, f->store);
}

/* ---- throat -------------------------------------------------------------------------------------------------------- */

static void a_throat_is_kept_as_it_was_learned(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    vx_pava_baseline kept, none = {0}, read;
    memset(&kept, 0, sizeof kept);
    assert_int_equal(vx_learned_baseline(f->store, a, &read, NULL), VX_OK);
    assert_memory_equal(&read, &none, sizeof none);
    for (int i = 0; i < 12; i++) {
        const vx_pava_report report = {.has_tract = true,
                                       .tract_cm = 16 + i % 3,
                                       .has_pitch = i % 2 == 0,
                                       .pitch_ln_hz = 4.8,
                                       .has_room = true,
                                       .rt60_s = 0.1 * (i + 1)};
        vx_pava_baseline_learn(&kept, &report);
    }
    assert_int_equal(kept.n_tract, 12);
    assert_true(kept.tract_cm > 16.999 && kept.tract_cm < 17.001);
    assert_true(kept.tract_spread_cm > 0.816 && kept.tract_spread_cm < 0.817); /* of 16, 17, 18 */
    assert_int_equal(kept.n_pitch, 6);
    assert_true(kept.pitch_spread < 1e-6);
    assert_int_equal(kept.n_rooms, VX_PAVA_ROOMS);
    assert_true(kept.room_rt60_s[0] > 0.49 && kept.room_rt60_s[VX_PAVA_ROOMS - 1] > 1.19);
    assert_int_equal(vx_learned_save_baseline(f->store, a, &kept, NULL), VX_OK);
    assert_int_equal(vx_learned_baseline(f->store, a, &read, NULL), VX_OK);
    assert_memory_equal(&read, &kept, sizeof kept);
}

/* A mean over the last 200 or so, however many there were; what no throat and no room has is not learned, or it could not
 * be read back. */
static void a_throat_is_learned_for_years(void **state)
{
    (void)state;
    vx_pava_baseline b = {0}, read;
    uint8_t bytes[VX_PAVA_BASELINE_BYTES];
    for (int i = 0; i < 5000; i++) {
        const vx_pava_report report = {.has_tract = true, .tract_cm = i < 2500 ? 14 + i % 2 : 17 + i % 2};
        vx_pava_baseline_learn(&b, &report);
        if (i == 2499)
            assert_true(b.tract_spread_cm > 0.49 && b.tract_spread_cm < 0.52);
    }
    assert_true(b.tract_cm > 17.4 && b.tract_cm < 17.6);
    assert_true(b.tract_spread_cm > 0.49 && b.tract_spread_cm < 0.52);
    static const double wrong[] = {NAN, INFINITY, -1, 0, 1e9};
    const vx_pava_baseline before = b;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const vx_pava_report report = {.has_tract = true,
                                       .has_pitch = true,
                                       .has_room = true,
                                       .tract_cm = wrong[i],
                                       .pitch_ln_hz = wrong[i],
                                       .rt60_s = wrong[i]};
        vx_pava_baseline_learn(&b, &report);
    }
    assert_memory_equal(&b, &before, sizeof b);
    vx_pava_baseline_pack(&b, bytes);
    assert_int_equal(vx_pava_baseline_unpack(bytes, sizeof bytes, &read), VX_OK);
    assert_memory_equal(&read, &b, sizeof b);
}

static void bytes_that_are_no_throat_are_refused(void **state)
{
    (void)state;
    vx_pava_baseline b = {.n_tract = 3, .tract_cm = 17, .tract_spread_cm = 0.5, .n_rooms = 1, .room_rt60_s = {0.4}},
                     read;
    uint8_t good[VX_PAVA_BASELINE_BYTES], bad[VX_PAVA_BASELINE_BYTES];
    vx_pava_baseline_pack(&b, good);
    assert_int_equal(vx_pava_baseline_unpack(good, sizeof good, &read), VX_OK);
    assert_int_equal(vx_pava_baseline_unpack(good, sizeof good - 1, &read), VX_ERR_STORE_CORRUPT);
    static const struct {
        size_t at;
        uint8_t value;
    } cases[] = {{0, 2}, {5, 1}, {15, 0x7f}, {23, 0xff}, {44, 9}, {55, 0xff}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(bad, good, sizeof bad);
        bad[cases[i].at] = cases[i].value;
        if (vx_pava_baseline_unpack(bad, sizeof bad, &read) != VX_ERR_STORE_CORRUPT)
            fail_msg("byte %zu as %u was taken", cases[i].at, cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_heard_is_told_in_order, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_kept_is_refused, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(of_too_many_the_oldest_go, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(no_kind_pushes_out_the_other, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_rest_is_read_from_a_mark, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_mark_of_another_past_is_refused, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(profile_and_utterances_go_together, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_backup_has_them, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(enrolling_anew_forgets_no_utterance, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(edits_without_the_key_are_noticed),
        cmocka_unit_test(older_rows_are_noticed),
        cmocka_unit_test(rows_of_another_past_are_noticed),
        cmocka_unit_test_setup_teardown(nothing_lies_there_in_plain, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(as_many_as_are_kept_are_remembered_and_read, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(failed_allocations_are_reported, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_throat_is_kept_as_it_was_learned, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(a_throat_is_learned_for_years),
        cmocka_unit_test(bytes_that_are_no_throat_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
