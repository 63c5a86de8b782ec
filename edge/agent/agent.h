/* agent.h - what the agent can be asked, by the programs of its own user: over a Unix socket (PAM module, command line) and
 * over a loopback HTTP API.
 * Owns:   the contract between those who ask (socket.c, api.c) and who answers (the program that runs the agent).
 *         Does not: listen, decide, unlock.
 */
#ifndef VX_EDGE_AGENT_AGENT_H
#define VX_EDGE_AGENT_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

/* Somebody waits for an answer. */
typedef struct vx_asker vx_asker;
struct vx_asker {
    void *arg;
    /* One sentence for the person in front, now: "Say: 4 7 1 9 0". */
    void (*say)(vx_asker *asker, const char *sentence);
    /* True once nobody waits any more (the connection is closed, the deadline has passed, a key was pressed): whoever works
     * for the asker looks every 100 ms at least, and stops. */
    bool (*gone)(vx_asker *asker);
    uint64_t deadline_ns;
};

/* The calls of whoever answers. Each returns a new reference to a JSON object, NULL when memory is out, and may be called by
 * several threads at once. */
typedef struct {
    void *arg;
    /* Listens, judges, and unlocks when it may. purpose: "screen" unlocks the desktop; "pam" only answers, and PAM lets in.
     * {"verdict", "sentence", "speaker", "may_unlock", "result" (of the unlock, or null)} */
    json_t *(*unlock)(void *arg, const char *purpose, vx_asker *asker);
    /* {"version", "state": "idle" | "listening" | "judging", "locked": true | false | null, "model": {...}, ...} */
    json_t *(*status)(void *arg);
    /* The specification's /api/voice-unlock/diagnostics: {"status": "healthy" | "degraded" | "unhealthy", "confidence",
     * "components": [{"name", "status", "detail"}], "root_causes": [...], "recommended_actions": [...]} */
    json_t *(*diagnostics)(void *arg);
    /* The user's own calibration is read anew. Profiles are read at each attempt; settings want a restart. */
    void (*reload)(void *arg);
} vx_agent_calls;

#endif
