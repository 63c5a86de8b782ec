/* test_loader.c - from a model folder to a proven engine: what is tried again, what is not, and what is told. */
#include "cloud/loader.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/engine/self_test.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"

#define GOLDEN "tests/data/golden/model"

static vx_load_plan plan_for(const char *folder)
{
    return (vx_load_plan){.folder = folder, .engine = vx_engine_options_default(), .attempts = 3, .backoff_ms = 1};
}

/* What came of it, after everything is freed again. */
typedef struct {
    vx_err err;
    vx_errinfo info;
    vx_loaded loaded; /* the engine is gone */
    bool degraded;
    double self_test;
    int n_events;
    vx_startup_event events[VX_STARTUP_EVENTS];
    vx_engine_trials trials;
} result;

static result load(const vx_load_plan *plan)
{
    result r = {0};
    vx_startup startup;
    vx_engine_info about;
    assert_int_equal(vx_startup_init(&startup), VX_OK);
    r.err = vx_load(plan, &startup, &r.loaded, &r.info);
    r.n_events = vx_startup_history(&startup, r.events);
    vx_startup_told(&startup, &r.trials);
    assert_int_equal(r.loaded.engine != NULL, r.err == VX_OK);
    if (r.loaded.engine) {
        vx_engine_get_info(r.loaded.engine, &about);
        r.degraded = about.degraded;
        r.self_test = about.self_test;
    }
    vx_engine_close(r.loaded.engine);
    vx_startup_done(&startup);
    return r;
}

static const vx_startup_event *last(const result *r)
{
    return &r->events[r->n_events - 1];
}

/* ---- success --------------------------------------------------------------------------------------------------- */

static void a_sound_model_is_loaded_at_once(void **state)
{
    (void)state;
    for (int warm_up = 0; warm_up < 2; warm_up++) {
        vx_load_plan plan = plan_for(GOLDEN);
        plan.warm_up = warm_up;
        result r = load(&plan);
        assert_int_equal(r.err, VX_OK);
        assert_int_equal(r.info.code, VX_OK);
        assert_int_equal(r.n_events, 2);
        assert_int_equal(last(&r)->state, VX_STARTUP_INITIALIZING); /* the last step is the caller's */
        assert_int_equal(r.loaded.warmup_ms > 0, warm_up);
        assert_true(r.self_test == -2); /* this manifest has no vector to compare with */
    }
}

/* self_test of a manifest: what this engine computes, every n-th number negated (0: none). */
static json_t *self_test_part(int negate_every)
{
    float samples[VX_SELF_TEST_SAMPLES];
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_embedding embedding;
    vx_self_test_signal(samples);
    assert_int_equal(vx_engine_open(GOLDEN, &options, &engine, NULL), VX_OK);
    assert_int_equal(vx_engine_embed(engine, samples, VX_SELF_TEST_SAMPLES, &embedding, NULL, NULL), VX_OK);
    vx_engine_close(engine);
    json_t *values = json_array();
    for (int i = 0; i < embedding.dim; i++) {
        const double sign = negate_every && i % negate_every == 0 ? -1 : 1;
        json_array_append_new(values, json_real(sign * (double)embedding.values[i]));
    }
    return json_pack("{s:s, s:o}", "signal", VX_SELF_TEST_SIGNAL, "embedding", values);
}

static void the_self_test_is_held_against_the_manifest(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(GOLDEN);
    json_t *manifest = model_copy_manifest(&copy);
    json_object_set_new(manifest, "self_test", self_test_part(0));
    model_copy_set_manifest(&copy, manifest);
    vx_load_plan plan = plan_for(copy.path);
    result r = load(&plan);
    assert_int_equal(r.err, VX_OK);
    assert_true(r.self_test > 0.99999);
    model_copy_done(&copy);
}

/* ---- failure --------------------------------------------------------------------------------------------------- */

static void spoil_nothing_there(const model_copy *copy)
{
    model_copy_drop(copy, MODEL_WEIGHTS);
    model_copy_drop(copy, MODEL_MANIFEST);
}

static void spoil_no_weights(const model_copy *copy)
{
    model_copy_drop(copy, MODEL_WEIGHTS);
}

static void spoil_cut_weights(const model_copy *copy)
{
    model_copy_cut(copy, MODEL_WEIGHTS, 100000);
}

static void spoil_one_byte(const model_copy *copy)
{
    model_copy_flip(copy, MODEL_WEIGHTS, 700000);
}

static void spoil_cut_manifest(const model_copy *copy)
{
    model_copy_cut(copy, MODEL_MANIFEST, 300);
}

static void spoil_dimension(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_object_set_new(json_object_get(manifest, "model"), "dimension", json_integer(191));
    model_copy_set_manifest(copy, manifest);
}

static void spoil_self_test(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_object_set_new(manifest, "self_test", self_test_part(20));
    model_copy_set_manifest(copy, manifest);
}

/* What a moment can mend is tried as often as the plan says, and every try tells why it failed. */
static void broken_models_are_tried_again_and_told(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(const model_copy *copy);
        vx_err err;
        int attempts;
        const char *says;
    } rows[] = {
        {spoil_nothing_there, VX_ERR_MODEL_MISSING, 3, "voxlock-model-"},
        {spoil_no_weights, VX_ERR_MODEL_MISSING, 3, MODEL_WEIGHTS},
        {spoil_cut_weights, VX_ERR_MODEL_HASH, 3, MODEL_WEIGHTS},
        {spoil_one_byte, VX_ERR_MODEL_HASH, 3, MODEL_WEIGHTS},
        {spoil_cut_manifest, VX_ERR_MODEL_CORRUPT, 3, MODEL_MANIFEST},
        {spoil_self_test, VX_ERR_ENGINE, 3, "self-test"},
        {spoil_dimension, VX_ERR_MODEL_SHAPE, 1, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        model_copy copy = model_copy_of(GOLDEN);
        rows[i].spoil(&copy);
        vx_load_plan plan = plan_for(copy.path);
        result r = load(&plan);
        if (r.err != rows[i].err || r.info.code != rows[i].err)
            fail_msg("row %zu: %s: %s", i, vx_err_code(r.err), r.info.text);
        assert_int_equal(r.n_events, 1 + 2 * rows[i].attempts);
        assert_int_equal(last(&r)->state, VX_STARTUP_FAILED);
        assert_int_equal(last(&r)->attempt, rows[i].attempts);
        for (int k = 2; k < r.n_events; k += 2) {
            const vx_startup_event *event = &r.events[k];
            assert_int_equal(event->state, k + 1 < r.n_events ? VX_STARTUP_RETRYING : VX_STARTUP_FAILED);
            if (strncmp(event->reason, vx_err_code(r.err), strlen(vx_err_code(r.err))) != 0 ||
                !strstr(event->reason, rows[i].says))
                fail_msg("row %zu: '%s' does not say '%s'", i, event->reason, rows[i].says);
        }
        model_copy_done(&copy);
    }
}

/* No waiting mends a setting. */
static void settings_are_not_tried_again(void **state)
{
    (void)state;
    const vx_isa other = vx_isa_available(VX_ISA_NEON) ? VX_ISA_AVX2 : VX_ISA_NEON;
    const struct {
        vx_engine_options options;
        vx_err err;
    } rows[] = {
        {{.strategy = "telepathy", .threads = 1, .isa = vx_isa_best()}, VX_ERR_OPTION_VALUE},
        {{.gemm = "abacus", .threads = 1, .isa = vx_isa_best()}, VX_ERR_OPTION_VALUE},
        {{.threads = 1, .isa = other, .fall_back = true}, VX_ERR_UNSUPPORTED},
        {{.threads = 0, .isa = vx_isa_best(), .fall_back = true}, VX_ERR_ARG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_load_plan plan = plan_for(GOLDEN);
        plan.engine = rows[i].options;
        result r = load(&plan);
        assert_int_equal(r.err, rows[i].err);
        assert_int_equal(last(&r)->state, VX_STARTUP_FAILED);
        assert_int_equal(last(&r)->attempt, 1);
    }
}

/* What was asked for is replaced by what there is; but where that fails too, its reason is the one that counts: it may
 * pass, and a missing strategy never will. */
static void falling_back_does_not_hide_a_missing_model(void **state)
{
    (void)state;
    static const vx_engine_options wishes[] = {{.strategy = "jit"}, {.gemm = "abacus"}};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        model_copy copy = model_copy_of(GOLDEN);
        vx_load_plan plan = plan_for(copy.path);
        plan.engine.strategy = wishes[i].strategy;
        plan.engine.gemm = wishes[i].gemm;
        plan.engine.fall_back = true;
        result r = load(&plan);
        assert_int_equal(r.err, VX_OK);
        assert_true(r.degraded);
        assert_int_equal(r.trials.n, 2);
        assert_true(r.trials.list[0].err != VX_OK && r.trials.list[1].err == VX_OK);
        model_copy_drop(&copy, MODEL_WEIGHTS);
        r = load(&plan);
        assert_int_equal(r.err, VX_ERR_MODEL_MISSING);
        assert_int_equal(last(&r)->attempt, plan.attempts);
        assert_non_null(strstr(last(&r)->reason, MODEL_WEIGHTS));
        assert_int_equal(r.trials.n, 2); /* of the last attempt alone */
        assert_int_equal(r.trials.list[1].err, VX_ERR_MODEL_MISSING);
        model_copy_done(&copy);
    }
}

/* ---- in the course of time ------------------------------------------------------------------------------------- */

/* A load on a thread of its own. */
typedef struct {
    vx_load_plan plan;
    vx_startup startup;
    vx_loaded loaded;
    vx_err err;
    pthread_t thread;
} loading;

static void *run_load(void *arg)
{
    loading *l = arg;
    l->err = vx_load(&l->plan, &l->startup, &l->loaded, NULL);
    return NULL;
}

/* Returns when the first attempt has failed. */
static void begin_loading(loading *l, vx_load_plan plan)
{
    *l = (loading){.plan = plan, .err = VX_ERR_INTERNAL};
    assert_int_equal(vx_startup_init(&l->startup), VX_OK);
    assert_int_equal(pthread_create(&l->thread, NULL, run_load, l), 0);
    while (vx_startup_now(&l->startup) != VX_STARTUP_RETRYING)
        sched_yield();
}

static void end_loading(loading *l)
{
    vx_engine_close(l->loaded.engine);
    vx_startup_done(&l->startup);
}

/* A volume that is mounted, a copy that ends: the weights come last or first, and in the end all is there. */
static void a_model_that_comes_late_is_loaded(void **state)
{
    (void)state;
    static const char *const orders[2][2] = {{MODEL_WEIGHTS, MODEL_MANIFEST}, {MODEL_MANIFEST, MODEL_WEIGHTS}};
    for (int i = 0; i < 2; i++) {
        loading l;
        vx_startup_event events[VX_STARTUP_EVENTS];
        model_copy copy = model_copy_empty();
        vx_load_plan plan = plan_for(copy.path);
        plan.attempts = 20;
        begin_loading(&l, plan);
        model_copy_take(&copy, GOLDEN, orders[i][0]);
        model_copy_take(&copy, GOLDEN, orders[i][1]);
        pthread_join(l.thread, NULL);
        assert_int_equal(l.err, VX_OK);
        int n = vx_startup_history(&l.startup, events);
        assert_int_equal(events[n - 1].state, VX_STARTUP_INITIALIZING);
        assert_true(events[n - 1].attempt >= 2);
        assert_non_null(strstr(events[2].reason, vx_err_code(VX_ERR_MODEL_MISSING)));
        end_loading(&l);
        model_copy_done(&copy);
    }
}

static void the_end_of_the_program_ends_a_back_off(void **state)
{
    (void)state;
    loading l;
    vx_load_plan plan = plan_for("tests/data/no-such-model");
    plan.backoff_ms = 3600000;
    begin_loading(&l, plan);
    vx_startup_stop(&l.startup);
    pthread_join(l.thread, NULL);
    assert_int_equal(l.err, VX_ERR_CLOSED);
    assert_null(l.loaded.engine);
    assert_int_equal(vx_startup_now(&l.startup), VX_STARTUP_RETRYING);
    end_loading(&l);
}

static void the_back_off_doubles(void **state)
{
    (void)state;
    static const char *const says[] = {"again in 1 ms", "again in 2 ms", "again in 4 ms", "again in 8 ms"};
    vx_load_plan plan = plan_for("tests/data/no-such-model");
    plan.attempts = 5;
    result r = load(&plan);
    assert_int_equal(r.n_events, 11);
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(r.events[2 + 2 * i].reason, says[i]));
    assert_null(strstr(last(&r)->reason, "again in"));
    assert_true(last(&r)->at_ms >= 15);
}

static vx_err load_once(void *ctx)
{
    vx_startup startup;
    vx_loaded loaded = {0};
    vx_load_plan plan = *(const vx_load_plan *)ctx;
    assert_int_equal(vx_startup_init(&startup), VX_OK);
    vx_err err = vx_load(&plan, &startup, &loaded, NULL);
    assert_int_equal(vx_startup_now(&startup), err == VX_OK ? VX_STARTUP_INITIALIZING : VX_STARTUP_FAILED);
    assert_int_equal(loaded.engine != NULL, err == VX_OK);
    vx_engine_close(loaded.engine);
    vx_startup_done(&startup);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_load_plan plan = plan_for(GOLDEN);
    plan.attempts = 1;
    plan.warm_up = true;
    vx_alloc_fail_each(load_once, &plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_model_is_loaded_at_once),
        cmocka_unit_test(the_self_test_is_held_against_the_manifest),
        cmocka_unit_test(broken_models_are_tried_again_and_told),
        cmocka_unit_test(settings_are_not_tried_again),
        cmocka_unit_test(falling_back_does_not_hide_a_missing_model),
        cmocka_unit_test(a_model_that_comes_late_is_loaded),
        cmocka_unit_test(the_end_of_the_program_ends_a_back_off),
        cmocka_unit_test(the_back_off_doubles),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
