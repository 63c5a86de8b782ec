/* client.h - asks the agent over its socket: for the command line and for the PAM module.
 * Owns:   one connection for one question, the check of who answers, the deadline. Does not: start an agent, use threads,
 *         heap or signals, or link a library.
 */
#ifndef VX_EDGE_AGENT_CLIENT_H
#define VX_EDGE_AGENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "edge/agent/reply.h"
#include "shared/base/err.h"

/* Borrowed for the call. */
typedef struct {
    const char *socket_path;
    uid_t owner;          /* whose agent it must be: another user's is not spoken to */
    const char *op;       /* "status", "unlock", "reload" */
    const char *purpose;  /* of an unlock: "screen" or "pam"; NULL otherwise */
    uint64_t deadline_ns; /* by vx_now_ns(); the agent is told what is left */
    /* A sentence for the person in front, without control characters; may be NULL. */
    void (*say)(void *arg, const char *sentence);
    /* Asked every 100 ms; true ends the question, and the agent stops. May be NULL. */
    bool (*give_up)(void *arg);
    void *arg;
} vx_agent_question;

/* The answer's object as JSON text, zero-terminated: for jansson, or for vx_agent_reply_field. */
typedef struct {
    size_t len;
    char json[VX_AGENT_LINE_CAP];
} vx_agent_answer;

/* Never waits past the deadline.
 * Errors NOT_FOUND (no agent listens there), PERMISSION (it is another user's, or will not speak to us), BUSY,
 *        DEADLINE, CLOSED (give_up said so), IO (cut off), JSON_SYNTAX (not an answer of this protocol), RANGE (path);
 *        INTERNAL for an error that the agent tells of; info then holds its sentence */
VX_MUST_CHECK vx_err vx_agent_ask(const vx_agent_question *question, vx_agent_answer *ret_answer, vx_errinfo *info);

#endif
