/* product_bf16.h - a lane is two bf16, the first in the lower half: what product_simd.h asks about it. */
#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

#define NUMBER VX_NUMBER_BF16
enum { GROUP = 2 };
typedef vf vsum;

INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    (void)c;
    (void)channel;
    return (vi)round_bf16(x);
}
INLINE vsum start(const vx_conv *c, size_t row)
{
    (void)c;
    (void)row;
    return splat(0);
}
/* What makes numbers of a row's sums: nothing, which no struct may hold. */
typedef struct {
    char nothing;
} row_sum;
INLINE row_sum sum_of(const vx_conv *c, size_t row)
{
    (void)c;
    (void)row;
    return (row_sum){0};
}
INLINE vf value(const row_sum *s, vsum sum)
{
    (void)s;
    return sum;
}
