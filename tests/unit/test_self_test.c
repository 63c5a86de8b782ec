/* test_self_test.c - the self-test knows right from wrong: its signal is the one that models/self_test.py computes with,
 * the starter model passes on every path of this machine, and vectors that are not the model's are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "shared/base/bytes.h"
#include "shared/base/cpu.h"
#include "shared/base/sha256.h"
#include "shared/engine/self_test.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"

#define STARTER "models/starter"

/* ---- signal ----------------------------------------------------------------------------------------------------- */

/* Computed with signal() of models/self_test.py; the digest is of all samples as little-endian int16, which holds them
 * exactly. */
static void the_signal_is_the_one_that_python_makes(void **state)
{
    static const struct {
        int at, sample;
    } cases[] = {{0, -2238},    {1, -2071},    {2, -1903},    {3, -1667},   {4, -2306},  {5, -1949},
                 {6, -1503},    {7, -1696},    {4000, -260},  {4001, -400}, {4002, 317}, {4003, -370},
                 {15996, 6667}, {15997, 7443}, {15998, 7040}, {15999, 7870}};
    static float samples[VX_SELF_TEST_SAMPLES];
    static uint8_t octets[2 * VX_SELF_TEST_SAMPLES];
    uint8_t digest[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX];
    (void)state;
    vx_self_test_signal(samples);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(samples[cases[i].at] == (float)cases[i].sample / 32768.0f);
    for (size_t i = 0; i < VX_SELF_TEST_SAMPLES; i++) {
        const int whole = (int)(samples[i] * 32768.0f);
        assert_true((float)whole == samples[i] * 32768.0f);
        octets[2 * i] = (uint8_t)((unsigned)whole & 0xff);
        octets[2 * i + 1] = (uint8_t)((unsigned)whole >> 8 & 0xff);
    }
    assert_int_equal(vx_sha256_of(octets, sizeof octets, digest), VX_OK);
    vx_hex(digest, sizeof digest, hex);
    assert_string_equal(hex, "b45b238f0e67f1f643ab237d1bae064c1f77b37356fe6fbc08ebbdcd3450818f");
}

/* ---- verdict ---------------------------------------------------------------------------------------------------- */

static vx_engine *open_engine(const char *folder, vx_isa isa)
{
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    options.gemm = "simd";
    options.isa = isa;
    vx_err err = vx_engine_open(folder, &options, &engine, &info);
    if (err)
        fail_msg("%s: %s", folder, vx_errinfo_text(&info, err));
    return engine;
}

/* float32 against float32 by PyTorch: what differs is the order of sums. */
static void the_starter_model_passes_on_every_instruction_set(void **state)
{
    (void)state;
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_AVX512; isa++) {
        if (!vx_isa_available((vx_isa)isa))
            continue;
        double cosine = -3;
        vx_errinfo info = {0};
        vx_engine *engine = open_engine(STARTER, (vx_isa)isa);
        vx_err err = vx_engine_self_test(engine, &cosine, &info);
        if (err || !(cosine >= 0.99999))
            fail_msg("%s: cosine %.7f, %s", vx_isa_name((vx_isa)isa), cosine, vx_errinfo_text(&info, err));
        vx_engine_close(engine);
    }
}

typedef void edit_fn(json_t *manifest);

static json_t *vector_of(json_t *manifest)
{
    json_t *vector = json_object_get(json_object_get(manifest, "self_test"), "embedding");
    assert_true(json_array_size(vector) > 2);
    return vector;
}

/* The right numbers in the wrong places: as of a layer whose channels are mixed up. */
static void permute(json_t *manifest)
{
    json_t *vector = vector_of(manifest), *first = json_incref(json_array_get(vector, 0));
    json_array_remove(vector, 0);
    json_array_append_new(vector, first);
}

static void negate(json_t *manifest)
{
    json_t *vector = vector_of(manifest), *number;
    size_t i;
    json_array_foreach(vector, i, number) json_array_set_new(vector, i, json_real(-json_number_value(number)));
}

static void zero(json_t *manifest)
{
    json_t *vector = vector_of(manifest);
    for (size_t i = 0; i < json_array_size(vector); i++)
        json_array_set_new(vector, i, json_integer(0));
}

/* Of another length, which says nothing: vectors are compared by their direction. */
static void stretch(json_t *manifest)
{
    json_t *vector = vector_of(manifest), *number;
    size_t i;
    json_array_foreach(vector, i, number) json_array_set_new(vector, i, json_real(1e3 * json_number_value(number)));
}

static void forget(json_t *manifest)
{
    json_object_del(manifest, "self_test");
}

static void the_vector_in_the_manifest_decides(void **state)
{
    static const struct {
        const char *what;
        edit_fn *edit;
        vx_err expected;
        const char *says;
    } cases[] = {
        {"as it is", NULL, VX_OK, ""},
        {"stretched", stretch, VX_OK, ""},
        {"permuted", permute, VX_ERR_ENGINE, "computes wrong vectors"},
        {"negated", negate, VX_ERR_ENGINE, "cosine -1.00000"},
        {"zero", zero, VX_ERR_ENGINE, "cannot be compared"},
        {"absent", forget, VX_OK, ""},
    };
    (void)state;
    model_copy copy = model_copy_of(STARTER);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double cosine = -3;
        vx_errinfo info = {0};
        model_copy_take(&copy, STARTER, MODEL_MANIFEST);
        json_t *manifest = model_copy_manifest(&copy);
        if (cases[i].edit)
            cases[i].edit(manifest);
        model_copy_set_manifest(&copy, manifest);
        vx_engine *engine = open_engine(copy.path, vx_isa_best());
        vx_err err = vx_engine_self_test(engine, &cosine, &info);
        if (err != cases[i].expected || !strstr(info.text, cases[i].says))
            fail_msg("%s: %s", cases[i].what, vx_errinfo_text(&info, err));
        if (err)
            assert_true(info.code == err && cosine == -3);
        else
            assert_true(cases[i].edit == forget ? cosine == -2 : cosine >= 0.99999);
        vx_engine_close(engine);
    }
    model_copy_done(&copy);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static vx_err attempt(void *engine)
{
    double cosine;
    return vx_engine_self_test(engine, &cosine, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    vx_engine *engine = open_engine(STARTER, vx_isa_best());
    vx_alloc_fail_each(attempt, engine);
    vx_engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signal_is_the_one_that_python_makes),
        cmocka_unit_test(the_starter_model_passes_on_every_instruction_set),
        cmocka_unit_test(the_vector_in_the_manifest_decides),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
