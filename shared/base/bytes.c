/* bytes.c - checked size arithmetic, the growable buffer, hex, wiping.
 * Owns:   memory of a vx_buf. Does not: read files or encode anything but hex.
 */
#include "shared/base/bytes.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* First allocation: holds a short line of text; below it malloc's own overhead would dominate. */
#define MIN_CAP 64

bool vx_size_add(size_t a, size_t b, size_t *ret)
{
    if (b > SIZE_MAX - a)
        return false;
    *ret = a + b;
    return true;
}

bool vx_size_mul(size_t a, size_t b, size_t *ret)
{
    if (b != 0 && a > SIZE_MAX / b)
        return false;
    *ret = a * b;
    return true;
}

/* Doubling keeps appends linear; a limit caps the waste, since len can never pass it. */
static size_t grown_cap(const vx_buf *buf, size_t need)
{
    size_t cap = buf->cap < MIN_CAP ? MIN_CAP : buf->cap <= SIZE_MAX / 2 ? buf->cap * 2 : SIZE_MAX;
    if (buf->limit != 0 && cap > buf->limit)
        cap = buf->limit;
    return cap < need ? need : cap;
}

/* Room for `extra` counted bytes and `slack` bytes that never become part of len. Moves by hand instead of realloc,
 * which would leave an unwiped copy of a secret in the heap. */
static vx_err reserve(vx_buf *buf, size_t extra, size_t slack)
{
    size_t len, need;
    if (!vx_size_add(buf->len, extra, &len) || !vx_size_add(len, slack, &need))
        return VX_ERR_OVERFLOW;
    if (buf->limit != 0 && len > buf->limit)
        return VX_ERR_OVERFLOW;
    if (need <= buf->cap)
        return VX_OK;

    size_t cap = grown_cap(buf, need);
    uint8_t *data = malloc(cap);
    if (data == NULL)
        return VX_ERR_NOMEM;
    if (buf->data != NULL) {
        memcpy(data, buf->data, buf->len);
        vx_wipe(buf->data, buf->cap);
        free(buf->data);
    }
    buf->data = data;
    buf->cap = cap;
    return VX_OK;
}

vx_err vx_buf_reserve(vx_buf *buf, size_t extra)
{
    return reserve(buf, extra, 0);
}

vx_err vx_buf_append(vx_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return VX_OK;
    vx_err err = reserve(buf, len, 0);
    if (err == VX_OK) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
    return err;
}

vx_err vx_buf_vprintf(vx_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return VX_ERR_OVERFLOW; /* longer than INT_MAX: the only failure of formats without wide characters */

    vx_err err = reserve(buf, (size_t)n, 1); /* vsnprintf needs a byte for its zero */
    if (err != VX_OK)
        return err;
    vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, args);
    buf->len += (size_t)n;
    return VX_OK;
}

vx_err vx_buf_printf(vx_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const vx_err err = vx_buf_vprintf(buf, fmt, args);
    va_end(args);
    return err;
}

void vx_buf_done(vx_buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (vx_buf){0};
}

void vx_buf_wipe_done(vx_buf *buf)
{
    if (buf == NULL)
        return;
    vx_wipe(buf->data, buf->cap);
    vx_buf_done(buf);
}

void vx_wipe(void *data, size_t len)
{
    if (len != 0)
        OPENSSL_cleanse(data, len);
}

bool vx_equal_ct(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void vx_hex(const uint8_t *data, size_t len, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_hex[2 * i] = digits[data[i] >> 4];
        ret_hex[2 * i + 1] = digits[data[i] & 15];
    }
    ret_hex[2 * len] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool vx_unhex(const char *hex, size_t len, uint8_t *ret_data)
{
    for (size_t i = 0; i < len; i++) {
        /* A zero ends the text early; the second digit is not looked at then. */
        int high = nibble(hex[2 * i]);
        int low = high < 0 ? -1 : nibble(hex[2 * i + 1]);
        if (low < 0)
            return false;
        ret_data[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
