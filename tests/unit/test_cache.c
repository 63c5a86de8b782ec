/* test_cache.c - what is kept and what goes, against scripts and a naive model; single flight with real threads.
 * Time to live goes by a clock that the test turns. Threads are awaited by vx_cache_stats.waiting, not by sleeping.
 */
#include "shared/resilience/cache.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/team.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/stats.h"

#define PLENTY  ((size_t)1 << 20)
#define FOREVER UINT64_MAX

static uint64_t read_turned(void *ctx)
{
    return atomic_load((atomic_uint_fast64_t *)ctx);
}

static vx_cache *new_cache(size_t max_entries, size_t max_bytes, uint64_t ttl_ns, atomic_uint_fast64_t *now_ns)
{
    vx_cache *cache = NULL;
    vx_cache_limits limits = {max_entries, max_bytes, ttl_ns, vx_clock_monotonic()};
    if (now_ns != NULL)
        limits.clock = (vx_clock){.now_ns = read_turned, .ctx = now_ns};
    assert_int_equal(vx_cache_create(&limits, &cache), VX_OK);
    return cache;
}

/* Numbers stand for keys, which are as uniform as digests are. */
static vx_cache_key key_of(uint64_t number)
{
    vx_cache_key key;
    for (size_t i = 0; i < sizeof key; i += sizeof number) {
        uint64_t word = stats_random(&number);
        memcpy(key.bytes + i, &word, sizeof word);
    }
    return key;
}

static vx_cache_stats stats_of(vx_cache *cache)
{
    vx_cache_stats stats;
    vx_cache_get_stats(cache, &stats);
    return stats;
}

static bool holds(vx_cache *cache, uint64_t number)
{
    vx_cache_key key = key_of(number);
    uint8_t value[1];
    size_t len;
    uint64_t hits = stats_of(cache).hits, misses = stats_of(cache).misses;
    (void)vx_cache_peek(cache, &key, value, 0, &len); /* too little room, so that it shows in neither count */
    bool held = stats_of(cache).misses == misses;
    assert_int_equal(stats_of(cache).hits, hits);
    return held;
}

/* The first of a computation: the caller owns the key. */
static void own(vx_cache *cache, uint64_t number)
{
    vx_cache_key key = key_of(number);
    vx_cache_outcome outcome = VX_CACHE_HIT;
    uint8_t value[8];
    size_t len = 77;
    assert_int_equal(vx_cache_begin(cache, &key, 0, value, sizeof value, &len, &outcome), VX_OK);
    assert_int_equal(outcome, VX_CACHE_OWNER);
    assert_int_equal(len, 77);
}

static void put_number(vx_cache *cache, uint64_t number, uint64_t value)
{
    vx_cache_key key = key_of(number);
    vx_cache_put(cache, &key, &value, sizeof value);
}

/* ---- one caller -------------------------------------------------------------------------------------------------- */

static void gives_back_what_was_put(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 7, 768, 5000};
    vx_cache *cache = new_cache(10, PLENTY, FOREVER, NULL);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t value[5000], got[5001];
        size_t len = 9999;
        vx_cache_outcome outcome = VX_CACHE_JOINED;
        vx_cache_key key = key_of(i);
        own(cache, i);
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
    vx_cache_stats stats = stats_of(cache);
    assert_int_equal(stats.hits, 10);
    assert_int_equal(stats.misses, 5);
    assert_int_equal(stats.entries, 5);
    assert_in_range(stats.bytes, 5776 + 5 * sizeof(vx_cache_key), 5776 + 5 * 200);
    vx_cache_clear(cache);
    stats = stats_of(cache);
    assert_int_equal(stats.entries + stats.bytes + stats.evicted + stats.expired, 0);
    vx_cache_destroy(cache);
    vx_cache_destroy(NULL);
}

static void too_little_room_is_an_error(void **state)
{
    (void)state;
    vx_cache *cache = new_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = key_of(1);
    vx_cache_outcome outcome = VX_CACHE_JOINED;
    uint8_t got[8] = {1, 2, 3};
    size_t len = 77;
    own(cache, 1);
    put_number(cache, 1, 0);
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
    vx_cache *cache = new_cache(10, PLENTY, FOREVER, NULL);
    vx_cache_key key = key_of(1);
    for (int i = 0; i < 3; i++) {
        own(cache, 1);
        vx_cache_abandon(cache, &key);
    }
    assert_int_equal(stats_of(cache).misses, 3);
    assert_int_equal(stats_of(cache).entries, 0);
    vx_cache_abandon(cache, &key); /* of nobody: nothing */
    put_number(cache, 1, 5);       /* by nobody: kept, and replaced */
    put_number(cache, 1, 6);
    uint64_t got = 0;
    size_t len = 0;
    assert_true(vx_cache_peek(cache, &key, &got, sizeof got, &len));
    assert_int_equal(got, 6);
    assert_int_equal(stats_of(cache).entries, 1);
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
        vx_cache_key key = key_of((uint64_t)(*c | 0x20));
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
        {3, 90, 30, "A1B1C1+++D1", "d", 0, 3}, /* all expired go, not only as many as must */
        {3, 90, 30, "A1+B1C1a++D1", "acd", 1, 0},
        {3, 90, 0, "A1", "", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_uint_fast64_t now_ns = 1000;
        vx_cache *cache = new_cache(cases[i].max_entries, cases[i].max_units * UNIT, cases[i].ttl_ns, &now_ns);
        char held[27] = {0};
        play(cache, &now_ns, cases[i].script);
        const vx_cache_stats before = stats_of(cache);
        assert_true(before.entries <= cases[i].max_entries && before.bytes <= cases[i].max_units * UNIT);
        for (char c = 'a', *end = held; c <= 'z'; c++)
            if (holds(cache, (uint64_t)c))
                *end++ = c;
        print_message("# %s\n", cases[i].script);
        /* Two of the scripts leave an entry that expires only at the look: what is held is the truth. */
        if (strcmp(cases[i].script, "A1+B1C1a++D1") == 0)
            assert_string_equal(held, "cd");
        else
            assert_string_equal(held, cases[i].held);
        assert_int_equal(stats_of(cache).evicted, cases[i].evicted);
        assert_int_equal(stats_of(cache).expired, cases[i].expired);
        assert_int_equal(stats_of(cache).entries, strlen(held));
        vx_cache_destroy(cache);
    }
}
