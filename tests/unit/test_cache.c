/* test_cache.c - what the cache keeps and what goes, against scripts and a naive model. One thread; time to live goes by
 * a clock that the test turns. Callers who meet are in test_single_flight.c.
 */
#include "shared/resilience/cache.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/numbered_cache.h"
#include "tests/support/stats.h"

/* ---- one caller -------------------------------------------------------------------------------------------------- */

static void gives_back_what_was_put(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 7, 768, 5000};
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t value[5000], got[5001];
        size_t len = 9999;
        vx_cache_outcome outcome = VX_CACHE_JOINED;
        vx_cache_key key = numbered_key(i);
        numbered_own(cache, i);
        memset(value, (int)(i + 1), sizeof value);
        vx_cache_put(cache, &key, lengths[i] > 0 ? value : NULL, lengths[i]);
        memset(value, 0, 1); /* the cache has its own copy */

        memset(got, 0xee, sizeof got);
        assert_int_equal(vx_cache_begin(cache, &key, 0, got, lengths[i], &len, &outcome), VX_OK);
        assert_int_equal(outcome, VX_CACHE_HIT);
        assert_int_equal(len, lengths[i]);
        for (size_t b = 0; b < sizeof got; b++)
            assert_int_equal(got[b], b < len ? (int)(i + 1) : 0xee);
        len = 9999;
        assert_true(vx_cache_peek(cache, &key, got, sizeof got, &len));
        assert_int_equal(len, lengths[i]);
    }
    vx_cache_stats stats = numbered_stats(cache);
    assert_int_equal(stats.hits, 10);
    assert_int_equal(stats.misses, 5);
    assert_int_equal(stats.entries, 5);
    assert_in_range(stats.bytes, 5776 + 5 * sizeof(vx_cache_key), 5776 + 5 * 200);
    vx_cache_clear(cache);
    stats = numbered_stats(cache);
    assert_int_equal(stats.entries + stats.bytes + stats.evicted + stats.expired, 0);
    vx_cache_destroy(cache);
    vx_cache_destroy(NULL);
}

static void too_little_room_is_an_error(void **state)
{
    (void)state;
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = numbered_key(1);
    vx_cache_outcome outcome = VX_CACHE_JOINED;
    uint8_t got[8] = {1, 2, 3};
    size_t len = 77;
    numbered_own(cache, 1);
    numbered_put(cache, 1, 0);
    assert_int_equal(vx_cache_begin(cache, &key, 0, got, 7, &len, &outcome), VX_ERR_RANGE);
    assert_false(vx_cache_peek(cache, &key, got, 7, &len));
    assert_int_equal(outcome, VX_CACHE_JOINED);
    assert_int_equal(len, 77);
    assert_memory_equal(got, ((uint8_t[8]){1, 2, 3}), 8);
    vx_cache_destroy(cache);
}

static void abandoned_keys_can_be_owned_again(void **state)
{
    (void)state;
    vx_cache *cache = numbered_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = numbered_key(1);
    for (int i = 0; i < 3; i++) {
        numbered_own(cache, 1);
        vx_cache_abandon(cache, &key);
    }
    assert_int_equal(numbered_stats(cache).misses, 3);
    assert_int_equal(numbered_stats(cache).entries, 0);
    vx_cache_abandon(cache, &key); /* of nobody: nothing */
    numbered_put(cache, 1, 5);     /* by nobody: kept, and replaced */
    numbered_put(cache, 1, 6);
    uint64_t got = 0;
    size_t len = 0;
    assert_true(vx_cache_peek(cache, &key, &got, sizeof got, &len));
    assert_int_equal(got, 6);
    assert_int_equal(numbered_stats(cache).entries, 1);
    vx_cache_destroy(cache);
}

/* ---- what goes --------------------------------------------------------------------------------------------------- */

#define UNIT 10000 /* bytes of a value; far more than all bookkeeping of these small caches */

static void play(vx_cache *cache, atomic_uint_fast64_t *now_ns, const char *script)
{
    static const uint8_t value[9 * UNIT];
    static uint8_t got[9 * UNIT];
    for (const char *c = script; *c != '\0'; c++) {
        size_t len;
        vx_cache_key key = numbered_key((uint64_t)(*c | 0x20));
        if (*c == '+') {
            atomic_fetch_add(now_ns, 10);
        } else if (*c == '*') {
            vx_cache_clear(cache);
        } else if (*c >= 'A' && *c <= 'Z') {
            vx_cache_put(cache, &key, value, (size_t)(c[1] - '0') * UNIT);
            c++;
        } else {
            (void)vx_cache_peek(cache, &key, got, sizeof got, &len);
        }
    }
}

static void least_recent_goes_first(void **state)
{
    (void)state;
    /* Script: "A3" puts three units under A, "a" looks A up, "+" 10 ns pass, "*" clears. */
    static const struct {
        size_t max_entries, max_units;
        uint64_t ttl_ns;
        const char *script, *held;
        uint64_t evicted, expired;
    } cases[] = {
        {3, 90, FOREVER, "A1B1C1", "abc", 0, 0},
        {3, 90, FOREVER, "A1B1C1D1", "bcd", 1, 0},
        {3, 90, FOREVER, "A1B1C1aD1", "acd", 1, 0},
        {3, 90, FOREVER, "A1B1C1abD1E1", "bde", 2, 0},
        {3, 90, FOREVER, "A1B1C1abzD1", "abd", 1, 0},
        {1, 90, FOREVER, "A1B1C1", "c", 2, 0},
        {0, 90, FOREVER, "A1B0", "", 0, 0},
        {9, 0, FOREVER, "A1B0", "", 0, 0},
        {9, 5, FOREVER, "A1B1C1D1", "abcd", 0, 0},
        {9, 5, FOREVER, "A1B1C1D1E1", "bcde", 1, 0},
        {9, 5, FOREVER, "A1B1C1aD3", "ad", 2, 0},
        {9, 5, FOREVER, "A1B1D4", "d", 2, 0},
        {9, 5, FOREVER, "A1B1D5", "ab", 0, 0}, /* never fits, so nothing makes room for it */
        {9, 5, FOREVER, "A4A1B3", "ab", 0, 0},
        {2, 90, FOREVER, "A1B1*C1", "c", 0, 0},
        {3, 90, 30, "A1++", "a", 0, 0},
        {3, 90, 30, "A1+++", "", 0, 1},
        {3, 90, 30, "A1++a+", "", 0, 1}, /* a look does not make it younger */
        {3, 90, 30, "A1++A1++", "a", 0, 0},
        {3, 90, 30, "A1+B1+C1+D1", "bcd", 0, 1},
        {3, 90, 30, "A1B1C1+++D1", "d", 0, 3},   /* all expired go, not only as many as must */
        {3, 90, 30, "A1+B1C1a++D1", "cd", 1, 1}, /* B goes as the least recent, though only A is too old */
        {3, 90, 0, "A1", "", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_uint_fast64_t now_ns = 1000;
        vx_cache *cache = numbered_cache(cases[i].max_entries, cases[i].max_units * UNIT, cases[i].ttl_ns, &now_ns);
        char held[27] = {0};
        play(cache, &now_ns, cases[i].script);
        const vx_cache_stats before = numbered_stats(cache);
        assert_true(before.entries <= cases[i].max_entries && before.bytes <= cases[i].max_units * UNIT);
        for (char c = 'a', *end = held; c <= 'z'; c++)
            if (numbered_holds(cache, (uint64_t)c))
                *end++ = c;
        print_message("# %s\n", cases[i].script);
        assert_string_equal(held, cases[i].held);
        assert_int_equal(numbered_stats(cache).evicted, cases[i].evicted);
        assert_int_equal(numbered_stats(cache).expired, cases[i].expired);
        assert_int_equal(numbered_stats(cache).entries, strlen(held));
        vx_cache_destroy(cache);
    }
}

/* ---- against a naive model --------------------------------------------------------------------------------------- */

enum { N_NUMBERS = 12, MAX_LEN = 400 };

/* Everything by linear search; recency and age as plain numbers. */
typedef struct {
    bool held;
    size_t len;
    uint64_t version, stored_ns, used;
} model_entry;

typedef struct {
    vx_cache *cache;
    atomic_uint_fast64_t now_ns;
    uint64_t random, ttl_ns, n_uses, n_versions;
    size_t max_entries, room_bytes, entry_bytes; /* measured: what entries may take, and what an empty one does */
    model_entry entries[N_NUMBERS];
    vx_cache_stats stats;
} model;

static void fill(uint8_t *value, size_t len, uint64_t version)
{
    for (size_t i = 0; i < len; i++)
        value[i] = (uint8_t)(version + i * 31);
}

static void model_remove(model *m, model_entry *e)
{
    e->held = false;
    m->stats.entries--;
    m->stats.bytes -= m->entry_bytes + e->len;
}

static bool model_expired(const model *m, const model_entry *e)
{
    return atomic_load(&m->now_ns) - e->stored_ns >= m->ttl_ns;
}

static model_entry *model_oldest(model *m)
{
    model_entry *oldest = NULL;
    for (int i = 0; i < N_NUMBERS; i++)
        if (m->entries[i].held && (oldest == NULL || m->entries[i].used < oldest->used))
            oldest = &m->entries[i];
    return oldest;
}

static bool model_look_up(model *m, model_entry *e)
{
    if (e->held && model_expired(m, e)) {
        model_remove(m, e);
        m->stats.expired++;
    }
    if (e->held) {
        e->used = ++m->n_uses;
        m->stats.hits++;
    } else {
        m->stats.misses++;
    }
    return e->held;
}

static void model_put(model *m, model_entry *e, size_t len, uint64_t version)
{
    size_t need = m->entry_bytes + len;
    model_entry *oldest;
    if (m->max_entries == 0 || need > m->room_bytes)
        return;
    while ((oldest = model_oldest(m)) != NULL && model_expired(m, oldest)) {
        model_remove(m, oldest);
        m->stats.expired++;
    }
    while (m->stats.entries == m->max_entries || m->stats.bytes + need > m->room_bytes) {
        model_remove(m, model_oldest(m));
        m->stats.evicted++;
    }
    *e = (model_entry){true, len, version, atomic_load(&m->now_ns), ++m->n_uses};
    m->stats.entries++;
    m->stats.bytes += need;
}

/* What bookkeeping takes is the cache's own affair: an empty entry tells its part, the largest value kept the rest. */
static void model_measure(model *m, size_t max_bytes)
{
    static const uint8_t zeros[MAX_LEN * N_NUMBERS];
    vx_cache *cache = numbered_cache(1, PLENTY, FOREVER, NULL);
    numbered_put(cache, 1, 0);
    m->entry_bytes = numbered_stats(cache).bytes - sizeof(uint64_t);
    vx_cache_destroy(cache);

    vx_cache_key key = numbered_key(1);
    m->room_bytes = 0;
    for (size_t len = 0; m->max_entries > 0 && len <= max_bytes; len++) {
        vx_cache_put(m->cache, &key, zeros, len);
        vx_cache_stats stats = numbered_stats(m->cache);
        if (stats.bytes != m->entry_bytes + len)
            break;
        m->room_bytes = stats.bytes;
    }
    vx_cache_clear(m->cache);
    assert_true(m->room_bytes < max_bytes);
}

static void model_step(model *m)
{
    const uint64_t number = stats_random(&m->random) % N_NUMBERS, dice = stats_random(&m->random) % 100;
    const size_t new_len = stats_random(&m->random) % (MAX_LEN + 1);
    vx_cache_key key = numbered_key(number);
    model_entry *e = &m->entries[number];
    vx_cache_outcome outcome = VX_CACHE_JOINED;
    uint8_t value[MAX_LEN], got[MAX_LEN];
    size_t len = 0;

    if (dice < 10) {
        atomic_fetch_add(&m->now_ns, stats_random(&m->random) % 40);
        return;
    }
    if (dice < 11) {
        vx_cache_clear(m->cache);
        memset(m->entries, 0, sizeof m->entries);
        m->stats.entries = m->stats.bytes = 0;
        return;
    }
    const bool peek = dice < 30, hit = model_look_up(m, e);
    if (peek) {
        assert_int_equal(vx_cache_peek(m->cache, &key, got, sizeof got, &len), hit);
    } else {
        assert_int_equal(vx_cache_begin(m->cache, &key, 0, got, sizeof got, &len, &outcome), VX_OK);
        assert_int_equal(outcome, hit ? VX_CACHE_HIT : VX_CACHE_OWNER);
    }
    if (hit) {
        fill(value, e->len, e->version);
        assert_int_equal(len, e->len);
        assert_memory_equal(got, value, len);
    } else if (!peek && dice < 40) {
        vx_cache_abandon(m->cache, &key);
    } else if (!peek) {
        fill(value, new_len, ++m->n_versions);
        vx_cache_put(m->cache, &key, value, new_len);
        model_put(m, e, new_len, m->n_versions);
    }
}

static void behaves_like_the_model(void **state)
{
    (void)state;
    const uint64_t seed = vx_now_ns();
    print_message("# seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    for (int round = 0; round < 40; round++) {
        model m = {.now_ns = 1000, .random = stats_random(&random)};
        const size_t max_bytes = 800 + stats_random(&random) % 3000;
        m.max_entries = stats_random(&random) % 9;
        m.ttl_ns = stats_random(&random) % 4 == 0 ? FOREVER : stats_random(&random) % 400;
        m.cache = numbered_cache(m.max_entries, max_bytes, FOREVER, NULL);
        model_measure(&m, max_bytes);
        vx_cache_destroy(m.cache);
        m.cache = numbered_cache(m.max_entries, max_bytes, m.ttl_ns, &m.now_ns);
        for (int i = 0; i < 500; i++) {
            model_step(&m);
            vx_cache_stats stats = numbered_stats(m.cache);
            assert_memory_equal(&stats, &m.stats, sizeof stats);
        }
        vx_cache_destroy(m.cache);
    }
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void a_clock_is_needed(void **state)
{
    (void)state;
    vx_cache *const mark = (vx_cache *)&mark;
    vx_cache *cache = mark;
    vx_cache_limits limits = {1, 1, 1, {0}};
    assert_int_equal(vx_cache_create(&limits, &cache), VX_ERR_ARG);
    assert_ptr_equal(cache, mark);
}

/* Both extremes are settings that somebody will try. */
static void limits_without_limit(void **state)
{
    (void)state;
    vx_cache *a = numbered_cache(3, SIZE_MAX, FOREVER, NULL), *b = numbered_cache(SIZE_MAX, PLENTY, FOREVER, NULL);
    for (uint64_t i = 0; i < 4; i++) {
        numbered_put(a, i, i);
        numbered_put(b, i, i);
    }
    assert_int_equal(numbered_stats(a).entries, 3);
    assert_int_equal(numbered_stats(b).entries, 4);
    vx_cache_destroy(a);
    vx_cache_destroy(b);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_cache *const mark = (vx_cache *)&mark;
    vx_cache *cache = mark;
    vx_cache_limits limits = {100, PLENTY, 1, vx_clock_monotonic()};
    vx_err err = vx_cache_create(&limits, &cache);
    if (err == VX_OK)
        vx_cache_destroy(cache);
    else
        assert_ptr_equal(cache, mark);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put),
        cmocka_unit_test(too_little_room_is_an_error),
        cmocka_unit_test(abandoned_keys_can_be_owned_again),
        cmocka_unit_test(least_recent_goes_first),
        cmocka_unit_test(behaves_like_the_model),
        cmocka_unit_test(a_clock_is_needed),
        cmocka_unit_test(limits_without_limit),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
