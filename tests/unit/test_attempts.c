/* test_attempts.c - the record of attempts: written before they compute, ended once, counted as rejections if never. */
#include "edge/store/attempts.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/store/store_private.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/store_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int64_t begin(vx_store *store, const char *speaker, int64_t when_ms)
{
    int64_t id = 0;
    assert_int_equal(vx_attempt_begin(store, "verify", speaker, when_ms, &id, NULL), VX_OK);
    return id;
}

static vx_attempt_record record_of(const char *speaker, vx_verdict verdict, int64_t ended_ms)
{
    vx_attempt_record r = {.ended_ms = ended_ms, .verdict = verdict, .detail = "{}"};
    (void)snprintf(r.speaker, sizeof r.speaker, "%s", speaker);
    return r;
}

static void end(vx_store *store, int64_t id, const char *speaker, vx_verdict verdict, int64_t ended_ms)
{
    const vx_attempt_record r = record_of(speaker, verdict, ended_ms);
    assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
}

typedef struct {
    vx_attempt_record records[64];
    size_t n, stop_at; /* 0: never */
} walked;

static vx_err collect(void *arg, const vx_attempt_record *r)
{
    walked *w = arg;
    assert_true(w->n < COUNT(w->records));
    w->records[w->n++] = *r;
    return w->n == w->stop_at ? VX_ERR_CLOSED : VX_OK;
}

static vx_err keep_entry(void *arg, const vx_audit_entry *e)
{
    *(vx_audit_entry *)arg = *e;
    return VX_OK;
}

/* ---- begin and end ------------------------------------------------------------------------------------------------ */

static void an_attempt_is_there_before_it_ends(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static walked w;
    w = (walked){.n = 0};
    const int64_t id = begin(store, "ada", 1000);
    assert_int_equal(vx_attempt_walk(store, NULL, 0, collect, &w, NULL), VX_OK);
    assert_int_equal(w.n, 1);
    assert_int_equal(w.records[0].id, id);
    assert_int_equal(w.records[0].begun_ms, 1000);
    assert_int_equal(w.records[0].ended_ms, 0);
    assert_int_equal(w.records[0].verdict, VX_N_VERDICTS);
    assert_string_equal(w.records[0].command, "verify");
    assert_string_equal(w.records[0].speaker, "ada");
    assert_string_equal(w.records[0].detail, "");
    assert_false(w.records[0].has_probability);
}

static void every_verdict_is_read_back(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    for (int v = 0; v < VX_N_VERDICTS; v++) {
        static walked w;
        vx_audit_entry entry = {.n = 0};
        char want[128];
        w = (walked){.n = 0};
        const int64_t id = begin(store, "claimed", 10 * v);
        vx_attempt_record r = record_of("found", (vx_verdict)v, 10 * v + 5);
        r.id = 99, r.begun_ms = 99; /* ignored: the row has them */
        (void)snprintf(r.command, sizeof r.command, "other");
        (void)snprintf(r.detail, sizeof r.detail, "{\"n\":%d}", v);
        r.has_probability = v % 2 == 0;
        r.probability = v / 8.0;
        assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
        assert_int_equal(vx_attempt_walk(store, "found", 1, collect, &w, NULL), VX_OK);
        assert_int_equal(w.n, 1);
        assert_int_equal(w.records[0].id, id);
        assert_int_equal(w.records[0].begun_ms, 10 * v);
        assert_int_equal(w.records[0].ended_ms, 10 * v + 5);
        assert_int_equal(w.records[0].verdict, v);
        assert_string_equal(w.records[0].command, "verify");
        assert_string_equal(w.records[0].detail, r.detail);
        assert_int_equal(w.records[0].has_probability, r.has_probability);
        assert_true(!r.has_probability || w.records[0].probability == r.probability);

        assert_int_equal(vx_audit_walk(store, 1, keep_entry, &entry, NULL), VX_OK);
        (void)snprintf(want, sizeof want, "{\"attempt\":%lld,\"command\":\"verify\",\"verdict\":\"%s\"}", (long long)id,
                       vx_verdict_name((vx_verdict)v));
        assert_string_equal(entry.detail, want);
        assert_string_equal(entry.subject, "found");
        assert_string_equal(entry.kind, v == VX_ESCALATE ? "alert" : "attempt");
    }
}

static void the_longest_fields_fit(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static walked w;
    char name[VX_NAME_CAP];
    int64_t id;
    w = (walked){.n = 0};
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(vx_attempt_begin(store, "fifteen-letters", name, 1, &id, NULL), VX_OK);
    vx_attempt_record r = record_of(name, VX_REJECT, 2);
    memset(r.detail, 'd', sizeof r.detail - 1);
    assert_int_equal(vx_attempt_end(store, id, &r, NULL), VX_OK);
    assert_int_equal(vx_attempt_walk(store, name, 0, collect, &w, NULL), VX_OK);
    assert_string_equal(w.records[0].detail, r.detail);
    assert_string_equal(w.records[0].command, "fifteen-letters");
    assert_string_equal(w.records[0].speaker, name);
}

static void what_is_no_attempt_is_refused(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    char name[VX_NAME_CAP + 1];
    int64_t id = -7;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(vx_attempt_begin(store, "", "ada", 1, &id, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_attempt_begin(store, "sixteen-letters-", "ada", 1, &id, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_attempt_begin(store, "verify", name, 1, &id, NULL), VX_ERR_RANGE);
    assert_int_equal(id, -7);

    const int64_t open = begin(store, "ada", 1);
    vx_attempt_record bad[7];
    for (size_t i = 0; i < COUNT(bad); i++)
        bad[i] = record_of("ada", VX_REJECT, 5);
    bad[0].verdict = VX_N_VERDICTS;
    bad[1].verdict = (vx_verdict)-1;
    bad[2].ended_ms = 0;
    memset(bad[3].speaker, 'n', sizeof bad[3].speaker);
    memset(bad[4].detail, 'd', sizeof bad[4].detail);
    bad[5].has_probability = true, bad[5].probability = 1.5;
    bad[6].has_probability = true, bad[6].probability = (double)NAN;
    for (size_t i = 0; i < COUNT(bad); i++) {
        vx_errinfo info = {0};
        assert_int_equal(vx_attempt_end(store, open, &bad[i], &info), VX_ERR_RANGE);
        assert_true(info.code == VX_ERR_RANGE && info.text[0]);
    }
    const vx_attempt_record good = record_of("ada", VX_REJECT, 5);
    vx_errinfo missing = {0}, again = {0};
    assert_int_equal(vx_attempt_end(store, open + 1, &good, &missing), VX_ERR_NOT_FOUND);
    assert_int_equal(missing.code, VX_ERR_NOT_FOUND);
    assert_int_equal(vx_attempt_end(store, open, &good, NULL), VX_OK);
    /* A verdict stands: nobody can make a rejection an acceptance afterwards. */
    const vx_attempt_record other = record_of("ada", VX_AUTHENTICATE, 6);
    assert_int_equal(vx_attempt_end(store, open, &other, &again), VX_ERR_EXISTS);
    vx_audit_entry entry = {.n = 0};
    assert_int_equal(vx_audit_walk(store, 1, keep_entry, &entry, NULL), VX_OK);
    assert_non_null(strstr(entry.detail, "REJECT"));
}

static void walks_are_newest_first_and_bounded(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    static const struct {
        const char *speaker;
        int64_t most;
        size_t stop_at, n;
        vx_err err;
        int64_t first;
    } cases[] = {
        {NULL, 0, 0, 6, VX_OK, 6},  {NULL, 2, 0, 2, VX_OK, 6},         {"ada", 0, 0, 3, VX_OK, 5},
        {"bob", 2, 0, 2, VX_OK, 6}, {NULL, 0, 4, 4, VX_ERR_CLOSED, 6}, {"eve", 0, 0, 0, VX_OK, 0},
    };
    static walked w;
    for (int i = 0; i < 6; i++)
        (void)begin(store, i % 2 == 0 ? "ada" : "bob", i);
    for (size_t i = 0; i < COUNT(cases); i++) {
        w = (walked){.stop_at = cases[i].stop_at};
        assert_int_equal(vx_attempt_walk(store, cases[i].speaker, cases[i].most, collect, &w, NULL), cases[i].err);
        assert_int_equal(w.n, cases[i].n);
        if (w.n > 0)
            assert_int_equal(w.records[0].id, cases[i].first);
        for (size_t j = 1; j < w.n; j++)
            assert_true(w.records[j].id < w.records[j - 1].id);
    }
}

/* ---- rejections --------------------------------------------------------------------------------------------------- */

/* A history as one letter an attempt, the i-th begun at 100 i and ended at 100 i + 10: Authenticate, Challenge, Reject,
 * Escalate, Wait, no aUdio, '.' never ended; small letters are another speaker's. */
static void play(vx_store *store, const char *history)
{
    for (int64_t i = 0; history[i]; i++) {
        const char *speaker = history[i] >= 'a' && history[i] <= 'z' ? "bob" : "ada";
        const int64_t id = begin(store, speaker, 100 * (i + 1));
        switch (history[i] & ~0x20) {
        case 'A': end(store, id, speaker, VX_AUTHENTICATE, 100 * (i + 1) + 10); break;
        case 'C': end(store, id, speaker, VX_CHALLENGE, 100 * (i + 1) + 10); break;
        case 'R': end(store, id, speaker, VX_REJECT, 100 * (i + 1) + 10); break;
        case 'E': end(store, id, speaker, VX_ESCALATE, 100 * (i + 1) + 10); break;
        case 'W': end(store, id, speaker, VX_WAIT, 100 * (i + 1) + 10); break;
        case 'U': end(store, id, speaker, VX_NO_AUDIO, 100 * (i + 1) + 10); break;
        default: break;
        }
    }
}

static void rejections_are_those_since_the_last_acceptance(void **state)
{
    (void)state;
    static const struct {
        const char *history, *speaker;
        size_t cap;
        int64_t want[6]; /* 0 at the end */
    } cases[] = {
        {"", "ada", 6, {0}},
        {"A", "ada", 6, {0}},
        {"R", "ada", 6, {110}},
        {"RRR", "ada", 6, {110, 210, 310}},
        {"RER", "ada", 6, {110, 210, 310}},
        {"RRAR", "ada", 6, {410}},
        {"RRRA", "ada", 6, {0}},
        {"RCR", "ada", 6, {110, 310}},      /* a challenge is neither */
        {"RWUR", "ada", 6, {110, 410}},     /* waiting makes no wait longer */
        {"R.R", "ada", 6, {110, 200, 310}}, /* the plug was pulled in the second */
        {"...", "ada", 6, {100, 200, 300}},
        {"..A.", "ada", 6, {400}},
        {"RaR", "ada", 6, {110, 310}}, /* another's acceptance is not hers */
        {"RaR", NULL, 6, {310}},
        {"RrR", "ada", 6, {110, 310}},
        {"RrR", NULL, 6, {110, 210, 310}},
        {"RRRRR", "ada", 2, {410, 510}}, /* the newest */
        {"RRR", "ada", 0, {0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        store_fixture *f;
        int64_t when[6] = {0};
        size_t n = 99, want = 0;
        assert_int_equal(fixture_set_up((void **)&f), 0);
        play(f->store, cases[i].history);
        assert_int_equal(vx_attempt_rejections(f->store, cases[i].speaker, 0, when, cases[i].cap, &n, NULL), VX_OK);
        while (want < COUNT(when) && cases[i].want[want])
            want++;
        if (n != want || memcmp(when, cases[i].want, sizeof when) != 0)
            fail_msg("%s: %zu rejections, the first at %lld", cases[i].history, n, (long long)when[0]);
        assert_int_equal(fixture_tear_down((void **)&f), 0);
    }
}

/* The one that asks does not count; one that another program has under way does, until it ends. */
static void attempts_under_way_count_for_others_only(void **state)
{
    store_fixture *f = *state;
    vx_store *other = store_start(f->folder);
    int64_t when[4];
    size_t n;
    const int64_t mine = begin(f->store, "ada", 100), theirs = begin(other, "ada", 200);
    assert_int_equal(vx_attempt_rejections(f->store, "ada", mine, when, 4, &n, NULL), VX_OK);
    assert_true(n == 1 && when[0] == 200);
    assert_int_equal(vx_attempt_rejections(other, "ada", theirs, when, 4, &n, NULL), VX_OK);
    assert_true(n == 1 && when[0] == 100);
    end(other, theirs, "ada", VX_CHALLENGE, 210);
    assert_int_equal(vx_attempt_rejections(f->store, "ada", mine, when, 4, &n, NULL), VX_OK);
    assert_int_equal(n, 0);
    end(f->store, mine, "ada", VX_AUTHENTICATE, 220);
    vx_store_close(other);
}

/* The clock went back by an hour between two rejections and an acceptance. */
static void order_is_that_of_writing(void **state)
{
    vx_store *store = ((store_fixture *)*state)->store;
    int64_t when[4], id;
    size_t n;
    id = begin(store, "ada", 9000000);
    end(store, id, "ada", VX_AUTHENTICATE, 9000010);
    id = begin(store, "ada", 5400000);
    end(store, id, "ada", VX_REJECT, 5400010);
    assert_int_equal(vx_attempt_rejections(store, "ada", 0, when, 4, &n, NULL), VX_OK);
    assert_true(n == 1 && when[0] == 5400010);
    id = begin(store, "ada", 1800000);
    end(store, id, "ada", VX_REJECT, 1800010);
    assert_int_equal(vx_attempt_rejections(store, "ada", 0, when, 1, &n, NULL), VX_OK);
    assert_true(n == 1 && when[0] == 1800010);
}

/* ---- several at once ---------------------------------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 8 };

static void *attempt_often(void *arg)
{
    vx_store *store = arg;
    for (int i = 0; i < EACH; i++) {
        const vx_attempt_record r = record_of("ada", VX_REJECT, 5);
        int64_t id;
        if (vx_attempt_begin(store, "verify", "ada", 1, &id, NULL) != VX_OK ||
            vx_attempt_end(store, id, &r, NULL) != VX_OK)
            return arg;
    }
    return NULL;
}

static void threads_share_a_store(void **state)
{
    store_fixture *f = *state;
    vx_store *other = store_start(f->folder); /* half of them through a connection of their own */
    pthread_t threads[THREADS];
    vx_store_view view;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, attempt_often, i % 2 == 0 ? f->store : other), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(vx_store_get_view(f->store, &view, NULL), VX_OK);
    assert_int_equal(view.n_attempts, THREADS * EACH);
    assert_int_equal(view.n_audit, THREADS * EACH);
    vx_store_close(other);
}

static vx_err one_attempt(void *ctx)
{
    const vx_attempt_record r = record_of("ada", VX_REJECT, 5);
    int64_t id;
    vx_err err = vx_attempt_begin(ctx, "verify", "ada", 1, &id, NULL);
    return err == VX_OK ? vx_attempt_end(ctx, id, &r, NULL) : err;
}

static void failed_allocations_are_reported(void **state)
{
    vx_alloc_fail_each(one_attempt, ((store_fixture *)*state)->store);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_attempt_is_there_before_it_ends),
        STORE_TEST(every_verdict_is_read_back),
        STORE_TEST(the_longest_fields_fit),
        STORE_TEST(what_is_no_attempt_is_refused),
        STORE_TEST(walks_are_newest_first_and_bounded),
        cmocka_unit_test(rejections_are_those_since_the_last_acceptance),
        STORE_TEST(attempts_under_way_count_for_others_only),
        STORE_TEST(order_is_that_of_writing),
        STORE_TEST(threads_share_a_store),
        STORE_TEST(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
