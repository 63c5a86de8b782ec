/* manifest.h - what a model folder says of itself: .optimization_manifest.json.
 * Owns:   reading and checking the manifest, and the digests of the files it names. Does not: load weights.
 */
#ifndef VX_ENGINE_MANIFEST_H
#define VX_ENGINE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/audio/fbank.h"
#include "shared/base/err.h"
#include "shared/base/file.h"
#include "shared/engine/calibration.h"
#include "shared/engine/embedding.h"

#define VX_MANIFEST_NAME          ".optimization_manifest.json"
#define VX_MANIFEST_MAX_ARTEFACTS 8

/* What numbers the network's products are computed in. */
typedef enum { VX_PRECISION_AUTO, VX_PRECISION_F32, VX_PRECISION_BF16, VX_PRECISION_INT8 } vx_precision;
/* "auto", "f32", "bf16", "int8". Static. */
const char *vx_precision_name(vx_precision precision);

/* One file that a strategy can run. Times and cosine are what bake measured; negative means not measured. */
typedef struct {
    char strategy[16]; /* "native", "jit", ... */
    char file[64];     /* plain name inside the folder */
    size_t bytes;
    uint8_t sha256[VX_SHA256_BYTES];
    vx_precision precision; /* what was measured, and what `auto` computes in; VX_PRECISION_AUTO: not stated */
    double cosine_min;      /* to the f32 reference, over bake's clips; 0 where it was below */
    double load_ms;
    double inference_ms;
} vx_artefact;

typedef struct {
    char name[64]; /* "voxlock-starter-256" */
    char source[256];
    char licence[64];
    char accuracy[256]; /* measured accuracy in one sentence, or "" */
    int starter;        /* 1: good enough to try things out, not to lock a screen with, unless its owner says so */
    int dim;
    vx_fbank_params fbank;
    /* P(same speaker | cosine) = 1 / (1 + exp(-(slope * cosine + offset))); calibrated is false when absent. */
    bool calibrated;
    double calibration_slope, calibration_offset;
    double threshold; /* cosine above which verify says yes unless the caller names another */
    /* Strangers that scores of voiceprints are measured on (score.h): a file like an artefact's, but of no strategy and
     * not measured. cohort_count is 0 when absent. */
    vx_artefact cohort;
    int cohort_count, cohort_top;
    double cohort_floor;
    /* What such a score says; nothing when absent. */
    bool score_calibrated;
    vx_calibration score_calibration;
    /* What the reference implementation computes for self_test.h's signal; self_test_dim is 0 when absent, else dim. */
    float self_test[VX_EMBEDDING_MAX_DIM];
    int self_test_dim;
    vx_artefact artefacts[VX_MANIFEST_MAX_ARTEFACTS];
    int n_artefacts;
    /* The clips that bake compared and timed with (parity.h): a file like an artefact's, but of no strategy and not
     * measured. parity_clips is 0 when absent. */
    vx_artefact parity;
    int parity_clips;
    vx_model_digest digest; /* the reference weights': sha256 of the artefact "native" (model.safetensors) */
} vx_manifest;

struct vx_proof;

/* Reads and checks folder/.optimization_manifest.json (at most 1 MiB). Unknown keys are refused, so that a misspelt
 * front-end value cannot be ignored; keys that start with "_" are comments.
 * Errors: MODEL_MISSING, MODEL_CORRUPT (info: file, and key or line), PERMISSION, IO, NOMEM. ret is untouched on
 * failure. */
VX_MUST_CHECK vx_err vx_manifest_read(const char *folder, vx_manifest *ret, vx_errinfo *info);
/* The same from text. */
VX_MUST_CHECK vx_err vx_manifest_parse(const char *text, size_t len, vx_manifest *ret, vx_errinfo *info);

/* NULL when the manifest has no artefact for the strategy. Borrowed. */
const vx_artefact *vx_manifest_artefact(const vx_manifest *manifest, const char *strategy);
/* Maps an artefact's file and proves size and SHA-256 before anything else sees a byte of it.
 * Errors: MODEL_MISSING, MODEL_HASH (info says both sizes or digests), PERMISSION, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_manifest_open_artefact(const char *folder, const vx_artefact *artefact, vx_map *ret_map,
                                               vx_errinfo *info);

/* Maps an artefact's file and starts to prove it (proof.h): for a reader that withstands any bytes and lets nothing out
 * before vx_proof_end.
 * ret_map [out] stays where it is until vx_proof_end: the proof reads through it
 * Errors: as above, but for the digest's; both results are then as good as untouched: the map is closed. */
VX_MUST_CHECK vx_err vx_manifest_map_artefact(const char *folder, const vx_artefact *artefact, vx_map *ret_map,
                                              struct vx_proof **ret_proof, vx_errinfo *info);

/* Calibrated probability that cosine comes from one speaker; false (ret untouched) when the model has no calibration. */
bool vx_manifest_probability(const vx_manifest *manifest, double cosine, double *ret);

#endif
