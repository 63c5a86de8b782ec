/* product_int8_avx2.c - int8 products by AVX2. The one instruction for bytes
 * (vpmaddubsw) saturates where two products of one sign meet, so bytes are widened to pairs of 16 bits. 4 x 2 sums,
 * 2 x 2 halves of inputs and 2 of weights fit 16 registers. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx2"
#define PRODUCT_ISA   VX_ISA_AVX2
#define PRODUCT_TABLE vx_int8_avx2
#define LANES         8
#define TILE_ROWS     4
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    const __m256i low = _mm256_set1_epi16(0xff);
    const __m256i x_even = _mm256_and_si256((__m256i)x, low), x_odd = _mm256_srli_epi16((__m256i)x, 8);
    const __m256i w_even = _mm256_srai_epi16(_mm256_slli_epi16((__m256i)w, 8), 8);
    const __m256i w_odd = _mm256_srai_epi16((__m256i)w, 8);
    return sum + (vsum)_mm256_madd_epi16(x_even, w_even) + (vsum)_mm256_madd_epi16(x_odd, w_odd);
}

#include "shared/engine/product_simd.h"
