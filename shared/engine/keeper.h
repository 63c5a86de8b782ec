/* keeper.h - at most one open engine of a model folder: loaded when somebody asks or shortly before, lent, and unloaded
 * when nobody needs it. An agent that rests below 30 MB has no model most of the day.
 * Owns:   the engine, the thread that loads it, its memory budget, the pause after a load that failed.
 * Does not: read the system's memory pressure or foresee when people speak (its caller tells both), run a timer (its
 *         caller calls vx_keeper_tend).
 */
#ifndef VX_ENGINE_KEEPER_H
#define VX_ENGINE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/options.h"
#include "shared/engine/engine.h"

typedef struct vx_keeper vx_keeper;

/* A time that never comes. */
#define VX_KEEPER_NEVER        UINT64_MAX
/* From here on the device is short of memory: the cloud is asked first (system-wide share in use). */
#define VX_KEEPER_MAX_PRESSURE 0.85

typedef struct {
    size_t max_bytes;    /* resident memory of the whole process with the model in it; 0: no limit */
    uint64_t idle_ns;    /* unused for so long, the model is unloaded; 0: never */
    double max_pressure; /* from here on an unused model is unloaded, and none is loaded ahead of time */
} vx_keeper_limits;
/* VOICE_UNLOCK_MAX_MEMORY, VOXLOCK_IDLE_UNLOAD_S and VX_KEEPER_MAX_PRESSURE. settings: of the program voxlock. */
vx_keeper_limits vx_keeper_limits_of(const vx_options *settings);

/* What the system has, as the caller last read it. */
typedef struct {
    double pressure;   /* share of its memory in use, 0 to 1 */
    size_t free_bytes; /* what a program can still get without pushing others out; SIZE_MAX: unknown */
} vx_keeper_memory;

/* A keeper without a model. Nothing is read yet, so the folder may come later.
 * folder  [in] copied
 * options [in] texts are borrowed and outlive the keeper; max_bytes and ret_trials are the keeper's and ignored
 * clock   [in] by which idle time, preloading and the pause after a failure are measured; deadlines go by vx_now_ns()
 * Errors  NOMEM, INTERNAL (no thread) */
VX_MUST_CHECK vx_err vx_keeper_create(const char *folder, const vx_engine_options *options,
                                      const vx_keeper_limits *limits, vx_clock clock, vx_keeper **ret_keeper);
/* Refuses new callers, tells those who wait CLOSED, waits for a load under way and until every engine lent is back, and
 * unloads. Whoever calls it must not hold the engine, nor call any other function after it. NULL is fine. */
void vx_keeper_destroy(vx_keeper *keeper);

/* Borrows the engine, which is loaded first if need be: once, however many ask. The load runs on the keeper's own
 * thread and goes on when everybody who asked for it has given up waiting. After a failure (memory apart, which comes
 * and goes) callers are told the same again for 1 s, doubling up to 30 s with each further failure: a broken folder is
 * not hashed again and again, and a mended one is found soon.
 * deadline_ns [in]  by vx_now_ns(); in the past: takes an engine that is loaded, and else only starts the load
 * ret_engine  [out] stays open until vx_keeper_release; other callers have the same one
 * Threads  any
 * Errors   DEADLINE (still loading), NOMEM (info names what the model takes and what is left), CLOSED, those of
 *          vx_engine_open; info->retry_s says when asking again makes sense */
VX_MUST_CHECK vx_err vx_keeper_acquire(vx_keeper *keeper, uint64_t deadline_ns, vx_engine **ret_engine,
                                       vx_errinfo *info);
/* Gives back what one acquire lent. */
void vx_keeper_release(vx_keeper *keeper);

/* Starts loading and returns at once; a model already there counts as used now. Does nothing under pressure. For signs
 * that somebody is about to speak: a key, a lid, the start of an utterance. Threads: any. */
void vx_keeper_preload(vx_keeper *keeper);
/* Does so at a time to come, by the keeper's clock; the next vx_keeper_tend at or after it acts, and forgets it.
 * Replaces the time told before; VX_KEEPER_NEVER for none. Threads: any. */
void vx_keeper_preload_at(vx_keeper *keeper, uint64_t at_ns);

/* Does what time and memory ask for: loads ahead, or unloads, which takes some milliseconds. An engine that is lent, or
 * that somebody waits for, is never touched. A preload that falls due while the model is there restarts its idle time,
 * so that busy hours do not unload and load in turns.
 * memory  [in] remembered for loads until the next call
 * Returns when to call again, by the keeper's clock; earlier whenever something was released or memory has changed.
 * Threads: any */
uint64_t vx_keeper_tend(vx_keeper *keeper, const vx_keeper_memory *memory);

typedef enum { VX_KEEPER_EMPTY, VX_KEEPER_LOADING, VX_KEEPER_LOADED, VX_KEEPER_UNLOADING } vx_keeper_state;
typedef enum { VX_UNLOAD_NONE, VX_UNLOAD_IDLE, VX_UNLOAD_PRESSURE } vx_unload_cause;
/* "empty", "loading", "loaded", "unloading"; "none", "idle", "pressure". Static. */
const char *vx_keeper_state_name(vx_keeper_state state);
const char *vx_unload_cause_name(vx_unload_cause cause);

/* What a status page shows. Plain data. */
typedef struct {
    vx_keeper_state state;
    int n_lent, n_waiting;
    uint64_t n_loads, n_failures, n_unloads;
    vx_unload_cause last_unload;
    vx_errinfo last_failure; /* code VX_OK when the last load succeeded, or none was tried */
    uint64_t preload_ns;     /* VX_KEEPER_NEVER: none is planned */
    double load_ms;          /* of the engine opened last, like what follows; 0 and "" before the first */
    const char *strategy;    /* static */
    bool degraded;
    char reason[256];    /* why this strategy, cut */
    int64_t grown_bytes; /* resident memory, after its open less before: what the estimate should have bounded */
    int64_t given_bytes; /* resident memory, before the last unload less after; 0 before the first */
} vx_keeper_view;
void vx_keeper_get_view(vx_keeper *keeper, vx_keeper_view *ret_view);

#endif
