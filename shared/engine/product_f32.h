/* product_f32.h - a lane is one float: what product_simd.h asks about it. */
#include "shared/engine/kernel_tables.h"
#include "shared/engine/vector_math.h"

#define NUMBER VX_NUMBER_F32
enum { GROUP = 1 };
typedef vf vsum;

INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    (void)c;
    (void)channel;
    return (vi)x;
}
INLINE vsum start(const vx_conv *c, size_t row)
{
    (void)c;
    (void)row;
    return splat(0);
}
INLINE vsum step(vsum sum, vi x, vi w)
{
    return sum + (vf)w * (vf)x;
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
