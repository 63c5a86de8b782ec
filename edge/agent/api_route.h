/* api_route.h - from a request to a reply: who may ask, what there is to ask for, how it is answered.
 * Owns:   the paths, the order of the checks, problem+json. Does not: open sockets; no state of its own, so that tests and
 *         fuzzing call it without a network.
 */
#ifndef VX_EDGE_AGENT_API_ROUTE_H
#define VX_EDGE_AGENT_API_ROUTE_H

#include <stdatomic.h>

#include "edge/agent/agent.h"
#include "edge/agent/api.h"
#include "edge/agent/api_plugin.h"

typedef struct {
    const vx_agent_calls *calls;
    char token[VX_API_TOKEN_CHARS + 1];
    int port;              /* that a Host header may name */
    const char *origins;   /* as in vx_api_options */
    atomic_bool *stopping; /* nobody waits any more */
} vx_api_front;

/* Threads: any number at once. When memory is out the reply has a status and no body. */
void vx_api_route(const vx_api_front *front, const vx_api_request *request, vx_api_reply *ret_reply);

#endif
