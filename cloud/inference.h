/* inference.h - the way from samples to an embedding inside the service: cache, single flight, breaker, engine.
 * Owns:   the caches and the circuit breaker, and their metrics. Does not: decode, queue, or wait for the model.
 */
#ifndef VX_CLOUD_INFERENCE_H
#define VX_CLOUD_INFERENCE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/audio/audio.h"
#include "shared/base/metrics.h"
#include "shared/base/options.h"
#include "shared/engine/engine.h"
#include "shared/resilience/breaker.h"
#include "shared/resilience/cache.h"

typedef struct vx_inference vx_inference;

/* Limits from the settings ECAPA_CACHE_SIZE, ECAPA_CACHE_TTL, VOXLOCK_CACHE_BYTES, VOXLOCK_BREAKER_FAILURES and
 * VOXLOCK_BREAKER_OPEN_MS. Both are borrowed. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_inference_create(const vx_options *options, vx_metrics *metrics, vx_inference **ret_inference);
void vx_inference_destroy(vx_inference *inference);

/* How one embedding came about. */
typedef struct {
    bool cached;
    double features_ms, network_ms; /* 0 when cached */
} vx_inference_trace;

/* The embedding of audio, remembered or computed; the same audio asked for by several at once is computed once.
 * engine        [in]  a serving engine; always the same one
 * ret_key       [out] what the audio is remembered by; may be NULL
 * ret_embedding [out] wiped by the caller after use; untouched on failure
 * Errors        DEADLINE, CIRCUIT_OPEN (info: when to come back), those of vx_engine_embed */
VX_MUST_CHECK vx_err vx_inference_embed(vx_inference *inference, vx_engine *engine, const vx_audio *audio,
                                        uint64_t deadline_ns, vx_cache_key *ret_key, vx_embedding *ret_embedding,
                                        vx_inference_trace *ret_trace, vx_errinfo *info);

/* A request's own bytes as a key: the same bytes mean the same audio, which then need not be decoded to be recognised.
 * Parts are hashed with their lengths. Errors: NOMEM, INTERNAL. */
typedef struct {
    const void *data;
    size_t len;
} vx_bytes;
VX_MUST_CHECK vx_err vx_inference_request_key(const vx_bytes *parts, size_t n_parts, vx_cache_key *ret_key);
/* True if these bytes were answered before and the embedding is still known.
 * ret_audio [out] the recording's measures; samples are NULL
 * ret_note  [out] what the caller noted with it: how the answer was wanted, which the bytes say too */
bool vx_inference_recall(vx_inference *inference, vx_engine *engine, const vx_cache_key *request,
                         vx_embedding *ret_embedding, vx_audio *ret_audio, int *ret_note);
/* audio is what the request decoded to (its samples are not kept), key what vx_inference_embed returned for it. */
void vx_inference_remember(vx_inference *inference, const vx_cache_key *request, const vx_cache_key *key,
                           const vx_audio *audio, int note);

void vx_inference_cache_stats(vx_inference *inference, vx_cache_stats *ret_stats);
void vx_inference_breaker_view(vx_inference *inference, vx_breaker_view *ret_view);
/* Brings counters and gauges up to date; called when metrics are asked for. */
void vx_inference_refresh_metrics(vx_inference *inference);

#endif
