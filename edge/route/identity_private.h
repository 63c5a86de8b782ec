/* identity_private.h - what the files of identity share: keys, tokens and where they come from.
 * Owns:   nothing. Does not: leave edge/route, but for tests and the fuzzer.
 *
 * Nothing here puts a token, a key or an assertion into an error; what a server or a program says of a failure goes
 * through vx_identity_shown.
 */
#ifndef VX_EDGE_ROUTE_IDENTITY_PRIVATE_H
#define VX_EDGE_ROUTE_IDENTITY_PRIVATE_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/route/http.h"
#include "edge/route/identity.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* Google's identity tokens have some 1,000 bytes; servers take header lines of 8 KiB. */
enum { VX_TOKEN_MAX = 8000, VX_IDENTITY_SHOWN_CAP = 96 };

/* What somebody else said, fit for an error: its first line without control characters, cut; "" where it could hold a
 * token. */
void vx_identity_shown(const char *text, size_t len, char ret[VX_IDENTITY_SHOWN_CAP]);

/* Overwrites a text inside a JSON value, which jansson would free as it is. NULL is fine. */
void vx_json_wipe_text(const char *text);

/* ---- base64url without padding (RFC 4648, section 5): identity_token.c ------------------------------------------ */

VX_MUST_CHECK vx_err vx_base64url_encode(const void *data, size_t len, vx_buf *ret_text);
/* Appended. Errors: BASE64, NOMEM. */
VX_MUST_CHECK vx_err vx_base64url_decode(const char *text, size_t len, vx_buf *ret_data);

/* ---- tokens: identity_token.c ----------------------------------------------------------------------------------- */

/* 1 to VX_TOKEN_MAX of the characters that a bearer token may hold (RFC 6750): what passes cannot end a header line. */
bool vx_token_well_formed(const char *token, size_t len);
/* The claim exp of a JSON Web Token, seconds since 1970; false when it cannot be read. The signature is not looked at:
 * the token came over TLS from who made it, or from a program of the user's, and the service verifies it. */
bool vx_token_expiry(const char *token, size_t len, int64_t *ret_expiry_s);
/* The field id_token of a token endpoint's answer, appended. Errors: TOKEN (no JSON, no token in it), NOMEM. */
VX_MUST_CHECK vx_err vx_token_from_answer(const char *json, size_t len, vx_buf *ret_token, vx_errinfo *info);
/* What a refusal says: "invalid_grant: Invalid JWT Signature.", or "" when it says nothing that can be shown. */
void vx_token_refusal(const char *json, size_t len, char ret_why[VX_IDENTITY_SHOWN_CAP]);

/* ---- service-account keys: identity_key.c ----------------------------------------------------------------------- */

typedef struct {
    char *email, *key_id, *token_uri; /* key_id may be "" */
    EVP_PKEY *key;                    /* RSA, at least 2048 bits */
} vx_service_key;

/* Errors: TOKEN (info: what of the file is wrong, never what it holds), NOMEM. */
VX_MUST_CHECK vx_err vx_service_key_parse(const char *json, size_t len, vx_service_key *ret_key, vx_errinfo *info);
/* The same from a file, which nobody but its owner may read. Errors: NOT_FOUND, PERMISSION, IO, RANGE, and as above. */
VX_MUST_CHECK vx_err vx_service_key_read(const char *path, vx_service_key *ret_key, vx_errinfo *info);
/* Frees; all-zero is fine. */
void vx_service_key_done(vx_service_key *key);
/* The assertion that is exchanged for a token, appended: a JSON Web Token, RS256, good for an hour from now_s on.
 * Errors: NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_service_key_sign(const vx_service_key *key, const char *audience, int64_t now_s,
                                         vx_buf *ret_assertion);

/* ---- a program: identity_command.c ------------------------------------------------------------------------------ */

/* Runs it without a shell, with its standard input empty, and appends the one word that it prints. At the deadline it
 * is killed with all that it started.
 * command [in] program (looked up in PATH) and arguments, split at blanks
 * Errors  TOKEN (cannot be started, failed, printed no token; info: the first line of its standard error), DEADLINE,
 *         NOMEM */
VX_MUST_CHECK vx_err vx_identity_run(const char *command, uint64_t deadline_ns, vx_buf *ret_token, vx_errinfo *info);

#endif
