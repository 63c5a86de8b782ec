/* unlock.h - opens the screen, if and only if it is locked, and makes sure that it did open.
 * Owns:   the order: state, wake, settle, clear, characters, Return, verification; at most one retry; back-off.
 *         Does not: decide (attempt.h), know a system (desktop.h).
 *
 * The invariant: no key is sent unless the state was read as LOCKED right before that very key, by a reading that was
 * quick enough to be true. A screen that was opened by other means, a user switch or an unknown state ends the unlock at
 * once: then nothing is sent any more, not even a clearing key. Where a key fails while it stays locked, what was typed is cleared.
 * What is left is the time between that reading and the key: docs/unlock.md says how long it is.
 */
#ifndef VX_EDGE_UNLOCK_UNLOCK_H
#define VX_EDGE_UNLOCK_UNLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/unlock/desktop.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef enum {
    VX_UNLOCKED,         /* and seen to be so */
    VX_WAS_UNLOCKED,     /* it was open already: nothing was sent */
    VX_OPENED_OTHERWISE, /* somebody opened it meanwhile: stopped */
    VX_STAYED_LOCKED, /* everything was sent, twice, and it stayed locked: wrong password, or the system ignores us */
    VX_STATE_UNKNOWN, /* nothing was sent, or nothing more */
    VX_CANNOT,        /* no method, no permission, no password, a call failed: the sentence says what to do */
    VX_BACKED_OFF,    /* too soon after a failure */
} vx_unlock_result;
/* "unlocked", "was_unlocked", "opened_otherwise", "stayed_locked", "state_unknown", "cannot", "backed_off". */
const char *vx_unlock_result_name(vx_unlock_result result);

typedef struct {
    int settle_ms;  /* between wake and the first key: lock screens swallow what comes earlier; 400 */
    int key_gap_ms; /* between characters; 8 */
    int erase_keys; /* sent to empty the field before each try; 32 */
    int fresh_ms;   /* a reading of the state that took longer says how it was, not how it is; 50 */
    int stall_ms;   /* between two characters; longer, and the computer slept or stood still: stop; 1000 */
    int verify_ms;  /* how long to poll for the screen to open; 3000 */
    int poll_ms;    /* 50 */
} vx_unlock_options;
vx_unlock_options vx_unlock_options_default(void);

/* Gives the password; called only once it is needed. ret [out] UTF-8 without control characters; wiped by the unlock, also
 * on failure */
typedef vx_err vx_secret_fn(void *arg, vx_buf *ret, vx_errinfo *info);

/* What failures there were: kept by the caller between calls; all-zero at first. */
typedef struct {
    int failures;        /* in a row; of unlocks in which something was sent */
    uint64_t not_before; /* by the desktop's clock: 30 s after the first, doubling to 15 minutes */
} vx_unlock_memory;

typedef struct {
    vx_unlock_result result;
    int n_keys; /* sent, clearing and Return included. Tells how long the password is: not to be logged or recorded */
    int n_tries;
    double elapsed_ms;
    char sentence[256]; /* for the owner; never holds the password */
} vx_unlock_outcome;

/* Never fails otherwise than by its result.
 * secret [in] asked only for method TYPE; NULL: there is no password
 * memory [in,out] may be NULL */
void vx_unlock_run(const vx_desktop *desktop, const vx_unlock_options *options, vx_secret_fn *secret, void *secret_arg,
                   vx_unlock_memory *memory, vx_unlock_outcome *ret_outcome);

#endif
