/* identity.h - the bearer token with which the cloud service is asked.
 * Owns:   getting tokens (Google service-account key signed here and exchanged, metadata server, a command, a fixed key)
 *         and keeping one until shortly before it expires. Does not: send requests to the service.
 */
#ifndef VX_EDGE_ROUTE_IDENTITY_H
#define VX_EDGE_ROUTE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef enum {
    VX_IDENTITY_NONE,
    VX_IDENTITY_API_KEY,
    VX_IDENTITY_KEY_FILE,
    VX_IDENTITY_METADATA,
    VX_IDENTITY_COMMAND
} vx_identity_kind;

typedef struct {
    vx_identity_kind kind;
    const char *audience;     /* the service's URL */
    const char *api_key;      /* API_KEY */
    const char *key_file;     /* KEY_FILE: a service account's JSON, mode 0600 or it is refused */
    const char *command;      /* COMMAND: a program and its arguments, split at blanks, no shell; prints a token */
    const char *metadata_url; /* METADATA; NULL is Google's http://metadata.google.internal */
    const char *ca_file;      /* NULL: the system's */
} vx_identity_options;

typedef struct vx_identity vx_identity;

/* Texts are copied. Errors: OPTION_VALUE, NOMEM. */
VX_MUST_CHECK vx_err vx_identity_create(const vx_identity_options *options, vx_identity **ret_identity,
                                        vx_errinfo *info);
/* Wipes and frees; NULL is fine. */
void vx_identity_destroy(vx_identity *identity);

/* The value of the header Authorization ("Bearer ..."), or "" for NONE. One caller fetches, the others wait for it. A
 * token is used until 5 minutes before it expires by the server's clock (its Date header), so that a wrong clock here
 * does not matter; one without a readable expiry serves those who asked before it came, and nobody else.
 * fresh        [in] true after a 401: what is kept is thrown away (at most one fetch a second, however many ask)
 * ret_header   [out] replaced, with a zero behind it that is not counted; wiped by the caller
 * Errors       TOKEN (info: revoked key, refused, malformed answer, command failed; what to do), NETWORK, DEADLINE,
 *              NOT_FOUND, PERMISSION (key file open to others), IO and RANGE of the key file, OPTION_VALUE (CA file),
 *              NOMEM. A failure is told to all who ask within a second of it, but DEADLINE and NOMEM */
VX_MUST_CHECK vx_err vx_identity_header(vx_identity *identity, bool fresh, uint64_t deadline_ns, vx_buf *ret_header,
                                        vx_errinfo *info);

#endif
