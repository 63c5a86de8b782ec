/* test_low_precision.c - bf16 and int8 as an engine: close to f32 on the golden clips at every level, and int8 files that
 * are not what they should be.
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

#include "shared/audio/audio.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "shared/engine/ecapa.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/engines.h"
#include "tests/support/model_copy.h"
#include "tests/support/quantise.h"

#define MODEL       "tests/data/golden/model"
#define STARTER     "models/starter"

/* bf16 keeps 8 bits of each factor; the bar of the product. */
#define COSINE_BF16 0.9995
/* Calibrated on these very clips. */
#define COSINE_INT8 0.999

static const char *const clip_names[] = {"a", "b", "c"};
enum { N_CLIPS = 3 };
static vx_audio audio[N_CLIPS];
static vx_clip clips[N_CLIPS];
static model_copy folder; /* the golden model, with an int8 artefact */

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < N_CLIPS; i++) {
        char path[128];
        vx_buf file = {0};
        snprintf(path, sizeof path, "tests/data/golden/%s.wav", clip_names[i]);
        if (vx_file_read(path, 1 << 24, &file, NULL) != VX_OK ||
            vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &audio[i], NULL) != VX_OK)
            return -1;
        vx_buf_done(&file);
        clips[i] = (vx_clip){audio[i].samples, audio[i].n};
    }
    folder = model_copy_of(MODEL);
    return quantise_folder(folder.path, clips, N_CLIPS, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < N_CLIPS; i++)
        vx_audio_done(&audio[i]);
    model_copy_drop(&folder, QUANTISED_WEIGHTS);
    model_copy_done(&folder);
    return 0;
}

static double worst_cosine(vx_engine *a, vx_engine *b)
{
    double worst = 1;
    for (int i = 0; i < N_CLIPS; i++) {
        vx_embedding x, y;
        double cosine;
        assert_int_equal(vx_engine_embed(a, clips[i].samples, clips[i].n, &x, NULL, NULL), VX_OK);
        assert_int_equal(vx_engine_embed(b, clips[i].samples, clips[i].n, &y, NULL, NULL), VX_OK);
        assert_int_equal(vx_embedding_cosine(&x, &y, &cosine), VX_OK);
        worst = fmin(worst, cosine);
    }
    return worst;
}

/* ---- accuracy ---------------------------------------------------------------------------------------------------- */

static void test_bf16_is_close_or_f32(void **state)
{
    (void)state;
    vx_engine *f32 = open_engine(MODEL, options_for("native", VX_PRECISION_F32, vx_isa_best()));
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++) {
        if (!vx_isa_available((vx_isa)isa))
            continue;
        const bool has_bf16 = vx_kernels_for((vx_isa)isa)->product[VX_NUMBER_BF16] != NULL;
        for (int threads = 1; threads <= 2; threads++) {
            vx_engine_options o = options_for("native", VX_PRECISION_BF16, (vx_isa)isa);
            o.threads = threads;
            vx_engine *bf16 = open_engine(MODEL, o);
            vx_engine_info info;
            vx_engine_get_info(bf16, &info);
            assert_string_equal(info.isa, vx_isa_name((vx_isa)isa));
            assert_string_equal(info.precision, has_bf16 ? "bf16" : "f32");
            const double cosine = worst_cosine(f32, bf16);
            print_message("# %s, %d threads, %s: worst cosine %.7f\n", info.isa, threads, info.precision, cosine);
            assert_true(cosine >= (has_bf16 ? COSINE_BF16 : 0.999999));
            assert_true(!has_bf16 || cosine < 0.99999999); /* else it was not bf16 */
            vx_engine_close(bf16);
        }
    }
    vx_engine_close(f32);
}

static void test_int8_is_close_on_every_level(void **state)
{
    (void)state;
    vx_engine *f32 = open_engine(MODEL, options_for("native", VX_PRECISION_F32, vx_isa_best()));
    vx_engine *scalar = open_engine(folder.path, options_for("quantized", VX_PRECISION_AUTO, VX_ISA_SCALAR));
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++)
        for (int threads = 1; threads <= 3 && vx_isa_available((vx_isa)isa); threads += 2) {
            vx_engine_options o = options_for("quantized", VX_PRECISION_INT8, (vx_isa)isa);
            o.threads = threads;
            vx_engine *int8 = open_engine(folder.path, o);
            vx_engine_info info;
            vx_engine_get_info(int8, &info);
            assert_string_equal(info.strategy, "quantized");
            assert_string_equal(info.precision, "int8");
            assert_string_equal(info.isa, vx_isa_name((vx_isa)isa));
            const double cosine = worst_cosine(f32, int8), to_scalar = worst_cosine(scalar, int8);
            print_message("# %s, %d threads: worst cosine %.6f to f32, %.7f to scalar int8\n", info.isa, threads,
                          cosine, to_scalar);
            assert_true(cosine >= COSINE_INT8);
            /* Levels differ by what rounding of floats tips over to the next of 128 steps. */
            assert_true(to_scalar >= 0.99999);
            vx_engine_close(int8);
        }
    vx_engine_close(scalar);
    vx_engine_close(f32);
}

/* Layers may be mixed: the file says which are int8. */
static void test_some_layers_may_stay_f32(void **state)
{
    (void)state;
    static const char *const kept[] = {"blocks.0.", "res2net", "asp.", "asp.tdnn", "mfa", "tdnn2"};
    vx_engine *f32 = open_engine(MODEL, options_for("native", VX_PRECISION_F32, vx_isa_best()));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        model_copy copy = model_copy_of(MODEL);
        assert_true(quantise_folder(copy.path, clips, N_CLIPS, kept[i]));
        vx_engine *mixed = open_engine(copy.path, options_for("quantized", VX_PRECISION_AUTO, vx_isa_best()));
        const double cosine = worst_cosine(f32, mixed);
        print_message("# %s in f32: worst cosine %.6f\n", kept[i], cosine);
        assert_true(cosine >= COSINE_INT8);
        vx_engine_close(mixed);
        model_copy_drop(&copy, QUANTISED_WEIGHTS);
        model_copy_done(&copy);
    }
    vx_engine_close(f32);
}

/* What the file leaves in f32 is computed in bf16 where the level has that: the levels differ in nothing else. */
static void test_what_stays_f32_is_bf16_where_it_can_be(void **state)
{
    (void)state;
    if (!vx_isa_available(VX_ISA_AVX512_BF16))
        skip();
    model_copy copy = model_copy_of(MODEL);
    assert_true(quantise_folder(copy.path, clips, N_CLIPS, "blocks.0."));
    for (int all = 0; all < 2; all++) {
        const char *path = all ? folder.path : copy.path; /* in the folder nothing stays f32 */
        vx_engine *without = open_engine(path, options_for("quantized", VX_PRECISION_AUTO, VX_ISA_AVX512_VNNI));
        vx_engine *with = open_engine(path, options_for("quantized", VX_PRECISION_AUTO, VX_ISA_AVX512_BF16));
        vx_embedding x, y;
        assert_int_equal(vx_engine_embed(without, clips[0].samples, clips[0].n, &x, NULL, NULL), VX_OK);
        assert_int_equal(vx_engine_embed(with, clips[0].samples, clips[0].n, &y, NULL, NULL), VX_OK);
        assert_int_equal(memcmp(x.values, y.values, sizeof *x.values * (size_t)x.dim) == 0, all);
        vx_engine_close(without);
        vx_engine_close(with);
    }
    model_copy_drop(&copy, QUANTISED_WEIGHTS);
    model_copy_done(&copy);
}

/* The starter model passes its self-test in bf16 and in int8, though the signal is no speech. */
static void test_self_test_holds(void **state)
{
    (void)state;
    vx_engine_options o = options_for("native", VX_PRECISION_BF16, vx_isa_best());
    o.self_test = true;
    vx_engine_close(open_engine(STARTER, o));
    model_copy copy = model_copy_of(STARTER);
    assert_true(quantise_folder(copy.path, clips, N_CLIPS, NULL));
    vx_engine *engine = open_engine(copy.path, options_for("quantized", VX_PRECISION_AUTO, vx_isa_best()));
    vx_engine_info info;
    vx_engine_get_info(engine, &info);
    print_message("# int8, self-test: cosine %.5f\n", info.self_test);
    assert_true(info.self_test > 0.98);
    vx_engine_close(engine);
    model_copy_drop(&copy, QUANTISED_WEIGHTS);
    model_copy_done(&copy);
}

/* Short clips and long ones, on scratch that is kept and behind which memory is given back. */
static void test_lengths_agree_with_scalar(void **state)
{
    (void)state;
    vx_engine *best = open_engine(folder.path, options_for("quantized", VX_PRECISION_AUTO, vx_isa_best()));
    vx_engine *scalar = open_engine(folder.path, options_for("quantized", VX_PRECISION_AUTO, VX_ISA_SCALAR));
    float *samples = malloc(VX_AUDIO_MAX_SAMPLES * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < VX_AUDIO_MAX_SAMPLES; i++)
        samples[i] = clips[0].samples[i % clips[0].n];
    for (size_t frames = 31; frames <= 6000; frames += frames < 100 ? 9 : 2900) {
        vx_embedding x, y;
        double cosine;
        assert_int_equal(vx_engine_embed(best, samples, (frames - 1) * 160, &x, NULL, NULL), VX_OK);
        assert_int_equal(vx_engine_embed(scalar, samples, (frames - 1) * 160, &y, NULL, NULL), VX_OK);
        assert_int_equal(vx_embedding_cosine(&x, &y, &cosine), VX_OK);
        assert_true(cosine > 0.9999);
    }
    free(samples);
    vx_engine_close(best);
    vx_engine_close(scalar);
}

/* ---- several callers ---------------------------------------------------------------------------------------------- */

typedef struct {
    pthread_t thread;
    vx_engine *engine;
    const vx_embedding *want;
    int mismatches;
} caller;

static void *call_many_times(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < 2 * N_CLIPS; i++) {
        vx_embedding e;
        const int clip = i % N_CLIPS;
        if (vx_engine_embed(c->engine, clips[clip].samples, clips[clip].n, &e, NULL, NULL) != VX_OK ||
            memcmp(e.values, c->want[clip].values, (size_t)e.dim * sizeof *e.values) != 0)
            c->mismatches++;
    }
    return NULL;
}

static void test_callers_and_batches_get_the_same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        vx_engine_options o =
            options_for(k ? "quantized" : "native", k ? VX_PRECISION_INT8 : VX_PRECISION_BF16, vx_isa_best());
        o.threads = 2;
        vx_engine *engine = open_engine(folder.path, o);
        vx_embedding want[N_CLIPS], batch[N_CLIPS];
        vx_err errs[N_CLIPS];
        for (int i = 0; i < N_CLIPS; i++)
            assert_int_equal(vx_engine_embed(engine, clips[i].samples, clips[i].n, &want[i], NULL, NULL), VX_OK);
        caller callers[3];
        for (int i = 0; i < 3; i++) {
            callers[i] = (caller){.engine = engine, .want = want};
            assert_int_equal(pthread_create(&callers[i].thread, NULL, call_many_times, &callers[i]), 0);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(callers[i].thread, NULL);
            assert_int_equal(callers[i].mismatches, 0);
        }
        assert_int_equal(vx_engine_embed_batch(engine, clips, N_CLIPS, batch, errs, NULL), VX_OK);
        for (int i = 0; i < N_CLIPS; i++) {
            assert_int_equal(errs[i], VX_OK);
            assert_memory_equal(batch[i].values, want[i].values, sizeof *want[i].values * (size_t)want[i].dim);
        }
        vx_engine_close(engine);
    }
}

/* ---- what cannot be opened ----------------------------------------------------------------------------------------- */

static void test_wrong_requests(void **state)
{
    (void)state;
    expect_refusal(folder.path, options_for("native", VX_PRECISION_INT8, vx_isa_best()), VX_ERR_OPTION_VALUE,
                   "needs quantized");
    expect_refusal(folder.path, options_for("quantized", VX_PRECISION_F32, vx_isa_best()), VX_ERR_OPTION_VALUE, "f32");
    expect_refusal(folder.path, options_for("quantized", VX_PRECISION_BF16, vx_isa_best()), VX_ERR_OPTION_VALUE,
                   "bf16");
    expect_refusal(MODEL, options_for("quantized", VX_PRECISION_AUTO, vx_isa_best()), VX_ERR_MODEL_MISSING,
                   "quantized");
    vx_engine_options o = options_for("quantized", VX_PRECISION_AUTO, vx_isa_best());
    o.gemm = "blas";
    expect_refusal(folder.path, o, VX_ERR_OPTION_VALUE, "f32 only");
}

/* auto keeps to what was asked for: int8 is taken unmeasured, since only one strategy has it. */
static void test_auto_by_precision(void **state)
{
    (void)state;
    static const struct {
        vx_precision precision;
        const char *strategy, *name;
    } cases[] = {{VX_PRECISION_AUTO, "native", "f32"},
                 {VX_PRECISION_F32, "native", "f32"},
                 {VX_PRECISION_BF16, "native", "bf16"},
                 {VX_PRECISION_INT8, "quantized", "int8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_engine *engine = open_engine(folder.path, options_for("auto", cases[i].precision, vx_isa_best()));
        vx_engine_info info;
        vx_engine_get_info(engine, &info);
        assert_string_equal(info.strategy, cases[i].strategy);
        if (cases[i].precision != VX_PRECISION_BF16 || vx_kernels_for(vx_isa_best())->product[VX_NUMBER_BF16])
            assert_string_equal(info.precision, cases[i].name);
        assert_false(info.degraded);
        vx_engine_close(engine);
    }
}

/* The manifest may state bf16 for native; int8 it may not. */
static void test_precision_by_manifest(void **state)
{
    (void)state;
    /* Only what was proven lowers the precision of the reference. */
    static const struct {
        const char *precision;
        double cosine;
        bool taken;
    } stated[] = {{"bf16", 0.9995, true}, {"bf16", 0.9985, false}, {"int8", 1, false}};
    for (int i = 0; i < 3; i++) {
        model_copy copy = model_copy_of(MODEL);
        json_t *manifest = model_copy_manifest(&copy);
        json_t *native = json_object_get(json_object_get(manifest, "artefacts"), "native");
        json_object_set_new(native, "precision", json_string(stated[i].precision));
        json_object_set_new(native, "cosine_min", json_real(stated[i].cosine));
        model_copy_set_manifest(&copy, manifest);
        vx_engine_options o = options_for("native", VX_PRECISION_AUTO, vx_isa_best());
        if (i < 2) {
            vx_engine_info info;
            vx_engine *engine = open_engine(copy.path, o);
            vx_engine_get_info(engine, &info);
            const bool has_bf16 = vx_kernels_for(o.isa)->product[VX_NUMBER_BF16] != NULL;
            assert_string_equal(info.precision, has_bf16 && stated[i].taken ? "bf16" : "f32");
            vx_engine_close(engine);
        } else {
            expect_refusal(copy.path, o, VX_ERR_MODEL_CORRUPT, "int8 for strategy 'native'");
        }
        model_copy_done(&copy);
    }
}

/* native computes f32 or bf16 from f32, so int8 weights under its name are refused, whatever the manifest says. */
static void test_int8_weights_under_another_name(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(MODEL);
    model_copy_take(&copy, folder.path, QUANTISED_WEIGHTS);
    json_t *manifest = model_copy_manifest(&folder);
    json_t *artefacts = json_object_get(manifest, "artefacts");
    json_t *entry = json_deep_copy(json_object_get(artefacts, "quantized"));
    json_object_del(entry, "precision");
    json_object_set_new(artefacts, "native", entry);
    model_copy_set_manifest(&copy, manifest);
    expect_refusal(copy.path, options_for("native", VX_PRECISION_AUTO, vx_isa_best()), VX_ERR_MODEL_SHAPE, "quantized");
    model_copy_drop(&copy, QUANTISED_WEIGHTS);
    model_copy_done(&copy);
}

typedef enum { VALUE, LOST, NONE } damage_kind;

/* One float of one tensor changed, or a tensor that has another name. */
static const struct {
    damage_kind kind;
    const char *tensor;
    float value;
} damages[] = {
    {NONE, "mfa.conv.conv.input_scale", 0},
    {VALUE, "mfa.conv.conv.input_scale", 0},
    {VALUE, "mfa.conv.conv.input_scale", -1},
    {VALUE, "blocks.1.tdnn1.conv.conv.input_scale", NAN},
    {VALUE, "blocks.1.tdnn1.conv.conv.input_scale", INFINITY},
    {VALUE, "blocks.2.tdnn2.conv.conv.weight_scale", 0},
    {VALUE, "blocks.2.tdnn2.conv.conv.weight_scale", -INFINITY},
    {VALUE, "blocks.2.tdnn2.conv.conv.weight_scale", NAN},
    {NONE, "asp.conv.conv.input_zero", 0},
    {VALUE, "asp.conv.conv.input_zero", INFINITY},
    {VALUE, "asp.conv.conv.input_zero", 3e38f},
    {VALUE, "asp.conv.conv.input_zero", NAN},
    {VALUE, "blocks.0.conv.conv.bias", NAN},
    {LOST, "mfa.conv.conv.input_scale", 0},
    {LOST, "mfa.conv.conv.input_zero", 0},
    {LOST, "mfa.conv.conv.weight_scale", 0},
    {LOST, "mfa.conv.conv.bias", 0},
    {LOST, "mfa.conv.conv.weight", 0},
    {LOST, "asp.tdnn.conv.conv.context", 0},
    {LOST, "blocks.3.res2net_block.blocks.6.conv.conv.input_zero", 0},
};

static vx_buf read_artefact(void)
{
    char path[128];
    vx_buf file = {0};
    snprintf(path, sizeof path, "%s/" QUANTISED_WEIGHTS, folder.path);
    assert_int_equal(vx_file_read(path, 1 << 24, &file, NULL), VX_OK);
    return file;
}

static vx_err bind(const vx_buf *file, vx_errinfo *info)
{
    vx_safetensors *tensors = NULL;
    vx_ecapa net = {0};
    vx_err err = vx_safetensors_open(file->data, file->len, &tensors, info);
    if (err == VX_OK)
        err = vx_ecapa_bind(tensors, 80, &net, info);
    vx_ecapa_done(&net);
    vx_safetensors_close(tensors);
    return err;
}

static void test_damaged_tensors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        vx_buf file = read_artefact();
        vx_safetensors *tensors = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_safetensors_open(file.data, file.len, &tensors, NULL), VX_OK);
        const vx_tensor *t = vx_safetensors_find(tensors, damages[i].tensor);
        assert_non_null(t);
        const size_t at = (size_t)((const uint8_t *)t->data - file.data) + t->bytes - sizeof(float);
        vx_safetensors_close(tensors);
        if (damages[i].kind == VALUE)
            memcpy(file.data + at, &damages[i].value, sizeof(float));
        if (damages[i].kind == LOST) {
            char quoted[128];
            snprintf(quoted, sizeof quoted, "\"%s\"", damages[i].tensor);
            uint8_t *name = memmem(file.data, file.len, quoted, strlen(quoted));
            assert_non_null(name);
            name[1] = '#';
        }
        const vx_err err = bind(&file, &info);
        assert_int_equal(err, damages[i].kind == NONE ? VX_OK : VX_ERR_MODEL_SHAPE);
        if (err != VX_OK && !strstr(info.text, damages[i].tensor))
            fail_msg("'%s' does not name %s", info.text, damages[i].tensor);
        vx_buf_done(&file);
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------- */

static vx_err attempt(void *ctx)
{
    vx_engine *engine = NULL;
    const vx_err err = vx_engine_open(folder.path, ctx, &engine, NULL);
    vx_engine_close(engine);
    return err;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_engine_options int8 = options_for("quantized", VX_PRECISION_AUTO, vx_isa_best());
    vx_engine_options bf16 = options_for("native", VX_PRECISION_BF16, vx_isa_best());
    vx_alloc_fail_each(attempt, &int8);
    vx_alloc_fail_each(attempt, &bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_is_close_or_f32),
        cmocka_unit_test(test_int8_is_close_on_every_level),
        cmocka_unit_test(test_some_layers_may_stay_f32),
        cmocka_unit_test(test_what_stays_f32_is_bf16_where_it_can_be),
        cmocka_unit_test(test_self_test_holds),
        cmocka_unit_test(test_lengths_agree_with_scalar),
        cmocka_unit_test(test_callers_and_batches_get_the_same_bits),
        cmocka_unit_test(test_wrong_requests),
        cmocka_unit_test(test_auto_by_precision),
        cmocka_unit_test(test_precision_by_manifest),
        cmocka_unit_test(test_int8_weights_under_another_name),
        cmocka_unit_test(test_damaged_tensors),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
