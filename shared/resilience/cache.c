/* cache.c - hash table, recency list, and the callers who wait for a value under way.
 * Owns:   entries, open computations ("flights") and the one lock. Does not: run a computation or a thread.
 *
 * One lock, held also while a value is copied: two threads that do nothing else get over a million operations a second
 * out of it (tests/bench/bench_cache.c), and the service makes 5,000. Shards would have nothing to share out.
 */
#include "shared/resilience/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/cond.h"

/* Flights are as many as requests at work, rarely over a hundred. */
#define FLIGHT_BUCKETS 64

typedef struct node {
    vx_cache_key key;
    struct node *next; /* in the same bucket */
} node;

/* Chains from an array of buckets, which the first bytes of the key choose: it is a digest already. Whoever chooses the
 * audio can search for digests that meet in one bucket, but each becomes an entry only by being computed, behind
 * admission: ten seconds of inference fill all 1,000 entries, and a look-up through a chain of 1,000 then takes 2.4 us
 * in place of 0.1. A secret seed would save nothing that is worth it. */
typedef struct {
    node **buckets;
    size_t mask; /* number of buckets, a power of two, less 1 */
} table;

typedef struct entry {
    node node; /* first, so that the two convert */
    struct entry *newer, *older;
    uint64_t stored_ns;
    size_t len;
    uint8_t value[];
} entry;

typedef enum { WAITING, GIVEN, TOO_LARGE, OWNS } waiter_state;

/* One caller in wait_for_owner, on his own stack. Whoever ends the wait fills it in and unlinks it under the lock, so
 * a value or an ownership once given away is never lost to a deadline that passes in the same moment, and the value
 * reaches him even where the cache keeps nothing. */
typedef struct waiter {
    struct waiter *prev, *next;
    pthread_cond_t woken; /* state is no longer WAITING */
    waiter_state state;
    void *value; /* [cap] the caller's */
    size_t cap, len;
} waiter;

typedef struct {
    node node;               /* first, as above */
    waiter *oldest, *latest; /* who waits for the owner, in the order in which they came */
} flight;

struct vx_cache {
    pthread_mutex_t lock; /* guards the fields down to `stats` */
    table entries, flights;
    entry *newest, *oldest; /* by last use */
    vx_cache_stats stats;

    vx_cache_limits limits; /* constant once create has returned; max_bytes is what the tables leave to the entries */
};

/* ---- hash table: from here to the public functions all is called with the lock held, unless it says otherwise ---- */

static bool table_init(table *t, size_t n_expected)
{
    size_t n = 1, bytes;
    while (n < n_expected && n <= SIZE_MAX / 2)
        n *= 2;
    if (!vx_size_mul(n, sizeof(node *), &bytes))
        return false;
    t->mask = n - 1;
    t->buckets = calloc(1, bytes);
    return t->buckets != NULL;
}

/* The link that points to the node of that key, or the one at the end of its chain. */
static node **table_link(const table *t, const vx_cache_key *key)
{
    node **link = &t->buckets[(size_t)vx_le64(key->bytes) & t->mask];
    while (*link != NULL && memcmp(&(*link)->key, key, sizeof *key) != 0)
        link = &(*link)->next;
    return link;
}

static void *table_take(const table *t, const vx_cache_key *key)
{
    node **link = table_link(t, key), *taken = *link;
    if (taken != NULL)
        *link = taken->next;
    return taken;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static void recency_unlink(vx_cache *cache, entry *e)
{
    if (e == cache->newest)
        cache->newest = e->older;
    else
        e->newer->older = e->older;
    if (e == cache->oldest)
        cache->oldest = e->newer;
    else
        e->older->newer = e->newer;
}

static void recency_add_newest(vx_cache *cache, entry *e)
{
    e->newer = NULL;
    e->older = cache->newest;
    if (cache->newest == NULL)
        cache->oldest = e;
    else
        cache->newest->newer = e;
    cache->newest = e;
}

static void drop(vx_cache *cache, entry *e)
{
    table_take(&cache->entries, &e->node.key);
    recency_unlink(cache, e);
    cache->stats.entries--;
    cache->stats.bytes -= sizeof *e + e->len;
    vx_wipe(e->value, e->len);
    free(e);
}

static void drop_all(vx_cache *cache)
{
    while (cache->oldest != NULL)
        drop(cache, cache->oldest);
}

/* An entry from the future, which only a clock that goes back can make, is new. */
static bool is_expired(const vx_cache *cache, const entry *e, uint64_t now_ns)
{
    return now_ns >= e->stored_ns && now_ns - e->stored_ns >= cache->limits.ttl_ns;
}

static uint64_t clock_ns(const vx_cache *cache)
{
    return cache->limits.clock.now_ns(cache->limits.clock.ctx);
}

/* The entry, now the newest, or NULL; one that has expired goes. */
static entry *look_up(vx_cache *cache, const vx_cache_key *key)
{
    entry *e = (entry *)*table_link(&cache->entries, key);
    if (e == NULL)
        return NULL;
    if (is_expired(cache, e, clock_ns(cache))) {
        drop(cache, e);
        cache->stats.expired++;
        return NULL;
    }
    recency_unlink(cache, e);
    recency_add_newest(cache, e);
    return e;
}

/* Makes room for one entry of need bytes. What expired at the end of the list goes first, so that it is not counted as
 * evicted for want of room. */
static void make_room(vx_cache *cache, size_t need, uint64_t now_ns)
{
    const vx_cache_limits *max = &cache->limits;
    while (cache->oldest != NULL && is_expired(cache, cache->oldest, now_ns)) {
        drop(cache, cache->oldest);
        cache->stats.expired++;
    }
    while (cache->oldest != NULL &&
           (cache->stats.entries >= max->max_entries || cache->stats.bytes > max->max_bytes - need)) {
        drop(cache, cache->oldest);
        cache->stats.evicted++;
    }
}

/* Takes e, which new_entry made. */
static void keep(vx_cache *cache, entry *e)
{
    entry *before = (entry *)*table_link(&cache->entries, &e->node.key);
    if (before != NULL) /* put by somebody who is not the owner: no key is in the table twice */
        drop(cache, before);
    e->stored_ns = clock_ns(cache);
    make_room(cache, sizeof *e + e->len, e->stored_ns);
    *table_link(&cache->entries, &e->node.key) = &e->node;
    recency_add_newest(cache, e);
    cache->stats.entries++;
    cache->stats.bytes += sizeof *e + e->len;
}

/* A copy of the value that fits the limits, not in the cache yet; NULL when it never can be kept, or memory is out.
 * Called without the lock, as it reads only limits. */
static entry *new_entry(const vx_cache *cache, const vx_cache_key *key, const void *value, size_t len)
{
    const vx_cache_limits *max = &cache->limits;
    size_t bytes;
    if (max->max_entries == 0 || !vx_size_add(sizeof(entry), len, &bytes) || bytes > max->max_bytes)
        return NULL;
    entry *e = calloc(1, bytes);
    if (e == NULL)
        return NULL;
    e->node.key = *key;
    e->len = len;
    if (len > 0)
        memcpy(e->value, value, len);
    return e;
}

/* ---- single flight ----------------------------------------------------------------------------------------------- */

static void waiter_add(flight *f, waiter *w)
{
    w->next = NULL;
    w->prev = f->latest;
    if (f->latest == NULL)
        f->oldest = w;
    else
        f->latest->next = w;
    f->latest = w;
}

static void waiter_unlink(flight *f, waiter *w)
{
    if (w == f->oldest)
        f->oldest = w->next;
    else
        w->prev->next = w->next;
    if (w == f->latest)
        f->latest = w->prev;
    else
        w->next->prev = w->prev;
}

static void end_wait(flight *f, waiter *w, waiter_state state)
{
    waiter_unlink(f, w);
    w->state = state;
    pthread_cond_signal(&w->woken);
}

/* The flight's value goes straight into the buffers of those who wait. */
static void hand_out(flight *f, const void *value, size_t len)
{
    while (f->oldest != NULL) {
        waiter *w = f->oldest;
        if (len > w->cap) {
            end_wait(f, w, TOO_LARGE);
            continue;
        }
        if (len > 0)
            memcpy(w->value, value, len);
        w->len = len;
        end_wait(f, w, GIVEN);
    }
}

static vx_err open_flight(vx_cache *cache, const vx_cache_key *key, vx_cache_outcome *ret_outcome)
{
    cache->stats.misses++;
    flight *f = calloc(1, sizeof *f);
    if (f == NULL)
        return VX_ERR_NOMEM;
    f->node.key = *key;
    *table_link(&cache->flights, key) = &f->node;
    *ret_outcome = VX_CACHE_OWNER;
    return VX_OK;
}

static vx_err wait_for_owner(vx_cache *cache, flight *f, uint64_t deadline_ns, void *ret_value, size_t cap,
                             size_t *ret_len, vx_cache_outcome *ret_outcome)
{
    waiter self = {.state = WAITING, .value = ret_value, .cap = cap};
    if (!vx_cond_init(&self.woken))
        return VX_ERR_NOMEM;
    waiter_add(f, &self);
    cache->stats.waiting++;
    while (self.state == WAITING && vx_cond_wait_until(&self.woken, &cache->lock, deadline_ns))
        ;
    if (self.state == WAITING)
        waiter_unlink(f, &self); /* still linked, so the flight still exists */
    cache->stats.waiting--;
    pthread_cond_destroy(&self.woken);

    switch (self.state) {
    case WAITING: return VX_ERR_DEADLINE;
    case TOO_LARGE: return VX_ERR_RANGE;
    case OWNS:
        cache->stats.misses++;
        *ret_outcome = VX_CACHE_OWNER;
        return VX_OK;
    case GIVEN: break;
    }
    cache->stats.joined++;
    *ret_len = self.len;
    *ret_outcome = VX_CACHE_JOINED;
    return VX_OK;
}

static vx_err copy_hit(vx_cache *cache, const entry *e, void *ret_value, size_t cap, size_t *ret_len)
{
    if (e->len > cap)
        return VX_ERR_RANGE;
    if (e->len > 0)
        memcpy(ret_value, e->value, e->len);
    *ret_len = e->len;
    cache->stats.hits++;
    return VX_OK;
}

/* Called when no thread is left that could hold the lock. */
static void free_cache(vx_cache *cache)
{
    free(cache->entries.buckets);
    free(cache->flights.buckets);
    free(cache);
}

/* ---- public functions -------------------------------------------------------------------------------------------- */

vx_err vx_cache_create(const vx_cache_limits *limits, vx_cache **ret_cache)
{
    if (limits->clock.now_ns == NULL)
        return VX_ERR_ARG;
    vx_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return VX_ERR_NOMEM;
    cache->limits = *limits;

    vx_err err = VX_ERR_NOMEM;
    /* As many buckets as entries that fit: a large max_entries must not defeat a small max_bytes. */
    size_t n_fit = limits->max_bytes / sizeof(entry);
    size_t n_expected = limits->max_entries < n_fit ? limits->max_entries : n_fit;
    if (!table_init(&cache->entries, n_expected) || !table_init(&cache->flights, FLIGHT_BUCKETS))
        goto out;
    if (pthread_mutex_init(&cache->lock, NULL) != 0)
        goto out;
    size_t fixed = sizeof *cache + (cache->entries.mask + 1 + FLIGHT_BUCKETS) * sizeof(node *);
    cache->limits.max_bytes = limits->max_bytes > fixed ? limits->max_bytes - fixed : 0;
    *ret_cache = cache;
    return VX_OK;
out:
    free_cache(cache);
    return err;
}

void vx_cache_destroy(vx_cache *cache)
{
    if (cache == NULL)
        return;
    drop_all(cache);
    pthread_mutex_destroy(&cache->lock);
    free_cache(cache);
}

vx_err vx_cache_begin(vx_cache *cache, const vx_cache_key *key, uint64_t deadline_ns, void *ret_value, size_t cap,
                      size_t *ret_len, vx_cache_outcome *ret_outcome)
{
    pthread_mutex_lock(&cache->lock);
    vx_err err;
    entry *e = look_up(cache, key);
    flight *f = e == NULL ? (flight *)*table_link(&cache->flights, key) : NULL;
    if (e != NULL) {
        err = copy_hit(cache, e, ret_value, cap, ret_len);
        if (err == VX_OK)
            *ret_outcome = VX_CACHE_HIT;
    } else if (f != NULL) {
        err = wait_for_owner(cache, f, deadline_ns, ret_value, cap, ret_len, ret_outcome);
    } else {
        err = open_flight(cache, key, ret_outcome);
    }
    pthread_mutex_unlock(&cache->lock);
    return err;
}

void vx_cache_put(vx_cache *cache, const vx_cache_key *key, const void *value, size_t len)
{
    entry *e = new_entry(cache, key, value, len);
    pthread_mutex_lock(&cache->lock);
    if (e != NULL)
        keep(cache, e);
    flight *f = table_take(&cache->flights, key);
    if (f != NULL)
        hand_out(f, value, len);
    pthread_mutex_unlock(&cache->lock);
    free(f);
}

void vx_cache_abandon(vx_cache *cache, const vx_cache_key *key)
{
    pthread_mutex_lock(&cache->lock);
    flight *f = (flight *)*table_link(&cache->flights, key);
    if (f != NULL && f->oldest != NULL)
        end_wait(f, f->oldest, OWNS);
    else
        free(table_take(&cache->flights, key));
    pthread_mutex_unlock(&cache->lock);
}

bool vx_cache_peek(vx_cache *cache, const vx_cache_key *key, void *ret_value, size_t cap, size_t *ret_len)
{
    pthread_mutex_lock(&cache->lock);
    const entry *e = look_up(cache, key);
    bool hit = e != NULL && copy_hit(cache, e, ret_value, cap, ret_len) == VX_OK;
    if (e == NULL)
        cache->stats.misses++;
    pthread_mutex_unlock(&cache->lock);
    return hit;
}

void vx_cache_clear(vx_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    drop_all(cache);
    pthread_mutex_unlock(&cache->lock);
}

void vx_cache_get_stats(vx_cache *cache, vx_cache_stats *ret_stats)
{
    pthread_mutex_lock(&cache->lock);
    *ret_stats = cache->stats;
    pthread_mutex_unlock(&cache->lock);
}
