/* service.h - the running service: settings, model, workers, measures.
 * Owns:   start-up of the model, the worker pool, the metrics, and the only way to the engine.
 *         Does not: know HTTP, or how an embedding is remembered (inference.h).
 */
#ifndef VX_CLOUD_SERVICE_H
#define VX_CLOUD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/inference.h"
#include "cloud/startup.h"
#include "shared/audio/audio.h"
#include "shared/base/log.h"
#include "shared/base/metrics.h"
#include "shared/base/options.h"
#include "shared/base/pool.h"
#include "shared/engine/engine.h"

typedef struct vx_service vx_service;

/* What is known of the service at this moment. */
typedef struct {
    vx_startup_state state;
    double startup_ms;   /* from create to READY, DEGRADED or FAILED, or until now */
    double load_ms;      /* opening the model; 0 before READY */
    double warmup_ms;    /* first long inference; 0 before READY, or when there was none */
    double self_test;    /* cosine to the manifest's self-test; -2 when it has none; READY or DEGRADED only */
    vx_engine_info info; /* READY or DEGRADED only; borrowed from the service */
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
vx_inference *vx_service_inference(const vx_service *service);
double vx_service_uptime_s(const vx_service *service);
void vx_service_view_get(vx_service *service, vx_service_view *ret_view);
int vx_service_history(vx_service *service, vx_startup_event ret_events[VX_STARTUP_EVENTS]);
/* What each strategy said in the latest attempt to load the model. */
void vx_service_trials(vx_service *service, vx_engine_trials *ret_trials);
/* Waiting and running tasks, and workers. */
void vx_service_queue(vx_service *service, size_t *ret_waiting, size_t *ret_running, int *ret_workers);
/* Sets the gauges that are read when asked for: queue, workers, memory, readiness, cache, breaker. */
void vx_service_refresh_gauges(vx_service *service);

/* Queues a task for a worker, in its client's turn (any hash of who that is), as vx_fair_pool_submit does. Errors: BUSY,
 * LIMIT, CLOSED, NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_service_submit(vx_service *service, uint64_t client, vx_task_fn *fn, vx_task_fn *then,
                                       void *arg);

/* Returns when the model is loaded. Errors: NOT_READY (the deadline came first, or loading failed; info says which),
 * CLOSED. */
VX_MUST_CHECK vx_err vx_service_wait_ready(vx_service *service, uint64_t deadline_ns, vx_errinfo *info);

/* The only way to the engine. Waits for the model, checks the deadline, remembers or computes, counts.
 * ret_key       [out] what the audio is remembered by; may be NULL
 * ret_embedding [out] wiped by the caller after use; untouched on failure
 * times         [in,out] features and inference are added to
 * ret_cached    [out] it was not computed for this call
 * Errors   DEADLINE, those of vx_service_wait_ready and vx_inference_embed */
VX_MUST_CHECK vx_err vx_service_embed(vx_service *service, const vx_audio *audio, uint64_t deadline_ns,
                                      vx_cache_key *ret_key, vx_embedding *ret_embedding, vx_stage_times *times,
                                      bool *ret_cached, vx_errinfo *info);
/* vx_inference_recall and _remember, when the model serves. */
bool vx_service_recall(vx_service *service, const vx_cache_key *request, vx_embedding *ret_embedding,
                       vx_audio *ret_audio, int *ret_note);
void vx_service_remember(vx_service *service, const vx_cache_key *request, const vx_cache_key *key,
                         const vx_audio *audio, int note);

/* Time a request spent in a stage: "decode", "features", "network", "queue". */
typedef enum { VX_STAGE_DECODE, VX_STAGE_FEATURES, VX_STAGE_NETWORK, VX_STAGE_QUEUE, VX_STAGE_COUNT } vx_stage;
void vx_service_observe(vx_service *service, vx_stage stage, double ms);

#endif
