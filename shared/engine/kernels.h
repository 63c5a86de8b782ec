/* kernels.h - the arithmetic of the native engine, once per instruction set.
 * Owns:   the contracts. product_simd.h is the one implementation of the matrix products on vectors, product_amx.h that on
 *         tiles, and row_simd.h that of the rest; product_<number>_<isa>.c and row_<isa>.c compile them with other vector
 *         lengths, tile shapes and multiply-add instructions. Does not: allocate, know the network, use threads.
 *
 * Layout: activations are [channels, frames] with row stride ld: a row is one channel over time. So a weight is a
 * scalar that is broadcast over frames, a convolution's taps are shifts of a row, statistics over time are sums along
 * a row, and the weights are used as they lie in the file: nothing is reordered at start.
 */
#ifndef VX_ENGINE_KERNELS_H
#define VX_ENGINE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/cpu.h"

/* Rows of activations start at multiples of this many floats, so that every vector load of a row's start is aligned. */
#define VX_ROW_FLOATS 16

/* What the two factors of a product are. Activations are float between layers whatever this is. */
typedef enum {
    VX_NUMBER_F32,
    VX_NUMBER_BF16, /* both factors: the upper half of a float, rounded to nearest even; sums in float */
    VX_NUMBER_INT8, /* weights -64 .. 63, activations 0 .. 127, sums exact in 32 bits */
    VX_NUMBERS
} vx_number;

/* Products that one 32-bit lane holds: consecutive k's of one frame. Rows of weights are whole groups. */
#define VX_GROUP(number)   ((number) == VX_NUMBER_F32 ? 1u : (number) == VX_NUMBER_BF16 ? 2u : 4u)
/* Largest activation and weight in int8. With 7 bits each, four products sum in 16 bits (4 * 127 * 64 < 2^15), which
 * spares x86 without VNNI a fifth of its time, and an activation is signed and unsigned alike, as Arm's dot products want.
 * An eighth bit of either measured no more accurate, of weights where models/gptq.py rounds them. */
#define VX_INT8_TOP        127
#define VX_INT8_WEIGHT_TOP 63
/* Deepest convolution in int8: 65,536 * 127 * 64 is far inside of 31 bits. */
#define VX_INT8_MAX_DEPTH  65536u

/* One 1-d convolution over time, "same" length by reflect padding, with what follows it:
 * y = tanh?(relu?(W * x + bias) * scale + shift). All arrays are borrowed. */
typedef struct {
    vx_number number;
    size_t n_out, n_in;
    size_t taps, dilation; /* taps odd; a frame t reads t + (tap - taps/2) * dilation */
    const void *weight;    /* [n_out, n_in, taps] of `number`, 4-byte aligned; behind a row's last value zeros up to a
                            whole group */
    size_t weight_ld;      /* values from row to row: whole groups, at least n_in * taps */
    const float *bias;     /* [n_out] */
    bool relu;
    const float *scale; /* [n_out] batch norm folded to a scale and a shift; NULL for none */
    const float *shift;
    bool tanh;
    /* int8 only: q = clamp(round(x * input_scale + input_zero), 0, 127), and
     * W * x = weight_scale * (sum w q - zero_sum) since w holds 1 / input_scale. */
    const float *input_scale, *input_zero; /* [n_in] */
    const float *weight_scale;             /* [n_out] */
    const float *zero_sum;                 /* [n_out] sum over k of w * input_zero */
} vx_conv;

/* Packed input: the frames [first, first + n) of a convolution's input as panels of 32-bit lanes, contiguous in the
 * order in which the product reads them: [k block][panel][group][panel width]; k = channel * taps + tap. Lanes of
 * frames past n hold anything: they reach no output of a frame. */
typedef struct {
    void *data;
    size_t capacity; /* lanes */
    size_t first, n; /* first is a multiple of the panel width */
} vx_panels;

/* Matrix products in one kind of numbers. */
typedef struct {
    const char *name; /* of the instructions: "avx512vnni" */
    vx_isa isa;       /* what it needs */
    vx_number number;
    size_t panel_width; /* frames in a panel */

    /* Frames that fit in `capacity` lanes for this convolution, a multiple of panel_width (0: not even one panel). */
    size_t (*panels_fit)(const vx_conv *conv, size_t capacity);
    /* Packs frames [p->first, p->first + p->n) of x (+ x_add where it is not NULL), converted.
     * x, x_add [in] [n_in, n_frames], row stride ld; n_frames > (taps / 2) * dilation; columns up to the next multiple
     *               of VX_ROW_FLOATS behind the last frame may be read, whatever they hold
     * int8: every level packs the same bytes; NaN becomes 127 */
    void (*pack)(const vx_conv *conv, const float *x, const float *x_add, size_t ld, size_t n_frames, vx_panels *p);
    /* Rows [row0, row1) of the convolution, which may be none, for the packed frames.
     * y [out] element (row, frame) goes to y[(row - row0) * ld + frame]; columns up to the next multiple of
     *         VX_ROW_FLOATS behind the last frame may be overwritten. Rounding: with k = n_in * taps
     *         f32   one fused multiply-add a product where the instruction set has it;
     *               |error| <= k * FLT_EPSILON * sum |w x|
     *         bf16  the same of the rounded factors, denormals taken for 0
     *         int8  the sum is exact, so that all levels agree but for the rounding of what follows it */
    void (*multiply)(const vx_conv *conv, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld);
} vx_product;

/* Everything between the products: rows over time. Columns of a row up to the next multiple of VX_ROW_FLOATS behind its
 * last frame may be read, whatever they hold, and, where it is written, overwritten. What dot, sigmoid and to_bf16 take
 * are vectors, which end where they end. */
typedef struct {
    vx_isa isa;
    /* The part of multiply behind the product, in place on one row of n frames. */
    void (*finish)(const vx_conv *conv, size_t row, float *y, size_t n);
    /* sum a[i] * b[i] */
    float (*dot)(const float *a, const float *b, size_t n);
    /* Mean of a row, n > 0; |error| <= n * FLT_EPSILON * mean |x|. */
    float (*mean)(const float *x, size_t n);
    /* The same, and standard deviation sqrt(max(mean (x - m)^2, floor)). */
    void (*mean_std)(const float *x, size_t n, float floor, float *ret_mean, float *ret_std);
    /* y[i] = a[i] + gate * b[i] */
    void (*add_scaled)(const float *a, float gate, const float *b, size_t n, float *ret_y);
    /* Softmax of logits over n frames as weights of x: weighted mean and standard deviation. logits is overwritten. */
    void (*attend)(float *logits, const float *x, size_t n, float floor, float *ret_mean, float *ret_std);
    /* 1 / (1 + exp(-x)), in place. */
    void (*sigmoid)(float *x, size_t n);
    /* x rounded to bf16, to the nearest, ties to even; Inf where that overflows, NaN stays NaN. */
    void (*to_bf16)(const float *x, size_t n, uint16_t *ret_y);
} vx_row_kernels;

/* What a level runs. */
typedef struct {
    const char *name;
    vx_isa isa;
    const vx_row_kernels *row;
    const vx_product *product[VX_NUMBERS]; /* NULL: these numbers would gain nothing here */
} vx_kernels;

/* The kernels for a level; the best lower one when this build has none for it. isa must be available here. */
const vx_kernels *vx_kernels_for(vx_isa isa);
/* Every kernel set of this build that this machine can run, best first. */
size_t vx_kernels_all(const vx_kernels *ret_all[], size_t cap);

#endif
