/* base64_neon.c - 64 characters at a time on AArch64.
 * Contract: vx_base64_kernel; leaves the last 63 characters at most, and the 64 around a bad one, to the scalar code.
 */
#include <arm_neon.h>

#include "shared/base/base64_private.h"

#define NO 0xff

static const uint8_t value_low[64] = {
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62,
    NO, NO, NO, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
};
static const uint8_t value_high[64] = {
    NO, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    21, 22, 23, 24, 25, NO, NO, NO, NO, NO, NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
    37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
};

/* Indices past 127 miss both tables and would give 0, the value of 'A': the caller looks at their own top bit. */
static inline uint8x16_t to_values(uint8x16x4_t low, uint8x16x4_t high, uint8x16_t text)
{
    return vqtbx4q_u8(vqtbl4q_u8(low, text), high, vsubq_u8(text, vdupq_n_u8(64)));
}

size_t vx_base64_decode_neon(const char *text, size_t n, uint8_t *ret_data)
{
    const uint8x16x4_t low = vld1q_u8_x4(value_low), high = vld1q_u8_x4(value_high);
    size_t i = 0;

    for (; n - i >= 64; i += 64, ret_data += 48) {
        /* Loads and stores of this kind take groups apart and put them together on the way. */
        uint8x16x4_t chars = vld4q_u8((const uint8_t *)text + i);
        uint8x16_t a = to_values(low, high, chars.val[0]), b = to_values(low, high, chars.val[1]);
        uint8x16_t c = to_values(low, high, chars.val[2]), d = to_values(low, high, chars.val[3]);
        uint8x16_t text_bits = vorrq_u8(vorrq_u8(chars.val[0], chars.val[1]), vorrq_u8(chars.val[2], chars.val[3]));
        uint8x16_t value_bits = vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d));
        if (vmaxvq_u8(vorrq_u8(text_bits, value_bits)) > 0x7f)
            break;
        uint8x16x3_t bytes = {{vorrq_u8(vshlq_n_u8(a, 2), vshrq_n_u8(b, 4)),
                               vorrq_u8(vshlq_n_u8(b, 4), vshrq_n_u8(c, 2)), vorrq_u8(vshlq_n_u8(c, 6), d)}};
        vst3q_u8(ret_data, bytes);
    }
    return i;
}
