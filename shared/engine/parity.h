/* parity.h - real clips of a baked model folder, and what the PyTorch reference computed for each: the proof that a
 * strategy gives the model's vectors, and the definition of the times that a manifest states.
 * Owns:   reading the file that the manifest's "parity" names; cosines and times of one engine on it.
 *         Does not: open engines, judge a number, print. models/bake.py writes the file (docs/models.md).
 */
#ifndef VX_ENGINE_PARITY_H
#define VX_ENGINE_PARITY_H

#include <stddef.h>

#include "shared/base/err.h"
#include "shared/engine/engine.h"
#include "shared/engine/manifest.h"

typedef struct vx_parity vx_parity;

/* Maps the clips and proves them: digest, model, every length.
 * manifest [in] of the same folder; not needed afterwards
 * Errors   MODEL_MISSING (the manifest names no clips, or no such file), MODEL_HASH, MODEL_CORRUPT (not the tensors that
 *          bake writes), MODEL_MISMATCH (embeddings of another model), PERMISSION, IO, NOMEM */
VX_MUST_CHECK vx_err vx_parity_open(const char *folder, const vx_manifest *manifest, vx_parity **ret_parity,
                                    vx_errinfo *info);
/* NULL is fine. */
void vx_parity_close(vx_parity *parity);

size_t vx_parity_clips(const vx_parity *parity);
/* All clips together. */
double vx_parity_seconds(const vx_parity *parity);

typedef struct {
    double min, median;
    size_t worst; /* clip with the smallest, from 0 */
} vx_parity_cosines;

/* Cosine of the engine's embedding to the reference's, over all clips.
 * Errors   those of vx_engine_embed (info says which clip), MODEL_MISMATCH, NOMEM */
VX_MUST_CHECK vx_err vx_parity_compare(const vx_parity *parity, vx_engine *engine, vx_parity_cosines *ret_cosines,
                                       vx_errinfo *info);

/* What "inference_ms" means: samples to embedding of a clip of this length. */
#define VX_PARITY_TIMED_S 3
enum { VX_PARITY_WARM_UPS = 3, VX_PARITY_RUNS = 21 };

/* Median time of one clip of VX_PARITY_TIMED_S, on the threads that the engine was opened with: all clips in a row, cut
 * at that length (from the start again where they are shorter).
 * Errors   those of vx_engine_embed, NOMEM */
VX_MUST_CHECK vx_err vx_parity_time(const vx_parity *parity, vx_engine *engine, double *ret_ms, vx_errinfo *info);

#endif
