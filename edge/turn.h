/* turn.h - one person at a time is listened to: who asks goes before who only waits to be spoken to.
 * Owns:   whose turn it is in the agent, between its threads; and the sign by which a command tells the agent that it
 *         listens itself. Does not: listen.
 */
#ifndef VX_EDGE_TURN_H
#define VX_EDGE_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef enum { VX_TURN_FREE, VX_TURN_ASKED, VX_TURN_WAKE } vx_turn_holder;

typedef struct {
    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* of holder */
    vx_turn_holder holder;
    int n_waiting; /* who was asked and waits for the wake loop to let go */
} vx_turn;

/* False when the system is out of resources. */
bool vx_turn_init(vx_turn *turn);
/* Nobody has it. */
void vx_turn_done(vx_turn *turn);

/* For who was asked: takes it from the wake loop, which lets go within a fraction of a second.
 * False: somebody else was asked before, or it was not let go by due_ns of vx_now_ns(). */
bool vx_turn_take(vx_turn *turn, uint64_t due_ns);
/* For the wake loop, and for work that wants nobody to be listened to: only when it is free, without waiting. */
bool vx_turn_take_free(vx_turn *turn);
/* Whether the wake loop is to let go now. */
bool vx_turn_wanted(vx_turn *turn);
void vx_turn_give(vx_turn *turn);

/* ---- between programs ---- */

/* A command holds the sign while it listens: a lock on a file in the agent's folder, gone with the process.
 * ret_fd [out] to be closed; -1 where the agent's folder cannot be had: then no agent is there to be told
 * Errors BUSY (another command listens) */
VX_MUST_CHECK vx_err vx_sign_hold(const char *folder, int *ret_fd, vx_errinfo *info);
/* For the agent: whether some command holds it. */
bool vx_sign_held(const char *folder);

#endif
