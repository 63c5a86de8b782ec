/* strategy.h - what a strategy of the engine is: a table of functions. Private to shared/engine. */
#ifndef VX_ENGINE_STRATEGY_H
#define VX_ENGINE_STRATEGY_H

#include <stddef.h>

#include "shared/engine/engine.h"

/* State of an opened strategy. */
typedef struct vx_strategy_state vx_strategy_state;

typedef struct vx_strategy {
    const char *name; /* also the artefact's name in the manifest */
    bool on_cpu_only; /* else options->device may name another */
    /* What options->precision and the manifest may ask for, besides auto: the bit 1 << p for each vx_precision p. */
    unsigned precisions;
    /* Resident memory that an engine adds to the process at most, while it is opened and on clips of up to 10 s: so
     * much, library included, and so many bytes for each byte of the artefact. A line drawn above what two models took
     * (docs/measurements.md, "Memory"). */
    size_t fixed_bytes;
    double bytes_per_byte;
    /* Whether a level has what the strategy needs; auto passes over what has not, without being degraded by it. NULL:
     * any level. */
    bool (*runs_on)(vx_isa isa);
    /* Opens the artefact. manifest is borrowed and outlives the state. Errors as vx_engine_open. */
    vx_err (*open)(const char *folder, const vx_manifest *manifest, const vx_engine_options *options,
                   vx_strategy_state **ret_state, vx_errinfo *info);
    /* Called once, after open: waits until the artefact's digest is proven. NULL: open returns only then.
     * Until it said VX_OK nothing that embed computes leaves the engine. Errors: MODEL_HASH, INTERNAL. */
    vx_err (*prove)(vx_strategy_state *state, vx_errinfo *info);
    /* ret_raw [out] [manifest->dim], not normalised. Any number of threads. Limits are checked by the caller. */
    vx_err (*embed)(vx_strategy_state *state, const float *samples, size_t n, float *ret_raw,
                    vx_engine_timing *ret_timing, vx_errinfo *info);
    /* Clips within the limits. ret_raw [out] [n, manifest->dim]; ret_errs [out] [n], a row of ret_raw is set where its
     * error is VX_OK. */
    void (*embed_batch)(vx_strategy_state *state, const vx_clip *clips, size_t n, float *ret_raw, vx_err *ret_errs,
                        vx_errinfo *info);
    /* Fills gemm, isa, device, precision, threads, weights_bytes. */
    void (*info)(const vx_strategy_state *state, vx_engine_info *ret_info);
    void (*close)(vx_strategy_state *state);
} vx_strategy;

extern const vx_strategy vx_strategy_native;    /* native.c */
extern const vx_strategy vx_strategy_half;      /* native.c */
extern const vx_strategy vx_strategy_quantized; /* native.c */
extern const vx_strategy vx_strategy_jit;       /* hosted.c */
extern const vx_strategy vx_strategy_onnx;      /* hosted.c */

/* Every strategy that there is; a plugin's library need not be there. NULL when no strategy has this name. */
const vx_strategy *vx_strategy_find(const char *name);

#endif
