/* engine.h - samples to speaker embedding, behind one interface for every strategy.
 * Owns:   choosing and running a strategy. Does not: decode audio, cache, queue.
 */
#ifndef VX_ENGINE_ENGINE_H
#define VX_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cpu.h"
#include "shared/base/err.h"
#include "shared/engine/embedding.h"
#include "shared/engine/manifest.h"

typedef struct vx_engine vx_engine;

typedef struct {
    const char *strategy; /* "auto" (NULL too), "native" */
    const char *gemm;     /* matrix products of the native engine: "auto" (NULL too), "simd", "onednn", "blas" */
    int threads;          /* cores one call may use, at least 1 */
    vx_isa isa;           /* highest instruction set to use; normally vx_isa_best() */
    bool fall_back;       /* when what was asked for cannot be had: open what can, and say so in `reason` */
} vx_engine_options;
/* auto, auto, 1 thread, best instruction set, no falling back. */
vx_engine_options vx_engine_options_default(void);

typedef struct {
    double features_ms;
    double network_ms;
} vx_engine_timing;

typedef struct {
    const char *strategy;  /* "native" */
    const char *gemm;      /* "simd" */
    const char *isa;       /* "avx512" */
    const char *precision; /* "f32" */
    const char *reason;    /* why this strategy was taken, one sentence */
    bool degraded;         /* it is not what was asked for */
    int threads;
    int dim;
    double load_ms; /* open, from call to return */
    size_t weights_bytes;
    const vx_manifest *manifest;
} vx_engine_info;

/* Opens a model folder. Errors: MODEL_*, OPTION_VALUE (a strategy or gemm that this build does not have), UNSUPPORTED
 * (isa), NOMEM; info says which file and why. With fall_back, why the last resort failed. */
VX_MUST_CHECK vx_err vx_engine_open(const char *folder, const vx_engine_options *options, vx_engine **ret_engine,
                                    vx_errinfo *info);
/* No call may be running. NULL is fine. */
void vx_engine_close(vx_engine *engine);

/* One utterance to one embedding.
 * samples       [in]  n, 16 kHz mono, full scale 1.0, 0.3 to 60 s (the limits of audio.h)
 * ret_embedding [out] L2-normalised, tagged with the model's digest; untouched on failure
 * ret_timing    [out] may be NULL
 * Memory   scratch for one caller is reserved at open, for each further one at once when it first comes; it is touched
 *          as far as the clip needs, kept, and given back to the system behind 10 s worth
 * Threads  any number of callers; each runs on its own scratch with `threads` cores
 * Errors   AUDIO_SHORT, AUDIO_LONG, AUDIO_NOT_FINITE, ENGINE (result not finite), NOMEM */
VX_MUST_CHECK vx_err vx_engine_embed(vx_engine *engine, const float *samples, size_t n, vx_embedding *ret_embedding,
                                     vx_engine_timing *ret_timing);
/* What was opened, and why. Borrowed from the engine. */
void vx_engine_get_info(const vx_engine *engine, vx_engine_info *ret_info);

#endif
