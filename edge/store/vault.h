/* vault.h - sealed bytes: AES-256-GCM, a fresh random nonce each time, and the place they belong to as associated data,
 * so that a row's bytes moved to another row do not open.
 * Owns:   the format "VX" 1 | nonce 12 | ciphertext | tag 16. Does not: keep keys (keyring.h), know tables.
 */
#ifndef VX_EDGE_STORE_VAULT_H
#define VX_EDGE_STORE_VAULT_H

#include <stddef.h>
#include <stdint.h>

#include "edge/store/keyring.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"
#include "shared/base/sha256.h"

enum { VX_SEAL_OVERHEAD = 3 + 12 + 16 };

typedef struct vx_vault vx_vault;

/* Derives what it needs from key (HKDF-SHA-256, one key to seal, one to authenticate the audit chain); key is the
 * caller's to wipe. Errors: NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_vault_create(const uint8_t key[VX_KEY_BYTES], vx_vault **ret_vault);
/* Wipes and frees; NULL is fine. */
void vx_vault_destroy(vx_vault *vault);

/* place [in] "sample/17/audio": what, of which row. Appended to ret_sealed. Threads: any. Errors: NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_vault_seal(const vx_vault *vault, const char *place, const void *plain, size_t len,
                                   vx_buf *ret_sealed);
/* Appended to ret_plain, which the caller wipes (vx_buf_wipe_done). Errors: STORE_CORRUPT (not sealed by this key for
 * this place; nothing is appended), NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_vault_open(const vx_vault *vault, const char *place, const void *sealed, size_t len,
                                   vx_buf *ret_plain, vx_errinfo *info);

/* HMAC-SHA-256 under the audit key. Errors: INTERNAL. */
VX_MUST_CHECK vx_err vx_vault_mac(const vx_vault *vault, const void *data, size_t len,
                                  uint8_t ret_mac[VX_SHA256_BYTES]);

#endif
