/* test_engine_settings.c - from settings to engine options: every setting arrives, and what cannot be is named. */
#include "shared/engine/engine_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Options as the environment would give them; destroyed by the caller. */
static vx_options *load(const char *entry)
{
    char *const env[] = {(char *)"ECAPA_CACHE_DIR=some/folder", (char *)entry, NULL};
    const char *operands[1];
    int n = 0;
    vx_options *options = NULL;
    vx_errinfo info = {0};
    if (vx_options_load(VX_FOR_EDGE, env, 0, NULL, NULL, operands, &n, &options, &info) != VX_OK)
        fail_msg("%s: %s", entry ? entry : "", info.text);
    return options;
}

static const char *isa_of_this_machine(void)
{
    return vx_isa_name(vx_isa_best());
}

static void every_setting_arrives(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *strategy, *device, *gemm;
        vx_precision precision;
        bool reference_first;
    } cases[] = {
        {NULL, "auto", "cpu", "auto", VX_PRECISION_AUTO, false},
        {"ECAPA_PREFERRED_STRATEGY=onnx", "onnx", "cpu", "auto", VX_PRECISION_AUTO, false},
        {"ECAPA_DEVICE=cuda", "auto", "cuda", "auto", VX_PRECISION_AUTO, false},
        {"ECAPA_DEVICE=mps", "auto", "mps", "auto", VX_PRECISION_AUTO, false},
        {"VOXLOCK_GEMM=onednn", "auto", "cpu", "onednn", VX_PRECISION_AUTO, false},
        {"VOXLOCK_PRECISION=auto", "auto", "cpu", "auto", VX_PRECISION_AUTO, false},
        {"VOXLOCK_PRECISION=f32", "auto", "cpu", "auto", VX_PRECISION_F32, false},
        {"VOXLOCK_PRECISION=bf16", "auto", "cpu", "auto", VX_PRECISION_BF16, false},
        {"ECAPA_USE_OPTIMIZED=false", "auto", "cpu", "auto", VX_PRECISION_AUTO, true},
        {"ECAPA_USE_OPTIMIZED=true", "auto", "cpu", "auto", VX_PRECISION_AUTO, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_options *settings = load(cases[i].entry);
        vx_engine_options o;
        char folder[64];
        assert_int_equal(vx_engine_settings(settings, &o, folder, sizeof folder, NULL), VX_OK);
        assert_string_equal(folder, "some/folder");
        assert_string_equal(o.strategy, cases[i].strategy);
        assert_string_equal(o.device, cases[i].device);
        assert_string_equal(o.gemm, cases[i].gemm);
        assert_int_equal(o.precision, cases[i].precision);
        assert_int_equal(o.reference_first, cases[i].reference_first);
        assert_string_equal(vx_isa_name(o.isa), isa_of_this_machine());
        /* Each program's own decision. */
        assert_int_equal(o.threads, 1);
        assert_false(o.self_test || o.fall_back);
        assert_null(o.ret_trials);
        vx_options_destroy(settings);
    }
}

static void instruction_sets(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        vx_isa isa;
    } cases[] = {
        {"VOXLOCK_ISA=scalar", VX_ISA_SCALAR},
        {"VOXLOCK_ISA=neon", VX_ISA_NEON},
        {"VOXLOCK_ISA=avx2", VX_ISA_AVX2},
        {"VOXLOCK_ISA=avx512", VX_ISA_AVX512},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_options *settings = load(cases[i].entry);
        vx_engine_options o = {.threads = -7};
        vx_errinfo info = {0};
        char folder[64];
        vx_err err = vx_engine_settings(settings, &o, folder, sizeof folder, &info);
        if (vx_isa_available(cases[i].isa)) {
            assert_int_equal(err, VX_OK);
            assert_int_equal(o.isa, cases[i].isa);
        } else {
            assert_int_equal(err, VX_ERR_OPTION_VALUE);
            assert_int_equal(o.threads, -7);
            assert_non_null(strstr(info.text, cases[i].entry));
            assert_non_null(strstr(info.text, isa_of_this_machine()));
        }
        vx_options_destroy(settings);
    }
}

static void a_folder_name_that_does_not_fit(void **state)
{
    (void)state;
    vx_options *settings = load(NULL);
    vx_engine_options o = {.threads = -7};
    vx_errinfo info = {0};
    char folder[sizeof "some/folder" - 1];
    assert_int_equal(vx_engine_settings(settings, &o, folder, sizeof folder, &info), VX_ERR_RANGE);
    assert_int_equal(o.threads, -7);
    vx_options_destroy(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_arrives),
        cmocka_unit_test(instruction_sets),
        cmocka_unit_test(a_folder_name_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
