/* test_keeper.c - one engine, lent: what is loaded when, who is told what, what goes when nobody needs it. */
#include "shared/engine/keeper.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/base/cpu.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/forged.h"
#include "tests/support/model_copy.h"

#define GOLDEN  "tests/data/golden/model"
#define STARTER "models/starter"
#define LARGE   "build/bench/model-20.8M" /* there when the benchmarks have run */

#define SECOND  ((uint64_t)1000000000)
#define MB      ((size_t)1000000)

enum { N_SAMPLES = 8000 };

/* ---- a clock to turn, and a keeper on it ----------------------------------------------------------------------- */

static _Atomic uint64_t now;

static uint64_t read_now(void *ctx)
{
    (void)ctx;
    return atomic_load(&now);
}

static void pass(uint64_t seconds)
{
    atomic_fetch_add(&now, seconds * SECOND);
}

static const vx_keeper_limits usual = {.idle_ns = 900 * SECOND, .max_pressure = VX_KEEPER_MAX_PRESSURE};
static const vx_keeper_memory calm = {.pressure = 0.5, .free_bytes = SIZE_MAX};
static const vx_keeper_memory short_of = {.pressure = 0.9, .free_bytes = SIZE_MAX};

static vx_keeper *create(const char *folder, vx_keeper_limits limits)
{
    vx_engine_options options = vx_engine_options_default();
    vx_keeper *keeper = NULL;
    atomic_store(&now, 1000 * SECOND);
    assert_int_equal(vx_keeper_create(folder, &options, &limits, (vx_clock){.now_ns = read_now}, &keeper), VX_OK);
    return keeper;
}

static vx_keeper_view view_of(vx_keeper *keeper)
{
    vx_keeper_view view;
    vx_keeper_get_view(keeper, &view);
    return view;
}

static void await_state(vx_keeper *keeper, vx_keeper_state state)
{
    while (view_of(keeper).state != state)
        sched_yield();
}

static vx_engine *acquire(vx_keeper *keeper)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    if (vx_keeper_acquire(keeper, VX_KEEPER_NEVER, &engine, &info) != VX_OK)
        fail_msg("%s", info.text);
    return engine;
}

static vx_err refused(vx_keeper *keeper, vx_errinfo *ret_info)
{
    vx_engine *engine = NULL;
    *ret_info = (vx_errinfo){0};
    vx_err err = vx_keeper_acquire(keeper, VX_KEEPER_NEVER, &engine, ret_info);
    assert_null(engine);
    assert_int_equal(ret_info->code, err);
    return err;
}

static void use_once(vx_keeper *keeper)
{
    (void)acquire(keeper);
    vx_keeper_release(keeper);
}

static vx_embedding embed(vx_engine *engine)
{
    float samples[N_SAMPLES];
    vx_embedding embedding;
    for (int i = 0; i < N_SAMPLES; i++)
        samples[i] = (float)(i * 7919 % 2003) / 2003.0f - 0.5f;
    assert_int_equal(vx_engine_embed(engine, samples, N_SAMPLES, &embedding, NULL, NULL), VX_OK);
    return embedding;
}

static bool is_same(const vx_embedding *a, const vx_embedding *b)
{
    return a->dim == b->dim && memcmp(&a->model, &b->model, sizeof a->model) == 0 &&
           memcmp(a->values, b->values, (size_t)a->dim * sizeof *a->values) == 0;
}

/* ---- a folder whose manifest comes when the test says ----------------------------------------------------------- */

/* The manifest is a FIFO: a load that has begun reads it, and hangs until somebody writes. */
static model_copy held_model(void)
{
    char path[96];
    model_copy copy = model_copy_of(GOLDEN);
    model_copy_drop(&copy, MODEL_MANIFEST);
    snprintf(path, sizeof path, "%s/%s", copy.path, MODEL_MANIFEST);
    assert_int_equal(mkfifo(path, 0600), 0);
    return copy;
}

/* Lets the load that hangs go on, with the text of a good manifest or with a broken one. */
static void let_go(const model_copy *copy, bool good)
{
    char path[96];
    vx_buf text = {0};
    assert_int_equal(vx_file_read(GOLDEN "/" MODEL_MANIFEST, 1 << 20, &text, NULL), VX_OK);
    snprintf(path, sizeof path, "%s/%s", copy->path, MODEL_MANIFEST);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, good ? text.len : 10, file), good ? text.len : 10);
    fclose(file);
    vx_buf_done(&text);
}

/* Somebody who asks, on a thread of his own. */
typedef struct {
    vx_keeper *keeper;
    vx_err err;
    vx_errinfo info;
    pthread_t thread;
} asker;

static void *ask(void *arg)
{
    asker *a = arg;
    vx_engine *engine;
    a->err = vx_keeper_acquire(a->keeper, VX_KEEPER_NEVER, &engine, &a->info);
    if (a->err == VX_OK)
        vx_keeper_release(a->keeper);
    return NULL;
}

enum { N_ASKERS = 6 };

/* Returns when all of them wait for the load, which hangs. */
static void start_asking(vx_keeper *keeper, asker askers[N_ASKERS])
{
    for (int i = 0; i < N_ASKERS; i++) {
        askers[i] = (asker){.keeper = keeper, .err = VX_ERR_INTERNAL};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    while (view_of(keeper).n_waiting < N_ASKERS)
        sched_yield();
    await_state(keeper, VX_KEEPER_LOADING);
}

static void stop_asking(asker askers[N_ASKERS])
{
    for (int i = 0; i < N_ASKERS; i++)
        pthread_join(askers[i].thread, NULL);
}

/* ---- lending ---------------------------------------------------------------------------------------------------- */

static void it_loads_when_asked_and_lends_the_same_to_all(void **state)
{
    (void)state;
    vx_keeper *keeper = create(GOLDEN, usual);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
    vx_engine *one = acquire(keeper), *two = acquire(keeper);
    assert_ptr_equal(one, two);
    vx_keeper_view view = view_of(keeper);
    assert_int_equal(view.state, VX_KEEPER_LOADED);
    assert_int_equal(view.n_loads, 1);
    assert_int_equal(view.n_lent, 2);
    assert_int_equal(view.n_waiting, 0);
    assert_string_equal(view.strategy, "native");
    assert_false(view.degraded);
    assert_true(view.load_ms > 0 && view.reason[0]);
    (void)embed(one);
    vx_keeper_release(keeper);
    vx_keeper_release(keeper);
    assert_int_equal(view_of(keeper).n_lent, 0);
    vx_keeper_destroy(keeper);
}

static void many_who_ask_at_once_make_one_load(void **state)
{
    (void)state;
    model_copy copy = held_model();
    vx_keeper *keeper = create(copy.path, usual);
    asker askers[N_ASKERS];
    start_asking(keeper, askers);
    let_go(&copy, true);
    stop_asking(askers);
    for (int i = 0; i < N_ASKERS; i++)
        assert_int_equal(askers[i].err, VX_OK);
    assert_int_equal(view_of(keeper).n_loads, 1);
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

static void a_failed_load_is_told_to_all_who_waited(void **state)
{
    (void)state;
    model_copy copy = held_model();
    vx_keeper *keeper = create(copy.path, usual);
    asker askers[N_ASKERS];
    start_asking(keeper, askers);
    let_go(&copy, false);
    stop_asking(askers);
    for (int i = 0; i < N_ASKERS; i++) {
        assert_int_equal(askers[i].err, VX_ERR_MODEL_CORRUPT);
        assert_int_equal(askers[i].info.code, VX_ERR_MODEL_CORRUPT);
        assert_non_null(strstr(askers[i].info.path, copy.path));
    }
    vx_keeper_view view = view_of(keeper);
    assert_int_equal(view.n_loads, 0);
    assert_int_equal(view.n_failures, 1);
    assert_int_equal(view.last_failure.code, VX_ERR_MODEL_CORRUPT);
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

static void a_deadline_ends_the_waiting_and_not_the_load(void **state)
{
    (void)state;
    model_copy copy = held_model();
    vx_keeper *keeper = create(copy.path, usual);
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    assert_int_equal(vx_keeper_acquire(keeper, 0, &engine, &info), VX_ERR_DEADLINE);
    assert_int_equal(info.code, VX_ERR_DEADLINE);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_LOADING);
    const uint64_t start = vx_now_ns();
    assert_int_equal(vx_keeper_acquire(keeper, start + SECOND / 50, &engine, NULL), VX_ERR_DEADLINE);
    assert_true(vx_now_ns() >= start + SECOND / 50);
    assert_null(engine);
    let_go(&copy, true);
    await_state(keeper, VX_KEEPER_LOADED);
    assert_int_equal(vx_keeper_acquire(keeper, 0, &engine, NULL), VX_OK); /* what is there needs no time */
    vx_keeper_release(keeper);
    assert_int_equal(view_of(keeper).n_loads, 1);
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

static void a_broken_folder_is_left_alone_for_a_while_and_found_when_mended(void **state)
{
    (void)state;
    vx_errinfo info;
    model_copy copy = model_copy_of(GOLDEN);
    vx_keeper *keeper = create(copy.path, usual);
    model_copy_flip(&copy, MODEL_WEIGHTS, 700000);
    uint64_t pause = 1;
    for (uint64_t failures = 1; failures <= 7; failures++) {
        assert_int_equal(refused(keeper, &info), VX_ERR_MODEL_HASH);
        assert_int_equal(view_of(keeper).n_failures, failures);
        assert_int_equal(refused(keeper, &info), VX_ERR_MODEL_HASH);
        assert_int_equal(info.retry_s, pause);
        vx_keeper_preload(keeper);
        assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
        assert_int_equal(view_of(keeper).n_failures, failures); /* told, not tried */
        pass(pause);
        pause = 2 * pause < 30 ? 2 * pause : 30;
    }
    model_copy_take(&copy, GOLDEN, MODEL_WEIGHTS);
    (void)embed(acquire(keeper));
    vx_keeper_release(keeper);
    assert_int_equal(view_of(keeper).last_failure.code, VX_OK);
    assert_int_equal(view_of(keeper).n_loads, 1);
    (void)vx_keeper_tend(keeper, &short_of);
    model_copy_flip(&copy, MODEL_WEIGHTS, 700000);
    assert_int_equal(refused(keeper, &info), VX_ERR_MODEL_HASH);
    assert_int_equal(refused(keeper, &info), VX_ERR_MODEL_HASH);
    assert_int_equal(info.retry_s, 1); /* what was is forgiven */
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

static void a_folder_replaced_while_loaded_counts_from_the_next_load(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(GOLDEN);
    vx_keeper *keeper = create(copy.path, usual);
    vx_engine *engine = acquire(keeper);
    const vx_embedding before = embed(engine);
    model_copy_take(&copy, STARTER, MODEL_WEIGHTS);
    model_copy_take(&copy, STARTER, MODEL_MANIFEST);
    const vx_embedding after = embed(engine);
    assert_true(is_same(&before, &after));
    vx_keeper_release(keeper);
    (void)vx_keeper_tend(keeper, &short_of);
    (void)vx_keeper_tend(keeper, &calm);
    const vx_embedding anew = embed(acquire(keeper));
    assert_memory_not_equal(&anew.model, &before.model, sizeof before.model);
    vx_keeper_release(keeper);
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

/* ---- time and pressure ------------------------------------------------------------------------------------------ */

static void an_idle_model_is_unloaded_and_a_used_one_is_not(void **state)
{
    (void)state;
    vx_keeper *keeper = create(GOLDEN, usual);
    assert_true(vx_keeper_tend(keeper, &calm) == VX_KEEPER_NEVER);
    use_once(keeper);
    assert_true(vx_keeper_tend(keeper, &calm) == atomic_load(&now) + usual.idle_ns);
    pass(899);
    assert_true(vx_keeper_tend(keeper, &calm) == atomic_load(&now) + SECOND);
    (void)acquire(keeper);
    pass(5000);
    assert_true(vx_keeper_tend(keeper, &short_of) == VX_KEEPER_NEVER); /* lent: whatever time and pressure say */
    assert_int_equal(view_of(keeper).state, VX_KEEPER_LOADED);
    vx_keeper_release(keeper); /* idle time starts here */
    (void)vx_keeper_tend(keeper, &calm);
    pass(899);
    (void)vx_keeper_tend(keeper, &calm);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_LOADED);
    pass(1);
    assert_true(vx_keeper_tend(keeper, &calm) == VX_KEEPER_NEVER);
    vx_keeper_view view = view_of(keeper);
    assert_int_equal(view.state, VX_KEEPER_EMPTY);
    assert_int_equal(view.n_unloads, 1);
    assert_string_equal(vx_unload_cause_name(view.last_unload), "idle");
    use_once(keeper);
    assert_int_equal(view_of(keeper).n_loads, 2);
    vx_keeper_destroy(keeper);
}

static void with_idle_time_0_only_pressure_unloads(void **state)
{
    (void)state;
    vx_keeper *keeper = create(GOLDEN, (vx_keeper_limits){.max_pressure = 0.85});
    use_once(keeper);
    pass(1000000);
    assert_true(vx_keeper_tend(keeper, &calm) == VX_KEEPER_NEVER);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_LOADED);
    (void)vx_keeper_tend(keeper, &(vx_keeper_memory){.pressure = 0.849, .free_bytes = SIZE_MAX});
    assert_int_equal(view_of(keeper).state, VX_KEEPER_LOADED);
    (void)vx_keeper_tend(keeper, &(vx_keeper_memory){.pressure = 0.85, .free_bytes = SIZE_MAX});
    assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
    assert_string_equal(vx_unload_cause_name(view_of(keeper).last_unload), "pressure");
    use_once(keeper); /* pressure alone refuses nobody: the cloud may be out of reach */
    vx_keeper_destroy(keeper);
}

static void it_loads_ahead_when_told_and_not_under_pressure(void **state)
{
    (void)state;
    vx_keeper *keeper = create(GOLDEN, usual);
    const uint64_t at = atomic_load(&now) + 60 * SECOND;
    vx_keeper_preload_at(keeper, at);
    assert_true(view_of(keeper).preload_ns == at);
    assert_true(vx_keeper_tend(keeper, &calm) == at);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
    pass(60);
    (void)vx_keeper_tend(keeper, &calm);
    await_state(keeper, VX_KEEPER_LOADED);
    assert_true(view_of(keeper).preload_ns == VX_KEEPER_NEVER);
    assert_true(vx_keeper_tend(keeper, &calm) == atomic_load(&now) + usual.idle_ns);

    /* Due again while it is there: it stays, and is not loaded anew. */
    pass(899);
    vx_keeper_preload_at(keeper, atomic_load(&now) + SECOND);
    pass(1);
    assert_true(vx_keeper_tend(keeper, &calm) == atomic_load(&now) + usual.idle_ns);
    assert_int_equal(view_of(keeper).n_loads, 1);

    vx_keeper_preload_at(keeper, atomic_load(&now));
    assert_true(vx_keeper_tend(keeper, &short_of) == VX_KEEPER_NEVER);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
    vx_keeper_preload(keeper);
    assert_int_equal(view_of(keeper).state, VX_KEEPER_EMPTY);
    (void)vx_keeper_tend(keeper, &calm);
    vx_keeper_preload(keeper);
    await_state(keeper, VX_KEEPER_LOADED);
    assert_int_equal(view_of(keeper).n_loads, 2);
    vx_keeper_destroy(keeper);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* A manifest by which "jit" is twice as fast as native; its file is 1 kB of nothing. */
static model_copy model_with_jit(void)
{
    model_copy copy = model_copy_of(GOLDEN);
    json_t *manifest = model_copy_manifest(&copy);
    json_t *artefacts = json_object_get(manifest, "artefacts"), *native = json_object_get(artefacts, "native");
    json_object_set_new(native, "cosine_min", json_real(1));
    json_object_set_new(native, "inference_ms", json_real(20));
    json_object_set_new(artefacts, "jit",
                        json_pack("{s:s, s:i, s:o, s:f, s:f}", "file", "ecapa_jit_traced.pt", "bytes", 1000, "sha256",
                                  json_incref(json_object_get(native, "sha256")), "cosine_min", 0.9999, "inference_ms",
                                  10.0));
    model_copy_set_manifest(&copy, manifest);
    return copy;
}

static void over_the_budget_it_takes_the_smaller_way(void **state)
{
    (void)state;
    model_copy copy = model_with_jit();
    vx_keeper_limits limits = usual;
    limits.max_bytes = (size_t)vx_rss_bytes() + 100 * MB;
    vx_keeper *keeper = create(copy.path, limits);
    (void)embed(acquire(keeper));
    vx_keeper_view view = view_of(keeper);
    assert_string_equal(view.strategy, "native");
    assert_true(view.degraded);
    if (!strstr(view.reason, "strategy 'jit' takes about ") || !strstr(view.reason, "VOICE_UNLOCK_MAX_MEMORY"))
        fail_msg("%s", view.reason);
    vx_keeper_release(keeper);
    vx_keeper_destroy(keeper);

    /* With memory enough it is its own file that speaks against jit, or the missing library. */
    keeper = create(copy.path, usual);
    (void)acquire(keeper);
    view = view_of(keeper);
    assert_null(strstr(view.reason, "takes about"));
    vx_keeper_release(keeper);
    vx_keeper_destroy(keeper);
    model_copy_done(&copy);
}

static void what_does_not_fit_is_refused_with_both_numbers(void **state)
{
    (void)state;
    vx_errinfo info;
    vx_keeper_limits limits = usual;
    limits.max_bytes = (size_t)vx_rss_bytes() + 2 * MB;
    vx_keeper *keeper = create(GOLDEN, limits);
    assert_int_equal(refused(keeper, &info), VX_ERR_NOMEM);
    double takes = 0, may = -1;
    if (sscanf(info.text, "strategy 'native' takes about %lf MB of memory and may take %lf MB", &takes, &may) != 2 ||
        !strstr(info.text, "VOICE_UNLOCK_MAX_MEMORY is"))
        fail_msg("%s", info.text);
    assert_true(takes >= 20 && may <= 3);
    vx_keeper_destroy(keeper);

    /* What the system has free is a limit of its own, which is asked anew each time. */
    limits.max_bytes = (size_t)vx_rss_bytes() + 1000 * MB;
    keeper = create(GOLDEN, limits);
    (void)vx_keeper_tend(keeper, &(vx_keeper_memory){.pressure = 0.5, .free_bytes = 5 * MB});
    assert_int_equal(refused(keeper, &info), VX_ERR_NOMEM);
    if (!strstr(info.text, "may take 5 MB: that much is free"))
        fail_msg("%s", info.text);
    (void)vx_keeper_tend(keeper, &(vx_keeper_memory){.pressure = 0.5, .free_bytes = 500 * MB});
    use_once(keeper);
    vx_keeper_destroy(keeper);
}

/* libtorch stays mapped when its engine is closed, and its estimate holds it. */
static void a_library_that_stayed_is_not_counted_twice(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", 1);
    vx_keeper_limits limits = usual;
    limits.max_bytes = (size_t)vx_rss_bytes() + 230 * MB; /* enough for the first time */
    vx_keeper *keeper = create(model.folder.path, limits);
    for (int round = 0; round < 2; round++) {
        use_once(keeper);
        vx_keeper_view view = view_of(keeper);
        if (strcmp(view.strategy, "jit") != 0)
            fail_msg("round %d: %s", round, view.reason);
        (void)vx_keeper_tend(keeper, &short_of);
    }
    vx_keeper_destroy(keeper);
    forged_model_done(&model);
}

static void unloading_gives_memory_back(void **state)
{
    (void)state;
    struct stat weights;
    const char *folder = stat(LARGE "/" MODEL_WEIGHTS, &weights) == 0 ? LARGE : STARTER;
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, MODEL_WEIGHTS);
    assert_int_equal(stat(path, &weights), 0);
    vx_keeper *keeper = create(folder, usual);
    for (int round = 0; round < 2; round++) {
        (void)embed(acquire(keeper));
        vx_keeper_release(keeper);
        pass(900);
        (void)vx_keeper_tend(keeper, &calm);
        const vx_keeper_view view = view_of(keeper);
        print_message("# %s: %.1f MB of weights, %.1f MB taken, %.1f MB given back\n", folder,
                      (double)weights.st_size / 1e6, (double)view.grown_bytes / 1e6, (double)view.given_bytes / 1e6);
        /* The weights are read whole, so that they are resident, and are unmapped whole. */
        assert_true(view.grown_bytes > weights.st_size / 2);
        assert_true(view.given_bytes > weights.st_size / 2);
    }
    vx_keeper_destroy(keeper);
}

/* ---- races ------------------------------------------------------------------------------------------------------- */

static void *destroy(void *keeper)
{
    vx_keeper_destroy(keeper);
    return NULL;
}

static void destroy_waits_for_lenders_and_refuses_the_rest(void **state)
{
    (void)state;
    vx_keeper *keeper = create(GOLDEN, usual);
    vx_engine *engine = acquire(keeper), *none = NULL;
    pthread_t destroyer;
    assert_int_equal(pthread_create(&destroyer, NULL, destroy, keeper), 0);
    while (vx_keeper_acquire(keeper, 0, &none, NULL) == VX_OK) { /* until it is closing, there is one to be had */
        vx_keeper_release(keeper);
        sched_yield();
    }
    (void)embed(engine);
    vx_keeper_release(keeper);
    pthread_join(destroyer, NULL);
}

static void those_who_wait_are_told_of_the_end(void **state)
{
    (void)state;
    model_copy copy = held_model();
    vx_keeper *keeper = create(copy.path, usual);
    asker askers[N_ASKERS];
    pthread_t destroyer;
    start_asking(keeper, askers);
    assert_int_equal(pthread_create(&destroyer, NULL, destroy, keeper), 0);
    stop_asking(askers);
    for (int i = 0; i < N_ASKERS; i++)
        assert_int_equal(askers[i].err, VX_ERR_CLOSED);
    let_go(&copy, true); /* the load itself is waited for */
    pthread_join(destroyer, NULL);
    model_copy_done(&copy);
}

enum { N_SPEAKERS = 8, N_UTTERANCES = 25 };

static struct {
    vx_keeper *keeper;
    vx_embedding want;
    atomic_int n_wrong, n_speaking;
} crowd;

/* After an utterance a speaker is silent until the model has gone, since eight of them would keep it for ever, or until
 * time has passed, so that he asks again while it goes. */
static void *speak(void *arg)
{
    const int rank = (int)(size_t)arg;
    for (int i = 0; i < N_UTTERANCES; i++) {
        vx_engine *engine;
        const uint64_t n_unloads = view_of(crowd.keeper).n_unloads, then = atomic_load(&now);
        if ((i + rank) % 5 == 0)
            vx_keeper_preload(crowd.keeper);
        if (vx_keeper_acquire(crowd.keeper, VX_KEEPER_NEVER, &engine, NULL) != VX_OK) {
            crowd.n_wrong++;
            continue;
        }
        const vx_embedding got = embed(engine);
        if (!is_same(&got, &crowd.want))
            crowd.n_wrong++;
        vx_keeper_release(crowd.keeper);
        while (i % 2 == 0 ? view_of(crowd.keeper).n_unloads == n_unloads : atomic_load(&now) == then)
            sched_yield();
    }
    crowd.n_speaking--;
    return NULL;
}

/* Time flies and memory comes and goes while eight threads speak. */
static void nobody_meets_a_half_closed_engine(void **state)
{
    (void)state;
    pthread_t threads[N_SPEAKERS];
    crowd.keeper = create(GOLDEN, usual);
    crowd.want = embed(acquire(crowd.keeper));
    vx_keeper_release(crowd.keeper);
    crowd.n_wrong = 0;
    crowd.n_speaking = N_SPEAKERS;
    for (size_t i = 0; i < N_SPEAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, speak, (void *)i), 0);
    for (unsigned turn = 0; crowd.n_speaking > 0; turn++) {
        pass(901);
        if (turn % 3 == 0)
            vx_keeper_preload_at(crowd.keeper, atomic_load(&now));
        (void)vx_keeper_tend(crowd.keeper, turn % 2 ? &calm : &short_of);
        sched_yield();
    }
    for (size_t i = 0; i < N_SPEAKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crowd.n_wrong, 0);
    while (view_of(crowd.keeper).state == VX_KEEPER_LOADING) /* a preload may still be on its way */
        sched_yield();
    (void)vx_keeper_tend(crowd.keeper, &short_of);
    const vx_keeper_view view = view_of(crowd.keeper);
    print_message("# %llu loads\n", (unsigned long long)view.n_loads);
    assert_int_equal(view.state, VX_KEEPER_EMPTY);
    assert_int_equal(view.n_loads, view.n_unloads);
    assert_int_equal(view.n_failures, 0);
    assert_true(view.n_loads >= N_UTTERANCES / 2);
    vx_keeper_destroy(crowd.keeper);
}

static void *ask_without_pause(void *keeper)
{
    vx_engine *engine;
    while (crowd.n_speaking > 0)
        if (vx_keeper_acquire(keeper, 0, &engine, NULL) == VX_OK)
            vx_keeper_release(keeper);
    return NULL;
}

/* Whoever asks while the model goes finds neither that one nor a second: each that was loaded is unloaded once. */
static void a_model_that_goes_is_gone_before_the_next_comes(void **state)
{
    (void)state;
    enum { N_TURNS = 50 };
    pthread_t asking;
    vx_keeper *keeper = create(GOLDEN, usual);
    crowd.n_speaking = 1;
    assert_int_equal(pthread_create(&asking, NULL, ask_without_pause, keeper), 0);
    while (view_of(keeper).n_unloads < N_TURNS)
        (void)vx_keeper_tend(keeper, &short_of);
    crowd.n_speaking = 0;
    pthread_join(asking, NULL);
    while (view_of(keeper).state == VX_KEEPER_LOADING)
        sched_yield();
    (void)vx_keeper_tend(keeper, &short_of);
    assert_int_equal(view_of(keeper).n_loads, view_of(keeper).n_unloads);
    vx_keeper_destroy(keeper);
}

/* ---- settings and allocation ------------------------------------------------------------------------------------- */

static void the_limits_are_those_of_the_settings(void **state)
{
    (void)state;
    char *const nothing[] = {NULL};
    char *const some[] = {(char[]){"VOICE_UNLOCK_MAX_MEMORY=64MiB"}, (char[]){"VOXLOCK_IDLE_UNLOAD_S=0"}, NULL};
    const struct {
        char *const *environ_;
        vx_keeper_limits want;
    } rows[] = {
        {nothing, {.max_bytes = 400000000, .idle_ns = 900 * SECOND, .max_pressure = 0.85}},
        {some, {.max_bytes = 64 << 20, .idle_ns = 0, .max_pressure = 0.85}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *operands[1];
        int n_operands;
        vx_options *options;
        assert_int_equal(
            vx_options_load(VX_FOR_EDGE, rows[i].environ_, 0, nothing, NULL, operands, &n_operands, &options, NULL),
            VX_OK);
        const vx_keeper_limits got = vx_keeper_limits_of(options);
        assert_int_equal(got.max_bytes, rows[i].want.max_bytes);
        assert_true(got.idle_ns == rows[i].want.idle_ns);
        assert_true(got.max_pressure == rows[i].want.max_pressure);
        vx_options_destroy(options);
    }
}

static vx_err live_once(void *ctx)
{
    (void)ctx;
    const vx_engine_options options = vx_engine_options_default();
    vx_keeper *keeper;
    vx_engine *engine;
    vx_err err = vx_keeper_create(GOLDEN, &options, &usual, (vx_clock){.now_ns = read_now}, &keeper);
    if (err != VX_OK)
        return err;
    err = vx_keeper_acquire(keeper, VX_KEEPER_NEVER, &engine, NULL);
    if (err == VX_OK)
        vx_keeper_release(keeper);
    vx_keeper_destroy(keeper);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(live_once, NULL);
}

/* Memory that was short once may be there the next time: no pause. */
static void a_load_that_ran_out_of_memory_is_tried_again_at_once(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_errinfo info;
    vx_keeper *keeper = create(GOLDEN, usual);
    vx_alloc_fail_at(1);
    vx_err err = refused(keeper, &info);
    vx_alloc_fail_at(0);
    assert_int_equal(err, VX_ERR_NOMEM);
    use_once(keeper);
    vx_keeper_destroy(keeper);
}

static void nothing_is_fine_to_destroy(void **state)
{
    (void)state;
    vx_keeper_destroy(NULL);
    vx_keeper_destroy(create("tests/data/no-such-model", usual));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_loads_when_asked_and_lends_the_same_to_all),
        cmocka_unit_test(many_who_ask_at_once_make_one_load),
        cmocka_unit_test(a_failed_load_is_told_to_all_who_waited),
        cmocka_unit_test(a_deadline_ends_the_waiting_and_not_the_load),
        cmocka_unit_test(a_broken_folder_is_left_alone_for_a_while_and_found_when_mended),
        cmocka_unit_test(a_folder_replaced_while_loaded_counts_from_the_next_load),
        cmocka_unit_test(an_idle_model_is_unloaded_and_a_used_one_is_not),
        cmocka_unit_test(with_idle_time_0_only_pressure_unloads),
        cmocka_unit_test(it_loads_ahead_when_told_and_not_under_pressure),
        cmocka_unit_test(over_the_budget_it_takes_the_smaller_way),
        cmocka_unit_test(what_does_not_fit_is_refused_with_both_numbers),
        cmocka_unit_test(a_library_that_stayed_is_not_counted_twice),
        cmocka_unit_test(unloading_gives_memory_back),
        cmocka_unit_test(destroy_waits_for_lenders_and_refuses_the_rest),
        cmocka_unit_test(those_who_wait_are_told_of_the_end),
        cmocka_unit_test(nobody_meets_a_half_closed_engine),
        cmocka_unit_test(a_model_that_goes_is_gone_before_the_next_comes),
        cmocka_unit_test(the_limits_are_those_of_the_settings),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(a_load_that_ran_out_of_memory_is_tried_again_at_once),
        cmocka_unit_test(nothing_is_fine_to_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
