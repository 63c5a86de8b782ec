/* breaker.c - three states, moved by reports and by time.
 * Owns:   the state and who holds the probe. Does not: have a timer; time is caught up with at every call.
 */
#include "shared/resilience/breaker.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

struct vx_breaker {
    pthread_mutex_t lock; /* guards the fields down to `epoch` */
    vx_breaker_state state;
    int failures_in_row;
    uint64_t opened_count;
    bool probing;      /* HALF_OPEN: somebody holds the probe */
    uint64_t since_ns; /* OPEN: since when; HALF_OPEN: when the probe set out */
    uint64_t epoch;    /* moves on with every state; a ticket is the epoch it was given in, so a late one is told */

    /* Constant once create has returned. */
    int max_failures;
    uint64_t open_ns;
    vx_clock clock;
};

/* Called with the lock held, like all helpers below. */
static void enter(vx_breaker *breaker, vx_breaker_state state, uint64_t since_ns)
{
    breaker->state = state;
    breaker->probing = false;
    breaker->since_ns = since_ns;
    breaker->epoch++;
    if (state == VX_BREAKER_OPEN)
        breaker->opened_count++;
}

static void count_failure(vx_breaker *breaker, uint64_t at_ns)
{
    if (breaker->failures_in_row < INT_MAX)
        breaker->failures_in_row++;
    if (breaker->failures_in_row >= breaker->max_failures) /* in HALF_OPEN it has been full since it opened */
        enter(breaker, VX_BREAKER_OPEN, at_ns);
}

/* Time left of open_ns from since_ns; 0 when it is over. A clock that went back has not started. */
static uint64_t left_ns(const vx_breaker *breaker, uint64_t now_ns)
{
    uint64_t passed = now_ns > breaker->since_ns ? now_ns - breaker->since_ns : 0;
    return passed < breaker->open_ns ? breaker->open_ns - passed : 0;
}

/* What time alone has changed since the last call: a probe nobody reported failed at the end of its time, not now, and
 * the pause that follows may be over as well. Returns the time it used. */
static uint64_t catch_up(vx_breaker *breaker)
{
    uint64_t now_ns = breaker->clock.now_ns(breaker->clock.ctx);
    if (breaker->probing && left_ns(breaker, now_ns) == 0)
        count_failure(breaker, breaker->since_ns + breaker->open_ns);
    if (breaker->state == VX_BREAKER_OPEN && left_ns(breaker, now_ns) == 0)
        enter(breaker, VX_BREAKER_HALF_OPEN, now_ns);
    return now_ns;
}

vx_err vx_breaker_create(int failures, uint64_t open_ns, vx_clock clock, vx_breaker **ret_breaker)
{
    if (failures < 1 || open_ns == 0 || clock.now_ns == NULL)
        return VX_ERR_ARG;
    vx_breaker *breaker = calloc(1, sizeof *breaker);
    if (breaker == NULL)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&breaker->lock, NULL) != 0) {
        free(breaker);
        return VX_ERR_NOMEM;
    }
    breaker->state = VX_BREAKER_CLOSED;
    breaker->epoch = 1; /* so that a ticket of zeros is nobody's */
    breaker->max_failures = failures;
    breaker->open_ns = open_ns;
    breaker->clock = clock;
    *ret_breaker = breaker;
    return VX_OK;
}

void vx_breaker_destroy(vx_breaker *breaker)
{
    if (breaker == NULL)
        return;
    pthread_mutex_destroy(&breaker->lock);
    free(breaker);
}

bool vx_breaker_allow(vx_breaker *breaker, uint64_t *ret_ticket, uint64_t *ret_retry_ns)
{
    pthread_mutex_lock(&breaker->lock);
    uint64_t now_ns = catch_up(breaker);
    bool leave = breaker->state != VX_BREAKER_OPEN && !breaker->probing;
    if (leave && breaker->state == VX_BREAKER_HALF_OPEN) {
        breaker->probing = true;
        breaker->since_ns = now_ns;
    }
    if (leave)
        *ret_ticket = breaker->epoch;
    else
        *ret_retry_ns = left_ns(breaker, now_ns); /* above 0, or catch_up would have moved on */
    pthread_mutex_unlock(&breaker->lock);
    return leave;
}

void vx_breaker_report(vx_breaker *breaker, uint64_t ticket, vx_attempt outcome)
{
    pthread_mutex_lock(&breaker->lock);
    uint64_t now_ns = catch_up(breaker);
    if (ticket == breaker->epoch) {
        switch (outcome) {
        case VX_ATTEMPT_SUCCEEDED:
            breaker->failures_in_row = 0;
            if (breaker->state == VX_BREAKER_HALF_OPEN)
                enter(breaker, VX_BREAKER_CLOSED, now_ns);
            break;
        case VX_ATTEMPT_FAILED: count_failure(breaker, now_ns); break;
        case VX_ATTEMPT_NEUTRAL:
            if (breaker->probing) /* entered anew, so that the ticket of the probe given back is void */
                enter(breaker, VX_BREAKER_HALF_OPEN, now_ns);
            break;
        }
    }
    pthread_mutex_unlock(&breaker->lock);
}

void vx_breaker_get(vx_breaker *breaker, vx_breaker_view *ret_view)
{
    pthread_mutex_lock(&breaker->lock);
    uint64_t now_ns = catch_up(breaker);
    *ret_view = (vx_breaker_view){
        .state = breaker->state,
        .failures_in_row = breaker->failures_in_row,
        .opened_count = breaker->opened_count,
        .retry_ns = breaker->state == VX_BREAKER_OPEN ? left_ns(breaker, now_ns) : 0,
    };
    pthread_mutex_unlock(&breaker->lock);
}

const char *vx_breaker_name(vx_breaker_state state)
{
    static const char *const names[] = {
        [VX_BREAKER_CLOSED] = "CLOSED",
        [VX_BREAKER_OPEN] = "OPEN",
        [VX_BREAKER_HALF_OPEN] = "HALF_OPEN",
    };
    return names[state];
}
