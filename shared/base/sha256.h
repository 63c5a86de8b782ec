/* sha256.h - SHA-256 through OpenSSL, in one call and in pieces. */
#ifndef VX_BASE_SHA256_H
#define VX_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

#define VX_SHA256_BYTES 32
#define VX_SHA256_HEX   (2 * VX_SHA256_BYTES + 1)

typedef struct vx_sha256 vx_sha256;

/* Errors: NOMEM, INTERNAL (the crypto library refused). */
VX_MUST_CHECK vx_err vx_sha256_of(const void *data, size_t len, uint8_t ret_digest[VX_SHA256_BYTES]);

/* Pieces: create, update any number of times, final, destroy. One thread at a time. */
VX_MUST_CHECK vx_err vx_sha256_create(vx_sha256 **ret_hash);
VX_MUST_CHECK vx_err vx_sha256_update(vx_sha256 *hash, const void *data, size_t len);
VX_MUST_CHECK vx_err vx_sha256_final(vx_sha256 *hash, uint8_t ret_digest[VX_SHA256_BYTES]);
void vx_sha256_destroy(vx_sha256 *hash);

#endif
