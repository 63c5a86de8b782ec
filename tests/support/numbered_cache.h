/* numbered_cache.h - the cache as its tests use it: numbers stand for keys, and a clock can be turned.
 * Owns:   nothing. Does not: judge; only what a test takes for granted fails it here.
 */
#ifndef VX_TESTS_NUMBERED_CACHE_H
#define VX_TESTS_NUMBERED_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/resilience/cache.h"

#define PLENTY  ((size_t)1 << 20)
#define FOREVER UINT64_MAX

/* now_ns: what the cache takes for the time; NULL for the real one. */
vx_cache *numbered_cache(size_t max_entries, size_t max_bytes, uint64_t ttl_ns, atomic_uint_fast64_t *now_ns);
/* As uniform as the digests that keys are. */
vx_cache_key numbered_key(uint64_t number);
vx_cache_stats numbered_stats(vx_cache *cache);
/* Whether the number has a value. Counts no hit; makes it the most recent. */
bool numbered_holds(vx_cache *cache, uint64_t number);
/* The first half of a computation: the caller becomes the owner of the number. */
void numbered_own(vx_cache *cache, uint64_t number);
/* The second half: eight bytes. */
void numbered_put(vx_cache *cache, uint64_t number, uint64_t value);

#endif
