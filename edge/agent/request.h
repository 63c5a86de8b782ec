/* request.h - what may be asked of the agent over its socket: one JSON object a line, of at most 4 KiB.
 * Owns:   the names of operations and the bounds of their fields. Does not: read sockets, answer.
 */
#ifndef VX_EDGE_AGENT_REQUEST_H
#define VX_EDGE_AGENT_REQUEST_H

#include <stddef.h>

#include "shared/base/err.h"

enum {
    VX_AGENT_REQUEST_CAP = 4096,
    /* Least, default and most of an unlock's time: the most is beyond the 35 s that a whole unlock may take. */
    VX_AGENT_LEAST_MS = 100,
    VX_AGENT_DEFAULT_MS = 35000,
    VX_AGENT_MOST_MS = 60000,
};

typedef enum { VX_ASK_STATUS, VX_ASK_UNLOCK, VX_ASK_RELOAD } vx_agent_op;

typedef struct {
    vx_agent_op op;
    const char *purpose; /* "screen" or "pam": static text; NULL unless op is UNLOCK */
    int timeout_ms;
} vx_agent_request;

/* Fields that are not known are ignored, so that a newer program can ask an older agent.
 * Errors JSON_SYNTAX, JSON_LIMIT, JSON_FIELD (info names the field), NOMEM */
VX_MUST_CHECK vx_err vx_agent_request_parse(const char *text, size_t len, vx_agent_request *ret, vx_errinfo *info);

#endif
