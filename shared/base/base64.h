/* base64.h - strict RFC 4648 base64, standard alphabet, with SIMD decoders chosen at run time.
 * Owns:   the codec and its kernels. Does not: accept line breaks, URL alphabet or missing padding.
 */
#ifndef VX_BASE_BASE64_H
#define VX_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

/* Length of the encoding of n bytes, without the terminating zero. n <= SIZE_MAX / 4 * 3 - 3. */
static inline size_t vx_base64_encoded_len(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Upper bound of the decoded length of n characters. */
static inline size_t vx_base64_decoded_cap(size_t n)
{
    return n / 4 * 3 + 3;
}

/* ret_text [out] vx_base64_encoded_len(n) characters and a terminating zero. */
void vx_base64_encode(const uint8_t *data, size_t n, char *ret_text);

/* Decodes canonical base64: length a multiple of 4, padding only at the end, unused bits zero.
 * ret_data [out] room for vx_base64_decoded_cap(n) bytes; content is undefined on error
 * ret_len  [out] bytes written
 * ret_bad  [out] on error, the offset of the first character that is wrong; may be NULL
 * Errors   BASE64 */
VX_MUST_CHECK vx_err vx_base64_decode(const char *text, size_t n, uint8_t *ret_data, size_t *ret_len, size_t *ret_bad);

/* Kernel contract: decodes whole groups of 4 characters from the front while they are valid and hold no padding.
 * Returns characters consumed (multiple of 4, may stop early at a vector boundary); never reads past text + n, never
 * writes past ret_data + vx_base64_decoded_cap(n). What is left, the scalar code finishes and judges. */
typedef size_t vx_base64_kernel(const char *text, size_t n, uint8_t *ret_data);
/* Every kernel of this build that this machine can run, best first; the last is the scalar reference. */
typedef struct {
    const char *name; /* "avx512vbmi", "avx2", "neon", "scalar" */
    vx_base64_kernel *decode;
} vx_base64_impl;
const vx_base64_impl *vx_base64_impls(size_t *ret_count);
/* vx_base64_decode with a given kernel, for tests and benchmarks. */
VX_MUST_CHECK vx_err vx_base64_decode_with(const vx_base64_impl *impl, const char *text, size_t n, uint8_t *ret_data,
                                           size_t *ret_len, size_t *ret_bad);

#endif
