/* startup.h - the start-up state machine: which states follow which, what happened when, and waiting for the end.
 * Owns:   state, history, and what the strategies said last. Does not: load anything (loader.h does).
 *
 *   PENDING -> INITIALIZING -> READY | DEGRADED | FAILED
 *              INITIALIZING -> RETRYING -> INITIALIZING
 */
#ifndef VX_CLOUD_STARTUP_H
#define VX_CLOUD_STARTUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/engine/engine.h"

typedef enum {
    VX_STARTUP_PENDING,
    VX_STARTUP_INITIALIZING,
    VX_STARTUP_RETRYING,
    VX_STARTUP_READY,
    VX_STARTUP_DEGRADED, /* answers, but not the way that was asked for */
    VX_STARTUP_FAILED,
} vx_startup_state;
/* "PENDING", ... Static. */
const char *vx_startup_name(vx_startup_state state);
/* READY or DEGRADED: requests are answered. */
bool vx_startup_serves(vx_startup_state state);

enum { VX_STARTUP_EVENTS = 24 }; /* first and last of a start with every retry */

typedef struct {
    vx_startup_state state;
    double at_ms;                      /* since the machine was made */
    int attempt;                       /* 1 for the first try; 0 before it */
    char reason[VX_ERRINFO_LINE + 64]; /* an error's whole line, and its code and what follows */
} vx_startup_event;

typedef struct {
    uint64_t created_ns;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Guarded by lock. */
    vx_startup_event events[VX_STARTUP_EVENTS]; /* the last is the present */
    int n_events;
    vx_engine_trials trials;
    bool stopped;
} vx_startup;

/* In PENDING. Errors: INTERNAL (the system is out of resources). */
VX_MUST_CHECK vx_err vx_startup_init(vx_startup *startup);
void vx_startup_done(vx_startup *startup);

/* Moves on. An attempt is counted with each INITIALIZING. False, and nothing moves, when the machine has no such step:
 * a defect of the caller. */
bool vx_startup_move(vx_startup *startup, vx_startup_state to, const char *reason_fmt, ...) VX_PRINTF(3, 4);
/* What each strategy said in the latest attempt: kept, and asked for. */
void vx_startup_tell(vx_startup *startup, const vx_engine_trials *trials);
void vx_startup_told(vx_startup *startup, vx_engine_trials *ret_trials);
/* The program ends: wakes everyone who waits. */
void vx_startup_stop(vx_startup *startup);

vx_startup_state vx_startup_now(vx_startup *startup);
/* From creation to READY, DEGRADED or FAILED, or until now. */
double vx_startup_ms(vx_startup *startup);
/* Copies the history, oldest first; returns how many. */
int vx_startup_history(vx_startup *startup, vx_startup_event ret_events[VX_STARTUP_EVENTS]);

/* Returns when the state serves or is FAILED. Errors: NOT_READY (vx_now_ns() reached deadline_ns, or FAILED: info holds
 * its reason), CLOSED. */
VX_MUST_CHECK vx_err vx_startup_wait(vx_startup *startup, uint64_t deadline_ns, vx_errinfo *info);
/* Waits, between two attempts. False when the program ends. */
bool vx_startup_pause(vx_startup *startup, uint64_t ms);

#endif
