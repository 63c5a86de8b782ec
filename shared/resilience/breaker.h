/* breaker.h - stops asking what keeps failing: CLOSED, OPEN after failures in a row, HALF_OPEN for one probe.
 * Owns:   the state. Does not: run anything, sleep, or know what failed. Time comes from the clock it is given.
 */
#ifndef VX_RESILIENCE_BREAKER_H
#define VX_RESILIENCE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/clock.h"
#include "shared/base/err.h"

typedef enum { VX_BREAKER_CLOSED, VX_BREAKER_OPEN, VX_BREAKER_HALF_OPEN } vx_breaker_state;

typedef struct vx_breaker vx_breaker;

/* failures: how many in a row open it (5); open_ns: how long it refuses before it lets one probe through (30 s). Both
 * at least 1. Errors: ARG, NOMEM. */
VX_MUST_CHECK vx_err vx_breaker_create(int failures, uint64_t open_ns, vx_clock clock, vx_breaker **ret_breaker);
/* NULL is fine. */
void vx_breaker_destroy(vx_breaker *breaker);

/* Asks leave for one attempt. True: the caller tries, and must report with the ticket exactly once. False: refused, and
 * *ret_retry_ns says when to come back (at least 1): when the pause ends, or when the probe under way is given up. In
 * HALF_OPEN only one caller gets leave; a probe that is never reported counts as failed after open_ns. Of the two, only
 * the one that applies is set. Threads: any. */
bool vx_breaker_allow(vx_breaker *breaker, uint64_t *ret_ticket, uint64_t *ret_retry_ns);

typedef enum {
    VX_ATTEMPT_SUCCEEDED,
    VX_ATTEMPT_FAILED,
    VX_ATTEMPT_NEUTRAL, /* says nothing of the thing behind (the client's own error, cancelled): a probe is given back */
} vx_attempt;
/* A report from before the breaker last changed state changes nothing: a slow success must not close it. */
void vx_breaker_report(vx_breaker *breaker, uint64_t ticket, vx_attempt outcome);

typedef struct {
    vx_breaker_state state;
    int failures_in_row;
    uint64_t opened_count; /* times it went to OPEN */
    uint64_t retry_ns;     /* OPEN: until a probe; else 0 */
} vx_breaker_view;
void vx_breaker_get(vx_breaker *breaker, vx_breaker_view *ret_view);
/* "CLOSED", "OPEN", "HALF_OPEN". */
const char *vx_breaker_name(vx_breaker_state state);

#endif
