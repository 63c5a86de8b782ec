/* gzip.h - whole gzip files (RFC 1952) in memory, in both directions, with bounds for hostile input.
 * Owns:   what an inflated body may cost, and that no copy of it stays in the heap. Does not: stream, or read the zlib
 *         and raw deflate forms that some clients call "deflate".
 */
#ifndef VX_BASE_GZIP_H
#define VX_BASE_GZIP_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* Inflates one or more gzip members that follow each other, up to the last byte of the input.
 * in      [in]  n bytes; NULL with 0 is fine, and is cut off
 * max_out [in]  most bytes that may come out; a smaller limit of ret goes before it
 * ret     [in,out] appended to; unchanged on failure, what was written behind its content is wiped
 * Memory   ret grows to at most max_out bytes more and never before the input could fill them; zlib takes 40 KiB
 * Errors   GZIP (damaged, cut off, or followed by something else; info has the offset), RANGE (more than max_out would
 *          come out; noticed at the first byte too many), NOMEM */
VX_MUST_CHECK vx_err vx_gzip_inflate(const void *in, size_t n, size_t max_out, vx_buf *ret, vx_errinfo *info);

/* Deflates into one gzip member without name or time: the same input gives the same bytes.
 * level    1 (fastest) to 9 (smallest)
 * ret      [in,out] appended to; unchanged on failure
 * Errors   ARG (level), NOMEM, OVERFLOW (the limit of ret is below the worst case, n and a little more) */
VX_MUST_CHECK vx_err vx_gzip_deflate(const void *in, size_t n, int level, vx_buf *ret);

#endif
