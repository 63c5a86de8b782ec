/* product_int8_avx512.c - int8 products by AVX-512 without VNNI, as in product_int8_avx2.c: 8 x 2 sums, 2 x 2
 * halves of inputs and 2 of weights fit 32 registers. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx512"
#define PRODUCT_ISA   VX_ISA_AVX512
#define PRODUCT_TABLE vx_int8_avx512
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     512
#include "shared/engine/product_int8.h"

INLINE vsum step(vsum sum, vi x, vi w)
{
    const __m512i low = _mm512_set1_epi16(0xff);
    const __m512i x_even = _mm512_and_si512((__m512i)x, low), x_odd = _mm512_srli_epi16((__m512i)x, 8);
    const __m512i w_even = _mm512_srai_epi16(_mm512_slli_epi16((__m512i)w, 8), 8);
    const __m512i w_odd = _mm512_srai_epi16((__m512i)w, 8);
    return sum + (vsum)_mm512_madd_epi16(x_even, w_even) + (vsum)_mm512_madd_epi16(x_odd, w_odd);
}

#include "shared/engine/product_simd.h"
