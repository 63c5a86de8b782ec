/* problem.h - failures as application/problem+json (RFC 9457).
 * Owns:   the one table from vx_err to HTTP status, and the faults of HTTP itself that no vx_err names.
 */
#ifndef VX_CLOUD_PROBLEM_H
#define VX_CLOUD_PROBLEM_H

#include "cloud/http.h"
#include "shared/base/err.h"

/* Faults of the request as such, found before any handler runs. */
typedef enum {
    VX_FAULT_PATH,             /* 404 */
    VX_FAULT_METHOD,           /* 405; the caller adds Allow */
    VX_FAULT_SLOW_BODY,        /* 408 */
    VX_FAULT_BODY_SIZE,        /* 413 */
    VX_FAULT_CONTENT_TYPE,     /* 415 */
    VX_FAULT_CONTENT_ENCODING, /* 415 */
    VX_FAULT_FRAMING,          /* 400: where the body ends is ambiguous */
} vx_fault;

/* HTTP status of an error. */
int vx_problem_status(vx_err err);
/* Stable code and sentence for a client. Where info was filled with a code of its own, that one is told: a `format`
 * outside the list is a bad field (422), and its code says unknown_audio_format. Failures of the service itself get
 * their general sentence: what broke inside belongs into the log. */
const char *vx_problem_code(vx_err err, const vx_errinfo *info);
const char *vx_problem_detail(vx_err err, const vx_errinfo *info);

/* Makes the reply a problem, replacing what it held. When memory is out the body stays empty and the status stands. */
void vx_problem_reply(vx_reply *reply, const char *request_id, vx_err err, const vx_errinfo *info);
/* The same for a fault of HTTP. detail: NULL for the general sentence. */
void vx_problem_fault(vx_reply *reply, const char *request_id, vx_fault fault, const char *detail);

#endif
