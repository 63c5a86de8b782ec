/* utf8.h - one strict look at UTF-8, shared by the JSON parser, the log and names of speakers. */
#ifndef VX_BASE_UTF8_H
#define VX_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at p (Unicode table 3-7: no overlong forms, no surrogates, at most U+10FFFF),
 * or 0 where there is none. n >= 1 bytes may be read. ret_code is set only on success. */
static inline size_t vx_utf8_next(const uint8_t *p, size_t n, uint32_t *ret_code)
{
    uint32_t lead = p[0], least = 0x80;
    size_t len = 2;

    if (lead < 0x80) {
        *ret_code = lead;
        return 1;
    }
    if (lead >= 0xf0)
        len = 4, least = 0x10000;
    else if (lead >= 0xe0)
        len = 3, least = 0x800;
    if (lead < 0xc2 || lead > 0xf4 || n < len)
        return 0;

    uint32_t code = lead & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return len;
}

/* Whether it is text that could be typed: well-formed, at least one character, none of them a control character. */
static inline bool vx_utf8_is_plain(const uint8_t *p, size_t n)
{
    uint32_t code = 0;
    for (size_t at = 0, len; at < n; at += len) {
        len = vx_utf8_next(p + at, n - at, &code);
        if (len == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
    }
    return n > 0;
}

/* Writes the UTF-8 form of a scalar value; returns its length. */
static inline size_t vx_utf8_put(uint32_t code, uint8_t ret_bytes[4])
{
    if (code < 0x80) {
        ret_bytes[0] = (uint8_t)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        ret_bytes[i] = (uint8_t)(0x80 | (code & 0x3f));
    ret_bytes[0] = (uint8_t)(0xf00u >> len | code);
    return len;
}

#endif
