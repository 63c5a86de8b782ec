/* base64_avx2.c - 32 characters at a time.
 * Contract: vx_base64_kernel; leaves the last 39 characters at most, and the 32 around a bad one, to the scalar code.
 * Source: W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions", 2018.
 */
#include <immintrin.h>

#include "shared/base/base64_private.h"

/* A step reads 32 characters and writes 32 bytes, 24 of them data. With 40 characters left there is room for 33. */
#define VX_STEP_NEEDS 40

#define TWICE(...)    _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)

/* Characters to 6-bit values; false if one is not in the alphabet. The high nibble picks a set of ranges (one bit
 * each), the low nibble the ranges that it is outside of; a common bit means outside. */
static inline int to_values(__m256i *text)
{
    const __m256i outside_low =
        TWICE(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a);
    const __m256i range_high =
        TWICE(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10);
    const __m256i shift = TWICE(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0);
    /* '/' shares its high nibble with '+' and needs another shift. As a mask it keeps the low nibble; bit 5 does not
     * matter to a shuffle. */
    const __m256i slash = _mm256_set1_epi8('/');

    __m256i high = _mm256_and_si256(_mm256_srli_epi32(*text, 4), slash);
    __m256i low = _mm256_and_si256(*text, slash);
    if (!_mm256_testz_si256(_mm256_shuffle_epi8(outside_low, low), _mm256_shuffle_epi8(range_high, high)))
        return 0;
    __m256i is_slash = _mm256_cmpeq_epi8(*text, slash);
    *text = _mm256_add_epi8(*text, _mm256_shuffle_epi8(shift, _mm256_add_epi8(is_slash, high)));
    return 1;
}

/* Four values of 6 bits to three bytes: pairs to 12 bits, pairs of those to 24, then the bytes in order. */
static inline __m256i pack(__m256i values)
{
    const __m256i order = TWICE(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);

    values = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    values = _mm256_madd_epi16(values, _mm256_set1_epi32(0x00011000));
    values = _mm256_shuffle_epi8(values, order);
    return _mm256_permutevar8x32_epi32(values, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
}

size_t vx_base64_decode_avx2(const char *text, size_t n, uint8_t *ret_data)
{
    size_t i = 0;

    for (; n - i >= VX_STEP_NEEDS; i += 32, ret_data += 24) {
        __m256i chars = _mm256_loadu_si256((const void *)(text + i));
        if (!to_values(&chars))
            break;
        _mm256_storeu_si256((void *)ret_data, pack(chars));
    }
    return i;
}
