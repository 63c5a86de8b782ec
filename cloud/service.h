/* service.h - the state of the running service: settings, model, workers, measures.
 * Owns:   start-up of the model, the worker pool, the metrics, and the only way to the engine.
 *         Does not: know HTTP. The embedding cache and the circuit breaker have their place inside vx_service_embed.
 */
#ifndef VX_CLOUD_SERVICE_H
#define VX_CLOUD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/audio/audio.h"
#include "shared/base/log.h"
#include "shared/base/metrics.h"
#include "shared/base/options.h"
#include "shared/base/pool.h"
#include "shared/engine/engine.h"

typedef struct vx_service vx_service;

typedef enum { VX_STARTUP_PENDING, VX_STARTUP_INITIALIZING, VX_STARTUP_READY, VX_STARTUP_FAILED } vx_startup_state;
/* "PENDING", ... Static. */
const char *vx_startup_name(vx_startup_state state);

/* What is known of start-up at this moment. */
typedef struct {
    vx_startup_state state;
    double startup_ms;   /* from create to READY or FAILED, or until now */
    double load_ms;      /* opening the model; 0 before READY */
    double warmup_ms;    /* first inference; 0 before READY, or when switched off */
    vx_engine_info info; /* READY only; borrowed from the service */
    vx_errinfo error;    /* FAILED only */
    const char *folder;  /* the model folder; borrowed */
    bool closing;        /* shutting down */
} vx_service_view;

/* Where the time of one embedding went. */
typedef struct {
    double decode_ms;
    double features_ms;
    double inference_ms;
} vx_stage_times;

/* Checks the settings and starts the workers; the model is not touched.
 * options [borrow] as loaded for VX_FOR_CLOUD; must outlive the service
 * log     [borrow] may be NULL
 * Errors  OPTION_VALUE (info names the setting), NOMEM, INTERNAL */
VX_MUST_CHECK vx_err vx_service_create(const vx_options *options, vx_log *log, vx_service **ret_service,
                                       vx_errinfo *info);
/* Starts loading the model in the background. Once. Errors: INTERNAL. */
VX_MUST_CHECK vx_err vx_service_start(vx_service *service);
/* Refuses new work, fails what waits in the queue with CLOSED, runs what is running to its end, joins all threads.
 * Every task given to vx_service_submit has returned afterwards. Again is fine. */
void vx_service_close(vx_service *service);
/* Closes and frees. NULL is fine. */
void vx_service_destroy(vx_service *service);

const vx_options *vx_service_options(const vx_service *service);
vx_log *vx_service_log(const vx_service *service);
vx_metrics *vx_service_metrics(const vx_service *service);
double vx_service_uptime_s(const vx_service *service);
void vx_service_view_get(vx_service *service, vx_service_view *ret_view);
/* Waiting and running tasks, and workers. */
void vx_service_queue(vx_service *service, size_t *ret_waiting, size_t *ret_running, int *ret_workers);
/* Sets the gauges that are read when asked for: queue, workers, memory, readiness. */
void vx_service_refresh_gauges(vx_service *service);

/* Queues a task for a worker. Errors: BUSY, CLOSED. Threads: any. */
VX_MUST_CHECK vx_err vx_service_submit(vx_service *service, vx_task_fn *fn, void *arg);

/* Returns when the model is loaded. Errors: NOT_READY (the deadline came first, or loading failed; info says which),
 * CLOSED. */
VX_MUST_CHECK vx_err vx_service_wait_ready(vx_service *service, uint64_t deadline_ns, vx_errinfo *info);

/* The only way to the engine. Waits for the model, checks the deadline, computes, counts.
 * ret_embedding [out] wiped by the caller after use; untouched on failure
 * times         [in,out] features and inference are added to
 * Errors   DEADLINE, those of vx_service_wait_ready and vx_engine_embed */
VX_MUST_CHECK vx_err vx_service_embed(vx_service *service, const vx_audio *audio, uint64_t deadline_ns,
                                      vx_embedding *ret_embedding, vx_stage_times *times, vx_errinfo *info);

/* Time a request spent in a stage: "decode", "features", "network", "queue". */
typedef enum { VX_STAGE_DECODE, VX_STAGE_FEATURES, VX_STAGE_NETWORK, VX_STAGE_QUEUE, VX_STAGE_COUNT } vx_stage;
void vx_service_observe(vx_service *service, vx_stage stage, double ms);

#endif
