/* base64.c - encoding, the scalar decoder, the judgement of what is wrong, and the choice of kernel.
 * Owns:   every decision about validity of the last group. Does not: hold vector code (base64_<isa>.c).
 */
#include "shared/base/base64.h"

#include <pthread.h>

#include "shared/base/base64_private.h"
#include "shared/base/cpu.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Character to value; NO for what is not in the alphabet. Its top bits survive an OR with any values. */
#define NO 0xff
static const uint8_t values[256] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO, NO, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,
    NO, NO, NO, NO, NO, NO, NO, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, NO, NO, NO, NO, NO, NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
};

static uint8_t value_of(char c)
{
    return values[(uint8_t)c];
}

void vx_base64_encode(const uint8_t *data, size_t n, char *ret_text)
{
    char *out = ret_text;

    for (; n >= 3; n -= 3, data += 3) {
        *out++ = alphabet[data[0] >> 2];
        *out++ = alphabet[(data[0] & 3) << 4 | data[1] >> 4];
        *out++ = alphabet[(data[1] & 15) << 2 | data[2] >> 6];
        *out++ = alphabet[data[2] & 63];
    }
    if (n > 0) {
        uint8_t second = n == 2 ? data[1] : 0;
        *out++ = alphabet[data[0] >> 2];
        *out++ = alphabet[(data[0] & 3) << 4 | second >> 4];
        *out++ = n == 2 ? alphabet[(second & 15) << 2] : '=';
        *out++ = '=';
    }
    *out = '\0';
}

static size_t decode_scalar(const char *text, size_t n, uint8_t *ret_data)
{
    size_t i = 0;

    for (; n - i >= 4; i += 4) {
        unsigned a = value_of(text[i]), b = value_of(text[i + 1]), c = value_of(text[i + 2]), d = value_of(text[i + 3]);
        if ((a | b | c | d) & 0xc0)
            break;
        *ret_data++ = (uint8_t)(a << 2 | b >> 4);
        *ret_data++ = (uint8_t)(b << 4 | c >> 2);
        *ret_data++ = (uint8_t)(c << 6 | d);
    }
    return i;
}

/* The group that is not four plain characters: the last one, or the text is wrong here.
 * Returns the bytes decoded, or -1 and the offset of the first wrong character within the group. */
static int decode_last(const char *text, size_t left, uint8_t *ret_data, size_t *ret_bad)
{
    unsigned value[4] = {0};
    size_t n = left < 4 ? left : 4, plain = 0;

    while (plain < n && value_of(text[plain]) != NO) {
        value[plain] = value_of(text[plain]);
        plain++;
    }
    size_t padded = plain;
    while (left <= 4 && padded >= 2 && padded < n && text[padded] == '=')
        padded++;
    *ret_bad = padded;
    if (padded < 4)
        return -1;
    /* Bits that no byte takes must be zero: else two texts would mean the same bytes. */
    *ret_bad = plain - 1;
    if ((plain == 2 && value[1] & 15) || (plain == 3 && value[2] & 3))
        return -1;
    ret_data[0] = (uint8_t)(value[0] << 2 | value[1] >> 4);
    if (plain == 3)
        ret_data[1] = (uint8_t)(value[1] << 4 | value[2] >> 2);
    return (int)plain - 1;
}

vx_err vx_base64_decode_with(const vx_base64_impl *impl, const char *text, size_t n, uint8_t *ret_data, size_t *ret_len,
                             size_t *ret_bad)
{
    size_t at = impl->decode(text, n, ret_data), bad;

    at += decode_scalar(text + at, n - at, ret_data + at / 4 * 3);
    int extra = at < n ? decode_last(text + at, n - at, ret_data + at / 4 * 3, &bad) : 0;
    if (extra < 0) {
        if (ret_bad)
            *ret_bad = at + bad;
        return VX_ERR_BASE64;
    }
    *ret_len = at / 4 * 3 + (size_t)extra;
    return VX_OK;
}

vx_err vx_base64_decode(const char *text, size_t n, uint8_t *ret_data, size_t *ret_len, size_t *ret_bad)
{
    size_t count;

    return vx_base64_decode_with(vx_base64_impls(&count), text, n, ret_data, ret_len, ret_bad);
}

/* ---- choice of kernel ----------------------------------------------------------------------------------------- */

/* Asked once per process: CPUID takes 100 ns, and traps to the hypervisor in most virtual machines (20 us and more),
 * longer than the decoding itself. Written before pthread_once returns, constant ever after. */
static vx_base64_impl impls[4];
static size_t n_impls;

static void add_impl(bool available, const char *name, vx_base64_kernel *decode)
{
    if (available)
        impls[n_impls++] = (vx_base64_impl){name, decode};
}

static void find_impls(void)
{
#if defined(__x86_64__)
    add_impl(vx_isa_available(VX_ISA_AVX512) && vx_cpu_has_avx512vbmi(), "avx512vbmi", vx_base64_decode_avx512vbmi);
    add_impl(vx_isa_available(VX_ISA_AVX2), "avx2", vx_base64_decode_avx2);
#elif defined(__aarch64__)
    add_impl(vx_isa_available(VX_ISA_NEON), "neon", vx_base64_decode_neon);
#endif
    add_impl(true, "scalar", decode_scalar);
}

const vx_base64_impl *vx_base64_impls(size_t *ret_count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, find_impls);
    *ret_count = n_impls;
    return impls;
}
