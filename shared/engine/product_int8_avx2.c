/* product_int8_avx2.c - int8 products by AVX2: vpmaddubsw adds two products in 16 bits, where four of 7 bits fit, and
 * a multiplication by 1 adds two of those sums in 32. 4 x 3 sums fill 12 of 16 registers. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx2"
#define PRODUCT_ISA   VX_ISA_AVX2
#define PRODUCT_TABLE vx_int8_avx2
#define LANES         8
#define TILE_ROWS     4
#define TILE_VECS     3
#define K_BLOCK       192
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

#define STEPS_IN_PAIRS
INLINE vsum step(vsum sum, vi x, vi w)
{
    const __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)w);
    return sum + (vsum)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
INLINE vsum step_pair(vsum sum, vi x0, vi w0, vi x1, vi w1)
{
    const __m256i fours = _mm256_add_epi16(_mm256_maddubs_epi16((__m256i)x0, (__m256i)w0),
                                           _mm256_maddubs_epi16((__m256i)x1, (__m256i)w1));
    return sum + (vsum)_mm256_madd_epi16(fours, _mm256_set1_epi16(1));
}

#include "shared/engine/product_simd.h"
