/* runtime.c - opens and closes what attempts share. */
#include "edge/runtime.h"

#include <math.h>
#include <string.h>

#include "edge/learned.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/base/user_folder.h"
#include "shared/engine/engine_settings.h"

/* Voice, physics, behaviour and context of one attempt at once, and as many for an attempt that overlaps it. */
enum { WORKERS = 8, WAITING = 32 };
/* Local look-ups: a slow disk is no reason to wait longer. */
static const double LOOKUP_MS = 500, LOOKUP_FLOOR_MS = 100, FLOOR_MS = 300;
/* A long recording by the cloud on a bad line. */
static const uint64_t PATIENCE_NS = 60u * 1000000000ull;

vx_err vx_runtime_data_folder(const vx_options *settings, char *const *environment, char *ret_folder, size_t cap,
                              vx_errinfo *info)
{
    const char *named = vx_option_text(settings, "VOXLOCK_DATA_DIR");
    if (!*named)
        return vx_user_data_folder(environment, ret_folder, cap, info);
    if (strlen(named) >= cap)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_DATA_DIR is longer than %zu bytes", cap - 1);
    memcpy(ret_folder, named, strlen(named) + 1);
    return VX_OK;
}

static void judge_physics(void *arg, const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                          vx_pava_report *ret_report, vx_evidence *ret_evidence)
{
    (void)arg;
    vx_pava_judge(samples, n, known, deadline_ns, ret_report, ret_evidence);
}

static void set_timeouts(vx_runtime *r)
{
    const double base_ms = 1000 * vx_option_real(r->settings, "VBI_FAST_VERIFY_TIMEOUT");
    for (int s = 0; s < VX_N_SOURCES; s++) {
        const bool heavy = s == VX_SOURCE_ML || s == VX_SOURCE_PHYSICS;
        r->timeouts[s].base_ms = heavy ? base_ms : LOOKUP_MS;
        r->timeouts[s].floor_ms = heavy ? fmin(FLOOR_MS, base_ms) : LOOKUP_FLOOR_MS;
    }
}

/* What can be known of the model without running it. */
static void read_model(vx_runtime *r)
{
    r->model_err = vx_manifest_read(r->model_folder, &r->manifest, &r->model_info);
    if (r->model_err == VX_OK)
        r->model_err = vx_cohort_open(r->model_folder, &r->manifest, &r->cohort, &r->model_info);
}

static vx_err embed_here(void *arg, const float *samples, size_t n, uint64_t deadline_ns, vx_embedding *ret_embedding,
                         vx_errinfo *info)
{
    vx_runtime *r = arg;
    vx_engine *engine;
    vx_err err = vx_keeper_acquire(r->keeper, deadline_ns, &engine, info);
    if (err != VX_OK)
        return err;
    err = vx_engine_embed(engine, samples, n, ret_embedding, NULL, info);
    vx_keeper_release(r->keeper);
    return err;
}

static vx_err open_cloud(vx_runtime *r, vx_errinfo *info)
{
    vx_cloud_options options;
    if (!*vx_option_text(r->settings, "VOXLOCK_CLOUD_ENDPOINT"))
        return VX_OK;
    vx_err err = vx_cloud_settings(r->settings, &options, info);
    if (err != VX_OK)
        return err;
    options.model = r->manifest.digest;
    options.dim = r->manifest.dim;
    options.keeps_level = !r->manifest.fbank.subtract_mean;
    return vx_cloud_create(&options, vx_clock_monotonic(), &r->cloud, info);
}

static vx_err open_model(vx_runtime *r, vx_errinfo *info)
{
    const vx_keeper_limits limits = vx_keeper_limits_of(r->settings);
    read_model(r);
    vx_err err = vx_keeper_create(r->model_folder, &r->engine, &limits, vx_clock_monotonic(), &r->keeper);
    if (err != VX_OK)
        return err;
    /* The load runs beside everything that comes before the first embedding: decoding, the store, the clip's measures. */
    if (r->model_err == VX_OK)
        vx_keeper_preload(r->keeper);
    if (r->model_err == VX_OK)
        err = open_cloud(r, info);
    r->router = (vx_router){
        .device = embed_here,
        .device_arg = r,
        .cloud = r->cloud,
        .max_pressure = vx_option_real(r->settings, "VOXLOCK_CLOUD_PRESSURE"),
    };
    return err == VX_OK ? vx_pool_create(WORKERS, WAITING, &r->pool) : err;
}

/* A calibration that cannot be read is no reason to judge by another one: nothing is compared until it is made anew. */
static void read_own_calibration(vx_runtime *r)
{
    if (r->model_err != VX_OK)
        return;
    const vx_err err = vx_learned_calibration(r->store, &r->manifest.digest, &r->own_calibration, NULL);
    r->has_own_calibration = err == VX_OK;
    r->own_calibration_err = err == VX_ERR_NOT_FOUND ? VX_OK : err;
}

void vx_runtime_reload(vx_runtime *runtime)
{
    runtime->has_own_calibration = false;
    read_own_calibration(runtime);
}

void vx_runtime_take_lessons(vx_runtime *runtime, vx_lessons *ret_lessons)
{
    (void)pthread_mutex_lock(&runtime->lock);
    *ret_lessons = runtime->lessons;
    runtime->lessons = (vx_lessons){0};
    (void)pthread_mutex_unlock(&runtime->lock);
}

void vx_runtime_keep_lessons(vx_runtime *runtime, vx_lessons *lessons)
{
    (void)pthread_mutex_lock(&runtime->lock);
    vx_lessons before = runtime->lessons;
    runtime->lessons = *lessons;
    (void)pthread_mutex_unlock(&runtime->lock);
    *lessons = (vx_lessons){0};
    vx_lessons_done(&before);
}

void vx_runtime_tend(vx_runtime *runtime, const vx_keeper_memory *memory)
{
    vx_keeper_view model;
    (void)vx_keeper_tend(runtime->keeper, memory);
    vx_keeper_get_view(runtime->keeper, &model);
    if (model.state == VX_KEEPER_EMPTY)
        vx_runtime_keep_lessons(runtime, &(vx_lessons){0});
}

const vx_calibration *vx_runtime_calibration(const vx_runtime *runtime)
{
    return runtime->has_own_calibration ? &runtime->own_calibration : NULL;
}

static vx_err open_all(vx_runtime *r, char *const *environment, unsigned needs, vx_errinfo *info)
{
    vx_err err = vx_decide_settings(r->settings, &r->decide, info);
    if (err == VX_OK)
        err = vx_runtime_data_folder(r->settings, environment, r->data_folder, sizeof r->data_folder, info);
    if (err == VX_OK)
        err = vx_engine_settings(r->settings, &r->engine, r->model_folder, sizeof r->model_folder, info);
    if (err != VX_OK)
        return err;
    r->engine.threads = (int)vx_option_int(r->settings, "VOXLOCK_THREADS");
    if (r->engine.threads == 0)
        r->engine.threads = vx_cpu_count();
    r->early_exit = vx_option_real(r->settings, "VBI_EARLY_EXIT_THRESHOLD");
    r->strong = vx_option_real(r->settings, "VBI_CONFIDENT_THRESHOLD");
    r->physics_on = vx_option_bool(r->settings, "VBI_PHYSICS_SPOOFING") &&
                    vx_option_bool(r->settings, "ANTISPOOFING_PHYSICS_ENABLED");
    r->tract_threshold_cm = vx_option_real(r->settings, "VTL_DEVIATION_THRESHOLD");
    r->double_reverb_threshold = vx_option_real(r->settings, "DOUBLE_REVERB_THRESHOLD");
    r->physics = judge_physics;
    set_timeouts(r);
    if (needs & VX_RUNTIME_MODEL)
        err = open_model(r, info);
    if (err == VX_OK && needs & VX_RUNTIME_STORE) {
        const vx_store_options store = {.folder = r->data_folder,
                                        .keyring = vx_keyring_kind_of(vx_option_text(r->settings, "VOXLOCK_KEYRING")),
                                        .create = needs & VX_RUNTIME_CREATE,
                                        .busy_ms = VX_STORE_BUSY_MS};
        err = vx_store_open(&store, &r->store, info);
        if (err == VX_OK && needs & VX_RUNTIME_MODEL)
            read_own_calibration(r);
    }
    return err;
}

vx_err vx_runtime_open(const vx_options *settings, char *const *environment, unsigned needs, vx_runtime *ret_runtime,
                       vx_errinfo *info)
{
    vx_runtime *r = ret_runtime;
    memset(r, 0, sizeof *r);
    r->settings = settings;
    if (pthread_mutex_init(&r->lock, NULL) != 0)
        return VX_ERR_NOMEM;
    vx_err err = open_all(r, environment, needs, info);
    if (err != VX_OK)
        vx_runtime_close(r);
    return err;
}

void vx_runtime_close(vx_runtime *runtime)
{
    vx_runtime *r = runtime;
    if (!r->settings)
        return;
    vx_pool_destroy(r->pool);
    vx_lessons_done(&r->lessons);
    vx_keeper_destroy(r->keeper);
    vx_cloud_destroy(r->cloud);
    vx_cohort_close(&r->cohort);
    vx_store_close(r->store);
    (void)pthread_mutex_destroy(&r->lock);
    vx_wipe(r, sizeof *r);
}

vx_err vx_runtime_has_model(const vx_runtime *runtime, vx_errinfo *info)
{
    const vx_err err = runtime->model_err;
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "%s", vx_errinfo_text(&runtime->model_info, err));
}

double vx_runtime_pressure(void)
{
    vx_memory memory;
    return vx_memory_read(&memory, NULL) == VX_OK ? memory.pressure : -1;
}

vx_err vx_runtime_embed_patiently(vx_runtime *runtime, const float *samples, size_t n, vx_embedding *ret_embedding,
                                  vx_errinfo *info)
{
    vx_route_report route;
    return vx_runtime_embed(runtime, vx_runtime_pressure(), samples, n, vx_now_ns() + PATIENCE_NS, ret_embedding,
                            &route, info);
}

vx_err vx_runtime_embed(vx_runtime *runtime, double pressure, const float *samples, size_t n, uint64_t deadline_ns,
                        vx_embedding *ret_embedding, vx_route_report *ret_report, vx_errinfo *info)
{
    return vx_route_embed(&runtime->router, pressure, samples, n, deadline_ns, ret_embedding, ret_report, info);
}
