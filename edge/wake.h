/* wake.h - the agent wakes by itself: while the screen is locked, and only then, it waits for a command phrase.
 * Owns:   the thread that watches the lock, when the microphone may be open, what follows a phrase. Does not: hear or
 *         judge (live.h), answer questions (answering.h).
 */
#ifndef VX_EDGE_WAKE_H
#define VX_EDGE_WAKE_H

#include "edge/answering.h"

typedef struct vx_wake vx_wake;

/* Starts the thread, where VOXLOCK_WAKE says so and this computer tells whether it is locked; else only says why not
 * (vx_answering_tell_wake).
 * answering [in] outlives it
 * folder    [in] the agent's, for the sign of commands that listen (turn.h)
 * Errors    NOMEM, INTERNAL (no thread) */
VX_MUST_CHECK vx_err vx_wake_create(vx_answering *answering, const char *folder, vx_wake **ret_wake, vx_errinfo *info);
/* Stops within a fraction of a second, a conversation under way too; where a microphone is just being opened and does not
 * answer, within 3 s. NULL is fine. */
void vx_wake_destroy(vx_wake *wake);

/* ---- what the thread goes by; for tests ---- */

typedef struct {
    vx_lock_state lock;
    bool has_owner;      /* one profile is armed, and there is a model to judge with */
    bool command;        /* of this user, listens itself */
    bool resting;        /* after rejections, or until a microphone is tried again */
    const char *no_lock; /* why the lock is unknown, ... */
    const char *no_owner;
    const char *rest;
} vx_wake_facts;
/* Whether the microphone may be open. ret_why [out] why not; "" when it may */
bool vx_wake_may_listen(const vx_wake_facts *facts, const char **ret_why);
/* How long to leave a microphone alone that failed so often in a row, in ms: 1 s, doubling to 8 s. */
int vx_wake_retry_ms(int n_failures);

#endif
