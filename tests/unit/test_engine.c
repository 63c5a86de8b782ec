/* test_engine.c - the engine on the golden model: SpeechBrain's own vectors through every path of this build. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/npy.h"

#define GOLDEN  "tests/data/golden"
#define MODEL   GOLDEN "/model"
#define STARTER "models/starter"

static const char *const clips[] = {"a", "b", "c"};
enum { N_CLIPS = 3 };

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
        vx_errinfo info = {0};
        snprintf(path, sizeof path, GOLDEN "/%s.wav", clips[i]);
        if (vx_file_read(path, 1 << 24, &file, &info) != VX_OK ||
            vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &golden[i].audio, &info) != VX_OK) {
            fprintf(stderr, "%s: %s\n", path, vx_errinfo_text(&info, info.code));
            return -1;
        }
        vx_buf_done(&file);
        snprintf(path, sizeof path, GOLDEN "/%s.embedding.npy", clips[i]);
        if (!npy_load(path, &golden[i].embedding))
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

static vx_engine *open_engine(const char *folder, vx_engine_options options)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_engine_open(folder, &options, &engine, &info);
    if (err != VX_OK)
        fail_msg("%s: %s", folder, vx_errinfo_text(&info, err));
    return engine;
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

static void check_golden(vx_engine_options options)
{
    vx_engine *engine = open_engine(MODEL, options);
    for (int round = 0; round < 2; round++) /* the second on scratch that held another clip */
        for (int i = 0; i < N_CLIPS; i++) {
            vx_embedding e;
            vx_engine_timing timing;
            assert_int_equal(vx_engine_embed(engine, golden[i].audio.samples, golden[i].audio.n, &e, &timing, NULL),
                             VX_OK);
            double cosine = cosine_to_golden(&e, &golden[i].embedding);
            if (!(cosine >= 0.99999))
                fail_msg("clip %s, gemm %s, isa %s, %d threads: cosine %.7f", clips[i], options.gemm,
                         vx_isa_name(options.isa), options.threads, cosine);
            assert_true(timing.features_ms > 0 && timing.network_ms > 0);
        }
    vx_engine_close(engine);
}

static void test_golden_on_every_instruction_set(void **state)
{
    (void)state;
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_AVX512; isa++)
        for (int threads = 1; threads <= 4 && vx_isa_available((vx_isa)isa); threads++) {
            vx_engine_options o = vx_engine_options_default();
            o.gemm = "simd";
            o.isa = (vx_isa)isa;
            o.threads = threads;
            check_golden(o);
        }
}

/* A plugin of a library that the build did not find is a skip, not a pass. */
static void golden_by_plugin(const char *name)
{
    const char *place = VX_BUILD_DIR;
    char path[256];
    snprintf(path, sizeof path, "%s/vx_gemm_%s.so", place, name);
    if (access(path, R_OK) != 0)
        skip();
    vx_engine_options o = vx_engine_options_default();
    o.gemm = name;
    check_golden(o);
    o.threads = 2;
    check_golden(o);
}
static void test_golden_by_onednn(void **state)
{
    (void)state;
    golden_by_plugin("onednn");
}
static void test_golden_by_blas(void **state)
{
    (void)state;
    golden_by_plugin("blas");
}

static void test_info(void **state)
{
    (void)state;
    vx_engine *engine = open_engine(STARTER, vx_engine_options_default());
    vx_engine_info info;
    vx_engine_get_info(engine, &info);
    assert_string_equal(info.strategy, "native");
    assert_string_equal(info.precision, "f32");
    assert_int_equal(info.dim, 192);
    assert_int_equal(info.threads, 1);
    assert_true(info.weights_bytes > 8000000 && info.load_ms > 0);
    assert_non_null(strstr(info.reason, "auto"));
    assert_string_equal(info.manifest->name, "voxlock-starter-256");
    vx_engine_close(engine);
}

/* ---- one engine, several callers ---- */

struct caller {
    pthread_t thread;
    vx_engine *engine;
    int clip;
    const vx_embedding *want;
    int mismatches;
};

static void *call_many_times(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < 6; i++) {
        vx_embedding e;
        int clip = (c->clip + i) % N_CLIPS;
        if (vx_engine_embed(c->engine, golden[clip].audio.samples, golden[clip].audio.n, &e, NULL, NULL) != VX_OK ||
            memcmp(e.values, c->want[clip].values, (size_t)e.dim * sizeof *e.values) != 0)
            c->mismatches++;
    }
    return NULL;
}

struct long_caller {
    pthread_t thread;
    vx_engine *engine;
    const float *samples;
    size_t n;
    const vx_embedding *want;
    int mismatches;
};

/* With pauses, so that callers are alone, and not, in turn. */
static void *call_with_pauses(void *arg)
{
    struct long_caller *c = arg;
    for (int i = 0; i < 4; i++) {
        vx_embedding got;
        if (vx_engine_embed(c->engine, c->samples, c->n, &got, NULL, NULL) != VX_OK ||
            memcmp(got.values, c->want->values, sizeof got.values[0] * (size_t)got.dim) != 0)
            c->mismatches++;
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    return NULL;
}

static void test_concurrent_callers_get_the_same_bits(void **state)
{
    (void)state;
    vx_engine_options o = vx_engine_options_default();
    o.threads = 2;
    vx_engine *engine = open_engine(MODEL, o);
    vx_embedding want[N_CLIPS];
    struct caller callers[5];
    for (int i = 0; i < N_CLIPS; i++)
        assert_int_equal(vx_engine_embed(engine, golden[i].audio.samples, golden[i].audio.n, &want[i], NULL, NULL),
                         VX_OK);
    for (int i = 0; i < 5; i++) {
        callers[i] = (struct caller){.engine = engine, .clip = i, .want = want};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many_times, &callers[i]), 0);
    }
    for (int i = 0; i < 5; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].mismatches, 0);
    }
    vx_engine_close(engine);
}

/* CPU time in ms that the thread which asks spends on an embedding of so many seconds: with a team it does its share. The least
 * of several, since members of a team may spin. */
static double own_ms(vx_engine *engine, const float *samples, double seconds)
{
    double least = HUGE_VAL;
    for (int i = 0; i < 5; i++) {
        struct timespec from, to;
        vx_embedding e;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        assert_int_equal(vx_engine_embed(engine, samples, (size_t)(seconds * VX_AUDIO_RATE), &e, NULL, NULL), VX_OK);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        least = fmin(least, 1e3 * (double)(to.tv_sec - from.tv_sec) + 1e-6 * (double)(to.tv_nsec - from.tv_nsec));
    }
    return least;
}

/* A long clip alone has all cores, a short one has one: it would not gain. */
static void test_a_shared_engine_gives_cores_to_who_gains(void **state)
{
    (void)state;
    const size_t n = 30 * VX_AUDIO_RATE;
    float *samples = malloc(n * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < n; i++)
        samples[i] = golden[2].audio.samples[i % golden[2].audio.n];
    vx_engine_options o = vx_engine_options_default();
    vx_engine *single = open_engine(STARTER, o);
    o.threads = 4;
    o.shared = true;
    vx_engine *engine = open_engine(STARTER, o);
    const double few = own_ms(engine, samples, 1) / own_ms(single, samples, 1),
                 many = own_ms(engine, samples, 30) / own_ms(single, samples, 30);
    print_message("# own share of 1 s: %.2f, of 30 s: %.2f\n", few, many);
    assert_true(few > 0.75);
    assert_true(many < 0.75);
    vx_engine_close(engine);
    vx_engine_close(single);
    free(samples);
}

static void test_concurrent_callers_of_a_shared_engine_get_the_same_bits(void **state)
{
    (void)state;
    enum { LONG = 20 * VX_AUDIO_RATE }; /* of the starter enough for a team */
    struct long_caller callers[4];
    float *samples = malloc(LONG * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < LONG; i++)
        samples[i] = golden[2].audio.samples[i % golden[2].audio.n];
    vx_engine_options o = vx_engine_options_default();
    vx_engine *alone = open_engine(STARTER, o);
    vx_embedding want;
    assert_int_equal(vx_engine_embed(alone, samples, LONG, &want, NULL, NULL), VX_OK);
    vx_engine_close(alone);
    o.threads = 2;
    o.shared = true;
    vx_engine *engine = open_engine(STARTER, o);
    for (int i = 0; i < 4; i++) {
        callers[i] = (struct long_caller){.engine = engine, .samples = samples, .n = LONG, .want = &want};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_with_pauses, &callers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].mismatches, 0);
    }
    vx_engine_close(engine);
    free(samples);
}

/* ---- limits ---- */

static void test_lengths(void **state)
{
    (void)state;
    vx_engine *engine = open_engine(STARTER, vx_engine_options_default());
    float *samples = malloc((VX_AUDIO_MAX_SAMPLES + 1) * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i <= VX_AUDIO_MAX_SAMPLES; i++)
        samples[i] = golden[2].audio.samples[i % golden[2].audio.n];
    vx_embedding e = {.dim = -7}, shortest, first, longest;
    const size_t least = (size_t)(VX_AUDIO_MIN_S * VX_AUDIO_RATE);
    assert_int_equal(vx_engine_embed(engine, samples, 0, &e, NULL, NULL), VX_ERR_AUDIO_SHORT);
    assert_int_equal(vx_engine_embed(engine, samples, least - 1, &e, NULL, NULL), VX_ERR_AUDIO_SHORT);
    assert_int_equal(vx_engine_embed(engine, samples, VX_AUDIO_MAX_SAMPLES + 1, &e, NULL, NULL), VX_ERR_AUDIO_LONG);
    assert_int_equal(e.dim, -7);
    assert_int_equal(vx_engine_embed(engine, samples, least, &shortest, NULL, NULL), VX_OK);
    assert_int_equal(vx_engine_embed(engine, samples, golden[2].audio.n, &first, NULL, NULL), VX_OK);
    assert_int_equal(vx_engine_embed(engine, samples, VX_AUDIO_MAX_SAMPLES, &longest, NULL, NULL), VX_OK);
    /* The minute repeats the clip, so it must sound like it; and the scratch that was given back works again. */
    double cosine;
    assert_int_equal(vx_embedding_cosine(&first, &longest, &cosine), VX_OK);
    assert_true(cosine > 0.95);
    vx_embedding again;
    assert_int_equal(vx_engine_embed(engine, samples, golden[2].audio.n, &again, NULL, NULL), VX_OK);
    assert_memory_equal(again.values, first.values, sizeof *first.values * (size_t)first.dim);
    samples[1000] = NAN;
    assert_int_equal(vx_engine_embed(engine, samples, least, &e, NULL, NULL), VX_ERR_AUDIO_NOT_FINITE);
    free(samples);
    vx_engine_close(engine);
}

/* Tiles at every tail: each number of frames of a short clip on two tile shapes must agree. */
static void test_every_frame_count_agrees_across_instruction_sets(void **state)
{
    (void)state;
    if (vx_isa_best() == VX_ISA_SCALAR)
        skip();
    vx_engine_options scalar = vx_engine_options_default();
    scalar.isa = VX_ISA_SCALAR;
    vx_engine *a = open_engine(MODEL, vx_engine_options_default()), *b = open_engine(MODEL, scalar);
    for (size_t frames = 31; frames <= 131; frames++) {
        vx_embedding x, y;
        double cosine;
        size_t n = (frames - 1) * 160;
        assert_int_equal(vx_engine_embed(a, golden[2].audio.samples, n, &x, NULL, NULL), VX_OK);
        assert_int_equal(vx_engine_embed(b, golden[2].audio.samples, n, &y, NULL, NULL), VX_OK);
        assert_int_equal(vx_embedding_cosine(&x, &y, &cosine), VX_OK);
        assert_true(cosine > 0.999999);
    }
    vx_engine_close(a);
    vx_engine_close(b);
}

/* ---- what cannot be opened ---- */

static void expect_refusal(const char *folder, vx_engine_options o, vx_err want, const char *mention)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    assert_int_equal(vx_engine_open(folder, &o, &engine, &info), want);
    assert_null(engine);
    if (!strstr(info.text, mention) && !strstr(info.path, mention))
        fail_msg("'%s' (%s) does not mention '%s'", info.text, info.path, mention);
}

static void test_refusals(void **state)
{
    (void)state;
    vx_engine_options o = vx_engine_options_default();
    expect_refusal("tests/data/no-such-folder", o, VX_ERR_MODEL_MISSING, "no-such-folder");
    o.strategy = "telepathy";
    expect_refusal(STARTER, o, VX_ERR_OPTION_VALUE, "telepathy");
    o = vx_engine_options_default();
    o.gemm = "abacus";
    expect_refusal(STARTER, o, VX_ERR_OPTION_VALUE, "abacus");
    o = vx_engine_options_default();
    o.threads = 0;
    expect_refusal(STARTER, o, VX_ERR_ARG, "threads");
}

/* A copy of the golden model in a folder of its own, with one byte changed or its end cut off. */
static void damaged_copy(char folder[64], long flip_at, long cut)
{
    memcpy(folder, "/tmp/voxlock-test-XXXXXX", sizeof "/tmp/voxlock-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    const char *const files[] = {VX_MANIFEST_NAME, "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char path[160];
        vx_buf content = {0};
        snprintf(path, sizeof path, MODEL "/%s", files[i]);
        assert_int_equal(vx_file_read(path, 1 << 24, &content, NULL), VX_OK);
        if (i == 1 && flip_at >= 0)
            content.data[flip_at] ^= 1;
        size_t len = i == 1 ? content.len - (size_t)cut : content.len;
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(content.data, 1, len, out), len);
        fclose(out);
        vx_buf_done(&content);
    }
}

static void remove_copy(const char *folder)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, VX_MANIFEST_NAME);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    rmdir(folder);
}

static void test_damaged_weights_are_never_loaded(void **state)
{
    (void)state;
    const struct {
        long flip_at, cut;
        vx_err want;
    } cases[] = {{100000, 0, VX_ERR_MODEL_HASH}, {8, 0, VX_ERR_MODEL_HASH}, {-1, 1, VX_ERR_MODEL_HASH}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[64];
        damaged_copy(folder, cases[i].flip_at, cases[i].cut);
        expect_refusal(folder, vx_engine_options_default(), cases[i].want, "model.safetensors");
        remove_copy(folder);
    }
    char folder[64], path[160];
    damaged_copy(folder, -1, 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    expect_refusal(folder, vx_engine_options_default(), VX_ERR_MODEL_MISSING, "model.safetensors");
    remove_copy(folder);
}

static vx_err attempt(void *ctx)
{
    (void)ctx;
    vx_engine_options o = vx_engine_options_default();
    o.threads = 2;
    vx_engine *engine = NULL;
    vx_err err = vx_engine_open(MODEL, &o, &engine, NULL);
    vx_engine_close(engine);
    return err;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(attempt, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_on_every_instruction_set),
        cmocka_unit_test(test_golden_by_onednn),
        cmocka_unit_test(test_golden_by_blas),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_concurrent_callers_get_the_same_bits),
        cmocka_unit_test(test_a_shared_engine_gives_cores_to_who_gains),
        cmocka_unit_test(test_concurrent_callers_of_a_shared_engine_get_the_same_bits),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_every_frame_count_agrees_across_instruction_sets),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_weights_are_never_loaded),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, load_golden, drop_golden);
}
