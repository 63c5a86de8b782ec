/* cache.h - a bounded memory of computed values: least recently used goes first, old ones expire, and what several
 * callers want at once is computed once.
 * Owns:   copies of keys and values. Does not: know what they are, or persist anything.
 * Every operation but clear is O(1), amortised, apart from copying the value.
 */
#ifndef VX_RESILIENCE_CACHE_H
#define VX_RESILIENCE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/clock.h"
#include "shared/base/err.h"

#define VX_CACHE_KEY 32

/* A digest: keys are expected to be uniformly distributed, and are (SHA-256). */
typedef struct {
    uint8_t bytes[VX_CACHE_KEY];
} vx_cache_key;

typedef struct {
    size_t max_entries; /* 0: nothing is kept, but single flight still works */
    size_t max_bytes;   /* keys, values and bookkeeping together; what could never fit is not kept */
    uint64_t ttl_ns;    /* an entry of this age is a miss; UINT64_MAX: none ever is */
    vx_clock clock;     /* for ttl; deadlines of waiters are real time */
} vx_cache_limits;

typedef struct {
    uint64_t hits, misses, joined; /* joined: waited for another caller's computation and got its value */
    uint64_t evicted, expired;
    size_t entries, bytes; /* bytes: of the entries, with their bookkeeping; the empty tables are not in it */
    size_t waiting;        /* callers who wait for another's computation now */
} vx_cache_stats;

typedef struct vx_cache vx_cache;

/* Errors: ARG (no clock), NOMEM. Every function below may be called from any thread. */
VX_MUST_CHECK vx_err vx_cache_create(const vx_cache_limits *limits, vx_cache **ret_cache);
/* No call may be running and no computation open. Values are wiped. NULL is fine. */
void vx_cache_destroy(vx_cache *cache);

typedef enum {
    VX_CACHE_HIT,    /* ret_value is filled */
    VX_CACHE_JOINED, /* the same, after waiting for another caller */
    VX_CACHE_OWNER,  /* the caller computes, and must call vx_cache_put or vx_cache_abandon with this key */
} vx_cache_outcome;

/* Looks a key up. While another caller computes it, waits until that one is done; if it abandons, one of those who wait
 * becomes the owner.
 * deadline_ns [in]  vx_now_ns() at which waiting ends; a hit or ownership at hand is given whatever the time
 * ret_value   [out] at most cap bytes
 * Errors      DEADLINE, RANGE (the value is larger than cap), NOMEM (the caller is then not the owner) */
VX_MUST_CHECK vx_err vx_cache_begin(vx_cache *cache, const vx_cache_key *key, uint64_t deadline_ns, void *ret_value,
                                    size_t cap, size_t *ret_len, vx_cache_outcome *ret_outcome);
/* Stores the owner's value and wakes those who wait. Memory running out only means that it is not kept. */
void vx_cache_put(vx_cache *cache, const vx_cache_key *key, const void *value, size_t len);
/* The owner failed: nothing is stored. */
void vx_cache_abandon(vx_cache *cache, const vx_cache_key *key);

/* Look-up that never waits and never makes anyone an owner: true and the value on a hit. Counted like begin. */
bool vx_cache_peek(vx_cache *cache, const vx_cache_key *key, void *ret_value, size_t cap, size_t *ret_len);
/* Forgets everything (computations that are open go on). */
void vx_cache_clear(vx_cache *cache);
void vx_cache_get_stats(vx_cache *cache, vx_cache_stats *ret_stats);

#endif
