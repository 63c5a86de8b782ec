/* auth.h - who may call: bearer tokens (RFC 6750) against the digests in VOXLOCK_API_KEYS.
 * Owns:   the list of names and digests; tokens themselves are never stored. Does not: decide which paths are open,
 *         limit rates, or issue tokens.
 *
 * A key is all or nothing. Nobody is let in yet not allowed something, so 403 has no case here: a request without a
 * usable token and one with an unknown token are both 401, told apart by their WWW-Authenticate.
 */
#ifndef VX_CLOUD_AUTH_H
#define VX_CLOUD_AUTH_H

#include <stdbool.h>

#include "shared/base/err.h"
#include "shared/base/sha256.h"

#define VX_AUTH_NAME_CAP    65 /* 64 characters of [A-Za-z0-9._-] and the zero */
#define VX_AUTH_PAIR_CAP    (VX_AUTH_NAME_CAP + VX_SHA256_HEX)
/* Digests are plain SHA-256, fast to try by the billion: what protects a token is that it is long and random. Twenty
 * random letters and digits are 119 bits. */
#define VX_AUTH_TOKEN_LEAST 20

typedef struct vx_auth vx_auth;

/* Reads a value of VOXLOCK_API_KEYS.
 * setting  [in] "name:digest,name:digest", digests being SHA-256 in hex; or "@FILE" with one pair a line, blank lines
 *               and lines that start with '#' left out; or "" for no check at all. Names and digests occur once each
 * Errors   OPTION_VALUE (info says which entry or line, never what it holds; also for a file without keys, or one that
 *          others may read or change), NOT_FOUND, PERMISSION, IO, RANGE (the file), NOMEM */
VX_MUST_CHECK vx_err vx_auth_create(const char *setting, vx_auth **ret_auth, vx_errinfo *info);
/* NULL is fine. */
void vx_auth_destroy(vx_auth *auth);
/* False: the setting was empty, and everybody may call. */
bool vx_auth_is_on(const vx_auth *auth);

/* Checks the value of an Authorization header. The token's digest is compared with every key, in a time that tells
 * nothing of which one matched or how nearly.
 * authorization [in] NULL when absent
 * ret_name      [out] the key's name, for logs and per-client limits; "" when the check is off. Borrowed from auth
 * Threads  any: nothing changes after create
 * Errors   AUTH_MISSING (no header, another scheme, not a token by its characters), AUTH_DENIED (not a known token),
 *          INTERNAL (the crypto library refused) */
VX_MUST_CHECK vx_err vx_auth_check(const vx_auth *auth, const char *authorization, const char **ret_name);
/* The WWW-Authenticate header that a 401 for this error needs; NULL for other errors. Static. */
const char *vx_auth_challenge(vx_err err);

/* "name:digest", as VOXLOCK_API_KEYS takes it, for a token.
 * ret_pair [out] zero-terminated
 * Errors   ARG (the name, or a token that is too short or has characters that no Authorization header may carry; info
 *          says what to change, without the token), INTERNAL */
VX_MUST_CHECK vx_err vx_auth_pair(const char *name, const char *token, char ret_pair[VX_AUTH_PAIR_CAP],
                                  vx_errinfo *info);

#endif
