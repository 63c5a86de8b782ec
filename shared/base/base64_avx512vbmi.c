/* base64_avx512vbmi.c - 64 characters at a time, and the rest under a mask.
 * Contract: vx_base64_kernel; stops exactly at the group that holds the first bad character.
 * Source: W. Mula, D. Lemire, "Base64 encoding and decoding at almost the speed of a memory copy", 2020.
 */
#include <immintrin.h>

#include "shared/base/base64_private.h"

/* A full step writes 64 bytes, 48 of them data. With 84 characters left there is room for 66. */
#define VX_STEP_NEEDS 84

#define NO            (-128)

/* 64-byte constants, lowest byte first. */
static const int8_t value_low[64] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62,
    NO, NO, NO, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
};
static const int8_t value_high[64] = {
    NO, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    21, 22, 23, 24, 25, NO, NO, NO, NO, NO, NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
    37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
};
static const int8_t byte_order[64] = {
    2,  1,  0,  6,  5,  4,  10, 9,  8,  14, 13, 12, 18, 17, 16, 22, 21, 20, 26, 25, 24, 30,
    29, 28, 34, 33, 32, 38, 37, 36, 42, 41, 40, 46, 45, 44, 50, 49, 48, 54, 53, 52, 58, 57,
    56, 62, 61, 60, 0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
};

/* One table of 128 entries; a bad character gets, or already has, its top bit set. */
static inline __mmask64 to_values(__m512i *text)
{
    __m512i values = _mm512_permutex2var_epi8(_mm512_loadu_si512(value_low), *text, _mm512_loadu_si512(value_high));
    __mmask64 bad = _mm512_movepi8_mask(_mm512_or_si512(values, *text));

    *text = values;
    return bad;
}

static inline __m512i pack(__m512i values)
{
    values = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x01400140));
    values = _mm512_madd_epi16(values, _mm512_set1_epi32(0x00011000));
    return _mm512_permutexvar_epi8(_mm512_loadu_si512(byte_order), values);
}

static inline __mmask64 first(size_t n)
{
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

size_t vx_base64_decode_avx512vbmi(const char *text, size_t n, uint8_t *ret_data)
{
    size_t i = 0;

    for (; n - i >= VX_STEP_NEEDS; i += 64) {
        __m512i chars = _mm512_loadu_si512(text + i);
        if (to_values(&chars))
            break;
        _mm512_storeu_si512(ret_data + i / 4 * 3, pack(chars));
    }
    /* Lanes that are not read hold zero, which is no character: the end of the text is found like any other stop. */
    for (size_t good = 64; good == 64 && i < n; i += good) {
        __m512i chars = _mm512_maskz_loadu_epi8(first(n - i), text + i);
        __mmask64 bad = to_values(&chars);
        good = bad ? (size_t)__builtin_ctzll(bad) / 4 * 4 : 64;
        _mm512_mask_storeu_epi8(ret_data + i / 4 * 3, first(good / 4 * 3), pack(chars));
    }
    return i;
}
