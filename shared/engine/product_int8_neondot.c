/* product_int8_neondot.c - int8 products by the dot products of ARMv8.2, of signed numbers. Run under emulation only: see docs/macos.md. */
#include <arm_neon.h>

#define PRODUCT_NAME  "neondot"
#define PRODUCT_ISA   VX_ISA_NEON_DOT
#define PRODUCT_TABLE vx_int8_neondot
#define LANES         4
#define TILE_ROWS     8
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    return (vsum)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w);
}

#include "shared/engine/product_simd.h"
