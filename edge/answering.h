/* answering.h - what the agent answers when it is asked: it listens, judges and unlocks, or says how it is.
 * Owns:   the runtime while it runs, and that one person at a time is listened to. Does not: listen for questions
 *         (agent/socket.h, agent/api.h), run the process (cmd_agent.c).
 *
 * The microphone is open only while somebody is being listened to.
 */
#ifndef VX_EDGE_ANSWERING_H
#define VX_EDGE_ANSWERING_H

#include <pthread.h>

#include "edge/agent/agent.h"
#include "edge/runtime.h"
#include "edge/unlock/unlock.h"
#include "shared/base/log.h"

typedef struct {
    const vx_options *settings; /* borrowed */
    char *const *environment;
    vx_log *log;
    vx_runtime runtime;
    pthread_mutex_t booth;   /* held by who listens */
    pthread_mutex_t lock;    /* guards what follows */
    const char *state;       /* "idle", "listening" */
    bool reload_due;         /* asked for while somebody was listened to */
    vx_unlock_memory memory; /* used by who holds the booth */
} vx_answering;

/* settings, environment, log [in] outlive it. Errors: those of vx_runtime_open. */
VX_MUST_CHECK vx_err vx_answering_open(const vx_options *settings, char *const *environment, vx_log *log,
                                       vx_answering *ret_answering, vx_errinfo *info);
/* Nobody may ask any more. */
void vx_answering_close(vx_answering *answering);
/* The calls for socket and API; good as long as answering. */
vx_agent_calls vx_answering_calls(vx_answering *answering);
/* What time and memory ask for: the model is unloaded when nobody needs it. Call it every few seconds. */
void vx_answering_tend(vx_answering *answering);

#endif
