/* test_engine_batch.c - many clips at once: each gets what it would get alone, bit for bit, and a bad one spoils nobody;
 * and the longest clips, whose memory is bounded and given back.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/base/cpu.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/service.h"

#define GOLDEN  "tests/data/golden/model"
#define STARTER "models/starter"

enum { SHORTEST = VX_AUDIO_RATE * 3 / 10, N_MIXED = 13, MAX_THREADS = 4 };

/* A recording, repeated to a minute and a sample more. */
static float *minute;
static vx_clip mixed[N_MIXED];

static int set_up(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader2_a.flac");
    minute = malloc((VX_AUDIO_MAX_SAMPLES + 1) * sizeof *minute);
    if (!minute)
        return -1;
    for (size_t i = 0; i <= VX_AUDIO_MAX_SAMPLES; i++)
        minute[i] = audio.samples[i % audio.n];
    vx_audio_done(&audio);
    /* Of several lengths, some of them twice, cut from different places. */
    static const size_t lengths[N_MIXED] = {8000, 4800,  16000, 8000, 5000, 24000, 4800,
                                            8160, 15999, 16000, 9600, 4801, 6400};
    for (size_t i = 0; i < N_MIXED; i++)
        mixed[i] = (vx_clip){minute + 1777 * i, lengths[i]};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(minute);
    return 0;
}

static vx_engine *open_engine(const char *folder, const char *gemm, int threads)
{
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    options.gemm = gemm;
    options.threads = threads;
    if (vx_engine_open(folder, &options, &engine, &info) != VX_OK)
        fail_msg("%s: %s", folder, info.text);
    return engine;
}

static vx_embedding alone(vx_engine *engine, vx_clip clip)
{
    vx_embedding e;
    assert_int_equal(vx_engine_embed(engine, clip.samples, clip.n, &e, NULL, NULL), VX_OK);
    return e;
}

static bool same(const vx_embedding *a, const vx_embedding *b)
{
    return a->dim == b->dim && vx_model_digest_equal(&a->model, &b->model) &&
           memcmp(a->values, b->values, (size_t)a->dim * sizeof *a->values) == 0;
}

/* ---- as if alone ------------------------------------------------------------------------------------------------ */

static void check_batches(const char *gemm, int threads)
{
    static const size_t sizes[] = {1, 2, 3, N_MIXED};
    vx_engine *engine = open_engine(GOLDEN, gemm, threads);
    vx_embedding want[N_MIXED];
    for (size_t i = 0; i < N_MIXED; i++)
        want[i] = alone(engine, mixed[i]);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t from = 0; from + sizes[s] <= N_MIXED; from += sizes[s]) {
            vx_embedding got[N_MIXED];
            vx_err errs[N_MIXED];
            vx_errinfo info = {0};
            memset(got, 0x55, sizeof got);
            assert_int_equal(vx_engine_embed_batch(engine, mixed + from, sizes[s], got, errs, &info), VX_OK);
            assert_int_equal(info.code, VX_OK);
            for (size_t i = 0; i < sizes[s]; i++)
                if (errs[i] != VX_OK || !same(&got[i], &want[from + i]))
                    fail_msg("%s, %d threads, %zu clips: clip %zu differs", gemm, threads, sizes[s], from + i);
        }
    vx_engine_close(engine);
}

static void each_clip_gets_what_it_would_get_alone(void **state)
{
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++)
        check_batches("simd", threads);
}

/* A plugin of a library that the build did not find is a skip, not a pass. */
static void check_plugin(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/vx_gemm_%s.so", VX_BUILD_DIR, name);
    if (access(path, R_OK) != 0)
        skip();
    check_batches(name, 1);
    check_batches(name, 2);
}

static void also_with_products_by_onednn(void **state)
{
    (void)state;
    check_plugin("onednn");
}

static void also_with_products_by_blas(void **state)
{
    (void)state;
    check_plugin("blas");
}

/* ---- bad clips -------------------------------------------------------------------------------------------------- */

static void a_bad_clip_spoils_nobody(void **state)
{
    (void)state;
    enum { N = 8 };
    static float not_a_number[SHORTEST], infinite[SHORTEST], loud[SHORTEST];
    for (size_t i = 0; i < SHORTEST; i++)
        not_a_number[i] = infinite[i] = loud[i] = minute[i];
    not_a_number[SHORTEST - 1] = NAN;
    infinite[0] = -INFINITY;
    loud[777] = 2e12f;
    const struct {
        vx_clip clip;
        vx_err err;
    } cases[N] = {
        {{minute, SHORTEST - 1}, VX_ERR_AUDIO_SHORT},
        {mixed[0], VX_OK},
        {{not_a_number, SHORTEST}, VX_ERR_AUDIO_NOT_FINITE},
        {{loud, SHORTEST}, VX_ERR_AUDIO_SCALE},
        {mixed[4], VX_OK},
        {{infinite, SHORTEST}, VX_ERR_AUDIO_NOT_FINITE},
        {{minute, VX_AUDIO_MAX_SAMPLES + 1}, VX_ERR_AUDIO_LONG},
        {{NULL, 0}, VX_ERR_AUDIO_SHORT},
    };
    for (int threads = 1; threads <= 3; threads++) {
        vx_engine *engine = open_engine(GOLDEN, "simd", threads);
        vx_clip clips[N];
        vx_embedding got[N], untouched;
        vx_err errs[N];
        for (int i = 0; i < N; i++)
            clips[i] = cases[i].clip;
        memset(got, 0x55, sizeof got);
        memset(&untouched, 0x55, sizeof untouched);
        assert_int_equal(vx_engine_embed_batch(engine, clips, N, got, errs, NULL), VX_OK);
        for (int i = 0; i < N; i++) {
            assert_int_equal(errs[i], cases[i].err);
            if (cases[i].err == VX_OK) {
                const vx_embedding want = alone(engine, clips[i]);
                assert_true(same(&got[i], &want));
            } else {
                assert_memory_equal(&got[i], &untouched, sizeof untouched);
            }
        }
        /* None left over. */
        assert_int_equal(vx_engine_embed_batch(engine, clips + 6, 2, got, errs, NULL), VX_OK);
        assert_true(errs[0] == VX_ERR_AUDIO_LONG && errs[1] == VX_ERR_AUDIO_SHORT);
        vx_engine_close(engine);
    }
}

static void the_number_of_clips_is_bounded(void **state)
{
    (void)state;
    static vx_clip clips[VX_ENGINE_MAX_BATCH + 1];
    static vx_embedding got[VX_ENGINE_MAX_BATCH];
    static vx_err errs[VX_ENGINE_MAX_BATCH];
    vx_engine *engine = open_engine(GOLDEN, "simd", 2);
    vx_errinfo info = {0};
    /* Most of them too short, which costs nothing. */
    for (size_t i = 0; i <= VX_ENGINE_MAX_BATCH; i++)
        clips[i] = (vx_clip){minute + 7 * i, i % 93 == 0 ? SHORTEST : 100};
    errs[0] = VX_ERR_BUSY;
    assert_int_equal(vx_engine_embed_batch(engine, clips, 0, got, errs, &info), VX_ERR_ARG);
    assert_non_null(strstr(info.text, "0 clips"));
    assert_int_equal(vx_engine_embed_batch(engine, clips, VX_ENGINE_MAX_BATCH + 1, got, errs, NULL), VX_ERR_ARG);
    assert_int_equal(errs[0], VX_ERR_BUSY);
    assert_int_equal(vx_engine_embed_batch(engine, clips, VX_ENGINE_MAX_BATCH, got, errs, NULL), VX_OK);
    for (size_t i = 0; i < VX_ENGINE_MAX_BATCH; i++) {
        assert_int_equal(errs[i], i % 93 == 0 ? VX_OK : VX_ERR_AUDIO_SHORT);
        if (errs[i] == VX_OK) {
            const vx_embedding want = alone(engine, clips[i]);
            assert_true(same(&got[i], &want));
        }
    }
    vx_engine_close(engine);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* An allocation that fails costs the batch, or single clips; what is answered is right. */
static void an_allocation_that_fails(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    for (int threads = 1; threads <= 3; threads++) {
        size_t k = 0, whole = 0, failed = 0;
        bool reached;
        do {
            /* A new engine each time: later ones find their scratch on the shelf. */
            vx_engine *engine = open_engine(GOLDEN, "simd", threads);
            vx_embedding got[3];
            vx_err errs[3];
            vx_alloc_fail_at(++k);
            const vx_err err = vx_engine_embed_batch(engine, mixed, 3, got, errs, NULL);
            reached = vx_alloc_count() >= k;
            vx_alloc_fail_at(0);
            size_t right = 0;
            for (int i = 0; i < 3 && err == VX_OK; i++) {
                assert_true(errs[i] == VX_OK || errs[i] == VX_ERR_NOMEM);
                if (errs[i] == VX_OK) {
                    const vx_embedding want = alone(engine, mixed[i]);
                    assert_true(same(&got[i], &want));
                    right++;
                }
            }
            assert_true(err == VX_OK || err == VX_ERR_NOMEM);
            failed += err != VX_OK;
            whole += right == 3;
            assert_true(reached || right == 3);
            vx_engine_close(engine);
        } while (reached);
        assert_true(failed >= 4 && whole >= 1);
    }
}

/* ---- at once ---------------------------------------------------------------------------------------------------- */

typedef struct {
    pthread_t thread;
    vx_engine *engine;
    int number, wrong;
    const vx_embedding *want;
} caller;

static void *call(void *arg)
{
    caller *c = arg;
    for (int round = 0; round < 3; round++) {
        vx_embedding got[N_MIXED];
        vx_err errs[N_MIXED];
        if (c->number % 2) {
            const size_t i = (size_t)(c->number + round) % N_MIXED;
            c->wrong += vx_engine_embed(c->engine, mixed[i].samples, mixed[i].n, got, NULL, NULL) != VX_OK ||
                        !same(got, &c->want[i]);
            continue;
        }
        c->wrong += vx_engine_embed_batch(c->engine, mixed, N_MIXED, got, errs, NULL) != VX_OK;
        for (size_t i = 0; i < N_MIXED; i++)
            c->wrong += errs[i] != VX_OK || !same(&got[i], &c->want[i]);
    }
    return NULL;
}

static void batches_and_single_clips_at_once(void **state)
{
    (void)state;
    enum { CALLERS = 6 };
    for (int threads = 1; threads <= 2; threads++) {
        vx_engine *engine = open_engine(GOLDEN, "simd", threads);
        vx_embedding want[N_MIXED];
        caller callers[CALLERS];
        for (size_t i = 0; i < N_MIXED; i++)
            want[i] = alone(engine, mixed[i]);
        for (int i = 0; i < CALLERS; i++) {
            callers[i] = (caller){.engine = engine, .number = i, .want = want};
            assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
        }
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(callers[i].thread, NULL);
            assert_int_equal(callers[i].wrong, 0);
        }
        vx_engine_close(engine);
    }
}

/* ---- a minute --------------------------------------------------------------------------------------------------- */

static double mb(unsigned long long bytes)
{
    return (double)bytes / 1e6;
}

/* The starter model on the longest clips, one and then several at once. The input, the blocks' outputs, their
 * aggregation and the block at work are some ten planes of 256 channels: 10 kB a frame, 61 MB for 6,001 frames; twice that
 * is the bound. What stays is 10 s worth of scratch and what the allocator keeps. */
static void memory_of_a_minute_is_bounded_and_given_back(void **state)
{
    (void)state;
    enum { AT_ONCE = 3, BOUND_MB = 122, STAYS_MB = 50 };
    vx_clip clips[AT_ONCE];
    vx_embedding got[AT_ONCE];
    vx_err errs[AT_ONCE];
    if (SANITIZED || vx_rss_bytes() == 0)
        skip(); /* a sanitizer keeps memory of its own beside each byte */
    for (int i = 0; i < AT_ONCE; i++)
        clips[i] = (vx_clip){minute, VX_AUDIO_MAX_SAMPLES};
    vx_engine *engine = open_engine(STARTER, "simd", AT_ONCE);
    const vx_embedding first = alone(engine, mixed[0]);
    const double before = mb(vx_rss_bytes());
    const vx_embedding longest = alone(engine, clips[0]);
    const double peak = mb(vx_rss_peak_bytes()), after = mb(vx_rss_bytes());
    print_message("# 60 s on %d cores: %.0f MB before, %.0f at its peak, %.0f after\n", AT_ONCE, before, peak, after);
    assert_true(peak - before < BOUND_MB);
    assert_true(after - before < STAYS_MB);

    assert_int_equal(vx_engine_embed_batch(engine, clips, AT_ONCE, got, errs, NULL), VX_OK);
    const double peak_of_all = mb(vx_rss_peak_bytes()), after_all = mb(vx_rss_bytes());
    print_message("# %d of them at once, a core each: %.0f MB at their peak, %.0f after\n", AT_ONCE, peak_of_all,
                  after_all);
    assert_true(peak_of_all - before < AT_ONCE * BOUND_MB);
    assert_true(after_all - before < (AT_ONCE + 1) * STAYS_MB);
    for (int i = 0; i < AT_ONCE; i++) {
        assert_int_equal(errs[i], VX_OK);
        assert_true(same(&got[i], &longest));
    }
    /* The scratch that was given back works again. */
    const vx_embedding again = alone(engine, mixed[0]);
    assert_true(same(&first, &again));
    vx_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_of_a_minute_is_bounded_and_given_back), /* first, while this process is small */
        cmocka_unit_test(each_clip_gets_what_it_would_get_alone),
        cmocka_unit_test(also_with_products_by_onednn),
        cmocka_unit_test(also_with_products_by_blas),
        cmocka_unit_test(a_bad_clip_spoils_nobody),
        cmocka_unit_test(the_number_of_clips_is_bounded),
        cmocka_unit_test(an_allocation_that_fails),
        cmocka_unit_test(batches_and_single_clips_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
