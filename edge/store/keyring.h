/* keyring.h - the one key that everything at rest is sealed with, kept where the system keeps secrets.
 * Owns:   finding, making and wiping the key. Does not: encrypt (vault.h), know the database.
 *
 * Kept in Keychain (macOS) or the Secret Service (Linux, vx_keyring_secret.so, loaded on demand), else in a file of mode
 * 0600 beside the store: that keeps out other users, not whoever copies the folder, and is said aloud. Neither is asked in
 * a way that opens a window: a keyring that is locked is an error that says so.
 */
#ifndef VX_EDGE_STORE_KEYRING_H
#define VX_EDGE_STORE_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

#define VX_KEY_FILE "key"
enum { VX_KEY_BYTES = 32, VX_KEY_ID_CAP = 33 };

typedef enum { VX_KEYRING_AUTO, VX_KEYRING_SYSTEM, VX_KEYRING_FILE } vx_keyring_kind;
/* By the value of VOXLOCK_KEYRING: "auto", "system", "file". */
vx_keyring_kind vx_keyring_kind_of(const char *setting);

/* What was found. The key is wiped with vx_wipe by whoever holds it. */
typedef struct {
    uint8_t key[VX_KEY_BYTES];
    bool made;          /* it is new: there was none */
    const char *source; /* "Keychain", "Secret Service", "file"; static */
    char warning[256];  /* what its owner should know (that the key lies beside what it protects, and why), or "" */
} vx_store_key;

/* Finds the key of a store, or makes one.
 * kind    [in] AUTO takes the system's keyring where one answers within 5 s, else the file, and says why; SYSTEM and FILE
 *              take nothing else. A key that is in both is the system's
 * key_id  [in] 32 hex digits: the store it belongs to (one user may have several)
 * folder  [in] of the store; the file is folder/key, 0600, written whole or not at all, one line for each key_id: a store
 *              put away by a restore keeps its key
 * make    [in] false: a missing key is an error, so that a store is never left with a key that does not open it
 * Errors  STORE_KEY (not there, locked, of wrong length, readable by others; info says which and what to do),
 *         PERMISSION, IO, NOMEM */
VX_MUST_CHECK vx_err vx_keyring_get(vx_keyring_kind kind, const char *key_id, const char *folder, bool make,
                                    vx_store_key *ret_key, vx_errinfo *info);
/* Keeps a key that is known already (from a backup) under key_id, in place of one that is there; read back before it
 * counts as kept. key->key [in]; source and warning [out]. Errors: those of vx_keyring_get. */
VX_MUST_CHECK vx_err vx_keyring_put(vx_keyring_kind kind, const char *key_id, const char *folder, vx_store_key *key,
                                    vx_errinfo *info);
/* Removes it from wherever it lies. Errors: those of vx_keyring_get; a key that is not there is no error. */
VX_MUST_CHECK vx_err vx_keyring_forget(vx_keyring_kind kind, const char *key_id, const char *folder, vx_errinfo *info);

#endif
