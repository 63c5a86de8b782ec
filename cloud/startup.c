/* startup.c - the start-up state machine. */
#include "cloud/startup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/cond.h"

#define BIT(state) (1u << (state))

/* What may follow each state. */
static const unsigned successors[] = {
    [VX_STARTUP_PENDING] = BIT(VX_STARTUP_INITIALIZING),
    [VX_STARTUP_INITIALIZING] =
        BIT(VX_STARTUP_RETRYING) | BIT(VX_STARTUP_READY) | BIT(VX_STARTUP_DEGRADED) | BIT(VX_STARTUP_FAILED),
    [VX_STARTUP_RETRYING] = BIT(VX_STARTUP_INITIALIZING),
    [VX_STARTUP_READY] = 0,
    [VX_STARTUP_DEGRADED] = 0,
    [VX_STARTUP_FAILED] = 0,
};

const char *vx_startup_name(vx_startup_state state)
{
    static const char *const names[] = {"PENDING", "INITIALIZING", "RETRYING", "READY", "DEGRADED", "FAILED"};
    return names[state];
}

bool vx_startup_serves(vx_startup_state state)
{
    return state == VX_STARTUP_READY || state == VX_STARTUP_DEGRADED;
}

vx_err vx_startup_init(vx_startup *startup)
{
    *startup = (vx_startup){.created_ns = vx_now_ns(), .n_events = 1};
    if (pthread_mutex_init(&startup->lock, NULL) != 0)
        return VX_ERR_INTERNAL;
    if (!vx_cond_init(&startup->changed)) {
        pthread_mutex_destroy(&startup->lock);
        return VX_ERR_INTERNAL;
    }
    return VX_OK;
}

void vx_startup_done(vx_startup *startup)
{
    pthread_cond_destroy(&startup->changed);
    pthread_mutex_destroy(&startup->lock);
}

static const vx_startup_event *present(const vx_startup *startup)
{
    return &startup->events[startup->n_events - 1];
}

bool vx_startup_move(vx_startup *startup, vx_startup_state to, const char *reason_fmt, ...)
{
    pthread_mutex_lock(&startup->lock);
    const vx_startup_event from = *present(startup);
    bool legal = successors[from.state] & BIT(to);
    if (legal) {
        /* A full history keeps how it began and lets the middle go. */
        if (startup->n_events == VX_STARTUP_EVENTS) {
            memmove(&startup->events[4], &startup->events[5], (VX_STARTUP_EVENTS - 5) * sizeof *startup->events);
            startup->n_events--;
        }
        vx_startup_event *event = &startup->events[startup->n_events++];
        *event = (vx_startup_event){.state = to, .at_ms = vx_ms_since(startup->created_ns), .attempt = from.attempt};
        event->attempt += to == VX_STARTUP_INITIALIZING;
        va_list args;
        va_start(args, reason_fmt);
        vsnprintf(event->reason, sizeof event->reason, reason_fmt, args);
        va_end(args);
        pthread_cond_broadcast(&startup->changed);
    }
    pthread_mutex_unlock(&startup->lock);
    return legal;
}

void vx_startup_tell(vx_startup *startup, const vx_engine_trials *trials)
{
    pthread_mutex_lock(&startup->lock);
    startup->trials = *trials;
    pthread_mutex_unlock(&startup->lock);
}

void vx_startup_told(vx_startup *startup, vx_engine_trials *ret_trials)
{
    pthread_mutex_lock(&startup->lock);
    *ret_trials = startup->trials;
    pthread_mutex_unlock(&startup->lock);
}

void vx_startup_stop(vx_startup *startup)
{
    pthread_mutex_lock(&startup->lock);
    startup->stopped = true;
    pthread_cond_broadcast(&startup->changed);
    pthread_mutex_unlock(&startup->lock);
}

vx_startup_state vx_startup_now(vx_startup *startup)
{
    pthread_mutex_lock(&startup->lock);
    vx_startup_state state = present(startup)->state;
    pthread_mutex_unlock(&startup->lock);
    return state;
}

double vx_startup_ms(vx_startup *startup)
{
    pthread_mutex_lock(&startup->lock);
    const vx_startup_event *event = present(startup);
    double ms = successors[event->state] == 0 ? event->at_ms : vx_ms_since(startup->created_ns);
    pthread_mutex_unlock(&startup->lock);
    return ms;
}

int vx_startup_history(vx_startup *startup, vx_startup_event ret_events[VX_STARTUP_EVENTS])
{
    pthread_mutex_lock(&startup->lock);
    int n = startup->n_events;
    memcpy(ret_events, startup->events, (size_t)n * sizeof *ret_events);
    pthread_mutex_unlock(&startup->lock);
    return n;
}

vx_err vx_startup_wait(vx_startup *startup, uint64_t deadline_ns, vx_errinfo *info)
{
    pthread_mutex_lock(&startup->lock);
    while (!startup->stopped && successors[present(startup)->state] != 0 &&
           vx_cond_wait_until(&startup->changed, &startup->lock, deadline_ns))
        ;
    vx_startup_event event = *present(startup);
    bool stopped = startup->stopped;
    pthread_mutex_unlock(&startup->lock);
    if (stopped)
        return VX_ERR_CLOSED;
    if (vx_startup_serves(event.state))
        return VX_OK;
    if (event.state == VX_STARTUP_FAILED)
        return vx_errinfo_set(info, VX_ERR_NOT_READY, "the model could not be loaded; /startup-diagnostics says why");
    return vx_errinfo_set(info, VX_ERR_NOT_READY, "the model was not loaded before the deadline; it is still loading");
}

bool vx_startup_pause(vx_startup *startup, uint64_t ms)
{
    const uint64_t until = vx_now_ns() + ms * 1000000u;
    pthread_mutex_lock(&startup->lock);
    while (!startup->stopped && vx_cond_wait_until(&startup->changed, &startup->lock, until))
        ;
    bool go_on = !startup->stopped;
    pthread_mutex_unlock(&startup->lock);
    return go_on;
}
