/* service.c - start-up, workers, and the way to the engine. */
#include "cloud/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/faults.h"
#include "cloud/loader.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/engine/engine_settings.h"
#include "shared/resilience/fair_pool.h"

struct vx_service {
    const vx_options *options; /* borrowed, constant */
    vx_log *log;               /* borrowed, constant */
    vx_load_plan plan;
    char folder[1024];
    vx_fair_pool *pool; /* constant; gone once closing, and not looked at then */
    pthread_t loader;
    vx_startup startup;
    vx_inference *inference;

    vx_metrics *metrics;
    vx_metric *stage_seconds[VX_STAGE_COUNT], *startup_state[VX_STARTUP_FAILED + 1];
    vx_metric *audio_seconds, *waiting, *workers, *resident, *ready;
    _Atomic uint64_t audio_samples;

    /* Guards what follows. Taken for a few loads and stores, except that a submit holds it so that the pool cannot be
     * torn down under it. Lock order: this, then the pool's own. */
    pthread_mutex_t lock;
    bool loader_started, closing;
    vx_loaded loaded; /* set once, before READY or DEGRADED; the engine is closed when no thread is left */
};

/* ---- settings -------------------------------------------------------------------------------------------------- */

static int worker_count(const vx_options *options)
{
    int64_t wanted = vx_option_int(options, "VOXLOCK_THREADS");
    return wanted > 0 ? (int)wanted : vx_cpu_count();
}

static vx_err read_settings(vx_service *service, vx_errinfo *info)
{
    const vx_options *options = service->options;
    vx_load_plan *plan = &service->plan;
    vx_err err = vx_engine_settings(options, &plan->engine, service->folder, sizeof service->folder, info);
    if (err)
        return err;
    /* A worker per core, and one core per clip: more clips a second than several cores on one clip. The clip of one caller
     * alone gets them all. */
    plan->engine.shared = true;
    plan->engine.threads = worker_count(options);
    plan->engine.fall_back = true;
    plan->folder = service->folder;
    plan->warm_up = vx_option_bool(options, "ECAPA_WARMUP_ON_START");
    plan->attempts = (int)vx_option_int(options, "VOXLOCK_LOAD_ATTEMPTS");
    plan->backoff_ms = (uint64_t)vx_option_int(options, "VOXLOCK_LOAD_BACKOFF_MS");
    return VX_OK;
}

/* ---- measures -------------------------------------------------------------------------------------------------- */

static vx_err create_metrics(vx_service *service)
{
    static const char *const stage_labels[VX_STAGE_COUNT] = {
        [VX_STAGE_DECODE] = "stage=\"decode\"",
        [VX_STAGE_FEATURES] = "stage=\"features\"",
        [VX_STAGE_NETWORK] = "stage=\"network\"",
        [VX_STAGE_QUEUE] = "stage=\"queue\"",
    };
    vx_err err = vx_metrics_create(&service->metrics);
    if (err)
        return err;
    vx_metrics *m = service->metrics;
    for (int i = 0; i < VX_STAGE_COUNT; i++) {
        service->stage_seconds[i] =
            vx_metrics_latency(m, "voxlock_stage_seconds", "Time of one clip in each stage.", stage_labels[i]);
    }
    service->audio_seconds = vx_metrics_counter(m, "voxlock_audio_seconds_total", "Audio embedded.", "");
    service->waiting = vx_metrics_gauge(m, "voxlock_queue_waiting", "Requests that wait for a worker.", "");
    service->workers = vx_metrics_gauge(m, "voxlock_workers", "Worker threads.", "");
    service->resident = vx_metrics_gauge(m, "voxlock_resident_bytes", "Resident memory of the process.", "");
    service->ready = vx_metrics_gauge(m, "voxlock_ready", "1 when the model is loaded.", "");
    for (int i = 0; i <= VX_STARTUP_FAILED; i++) {
        char label[48];
        snprintf(label, sizeof label, "state=\"%s\"", vx_startup_name((vx_startup_state)i));
        service->startup_state[i] =
            vx_metrics_gauge(m, "voxlock_startup_state", "1 for the state that start-up is in.", label);
    }
    vx_metric_set(vx_metrics_gauge(m, "voxlock_build_info", "The version, as a label.", "version=\"" VX_VERSION "\""),
                  1);
    return VX_OK;
}

void vx_service_refresh_gauges(vx_service *service)
{
    size_t waiting, running;
    int workers;
    vx_service_queue(service, &waiting, &running, &workers);
    vx_service_view view;
    vx_service_view_get(service, &view);
    vx_metric_set(service->waiting, (double)waiting);
    vx_metric_set(service->workers, workers);
    vx_metric_set(service->resident, (double)vx_rss_bytes());
    vx_metric_set(service->ready, vx_startup_serves(view.state) ? 1 : 0);
    for (int i = 0; i <= VX_STARTUP_FAILED; i++)
        vx_metric_set(service->startup_state[i], view.state == (vx_startup_state)i ? 1 : 0);
    vx_inference_refresh_metrics(service->inference);
}

void vx_service_observe(vx_service *service, vx_stage stage, double ms)
{
    vx_metric_observe(service->stage_seconds[stage], ms / 1e3);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

vx_err vx_service_create(const vx_options *options, vx_log *log, vx_service **ret_service, vx_errinfo *info)
{
    vx_service *service = calloc(1, sizeof *service);
    if (!service)
        return VX_ERR_NOMEM;
    service->options = options;
    service->log = log;
    vx_faults_use(options);
    if (pthread_mutex_init(&service->lock, NULL) != 0) {
        free(service);
        return VX_ERR_INTERNAL;
    }
    if (vx_startup_init(&service->startup)) {
        pthread_mutex_destroy(&service->lock);
        free(service);
        return VX_ERR_INTERNAL;
    }
    vx_err err = read_settings(service, info);
    if (!err)
        err = create_metrics(service);
    if (!err)
        err = vx_inference_create(options, service->metrics, &service->inference);
    if (!err)
        err = vx_fair_pool_create(worker_count(options), (size_t)vx_option_int(options, "VOXLOCK_QUEUE"),
                                  (size_t)vx_option_int(options, "VOXLOCK_CLIENT_LIMIT"), &service->pool);
    if (err) {
        vx_service_destroy(service);
        return err;
    }
    *ret_service = service;
    return VX_OK;
}

void vx_service_close(vx_service *service)
{
    pthread_mutex_lock(&service->lock);
    bool again = service->closing;
    service->closing = true;
    pthread_mutex_unlock(&service->lock);
    if (again)
        return;
    vx_startup_stop(&service->startup);
    /* No submit is inside the pool any more, and none will enter: each looks at `closing` under the lock. */
    vx_fair_pool_destroy(service->pool);
    if (service->loader_started)
        pthread_join(service->loader, NULL);
}

void vx_service_destroy(vx_service *service)
{
    if (!service)
        return;
    vx_service_close(service);
    vx_engine_close(service->loaded.engine);
    vx_inference_destroy(service->inference);
    vx_metrics_destroy(service->metrics);
    vx_startup_done(&service->startup);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

static void log_ready(vx_service *service)
{
    vx_service_view view;
    vx_service_view_get(service, &view);
    VX_LOG(service->log, view.info.degraded ? VX_LOG_WARNING : VX_LOG_INFO,
           view.info.degraded ? "model ready, but not the way that was asked for" : "model ready",
           vx_f_str("folder", service->folder), vx_f_str("model", view.info.manifest->name),
           vx_f_str("strategy", view.info.strategy), vx_f_str("gemm", view.info.gemm), vx_f_str("isa", view.info.isa),
           vx_f_str("precision", view.info.precision), vx_f_str("reason", view.info.reason),
           vx_f_real("load_ms", view.load_ms), vx_f_real("warmup_ms", view.warmup_ms),
           vx_f_real("self_test_cosine", view.self_test), vx_f_real("startup_ms", view.startup_ms));
}

static void log_failed(vx_service *service, vx_err err, const vx_errinfo *info)
{
    char line[VX_ERRINFO_LINE];
    vx_errinfo_line(info, err, line, sizeof line);
    VX_LOG(service->log, VX_LOG_ERROR, "the model cannot be loaded; requests will be answered 503",
           vx_f_str("code", vx_err_code(err)), vx_f_str("reason", line), vx_f_str("folder", service->folder));
}

static void *load(void *arg)
{
    vx_service *service = arg;
    vx_errinfo info = {0};
    vx_loaded loaded = {0};
    vx_engine_info about;
    vx_err err = vx_load(&service->plan, &service->startup, &loaded, &info);
    if (err == VX_ERR_CLOSED)
        return NULL;
    if (err) {
        log_failed(service, err, &info);
        return NULL;
    }
    pthread_mutex_lock(&service->lock);
    service->loaded = loaded;
    pthread_mutex_unlock(&service->lock);
    vx_engine_get_info(loaded.engine, &about);
    vx_startup_move(&service->startup, about.degraded ? VX_STARTUP_DEGRADED : VX_STARTUP_READY, "%s", about.reason);
    log_ready(service);
    return NULL;
}

vx_err vx_service_start(vx_service *service)
{
    if (pthread_create(&service->loader, NULL, load, service) != 0)
        return VX_ERR_INTERNAL;
    service->loader_started = true;
    return VX_OK;
}

/* ---- state ----------------------------------------------------------------------------------------------------- */

const vx_options *vx_service_options(const vx_service *service)
{
    return service->options;
}

vx_log *vx_service_log(const vx_service *service)
{
    return service->log;
}

vx_metrics *vx_service_metrics(const vx_service *service)
{
    return service->metrics;
}

vx_inference *vx_service_inference(const vx_service *service)
{
    return service->inference;
}

double vx_service_uptime_s(const vx_service *service)
{
    return vx_ms_since(service->startup.created_ns) / 1e3;
}

int vx_service_history(vx_service *service, vx_startup_event ret_events[VX_STARTUP_EVENTS])
{
    return vx_startup_history(&service->startup, ret_events);
}

void vx_service_trials(vx_service *service, vx_engine_trials *ret_trials)
{
    vx_startup_told(&service->startup, ret_trials);
}

void vx_service_view_get(vx_service *service, vx_service_view *ret_view)
{
    vx_service_view view = {
        .folder = service->folder,
        .state = vx_startup_now(&service->startup),
        .startup_ms = vx_startup_ms(&service->startup),
    };
    pthread_mutex_lock(&service->lock);
    view.closing = service->closing;
    /* The engine is published before the state says so. */
    if (vx_startup_serves(view.state)) {
        vx_engine_get_info(service->loaded.engine, &view.info);
        view.load_ms = view.info.load_ms;
        view.warmup_ms = service->loaded.warmup_ms;
        view.self_test = view.info.self_test;
    }
    pthread_mutex_unlock(&service->lock);
    *ret_view = view;
}

void vx_service_queue(vx_service *service, size_t *ret_waiting, size_t *ret_running, int *ret_workers)
{
    *ret_waiting = *ret_running = 0;
    *ret_workers = 0;
    pthread_mutex_lock(&service->lock);
    if (!service->closing) {
        *ret_waiting = vx_fair_pool_waiting(service->pool);
        *ret_running = vx_fair_pool_running(service->pool);
        *ret_workers = vx_fair_pool_workers(service->pool);
    }
    pthread_mutex_unlock(&service->lock);
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

vx_err vx_service_submit(vx_service *service, uint64_t client, vx_task_fn *fn, vx_task_fn *then, void *arg)
{
    pthread_mutex_lock(&service->lock);
    vx_err err = service->closing ? VX_ERR_CLOSED : vx_fair_pool_submit(service->pool, client, fn, then, arg);
    pthread_mutex_unlock(&service->lock);
    return err;
}

vx_err vx_service_wait_ready(vx_service *service, uint64_t deadline_ns, vx_errinfo *info)
{
    return vx_startup_wait(&service->startup, deadline_ns, info);
}

/* Counters hold whole numbers: the samples are summed exactly, and each second that becomes full is counted. */
static void count_audio(vx_service *service, size_t n_samples)
{
    uint64_t before = atomic_fetch_add_explicit(&service->audio_samples, n_samples, memory_order_relaxed);
    vx_metric_add(service->audio_seconds, (before + n_samples) / VX_AUDIO_RATE - before / VX_AUDIO_RATE);
}

vx_err vx_service_embed(vx_service *service, const vx_audio *audio, uint64_t deadline_ns, vx_cache_key *ret_key,
                        vx_embedding *ret_embedding, vx_stage_times *times, bool *ret_cached, vx_errinfo *info)
{
    vx_inference_trace trace;
    vx_err err = vx_service_wait_ready(service, deadline_ns, info);
    if (err)
        return err;
    if (vx_now_ns() >= deadline_ns)
        return VX_ERR_DEADLINE;
    err = vx_inference_embed(service->inference, service->loaded.engine, audio, deadline_ns, ret_key, ret_embedding,
                             &trace, info);
    if (err)
        return err;
    *ret_cached = trace.cached;
    count_audio(service, audio->n);
    if (trace.cached)
        return VX_OK;
    times->features_ms += trace.features_ms;
    times->inference_ms += trace.network_ms;
    vx_service_observe(service, VX_STAGE_FEATURES, trace.features_ms);
    vx_service_observe(service, VX_STAGE_NETWORK, trace.network_ms);
    return VX_OK;
}

bool vx_service_recall(vx_service *service, const vx_cache_key *request, vx_embedding *ret_embedding,
                       vx_audio *ret_audio, int *ret_note)
{
    if (!vx_startup_serves(vx_startup_now(&service->startup)))
        return false;
    if (!vx_inference_recall(service->inference, service->loaded.engine, request, ret_embedding, ret_audio, ret_note))
        return false;
    count_audio(service, ret_audio->n);
    return true;
}

void vx_service_remember(vx_service *service, const vx_cache_key *request, const vx_cache_key *key,
                         const vx_audio *audio, int note)
{
    vx_inference_remember(service->inference, request, key, audio, note);
}
