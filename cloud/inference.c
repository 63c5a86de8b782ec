/* inference.c - cache, breaker, engine. */
#include "cloud/inference.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/faults.h"
#include "shared/base/bytes.h"
#include "shared/base/sha256.h"

/* What a request's bytes are remembered as: the audio they held, and its measures for the answer. */
typedef struct {
    vx_cache_key key;
    vx_audio audio; /* samples NULL */
    int note;
} recalled;

/* Counters of the cache, and how much of each the metrics have been told. */
enum { HITS, MISSES, JOINED, EVICTED, EXPIRED, N_COUNTERS };

struct vx_inference {
    vx_cache *embeddings; /* SHA-256 of model and samples -> [dim] floats */
    vx_cache *requests;   /* SHA-256 of a request's bytes -> recalled */
    vx_breaker *breaker;
    /* Requests recalled whose embedding was forgotten: a miss of the cache that the computation which follows counts
     * once more. */
    _Atomic uint64_t half_recalled;

    pthread_mutex_t lock; /* guards told */
    uint64_t told[N_COUNTERS + 1];
    vx_metric *counters[N_COUNTERS + 1]; /* the last: times the breaker opened */
    vx_metric *entries, *bytes, *breaker_state;
};

static void create_metrics(vx_inference *inference, vx_metrics *m)
{
    static const struct {
        const char *name, *help;
    } counters[N_COUNTERS + 1] = {
        [HITS] = {"voxlock_cache_hits_total", "Embeddings answered from memory."},
        [MISSES] = {"voxlock_cache_misses_total", "Embeddings that had to be computed."},
        [JOINED] = {"voxlock_cache_joined_total", "Embeddings taken from a computation already under way."},
        [EVICTED] = {"voxlock_cache_evicted_total", "Embeddings forgotten to make room."},
        [EXPIRED] = {"voxlock_cache_expired_total", "Embeddings forgotten because of their age."},
        [N_COUNTERS] = {"voxlock_breaker_opened_total", "Times the circuit breaker opened."},
    };
    for (int i = 0; i <= N_COUNTERS; i++)
        inference->counters[i] = vx_metrics_counter(m, counters[i].name, counters[i].help, "");
    inference->entries = vx_metrics_gauge(m, "voxlock_cache_entries", "Embeddings in memory.", "");
    inference->bytes = vx_metrics_gauge(m, "voxlock_cache_bytes", "Memory of the caches.", "");
    inference->breaker_state =
        vx_metrics_gauge(m, "voxlock_breaker_state", "Circuit breaker: 0 closed, 1 half open, 2 open.", "");
}

vx_err vx_inference_create(const vx_options *options, vx_metrics *metrics, vx_inference **ret_inference)
{
    const size_t bytes = (size_t)vx_option_int(options, "VOXLOCK_CACHE_BYTES");
    vx_cache_limits limits = {
        .max_entries = (size_t)vx_option_int(options, "ECAPA_CACHE_SIZE"),
        .max_bytes = bytes / 4 * 3,
        .ttl_ns = (uint64_t)vx_option_int(options, "ECAPA_CACHE_TTL") * 1000000000u,
        .clock = vx_clock_monotonic(),
    };
    vx_inference *inference = calloc(1, sizeof *inference);
    if (!inference)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&inference->lock, NULL) != 0) {
        free(inference);
        return VX_ERR_INTERNAL;
    }
    vx_err err = vx_cache_create(&limits, &inference->embeddings);
    /* An entry is a quarter of an embedding's: one share of memory keeps about as many of both. */
    limits.max_bytes = bytes / 4;
    if (err == VX_OK)
        err = vx_cache_create(&limits, &inference->requests);
    if (err == VX_OK)
        err = vx_breaker_create((int)vx_option_int(options, "VOXLOCK_BREAKER_FAILURES"),
                                (uint64_t)vx_option_int(options, "VOXLOCK_BREAKER_OPEN_MS") * 1000000u,
                                vx_clock_monotonic(), &inference->breaker);
    if (err != VX_OK) {
        vx_inference_destroy(inference);
        return err;
    }
    create_metrics(inference, metrics);
    *ret_inference = inference;
    return VX_OK;
}

void vx_inference_destroy(vx_inference *inference)
{
    if (!inference)
        return;
    vx_breaker_destroy(inference->breaker);
    vx_cache_destroy(inference->requests);
    vx_cache_destroy(inference->embeddings);
    pthread_mutex_destroy(&inference->lock);
    free(inference);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static vx_err hash(const vx_bytes *parts, size_t n_parts, bool with_lengths, vx_cache_key *ret_key)
{
    vx_sha256 *sha = NULL;
    vx_err err = vx_sha256_create(&sha);
    for (size_t i = 0; i < n_parts && err == VX_OK; i++) {
        const uint64_t len = parts[i].len;
        if (with_lengths)
            err = vx_sha256_update(sha, &len, sizeof len);
        if (err == VX_OK)
            err = vx_sha256_update(sha, parts[i].data, parts[i].len);
    }
    if (err == VX_OK)
        err = vx_sha256_final(sha, ret_key->bytes);
    vx_sha256_destroy(sha);
    return err;
}

vx_err vx_inference_request_key(const vx_bytes *parts, size_t n_parts, vx_cache_key *ret_key)
{
    return hash(parts, n_parts, true, ret_key);
}

static vx_err audio_key(const vx_engine_info *engine, const vx_audio *audio, vx_cache_key *ret_key)
{
    const vx_bytes parts[] = {{engine->manifest->digest.bytes, sizeof engine->manifest->digest.bytes},
                              {audio->samples, audio->n * sizeof *audio->samples}};
    return hash(parts, 2, false, ret_key);
}

/* ---- computing ------------------------------------------------------------------------------------------------- */

/* What says something of the engine, and what only of this clip. */
static vx_attempt judge(vx_err err)
{
    if (err == VX_OK)
        return VX_ATTEMPT_SUCCEEDED;
    return err == VX_ERR_ENGINE || err == VX_ERR_NOMEM || err == VX_ERR_INTERNAL ? VX_ATTEMPT_FAILED
                                                                                 : VX_ATTEMPT_NEUTRAL;
}

static vx_err compute(vx_inference *inference, vx_engine *engine, const vx_audio *audio, vx_embedding *ret_embedding,
                      vx_inference_trace *trace, vx_errinfo *info)
{
    uint64_t ticket, retry_ns;
    if (!vx_breaker_allow(inference->breaker, &ticket, &retry_ns)) {
        vx_errinfo_set(info, VX_ERR_CIRCUIT_OPEN, "the engine failed repeatedly and is given a pause; try again later");
        if (info && info->code == VX_ERR_CIRCUIT_OPEN)
            info->retry_s = (int)(retry_ns / 1000000000u) + 1;
        return VX_ERR_CIRCUIT_OPEN;
    }
    vx_engine_timing timing = {0};
    vx_err err = vx_fault_inference();
    if (err == VX_OK)
        err = vx_engine_embed(engine, audio->samples, audio->n, ret_embedding, &timing, info);
    vx_breaker_report(inference->breaker, ticket, judge(err));
    trace->features_ms = timing.features_ms;
    trace->network_ms = timing.network_ms;
    return err;
}

/* A cached value is the bare numbers: the digest is the engine's. */
static void from_cache(const vx_engine_info *engine, const float *values, vx_embedding *ret_embedding)
{
    ret_embedding->model = engine->manifest->digest;
    ret_embedding->dim = engine->dim;
    memcpy(ret_embedding->values, values, (size_t)engine->dim * sizeof *values);
}

vx_err vx_inference_embed(vx_inference *inference, vx_engine *engine, const vx_audio *audio, uint64_t deadline_ns,
                          vx_cache_key *ret_key, vx_embedding *ret_embedding, vx_inference_trace *ret_trace,
                          vx_errinfo *info)
{
    float values[VX_EMBEDDING_MAX_DIM];
    vx_engine_info about;
    vx_cache_key key;
    vx_cache_outcome outcome;
    vx_inference_trace trace = {0};
    size_t len;
    vx_engine_get_info(engine, &about);
    vx_err err = audio_key(&about, audio, &key);
    if (err == VX_OK)
        err = vx_cache_begin(inference->embeddings, &key, deadline_ns, values, sizeof values, &len, &outcome);
    if (err != VX_OK)
        return err;
    if (outcome == VX_CACHE_OWNER) {
        err = compute(inference, engine, audio, ret_embedding, &trace, info);
        if (err == VX_OK)
            vx_cache_put(inference->embeddings, &key, ret_embedding->values, (size_t)about.dim * sizeof *values);
        else
            vx_cache_abandon(inference->embeddings, &key);
    } else {
        trace.cached = true;
        from_cache(&about, values, ret_embedding);
        vx_wipe(values, sizeof values);
    }
    if (err != VX_OK)
        return err;
    if (ret_key)
        *ret_key = key;
    *ret_trace = trace;
    return VX_OK;
}

/* ---- requests seen before -------------------------------------------------------------------------------------- */

bool vx_inference_recall(vx_inference *inference, vx_engine *engine, const vx_cache_key *request,
                         vx_embedding *ret_embedding, vx_audio *ret_audio, int *ret_note)
{
    recalled entry;
    float values[VX_EMBEDDING_MAX_DIM];
    vx_engine_info about;
    size_t len;
    if (!vx_cache_peek(inference->requests, request, &entry, sizeof entry, &len))
        return false;
    if (!vx_cache_peek(inference->embeddings, &entry.key, values, sizeof values, &len)) {
        atomic_fetch_add(&inference->half_recalled, 1);
        return false;
    }
    vx_engine_get_info(engine, &about);
    from_cache(&about, values, ret_embedding);
    vx_wipe(values, sizeof values);
    *ret_audio = entry.audio;
    *ret_note = entry.note;
    return true;
}

void vx_inference_remember(vx_inference *inference, const vx_cache_key *request, const vx_cache_key *key,
                           const vx_audio *audio, int note)
{
    recalled entry = {.key = *key, .audio = *audio, .note = note};
    vx_cache_outcome outcome;
    size_t len;
    entry.audio.samples = NULL;
    /* Two that send the same bytes at once both get here: the second finds the entry, or waits for nobody. */
    if (vx_cache_begin(inference->requests, request, 0, &(recalled){0}, sizeof entry, &len, &outcome) == VX_OK &&
        outcome == VX_CACHE_OWNER)
        vx_cache_put(inference->requests, request, &entry, sizeof entry);
}

/* ---- what is seen from outside --------------------------------------------------------------------------------- */

void vx_inference_cache_stats(vx_inference *inference, vx_cache_stats *ret_stats)
{
    vx_cache_stats requests;
    uint64_t half_recalled = atomic_load(&inference->half_recalled); /* before the misses, so that it is never more */
    vx_cache_get_stats(inference->embeddings, ret_stats);
    vx_cache_get_stats(inference->requests, &requests);
    ret_stats->bytes += requests.bytes;
    ret_stats->misses -= half_recalled;
}

void vx_inference_breaker_view(vx_inference *inference, vx_breaker_view *ret_view)
{
    vx_breaker_get(inference->breaker, ret_view);
}

void vx_inference_refresh_metrics(vx_inference *inference)
{
    static const int shown[] = {[VX_BREAKER_CLOSED] = 0, [VX_BREAKER_HALF_OPEN] = 1, [VX_BREAKER_OPEN] = 2};
    vx_cache_stats cache;
    vx_breaker_view breaker;
    vx_inference_cache_stats(inference, &cache);
    vx_inference_breaker_view(inference, &breaker);
    const uint64_t now[N_COUNTERS + 1] = {
        [HITS] = cache.hits,       [MISSES] = cache.misses,   [JOINED] = cache.joined,
        [EVICTED] = cache.evicted, [EXPIRED] = cache.expired, [N_COUNTERS] = breaker.opened_count};
    pthread_mutex_lock(&inference->lock);
    for (int i = 0; i <= N_COUNTERS; i++) {
        /* Two readers may arrive in the other order: a counter never goes back. */
        if (now[i] > inference->told[i]) {
            vx_metric_add(inference->counters[i], now[i] - inference->told[i]);
            inference->told[i] = now[i];
        }
    }
    pthread_mutex_unlock(&inference->lock);
    vx_metric_set(inference->entries, (double)cache.entries);
    vx_metric_set(inference->bytes, (double)cache.bytes);
    vx_metric_set(inference->breaker_state, shown[breaker.state]);
}
