/* product_bf16_avx512bf16.c - bf16 products by AVX512_BF16, which adds a lane's two products to a float: the
 * tile of product_f32_avx512.c at half the steps. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx512bf16"
#define PRODUCT_ISA   VX_ISA_AVX512_BF16
#define PRODUCT_TABLE vx_bf16_avx512bf16
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     3
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_bf16.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    return (vsum)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w);
}

#include "shared/engine/product_simd.h"
