/* test_utterances.c - what was heard is remembered, in order, sealed; and whoever edits the file is noticed. */
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
#include "tests/support/store_fixture.h"

typedef struct {
    int n;
    int64_t taken_ms[64];
    uint8_t first[64];
    size_t len[64];
} seen;

static vx_err see(void *arg, int64_t taken_ms, const uint8_t *bytes, size_t n)
{
    seen *s = arg;
    s->taken_ms[s->n % 64] = taken_ms, s->first[s->n % 64] = bytes[0], s->len[s->n % 64] = n;
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
    assert_int_equal(vx_store_remember(store, speaker, taken_ms, bytes, sizeof bytes, NULL), VX_OK);
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
    assert_int_equal(vx_store_remember(f->store, a, 1, bytes, 0, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_remember(f->store, a, 1, bytes, sizeof bytes, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_store_remember(f->store, a, 1, bytes, VX_UTTERANCE_MAX, NULL), VX_OK);
    assert_int_equal(vx_store_remember(f->store, a + 77, 1, bytes, 5, NULL), VX_ERR_NOT_ENROLLED);
}

static void of_too_many_the_oldest_go(void **state)
{
    const store_fixture *f = *state;
    const int64_t a = enrol(f->store, "Aino");
    seen s = {0};
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(vx_store_remember_most(f->store, a, i, &i, 1, 3, NULL), VX_OK);
    assert_int_equal(vx_store_utterances(f->store, a, see, &s, NULL), VX_OK);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.first[0], 3);
    assert_int_equal(s.first[2], 5);
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

static void edits_without_the_key_are_noticed(void **state)
{
    static const char *const edits[] = {
        "DELETE FROM utterances WHERE id = 2",
        "DELETE FROM utterances",
        "DELETE FROM utterances; DELETE FROM heard",
        "DELETE FROM utterances WHERE id = 3; UPDATE heard SET n = n - 1",
        "UPDATE utterances SET taken_ms = 5 WHERE id = 1",
        "UPDATE utterances SET fingerprint = (SELECT fingerprint FROM utterances WHERE id = 2) WHERE id = 1",
        "INSERT INTO utterances (speaker, taken_ms, fingerprint) SELECT speaker, taken_ms, fingerprint FROM utterances"
        " WHERE id = 1",
        "UPDATE utterances SET speaker = 2 WHERE id = 1",
        "UPDATE utterances SET id = 99 WHERE id = 1",
        "UPDATE heard SET digest = zeroblob(32)",
        "UPDATE heard SET n = 2",
        "DELETE FROM heard",
    };
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        void *own = NULL;
        assert_int_equal(fixture_set_up(&own), 0);
        const store_fixture *f = own;
        const int64_t a = enrol(f->store, "Aino");
        (void)enrol(f->store, "Bo");
        seen s = {0};
        for (int k = 0; k < 3; k++)
            remember(f->store, a, k, (uint8_t)k);
        assert_int_equal(sqlite3_exec(f->store->db, edits[i], NULL, NULL, NULL), SQLITE_OK);
        const vx_err err = vx_store_utterances(f->store, a, see, &s, NULL);
        if (err != VX_ERR_STORE_CORRUPT || s.n > 0)
            fail_msg("%s: %d after %d", edits[i], err, s.n);
        const uint8_t byte = 1;
        assert_int_equal(vx_store_remember(f->store, a, 9, &byte, 1, NULL), VX_ERR_STORE_CORRUPT);
        assert_int_not_equal(vx_store_check(f->store, NULL), VX_OK);
        /* The way out is that of every damaged profile. */
        assert_int_equal(vx_store_remove(f->store, "Aino", NULL), VX_OK);
        vx_store_close(f->store);
        store_folder_clear(f->folder, true);
    }
}

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
        cmocka_unit_test_setup_teardown(profile_and_utterances_go_together, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(enrolling_anew_forgets_no_utterance, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(edits_without_the_key_are_noticed),
        cmocka_unit_test_setup_teardown(a_throat_is_kept_as_it_was_learned, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(bytes_that_are_no_throat_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
