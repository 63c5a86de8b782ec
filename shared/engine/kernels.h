/* kernels.h - the arithmetic of the native engine, once per instruction set.
 * Owns:   the contracts. kernels_simd.h is the one implementation, compiled by kernels_<isa>.c with other vector
 *         lengths and tile shapes. Does not: allocate, know the network, use threads.
 *
 * Layout: activations are [channels, frames] with row stride ld: a row is one channel over time. So a weight is a
 * scalar that is broadcast over frames, a convolution's taps are shifts of a row, statistics over time are sums along
 * a row, and the weights are used as they lie in the file: nothing is reordered or copied at start.
 */
#ifndef VX_ENGINE_KERNELS_H
#define VX_ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/cpu.h"

/* Rows of activations start at multiples of this many floats, so that every vector load of a row's start is aligned. */
#define VX_ROW_FLOATS 16

/* One 1-d convolution over time, "same" length by reflect padding, with what follows it:
 * y = tanh?(relu?(W * x + bias) * scale + shift). All arrays are borrowed. */
typedef struct {
    size_t n_out, n_in;
    size_t taps, dilation; /* taps odd; a frame t reads t + (tap - taps/2) * dilation */
    const float *weight;   /* [n_out, n_in, taps], row stride weight_ld >= n_in * taps */
    size_t weight_ld;
    const float *bias; /* [n_out] */
    bool relu;
    const float *scale; /* [n_out] batch norm folded to a scale and a shift; NULL for none */
    const float *shift;
    bool tanh;
} vx_conv;

/* Packed input: the frames [first, first + n) of a convolution's input as panels, contiguous in the order in which
 * the product reads them: [k block][panel][k][panel width]; k = channel * taps + tap. Frames past n are zero. */
typedef struct {
    float *data;
    size_t capacity; /* floats */
    size_t first, n;
} vx_panels;

typedef struct {
    const char *name;
    vx_isa isa;
    size_t panel_width; /* frames in a panel */

    /* Frames that fit in `capacity` floats for this convolution, a multiple of panel_width (0: not even one panel). */
    size_t (*panels_fit)(const vx_conv *conv, size_t capacity);
    /* Packs frames [p->first, p->first + p->n) of x (+ x_add where it is not NULL).
     * x, x_add [in] [n_in, n_frames], row stride ld; n_frames > (taps / 2) * dilation */
    void (*pack)(const vx_conv *conv, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p);
    /* Rows [row0, row1) of the convolution for the packed frames.
     * y [out] element (row, frame) goes to y[(row - row0) * ld + frame]; columns up to the next multiple of
     *         VX_ROW_FLOATS behind the last frame may be overwritten. Rounding: one fused multiply-add a product where
     *         the instruction set has it; |error| <= k * FLT_EPSILON * sum |w x| with k = n_in * taps */
    void (*multiply)(const vx_conv *conv, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld);
    /* The part of multiply behind the product, in place on one row of n frames. */
    void (*finish_row)(const vx_conv *conv, size_t row, float *y, size_t n);

    /* sum a[i] * b[i] */
    float (*dot)(const float *a, const float *b, size_t n);
    /* Mean, and standard deviation sqrt(max(mean (x - m)^2, floor)), of a row. */
    void (*mean_std)(const float *x, size_t n, float floor, float *ret_mean, float *ret_std);
    /* y[i] = a[i] + gate * b[i] */
    void (*add_scaled)(const float *a, float gate, const float *b, size_t n, float *ret_y);
    /* Softmax of logits over n frames as weights of x: weighted mean and standard deviation. logits is overwritten. */
    void (*attend)(float *logits, const float *x, size_t n, float floor, float *ret_mean, float *ret_std);
    /* 1 / (1 + exp(-x)), in place. */
    void (*sigmoid)(float *x, size_t n);
} vx_kernels;

/* The kernels for a level; the best lower one when this build has none for it. isa must be available here. */
const vx_kernels *vx_kernels_for(vx_isa isa);
/* Every kernel set of this build that this machine can run, best first. */
size_t vx_kernels_all(const vx_kernels *ret_all[], size_t cap);

#endif
