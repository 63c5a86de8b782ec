/* fbank_kernel.h - what fbank.c asks of a kernel. Private to fbank.
 * Owns:   the kernels' contract and the tables they read. Does not: choose a kernel or hold memory.
 *
 * A kernel computes `lanes` frames at once, one frame per SIMD lane, through to their features. It never looks at the
 * signal itself but at whole frames, n_fft readable samples each: fbank.c points at the signal where a frame lies
 * inside it and at a zero-padded copy where it does not.
 */
#ifndef VX_AUDIO_FBANK_KERNEL_H
#define VX_AUDIO_FBANK_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/audio/fft.h"

#define VX_FBANK_MAX_LANES 16

/* The bins under one triangle; all others weigh nothing. */
typedef struct {
    int first, count;
    const float *weights; /* [count] */
} vx_fbank_filter;

typedef struct {
    const vx_fft *fft;
    const vx_fft_kernel *transform; /* the kernel's own */
    const float *window;            /* [n_fft] */
    const vx_fbank_filter *filters; /* [n_bands] */
    int n_bands;
    float floor;     /* smallest band power, a normal float */
    float log_scale; /* feature = log_scale * log2(band power) */
} vx_fbank_tables;

typedef struct {
    const vx_fft_kernel *fft; /* says isa and lanes */

    /* Largest |x| as its IEEE bits, which order as the values do, infinity and then NaN above all. n may be 0. */
    uint32_t (*peak_bits)(const float *pcm, size_t n);

    /* log2 of n positive normal floats, in place; n is a multiple of lanes.
     * Error  at most 2.5e-7 + FLT_EPSILON / 2 * |log2 x| */
    void (*log2)(float *values, size_t n);

    /* Window, transform, filters and logarithm of up to `lanes` frames.
     * frame    [in]  `lanes` pointers to n_fft samples; those from n_frames on are read too, and come to nothing
     * data, work     VX_FFT_BUFFER_FLOATS(n_fft, lanes) each
     * ret_feat [out] feature of frame i in band b at ret_feat[b * ld + i], for i < n_frames only
     * Returns the largest feature written */
    float (*frames)(const vx_fbank_tables *tables, const float *const *frame, size_t n_frames, float *data, float *work,
                    float *ret_feat, size_t ld);

    /* Raises the n features of one band to at least `low`, then subtracts their mean if asked. In place. */
    void (*finish)(float *row, size_t n, float low, bool subtract_mean);
} vx_fbank_kernel;

/* The kernel for one instruction set; NULL if this build has none. */
const vx_fbank_kernel *vx_fbank_kernel_for(vx_isa isa);

/* One a file, fbank_<isa>.c; a build holds those of its architecture. */
extern const vx_fbank_kernel vx_fbank_scalar, vx_fbank_avx2, vx_fbank_avx512, vx_fbank_neon;

#endif
