/* test_jit.c - strategy jit in this process: the golden vectors by libtorch, and everything that can be wrong with a
 * TorchScript file.
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

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/audio/decode.h"
#include "shared/base/cpu.h"
#include "shared/base/file.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/forged.h"
#include "tests/support/npy.h"
#include "tests/support/service.h"

#define GOLDEN  "tests/data/golden"
/* What the manifest says of a network that auto is meant to prefer. */
#define FAST_MS 1.0

static const char *const clips[] = {"a", "b", "c"}; /* 3, 0.62 and 7.31 s */
enum { N_CLIPS = 3, LONG_CLIP = 2 };

static struct {
    vx_audio audio;
    npy embedding;
} golden[N_CLIPS];

static int load_golden(void **state)
{
    (void)state;
    for (int i = 0; i < N_CLIPS; i++) {
        char path[128];
        vx_buf file = {0};
        snprintf(path, sizeof path, GOLDEN "/%s.wav", clips[i]);
        vx_err err = vx_file_read(path, 1 << 24, &file, NULL);
        if (err == VX_OK)
            err = vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &golden[i].audio, NULL);
        vx_buf_done(&file);
        snprintf(path, sizeof path, GOLDEN "/%s.embedding.npy", clips[i]);
        if (err != VX_OK || !npy_load(path, &golden[i].embedding))
            return -1;
    }
    return 0;
}

static int drop_golden(void **state)
{
    (void)state;
    for (int i = 0; i < N_CLIPS; i++) {
        vx_audio_done(&golden[i].audio);
        npy_done(&golden[i].embedding);
    }
    return 0;
}

static vx_engine_options jit_options(void)
{
    vx_engine_options o = vx_engine_options_default();
    o.strategy = "jit";
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

static vx_embedding embed(vx_engine *engine, int clip)
{
    vx_embedding e;
    vx_errinfo info = {0};
    vx_err err = vx_engine_embed(engine, golden[clip].audio.samples, golden[clip].audio.n, &e, NULL, &info);
    if (err != VX_OK)
        fail_msg("clip %s: %s", clips[clip], vx_errinfo_text(&info, err));
    return e;
}

static double cosine_to_golden(const vx_embedding *e, const npy *want)
{
    double dot = 0, length = 0;
    assert_int_equal(e->dim, (int)want->n_values);
    for (size_t i = 0; i < want->n_values; i++) {
        dot += (double)e->values[i] * want->data[i];
        length += (double)want->data[i] * want->data[i];
    }
    return dot / sqrt(length);
}

/* ---- what is right ---------------------------------------------------------------------------------------------- */

static double worst_cosine(vx_engine *engine)
{
    double worst = 1;
    for (int i = 0; i < N_CLIPS; i++) {
        const vx_embedding e = embed(engine, i);
        worst = fmin(worst, cosine_to_golden(&e, &golden[i].embedding));
    }
    return worst;
}

static void golden_vectors_in_f32(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    for (int threads = 1; threads <= 3; threads++) {
        vx_engine_options o = jit_options();
        o.threads = threads;
        vx_engine *engine = open_engine(&model, o);
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        assert_string_equal(about.strategy, "jit");
        assert_string_equal(about.device, "cpu");
        assert_string_equal(about.precision, "f32");
        assert_ptr_equal(strstr(about.gemm, "libtorch "), about.gemm);
        assert_int_equal(about.threads, threads);
        assert_false(about.degraded);
        assert_true(about.self_test > 0.99999);
        const double worst = worst_cosine(engine);
        print_message("# jit f32, %d threads: cosine at least %.7f\n", threads, worst);
        assert_true(worst >= 0.99999);
        vx_engine_close(engine);
    }
    forged_model_done(&model);
}

/* By the setting, and by what the manifest states was measured. */
static void golden_vectors_in_bf16(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    vx_engine_options o = jit_options();
    for (int by_manifest = 0; by_manifest < 2; by_manifest++) {
        if (by_manifest)
            forged_state(&model, "precision", json_string("bf16"));
        o.precision = by_manifest ? VX_PRECISION_AUTO : VX_PRECISION_BF16;
        vx_engine *engine = open_engine(&model, o);
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        assert_string_equal(about.precision, "bf16");
        const double worst = worst_cosine(engine);
        print_message("# jit bf16: cosine at least %.7f\n", worst);
        assert_true(worst >= 0.999);
        assert_true(worst < 0.9999999); /* else it was f32 by another name */
        vx_engine_close(engine);
    }
    /* A thread that has run bf16 runs f32 again. */
    o.precision = VX_PRECISION_F32;
    vx_engine *engine = open_engine(&model, o);
    assert_true(worst_cosine(engine) >= 0.99999);
    vx_engine_close(engine);
    forged_model_done(&model);
}

static void a_batch_equals_its_clips(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    vx_engine *engine = open_engine(&model, jit_options());
    static const int order[] = {0, 1, 0, 2, 1, 0};
    enum { N = sizeof order / sizeof *order, TOO_SHORT = 3 };
    vx_clip batch[N];
    vx_embedding got[N];
    vx_err errs[N];
    for (int i = 0; i < N; i++)
        batch[i] = (vx_clip){golden[order[i]].audio.samples, golden[order[i]].audio.n};
    /* The same length, other sound. */
    batch[2].samples = golden[2].audio.samples + 4000;
    batch[TOO_SHORT].n = 100;
    assert_int_equal(vx_engine_embed_batch(engine, batch, N, got, errs, NULL), VX_OK);
    for (int i = 0; i < N; i++) {
        vx_embedding alone;
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
    int first_clip;
    const vx_embedding *want;
    int mismatches;
};

static void *call_many_times(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < 6; i++) {
        const int clip = (c->first_clip + i) % N_CLIPS;
        vx_embedding e;
        double cosine = 0;
        if (vx_engine_embed(c->engine, golden[clip].audio.samples, golden[clip].audio.n, &e, NULL, NULL) != VX_OK ||
            vx_embedding_cosine(&e, &c->want[clip], &cosine) != VX_OK || cosine < 0.999999)
            c->mismatches++;
    }
    return NULL;
}

static void many_callers_at_once(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    enum { N = 5 };
    struct caller callers[N];
    vx_embedding want[N_CLIPS];
    vx_engine *engine = open_engine(&model, jit_options());
    for (int i = 0; i < N_CLIPS; i++)
        want[i] = embed(engine, i);
    for (int i = 0; i < N; i++) {
        callers[i] = (struct caller){.engine = engine, .first_clip = i, .want = want};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many_times, &callers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].mismatches, 0);
    }
    vx_engine_close(engine);
    forged_model_done(&model);
}

/* ---- cores ------------------------------------------------------------------------------------------------------ */

static double cpu_ms(clockid_t clock)
{
    struct timespec t;
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* CPU time of the process for each millisecond of the caller's own. */
static double cores_busy(const forged_model *model, int threads)
{
    vx_engine_options o = jit_options();
    o.threads = threads;
    vx_engine *engine = open_engine(model, o);
    embed(engine, LONG_CLIP); /* libtorch makes its kernels */
    const double all = cpu_ms(CLOCK_PROCESS_CPUTIME_ID), own = cpu_ms(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 10; i++)
        embed(engine, LONG_CLIP);
    const double busy = (cpu_ms(CLOCK_PROCESS_CPUTIME_ID) - all) / (cpu_ms(CLOCK_THREAD_CPUTIME_ID) - own);
    vx_engine_close(engine);
    return busy;
}

static void threads_are_as_many_as_asked(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    const double two = cores_busy(&model, 2);
    double one = cores_busy(&model, 1);
    /* Workers that the two left behind may still wait by spinning. A setting that does not bind shows in every round. */
    for (int round = 0; round < 8 && one > 1.2; round++)
        one = fmin(one, cores_busy(&model, 1));
    print_message("# CPU time of the process over the caller's: %.2f with 1 thread, %.2f with 2\n", one, two);
    assert_true(one <= 1.2);
    assert_true(two > 1.2);
    forged_model_done(&model);
}

/* ---- what is wrong ---------------------------------------------------------------------------------------------- */

enum fault { SOUND, MISSING, CUT_OFF, ONE_BIT };

static const struct bad_network {
    const char *network;
    enum fault fault;
    vx_err err;
    const char *says;
} bad_networks[] = {
    {"jit_good.pt", MISSING, VX_ERR_MODEL_MISSING, "No such file"},
    {"jit_good.pt", CUT_OFF, VX_ERR_MODEL_HASH, "5000 bytes where the manifest states"},
    {"jit_good.pt", ONE_BIT, VX_ERR_MODEL_HASH, "SHA-256 is"},
    /* From here the digest is right. */
    {"jit_text.pt", SOUND, VX_ERR_MODEL_CORRUPT, "is no TorchScript: PytorchStreamReader failed reading zip archive"},
    {"jit_truncated.pt", SOUND, VX_ERR_MODEL_CORRUPT, "is no TorchScript: PytorchStreamReader failed"},
    {"jit_weights_only.pt", SOUND, VX_ERR_MODEL_CORRUPT, "failed locating file constants.pkl"},
    {"jit_no_forward.pt", SOUND, VX_ERR_MODEL_CORRUPT, "has no method 'forward'"},
    {"jit_throws.pt", SOUND, VX_ERR_ENGINE, ": this network always fails"},
    {"jit_dimension.pt", SOUND, VX_ERR_MODEL_SHAPE, "gives [1, 191] where the manifest asks for [1, 192]"},
    {"jit_bands.pt", SOUND, VX_ERR_MODEL_SHAPE, "takes no [1, 40, 80] input: Given groups=1"},
    {"jit_two_inputs.pt", SOUND, VX_ERR_MODEL_SHAPE,
     "takes no [1, 40, 80] input: forward() is missing value for argument 'lengths'"},
    {"jit_two_results.pt", SOUND, VX_ERR_MODEL_SHAPE, "gives a Tuple where a tensor is expected"},
    {"jit_one_clip.pt", SOUND, VX_ERR_MODEL_SHAPE, "gives [1, 384] where the manifest asks for [2, 192]"},
    {"jit_nan.pt", SOUND, VX_ERR_ENGINE, "the first inference failed"},
    {"jit_other_weights.pt", SOUND, VX_ERR_ENGINE, "the self-test embedding has cosine"},
};

static forged_model spoilt(const struct bad_network *bad)
{
    forged_model model = forged_model_of("jit", bad->network, FAST_MS);
    switch (bad->fault) {
    case SOUND: break;
    case MISSING: model_copy_drop(&model.folder, model.file); break;
    case CUT_OFF: model_copy_cut(&model.folder, model.file, 5000); break;
    case ONE_BIT: model_copy_flip(&model.folder, model.file, 700000); break;
    }
    return model;
}

/* One sentence for a person: no line break, no trace of a stack, no place in libtorch's or a script's source. */
static void assert_is_a_sentence(const char *text)
{
    static const char *const never[] = {"\n",  "\t",  "Exception raised from", "frame #", "Traceback", ".cpp",
                                        ".py", "HERE"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(text, never[i]))
            fail_msg("'%s' holds '%s'", text, never[i]);
}

static void every_bad_network_is_refused_with_its_reason(void **state)
{
    (void)state;
    forged_need("torch");
    for (size_t i = 0; i < sizeof bad_networks / sizeof *bad_networks; i++) {
        const struct bad_network *bad = &bad_networks[i];
        forged_model model = spoilt(bad);
        const vx_engine_options o = jit_options();
        vx_engine *engine = NULL;
        vx_errinfo info = {0};
        const vx_err err = vx_engine_open(model.folder.path, &o, &engine, &info);
        print_message("# %s: %s: %s\n", bad->network, vx_err_code(err), vx_errinfo_text(&info, err));
        assert_null(engine);
        assert_int_equal(err, bad->err);
        assert_non_null(strstr(info.text, bad->says));
        assert_is_a_sentence(info.text);
        forged_model_done(&model);
    }
}

/* Asked for by name or preferred by auto: native runs instead, and says why. */
static void the_next_strategy_takes_over(void **state)
{
    (void)state;
    forged_need("torch");
    for (size_t i = 0; i < sizeof bad_networks / sizeof *bad_networks; i++) {
        const struct bad_network *bad = &bad_networks[i];
        forged_model model = spoilt(bad);
        for (int by_name = 0; by_name < 2; by_name++) {
            vx_engine_options o = vx_engine_options_default();
            o.strategy = by_name ? "jit" : "auto";
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

static void auto_prefers_what_was_measured_as_faster(void **state)
{
    (void)state;
    forged_need("torch");
    for (int faster = 0; faster < 2; faster++) {
        forged_model model = forged_model_of("jit", "jit_good.pt", faster ? FAST_MS : 2 * FORGED_NATIVE_MS);
        vx_engine *engine = open_engine(&model, vx_engine_options_default());
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        assert_string_equal(about.strategy, faster ? "jit" : "native");
        assert_false(about.degraded);
        vx_engine_close(engine);
        forged_model_done(&model);
    }
}

/* It opens and answers; then a clip comes that it cannot do. */
static void a_script_that_throws_later(void **state)
{
    (void)state;
    forged_need("torch");
    forged_model model = forged_model_of("jit", "jit_throws_late.pt", FAST_MS);
    vx_engine *engine = open_engine(&model, jit_options());
    vx_embedding e = {.dim = -7};
    vx_errinfo info = {0};
    embed(engine, 0);
    assert_int_equal(
        vx_engine_embed(engine, golden[LONG_CLIP].audio.samples, golden[LONG_CLIP].audio.n, &e, NULL, &info),
        VX_ERR_ENGINE);
    assert_int_equal(e.dim, -7);
    assert_non_null(strstr(info.text, "libtorch "));
    assert_non_null(strstr(info.text, ": this network fails on long clips"));
    assert_is_a_sentence(info.text);
    const vx_embedding after = embed(engine, 0);
    assert_true(cosine_to_golden(&after, &golden[0].embedding) >= 0.99999);
    vx_engine_close(engine);
    forged_model_done(&model);
}

/* Where there is such a device the golden vectors come from it; elsewhere it is refused by name. */
static void other_devices(void **state)
{
    (void)state;
    forged_need("torch");
    static const char *const devices[][2] = {{"cuda", "CUDA"}, {"mps", "MPS"}};
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        vx_engine_options o = jit_options();
        o.device = devices[i][0];
        vx_engine *engine = NULL;
        vx_errinfo info = {0};
        const vx_err err = vx_engine_open(model.folder.path, &o, &engine, &info);
        if (err == VX_OK) {
            assert_true(worst_cosine(engine) >= 0.9999);
            vx_engine_close(engine);
            continue;
        }
        print_message("# %s: %s\n", devices[i][0], info.text);
        assert_int_equal(err, VX_ERR_UNSUPPORTED);
        assert_non_null(strstr(info.text, devices[i][1]));
    }
    forged_model_done(&model);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void opening_again_and_again_keeps_no_memory(void **state)
{
    (void)state;
    forged_need("torch");
    enum { FIRST = 4, ROUNDS = 24 };
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    double settled = 0;
    for (int i = 0; i < FIRST + ROUNDS; i++) {
        if (i == FIRST)
            settled = (double)vx_rss_bytes();
        vx_engine *engine = open_engine(&model, jit_options());
        embed(engine, i % N_CLIPS);
        vx_engine_close(engine);
    }
    const double grown_mb = ((double)vx_rss_bytes() - settled) / 1e6;
    print_message("# %d times: %.1f MB more\n", ROUNDS, grown_mb);
    /* The weights kept each time would be 31 MB. A sanitizer keeps what is freed, and finds leaks by itself. */
    if (!SANITIZED)
        assert_true(grown_mb < 12);
    forged_model_done(&model);
}

static vx_err attempt(void *ctx)
{
    const forged_model *model = ctx;
    const vx_engine_options o = jit_options();
    vx_engine *engine = NULL;
    vx_err err = vx_engine_open(model->folder.path, &o, &engine, NULL);
    vx_engine_close(engine);
    return err;
}

static void allocation_failures(void **state)
{
    (void)state;
    forged_need("torch");
    if (!vx_alloc_fail_works())
        skip();
    forged_model model = forged_model_of("jit", "jit_good.pt", FAST_MS);
    vx_alloc_fail_each(attempt, &model);
    forged_model_done(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_vectors_in_f32),
        cmocka_unit_test(golden_vectors_in_bf16),
        cmocka_unit_test(a_batch_equals_its_clips),
        cmocka_unit_test(many_callers_at_once),
        cmocka_unit_test(threads_are_as_many_as_asked),
        cmocka_unit_test(every_bad_network_is_refused_with_its_reason),
        cmocka_unit_test(the_next_strategy_takes_over),
        cmocka_unit_test(auto_prefers_what_was_measured_as_faster),
        cmocka_unit_test(a_script_that_throws_later),
        cmocka_unit_test(other_devices),
        cmocka_unit_test(opening_again_and_again_keeps_no_memory),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, load_golden, drop_golden);
}
