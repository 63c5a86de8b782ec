/* ecapa.h - the ECAPA-TDNN network: its shapes and weights, and one pass through it.
 * Owns:   the layer list and the order of computation. Does not: read files, compute features, manage memory.
 * Source: Desplanques, Thienpondt, Demuynck, "ECAPA-TDNN", Interspeech 2020, as SpeechBrain lays it out.
 */
#ifndef VX_ENGINE_ECAPA_H
#define VX_ENGINE_ECAPA_H

#include <stddef.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/team.h"
#include "shared/engine/gemm.h"
#include "shared/engine/kernels.h"
#include "shared/engine/safetensors.h"

enum {
    VX_ECAPA_BLOCKS = 3,
    VX_ECAPA_MAX_SCALE = 16,
    VX_ECAPA_MAX_CONVS = 1 + VX_ECAPA_BLOCKS * (2 + VX_ECAPA_MAX_SCALE) + 3
};

/* y = W x + bias for one vector. Borrowed. */
typedef struct {
    size_t n_out, n_in;
    const float *weight; /* [n_out, n_in], row stride weight_ld */
    size_t weight_ld;
    const float *bias; /* [n_out] */
} vx_dense;

typedef struct {
    vx_conv tdnn1, tdnn2;             /* [channels, channels] */
    vx_conv res2[VX_ECAPA_MAX_SCALE]; /* scale - 1 of [channels / scale, channels / scale, 3] */
    vx_dense se_squeeze, se_excite;   /* [se, channels], [channels, se] */
} vx_ecapa_block;

typedef struct {
    size_t bands, channels, scale, se, mfa_channels, attention, dim;
    vx_conv input; /* [channels, bands, 5] */
    vx_ecapa_block blocks[VX_ECAPA_BLOCKS];
    vx_conv mfa;                          /* [mfa_channels, 3 * channels] */
    vx_conv attention_in;                 /* [attention, mfa_channels]: the part of the weights that sees frames */
    vx_dense attention_context;           /* [attention, 2 * mfa_channels]: the part that sees the utterance's mean and
                                           deviation */
    vx_conv attention_out;                /* [mfa_channels, attention] */
    const float *pool_scale, *pool_shift; /* [2 * mfa_channels] */
    vx_dense embedding;                   /* [dim, 2 * mfa_channels] */
    float *folded;                        /* owned: batch norms as scale and shift, sums of int8 weights */
    vx_arena converted;                   /* owned: weights as bf16 */
} vx_ecapa;

/* Finds every tensor and takes all sizes from them. A convolution whose weight is I8 is one of int8 (docs/models.md says
 * what then stands beside it), one whose weight is BF16 one of bf16; which are, the file decides.
 * weights  [borrow] must outlive ret_net
 * bands    what the front end delivers
 * Errors   MODEL_SHAPE (info names the tensor, what was expected, what is there), NOMEM */
VX_MUST_CHECK vx_err vx_ecapa_bind(const vx_safetensors *weights, size_t bands, vx_ecapa *ret_net, vx_errinfo *info);
/* Turns every f32 convolution of a bound network into one of bf16, whose weights the network then owns; of the file's
 * f32 weights only those of vx_dense are still read. Errors: NOMEM, OVERFLOW; net is then as it was. */
VX_MUST_CHECK vx_err vx_ecapa_to_bf16(vx_ecapa *net, const vx_row_kernels *row);
/* Every convolution, in the order of the pass. Returns how many. */
size_t vx_ecapa_convs(vx_ecapa *net, vx_conv *ret_convs[VX_ECAPA_MAX_CONVS]);
/* What the layers that hold most of the arithmetic compute in. */
vx_number vx_ecapa_number(const vx_ecapa *net);
/* Frees what bind and to_bf16 made; all-zero is fine. */
void vx_ecapa_done(vx_ecapa *net);

/* Everything one pass needs. Borrowed by the functions below; one pass at a time on one runner. */
typedef struct {
    const vx_ecapa *net;
    const vx_kernels *kernels;
    const vx_gemm_plugin *gemm; /* products by a library, or NULL for our own; then team has one member */
    vx_team *team;
    size_t max_frames;
    float *scratch; /* vx_ecapa_scratch_floats(...) floats, 64-byte aligned */
} vx_ecapa_runner;

/* Fewest frames a pass can take: reflection must find a frame on the other side. */
size_t vx_ecapa_min_frames(const vx_ecapa *net);
/* Scratch for up to n_frames. Shorter clips touch only the front of it. */
size_t vx_ecapa_scratch_floats(const vx_ecapa *net, const vx_kernels *kernels, int team_size, size_t n_frames,
                               size_t max_frames);

/* Where the features of n_frames frames go: [bands, ret_ld] inside scratch. */
float *vx_ecapa_input(const vx_ecapa_runner *runner, size_t n_frames, size_t *ret_ld);
/* One pass over the features that lie in vx_ecapa_input.
 * ret_raw [out] [dim], not normalised; untouched on failure
 * Wipes features, statistics and pooled vectors from the scratch before it returns.
 * Errors  ENGINE when a library refused a product */
VX_MUST_CHECK vx_err vx_ecapa_run(const vx_ecapa_runner *runner, size_t n_frames, float *ret_raw);

#endif
