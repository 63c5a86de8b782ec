/* answering.h - what the agent answers when it is asked: it listens, judges and unlocks, or says how it is.
 * Owns:   the runtime while it runs, and that one person at a time is listened to. Does not: listen for questions
 *         (agent/socket.h, agent/api.h), wake by itself (wake.h), run the process (cmd_agent.c).
 */
#ifndef VX_EDGE_ANSWERING_H
#define VX_EDGE_ANSWERING_H

#include <pthread.h>

#include "edge/agent/agent.h"
#include "edge/runtime.h"
#include "edge/turn.h"
#include "edge/unlock/unlock.h"
#include "shared/base/log.h"

/* How the wake loop is. */
typedef enum {
    VX_WAKE_OFF,       /* for good; why says for what reason */
    VX_WAKE_WAITING,   /* the microphone is closed, as the screen is open, or for another reason */
    VX_WAKE_LISTENING, /* the microphone is open */
    VX_WAKE_JUDGING,   /* somebody said a phrase */
    VX_WAKE_FAILED,    /* it should be open and cannot be; it is tried again */
} vx_wake_state;
/* "off", "waiting", "listening", "judging", "failed". */
const char *vx_wake_state_name(vx_wake_state state);
typedef struct {
    vx_wake_state state;
    char why[256]; /* a clause; "" when listening */
} vx_wake_view;

typedef struct {
    const vx_options *settings; /* borrowed */
    char *const *environment;
    vx_log *log;
    vx_runtime runtime;
    vx_turn turn;            /* held by who listens */
    vx_unlock_memory memory; /* used by who holds the turn */
    pthread_mutex_t lock;    /* guards what follows */
    const char *state;       /* "idle", "listening" */
    bool reload_due;         /* asked for while somebody was listened to */
    vx_wake_view wake;
} vx_answering;

/* settings, environment, log [in] outlive it. Errors: those of vx_runtime_open. */
VX_MUST_CHECK vx_err vx_answering_open(const vx_options *settings, char *const *environment, vx_log *log,
                                       vx_answering *ret_answering, vx_errinfo *info);
/* Nobody may ask any more. */
void vx_answering_close(vx_answering *answering);
/* The calls for socket and API; good as long as answering. */
vx_agent_calls vx_answering_calls(vx_answering *answering);
/* For the wake loop: how it is. */
void vx_answering_tell_wake(vx_answering *answering, vx_wake_state state, const char *why);
/* What time and memory ask for: the model is unloaded when nobody needs it. Call it every few seconds. */
void vx_answering_tend(vx_answering *answering);

#endif
