/* service.c - start-up, workers, and the way to the engine. */
#include "cloud/service.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/cond.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/engine/model_folder.h"

struct vx_service {
    const vx_options *options; /* borrowed, constant */
    vx_log *log;               /* borrowed, constant */
    vx_engine_options engine_options;
    char folder[1024];
    bool warmup;
    uint64_t created_ns;
    vx_pool *pool; /* constant; gone once closing, and not looked at then */
    pthread_t loader;

    vx_metrics *metrics;
    vx_metric *stage_seconds[VX_STAGE_COUNT];
    vx_metric *audio_seconds, *waiting, *workers, *resident, *ready;
    _Atomic uint64_t audio_samples;

    /* Guards what follows. Taken for a few loads and stores, except that a submit holds it so that the pool cannot be
     * torn down under it. Lock order: this, then the pool's own. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* state or closing */
    vx_startup_state state;
    bool loader_started, closing;
    uint64_t settled_ns; /* READY or FAILED since */
    double warmup_ms;
    vx_engine *engine; /* set once, before READY; closed when no thread is left */
    vx_errinfo error;
};

const char *vx_startup_name(vx_startup_state state)
{
    static const char *const names[] = {"PENDING", "INITIALIZING", "READY", "FAILED"};
    return names[state];
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

static vx_err pick_isa(const vx_options *options, vx_isa *ret_isa, vx_errinfo *info)
{
    const char *name = vx_option_text(options, "VOXLOCK_ISA");
    if (strcmp(name, "auto") == 0) {
        *ret_isa = vx_isa_best();
        return VX_OK;
    }
    static const vx_isa all[] = {VX_ISA_SCALAR, VX_ISA_NEON, VX_ISA_AVX2, VX_ISA_AVX512};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(name, vx_isa_name(all[i])) == 0 && vx_isa_available(all[i])) {
            *ret_isa = all[i];
            return VX_OK;
        }
    }
    return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_ISA=%s: this machine cannot run it; its best is %s", name,
                          vx_isa_name(vx_isa_best()));
}

static vx_err read_settings(vx_service *service, vx_errinfo *info)
{
    const vx_options *options = service->options;
    service->engine_options = vx_engine_options_default();
    service->engine_options.strategy = vx_option_text(options, "ECAPA_PREFERRED_STRATEGY");
    service->engine_options.gemm = vx_option_text(options, "VOXLOCK_GEMM");
    /* One core per clip and a worker per core: more clips a second than several cores on one clip. */
    service->engine_options.threads = 1;
    vx_err err = pick_isa(options, &service->engine_options.isa, info);
    if (err)
        return err;
    service->warmup = vx_option_bool(options, "ECAPA_WARMUP_ON_START");
    return vx_model_folder(vx_option_text(options, "ECAPA_CACHE_DIR"), service->folder, sizeof service->folder, info);
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
    vx_metric_set(service->ready, view.state == VX_STARTUP_READY ? 1 : 0);
}

void vx_service_observe(vx_service *service, vx_stage stage, double ms)
{
    vx_metric_observe(service->stage_seconds[stage], ms / 1e3);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static int worker_count(const vx_options *options)
{
    int64_t wanted = vx_option_int(options, "VOXLOCK_THREADS");
    return wanted > 0 ? (int)wanted : vx_cpu_count();
}

vx_err vx_service_create(const vx_options *options, vx_log *log, vx_service **ret_service, vx_errinfo *info)
{
    vx_service *service = calloc(1, sizeof *service);
    if (!service)
        return VX_ERR_NOMEM;
    service->options = options;
    service->log = log;
    service->created_ns = vx_now_ns();
    if (pthread_mutex_init(&service->lock, NULL) != 0) {
        free(service);
        return VX_ERR_INTERNAL;
    }
    if (!vx_cond_init(&service->changed)) {
        pthread_mutex_destroy(&service->lock);
        free(service);
        return VX_ERR_INTERNAL;
    }
    vx_err err = read_settings(service, info);
    if (!err)
        err = create_metrics(service);
    if (!err)
        err = vx_pool_create(worker_count(options), (size_t)vx_option_int(options, "VOXLOCK_QUEUE"), &service->pool);
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
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
    if (again)
        return;
    /* No submit is inside the pool any more, and none will enter: each looks at `closing` under the lock. */
    vx_pool_destroy(service->pool);
    if (service->loader_started)
        pthread_join(service->loader, NULL);
}

void vx_service_destroy(vx_service *service)
{
    if (!service)
        return;
    vx_service_close(service);
    vx_engine_close(service->engine);
    vx_metrics_destroy(service->metrics);
    pthread_cond_destroy(&service->changed);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

/* Half a second touches every page of the weights, which is what makes a first inference slow, and keeps the requests
 * that already wait from waiting longer. Harmonics whose level moves: every stage does its usual work. */
static vx_err warm_up(vx_engine *engine, double *ret_ms)
{
    enum { N = VX_AUDIO_RATE / 2 };
    const double step = 2 * 3.14159265358979323846 / VX_AUDIO_RATE;
    float *samples = malloc(N * sizeof *samples);
    if (!samples)
        return VX_ERR_NOMEM;
    for (int i = 0; i < N; i++) {
        double t = step * i;
        double level = 0.1 * (1.2 + sin(3 * t));
        samples[i] = (float)(level * (sin(140 * t) + 0.5 * sin(280 * t) + 0.25 * sin(1120 * t)));
    }
    uint64_t start = vx_now_ns();
    vx_embedding embedding;
    vx_err err = vx_engine_embed(engine, samples, N, &embedding, NULL);
    if (!err) {
        vx_embedding_wipe(&embedding);
        *ret_ms = vx_ms_since(start);
    }
    free(samples);
    return err;
}

static void set_state(vx_service *service, vx_startup_state state)
{
    pthread_mutex_lock(&service->lock);
    service->state = state;
    if (state == VX_STARTUP_READY || state == VX_STARTUP_FAILED)
        service->settled_ns = vx_now_ns();
    pthread_cond_broadcast(&service->changed);
    pthread_mutex_unlock(&service->lock);
}

static void log_ready(vx_service *service)
{
    vx_service_view view;
    vx_service_view_get(service, &view);
    VX_LOG(service->log, VX_LOG_INFO, "model ready", vx_f_str("folder", service->folder),
           vx_f_str("model", view.info.manifest->name), vx_f_str("strategy", view.info.strategy),
           vx_f_str("gemm", view.info.gemm), vx_f_str("isa", view.info.isa), vx_f_str("precision", view.info.precision),
           vx_f_str("reason", view.info.reason), vx_f_real("load_ms", view.load_ms),
           vx_f_real("warmup_ms", view.warmup_ms), vx_f_real("startup_ms", view.startup_ms));
}

static void log_failed(vx_service *service, vx_err err, const vx_errinfo *info)
{
    VX_LOG(service->log, VX_LOG_ERROR, "the model cannot be loaded; requests will be answered 503",
           vx_f_str("code", vx_err_code(err)), vx_f_str("reason", vx_errinfo_text(info, err)),
           vx_f_str("file", info->path), vx_f_str("folder", service->folder));
}

static void *load(void *arg)
{
    vx_service *service = arg;
    vx_errinfo info = {0};
    vx_engine *engine = NULL;
    double warmup_ms = 0;
    set_state(service, VX_STARTUP_INITIALIZING);
    vx_err err = vx_engine_open(service->folder, &service->engine_options, &engine, &info);
    if (!err && service->warmup) {
        err = warm_up(engine, &warmup_ms);
        if (err)
            vx_errinfo_set(&info, err, "the first inference failed: %s", vx_err_sentence(err));
    }
    if (err)
        vx_errinfo_set(&info, err, "%s", vx_err_sentence(err));
    pthread_mutex_lock(&service->lock);
    service->engine = engine;
    service->warmup_ms = warmup_ms;
    service->error = info;
    pthread_mutex_unlock(&service->lock);
    set_state(service, err ? VX_STARTUP_FAILED : VX_STARTUP_READY);
    if (err)
        log_failed(service, err, &info);
    else
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

double vx_service_uptime_s(const vx_service *service)
{
    return vx_ms_since(service->created_ns) / 1e3;
}

void vx_service_view_get(vx_service *service, vx_service_view *ret_view)
{
    vx_service_view view = {.folder = service->folder};
    pthread_mutex_lock(&service->lock);
    uint64_t until = service->settled_ns ? service->settled_ns : vx_now_ns();
    view.state = service->state;
    view.startup_ms = (double)(until - service->created_ns) / 1e6;
    view.closing = service->closing;
    if (view.state == VX_STARTUP_READY) {
        vx_engine_get_info(service->engine, &view.info);
        view.load_ms = view.info.load_ms;
        view.warmup_ms = service->warmup_ms;
    }
    view.error = service->error;
    pthread_mutex_unlock(&service->lock);
    *ret_view = view;
}

void vx_service_queue(vx_service *service, size_t *ret_waiting, size_t *ret_running, int *ret_workers)
{
    *ret_waiting = *ret_running = 0;
    *ret_workers = 0;
    pthread_mutex_lock(&service->lock);
    if (!service->closing) {
        *ret_waiting = vx_pool_waiting(service->pool);
        *ret_running = vx_pool_running(service->pool);
        *ret_workers = vx_pool_workers(service->pool);
    }
    pthread_mutex_unlock(&service->lock);
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

vx_err vx_service_submit(vx_service *service, vx_task_fn *fn, void *arg)
{
    pthread_mutex_lock(&service->lock);
    vx_err err = service->closing ? VX_ERR_CLOSED : vx_pool_submit(service->pool, fn, arg);
    pthread_mutex_unlock(&service->lock);
    return err;
}

vx_err vx_service_wait_ready(vx_service *service, uint64_t deadline_ns, vx_errinfo *info)
{
    pthread_mutex_lock(&service->lock);
    while (!service->closing && service->state < VX_STARTUP_READY &&
           vx_cond_wait_until(&service->changed, &service->lock, deadline_ns))
        ;
    vx_startup_state state = service->state;
    bool closing = service->closing;
    pthread_mutex_unlock(&service->lock);
    if (closing)
        return VX_ERR_CLOSED;
    if (state == VX_STARTUP_FAILED)
        return vx_errinfo_set(info, VX_ERR_NOT_READY, "the model could not be loaded; /health says why");
    return state == VX_STARTUP_READY ? VX_OK : VX_ERR_NOT_READY;
}

/* Counters hold whole numbers: the samples are summed exactly, and each second that becomes full is counted. */
static void count_audio(vx_service *service, size_t n_samples)
{
    uint64_t before = atomic_fetch_add_explicit(&service->audio_samples, n_samples, memory_order_relaxed);
    vx_metric_add(service->audio_seconds, (before + n_samples) / VX_AUDIO_RATE - before / VX_AUDIO_RATE);
}

vx_err vx_service_embed(vx_service *service, const vx_audio *audio, uint64_t deadline_ns, vx_embedding *ret_embedding,
                        vx_stage_times *times, vx_errinfo *info)
{
    vx_err err = vx_service_wait_ready(service, deadline_ns, info);
    if (err)
        return err;
    if (vx_now_ns() >= deadline_ns)
        return VX_ERR_DEADLINE;
    vx_engine_timing timing;
    err = vx_engine_embed(service->engine, audio->samples, audio->n, ret_embedding, &timing);
    if (err)
        return err;
    times->features_ms += timing.features_ms;
    times->inference_ms += timing.network_ms;
    vx_service_observe(service, VX_STAGE_FEATURES, timing.features_ms);
    vx_service_observe(service, VX_STAGE_NETWORK, timing.network_ms);
    count_audio(service, audio->n);
    return VX_OK;
}
