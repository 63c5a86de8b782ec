/* product_int8_avxvnni.c - int8 products by AVX-VNNI, which adds a lane's four products to an integer: the tile
 * of product_f32_avx2.c at a quarter of the steps. */
#include <immintrin.h>

#define PRODUCT_NAME  "avxvnni"
#define PRODUCT_ISA   VX_ISA_AVX_VNNI
#define PRODUCT_TABLE vx_int8_avxvnni
#define LANES         8
#define TILE_ROWS     4
#define TILE_VECS     3
#define K_BLOCK       192
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    return (vsum)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
}

#include "shared/engine/product_simd.h"
