/* api.h - the agent's HTTP API, for programs of this computer that hold its token.
 * Owns:   the loopback sockets, the token, which requests are let through, the answers' form. Does not: know what is asked
 *         for (agent.h), parse HTTP (a plugin on libmicrohttpd does, which only a program that serves maps).
 * docs/agent.md lists paths, fields and errors.
 */
#ifndef VX_EDGE_AGENT_API_H
#define VX_EDGE_AGENT_API_H

#include "edge/agent/agent.h"

enum { VX_API_CONNECTIONS = 16, VX_API_BODY_CAP = 4096, VX_API_TOKEN_CHARS = 64 };
#define VX_API_TOKEN_FILE "api-token"

typedef struct {
    int port;            /* 0: the system chooses */
    const char *origins; /* web origins whose pages may ask, with commas between; NULL or "": none */
} vx_api_options;

typedef struct vx_api vx_api;

/* Listens on 127.0.0.1, and on ::1 where the machine has it.
 * data_folder [in] where the token lies; taken by vx_agent_take_folder
 * calls       [in] borrowed until destroy
 * ret_port    [out] the port of both
 * Errors      UNSUPPORTED (this build has no such plugin), IO (the port is taken), PERMISSION (the token's file), NOMEM */
VX_MUST_CHECK vx_err vx_api_create(const char *data_folder, const vx_agent_calls *calls, const vx_api_options *options,
                                   vx_api **ret_api, int *ret_port, vx_errinfo *info);
/* Takes no more requests, tells those who work for one that nobody waits, waits for them. NULL is fine. */
void vx_api_destroy(vx_api *api);

/* The token of a folder, made at the first call: 64 hexadecimal digits of the system's randomness in a file of mode 0600.
 * ret [out] zero-terminated; to be wiped by the caller
 * Errors PERMISSION (the file is open to others, or somebody else's), RANGE (it holds something else), IO, INTERNAL (no
 *        randomness) */
VX_MUST_CHECK vx_err vx_api_token(const char *data_folder, char ret[VX_API_TOKEN_CHARS + 1], vx_errinfo *info);

#endif
