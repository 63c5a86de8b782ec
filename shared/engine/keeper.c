/* keeper.c - one engine, lent.
 * Owns:   the state machine EMPTY -> LOADING -> LOADED -> UNLOADING -> EMPTY (a load that fails goes back to EMPTY).
 *         Only the pool's one thread leaves LOADING, only the vx_keeper_tend that entered UNLOADING leaves it: whoever
 *         opens or closes the engine does so without the lock and alone.
 * Does not: unload an engine that it has lent, or that a caller waits for.
 */
#include "shared/engine/keeper.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/cond.h"
#include "shared/base/cpu.h"
#include "shared/base/pool.h"

#define NS_PER_S      1000000000u
#define FIRST_PAUSE   (1u * (uint64_t)NS_PER_S)
#define LONGEST_PAUSE (30u * (uint64_t)NS_PER_S)

struct vx_keeper {
    char *folder;
    vx_engine_options options;
    vx_keeper_limits limits;
    vx_clock clock;
    vx_pool *pool; /* one thread, which loads */

    pthread_mutex_t lock;   /* guards what follows; taken before the pool's own */
    pthread_cond_t changed; /* state, n_finished, n_lent, n_waiting or closing */
    vx_keeper_state state;
    bool closing;
    vx_engine *engine; /* while LOADED */
    int n_lent, n_waiting;
    uint64_t used_ns;    /* when the engine was last lent, given back, or wanted */
    uint64_t preload_ns; /* VX_KEEPER_NEVER: none */
    vx_keeper_memory memory;

    uint64_t n_started, n_finished; /* loads; each knows which one it waits for */
    vx_errinfo last;                /* of the load finished last; code VX_OK: it succeeded */
    uint64_t pause_ns, retry_ns;    /* after failures: how long, until when */
    int64_t bare_bytes;             /* resident memory before the last load */
    int64_t kept_bytes;             /* what stays of an engine that was closed: plugins are never unmapped */
    const char *kept_strategy;      /* whose it was; static, NULL before the first */
    vx_keeper_view view;            /* the counters and the last engine's part of it */
};

static uint64_t now_ns(const vx_keeper *k)
{
    return k->clock.now_ns(k->clock.ctx);
}

static uint64_t later(uint64_t at_ns, uint64_t by_ns)
{
    return at_ns > UINT64_MAX - by_ns ? UINT64_MAX : at_ns + by_ns;
}

/* ---- loading: on the pool's thread ---- */

/* As options have it, where 0 means no limit. */
static size_t limit_of(double left)
{
    return isinf(left) ? 0 : left < 1 ? 1 : (size_t)left;
}

/* What the model may take, and what sets that limit. Called with the lock held.
 * A library that an earlier engine brought is still mapped, and the estimate of its strategy holds it again: what stayed
 * is not counted twice, and only there. */
static void set_budget(const vx_keeper *k, vx_engine_options *options, char *ret_from, size_t cap)
{
    const double resident = (double)vx_rss_bytes(), allowed = (double)k->limits.max_bytes;
    double left = HUGE_VAL;
    if (k->limits.max_bytes > 0) {
        left = allowed - resident;
        snprintf(ret_from, cap, "VOICE_UNLOCK_MAX_MEMORY is %.0f MB, of which the program has %.0f MB", allowed / 1e6,
                 resident / 1e6);
    }
    if (k->memory.free_bytes != SIZE_MAX && (double)k->memory.free_bytes < left) {
        left = (double)k->memory.free_bytes;
        snprintf(ret_from, cap, "that much is free on this computer");
    }
    options->max_bytes = limit_of(left);
    options->mapped_strategy = k->kept_strategy;
    options->max_bytes_mapped = limit_of(left + (double)k->kept_bytes);
    options->max_bytes_from = ret_from;
}

/* Called with the lock held. */
static void note_success(vx_keeper *k, vx_engine *engine)
{
    vx_engine_info about;
    vx_engine_get_info(engine, &about);
    k->state = VX_KEEPER_LOADED;
    k->engine = engine;
    k->used_ns = now_ns(k);
    k->last = (vx_errinfo){0};
    k->pause_ns = 0;
    k->view.n_loads++;
    k->view.load_ms = about.load_ms;
    k->view.strategy = about.strategy;
    k->view.degraded = about.degraded;
    k->view.grown_bytes = (int64_t)vx_rss_bytes() - k->bare_bytes;
    snprintf(k->view.reason, sizeof k->view.reason, "%s", about.reason);
}

/* Called with the lock held. */
static void note_failure(vx_keeper *k, vx_err err, const vx_errinfo *info)
{
    k->state = VX_KEEPER_EMPTY;
    k->last = *info;
    k->last.code = err;
    k->view.n_failures++;
    if (err == VX_ERR_NOMEM)
        return; /* it may be there the next moment, and asking costs little */
    k->pause_ns = k->pause_ns == 0 ? FIRST_PAUSE : 2 * k->pause_ns;
    if (k->pause_ns > LONGEST_PAUSE)
        k->pause_ns = LONGEST_PAUSE;
    k->retry_ns = later(now_ns(k), k->pause_ns);
}

static void load(void *arg, int worker)
{
    (void)worker;
    vx_keeper *k = arg;
    char from[160] = "";
    vx_engine_options options = k->options;
    pthread_mutex_lock(&k->lock);
    set_budget(k, &options, from, sizeof from);
    k->bare_bytes = (int64_t)vx_rss_bytes();
    pthread_mutex_unlock(&k->lock);

    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    const vx_err err = vx_engine_open(k->folder, &options, &engine, &info);

    pthread_mutex_lock(&k->lock);
    if (err == VX_OK)
        note_success(k, engine);
    else
        note_failure(k, err, &info);
    k->n_finished++;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* From EMPTY, with the lock held; the load that failed a moment ago is not repeated but told. */
static vx_err start_load(vx_keeper *k, vx_errinfo *info)
{
    if (k->pause_ns > 0 && now_ns(k) < k->retry_ns) {
        if (info && info->code == VX_OK) {
            *info = k->last;
            info->retry_s = (int)((k->retry_ns - now_ns(k) + NS_PER_S - 1) / NS_PER_S);
        }
        return k->last.code;
    }
    vx_err err = vx_pool_submit(k->pool, load, k);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "the thread that loads models takes no work");
    k->state = VX_KEEPER_LOADING;
    k->n_started++;
    return VX_OK;
}

/* ---- lending ---- */

/* Until LOADED, with the lock held. */
static vx_err await_engine(vx_keeper *k, uint64_t deadline_ns, vx_errinfo *info)
{
    uint64_t mine = 0; /* the load whose outcome is this caller's too; 0: it has not begun */
    for (bool in_time = true;; in_time = vx_cond_wait_until(&k->changed, &k->lock, deadline_ns)) {
        if (k->closing)
            return vx_errinfo_set(info, VX_ERR_CLOSED, "the program is ending");
        if (k->state == VX_KEEPER_LOADED)
            return VX_OK;
        if (mine > 0 && k->n_finished >= mine) {
            if (info && info->code == VX_OK)
                *info = k->last;
            return k->last.code;
        }
        vx_err err = mine == 0 && k->state == VX_KEEPER_EMPTY ? start_load(k, info) : VX_OK;
        if (err != VX_OK)
            return err;
        if (mine == 0 && k->state == VX_KEEPER_LOADING)
            mine = k->n_started;
        if (!in_time)
            return vx_errinfo_set(info, VX_ERR_DEADLINE, "the model is still loading");
    }
}

vx_err vx_keeper_acquire(vx_keeper *k, uint64_t deadline_ns, vx_engine **ret_engine, vx_errinfo *info)
{
    pthread_mutex_lock(&k->lock);
    k->n_waiting++; /* from here on a model that is loaded stays */
    vx_err err = await_engine(k, deadline_ns, info);
    k->n_waiting--;
    if (err == VX_OK) {
        k->n_lent++;
        k->used_ns = now_ns(k);
        *ret_engine = k->engine;
    }
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
    return err;
}

void vx_keeper_release(vx_keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->n_lent--;
    k->used_ns = now_ns(k);
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

/* ---- ahead of time, and out of use ---- */

/* With the lock held. */
static void preload(vx_keeper *k)
{
    if (k->closing || k->memory.pressure >= k->limits.max_pressure)
        return;
    k->used_ns = now_ns(k);
    if (k->state == VX_KEEPER_EMPTY)
        (void)!start_load(k, NULL); /* whoever asks in earnest is told why it cannot be */
    else if (k->state == VX_KEEPER_UNLOADING)
        k->preload_ns = k->used_ns; /* the next tend finds it gone */
}

void vx_keeper_preload(vx_keeper *k)
{
    pthread_mutex_lock(&k->lock);
    preload(k);
    pthread_mutex_unlock(&k->lock);
}

void vx_keeper_preload_at(vx_keeper *k, uint64_t at_ns)
{
    pthread_mutex_lock(&k->lock);
    k->preload_ns = at_ns;
    pthread_mutex_unlock(&k->lock);
}

/* When the model becomes idle; never while it is needed. With the lock held. */
static uint64_t idle_at(const vx_keeper *k)
{
    if (k->state != VX_KEEPER_LOADED || k->n_lent > 0 || k->n_waiting > 0 || k->limits.idle_ns == 0)
        return VX_KEEPER_NEVER;
    return later(k->used_ns, k->limits.idle_ns);
}

static vx_unload_cause cause_to_unload(const vx_keeper *k)
{
    if (k->state != VX_KEEPER_LOADED || k->n_lent > 0 || k->n_waiting > 0)
        return VX_UNLOAD_NONE;
    if (k->memory.pressure >= k->limits.max_pressure)
        return VX_UNLOAD_PRESSURE;
    return now_ns(k) >= idle_at(k) ? VX_UNLOAD_IDLE : VX_UNLOAD_NONE;
}

/* From LOADED, with the lock held; lets go of it while the engine is closed. Callers who come meanwhile wait: two
 * models at once are over the budget. */
static void unload(vx_keeper *k, vx_unload_cause cause)
{
    vx_engine *engine = k->engine;
    k->engine = NULL;
    k->state = VX_KEEPER_UNLOADING;
    pthread_mutex_unlock(&k->lock);

    const int64_t before = (int64_t)vx_rss_bytes();
    vx_engine_close(engine);
    vx_heap_trim();
    const int64_t after = (int64_t)vx_rss_bytes();

    pthread_mutex_lock(&k->lock);
    k->state = VX_KEEPER_EMPTY;
    k->view.n_unloads++;
    k->view.last_unload = cause;
    k->view.given_bytes = before - after;
    /* The most that one load and unload left, not the sum: a library is mapped once, and what else the program took
     * meanwhile must not add up to an excuse. */
    if (after - k->bare_bytes > k->kept_bytes) {
        k->kept_bytes = after - k->bare_bytes;
        k->kept_strategy = k->view.strategy;
    }
    pthread_cond_broadcast(&k->changed);
}

uint64_t vx_keeper_tend(vx_keeper *k, const vx_keeper_memory *memory)
{
    pthread_mutex_lock(&k->lock);
    k->memory = *memory;
    if (now_ns(k) >= k->preload_ns) {
        k->preload_ns = VX_KEEPER_NEVER;
        preload(k);
    }
    const vx_unload_cause cause = cause_to_unload(k);
    if (cause != VX_UNLOAD_NONE && !k->closing)
        unload(k, cause);
    const uint64_t idle = idle_at(k), next = idle < k->preload_ns ? idle : k->preload_ns;
    pthread_mutex_unlock(&k->lock);
    return next;
}

/* ---- life ---- */

vx_keeper_limits vx_keeper_limits_of(const vx_options *settings)
{
    return (vx_keeper_limits){
        .max_bytes = (size_t)vx_option_int(settings, "VOICE_UNLOCK_MAX_MEMORY"),
        .idle_ns = (uint64_t)vx_option_int(settings, "VOXLOCK_IDLE_UNLOAD_S") * NS_PER_S,
        .max_pressure = VX_KEEPER_MAX_PRESSURE,
    };
}

vx_err vx_keeper_create(const char *folder, const vx_engine_options *options, const vx_keeper_limits *limits,
                        vx_clock clock, vx_keeper **ret_keeper)
{
    vx_keeper *k = calloc(1, sizeof *k);
    if (!k)
        return VX_ERR_NOMEM;
    k->options = *options;
    k->options.ret_trials = NULL;
    k->limits = *limits;
    k->clock = clock;
    k->preload_ns = VX_KEEPER_NEVER;
    k->memory.free_bytes = SIZE_MAX;
    k->view.strategy = "";
    if (!vx_cond_init(&k->changed)) {
        free(k);
        return VX_ERR_INTERNAL;
    }
    pthread_mutex_init(&k->lock, NULL);
    k->folder = strdup(folder);
    /* The thread may still be on its way out of one load when the next is asked for: room for one. */
    vx_err err = k->folder ? vx_pool_create(1, 1, &k->pool) : VX_ERR_NOMEM;
    if (err != VX_OK) {
        vx_keeper_destroy(k);
        return err;
    }
    *ret_keeper = k;
    return VX_OK;
}

void vx_keeper_destroy(vx_keeper *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->closing = true;
    pthread_cond_broadcast(&k->changed);
    while (k->n_lent > 0 || k->n_waiting > 0 || k->state == VX_KEEPER_UNLOADING)
        pthread_cond_wait(&k->changed, &k->lock);
    pthread_mutex_unlock(&k->lock);
    vx_pool_destroy(k->pool); /* a load under way ends first, and needs the lock for it */
    vx_engine_close(k->engine);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k->folder);
    free(k);
}

const char *vx_keeper_state_name(vx_keeper_state state)
{
    static const char *const names[] = {"empty", "loading", "loaded", "unloading"};
    return names[state];
}

const char *vx_unload_cause_name(vx_unload_cause cause)
{
    static const char *const names[] = {"none", "idle", "pressure"};
    return names[cause];
}

void vx_keeper_get_view(vx_keeper *k, vx_keeper_view *ret_view)
{
    pthread_mutex_lock(&k->lock);
    *ret_view = k->view;
    ret_view->state = k->state;
    ret_view->n_lent = k->n_lent;
    ret_view->n_waiting = k->n_waiting;
    ret_view->last_failure = k->last;
    ret_view->preload_ns = k->preload_ns;
    pthread_mutex_unlock(&k->lock);
}
