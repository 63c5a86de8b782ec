/* test_single_flight.c - callers of the cache who want the same at the same time. What one caller sees of it is in
 * test_cache.c. Threads are awaited by vx_cache_stats.waiting, not by sleeping.
 */
#include "shared/resilience/cache.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/team.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/numbered_cache.h"
#include "tests/support/stats.h"

/* ---- a few callers, one step after the other --------------------------------------------------------------------- */

/* One caller on a thread of his own. */
typedef struct {
    vx_cache *cache;
    uint64_t number, deadline_ns;
    size_t cap;
    pthread_t thread;
    vx_err err;
    vx_cache_outcome outcome;
    uint64_t value;
    size_t len;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    vx_cache_key key = numbered_key(a->number);
    a->err = vx_cache_begin(a->cache, &key, a->deadline_ns, &a->value, a->cap, &a->len, &a->outcome);
    return NULL;
}

static void await_waiting(vx_cache *cache, size_t n)
{
    while (numbered_stats(cache).waiting != n)
        sched_yield();
}

/* Returns when it waits, as the n-th. */
static void start_asker(asker *a, vx_cache *cache, uint64_t number, uint64_t deadline_ns, size_t n)
{
    *a = (asker){.cache = cache, .number = number, .deadline_ns = deadline_ns, .cap = sizeof a->value, .len = 77};
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
    await_waiting(cache, n);
}

static void expect_joined(asker *a, uint64_t value)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    assert_int_equal(a->err, VX_OK);
    assert_int_equal(a->outcome, VX_CACHE_JOINED);
    assert_int_equal(a->len, sizeof a->value);
    assert_int_equal(a->value, value);
}

static void expect_failed(asker *a, vx_err err)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    assert_int_equal(a->err, err);
    assert_int_equal(a->len, 77);
    assert_int_equal(a->value, 0);
}

/* All who wait get the owner's value, also where nothing can be kept: no entries, no bytes, no memory, cleared. */
static void all_who_wait_get_the_value(void **state)
{
    (void)state;
    enum { N = 4 };
    static const struct {
        size_t max_entries, max_bytes;
        bool no_memory, clear;
        size_t kept;
    } cases[] = {
        {10, PLENTY, false, false, 1}, {0, PLENTY, false, false, 0}, {10, 0, false, false, 0},
        {10, PLENTY, true, false, 0},  {10, PLENTY, false, true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (cases[i].no_memory && !vx_alloc_fail_works())
            continue;
        vx_cache *cache = numbered_cache(cases[i].max_entries, cases[i].max_bytes, FOREVER, NULL);
        asker askers[N];
        numbered_own(cache, 1);
        for (size_t a = 0; a < N; a++)
            start_asker(&askers[a], cache, 1, FOREVER, a + 1);
        if (cases[i].clear)
            vx_cache_clear(cache);
        vx_alloc_fail_at(cases[i].no_memory ? 1 : 0);
        numbered_put(cache, 1, 42);
        vx_alloc_fail_at(0);
        for (size_t a = 0; a < N; a++)
            expect_joined(&askers[a], 42);
        vx_cache_stats stats = numbered_stats(cache);
        assert_int_equal(stats.joined, N);
        assert_int_equal(stats.misses, 1);
        assert_int_equal(stats.waiting, 0);
        assert_int_equal(stats.entries, cases[i].kept);
        vx_cache_destroy(cache);
    }
}

static void an_abandoned_key_goes_to_who_waits_longest(void **state)
{
    (void)state;
    enum { N = 3 };
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = numbered_key(1);
    asker askers[N];
    numbered_own(cache, 1);
    for (size_t a = 0; a < N; a++)
        start_asker(&askers[a], cache, 1, FOREVER, a + 1);
    for (size_t a = 0; a < 2; a++) { /* the heir abandons, too */
        vx_cache_abandon(cache, &key);
        assert_int_equal(pthread_join(askers[a].thread, NULL), 0);
        assert_int_equal(askers[a].err, VX_OK);
        assert_int_equal(askers[a].outcome, VX_CACHE_OWNER);
        assert_int_equal(askers[a].len, 77);
        assert_int_equal(numbered_stats(cache).waiting, N - 1 - a);
    }
    assert_int_equal(numbered_stats(cache).entries, 0);
    numbered_put(cache, 1, 43);
    expect_joined(&askers[2], 43);
    assert_int_equal(numbered_stats(cache).misses, 3);
    assert_int_equal(numbered_stats(cache).joined, 1);
    vx_cache_destroy(cache);
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = numbered_key(1);
    asker patient, late, hasty = {.cache = cache, .number = 1, .cap = 8, .len = 77};
    numbered_own(cache, 1);
    ask(&hasty); /* its deadline is long past */
    assert_int_equal(hasty.err, VX_ERR_DEADLINE);
    assert_int_equal(hasty.len, 77);
    start_asker(&patient, cache, 1, FOREVER, 1);

    const uint64_t deadline_ns = vx_now_ns() + 30000000u;
    late = (asker){.cache = cache, .number = 1, .deadline_ns = deadline_ns, .cap = 8, .len = 77};
    assert_int_equal(pthread_create(&late.thread, NULL, ask, &late), 0);
    expect_failed(&late, VX_ERR_DEADLINE);
    assert_true(vx_now_ns() >= deadline_ns);

    assert_int_equal(numbered_stats(cache).waiting, 1);
    vx_cache_abandon(cache, &key); /* not to one who has left */
    assert_int_equal(pthread_join(patient.thread, NULL), 0);
    assert_int_equal(patient.outcome, VX_CACHE_OWNER);
    vx_cache_abandon(cache, &key);
    numbered_own(cache, 1);
    numbered_put(cache, 1, 44);
    vx_cache_destroy(cache);
}

/* From the front, the middle and the end of those who wait, as far as 50 ms suffice for all to be there before. */
static void who_gives_up_is_forgotten(void **state)
{
    (void)state;
    enum { N = 3 };
    for (size_t leaver = 0; leaver < N; leaver++) {
        vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
        asker askers[N];
        numbered_own(cache, 1);
        for (size_t a = 0; a < N; a++) {
            askers[a] = (asker){.cache = cache, .number = 1, .deadline_ns = FOREVER, .cap = 8, .len = 77};
            if (a == leaver)
                askers[a].deadline_ns = vx_now_ns() + 50000000u;
            assert_int_equal(pthread_create(&askers[a].thread, NULL, ask, &askers[a]), 0);
            while (numbered_stats(cache).waiting < a + 1 && vx_now_ns() < askers[leaver].deadline_ns)
                sched_yield();
        }
        expect_failed(&askers[leaver], VX_ERR_DEADLINE);
        await_waiting(cache, N - 1);
        numbered_put(cache, 1, 45);
        for (size_t a = 0; a < N; a++)
            if (a != leaver)
                expect_joined(&askers[a], 45);
        vx_cache_destroy(cache);
    }
}

static void who_lacks_room_delays_nobody(void **state)
{
    (void)state;
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    asker small, large;
    numbered_own(cache, 1);
    small = (asker){.cache = cache, .number = 1, .deadline_ns = FOREVER, .cap = 7, .len = 77};
    assert_int_equal(pthread_create(&small.thread, NULL, ask, &small), 0);
    await_waiting(cache, 1);
    start_asker(&large, cache, 1, FOREVER, 2);
    numbered_put(cache, 1, 46);
    expect_failed(&small, VX_ERR_RANGE);
    expect_joined(&large, 46);
    vx_cache_destroy(cache);
}

static void keys_do_not_wait_for_each_other(void **state)
{
    (void)state;
    enum { N = 200 }; /* more than there are buckets for computations */
    vx_cache *cache = numbered_cache(N, PLENTY, FOREVER, NULL);
    for (uint64_t i = 0; i < N; i++)
        numbered_own(cache, i);
    for (uint64_t i = 0; i < N; i += 2)
        numbered_put(cache, i, i);
    for (uint64_t i = 1; i < N; i += 2) {
        vx_cache_key key = numbered_key(i);
        vx_cache_abandon(cache, &key);
    }
    for (uint64_t i = 0; i < N; i++)
        assert_int_equal(numbered_holds(cache, i), i % 2 == 0);
    vx_cache_destroy(cache);
}

/* ---- crowds ------------------------------------------------------------------------------------------------------ */

enum { N_THREADS = 6, N_KEYS = 60 };

typedef struct {
    vx_cache *cache;
    uint64_t seed;
    int n_asks;
    int computed[N_KEYS]; /* by the owner, without atomics: two owners at once are a race for ThreadSanitizer */
    atomic_int n_abandoned;
    atomic_int n_wrong;
} crowd;

/* Asks for keys at random; an owner gives up now and then, and asks again. */
static void ask_many(void *arg, int rank)
{
    crowd *c = arg;
    uint64_t random = c->seed + (uint64_t)rank;
    for (int i = 0; i < c->n_asks; i++) {
        const uint64_t number = stats_random(&random) % N_KEYS;
        vx_cache_key key = numbered_key(number);
        vx_cache_outcome outcome;
        uint64_t value = 0;
        size_t len = 0;
        if (vx_cache_begin(c->cache, &key, FOREVER, &value, sizeof value, &len, &outcome) != VX_OK) {
            atomic_fetch_add(&c->n_wrong, 1);
        } else if (outcome != VX_CACHE_OWNER) {
            atomic_fetch_add(&c->n_wrong, len != sizeof value || value != number * 7);
        } else if (stats_random(&random) % 4 == 0) {
            sched_yield();
            atomic_fetch_add(&c->n_abandoned, 1);
            vx_cache_abandon(c->cache, &key);
        } else {
            sched_yield(); /* so that others come and wait */
            c->computed[number]++;
            numbered_put(c->cache, number, number * 7);
        }
    }
}

static void run_crowd(crowd *c)
{
    vx_team *team = NULL;
    print_message("# seed %llu\n", (unsigned long long)c->seed);
    assert_int_equal(vx_team_create(N_THREADS, &team), VX_OK);
    vx_team_run(team, ask_many, c);
    vx_team_destroy(team);
    vx_cache_stats stats = numbered_stats(c->cache);
    int computed = 0;
    for (int i = 0; i < N_KEYS; i++)
        computed += c->computed[i];
    assert_int_equal(atomic_load(&c->n_wrong), 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.misses, computed + atomic_load(&c->n_abandoned));
    assert_int_equal(stats.hits + stats.joined + stats.misses, N_THREADS * c->n_asks);
}

static void many_threads_compute_each_key_once(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 20; round++) {
        crowd c = {.seed = vx_now_ns() + round * 1000, .n_asks = 300};
        c.cache = numbered_cache(N_KEYS, PLENTY, FOREVER, NULL);
        run_crowd(&c);
        for (uint64_t i = 0; i < N_KEYS; i++) /* a key that nobody asked for, or all abandoned, is not there */
            assert_int_equal(c.computed[i], numbered_holds(c.cache, i));
        assert_int_equal(numbered_stats(c.cache).evicted, 0);
        vx_cache_destroy(c.cache);
    }
}

static void many_threads_in_little_room(void **state)
{
    (void)state;
    for (size_t max_entries = 0; max_entries < 9; max_entries += 4) {
        crowd c = {.seed = vx_now_ns(), .n_asks = 1000};
        c.cache = numbered_cache(max_entries, PLENTY, 50000, NULL); /* 50 us: some expire, too */
        run_crowd(&c);
        assert_true(numbered_stats(c.cache).entries <= max_entries);
        vx_cache_destroy(c.cache);
    }
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* Whoever does not become the owner leaves no computation open behind him: the next attempt would wait for it. */
static vx_err begin_once(void *ctx)
{
    vx_cache *cache = ctx;
    vx_cache_key key = numbered_key(1);
    vx_cache_outcome outcome = VX_CACHE_JOINED;
    uint8_t value[8];
    size_t len;
    vx_err err = vx_cache_begin(cache, &key, 0, value, sizeof value, &len, &outcome);
    assert_int_equal(outcome, err == VX_OK ? VX_CACHE_OWNER : VX_CACHE_JOINED);
    if (err == VX_OK)
        vx_cache_abandon(cache, &key);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    vx_alloc_fail_each(begin_once, cache);
    vx_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_who_wait_get_the_value),
        cmocka_unit_test(an_abandoned_key_goes_to_who_waits_longest),
        cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(who_gives_up_is_forgotten),
        cmocka_unit_test(who_lacks_room_delays_nobody),
        cmocka_unit_test(keys_do_not_wait_for_each_other),
        cmocka_unit_test(many_threads_compute_each_key_once),
        cmocka_unit_test(many_threads_in_little_room),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
