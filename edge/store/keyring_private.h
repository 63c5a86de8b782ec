/* keyring_private.h - what a keyring of the system offers, how it is asked without waiting for ever, and the key file. */
#ifndef VX_EDGE_STORE_KEYRING_PRIVATE_H
#define VX_EDGE_STORE_KEYRING_PRIVATE_H

#include <string.h>

#include "edge/store/keyring.h"
#include "shared/base/bytes.h"

enum {
    VX_KEYRING_ABI = 2,
    VX_KEYRING_WAIT_MS = 5000,                    /* for all that one call of keyring.h asks of a keyring */
    VX_KEYRING_SECRET_CAP = 2 * VX_KEY_BYTES + 1, /* the key as hex, zero-terminated: keyrings show secrets as text */
    VX_KEYRING_TEXT_CAP = 1025,                   /* any secret, zero-terminated */
    VX_KEYRING_WHY_CAP = 160,
};

/* The entry that is no store's key but the login password (password.h). */
#define VX_KEYRING_PASSWORD_ID "login password"

/* A keyring. Every function may block for as long as it likes, and must open no window. ret_why [out] on failure, one
 * clause for the owner.
 * Errors  NOT_FOUND (it answers, and has no such key), UNSUPPORTED (there is none to ask), STORE_KEY (it refuses: locked) */
typedef struct {
    int abi;
    const char *name; /* "Secret Service" */
    /* ret_secret [out] wiped by the caller; empty when what is kept does not fit */
    vx_err (*get)(const char *key_id, char *ret_secret /*[VX_KEYRING_TEXT_CAP]*/, char *ret_why);
    vx_err (*put)(const char *key_id, const char *secret, char *ret_why); /* in place of one that is there */
    vx_err (*drop)(const char *key_id, char *ret_why);
} vx_keyring_backend;

/* macOS: Keychain. Elsewhere NULL. keyring_macos.c */
const vx_keyring_backend *vx_keyring_keychain(void);

/* Exported by vx_keyring_secret.so: VX_KEYRING_PLUGIN_EXPORT = { ... }; */
#define VX_KEYRING_PLUGIN_SYMBOL "vx_keyring_plugin_table"
#define VX_KEYRING_PLUGIN_EXPORT                                                                                       \
    extern const vx_keyring_backend vx_keyring_plugin_table __attribute__((visibility("default")));                    \
    const vx_keyring_backend vx_keyring_plugin_table

/* What a keyring's window shows beside an entry. */
static inline const char *vx_keyring_label(const char *key_id)
{
    return strcmp(key_id, VX_KEYRING_PASSWORD_ID) == 0 ? "voxlock: login password"
                                                       : "voxlock: key of the voice profiles";
}

/* The keyring to ask, for tests one that misbehaves. */
typedef struct {
    const vx_keyring_backend *backend; /* NULL: none */
    int wait_ms;
    char why[VX_KEYRING_WHY_CAP]; /* there is none */
} vx_keyring_system;
/* The keyring of this computer. A file needs none, and loads no library for it. */
vx_keyring_system vx_keyring_system_of(vx_keyring_kind kind);

VX_MUST_CHECK vx_err vx_keyring_get_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id,
                                       const char *folder, bool make, vx_store_key *ret_key, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_keyring_put_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id,
                                       const char *folder, vx_store_key *key, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_keyring_forget_in(const vx_keyring_system *system, vx_keyring_kind kind, const char *key_id,
                                          const char *folder, vx_errinfo *info);

/* ---- one question (keyring_call.c) -------------------------------------------------------------------------------- */

typedef enum { VX_KEYRING_GET, VX_KEYRING_PUT, VX_KEYRING_DROP } vx_keyring_verb;
/* Asks on a thread of its own until due_ns (vx_now_ns); a keyring that is still silent then is left to itself, and what it
 * says later is wiped unread.
 * secret  [in] of PUT, [out] of GET: cap bytes, at most VX_KEYRING_TEXT_CAP; "" when what is kept does not fit
 * Errors  those of the backend, DEADLINE (ret_why says so), NOMEM */
VX_MUST_CHECK vx_err vx_keyring_call(const vx_keyring_backend *backend, vx_keyring_verb verb, const char *key_id,
                                     uint64_t due_ns, char *secret, size_t cap, char ret_why[VX_KEYRING_WHY_CAP]);

/* ---- the login password (password.c), in a keyring that a test chooses ----------------------------------------------- */

VX_MUST_CHECK vx_err vx_password_put_in(const vx_keyring_system *system, const char *password, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_password_get_in(const vx_keyring_system *system, vx_buf *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_password_forget_in(const vx_keyring_system *system, vx_errinfo *info);

/* ---- the key file (keyring_file.c) -------------------------------------------------------------------------------- */

/* Errors: NOT_FOUND (no file, or no such line; info untouched), STORE_KEY (open to others, or no key file), IO, NOMEM. */
VX_MUST_CHECK vx_err vx_key_file_get(const char *folder, const char *key_id, char ret_secret[VX_KEYRING_SECRET_CAP],
                                     vx_errinfo *info);
VX_MUST_CHECK vx_err vx_key_file_put(const char *folder, const char *key_id, const char *secret, vx_errinfo *info);
/* A line or file that is not there is no error; a file without lines is removed. */
VX_MUST_CHECK vx_err vx_key_file_drop(const char *folder, const char *key_id, vx_errinfo *info);

#endif
