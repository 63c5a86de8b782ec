/* bytes.h - checked size arithmetic, growable byte buffers, little-endian access, wiping.
 * Owns:   vx_buf. Does not: read files (file.h) or encode anything.
 */
#ifndef VX_BASE_BYTES_H
#define VX_BASE_BYTES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

/* ret = a op b; false on overflow, and *ret is then untouched. */
VX_MUST_CHECK bool vx_size_add(size_t a, size_t b, size_t *ret);
VX_MUST_CHECK bool vx_size_mul(size_t a, size_t b, size_t *ret);

/* A byte buffer that owns its memory. All-zero is a valid empty buffer. `limit` bounds `len`; 0 means no bound. */
typedef struct {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t limit;
} vx_buf;

/* Room for `extra` more bytes behind len. A block that is outgrown is wiped, so that vx_buf_wipe_done leaves no copy
 * behind. Errors: NOMEM, OVERFLOW (size or limit); the buffer is then unchanged. */
VX_MUST_CHECK vx_err vx_buf_reserve(vx_buf *buf, size_t extra);
/* data may not lie in buf; NULL with 0 is fine. */
VX_MUST_CHECK vx_err vx_buf_append(vx_buf *buf, const void *data, size_t len);
/* A zero follows the text, not counted in len. */
VX_MUST_CHECK vx_err vx_buf_printf(vx_buf *buf, const char *fmt, ...) VX_PRINTF(2, 3);
VX_MUST_CHECK vx_err vx_buf_vprintf(vx_buf *buf, const char *fmt, va_list args) VX_PRINTF(2, 0);
/* Frees and zeroes the struct; NULL and all-zero are fine. */
void vx_buf_done(vx_buf *buf);
/* The same after wiping the whole capacity: for audio, embeddings, secrets. */
void vx_buf_wipe_done(vx_buf *buf);

/* Overwrites memory in a way the compiler may not remove. NULL with 0 is fine. */
void vx_wipe(void *data, size_t len);
/* True if both have the same content; time depends on len only. */
bool vx_equal_ct(const void *a, const void *b, size_t len);

/* Lower-case hex of `len` bytes into ret_hex[2 * len + 1], zero-terminated. */
void vx_hex(const uint8_t *data, size_t len, char *ret_hex);
/* Reads exactly 2 * len hex digits of either case. False at the first other character; bytes before it are written. */
VX_MUST_CHECK bool vx_unhex(const char *hex, size_t len, uint8_t *ret_data);

static inline uint16_t vx_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | (p[1] << 8));
}
static inline uint32_t vx_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}
static inline uint64_t vx_le64(const uint8_t *p)
{
    return (uint64_t)vx_le32(p) | ((uint64_t)vx_le32(p + 4) << 32);
}

#endif
