/* test_onnx.c - strategy onnx inside the engine: the golden vectors by ONNX Runtime, and every artefact that it must not
 * run. test_onnx_plugin.c has the plugin by itself.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/cpu.h"
#include "shared/engine/engine.h"
#include "tests/support/forged.h"
#include "tests/support/golden.h"
#include "tests/support/service.h"

/* What the manifest says of a network that auto is meant to prefer. */
#define FAST_MS 1.0

static golden_clip clips[GOLDEN_CLIPS];
enum { LONG_CLIP = 2 };

static int load_clips(void **state)
{
    (void)state;
    return golden_load(clips) ? 0 : -1;
}

static int drop_clips(void **state)
{
    (void)state;
    golden_done(clips);
    return 0;
}

static vx_engine_options onnx_options(void)
{
    vx_engine_options o = vx_engine_options_default();
    o.strategy = "onnx";
    return o;
}

static vx_engine *open_engine(const forged_model *model, vx_engine_options options)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_engine_open(model->folder.path, &options, &engine, &info);
    if (err != VX_OK)
        fail_msg("%s: %s", info.path, vx_errinfo_text(&info, err));
    return engine;
}

static vx_embedding embed(vx_engine *engine, const vx_audio *audio)
{
    vx_embedding e;
    vx_errinfo info = {0};
    vx_err err = vx_engine_embed(engine, audio->samples, audio->n, &e, NULL, &info);
    if (err != VX_OK)
        fail_msg("%s", vx_errinfo_text(&info, err));
    return e;
}

static double worst_cosine(vx_engine *engine)
{
    double worst = 1;
    for (int i = 0; i < GOLDEN_CLIPS; i++) {
        const vx_embedding e = embed(engine, &clips[i].audio);
        worst = fmin(worst, golden_cosine(&clips[i], &e));
    }
    return worst;
}

/* ---- what is right ---- */

static void golden_vectors(void **state)
{
    (void)state;
    forged_need("onnx");
    /* The second calls its input by another name. */
    static const char *const networks[] = {"onnx_good.onnx", "onnx_input_name.onnx"};
    for (int i = 0; i < 2; i++) {
        forged_model model = forged_model_of("onnx", networks[i], FAST_MS);
        for (int threads = 1; threads <= 3; threads++) {
            vx_engine_options o = onnx_options();
            o.threads = threads;
            vx_engine *engine = open_engine(&model, o);
            vx_engine_info about;
            vx_engine_get_info(engine, &about);
            assert_string_equal(about.strategy, "onnx");
            assert_string_equal(about.device, "cpu");
            assert_string_equal(about.precision, "f32");
            assert_ptr_equal(strstr(about.gemm, "ONNX Runtime "), about.gemm);
            assert_int_equal(about.threads, threads);
            assert_false(about.degraded);
            assert_true(about.self_test > 0.99999);
            const double worst = worst_cosine(engine);
            print_message("# %s, %d threads: cosine at least %.7f\n", networks[i], threads, worst);
            assert_true(worst >= 0.99999);
            vx_engine_close(engine);
        }
        forged_model_done(&model);
    }
}

static void a_batch_equals_its_clips(void **state)
{
    (void)state;
    forged_need("onnx");
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    vx_engine *engine = open_engine(&model, onnx_options());
    /* Short clips go through the library together, long ones alone; one is too short for anything. */
    enum { N = 24, TOO_SHORT = 5 };
    vx_clip batch[N];
    vx_embedding got[N], alone;
    vx_err errs[N];
    for (int i = 0; i < N; i++)
        batch[i] = (vx_clip){clips[LONG_CLIP].audio.samples + 3000 * i, i % 4 ? 8000 : 16000 + 160 * (size_t)i};
    batch[TOO_SHORT].n = 100;
    assert_int_equal(vx_engine_embed_batch(engine, batch, N, got, errs, NULL), VX_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(errs[i], i == TOO_SHORT ? VX_ERR_AUDIO_SHORT : VX_OK);
        if (i == TOO_SHORT)
            continue;
        assert_int_equal(vx_engine_embed(engine, batch[i].samples, batch[i].n, &alone, NULL, NULL), VX_OK);
        for (int j = 0; j < alone.dim; j++)
            assert_true(fabsf(alone.values[j] - got[i].values[j]) <= 1e-5f);
    }
    vx_engine_close(engine);
    forged_model_done(&model);
}

struct caller {
    pthread_t thread;
    vx_engine *engine;
    int first_clip, mismatches;
};

static void *call_many_times(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < 6; i++) {
        const golden_clip *clip = &clips[(c->first_clip + i) % GOLDEN_CLIPS];
        vx_embedding e;
        if (vx_engine_embed(c->engine, clip->audio.samples, clip->audio.n, &e, NULL, NULL) != VX_OK ||
            golden_cosine(clip, &e) < 0.99999)
            c->mismatches++;
    }
    return NULL;
}

static void many_callers_at_once(void **state)
{
    (void)state;
    forged_need("onnx");
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    enum { N = 5 };
    struct caller callers[N];
    vx_engine_options o = onnx_options();
    o.threads = 2;
    vx_engine *engine = open_engine(&model, o);
    for (int i = 0; i < N; i++) {
        callers[i] = (struct caller){.engine = engine, .first_clip = i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many_times, &callers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].mismatches, 0);
    }
    vx_engine_close(engine);
    forged_model_done(&model);
}

static void auto_prefers_what_was_measured_as_faster(void **state)
{
    (void)state;
    forged_need("onnx");
    for (int faster = 0; faster < 2; faster++) {
        forged_model model = forged_model_of("onnx", "onnx_good.onnx", faster ? FAST_MS : 2 * FORGED_NATIVE_MS);
        vx_engine *engine = open_engine(&model, vx_engine_options_default());
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        assert_string_equal(about.strategy, faster ? "onnx" : "native");
        assert_false(about.degraded);
        vx_engine_close(engine);
        forged_model_done(&model);
    }
}

/* ---- what is wrong ---- */

enum fault { SOUND, MISSING, CUT_OFF, ONE_BIT };

static const struct bad_network {
    const char *network;
    enum fault fault;
    vx_err err;
    const char *says;
} bad_networks[] = {
    {"onnx_good.onnx", MISSING, VX_ERR_MODEL_MISSING, "No such file"},
    {"onnx_good.onnx", CUT_OFF, VX_ERR_MODEL_HASH, "5000 bytes where the manifest states"},
    {"onnx_good.onnx", ONE_BIT, VX_ERR_MODEL_HASH, "SHA-256 is"},
    /* From here the digest is right. */
    {"onnx_text.onnx", SOUND, VX_ERR_MODEL_CORRUPT, "protobuf parsing failed"},
    {"onnx_truncated.onnx", SOUND, VX_ERR_MODEL_CORRUPT, "protobuf parsing failed"},
    {"onnx_dimension.onnx", SOUND, VX_ERR_MODEL_SHAPE, "gives [?, 191] where [clips, 192] is wanted"},
    {"onnx_bands.onnx", SOUND, VX_ERR_MODEL_SHAPE, "takes [?, ?, 40] where [clips, frames, 80] is given"},
    {"onnx_rank.onnx", SOUND, VX_ERR_MODEL_SHAPE, "where [clips, frames, 80] is given"},
    {"onnx_two_inputs.onnx", SOUND, VX_ERR_MODEL_SHAPE, "takes 2 inputs where one, features alone, is wanted"},
    {"onnx_fixed.onnx", SOUND, VX_ERR_MODEL_SHAPE, "takes clips of 301 frames only"},
    {"onnx_nan.onnx", SOUND, VX_ERR_ENGINE, "the first inference failed"},
    {"onnx_other_weights.onnx", SOUND, VX_ERR_ENGINE, "the self-test embedding has cosine"},
};

static forged_model spoilt(const struct bad_network *bad)
{
    forged_model model = forged_model_of("onnx", bad->network, FAST_MS);
    switch (bad->fault) {
    case SOUND: break;
    case MISSING: model_copy_drop(&model.folder, model.file); break;
    case CUT_OFF: model_copy_cut(&model.folder, model.file, 5000); break;
    case ONE_BIT: model_copy_flip(&model.folder, model.file, 700000); break;
    }
    return model;
}

static void every_bad_network_is_refused_with_its_reason(void **state)
{
    (void)state;
    forged_need("onnx");
    for (size_t i = 0; i < sizeof bad_networks / sizeof *bad_networks; i++) {
        const struct bad_network *bad = &bad_networks[i];
        forged_model model = spoilt(bad);
        const vx_engine_options o = onnx_options();
        vx_engine *engine = NULL;
        vx_errinfo info = {0};
        const vx_err err = vx_engine_open(model.folder.path, &o, &engine, &info);
        print_message("# %s: %s: %s\n", bad->network, vx_err_code(err), vx_errinfo_text(&info, err));
        assert_null(engine);
        assert_int_equal(err, bad->err);
        assert_non_null(strstr(info.text, bad->says));
        assert_null(strstr(info.text, ".cc:"));
        forged_model_done(&model);
    }
}

/* Asked for by name or preferred by auto: native runs instead, and says why. */
static void the_next_strategy_takes_over(void **state)
{
    (void)state;
    forged_need("onnx");
    for (size_t i = 0; i < sizeof bad_networks / sizeof *bad_networks; i++) {
        const struct bad_network *bad = &bad_networks[i];
        forged_model model = spoilt(bad);
        for (int by_name = 0; by_name < 2; by_name++) {
            vx_engine_options o = vx_engine_options_default();
            o.strategy = by_name ? "onnx" : "auto";
            o.fall_back = by_name;
            vx_engine *engine = open_engine(&model, o);
            vx_engine_info about;
            vx_engine_get_info(engine, &about);
            assert_string_equal(about.strategy, "native");
            assert_true(about.degraded);
            if (!strstr(about.reason, bad->says))
                fail_msg("'%s' does not say '%s'", about.reason, bad->says);
            assert_true(worst_cosine(engine) >= 0.99999);
            vx_engine_close(engine);
        }
        forged_model_done(&model);
    }
}

static void other_devices_and_numbers_are_refused(void **state)
{
    (void)state;
    forged_need("onnx");
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    vx_engine_options wrong[3] = {onnx_options(), onnx_options(), onnx_options()};
    static const char *const says[3] = {"cuda", "mps", "f32"};
    wrong[0].device = "cuda";
    wrong[1].device = "mps";
    wrong[2].precision = VX_PRECISION_BF16;
    for (int i = 0; i < 3; i++) {
        vx_engine *engine = NULL;
        vx_errinfo info = {0};
        const vx_err err = vx_engine_open(model.folder.path, &wrong[i], &engine, &info);
        assert_true(err == VX_ERR_OPTION_VALUE || err == VX_ERR_UNSUPPORTED);
        assert_non_null(strstr(info.text, says[i]));
        assert_null(engine);
    }
    forged_model_done(&model);
}

/* ---- what it costs ---- */

static double cpu_ms(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The library's threads would otherwise look for work in a loop for a while after each clip. */
static void idle_threads_sleep(void **state)
{
    (void)state;
    forged_need("onnx");
    enum { ROUNDS = 20, IDLE_MS = 20 };
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    vx_engine_options o = onnx_options();
    o.threads = 3;
    vx_engine *engine = open_engine(&model, o);
    double idle = 0;
    for (int i = 0; i < ROUNDS; i++) {
        embed(engine, &clips[0].audio);
        const double before = cpu_ms();
        nanosleep(&(struct timespec){.tv_nsec = IDLE_MS * 1000000L}, NULL);
        idle += cpu_ms() - before;
    }
    print_message("# %.1f ms of CPU time in %d ms of idleness\n", idle, ROUNDS * IDLE_MS);
    assert_true(idle < 0.1 * ROUNDS * IDLE_MS);
    vx_engine_close(engine);
    forged_model_done(&model);
}

static void opening_again_and_again_keeps_no_memory(void **state)
{
    (void)state;
    forged_need("onnx");
    if (vx_rss_bytes() == 0)
        skip();
    enum { FIRST = 4, ROUNDS = 24 };
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    double settled = 0;
    for (int i = 0; i < FIRST + ROUNDS; i++) {
        if (i == FIRST)
            settled = (double)vx_rss_bytes();
        vx_engine *engine = open_engine(&model, onnx_options());
        embed(engine, &clips[i % GOLDEN_CLIPS].audio);
        vx_engine_close(engine);
    }
    const double grown_mb = ((double)vx_rss_bytes() - settled) / 1e6;
    print_message("# %d times: %.1f MB more\n", ROUNDS, grown_mb);
    /* The weights kept each time would be 31 MB. */
    assert_true(grown_mb < 12);
    forged_model_done(&model);
}

/* The library keeps what it once held, unless told. */
static void a_long_clip_leaves_no_memory_behind(void **state)
{
    (void)state;
    forged_need("onnx");
    if (SANITIZED || vx_rss_bytes() == 0) /* a sanitizer keeps freed memory */
        skip();
    forged_model model = forged_model_of("onnx", "onnx_good.onnx", FAST_MS);
    vx_engine *engine = open_engine(&model, onnx_options());
    vx_audio minute = {.n = VX_AUDIO_MAX_SAMPLES};
    minute.samples = malloc(minute.n * sizeof *minute.samples);
    assert_non_null(minute.samples);
    const vx_audio *speech = &clips[LONG_CLIP].audio;
    for (size_t i = 0; i < minute.n; i++)
        minute.samples[i] = speech->samples[i % speech->n];
    embed(engine, speech);
    const double before = (double)vx_rss_bytes();
    embed(engine, &minute);
    const double grown_mb = ((double)vx_rss_bytes() - before) / 1e6;
    print_message("# after one minute: %.1f MB more\n", grown_mb);
    /* Kept, its activations would be 40 MB; about 12 are features and what malloc holds on to. */
    assert_true(grown_mb < 25);
    free(minute.samples);
    vx_engine_close(engine);
    forged_model_done(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vectors),
        cmocka_unit_test(a_batch_equals_its_clips),
        cmocka_unit_test(many_callers_at_once),
        cmocka_unit_test(auto_prefers_what_was_measured_as_faster),
        cmocka_unit_test(every_bad_network_is_refused_with_its_reason),
        cmocka_unit_test(the_next_strategy_takes_over),
        cmocka_unit_test(other_devices_and_numbers_are_refused),
        cmocka_unit_test(idle_threads_sleep),
        cmocka_unit_test(a_long_clip_leaves_no_memory_behind),
        cmocka_unit_test(opening_again_and_again_keeps_no_memory),
    };
    if (access(VX_BUILD_DIR "/vx_network_onnx.so", F_OK) != 0) {
        puts("1..1\nok 1 - strategy onnx # SKIP ONNX Runtime is not installed: set ONNXRUNTIME_DIR");
        return 0;
    }
    return cmocka_run_group_tests(tests, load_clips, drop_clips);
}
