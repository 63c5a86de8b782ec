/* fft.h - DFT of many real signals at once, one signal a SIMD lane. For shared/audio and DSP code only.
 * Owns:   plans, and the contract of the kernels that run them. Does not: window, scale, or invert.
 *
 * Signals lie interleaved, [sample][lane], so that every butterfly is plain vector arithmetic on whole registers: no
 * shuffles, any factor as easy as 2, and one source for every vector width.
 */
#ifndef VX_AUDIO_FFT_H
#define VX_AUDIO_FFT_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cpu.h"
#include "shared/base/err.h"

#define VX_FFT_MAX        65536 /* longest transform, samples */
#define VX_FFT_MAX_PASSES 10    /* 3^10 is more than VX_FFT_MAX / 2 points, and at most one pass is of radix 2 */

/* One step of the transform: `groups` butterflies of `radix` inputs, each repeated `stride` times side by side. */
typedef struct {
    int radix; /* 2, 3, 4 or 5 */
    int groups;
    int stride;
    const float *twiddles; /* [groups][radix - 1][re, im]; the first group's are all 1 */
} vx_fft_pass;

/* Plan for one length. Constant after creation: any number of threads may use it. */
typedef struct {
    int n;        /* real samples, even */
    int n_passes; /* of the complex transform of n / 2 points */
    vx_fft_pass passes[VX_FFT_MAX_PASSES];
    const float *split; /* [n / 4 + 1][re, im]: exp(-2 pi i k / n) / 2, separates even from odd samples */
} vx_fft;

/* n: even, 2 .. VX_FFT_MAX, factors 2, 3 and 5 only. Errors: RANGE, NOMEM. */
VX_MUST_CHECK vx_err vx_fft_create(int n, vx_fft **ret_fft);
void vx_fft_destroy(vx_fft *fft);

/* True if vx_fft_create takes n. */
bool vx_fft_length_ok(int n);

/* Floats of each of the two buffers a kernel works in (n / 2 + 1 complex rows), and their best alignment in bytes. */
#define VX_FFT_BUFFER_FLOATS(n, lanes) (((size_t)(n) + 2) * (size_t)(lanes))
#define VX_FFT_ALIGN                   64

typedef struct {
    vx_isa isa;
    int lanes;
    /* Transforms `lanes` signals.
     * data   [in,out] [n][lanes] samples in its first n rows; destroyed
     * work   [out]    the other buffer; must not overlap data
     * Returns the spectra, [n / 2 + 1][re, im][lanes], unscaled: in data or in work, as the number of passes has it.
     * Error   at most 4 log2(n) FLT_EPSILON times the spectrum, as 2-norms over the whole circle of n bins
     * Source  of the bound: Higham, Accuracy and Stability of Numerical Algorithms, theorem 24.2 */
    float *(*forward)(const vx_fft *fft, float *data, float *work);
} vx_fft_kernel;

/* The kernel for one instruction set; NULL if this build has none. Whether the machine can run it is cpu.h's to say. */
const vx_fft_kernel *vx_fft_kernel_for(vx_isa isa);

/* One a file, fft_<isa>.c; a build holds those of its architecture. */
extern const vx_fft_kernel vx_fft_scalar, vx_fft_avx2, vx_fft_avx512, vx_fft_neon;

#endif
