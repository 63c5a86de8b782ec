/* test_choose.c - the order of `auto`: by measurement alone, and the sentence that says why. */
#include "shared/engine/choose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define UNMEASURED (-1)

typedef struct {
    const char *strategy;
    double cosine, ms;
} entry;

static vx_manifest manifest_of(const entry *entries)
{
    vx_manifest m = {0};
    for (; m.n_artefacts < VX_MANIFEST_MAX_ARTEFACTS && entries[m.n_artefacts].strategy; m.n_artefacts++) {
        const entry *e = &entries[m.n_artefacts];
        vx_artefact *a = &m.artefacts[m.n_artefacts];
        snprintf(a->strategy, sizeof a->strategy, "%s", e->strategy);
        a->cosine_min = e->cosine;
        a->inference_ms = e->ms;
        a->load_ms = UNMEASURED;
    }
    return m;
}

/* "jit native" */
static void joined(const vx_artefact *const *order, int n, char *ret_text, size_t cap)
{
    ret_text[0] = '\0';
    for (int i = 0; i < n; i++) {
        const size_t len = strlen(ret_text);
        snprintf(ret_text + len, cap - len, "%s%s", i ? " " : "", order[i]->strategy);
    }
}

static void the_order_is_that_of_the_measurements(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        entry entries[VX_MANIFEST_MAX_ARTEFACTS];
        bool optimized;
        const char *order, *reason;
    } cases[] = {
        {"native alone, unmeasured",
         {{"native", UNMEASURED, UNMEASURED}},
         true,
         "native",
         "auto: the manifest has no measurement that would favour another strategy"},
        {"native alone, measured",
         {{"native", 1, 61}},
         true,
         "native",
         "auto: fastest by the manifest (native 61.0 ms)"},
        {"the faster first",
         {{"native", 1, 61.04}, {"jit", 0.9999, 48.06}},
         true,
         "jit native",
         "auto: fastest by the manifest (jit 48.1 ms, native 61.0 ms)"},
        {"whatever the manifest lists first",
         {{"jit", 0.9999, 71}, {"native", 1, 61}},
         true,
         "native jit",
         "auto: fastest by the manifest (native 61.0 ms, jit 71.0 ms)"},
        {"native unmeasured stands last",
         {{"native", UNMEASURED, UNMEASURED}, {"jit", 0.9999, 1e5}, {"onnx", 1, 2e5}},
         true,
         "jit onnx native",
         "auto: fastest by the manifest (jit 100000.0 ms, onnx 200000.0 ms, native not measured)"},
        {"others unmeasured are left out",
         {{"jit", UNMEASURED, UNMEASURED}, {"native", UNMEASURED, UNMEASURED}, {"onnx", UNMEASURED, UNMEASURED}},
         true,
         "native",
         "auto: the manifest has no measurement that would favour another strategy"},
        {"half a measurement is none",
         {{"jit", UNMEASURED, 5}, {"native", 1, 61}, {"onnx", 1, UNMEASURED}},
         true,
         "native",
         "auto: fastest by the manifest (native 61.0 ms)"},
        {"just proven", {{"native", 1, 61}, {"jit", 0.999, 5}}, true, "jit native", NULL},
        {"just straying", {{"native", 1, 61}, {"jit", 0.99899, 5}}, true, "native", NULL},
        {"straying far: written down as 0", {{"native", 1, 61}, {"jit", 0, 5}}, true, "native", NULL},
        {"the reference needs no proof", {{"native", 0.5, 61}, {"jit", 1, 71}}, true, "native jit", NULL},
        {"equals stay in the manifest's order",
         {{"b", 1, 9}, {"native", 1, 9}, {"a", 1, 9}, {"c", 1, 8}},
         true,
         "c b native a",
         NULL},
        {"the reference first when nothing optimised is wanted",
         {{"jit", 1, 5}, {"onnx", 1, 4}, {"native", 1, 61}},
         false,
         "native onnx jit",
         "auto: the f32 reference, since ECAPA_USE_OPTIMIZED is false"},
        {"also when it was not measured",
         {{"jit", 1, 5}, {"native", UNMEASURED, UNMEASURED}},
         false,
         "native jit",
         NULL},
        {"all eight",
         {{"s1", 1, 8},
          {"s2", 1, 7},
          {"s3", 1, 6},
          {"native", 1, 5},
          {"s5", 1, 4},
          {"s6", 1, 3},
          {"s7", 1, 2},
          {"s8", 1, 1}},
         true,
         "s8 s7 s6 s5 native s3 s2 s1",
         "auto: fastest by the manifest (s8 1.0 ms, s7 2.0 ms, s6 3.0 ms, s5 4.0 ms, native 5.0 ms, s3 6.0 ms, s2 7.0 "
         "ms, "
         "s1 8.0 ms)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vx_manifest m = manifest_of(cases[i].entries);
        const vx_artefact *order[VX_MANIFEST_MAX_ARTEFACTS] = {0};
        char got[128], reason[256];
        const int n = vx_choose(&m, cases[i].optimized, order);
        joined(order, n, got, sizeof got);
        if (strcmp(got, cases[i].order) != 0)
            fail_msg("%s: '%s' instead of '%s'", cases[i].what, got, cases[i].order);
        vx_choose_reason(order, n, cases[i].optimized, reason, sizeof reason);
        if (cases[i].reason && strcmp(reason, cases[i].reason) != 0)
            fail_msg("%s: '%s' instead of '%s'", cases[i].what, reason, cases[i].reason);
    }
}

static void the_verdict_on_one_artefact(void **state)
{
    (void)state;
    static const struct {
        entry e;
        vx_choose_verdict verdict;
        const char *name;
    } cases[] = {
        {{"native", UNMEASURED, UNMEASURED}, VX_CHOOSE_ALLOWED, "allowed"},
        {{"native", 0.2, 5}, VX_CHOOSE_ALLOWED, "allowed"},
        {{"jit", 0.9991, 5}, VX_CHOOSE_ALLOWED, "allowed"},
        {{"jit", UNMEASURED, UNMEASURED}, VX_CHOOSE_UNMEASURED, "not measured"},
        {{"jit", 0.998, 5}, VX_CHOOSE_STRAYING, "strays"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const entry entries[2] = {cases[i].e};
        const vx_manifest m = manifest_of(entries);
        assert_int_equal(vx_choose_judge(&m.artefacts[0]), cases[i].verdict);
        assert_string_equal(vx_choose_verdict_name(cases[i].verdict), cases[i].name);
    }
}

/* The longest sentence there can be, into every size of buffer: cut, ended, and nothing written behind it. */
static void the_reason_is_cut_and_never_overflows(void **state)
{
    (void)state;
    static const entry entries[VX_MANIFEST_MAX_ARTEFACTS] = {
        {"strategy_no_001", 1, 600000}, {"strategy_no_002", 1, 600000}, {"strategy_no_003", 1, 600000},
        {"strategy_no_004", 1, 600000}, {"strategy_no_005", 1, 600000}, {"strategy_no_006", 1, 600000},
        {"strategy_no_007", 1, 600000}, {"native", 1, 600000},
    };
    const vx_manifest m = manifest_of(entries);
    const vx_artefact *order[VX_MANIFEST_MAX_ARTEFACTS];
    char whole[512], text[512];
    assert_int_equal(vx_choose(&m, true, order), 8);
    vx_choose_reason(order, 8, true, whole, sizeof whole);
    assert_int_equal(whole[strlen(whole) - 1], ')');
    for (size_t cap = 1; cap <= strlen(whole) + 1; cap++) {
        memset(text, 0x55, sizeof text);
        vx_choose_reason(order, 8, true, text, cap);
        assert_int_equal(strlen(text), cap - 1);
        assert_memory_equal(text, whole, cap - 1);
        for (size_t i = cap; i < sizeof text; i++)
            assert_int_equal(text[i], 0x55);
    }
}

/* The time of a precision that strays is not the time of the reference, which then runs in f32. */
static void a_straying_precision_does_not_put_the_reference_first(void **state)
{
    (void)state;
    const entry entries[VX_MANIFEST_MAX_ARTEFACTS] = {{"native", 0.998, 10}, {"jit", 0.9999, 50}};
    const vx_artefact *order[VX_MANIFEST_MAX_ARTEFACTS];
    char text[64];
    vx_manifest m = manifest_of(entries);
    m.artefacts[0].precision = VX_PRECISION_BF16;
    joined(order, vx_choose(&m, true, order), text, sizeof text);
    assert_string_equal(text, "jit native");
    m.artefacts[0].cosine_min = 0.9995;
    joined(order, vx_choose(&m, true, order), text, sizeof text);
    assert_string_equal(text, "native jit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straying_precision_does_not_put_the_reference_first),
        cmocka_unit_test(the_order_is_that_of_the_measurements),
        cmocka_unit_test(the_verdict_on_one_artefact),
        cmocka_unit_test(the_reason_is_cut_and_never_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
