/* vault.c - AES-256-GCM around every secret of the store, and the MAC of its audit log.
 * Owns:   the two keys derived from the store's own, wiped with it. Does not: decide what is sealed, or where.
 *
 * Nonces are random: 96 bits repeat with a probability of 2^-33 after 2^32 values under one key (NIST SP 800-38D, 8.3);
 * a store that takes a thousand values a day gets there in 11,000 years.
 */
#include "edge/store/vault.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 3, NONCE = 12, TAG = 16, BEHIND_HEADER = HEADER + NONCE };
static const uint8_t header[HEADER] = {'V', 'X', 1};

struct vx_vault {
    uint8_t seal_key[32];
    uint8_t audit_key[32];
};

/* HKDF-SHA-256 without salt: the key is random already, info tells its uses apart. */
static bool derive(const uint8_t key[VX_KEY_BYTES], const char *use, uint8_t ret_key[32])
{
    size_t len = 32;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    bool done = ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_CTX_set_hkdf_md(ctx, EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_key(ctx, key, VX_KEY_BYTES) == 1 &&
                EVP_PKEY_CTX_add1_hkdf_info(ctx, (const unsigned char *)use, (int)strlen(use)) == 1 &&
                EVP_PKEY_derive(ctx, ret_key, &len) == 1;
    EVP_PKEY_CTX_free(ctx);
    return done;
}

vx_err vx_vault_create(const uint8_t key[VX_KEY_BYTES], vx_vault **ret_vault)
{
    vx_vault *vault = calloc(1, sizeof *vault);
    if (!vault)
        return VX_ERR_NOMEM;
    if (!derive(key, "voxlock seal 1", vault->seal_key) || !derive(key, "voxlock audit 1", vault->audit_key)) {
        vx_vault_destroy(vault);
        return VX_ERR_INTERNAL;
    }
    *ret_vault = vault;
    return VX_OK;
}

void vx_vault_destroy(vx_vault *vault)
{
    if (!vault)
        return;
    vx_wipe(vault, sizeof *vault);
    free(vault);
}

/* What is authenticated beside the text: the format's version and the place. */
static bool start(EVP_CIPHER_CTX *ctx, const vx_vault *vault, const uint8_t *nonce, const char *place, int encrypting)
{
    int n;
    return EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->seal_key, nonce, encrypting) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, header, HEADER) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)place, (int)strlen(place)) == 1;
}

vx_err vx_vault_seal(const vx_vault *vault, const char *place, const void *plain, size_t len, vx_buf *ret_sealed)
{
    int n = 0;
    if (len > INT_MAX - VX_SEAL_OVERHEAD)
        return VX_ERR_OVERFLOW;
    vx_err err = vx_buf_reserve(ret_sealed, len + VX_SEAL_OVERHEAD);
    if (err != VX_OK)
        return err;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return VX_ERR_NOMEM;
    uint8_t *out = ret_sealed->data + ret_sealed->len, *text = out + BEHIND_HEADER;
    memcpy(out, header, HEADER);
    /* An update without bytes is left out: to EVP, length 0 with no data is a request of its own. */
    bool done = RAND_bytes(out + HEADER, NONCE) == 1 && start(ctx, vault, out + HEADER, place, 1) &&
                (len == 0 || EVP_CipherUpdate(ctx, text, &n, plain, (int)len) == 1) &&
                EVP_CipherFinal_ex(ctx, text + len, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, text + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!done)
        return VX_ERR_INTERNAL;
    ret_sealed->len += len + VX_SEAL_OVERHEAD;
    return VX_OK;
}

/* Decrypts len bytes at text into ret_plain, then compares the tag behind them. */
static vx_err decrypt(const vx_vault *vault, const char *place, const uint8_t *nonce, const uint8_t *text, size_t len,
                      uint8_t *ret_plain)
{
    uint8_t tag[TAG];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return VX_ERR_NOMEM;
    memcpy(tag, text + len, TAG);
    vx_err err = VX_ERR_INTERNAL;
    if (start(ctx, vault, nonce, place, 0) && (len == 0 || EVP_CipherUpdate(ctx, ret_plain, &n, text, (int)len) == 1) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1)
        err = EVP_CipherFinal_ex(ctx, ret_plain + len, &n) == 1 ? VX_OK : VX_ERR_STORE_CORRUPT;
    EVP_CIPHER_CTX_free(ctx);
    return err;
}

vx_err vx_vault_open(const vx_vault *vault, const char *place, const void *sealed, size_t len, vx_buf *ret_plain,
                     vx_errinfo *info)
{
    const uint8_t *in = sealed;
    if (len < VX_SEAL_OVERHEAD || len > INT_MAX || memcmp(in, header, HEADER) != 0)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "%s is no sealed value", place);
    size_t n = len - VX_SEAL_OVERHEAD;
    vx_err err = vx_buf_reserve(ret_plain, n > 0 ? n : 1); /* so that data is not NULL for a value without bytes */
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "no room for %s", place);
    uint8_t *out = ret_plain->data + ret_plain->len;
    err = decrypt(vault, place, in + HEADER, in + BEHIND_HEADER, n, out);
    if (err != VX_OK) {
        vx_wipe(out, n); /* decrypted before it was known to be genuine */
        return vx_errinfo_set(info, err, "%s is damaged, lay elsewhere, or was sealed with another key", place);
    }
    ret_plain->len += n;
    return VX_OK;
}

vx_err vx_vault_mac(const vx_vault *vault, const void *data, size_t len, uint8_t ret_mac[VX_SHA256_BYTES])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    if (!HMAC(EVP_sha256(), vault->audit_key, sizeof vault->audit_key, data, len, mac, NULL))
        return VX_ERR_INTERNAL;
    memcpy(ret_mac, mac, VX_SHA256_BYTES);
    return VX_OK;
}
