/* vector_math.h - what the products and the row kernels share on vectors of LANES floats: parts of vectors, exp and tanh,
 * and what follows a convolution's sum.
 * Included only for the files named *_<isa>.c, which define LANES first.
 */
#ifndef VX_ENGINE_VECTOR_MATH_H
#define VX_ENGINE_VECTOR_MATH_H

#include <math.h>

#include "shared/base/lanes.h"
#include "shared/engine/kernels.h"

/* Lanes whose content only the kind of numbers knows, in memory that others see as floats or bytes. */
typedef int32_t lane_any __attribute__((may_alias));
typedef int32_t vi_any __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

INLINE vi load_lanes(const lane_any *p)
{
    return *(const vi_any *)p;
}
INLINE void store_lanes(lane_any *p, vi v)
{
    *(vi_any *)p = v;
}
INLINE vi splat_lane(int32_t x)
{
    return x - (vi){0};
}
/* By halves, because one lane after the other would wait for each sum. */
INLINE float sum_lanes(vf v)
{
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v[i] += v[i + half];
    return v[0];
}
INLINE float max_lanes(vf v)
{
    float m = v[0];
    for (int i = 1; i < LANES; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}
/* The first n lanes of v, `fill` in the others. */
INLINE vf first_lanes(vf v, size_t n, float fill)
{
    vi lane = {0};
    for (int i = 0; i < LANES; i++)
        lane[i] = i;
    const vi keep = lane < (int32_t)n;
    return (vf)((keep & (vi)v) | (~keep & (vi)splat(fill)));
}
/* The last n < LANES floats of a row of activations, behind which more may be read. */
INLINE vf load_end(const float *p, size_t n, float fill)
{
    return first_lanes(load(p), n, fill);
}
/* The last n < LANES floats of an array that ends there; the other lanes hold `fill`. */
INLINE vf load_part(const float *p, size_t n, float fill)
{
    float lanes[LANES];
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = i < n ? p[i] : fill;
    return load(lanes);
}
INLINE void store_part(float *p, vf v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = v[i];
}

/* exp with a relative error below 3e-7; arguments are clamped to where the result is a normal float.
 * Source: Cephes expf (range reduction by ln 2 in two parts, degree-5 polynomial). */
INLINE vf vexp(vf x)
{
    x = vmin(vmax(x, splat(-87.0f)), splat(88.0f));
    const vf round = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, left in the low bits */
    vf t = x * splat(1.44269504089f) + round;
    vf n = t - round;
    vf r = x - n * splat(0.693359375f) + n * splat(2.12194440e-4f);
    vf p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    return (vf)((vi)p + ((vi)t << 23));
}
INLINE vf vtanh(vf x)
{
    /* Beyond 9 the result is 1 in float; the clamp keeps exp finite. Absolute error below 3e-7. */
    vf e = vexp(vmin(vmax(x, splat(-9.0f)), splat(9.0f)) * splat(2.0f));
    return (e - splat(1.0f)) / (e + splat(1.0f));
}

typedef uint32_t vu __attribute__((vector_size(LANES * 4)));
/* The upper half of each float, rounded to nearest even; the carry of the rounding makes Inf of what is too large for
 * bf16, and would make zeros of some NaN. */
INLINE vu round_bf16(vf x)
{
    const vu bits = (vu)x, is_nan = (vu)((bits & 0x7fffffff) > 0x7f800000), upper = bits >> 16;
    const vu rounded = (bits + 0x7fff + (upper & 1)) >> 16;
    return (is_nan & (upper | 0x40)) | (~is_nan & rounded);
}

/* What follows the sum of a row, but for tanh: y = max(sum + bias, least) * scale + shift. Read once a row, since
 * compilers have to reckon with outputs that overwrite them. */
typedef struct {
    vf bias, least, scale, shift;
} row_tail;

INLINE row_tail tail_of(const vx_conv *c, size_t row)
{
    return (row_tail){.bias = splat(c->bias[row]),
                      .least = splat(c->relu ? 0 : -HUGE_VALF),
                      .scale = splat(c->scale ? c->scale[row] : 1),
                      .shift = splat(c->scale ? c->shift[row] : 0)};
}
INLINE vf finish_sum(const row_tail *t, vf sum)
{
    /* In this order NaN stays NaN, so that it reaches the embedding and is refused there. */
    return vmax(t->least, sum + t->bias) * t->scale + t->shift;
}

#endif
