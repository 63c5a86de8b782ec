/* socket.h - the agent's Unix socket: answers the programs of its own user, and root for PAM.
 * Owns:   the socket file, who may connect, one thread for each of at most 16 connections, the lines of the protocol.
 *         Does not: know what is asked for (agent.h), ask (client.h), hold the agent's lock (place.h).
 *
 * A connection asks one question: a line with a JSON object, then lines come back: any number of {"say": "..."} and one
 * {"answer": {...}} or {"error": {"code", "sentence"}}. Whoever closes the connection before that has given up. docs/agent.md
 * says it for those who write clients.
 */
#ifndef VX_EDGE_AGENT_SOCKET_H
#define VX_EDGE_AGENT_SOCKET_H

#include "edge/agent/agent.h"

enum { VX_AGENT_CONNECTIONS = 16 };

typedef struct vx_agent_socket vx_agent_socket;

/* All-zero members take the defaults. */
typedef struct {
    int request_ms; /* for a request to arrive whole; 2000 */
} vx_agent_socket_options;

/* Listens in a folder that vx_agent_take_folder has taken. A socket file that nobody listens on is replaced.
 * calls   [in] borrowed until destroy
 * Errors  EXISTS (an agent listens there, or a file that is no socket is in its place), RANGE (path), IO, PERMISSION,
 *         NOMEM */
VX_MUST_CHECK vx_err vx_agent_socket_create(const char *folder, const vx_agent_calls *calls,
                                            vx_agent_socket_options options, vx_agent_socket **ret_socket,
                                            vx_errinfo *info);
/* Takes no more connections, tells those who work for one that nobody waits, waits for them, removes the file. NULL is
 * fine. */
void vx_agent_socket_destroy(vx_agent_socket *socket);

#endif
