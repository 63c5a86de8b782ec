/* product_f32.h - a lane is one float: what product_simd.h asks about it. */
#include "shared/engine/product_float.h"

#define NUMBER VX_NUMBER_F32
enum { GROUP = 1 };

INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    (void)c;
    (void)channel;
    return (vi)x;
}
INLINE vsum step(vsum sum, vi x, vi w)
{
    return sum + (vf)w * (vf)x;
}
