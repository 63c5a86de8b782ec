/* test_engine_choice.c - which strategy runs: what the folder's measurements and the settings ask for, what happens when
 * that cannot be had, and what is told of it. No library is needed: artefacts of other strategies are missing, damaged or
 * unknown here on purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "shared/base/bytes.h"
#include "shared/engine/engine.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/model_copy.h"

#define GOLDEN   "tests/data/golden/model"
#define STARTER  "models/starter"
#define JIT_FILE "ecapa_jit_traced.pt"
#define SHA_ZERO "0000000000000000000000000000000000000000000000000000000000000000"

/* ---- folders ---------------------------------------------------------------------------------------------------- */

/* An artefact's entry; negative: not measured. */
static json_t *artefact(const char *file, size_t bytes, const char *sha256, double cosine, double ms)
{
    json_t *entry = json_pack("{s:s, s:I, s:s}", "file", file, "bytes", (json_int_t)bytes, "sha256", sha256);
    if (cosine >= 0)
        json_object_set_new(entry, "cosine_min", json_real(cosine));
    if (ms >= 0)
        json_object_set_new(entry, "inference_ms", json_real(ms));
    return entry;
}

/* A sound copy of a folder, with native measured at 61 ms and one more artefact at 48. */
static model_copy folder_with(const char *of, const char *strategy, json_t *entry)
{
    model_copy copy = model_copy_of(of);
    json_t *manifest = model_copy_manifest(&copy), *artefacts = json_object_get(manifest, "artefacts");
    json_t *native = json_object_get(artefacts, "native");
    json_object_set_new(native, "cosine_min", json_real(1));
    json_object_set_new(native, "inference_ms", json_real(61));
    json_object_set_new(artefacts, strategy, entry);
    model_copy_set_manifest(&copy, manifest);
    return copy;
}

static json_t *missing_jit(double cosine, double ms)
{
    return artefact(JIT_FILE, 1000, SHA_ZERO, cosine, ms);
}

/* The weights stand in for the network: there, of the right size, and not what the manifest says. */
static json_t *wrong_jit(const char *of)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", of, MODEL_WEIGHTS);
    assert_int_equal(stat(path, &st), 0);
    return artefact(MODEL_WEIGHTS, (size_t)st.st_size, SHA_ZERO, 0.9999, 48);
}

/* ---- what came of an open --------------------------------------------------------------------------------------- */

typedef struct {
    const char *what; /* the case, for what is said of a failure; may be NULL */
    vx_err err;
    vx_errinfo info;
    vx_engine_trials trials;
    char strategy[16], device[8], precision[8], reason[VX_ERRINFO_LINE + 64];
    bool degraded;
} outcome;

static outcome open_folder(const char *folder, vx_engine_options options)
{
    outcome o = {.trials.n = 77};
    vx_engine *engine = NULL;
    options.ret_trials = &o.trials;
    o.err = vx_engine_open(folder, &options, &engine, &o.info);
    assert_int_equal(engine != NULL, o.err == VX_OK);
    assert_int_equal(o.info.code, o.err);
    if (engine) {
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        snprintf(o.strategy, sizeof o.strategy, "%s", about.strategy);
        snprintf(o.device, sizeof o.device, "%s", about.device);
        snprintf(o.precision, sizeof o.precision, "%s", about.precision);
        snprintf(o.reason, sizeof o.reason, "%s", about.reason);
        o.degraded = about.degraded;
        vx_engine_close(engine);
    }
    return o;
}

static const char *what_of(const outcome *o)
{
    return o->what ? o->what : "this case";
}

/* Trials as text: "jit:model_missing native:ok". */
static void check_trials(const outcome *o, const char *expected)
{
    char got[256] = "";
    for (int i = 0; i < o->trials.n; i++) {
        const vx_engine_trial *t = &o->trials.list[i];
        const size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s%s:%s", i ? " " : "", t->strategy, vx_err_code(t->err));
        assert_int_equal(t->text[0] == '\0', t->err == VX_OK);
    }
    if (strcmp(got, expected) != 0)
        fail_msg("%s: tried '%s' instead of '%s'", what_of(o), got, expected);
}

static void check_native(const outcome *o, bool degraded, const char *says, const char *trials)
{
    if (o->err != VX_OK)
        fail_msg("%s: %s: %s", what_of(o), vx_err_code(o->err), o->info.text);
    assert_string_equal(o->strategy, "native");
    assert_string_equal(o->device, "cpu");
    assert_string_equal(o->precision, "f32");
    if (o->degraded != degraded || !strstr(o->reason, says))
        fail_msg("%s: '%s'%s does not say '%s'", what_of(o), o->reason, o->degraded ? ", degraded," : "", says);
    check_trials(o, trials);
}

static void check_refused(const outcome *o, vx_err err, const char *says, const char *trials)
{
    char line[VX_ERRINFO_LINE];
    vx_errinfo_line(&o->info, o->err, line, sizeof line);
    if (o->err != err || !strstr(line, says))
        fail_msg("%s: %s: '%s' instead of %s and '%s'", what_of(o), vx_err_code(o->err), line, vx_err_code(err), says);
    check_trials(o, trials);
}

/* ---- auto ------------------------------------------------------------------------------------------------------- */

/* Only the way through the folder is asked for here, so self-tests of native stay off. */
static void auto_falls_down_the_list_and_says_so(void **state)
{
    (void)state;
    struct {
        json_t *entry;
        const char *strategy;
        bool degraded;
        const char *says, *trials;
    } cases[] = {
        {missing_jit(0.9999, 48), "jit", true, "/" JIT_FILE ": cannot open", "jit:model_missing native:ok"},
        {wrong_jit(GOLDEN), "jit", true, "/" MODEL_WEIGHTS ": SHA-256 is", "jit:model_hash_mismatch native:ok"},
        {missing_jit(0.9999, 48), "onnx", true, "fell back to native: ", "onnx:model_missing native:ok"},
        {missing_jit(0.9999, 48), "quantized", true, "/" JIT_FILE ": cannot open", "quantized:model_missing native:ok"},
        {missing_jit(0.9999, 71), "jit", false, "(native 61.0 ms, jit 71.0 ms)", "native:ok"},
        {missing_jit(-1, -1), "jit", false, "(native 61.0 ms)", "native:ok"},
        {missing_jit(0.998, 48), "jit", false, "(native 61.0 ms)", "native:ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_copy copy = folder_with(GOLDEN, cases[i].strategy, cases[i].entry);
        for (int fall_back = 0; fall_back < 2; fall_back++) {
            vx_engine_options options = vx_engine_options_default();
            options.fall_back = fall_back;
            const outcome o = open_folder(copy.path, options);
            check_native(&o, cases[i].degraded, cases[i].says, cases[i].trials);
            assert_int_equal(strncmp(o.reason, "fell back to native: ", 21) == 0, cases[i].degraded);
        }
        model_copy_done(&copy);
    }
}

static void the_reference_first_when_nothing_optimised_is_wanted(void **state)
{
    (void)state;
    model_copy copy = folder_with(GOLDEN, "jit", missing_jit(0.9999, 48));
    vx_engine_options options = vx_engine_options_default();
    options.reference_first = true;
    const outcome o = open_folder(copy.path, options);
    check_native(&o, false, "ECAPA_USE_OPTIMIZED is false", "native:ok");
    model_copy_done(&copy);
}

/* The reason becomes a sentence of JSON and of a log: a path that is cut is cut between characters. */
static void long_names_stay_whole_in_the_reason(void **state)
{
    (void)state;
    model_copy copy = folder_with(GOLDEN, "jit", missing_jit(0.9999, 48));
    for (int pad = 0; pad < 3; pad++) {
        /* A folder's name of three-byte characters, from every phase: the same folder by a link to it. */
        char name[256];
        int len = snprintf(name, sizeof name, "/tmp/voxlock-link-%ld%.*s", (long)getpid(), pad, "xx");
        while (len < 244)
            len += snprintf(name + len, sizeof name - (size_t)len, "\u20ac");
        assert_int_equal(symlink(copy.path, name), 0);
        const outcome o = open_folder(name, vx_engine_options_default());
        unlink(name);
        check_native(&o, true, "cannot open", "jit:model_missing native:ok");
        json_t *sentence = json_string(o.reason); /* NULL when it is not UTF-8 */
        assert_non_null(sentence);
        json_decref(sentence);
        sentence = json_string(o.trials.list[0].text);
        assert_non_null(sentence);
        json_decref(sentence);
    }
    model_copy_done(&copy);
}

/* ---- what is asked for ------------------------------------------------------------------------------------------ */

static void wishes_that_cannot_be_had(void **state)
{
    (void)state;
    static const struct {
        const char *what, *strategy, *device, *gemm;
        vx_precision precision;
        vx_err err;
        const char *says, *trials, *trials_back;
    } cases[] = {
        {"a file that is not there", "jit", NULL, NULL, VX_PRECISION_AUTO, VX_ERR_MODEL_MISSING, JIT_FILE,
         "jit:model_missing", "jit:model_missing native:ok"},
        {"no artefact", "onnx", NULL, NULL, VX_PRECISION_AUTO, VX_ERR_MODEL_MISSING, "no artefact for strategy 'onnx'",
         "onnx:model_missing", "onnx:model_missing jit:model_missing native:ok"},
        {"not of this build", "telepathy", NULL, NULL, VX_PRECISION_AUTO, VX_ERR_OPTION_VALUE,
         "this build has no strategy 'telepathy'", "telepathy:bad_setting",
         "telepathy:bad_setting jit:model_missing native:ok"},
        {"native elsewhere", "native", "cuda", NULL, VX_PRECISION_AUTO, VX_ERR_OPTION_VALUE,
         "'native' runs on the CPU only; ECAPA_DEVICE=cuda needs jit", "native:bad_setting",
         "native:bad_setting jit:model_missing native:ok"},
        {"auto elsewhere", NULL, "mps", NULL, VX_PRECISION_AUTO, VX_ERR_MODEL_MISSING, JIT_FILE, "jit:model_missing",
         "jit:model_missing jit:model_missing native:ok"},
        {"native in int8", "native", NULL, NULL, VX_PRECISION_INT8, VX_ERR_OPTION_VALUE,
         "'native' has no int8; VOXLOCK_PRECISION=int8 needs quantized", "native:bad_setting",
         "native:bad_setting jit:model_missing native:ok"},
        {"onnx in bf16", "onnx", NULL, NULL, VX_PRECISION_BF16, VX_ERR_OPTION_VALUE, "'onnx' has no bf16",
         "onnx:bad_setting", "onnx:bad_setting jit:model_missing native:ok"},
        {"quantized in f32", "quantized", NULL, NULL, VX_PRECISION_F32, VX_ERR_OPTION_VALUE, "'quantized' has no f32",
         "quantized:bad_setting", "quantized:bad_setting jit:model_missing native:ok"},
        {"auto in int8", "auto", NULL, NULL, VX_PRECISION_INT8, VX_ERR_OPTION_VALUE,
         "nothing that auto may take here computes in int8; that needs an artefact for quantized", "",
         "jit:model_missing native:ok"},
        {"products of nobody", "native", NULL, "abacus", VX_PRECISION_AUTO, VX_ERR_OPTION_VALUE, "VOXLOCK_GEMM=abacus",
         "native:bad_setting", "native:bad_setting jit:model_missing native:ok"},
    };
    model_copy copy = folder_with(GOLDEN, "jit", missing_jit(0.9999, 48));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_engine_options options = vx_engine_options_default();
        options.strategy = cases[i].strategy;
        options.device = cases[i].device;
        options.gemm = cases[i].gemm;
        options.precision = cases[i].precision;
        outcome o = open_folder(copy.path, options);
        o.what = cases[i].what;
        check_refused(&o, cases[i].err, cases[i].says, cases[i].trials);
        options.fall_back = true;
        o = open_folder(copy.path, options);
        o.what = cases[i].what;
        check_native(&o, true, cases[i].says, cases[i].trials_back);
    }
    model_copy_done(&copy);
}

/* A folder without any other strategy than the reference, and wishes that it cannot meet. */
static void wishes_that_nothing_in_the_folder_could_meet(void **state)
{
    (void)state;
    static const struct {
        const char *device;
        vx_precision precision;
        const char *says;
    } cases[] = {
        {"cuda", VX_PRECISION_AUTO, "nothing that auto may take here runs on cuda"},
        {"mps", VX_PRECISION_BF16, "nothing that auto may take here runs on mps"},
        {NULL, VX_PRECISION_INT8, "nothing that auto may take here computes in int8"},
    };
    model_copy copies[] = {model_copy_of(GOLDEN), folder_with(GOLDEN, "jit", missing_jit(0.998, 48)),
                           folder_with(GOLDEN, "onnx", missing_jit(0.9999, 48))};
    for (size_t c = 0; c < sizeof copies / sizeof *copies; c++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            vx_engine_options options = vx_engine_options_default();
            options.device = cases[i].device;
            options.precision = cases[i].precision;
            outcome o = open_folder(copies[c].path, options);
            check_refused(&o, VX_ERR_OPTION_VALUE, cases[i].says, "");
            options.fall_back = true;
            o = open_folder(copies[c].path, options);
            check_native(&o, true, cases[i].says, c == 2 ? "onnx:model_missing native:ok" : "native:ok");
        }
        model_copy_done(&copies[c]);
    }
}

/* The wish for a device was somebody's own, and the self-test proves what nobody measured. */
static void an_unmeasured_strategy_is_tried_where_only_it_can_serve(void **state)
{
    (void)state;
    model_copy copy = folder_with(GOLDEN, "jit", missing_jit(-1, -1));
    vx_engine_options options = vx_engine_options_default();
    options.device = "cuda";
    const outcome o = open_folder(copy.path, options);
    check_refused(&o, VX_ERR_MODEL_MISSING, JIT_FILE, "jit:model_missing");
    model_copy_done(&copy);
}

/* What only a caller can get wrong: no falling back hides it. */
static void nonsense_is_refused_at_once(void **state)
{
    (void)state;
    const vx_isa other = vx_isa_available(VX_ISA_NEON) ? VX_ISA_AVX2 : VX_ISA_NEON;
    const struct {
        int threads;
        const char *device;
        vx_isa isa;
        vx_err err;
        const char *says;
    } cases[] = {
        {0, NULL, VX_ISA_SCALAR, VX_ERR_ARG, "0 threads"},
        {257, NULL, VX_ISA_SCALAR, VX_ERR_ARG, "257 threads"},
        {1, "tpu", VX_ISA_SCALAR, VX_ERR_OPTION_VALUE, "no device 'tpu': expected cpu, cuda or mps"},
        {1, NULL, other, VX_ERR_UNSUPPORTED, vx_isa_name(other)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_engine_options options = vx_engine_options_default();
        options.threads = cases[i].threads;
        options.device = cases[i].device;
        options.isa = cases[i].isa;
        options.fall_back = true;
        const outcome o = open_folder(GOLDEN, options);
        check_refused(&o, cases[i].err, cases[i].says, "");
    }
}

/* ---- when nothing opens ----------------------------------------------------------------------------------------- */

static void spoil_weights(const model_copy *copy)
{
    model_copy_flip(copy, MODEL_WEIGHTS, 100000);
}

static void spoil_self_test(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy);
    json_t *values = json_object_get(json_object_get(manifest, "self_test"), "embedding");
    for (size_t i = 0; i < json_array_size(values); i += 2)
        json_array_set_new(values, i, json_real(0));
    model_copy_set_manifest(copy, manifest);
}

static void spoil_front_end(const model_copy *copy)
{
    json_t *manifest = model_copy_manifest(copy), *front = json_object_get(manifest, "frontend");
    json_object_set_new(front, "n_fft", json_integer(448)); /* 7 * 64 */
    json_object_set_new(front, "window_samples", json_integer(448));
    model_copy_set_manifest(copy, manifest);
}

/* The last resort's error: it keeps the service down, and may pass where a setting does not. */
static void when_nothing_opens_the_last_error_is_told(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(const model_copy *copy);
        vx_err err;
        const char *says, *code;
    } cases[] = {
        {spoil_weights, VX_ERR_MODEL_HASH, MODEL_WEIGHTS ": SHA-256 is", "model_hash_mismatch"},
        {spoil_self_test, VX_ERR_ENGINE, "the self-test embedding has cosine", "engine_failed"},
        {spoil_front_end, VX_ERR_RANGE, "448", "out_of_range"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char trials[128];
        model_copy copy = folder_with(STARTER, "jit", missing_jit(0.9999, 48));
        cases[i].spoil(&copy);
        vx_engine_options options = vx_engine_options_default();
        options.self_test = true;
        outcome o = open_folder(copy.path, options);
        snprintf(trials, sizeof trials, "jit:model_missing native:%s", cases[i].code);
        check_refused(&o, cases[i].err, cases[i].says, trials);
        assert_non_null(strstr(o.trials.list[0].text, JIT_FILE));
        assert_non_null(strstr(o.trials.list[1].text, cases[i].says));
        /* Nothing is gained by trying the same again. */
        options.fall_back = true;
        o = open_folder(copy.path, options);
        check_refused(&o, cases[i].err, cases[i].says, trials);
        /* What was wished for is tried, then everything without the wish. */
        options.strategy = "native";
        options.gemm = "abacus";
        o = open_folder(copy.path, options);
        snprintf(trials, sizeof trials, "native:bad_setting jit:model_missing native:%s", cases[i].code);
        check_refused(&o, cases[i].err, cases[i].says, trials);
        model_copy_done(&copy);
    }
}

static void the_self_test_of_native_is_the_callers_choice(void **state)
{
    (void)state;
    model_copy copy = model_copy_of(STARTER);
    vx_engine_options options = vx_engine_options_default();
    for (int spoiled = 0; spoiled < 2; spoiled++) {
        options.self_test = false;
        outcome o = open_folder(copy.path, options);
        check_native(&o, false, "auto", "native:ok");
        options.self_test = true;
        o = open_folder(copy.path, options);
        assert_int_equal(o.err, spoiled ? VX_ERR_ENGINE : VX_OK);
        if (!spoiled)
            spoil_self_test(&copy);
    }
    model_copy_done(&copy);
}

/* The first error of a chain of calls is the one that counts. */
static void an_error_that_was_there_before_stays(void **state)
{
    (void)state;
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    options.strategy = "telepathy";
    (void)vx_errinfo_set(&info, VX_ERR_IO, "first");
    assert_int_equal(vx_engine_open(GOLDEN, &options, &engine, &info), VX_ERR_OPTION_VALUE);
    assert_string_equal(info.text, "first");
    assert_int_equal(vx_engine_open(GOLDEN, &options, &engine, NULL), VX_ERR_OPTION_VALUE);
}

/* Out of memory on the way: the next strategy may need less, so it is tried; or the error comes back. Never a leak. */
static void an_allocation_that_fails_on_the_way_down(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    model_copy copy = folder_with(GOLDEN, "jit", wrong_jit(GOLDEN));
    vx_engine_options options = vx_engine_options_default();
    options.fall_back = true;
    size_t k = 0, opened = 0, failed = 0;
    do {
        vx_engine *engine = NULL;
        vx_alloc_fail_at(++k);
        const vx_err err = vx_engine_open(copy.path, &options, &engine, NULL);
        assert_int_equal(engine != NULL, err == VX_OK);
        assert_true(err == VX_OK || err == VX_ERR_NOMEM);
        opened += err == VX_OK;
        failed += err != VX_OK;
        vx_engine_close(engine);
    } while (vx_alloc_count() >= k);
    vx_alloc_fail_at(0);
    assert_true(opened >= 1 && failed >= 1);
    model_copy_done(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_falls_down_the_list_and_says_so),
        cmocka_unit_test(the_reference_first_when_nothing_optimised_is_wanted),
        cmocka_unit_test(long_names_stay_whole_in_the_reason),
        cmocka_unit_test(wishes_that_cannot_be_had),
        cmocka_unit_test(wishes_that_nothing_in_the_folder_could_meet),
        cmocka_unit_test(an_unmeasured_strategy_is_tried_where_only_it_can_serve),
        cmocka_unit_test(nonsense_is_refused_at_once),
        cmocka_unit_test(when_nothing_opens_the_last_error_is_told),
        cmocka_unit_test(the_self_test_of_native_is_the_callers_choice),
        cmocka_unit_test(an_error_that_was_there_before_stays),
        cmocka_unit_test(an_allocation_that_fails_on_the_way_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
