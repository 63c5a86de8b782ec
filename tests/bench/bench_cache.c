/* bench_cache.c - operations a second of the embedding cache: hit, miss and put, the same with eviction.
 * Owns:   one table on stdout and build/bench/cache.json. Does not: judge; docs/measurements.md keeps the results.
 * Usage:  bench_cache, in the repository root. With one thread and with two that share one cache, which is what its
 *         single lock has to bear; keys and values are of the service's sizes (SHA-256, 192 floats).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/clock.h"
#include "shared/base/team.h"
#include "shared/resilience/cache.h"
#include "tests/support/stats.h"

#define VALUE_BYTES (192 * sizeof(float))
#define N_ENTRIES   1000 /* the service's default */
#define BATCH       2000 /* operations of each thread between two readings of the clock */
#define RUNS        101
#define WARM_UP     10
#define MAX_THREADS 2
#define JSON_PATH   "build/bench/cache.json"

typedef enum { HIT, MISS, EVICT } kind; /* MISS: begin and put, with room for all */
static const char *const kind_names[] = {"hit", "miss_put", "miss_put_evict"};

typedef struct {
    kind kind;
    int threads;
    double median, low, high; /* operations a second, all threads together: 50th, 10th and 90th percentile */
} result;

/* One batch, run by all threads together. */
typedef struct {
    vx_cache *cache;
    kind kind;
    uint64_t random[MAX_THREADS]; /* state of each thread's keys */
    bool failed[MAX_THREADS];
} batch;

static vx_cache_key random_key(uint64_t *random)
{
    vx_cache_key key;
    for (size_t i = 0; i < sizeof key; i += sizeof *random) {
        uint64_t word = stats_random(random);
        memcpy(key.bytes + i, &word, sizeof word);
    }
    return key;
}

/* Key number n of those that the cache is filled with at first. */
static vx_cache_key resident_key(uint64_t n)
{
    return random_key(&n);
}

static void run_batch(void *arg, int rank)
{
    batch *b = arg;
    uint64_t random = b->random[rank];
    uint8_t value[VALUE_BYTES] = {0};
    bool failed = false;
    for (int i = 0; i < BATCH; i++) {
        const bool hit = b->kind == HIT;
        vx_cache_key key = hit ? resident_key(stats_random(&random) % N_ENTRIES) : random_key(&random);
        vx_cache_outcome outcome = VX_CACHE_JOINED;
        size_t len;
        vx_err err = vx_cache_begin(b->cache, &key, 0, value, sizeof value, &len, &outcome);
        failed |= err != VX_OK || outcome != (hit ? VX_CACHE_HIT : VX_CACHE_OWNER);
        if (outcome == VX_CACHE_OWNER)
            vx_cache_put(b->cache, &key, value, sizeof value);
    }
    b->random[rank] = random;
    b->failed[rank] |= failed;
}

/* Starts every batch from the same contents: the first N_ENTRIES keys. */
static bool refill(vx_cache *cache)
{
    static const uint8_t value[VALUE_BYTES];
    vx_cache_clear(cache);
    for (uint64_t n = 0; n < N_ENTRIES; n++) {
        vx_cache_key key = resident_key(n);
        vx_cache_put(cache, &key, value, sizeof value);
    }
    vx_cache_stats stats;
    vx_cache_get_stats(cache, &stats);
    return stats.entries == N_ENTRIES;
}

static bool measure(result *r)
{
    static double rates[RUNS];
    const size_t room = r->kind == MISS ? N_ENTRIES + MAX_THREADS * BATCH : N_ENTRIES;
    const vx_cache_limits limits = {room, 16u << 20, 3600 * 1000000000ull, vx_clock_monotonic()};
    batch b = {.kind = r->kind, .random = {1000000, 2000000}};
    vx_team *team = NULL;
    bool ok = vx_cache_create(&limits, &b.cache) == VX_OK && vx_team_create(r->threads, &team) == VX_OK;
    for (int run = -WARM_UP; ok && run < RUNS; run++) {
        ok = refill(b.cache);
        const uint64_t start = vx_now_ns();
        vx_team_run(team, run_batch, &b);
        if (run >= 0)
            rates[run] = r->threads * BATCH / (vx_ms_since(start) / 1e3);
    }
    ok = ok && !b.failed[0] && !b.failed[1];
    vx_team_destroy(team);
    vx_cache_destroy(b.cache);
    const spread s = stats_spread(rates, RUNS);
    r->median = s.median;
    r->low = s.p10;
    r->high = s.p90;
    return ok;
}

static bool write_json(const result *results, size_t n)
{
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        return false;
    FILE *file = fopen(JSON_PATH, "w");
    if (file == NULL)
        return false;
    (void)fprintf(file, "{\"bench\": \"cache\", \"runs\": %d, \"entries\": %d, \"value_bytes\": %zu, \"results\": [",
                  RUNS, N_ENTRIES, VALUE_BYTES);
    for (size_t i = 0; i < n; i++) {
        const result *r = &results[i];
        (void)fprintf(file, "%s\n  {\"name\": \"%s\", \"threads\": %d, \"median_per_s\": %.0f, ", i > 0 ? "," : "",
                      kind_names[r->kind], r->threads, r->median);
        (void)fprintf(file, "\"p10_per_s\": %.0f, \"p90_per_s\": %.0f}", r->low, r->high);
    }
    (void)fprintf(file, "\n]}\n");
    const int failed = ferror(file);
    return fclose(file) == 0 && !failed;
}

int main(void)
{
    result results[] = {{.kind = HIT, .threads = 1},  {.kind = HIT, .threads = 2},   {.kind = MISS, .threads = 1},
                        {.kind = MISS, .threads = 2}, {.kind = EVICT, .threads = 1}, {.kind = EVICT, .threads = 2}};
    const size_t n = sizeof results / sizeof results[0];
    (void)printf("%-16s %8s %14s %26s\n", "operation", "threads", "median 1/s", "10 % .. 90 %");
    for (size_t i = 0; i < n; i++) {
        const result *r = &results[i];
        if (!measure(&results[i])) {
            (void)fprintf(stderr, "bench_cache: %s did not behave\n", kind_names[r->kind]);
            return 1;
        }
        (void)printf("%-16s %8d %14.0f %12.0f .. %10.0f\n", kind_names[r->kind], r->threads, r->median, r->low,
                     r->high);
    }
    if (!write_json(results, n)) {
        (void)fprintf(stderr, "bench_cache: cannot write " JSON_PATH "\n");
        return 1;
    }
    (void)printf("written: " JSON_PATH "\n");
    return 0;
}
