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

/* What one strategy said when it was asked to open. */
typedef struct {
    char strategy[16];
    vx_err err;                 /* VX_OK: it is the one that runs */
    char text[VX_ERRINFO_LINE]; /* what was wrong, one line; "" when nothing was */
} vx_engine_trial;

/* Each artefact as it was asked for, and once more as a last resort. */
enum { VX_ENGINE_MAX_TRIALS = 2 * VX_MANIFEST_MAX_ARTEFACTS };
typedef struct {
    int n;
    vx_engine_trial list[VX_ENGINE_MAX_TRIALS]; /* in the order in which they were tried */
} vx_engine_trials;

/* One utterance; samples as in vx_engine_embed. */
typedef struct {
    const float *samples;
    size_t n;
} vx_clip;

/* An utterance that is there before the engine is. It is embedded while the digest of the weights is still being computed,
 * so that a program with one thing to do does it in the time that proving the file takes. */
typedef struct {
    vx_clip clip;
    vx_err err; /* [out] as vx_engine_embed; set where the open succeeds, a bad clip never fails it */
    vx_errinfo info;
    vx_embedding embedding; /* [out] where err is VX_OK */
} vx_engine_first;

typedef struct {
    const char *strategy; /* "auto" (NULL too), "native", "half", "quantized", "jit", "onnx" */
    const char *device;   /* "cpu" (NULL too), "cuda", "mps" */
    const char *gemm;     /* matrix products of the native engine: "auto" (NULL too), "simd", "onednn", "blas" */
    vx_precision
        precision;        /* auto: what the manifest states for the strategy, else f32. bf16 of native is f32 where the
                             machine has no instruction for it; vx_engine_info says what it came to */
    bool reference_first; /* auto takes the f32 reference whatever was measured */
    int threads;          /* cores one call may use, at least 1 */
    bool
        shared; /* for several callers at once: `threads` cores for a clip that is alone and long enough to gain by it, one
                  * for each of several; libraries always one */
    vx_isa isa;       /* highest instruction set to use; normally vx_isa_best() */
    bool self_test;   /* run self_test.h on `native` too before the open counts; on other strategies it always is */
    size_t max_bytes; /* a strategy that takes more by strategy.h's estimate is not opened (NOMEM); 0: no limit */
    const char *mapped_strategy;  /* its library is in the process already, so it has a limit of its own; or NULL */
    size_t max_bytes_mapped;      /* max_bytes, and what that library has */
    const char *max_bytes_from;   /* what sets that limit, for the sentence; NULL only with max_bytes 0 */
    bool fall_back;               /* when what was asked for cannot be had: open what can, and say so in `reason` */
    vx_engine_first *first;       /* embedded on the way, or NULL */
    vx_engine_trials *ret_trials; /* [out] what each strategy said, whatever comes of the open; may be NULL */
} vx_engine_options;
/* auto everywhere, cpu, 1 thread, best instruction set, no self-test of native, no falling back. */
vx_engine_options vx_engine_options_default(void);

typedef struct {
    double features_ms;
    double network_ms;
} vx_engine_timing;

typedef struct {
    const char *strategy;  /* "native" */
    const char *gemm;      /* who computes the products: "simd", "oneDNN 2.6.3", "libtorch 1.13.1" */
    const char *isa;       /* of our own kernels: "avx512" */
    const char *device;    /* "cpu" */
    const char *precision; /* "f32" */
    const char *reason;    /* why this strategy was taken, one sentence */
    bool degraded;         /* it is not what was asked for */
    int threads;
    int dim;
    double load_ms;   /* open, from call to return */
    double self_test; /* cosine to the manifest's self-test embedding; -2: not run, or the manifest has none */
    size_t weights_bytes;
    const vx_manifest *manifest;
} vx_engine_info;

/* Opens a model folder with the strategy asked for. Whatever is computed before the digest of its file is proven stays
 * inside: a file that is not the stated one gives no engine and no embedding.
 * `auto` takes those of choose.h that can do what device and precision ask, in order, and falls down that list when one
 * cannot be opened or fails its self-test. With fall_back the whole list is tried at last without any wish for strategy,
 * device, products and precision. What is not the first choice is degraded.
 * Errors: MODEL_*, OPTION_VALUE (a strategy, gemm, device or precision that cannot be had), UNSUPPORTED (isa), ARG
 * (threads), ENGINE (self-test), NOMEM; info says which file and why. Of several strategies that failed the last one's:
 * the last resort keeps the service down, and what ails it may pass where a setting does not. */
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
 * Errors   AUDIO_SHORT, AUDIO_LONG, AUDIO_NOT_FINITE, AUDIO_SCALE, ENGINE (result not finite, or what a library said),
 *          NOMEM */
VX_MUST_CHECK vx_err vx_engine_embed(vx_engine *engine, const float *samples, size_t n, vx_embedding *ret_embedding,
                                     vx_engine_timing *ret_timing, vx_errinfo *info);

enum { VX_ENGINE_MAX_BATCH = 1024 };

/* Many utterances at once: native gives each of its `threads` cores a clip of its own; a library gets clips of one
 * length together. A clip's company does not change its result: not by a bit on native, by rounding in a library.
 * clips          [in]  n, 1 to VX_ENGINE_MAX_BATCH, of any lengths
 * ret_embeddings [out] [n]; those whose error is VX_OK are set, the others untouched
 * ret_errs       [out] [n], as vx_engine_embed; a bad clip never fails the others
 * info           [out] may be NULL; what a library said of the first call that it failed
 * Errors   ARG (n), NOMEM: then nothing was set */
VX_MUST_CHECK vx_err vx_engine_embed_batch(vx_engine *engine, const vx_clip *clips, size_t n,
                                           vx_embedding *ret_embeddings, vx_err *ret_errs, vx_errinfo *info);
/* What was opened, and why. Borrowed from the engine. */
void vx_engine_get_info(const vx_engine *engine, vx_engine_info *ret_info);

#endif
