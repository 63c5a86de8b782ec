/* sha256.c - SHA-256 through OpenSSL's EVP interface, which picks the SHA instructions of the machine.
 * Owns:   the digest context. Does not: compare digests (vx_equal_ct) or write them as text (vx_hex).
 */
#include "shared/base/sha256.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct vx_sha256 {
    EVP_MD_CTX *ctx;
};

vx_err vx_sha256_of(const void *data, size_t len, uint8_t ret_digest[VX_SHA256_BYTES])
{
    uint8_t digest[VX_SHA256_BYTES];
    if (EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) != 1)
        return VX_ERR_INTERNAL;
    memcpy(ret_digest, digest, sizeof digest);
    return VX_OK;
}

vx_err vx_sha256_create(vx_sha256 **ret_hash)
{
    vx_sha256 *hash = calloc(1, sizeof *hash);
    if (hash == NULL)
        return VX_ERR_NOMEM;

    vx_err err = VX_ERR_NOMEM;
    hash->ctx = EVP_MD_CTX_new();
    if (hash->ctx == NULL)
        goto out;
    err = VX_ERR_INTERNAL;
    if (EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL) != 1)
        goto out;
    *ret_hash = hash;
    return VX_OK;
out:
    vx_sha256_destroy(hash);
    return err;
}

vx_err vx_sha256_update(vx_sha256 *hash, const void *data, size_t len)
{
    return EVP_DigestUpdate(hash->ctx, data, len) == 1 ? VX_OK : VX_ERR_INTERNAL;
}

vx_err vx_sha256_final(vx_sha256 *hash, uint8_t ret_digest[VX_SHA256_BYTES])
{
    uint8_t digest[VX_SHA256_BYTES];
    if (EVP_DigestFinal_ex(hash->ctx, digest, NULL) != 1)
        return VX_ERR_INTERNAL;
    memcpy(ret_digest, digest, sizeof digest);
    return VX_OK;
}

void vx_sha256_destroy(vx_sha256 *hash)
{
    if (hash == NULL)
        return;
    EVP_MD_CTX_free(hash->ctx); /* wipes the state, which still holds the last input block */
    free(hash);
}
