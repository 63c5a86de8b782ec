/* product_int8_neon.c - int8 products for AArch64 without the dot products of ARMv8.2 (Cortex-A72 and before).
 * Run under emulation only: see docs/macos.md. */
#define PRODUCT_NAME  "neon"
#define PRODUCT_ISA   VX_ISA_NEON
#define PRODUCT_TABLE vx_int8_neon
#define LANES         4
#define TILE_ROWS     8
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

typedef int16_t vh __attribute__((vector_size(LANES * 4)));

/* The sum of two products fits in 16 bits, and vectors multiply those everywhere. */
INLINE vsum step(vsum sum, vi x, vi w)
{
    const vi bytes = splat_lane(0x00ff00ff);
    const vi pairs = (vi)((vh)(x & bytes) * (((vh)w << 8) >> 8) + (vh)((x >> 8) & bytes) * ((vh)w >> 8));
    return sum + ((pairs << 16) >> 16) + (pairs >> 16);
}

#include "shared/engine/product_simd.h"
