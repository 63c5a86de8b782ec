/* product_int8_avx512vnni.c - int8 products by AVX-512 VNNI, which adds a lane's four products to an integer:
 * the tile of product_f32_avx512.c at a quarter of the steps. So few that sums which go to memory and back half-way count:
 * hence K_BLOCK, although a panel's block is larger than L1. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx512vnni"
#define PRODUCT_ISA   VX_ISA_AVX512_VNNI
#define PRODUCT_TABLE vx_int8_avx512vnni
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     3
#define K_BLOCK       384
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    return (vsum)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
}

#include "shared/engine/product_simd.h"
