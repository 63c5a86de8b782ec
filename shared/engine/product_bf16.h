/* product_bf16.h - a lane is two bf16, the first in the lower half: what product_simd.h asks about it. */
#include "shared/engine/product_float.h"

#define NUMBER VX_NUMBER_BF16
enum { GROUP = 2 };

INLINE vi encode(const vx_conv *c, size_t channel, vf x)
{
    (void)c;
    (void)channel;
    return (vi)round_bf16(x);
}
