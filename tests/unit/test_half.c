/* test_half.c - strategy half: weights in bf16 give the very embeddings of native in bf16, only where a level multiplies in
 * bf16, and files that are not what they should be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "shared/engine/choose.h"
#include "shared/engine/ecapa.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/engines.h"
#include "tests/support/model_copy.h"
#include "tests/support/quantise.h"

#define MODEL   "tests/data/golden/model"
#define STARTER "models/starter"

static vx_audio audio;
static model_copy folder; /* the golden model, with an artefact of half */

static int set_up(void **state)
{
    (void)state;
    vx_buf file = {0};
    if (vx_file_read("tests/data/golden/a.wav", 1 << 24, &file, NULL) != VX_OK ||
        vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &audio, NULL) != VX_OK)
        return -1;
    vx_buf_done(&file);
    folder = model_copy_of(MODEL);
    return halve_folder(folder.path, NULL) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vx_audio_done(&audio);
    model_copy_drop(&folder, HALVED_WEIGHTS);
    model_copy_done(&folder);
    return 0;
}

static bool has_bf16(vx_isa isa)
{
    return vx_kernels_for(isa)->product[VX_NUMBER_BF16] != NULL;
}

static vx_embedding embed(vx_engine *engine)
{
    vx_embedding e;
    assert_int_equal(vx_engine_embed(engine, audio.samples, audio.n, &e, NULL, NULL), VX_OK);
    return e;
}

/* Rounded once by whoever wrote the file or at every start: the same weights, hence the same bits. Also where the file left
 * some layers in f32. */
static void the_same_bits_as_native_in_bf16(void **state)
{
    (void)state;
    static const char *const kept[] = {NULL, "blocks.0.", "asp.", "res2net"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        model_copy copy = model_copy_of(MODEL);
        assert_true(halve_folder(copy.path, kept[i]));
        for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++) {
            if (!vx_isa_available((vx_isa)isa) || !has_bf16((vx_isa)isa))
                continue;
            vx_engine *native = open_engine(copy.path, options_for("native", VX_PRECISION_BF16, (vx_isa)isa));
            vx_engine *half = open_engine(copy.path, options_for("half", VX_PRECISION_AUTO, (vx_isa)isa));
            vx_engine_info info;
            vx_engine_get_info(half, &info);
            assert_string_equal(info.strategy, "half");
            assert_string_equal(info.precision, "bf16");
            const vx_embedding x = embed(native), y = embed(half);
            assert_memory_equal(x.values, y.values, sizeof *x.values * (size_t)x.dim);
            assert_memory_equal(&x.model, &y.model, sizeof x.model); /* one model, so that they may be compared */
            vx_engine_close(native);
            vx_engine_close(half);
        }
        model_copy_drop(&copy, HALVED_WEIGHTS);
        model_copy_done(&copy);
    }
}

/* The file is smaller by what bf16 saves, not a copy under another name. */
static void the_file_is_smaller(void **state)
{
    (void)state;
    char path[128];
    vx_map half = {0}, whole = {0};
    snprintf(path, sizeof path, "%s/" HALVED_WEIGHTS, folder.path);
    assert_int_equal(vx_map_open(path, &half, NULL), VX_OK);
    assert_int_equal(vx_map_open(MODEL "/" MODEL_WEIGHTS, &whole, NULL), VX_OK);
    assert_true((double)half.len < 0.8 * (double)whole.len);
    vx_map_close(&half);
    vx_map_close(&whole);
}

static void levels_without_bf16_refuse(void **state)
{
    (void)state;
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++)
        if (vx_isa_available((vx_isa)isa) && !has_bf16((vx_isa)isa))
            expect_refusal(folder.path, options_for("half", VX_PRECISION_AUTO, (vx_isa)isa), VX_ERR_UNSUPPORTED,
                           "multiplies in bf16");
}

static void state_times(const model_copy *copy, double half_cosine)
{
    json_t *manifest = model_copy_manifest(copy), *artefacts = json_object_get(manifest, "artefacts");
    json_t *half = json_object_get(artefacts, "half"), *native = json_object_get(artefacts, "native");
    json_object_set_new(half, "cosine_min", json_real(half_cosine));
    json_object_set_new(half, "inference_ms", json_real(11));
    json_object_set_new(native, "cosine_min", json_real(1));
    json_object_set_new(native, "inference_ms", json_real(22));
    model_copy_set_manifest(copy, manifest);
}

/* auto goes by the measurement; where the level has no bf16 it passes on without being degraded, and says that it did. */
static void auto_takes_it_where_it_runs(void **state)
{
    (void)state;
    static const double cosines[] = {0.9999, 0.998};
    for (int i = 0; i < 2; i++) {
        model_copy copy = model_copy_of(MODEL);
        assert_true(halve_folder(copy.path, NULL));
        state_times(&copy, cosines[i]);
        for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++) {
            if (!vx_isa_available((vx_isa)isa))
                continue;
            const bool allowed = cosines[i] >= VX_CHOOSE_COSINE, taken = allowed && has_bf16((vx_isa)isa);
            vx_engine_options o = options_for("auto", VX_PRECISION_AUTO, (vx_isa)isa);
            vx_engine_trials trials;
            vx_engine_info info;
            o.ret_trials = &trials;
            o.fall_back = true;
            vx_engine *engine = open_engine(copy.path, o);
            vx_engine_get_info(engine, &info);
            assert_string_equal(info.strategy, taken ? "half" : "native");
            assert_string_equal(info.precision, taken ? "bf16" : "f32");
            assert_false(info.degraded);
            assert_int_equal(strstr(info.reason, "half 11.0 ms") != NULL, taken);
            assert_int_equal(trials.n, allowed && !taken ? 2 : 1);
            if (trials.n == 2) {
                assert_int_equal(trials.list[0].err, VX_ERR_UNSUPPORTED);
                assert_non_null(strstr(trials.list[0].text, "passed over"));
            }
            vx_engine_close(engine);
        }
        model_copy_drop(&copy, HALVED_WEIGHTS);
        model_copy_done(&copy);
    }
}

static void the_self_test_holds(void **state)
{
    (void)state;
    if (!has_bf16(vx_isa_best()))
        skip();
    model_copy copy = model_copy_of(STARTER);
    assert_true(halve_folder(copy.path, NULL));
    vx_engine *engine = open_engine(copy.path, options_for("half", VX_PRECISION_AUTO, vx_isa_best()));
    vx_engine_info info;
    vx_engine_get_info(engine, &info);
    assert_true(info.self_test > 0.999);
    vx_engine_close(engine);
    model_copy_drop(&copy, HALVED_WEIGHTS);
    model_copy_done(&copy);
}

/* Weights belong to the strategy that reckons with them, whatever the manifest calls them. */
static void bf16_weights_under_another_name(void **state)
{
    (void)state;
    static const char *const names[] = {"native", "quantized"};
    for (int i = 0; i < 2; i++) {
        model_copy copy = model_copy_of(MODEL);
        model_copy_take(&copy, folder.path, HALVED_WEIGHTS);
        json_t *manifest = model_copy_manifest(&folder), *artefacts = json_object_get(manifest, "artefacts");
        json_t *entry = json_deep_copy(json_object_get(artefacts, "half"));
        json_object_del(entry, "precision");
        json_object_set_new(artefacts, names[i], entry);
        model_copy_set_manifest(&copy, manifest);
        expect_refusal(copy.path, options_for(names[i], VX_PRECISION_AUTO, vx_isa_best()), VX_ERR_MODEL_SHAPE,
                       "'half'");
        model_copy_drop(&copy, HALVED_WEIGHTS);
        model_copy_done(&copy);
    }
}

static void wrong_requests(void **state)
{
    (void)state;
    vx_engine_options o = options_for("half", VX_PRECISION_AUTO, vx_isa_best());
    expect_refusal(folder.path, options_for("half", VX_PRECISION_F32, vx_isa_best()), VX_ERR_OPTION_VALUE, "f32");
    expect_refusal(folder.path, options_for("half", VX_PRECISION_INT8, vx_isa_best()), VX_ERR_OPTION_VALUE,
                   "needs quantized");
    expect_refusal(MODEL, o, VX_ERR_MODEL_MISSING, "half");
    o.gemm = "blas";
    if (has_bf16(o.isa))
        expect_refusal(folder.path, o, VX_ERR_OPTION_VALUE, "f32 only");
}

/* A tensor of the file by another name, type or shape; replacements are as long as what they replace. */
static void damaged_headers(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } damages[] = {
        {"\"mfa.conv.conv.weight\":{\"dtype\":\"BF16\"", "\"#fa.conv.conv.weight\":{\"dtype\":\"BF16\""},
        {"\"mfa.conv.conv.weight\":{\"dtype\":\"BF16\"", "\"mfa.conv.conv.weight\":{\"dtype\":\"I16\" "},
        {"\"mfa.conv.conv.weight\":{\"dtype\":\"BF16\"", "\"mfa.conv.conv.weight\":{\"dtype\":\"F16\" "},
        {"\"asp.tdnn.conv.conv.context\"", "\"#sp.tdnn.conv.conv.context\""},
        {"\"asp.conv.conv.bias\"", "\"#sp.conv.conv.bias\""},
    };
    char path[128];
    snprintf(path, sizeof path, "%s/" HALVED_WEIGHTS, folder.path);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        vx_buf file = {0};
        vx_safetensors *tensors = NULL;
        vx_ecapa net = {0};
        vx_errinfo info = {0};
        assert_int_equal(vx_file_read(path, 1 << 24, &file, NULL), VX_OK);
        assert_int_equal(vx_safetensors_open(file.data, file.len, &tensors, NULL), VX_OK);
        assert_int_equal(vx_ecapa_bind(tensors, 80, &net, NULL), VX_OK);
        assert_int_equal(vx_ecapa_number(&net), VX_NUMBER_BF16);
        vx_ecapa_done(&net);
        vx_safetensors_close(tensors);
        uint8_t *at = memmem(file.data, file.len, damages[i].from, strlen(damages[i].from));
        assert_non_null(at);
        assert_int_equal(strlen(damages[i].from), strlen(damages[i].to));
        memcpy(at, damages[i].to, strlen(damages[i].to));
        assert_int_equal(vx_safetensors_open(file.data, file.len, &tensors, NULL), VX_OK);
        assert_int_equal(vx_ecapa_bind(tensors, 80, &net, &info), VX_ERR_MODEL_SHAPE);
        vx_safetensors_close(tensors);
        vx_buf_done(&file);
    }
}

static vx_err attempt(void *ctx)
{
    vx_engine *engine = NULL;
    const vx_err err = vx_engine_open(folder.path, ctx, &engine, NULL);
    vx_engine_close(engine);
    return err;
}

static void allocation_failures(void **state)
{
    (void)state;
    vx_engine_options half = options_for("half", VX_PRECISION_AUTO, vx_isa_best());
    if (!vx_alloc_fail_works() || !has_bf16(half.isa))
        skip();
    vx_alloc_fail_each(attempt, &half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_as_native_in_bf16),
        cmocka_unit_test(the_file_is_smaller),
        cmocka_unit_test(levels_without_bf16_refuse),
        cmocka_unit_test(auto_takes_it_where_it_runs),
        cmocka_unit_test(the_self_test_holds),
        cmocka_unit_test(bf16_weights_under_another_name),
        cmocka_unit_test(wrong_requests),
        cmocka_unit_test(damaged_headers),
        cmocka_unit_test(allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
