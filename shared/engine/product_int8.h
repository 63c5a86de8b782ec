/* product_int8.h - a lane is four 8-bit numbers, the first in the lowest byte: what product_simd.h asks about it.
 * Weights are signed and activations unsigned, because that is what VNNI multiplies.
 */
#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

#define NUMBER VX_NUMBER_INT8
enum { GROUP = 4 };
typedef vi vsum;

/* q = clamp(round(x * input_scale + input_zero), 0, 127). These files are compiled without contraction into fused
 * multiply-adds, so that all levels round alike. */
INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    const vf round = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer, left in the low bits */
    const vf level = x * splat(c->input_scale[channel]) + splat(c->input_zero[channel]);
    return (vi)(vmax(vmin(level, splat(VX_INT8_TOP)), splat(0)) + round) & VX_INT8_TOP;
}
/* What makes numbers of a row's integers. */
typedef struct {
    vf zero, scale;
} row_sum;
INLINE row_sum sum_of(const vx_conv *c, size_t row)
{
    return (row_sum){.zero = splat(c->zero_sum[row]), .scale = splat(c->weight_scale[row])};
}
INLINE vf value(const row_sum *s, vsum sum)
{
    return (__builtin_convertvector(sum, vf) - s->zero) * s->scale;
}
