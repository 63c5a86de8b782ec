/* numbered_cache.c - numbers for keys. */
#include "tests/support/numbered_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/stats.h"

static uint64_t read_turned(void *ctx)
{
    return atomic_load((atomic_uint_fast64_t *)ctx);
}

vx_cache *numbered_cache(size_t max_entries, size_t max_bytes, uint64_t ttl_ns, atomic_uint_fast64_t *now_ns)
{
    vx_cache *cache = NULL;
    vx_cache_limits limits = {max_entries, max_bytes, ttl_ns, vx_clock_monotonic()};
    if (now_ns != NULL)
        limits.clock = (vx_clock){.now_ns = read_turned, .ctx = now_ns};
    assert_int_equal(vx_cache_create(&limits, &cache), VX_OK);
    return cache;
}

vx_cache_key numbered_key(uint64_t number)
{
    vx_cache_key key;
    for (size_t i = 0; i < sizeof key; i += sizeof number) {
        uint64_t word = stats_random(&number);
        memcpy(key.bytes + i, &word, sizeof word);
    }
    return key;
}

vx_cache_stats numbered_stats(vx_cache *cache)
{
    vx_cache_stats stats;
    vx_cache_get_stats(cache, &stats);
    return stats;
}

bool numbered_holds(vx_cache *cache, uint64_t number)
{
    vx_cache_key key = numbered_key(number);
    uint8_t value[1];
    size_t len;
    uint64_t hits = numbered_stats(cache).hits, misses = numbered_stats(cache).misses;
    (void)vx_cache_peek(cache, &key, value, 0, &len); /* too little room, so that it shows in neither count */
    bool held = numbered_stats(cache).misses == misses;
    assert_int_equal(numbered_stats(cache).hits, hits);
    return held;
}

void numbered_own(vx_cache *cache, uint64_t number)
{
    vx_cache_key key = numbered_key(number);
    vx_cache_outcome outcome = VX_CACHE_HIT;
    uint8_t value[8];
    size_t len = 77;
    assert_int_equal(vx_cache_begin(cache, &key, 0, value, sizeof value, &len, &outcome), VX_OK);
    assert_int_equal(outcome, VX_CACHE_OWNER);
    assert_int_equal(len, 77);
}

void numbered_put(vx_cache *cache, uint64_t number, uint64_t value)
{
    vx_cache_key key = numbered_key(number);
    vx_cache_put(cache, &key, &value, sizeof value);
}
