/* loader.h - from a model folder to an engine that has proven itself, with retries.
 * Owns:   the attempts and their back-off. Does not: run in a thread of its own (service.c gives it one).
 */
#ifndef VX_CLOUD_LOADER_H
#define VX_CLOUD_LOADER_H

#include <stdbool.h>

#include "cloud/startup.h"
#include "shared/engine/engine.h"

typedef struct {
    const char *folder;
    vx_engine_options engine;
    bool warm_up;        /* one inference on a clip of usual length before READY */
    int attempts;        /* at least 1 */
    uint64_t backoff_ms; /* before the second attempt; doubles each time */
} vx_load_plan;

typedef struct {
    vx_engine *engine; /* owned by the caller; NULL when loading failed */
    double warmup_ms;  /* 0 when there was none */
} vx_loaded;

/* Opens the model with its self-test, runs the warm-up, and moves the machine through its states to INITIALIZING; the
 * caller makes the last step, READY or DEGRADED, when it has published the engine. FAILED is set here.
 * ret_loaded [out] set on success
 * Errors     those of vx_engine_open, from the last attempt; CLOSED (the program ends) */
VX_MUST_CHECK vx_err vx_load(const vx_load_plan *plan, vx_startup *startup, vx_loaded *ret_loaded, vx_errinfo *info);

#endif
