/* product_int8.h - a lane is four 8-bit numbers, the first in the lowest byte: what product_simd.h asks about it.
 * Weights are signed and activations unsigned, because that is what VNNI multiplies.
 */
#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

#define NUMBER VX_NUMBER_INT8
enum { GROUP = 4 };
/* What is taken from an activation so that it becomes a signed number, where instructions know no other; a sum starts
 * with what that takes from it. */
#ifndef INT8_OFFSET
#define INT8_OFFSET 0
#endif
typedef vi vsum;

/* q = clamp(round(x * input_scale + input_zero), 0, 255). The clamp stands between the product and the addition, so
 * that no compiler fuses the two, and all levels round alike. */
INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    const float zero = c->input_zero[channel];
    const vf round = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, left in the low bits */
    const vf level = vmax(vmin(x * splat(c->input_scale[channel]), splat(255.0f - zero)), splat(-zero));
    return ((vi)(level + splat(zero) + round) - INT8_OFFSET) & 0xff;
}
INLINE vsum start(const vx_conv *c, size_t row)
{
    return splat_lane(INT8_OFFSET * c->weight_sum[row]);
}
INLINE vf value(const vx_conv *c, size_t row, vsum sum)
{
    return __builtin_convertvector(sum - c->zero_sum[row], vf) * splat(c->weight_scale[row]);
}
