/* test_proof.c - nothing that was computed from weights other than those the manifest states ever leaves the engine, though
 * it computes while their digest is still being computed: on every path, with and without the thread that does that.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "shared/engine/engine.h"
#include "shared/engine/kernels.h"
#include "shared/engine/proof.h"
#include "shared/engine/self_test.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"
#include "tests/support/quantise.h"

#define MODEL "tests/data/golden/model"

static float signal_1s[VX_SELF_TEST_SAMPLES];

/* ---- the system has no thread: no stack of this size can be had ---- */

#if defined(__GLIBC__)
static void give_threads(bool given)
{
    static pthread_attr_t usual;
    static bool known = false;
    if (!known)
        assert_int_equal(pthread_getattr_default_np(&usual), 0);
    known = true;
    pthread_attr_t attr = usual;
    if (!given)
        assert_int_equal(pthread_attr_setstacksize(&attr, (size_t)1 << 46), 0);
    assert_int_equal(pthread_setattr_default_np(&attr), 0);
}
static void *nothing(void *arg)
{
    return arg;
}
static void no_thread_can_be_had(void)
{
    pthread_t thread;
    give_threads(false);
    assert_int_not_equal(pthread_create(&thread, NULL, nothing, NULL), 0);
}
#else
static void give_threads(bool given)
{
    (void)given;
}
static void no_thread_can_be_had(void)
{
    skip();
}
#endif

static int threads_again(void **state)
{
    (void)state;
    give_threads(true);
    return 0;
}

/* ---- the proof alone ---- */

static const uint8_t abc[] = {'a', 'b', 'c'};
static const vx_map abc_map = {abc, sizeof abc};

static vx_artefact abc_artefact(void)
{
    vx_artefact a = {.file = "abc", .bytes = sizeof abc};
    assert_true(
        vx_unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sizeof a.sha256, a.sha256));
    return a;
}

static void check_verdicts(void)
{
    vx_artefact right = abc_artefact(), wrong = right, longer = right;
    vx_proof *proof = NULL;
    vx_errinfo info = {0};
    wrong.sha256[31] ^= 1;
    longer.bytes++;
    assert_int_equal(vx_proof_start(&abc_map, &right, "folder/abc", &proof, &info), VX_OK);
    assert_int_equal(vx_proof_end(proof, &info), VX_OK);
    assert_int_equal(vx_proof_start(&abc_map, &wrong, "folder/abc", &proof, &info), VX_OK);
    assert_int_equal(vx_proof_end(proof, &info), VX_ERR_MODEL_HASH);
    assert_string_equal(info.path, "folder/abc");
    assert_non_null(strstr(info.text, "15ad where the manifest states ba78"));
    info = (vx_errinfo){0};
    proof = NULL;
    assert_int_equal(vx_proof_start(&abc_map, &longer, "folder/abc", &proof, &info), VX_ERR_MODEL_HASH);
    assert_null(proof);
    assert_non_null(strstr(info.text, "3 bytes where the manifest states 4"));
}

static void verdicts(void **state)
{
    (void)state;
    check_verdicts();
}

static void verdicts_without_a_thread(void **state)
{
    (void)state;
    no_thread_can_be_had();
    check_verdicts();
}

static vx_err attempt_proof(void *ctx)
{
    vx_artefact right = abc_artefact();
    vx_proof *proof = NULL;
    (void)ctx;
    vx_err err = vx_proof_start(&abc_map, &right, "abc", &proof, NULL);
    return err == VX_OK ? vx_proof_end(proof, NULL) : err;
}

static void proof_allocation_failures(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(attempt_proof, NULL);
}

/* ---- the engine over files that are wrong ---- */

static const struct {
    const char *strategy, *file;
    vx_precision precision;
    int threads;
} paths[] = {
    {"native", MODEL_WEIGHTS, VX_PRECISION_F32, 1},         {"native", MODEL_WEIGHTS, VX_PRECISION_F32, 3},
    {"native", MODEL_WEIGHTS, VX_PRECISION_BF16, 1},        {"native", MODEL_WEIGHTS, VX_PRECISION_BF16, 2},
    {"quantized", QUANTISED_WEIGHTS, VX_PRECISION_INT8, 1}, {"quantized", QUANTISED_WEIGHTS, VX_PRECISION_INT8, 2},
    {"half", HALVED_WEIGHTS, VX_PRECISION_BF16, 1},         {"half", HALVED_WEIGHTS, VX_PRECISION_BF16, 2}};
enum { N_PATHS = sizeof paths / sizeof *paths };

static model_copy golden_with_all(void)
{
    model_copy copy = model_copy_of(MODEL);
    const vx_clip clip = {signal_1s, VX_SELF_TEST_SAMPLES};
    assert_true(quantise_folder(copy.path, &clip, 1, NULL) && halve_folder(copy.path, NULL));
    return copy;
}

static void done(model_copy *copy)
{
    model_copy_drop(copy, QUANTISED_WEIGHTS);
    model_copy_drop(copy, HALVED_WEIGHTS);
    model_copy_done(copy);
}

static vx_engine_options options_of(int path, vx_engine_first *first)
{
    vx_engine_options o = vx_engine_options_default();
    o.strategy = paths[path].strategy;
    o.precision = paths[path].precision;
    o.threads = paths[path].threads;
    o.self_test = true;
    o.gemm = "simd";
    o.first = first;
    return o;
}

/* Opens by each path: refused for the digest, and nothing was written where a result would stand. */
static void expect_no_engine(const model_copy *copy, const char *what)
{
    const bool has_bf16 = vx_kernels_for(vx_isa_best())->product[VX_NUMBER_BF16] != NULL;
    for (int p = 0; p < N_PATHS; p++) {
        if (strcmp(paths[p].strategy, "half") == 0 && !has_bf16)
            continue;
        vx_engine_first first, before;
        vx_engine *engine = NULL;
        vx_errinfo info = {0};
        memset(&first, 0x5a, sizeof first);
        first.clip = (vx_clip){signal_1s, VX_SELF_TEST_SAMPLES};
        before = first;
        vx_engine_options o = options_of(p, &first);
        const vx_err err = vx_engine_open(copy->path, &o, &engine, &info);
        if (err != VX_ERR_MODEL_HASH || engine || !strstr(info.text, "where the manifest states"))
            fail_msg("%s, %s, %d threads: %s: %s", what, paths[p].strategy, paths[p].threads, vx_err_code(err),
                     info.text);
        assert_memory_equal(&first, &before, sizeof first);
    }
}

/* One byte in the header's length, in its text, in the weights; so that structure, self-test and first utterance fail or
 * succeed in every way before the digest is known. */
static void wrong_files_give_nothing(void **state)
{
    (void)state;
    static const size_t places[] = {0, 9, 40, 100000};
    model_copy copy = golden_with_all();
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char what[48];
        snprintf(what, sizeof what, "byte %zu", places[i]);
        for (int turn = 0; turn < 2; turn++) { /* and back */
            model_copy_flip(&copy, MODEL_WEIGHTS, places[i]);
            model_copy_flip(&copy, QUANTISED_WEIGHTS, places[i]);
            model_copy_flip(&copy, HALVED_WEIGHTS, places[i]);
            if (turn == 0)
                expect_no_engine(&copy, what);
        }
    }
    done(&copy);
}

static void wrong_files_give_nothing_without_a_thread(void **state)
{
    (void)state;
    no_thread_can_be_had();
    model_copy copy = model_copy_of(MODEL);
    model_copy_flip(&copy, MODEL_WEIGHTS, 100000);
    vx_engine *engine = NULL;
    vx_engine_options o = options_of(0, NULL);
    assert_int_equal(vx_engine_open(copy.path, &o, &engine, NULL), VX_ERR_MODEL_HASH);
    model_copy_flip(&copy, MODEL_WEIGHTS, 100000);
    assert_int_equal(vx_engine_open(copy.path, &o, &engine, NULL), VX_OK);
    vx_engine_close(engine);
    model_copy_done(&copy);
}

/* Right weights, and a manifest that states others: the self-test passes, the digest alone says no. */
static void another_digest_gives_nothing(void **state)
{
    (void)state;
    model_copy copy = golden_with_all();
    json_t *manifest = model_copy_manifest(&copy);
    static const char *const strategies[] = {"native", "quantized", "half"};
    for (int i = 0; i < 3; i++) {
        json_t *entry = json_object_get(json_object_get(manifest, "artefacts"), strategies[i]);
        json_object_set_new(entry, "sha256",
                            json_string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    }
    model_copy_set_manifest(&copy, manifest);
    expect_no_engine(&copy, "another digest");
    done(&copy);
}

/* The self-test fails too; the file is what is said of. With the right file it is the self-test. */
static void the_digest_is_said_before_the_self_test(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(MODEL);
    json_t *manifest = model_copy_manifest(&copy), *embedding = json_array();
    for (int i = 0; i < 192; i++)
        json_array_append_new(embedding, json_real(i == 0 ? 1 : 0));
    json_object_set_new(manifest, "self_test", json_pack("{s:s, s:o}", "signal", "voxlock-1", "embedding", embedding));
    model_copy_set_manifest(&copy, manifest);
    vx_engine *engine = NULL;
    vx_engine_options o = options_of(0, NULL);
    assert_int_equal(vx_engine_open(copy.path, &o, &engine, NULL), VX_ERR_ENGINE);
    model_copy_flip(&copy, MODEL_WEIGHTS, 100000);
    assert_int_equal(vx_engine_open(copy.path, &o, &engine, NULL), VX_ERR_MODEL_HASH);
    model_copy_done(&copy);
}

/* What the manifest states is the digest of a file that no network can be made of. */
static void a_right_digest_does_not_excuse_the_content(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(MODEL);
    json_t *manifest = model_copy_manifest(&copy);
    json_t *entry = json_object_get(json_object_get(manifest, "artefacts"), "native");
    json_object_set_new(entry, "bytes", json_integer(sizeof abc));
    json_object_set_new(entry, "sha256",
                        json_string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    model_copy_set_manifest(&copy, manifest);
    model_copy_put(&copy, MODEL_WEIGHTS, abc, sizeof abc);
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    vx_engine_options o = options_of(0, NULL);
    assert_int_equal(vx_engine_open(copy.path, &o, &engine, &info), VX_ERR_MODEL_CORRUPT);
    assert_non_null(strstr(info.text, "too few for safetensors"));
    model_copy_done(&copy);
}

/* ---- the first utterance ---- */

/* By a bit what the opened engine says of it, short or long, and a bad one fails nothing but itself. */
static void the_first_is_what_the_engine_says(void **state)
{
    (void)state;
    enum { LONG = 5 * VX_SELF_TEST_SAMPLES };
    model_copy copy = golden_with_all();
    float *longer = malloc(LONG * sizeof *longer);
    assert_non_null(longer);
    for (size_t i = 0; i < LONG; i++)
        longer[i] = signal_1s[i % VX_SELF_TEST_SAMPLES];
    const vx_clip clips[] = {{signal_1s, VX_SELF_TEST_SAMPLES}, {longer, LONG}, {longer, 10}};
    for (int p = 0; p < N_PATHS; p++)
        for (size_t c = 0; c < 3; c++) {
            vx_engine_first first = {.clip = clips[c]};
            vx_embedding again = {0};
            vx_engine *engine = NULL;
            vx_engine_options o = options_of(p, &first);
            assert_int_equal(vx_engine_open(copy.path, &o, &engine, NULL), VX_OK);
            assert_int_equal(vx_engine_embed(engine, clips[c].samples, clips[c].n, &again, NULL, NULL), first.err);
            assert_int_equal(first.err, c == 2 ? VX_ERR_AUDIO_SHORT : VX_OK);
            if (first.err == VX_OK)
                assert_memory_equal(&first.embedding, &again, sizeof again);
            vx_engine_close(engine);
        }
    free(longer);
    done(&copy);
}

static vx_err attempt_first(void *ctx)
{
    vx_engine_first first = {.clip = {signal_1s, VX_SELF_TEST_SAMPLES}};
    vx_engine *engine = NULL;
    (void)ctx;
    vx_engine_options o = options_of(1, &first);
    vx_err err = vx_engine_open(MODEL, &o, &engine, NULL);
    vx_engine_close(engine);
    return err == VX_OK ? first.err : err;
}

static void first_allocation_failures(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(attempt_first, NULL);
}

static int set_up(void **state)
{
    (void)state;
    vx_self_test_signal(signal_1s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test_teardown(verdicts_without_a_thread, threads_again),
        cmocka_unit_test(proof_allocation_failures),
        cmocka_unit_test(wrong_files_give_nothing),
        cmocka_unit_test_teardown(wrong_files_give_nothing_without_a_thread, threads_again),
        cmocka_unit_test(another_digest_gives_nothing),
        cmocka_unit_test(the_digest_is_said_before_the_self_test),
        cmocka_unit_test(a_right_digest_does_not_excuse_the_content),
        cmocka_unit_test(the_first_is_what_the_engine_says),
        cmocka_unit_test(first_allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
