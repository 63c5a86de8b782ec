/* test_ecapa_bind.c - which files become a network, of those whose tensors have the right names and shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/file.h"
#include "shared/engine/ecapa.h"

enum { BANDS = 80 };

static const struct {
    const char *file, *refusal; /* NULL: none */
} cases[] = {
    {"f32", NULL},
    {"bf16", NULL},
    {"bf16_mixed", NULL},
    {"bf16_odd", "rows of an even number of weights"},
    {"bf16_unaligned", "4-byte aligned rows"},
    {"int8", NULL},
    {"int8_weight_below", "tensor blocks.0.conv.conv.weight: expected values of -64 to 63"},
    {"int8_weight_beyond", "tensor blocks.0.conv.conv.weight: expected values of -64 to 63"},
    {"int8_scale_nan", "expected a finite number above 0"},
    {"int8_zero_beyond", NULL}, /* an input range without 0 */
    {"int8_sums_beyond", "tensor mfa.conv.conv.input_zero: its sums are not finite"},
    {"seventeen_parts", "expected at most 8192 channels in 2 to 16 equal parts"},
};

static void what_products_can_take(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        vx_buf file = {0};
        vx_safetensors *tensors = NULL;
        vx_ecapa net = {0};
        vx_errinfo info = {0};
        snprintf(path, sizeof path, "tests/fuzz/corpus/ecapa/%s", cases[i].file);
        assert_int_equal(vx_file_read(path, 1 << 24, &file, NULL), VX_OK);
        assert_int_equal(vx_safetensors_open(file.data, file.len, &tensors, NULL), VX_OK);
        const vx_err err = vx_ecapa_bind(tensors, BANDS, &net, &info);
        const vx_err want = cases[i].refusal ? VX_ERR_MODEL_SHAPE : VX_OK;
        if (err != want || (cases[i].refusal && !strstr(info.text, cases[i].refusal)))
            fail_msg("%s: %s", cases[i].file, err ? info.text : "was taken");
        vx_ecapa_done(&net);
        vx_safetensors_close(tensors);
        vx_buf_done(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_products_can_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
