/* product_int8_avx512.c - int8 products by AVX-512 without VNNI: vpmaddubsw adds two products in 16 bits, where
 * four of 7 bits fit, and a multiplication by 1 adds two of those sums in 32. The tile of product_f32_avx512.c. */
#include <immintrin.h>

#define PRODUCT_NAME  "avx512"
#define PRODUCT_ISA   VX_ISA_AVX512
#define PRODUCT_TABLE vx_int8_avx512
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     3
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_int8.h"

#define STEPS_IN_PAIRS
INLINE vsum step(vsum sum, vi x, vi w)
{
    const __m512i pairs = _mm512_maddubs_epi16((__m512i)x, (__m512i)w);
    return sum + (vsum)_mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
}
INLINE vsum step_pair(vsum sum, vi x0, vi w0, vi x1, vi w1)
{
    const __m512i fours = _mm512_add_epi16(_mm512_maddubs_epi16((__m512i)x0, (__m512i)w0),
                                           _mm512_maddubs_epi16((__m512i)x1, (__m512i)w1));
    return sum + (vsum)_mm512_madd_epi16(fours, _mm512_set1_epi16(1));
}

#include "shared/engine/product_simd.h"
