/* gzip.c - gzip members in memory, through zlib.
 * Owns:   zlib's state while a call runs. Does not: keep anything between calls.
 */
#include "shared/base/gzip.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#define ZLIB_CONST /* zlib's input pointer is const only when asked */
#include <zlib.h>

/* The largest window; 16 more asks zlib for the gzip form and no other. */
#define WINDOW_BITS   (15 + 16)
/* zlib's default: 256 KiB of state to deflate. */
#define MEMORY_LEVEL  8
/* Deflate codes a run of 258 bytes in two bits at best, so n bytes never become more than this many times n. */
#define MAX_RATIO     1032
#define MEMBER_LEAST  18 /* header and trailer */
#define TRAILER_ISIZE 4

/* zlib's window and tables hold what passed through them, and its way to free is not told how much that is. */
typedef union {
    size_t bytes;
    max_align_t align;
} block;

static void *allocate(void *opaque, uInt n, uInt size)
{
    (void)opaque;
    size_t bytes;
    if (!vx_size_mul(n, size, &bytes) || !vx_size_add(bytes, sizeof(block), &bytes))
        return NULL;
    block *b = malloc(bytes);
    if (!b)
        return NULL;
    b->bytes = bytes;
    return b + 1;
}

static void release(void *opaque, void *data)
{
    (void)opaque;
    block *b = (block *)data - 1;
    vx_wipe(b, b->bytes);
    free(b);
}

/* What is left, as far as zlib's 32-bit counts reach. */
static uInt clamp(size_t n)
{
    return n < UINT_MAX ? (uInt)n : UINT_MAX;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Back to `before` bytes; the rest may be half a recording. */
static void roll_back(vx_buf *buf, size_t before)
{
    if (buf->data)
        vx_wipe(buf->data + before, buf->cap - before);
    buf->len = before;
}

/* ---- inflate --------------------------------------------------------------------------------------------------- */

typedef struct {
    z_stream z;
    size_t n, fed; /* bytes of input; of those, bytes that zlib was given */
    size_t members;
    vx_buf *out;
    size_t end; /* out->len may not pass it; also the limit of out, so that growth does not overshoot */
} inflation;

/* The last member says its own length, so that an honest body is inflated into one block of the right size. A liar
 * gets no more than its input could fill. */
static size_t expected(const uint8_t *in, size_t n)
{
    size_t most;
    if (n < MEMBER_LEAST)
        return 0;
    if (!vx_size_mul(n, MAX_RATIO, &most))
        most = SIZE_MAX;
    return least(vx_le32(in + n - TRAILER_ISIZE), most);
}

static vx_err damaged(const inflation *f, vx_errinfo *info)
{
    int64_t offset = (int64_t)(f->fed - f->z.avail_in);
    if (f->members > 0 && f->z.total_out == 0)
        return vx_errinfo_set_at(info, VX_ERR_GZIP, NULL, offset, 0, "the gzip data is followed by something else");
    return vx_errinfo_set_at(info, VX_ERR_GZIP, NULL, offset, 0, "the gzip data is damaged: %s",
                             f->z.msg ? f->z.msg : "unknown form");
}

/* One call of zlib. A full buffer is not grown for what may be only the member's trailer: one byte of room shows
 * whether there is more. */
static vx_err inflate_some(inflation *f, int *ret_status)
{
    uint8_t probe = 0;
    vx_buf *out = f->out;
    size_t room = least(out->cap, f->end) - out->len;

    if (f->z.avail_in == 0) {
        f->z.avail_in = clamp(f->n - f->fed);
        f->fed += f->z.avail_in;
    }
    f->z.next_out = room > 0 ? out->data + out->len : &probe;
    f->z.avail_out = room > 0 ? clamp(room) : 1;
    uInt given = f->z.avail_out;
    *ret_status = inflate(&f->z, Z_NO_FLUSH);
    size_t made = given - f->z.avail_out;
    if (room == 0 && made > 0)
        return out->len == f->end ? VX_ERR_RANGE : vx_buf_append(out, &probe, 1);
    out->len += made;
    return VX_OK;
}

static vx_err inflate_members(inflation *f, vx_errinfo *info)
{
    for (;;) {
        int status;
        vx_err err = inflate_some(f, &status);
        if (err == VX_ERR_RANGE)
            return vx_errinfo_set(info, err, "the gzip data inflates to more than is allowed");
        if (err)
            return err;
        switch (status) {
        case Z_OK: break;
        case Z_STREAM_END:
            if (f->z.avail_in == 0 && f->fed == f->n)
                return VX_OK;
            f->members++;
            if (inflateReset(&f->z) != Z_OK)
                return VX_ERR_INTERNAL;
            break;
        case Z_BUF_ERROR: /* there was room: input is what is missing */
            return vx_errinfo_set_at(info, VX_ERR_GZIP, NULL, (int64_t)f->n, 0, "the gzip data is cut off");
        case Z_DATA_ERROR: return damaged(f, info);
        case Z_MEM_ERROR: return VX_ERR_NOMEM;
        default: return VX_ERR_INTERNAL;
        }
    }
}

vx_err vx_gzip_inflate(const void *in, size_t n, size_t max_out, vx_buf *ret, vx_errinfo *info)
{
    size_t before = ret->len, limit = ret->limit;
    inflation f = {.z = {.zalloc = allocate, .zfree = release, .next_in = in}, .n = n, .out = ret};

    if (!vx_size_add(before, max_out, &f.end))
        f.end = SIZE_MAX;
    if (limit > 0)
        f.end = least(f.end, limit);
    if (inflateInit2(&f.z, WINDOW_BITS) != Z_OK)
        return VX_ERR_NOMEM;
    ret->limit = f.end;
    vx_err err = vx_buf_reserve(ret, least(expected(in, n), f.end - before));
    if (!err)
        err = inflate_members(&f, info);
    if (err)
        roll_back(ret, before);
    ret->limit = limit;
    (void)inflateEnd(&f.z);
    return err;
}

/* ---- deflate --------------------------------------------------------------------------------------------------- */

static vx_err deflate_all(z_stream *z, size_t n, vx_buf *out)
{
    size_t bound = deflateBound(z, n), fed = 0;
    int status = Z_OK;
    if (bound < n)
        return VX_ERR_OVERFLOW;
    vx_err err = vx_buf_reserve(out, bound);
    if (err)
        return err;
    while (status == Z_OK) {
        if (z->avail_in == 0) {
            z->avail_in = clamp(n - fed);
            fed += z->avail_in;
        }
        uInt given = clamp(out->cap - out->len);
        z->next_out = out->data + out->len;
        z->avail_out = given;
        status = deflate(z, fed == n ? Z_FINISH : Z_NO_FLUSH);
        out->len += given - z->avail_out;
    }
    return status == Z_STREAM_END ? VX_OK : VX_ERR_INTERNAL;
}

vx_err vx_gzip_deflate(const void *in, size_t n, int level, vx_buf *ret)
{
    size_t before = ret->len;
    z_stream z = {.zalloc = allocate, .zfree = release, .next_in = in};
    if (level < 1 || level > 9)
        return VX_ERR_ARG;
    if (deflateInit2(&z, level, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        return VX_ERR_NOMEM;
    vx_err err = deflate_all(&z, n, ret);
    if (err)
        roll_back(ret, before);
    (void)deflateEnd(&z);
    return err;
}
