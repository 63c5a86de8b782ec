/* test_manifest.c - the model folder's manifest: every value read, every fault named, no file opened that was not
 * proven. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/bytes.h"
#include "shared/engine/manifest.h"
#include "tests/support/alloc_fail.h"

#define GOLDEN   "tests/data/golden/model"
#define SHA_ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define VECTOR   "[0.25, -1, 3e-3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]" /* 24 numbers */
#define COHORT                                                                                                         \
    "{\"file\": \"crowd\", \"bytes\": 960, \"sha256\": \"" SHA_CROWD "\", \"count\": 10, \"top\": 4, \"floor\": 0.37}"
#define VOICEPRINT                                                                                                     \
    "{\"offset\": -5.5, \"slope\": 11.5, \"enrolled_speech\": 0.25, \"utterance_speech\": -0.5, \"snr\": 0.75,"        \
    " \"threshold\": 0.6, \"same\": 1041, \"other\": 2520}"
#define SHA_CROWD "cd0aa9856147b6c5b4ff2b7dfee5da20aa38253099ef1b4a64aced233c9afe29"
#define SHA_ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* Differs from every default, so that a field not read shows. */
static const char good[] =
    "{\"_comment\": [\"free\", {\"form\": 1}],\n"
    "\"format\": 1,\n"
    "\"model\": {\"name\": \"tiny\", \"source\": \"here\", \"licence\": \"MIT\", \"accuracy\": \"none\","
    " \"dimension\": 24},\n"
    "\"frontend\": {\"sample_rate\": 16000, \"window\": \"hann\", \"window_samples\": 512, \"hop_samples\": 128,"
    " \"n_fft\": 512, \"bands\": 40, \"f_min\": 20, \"f_max\": 7600.5, \"log\": \"natural\", \"floor\": 1e-8,"
    " \"top_db\": 0, \"mean_normalise\": false},\n"
    "\"scores\": {\"threshold\": 0.3, \"calibration\": {\"slope\": 12.5, \"offset\": -4},\n"
    "\"cohort\": " COHORT ", \"voiceprint\": " VOICEPRINT "},\n"
    "\"self_test\": {\"signal\": \"voxlock-1\", \"embedding\": " VECTOR "},\n"
    "\"artefacts\": {\n"
    "\"jit\": {\"file\": \"abc\", \"bytes\": 3, \"sha256\": \"" SHA_ABC "\", \"precision\": \"bf16\"},\n"
    "\"_note\": null,\n"
    "\"native\": {\"file\": \"model.safetensors\", \"bytes\": 2147483647, \"sha256\": \"" SHA_ZERO "\","
    " \"cosine_min\": 0.9995, \"load_ms\": 31.5, \"inference_ms\": null, \"_measured_on\": \"a desk\"}}}\n";

static void test_reads_every_value(void **state)
{
    vx_manifest m;
    vx_errinfo info = {0};
    const vx_artefact *a;

    (void)state;
    memset(&m, 0x55, sizeof m);
    if (vx_manifest_parse(good, sizeof good - 1, &m, &info))
        fail_msg("%s", info.text);
    assert_string_equal(m.name, "tiny");
    assert_string_equal(m.source, "here");
    assert_string_equal(m.licence, "MIT");
    assert_string_equal(m.accuracy, "none");
    assert_int_equal(m.dim, 24);
    assert_int_equal(m.fbank.window, VX_WINDOW_HANN);
    assert_int_equal(m.fbank.window_len, 512);
    assert_int_equal(m.fbank.hop, 128);
    assert_int_equal(m.fbank.n_fft, 512);
    assert_int_equal(m.fbank.n_bands, 40);
    assert_true(m.fbank.f_min == 20.0 && m.fbank.f_max == 7600.5);
    assert_int_equal(m.fbank.log_kind, VX_LOG_NATURAL);
    assert_true(m.fbank.floor == 1e-8 && m.fbank.top_db == 0.0);
    assert_int_equal(m.fbank.subtract_mean, 0);
    assert_true(m.threshold == 0.3 && m.calibrated);
    assert_true(m.calibration_slope == 12.5 && m.calibration_offset == -4.0);
    assert_string_equal(m.cohort.file, "crowd");
    assert_int_equal(m.cohort.bytes, 960);
    assert_int_equal(m.cohort.sha256[0], 0xcd);
    assert_int_equal(m.cohort_count, 10);
    assert_int_equal(m.cohort_top, 4);
    assert_true(m.cohort_floor == 0.37 && m.score_calibrated);
    assert_true(m.score_calibration.weights[VX_FEATURE_ONE] == -5.5);
    assert_true(m.score_calibration.weights[VX_FEATURE_SCORE] == 11.5);
    assert_true(m.score_calibration.weights[VX_FEATURE_ENROLLED] == 0.25);
    assert_true(m.score_calibration.weights[VX_FEATURE_UTTERANCE] == -0.5);
    assert_true(m.score_calibration.weights[VX_FEATURE_SNR] == 0.75);
    assert_true(m.score_calibration.threshold == 0.6);
    assert_int_equal(m.score_calibration.n_same, 1041);
    assert_int_equal(m.score_calibration.n_other, 2520);
    assert_int_equal(m.self_test_dim, 24);
    assert_true(m.self_test[0] == 0.25f && m.self_test[1] == -1 && m.self_test[2] == 3e-3f && m.self_test[23] == 7);
    assert_int_equal(m.n_artefacts, 2);

    a = vx_manifest_artefact(&m, "native");
    assert_non_null(a);
    assert_string_equal(a->file, "model.safetensors");
    assert_int_equal(a->bytes, 2147483647);
    assert_true(a->cosine_min == 0.9995 && a->load_ms == 31.5 && a->inference_ms < 0.0);
    assert_int_equal(a->precision, VX_PRECISION_AUTO);
    assert_memory_equal(m.digest.bytes, a->sha256, VX_SHA256_BYTES);
    a = vx_manifest_artefact(&m, "jit");
    assert_non_null(a);
    assert_int_equal(a->sha256[0], 0xba);
    assert_int_equal(a->precision, VX_PRECISION_BF16);
    assert_true(a->cosine_min < 0.0 && a->load_ms < 0.0);
    assert_null(vx_manifest_artefact(&m, "onnx"));
    assert_null(vx_manifest_artefact(&m, "_note"));
}

/* good with the first `from` replaced; the caller frees. */
static char *edited(const char *from, const char *to)
{
    const char *at = strstr(good, from);
    size_t head, size = sizeof good + strlen(to);
    char *text = malloc(size);

    assert_non_null(at);
    assert_non_null(text);
    head = (size_t)(at - good);
    snprintf(text, size, "%.*s%s%s", (int)head, good, to, at + strlen(from));
    return text;
}

static const char too_long[] = "\"0123456789012345678901234567890123456789012345678901234567890123\"";

static void test_faults_are_named(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"format\": 1", "\"format\": 2", "'format'"},
        {"\"format\": 1,", "", "'format'"},
        {"\"format\"", "\"formats\"", "'formats' is not known"},
        {"\"model\": {", "\"model\": [], \"_m\": {", "model: must be an object"},
        {"\"model\": {", "\"_m\": {", "model: must be an object"},
        {"\"tiny\"", "\"\"", "model: field 'name' must be 1 to 63"},
        {"\"tiny\"", too_long, "model: field 'name' must be 1 to 63"},
        {"\"tiny\"", "\"\\u001b[2J\"", "model: field 'name' holds a control"},
        {"\"tiny\"", "\"a\\u007f\"", "model: field 'name' holds a control"},
        {"\"tiny\"", "7", "model: field 'name'"},
        {"\"tiny\"", "null", "model: field 'name'"},
        {"\"licence\"", "\"license\"", "model: field 'license' is not known"},
        {"\"dimension\": 24", "\"dimension\": 0", "model: field 'dimension'"},
        {"\"dimension\": 24", "\"dimension\": 513", "model: field 'dimension'"},
        {"\"dimension\": 24", "\"dimension\": 24.5", "model: field 'dimension'"},
        {"\"sample_rate\": 16000", "\"sample_rate\": 8000", "frontend: field 'sample_rate'"},
        {"\"sample_rate\": 16000,", "", "frontend: field 'sample_rate'"},
        {"\"hann\"", "\"Hann\"", "frontend: field 'window' is 'Hann'"},
        {"\"window_samples\": 512", "\"window_samples\": 400", "field 'n_fft' must be even and equal"},
        {"\"window_samples\": 512, \"hop_samples\": 128, \"n_fft\": 512",
         "\"window_samples\": 511, \"hop_samples\": 128, \"n_fft\": 511", "field 'n_fft' must be even"},
        {"\"window_samples\": 512", "\"window_samples\": 63", "frontend: field 'window_samples'"},
        {"\"hop_samples\": 128", "\"hop_samples\": 0", "frontend: field 'hop_samples'"},
        {"\"hop_samples\": 128", "\"hop_samples\": 513", "'hop_samples' must not exceed"},
        {"\"n_fft\": 512", "\"n_fft\": 8192", "frontend: field 'n_fft'"},
        {"\"bands\": 40", "\"bands\": 257", "frontend: field 'bands'"},
        {"\"f_min\": 20", "\"f_min\": -1", "frontend: field 'f_min'"},
        {"\"f_min\": 20", "\"f_min\": 7600.5", "'f_max' must be above"},
        {"\"f_max\": 7600.5", "\"f_max\": 8001", "frontend: field 'f_max'"},
        {"\"natural\"", "\"log2\"", "frontend: field 'log' is 'log2'"},
        {"\"floor\": 1e-8", "\"floor\": 0", "frontend: field 'floor'"},
        {"\"floor\": 1e-8", "\"floor\": 1e999", ""},
        {"\"top_db\": 0", "\"top_db\": 80", "'top_db' must be 0"},
        {"\"top_db\": 0", "\"top_db\": 301", "frontend: field 'top_db'"},
        {"\"mean_normalise\": false", "\"mean_normalise\": 0", "frontend: field 'mean_normalise'"},
        {"\"mean_normalise\": false", "\"mean_normalize\": false", "frontend: field 'mean_normalize' is not known"},
        {"\"threshold\": 0.3", "\"threshold\": 1.5", "scores: field 'threshold'"},
        {"\"threshold\": 0.3,", "", "scores: field 'threshold'"},
        {"\"slope\": 12.5", "\"slope\": 0", "scores: calibration: field 'slope'"},
        {"\"slope\": 12.5", "\"slope\": -3", "scores: calibration: field 'slope'"},
        {"\"slope\": 12.5,", "", "scores: calibration: field 'slope'"},
        {"\"offset\": -4", "\"offset\": 1e9", "scores: calibration: field 'offset'"},
        {"{\"slope\": 12.5, \"offset\": -4}", "true", "scores: calibration: must be an object"},
        {COHORT, "[]", "scores: cohort: must be an object"},
        {"\"crowd\"", "\"../crowd\"", "scores: cohort: field 'file' must be a plain"},
        {"\"bytes\": 960", "\"bytes\": 0", "scores: cohort: field 'bytes'"},
        {"\"count\": 10,", "", "scores: cohort: field 'count'"},
        {"\"count\": 10", "\"count\": 0", "scores: cohort: field 'count'"},
        {"\"count\": 10", "\"count\": 10001", "scores: cohort: field 'count'"},
        {"\"top\": 4", "\"top\": 0", "scores: cohort: field 'top'"},
        {"\"top\": 4", "\"nearest\": 4", "scores: cohort: field 'nearest' is not known"},
        {"\"floor\": 0.37", "\"floor\": 1.5", "scores: cohort: field 'floor'"},
        {VOICEPRINT, "1", "scores: voiceprint: must be an object"},
        {"\"slope\": 11.5", "\"slope\": 0", "scores: voiceprint: field 'slope'"},
        {"\"slope\": 11.5", "\"slope\": -11.5", "scores: voiceprint: field 'slope'"},
        {"\"offset\": -5.5", "\"offset\": 1001", "scores: voiceprint: field 'offset'"},
        {"\"enrolled_speech\": 0.25, ", "", "scores: voiceprint: field 'enrolled_speech'"},
        {"\"utterance_speech\": -0.5", "\"utterance_speech\": 1e4", "scores: voiceprint: field 'utterance_speech'"},
        {"\"snr\": 0.75", "\"snr\": \"loud\"", "scores: voiceprint: field 'snr'"},
        {"\"threshold\": 0.6", "\"threshold\": 1.01", "scores: voiceprint: field 'threshold'"},
        {"\"same\": 1041", "\"same\": -1", "scores: voiceprint: field 'same'"},
        {"\"other\": 2520", "\"other\": 0.5", "scores: voiceprint: field 'other'"},
        {"\"other\": 2520", "\"others\": 2520", "scores: voiceprint: field 'others' is not known"},
        {"{\"signal\": \"voxlock-1\", \"embedding\": " VECTOR "}", "false", "self_test: must be an object"},
        {"\"signal\": \"voxlock-1\", ", "", "self_test: field 'signal'"},
        {"\"voxlock-1\"", "\"voxlock-2\"", "self_test: field 'signal' is 'voxlock-2'"},
        {"\"voxlock-1\"", "1", "self_test: field 'signal'"},
        {"\"voxlock-1\",", "\"voxlock-1\", \"seconds\": 1,", "self_test: field 'seconds' is not known"},
        {"\"embedding\": " VECTOR, "\"vector\": " VECTOR, "self_test: field 'vector' is not known"},
        {", \"embedding\": " VECTOR, "", "self_test: field 'embedding' must be an array"},
        {VECTOR, "[]", "self_test: field 'embedding' must be an array of 1 to 512"},
        {VECTOR, "{\"0\": 0.25}", "self_test: field 'embedding' must be an array"},
        {VECTOR, "\"AACAPg==\"", "self_test: field 'embedding' must be an array"},
        {"[0.25, ", "[", "'self_test' must hold as many numbers as 'dimension'"},
        {"[0.25, ", "[0.25, 0.25, ", "'self_test' must hold as many numbers as 'dimension'"},
        {"[0.25, ", "[\"0.25\", ", "self_test: embedding must hold only finite numbers; number 1 "},
        {" 0, 7]", " null, 7]", "self_test: embedding must hold only finite numbers; number 23 "},
        {" 0, 7]", " [0], 7]", "self_test: embedding must hold only finite numbers; number 23 "},
        {"[0.25, ", "[1e39, ", "self_test: embedding must hold only finite numbers; number 1 "},
        {"\"artefacts\": {", "\"artefacts\": [], \"_a\": {", "'artefacts' must be an object"},
        {"\"native\": {", "\"nativ\": {", "lacks 'native'"},
        {"\"native\": {", "\"_native\": {", "lacks 'native'"},
        {"\"jit\": {", "\"Jit\": {", "strategy name"},
        {"\"jit\": {", "\"\": {", "strategy name"},
        {"\"jit\": {", "\"abcdefghijklmnop\": {", "strategy name"},
        {"\"jit\": {\"file\"", "\"jit\": {\"path\"", "jit: field 'path' is not known"},
        {"\"abc\"", "\"\"", "jit: field 'file' must be 1 to 63"},
        {"\"abc\"", "\"../abc\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\"..\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\".abc\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\"a/b\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\"/etc/passwd\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\"a\\\\b\"", "jit: field 'file' must be a plain"},
        {"\"abc\"", "\"a\\nb\"", "jit: field 'file' holds a control"},
        {"\"abc\"", too_long, "jit: field 'file' must be 1 to 63"},
        {"\"bytes\": 3", "\"bytes\": 0", "jit: field 'bytes'"},
        {"\"bytes\": 3", "\"bytes\": -1", "jit: field 'bytes'"},
        {"\"bytes\": 3", "\"bytes\": 2147483648", "jit: field 'bytes'"},
        {SHA_ABC, "", "jit: field 'sha256' must be 64"},
        {SHA_ABC, SHA_ABC "0", "jit: field 'sha256' must be 64"},
        {SHA_ABC, "ga" SHA_ZERO, "jit: field 'sha256' must be 64"},
        {"ba7816bf", "xa7816bf", "jit: field 'sha256' must be 64"},
        {"\"cosine_min\": 0.9995", "\"cosine_min\": 1.1", "native: field 'cosine_min'"},
        {"\"load_ms\": 31.5", "\"load_ms\": -1", "native: field 'load_ms'"},
        {"\"load_ms\": 31.5", "\"load_ms\": \"31\"", "native: field 'load_ms'"},
        {"\"bf16\"", "\"int4\"", "jit: field 'precision' is 'int4'"},
        {"\"bf16\"", "\"BF16\"", "jit: field 'precision' is 'BF16'"},
        {"\"bf16\"", "16", "jit: field 'precision'"},
        {"\"_note\": null", "\"jit\": null", ""},
        {"\"_comment\"", "\"comment\"", "'comment' is not known"},
        {"\"format\": 1,", "\"format\": 1", ""},
        {"1,\n", "1, \"_deep\": [[[[[[]]]]]],\n", ""},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = edited(cases[c].from, cases[c].to);
        vx_manifest m, before;
        vx_errinfo info = {0};

        memset(&m, 0x55, sizeof m);
        before = m;
        if (vx_manifest_parse(text, strlen(text), &m, &info) != VX_ERR_MODEL_CORRUPT)
            fail_msg("not refused: %s -> %s", cases[c].from, cases[c].to);
        assert_memory_equal(&m, &before, sizeof m);
        if (info.code != VX_ERR_MODEL_CORRUPT || !strstr(info.text, cases[c].says) || info.text[0] == '\0')
            fail_msg("%s -> %s: '%s' does not say '%s'", cases[c].from, cases[c].to, info.text, cases[c].says);
        free(text);
    }
}

static void test_syntax_faults_name_the_line(void **state)
{
    char *text = edited("\"sample_rate\"", "sample_rate");
    vx_manifest m;
    vx_errinfo info = {0};

    (void)state;
    assert_int_equal(vx_manifest_parse(text, strlen(text), &m, &info), VX_ERR_MODEL_CORRUPT);
    assert_int_equal(info.line, 4);
    assert_int_equal(info.offset, strstr(text, "sample_rate") - text);
    free(text);
}

static void test_not_an_object(void **state)
{
    static const char *const cases[] = {"", "[]", "null", "1", "\"text\"", "{", "{}x"};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_manifest m;

        assert_int_equal(vx_manifest_parse(cases[c], strlen(cases[c]), &m, NULL), VX_ERR_MODEL_CORRUPT);
    }
}

static void test_no_more_than_eight_artefacts(void **state)
{
    static const char entry[] = "{\"file\": \"f\", \"bytes\": 1, \"sha256\": \"" SHA_ZERO "\"}";

    (void)state;
    for (int extra = 6; extra <= 7; extra++) {
        vx_buf list = {0};
        char *text;
        vx_manifest m;

        assert_int_equal(vx_buf_printf(&list, "\"artefacts\": {"), VX_OK);
        for (int i = 0; i < extra; i++)
            assert_int_equal(vx_buf_printf(&list, "\"s%d\": %s, ", i, entry), VX_OK);
        text = edited("\"artefacts\": {", (const char *)list.data);
        assert_int_equal(vx_manifest_parse(text, strlen(text), &m, NULL), extra == 6 ? VX_OK : VX_ERR_MODEL_CORRUPT);
        vx_buf_done(&list);
        free(text);
    }
}

static void test_probability(void **state)
{
    vx_manifest m = {.calibrated = true, .calibration_slope = 10.0, .calibration_offset = -5.0};
    double p = 7.0;

    (void)state;
    assert_true(vx_manifest_probability(&m, 0.5, &p));
    assert_true(p == 0.5);
    assert_true(vx_manifest_probability(&m, 0.7, &p));
    assert_true(fabs(p - 0.88079707797788) < 1e-12);
    m.calibration_slope = 1000.0;
    assert_true(vx_manifest_probability(&m, -1.0, &p));
    assert_true(p >= 0.0 && p < 1e-300);

    p = 7.0;
    m.calibrated = false;
    assert_false(vx_manifest_probability(&m, 0.5, &p));
    assert_true(p == 7.0);
}

static void test_precisions(void **state)
{
    static const struct {
        const char *text;
        vx_precision precision;
    } cases[] = {
        {"\"auto\"", VX_PRECISION_AUTO}, {"\"f32\"", VX_PRECISION_F32}, {"\"bf16\"", VX_PRECISION_BF16},
        {"\"int8\"", VX_PRECISION_INT8}, {"null", VX_PRECISION_AUTO},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = edited("\"bf16\"", cases[c].text);
        vx_manifest m;

        assert_int_equal(vx_manifest_parse(text, strlen(text), &m, NULL), VX_OK);
        assert_int_equal(vx_manifest_artefact(&m, "jit")->precision, cases[c].precision);
        free(text);
    }
    assert_string_equal(vx_precision_name(VX_PRECISION_AUTO), "auto");
    assert_string_equal(vx_precision_name(VX_PRECISION_F32), "f32");
    assert_string_equal(vx_precision_name(VX_PRECISION_BF16), "bf16");
    assert_string_equal(vx_precision_name(VX_PRECISION_INT8), "int8");
}

static void test_calibration_is_optional(void **state)
{
    static const char *const cases[] = {"", ", \"calibration\": null"};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = edited(", \"calibration\": {\"slope\": 12.5, \"offset\": -4}", cases[c]);
        vx_manifest m;

        assert_int_equal(vx_manifest_parse(text, strlen(text), &m, NULL), VX_OK);
        assert_false(m.calibrated);
        free(text);
    }
}

static void test_cohort_and_voiceprint_are_optional(void **state)
{
    static const struct {
        const char *from, *to;
        int count;
        bool calibrated;
    } cases[] = {
        {"\"cohort\": " COHORT ", ", "", 0, true},
        {"\"cohort\": " COHORT, "\"cohort\": null", 0, true},
        {", \"voiceprint\": " VOICEPRINT, "", 10, false},
        {"\"voiceprint\": " VOICEPRINT, "\"voiceprint\": null", 10, false},
    };

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = edited(cases[c].from, cases[c].to);
        vx_manifest m;

        assert_int_equal(vx_manifest_parse(text, strlen(text), &m, NULL), VX_OK);
        assert_int_equal(m.cohort_count, cases[c].count);
        assert_true(m.score_calibrated == cases[c].calibrated);
        free(text);
    }
}

static void test_self_test_is_optional(void **state)
{
    static const char *const cases[] = {"", "\"self_test\": null,", "\"_self_test\": [],"};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char *text = edited("\"self_test\": {\"signal\": \"voxlock-1\", \"embedding\": " VECTOR "},", cases[c]);
        vx_manifest m;

        assert_int_equal(vx_manifest_parse(text, strlen(text), &m, NULL), VX_OK);
        assert_int_equal(m.self_test_dim, 0);
        free(text);
    }
}

/* One more than an embedding may have: nothing is written past the manifest's own array. */
static void test_self_test_beyond_512_numbers(void **state)
{
    vx_buf list = {0};
    vx_manifest m;
    vx_errinfo info = {0};
    char *text;

    (void)state;
    assert_int_equal(vx_buf_printf(&list, "[0"), VX_OK);
    for (int i = 1; i < VX_EMBEDDING_MAX_DIM + 1; i++)
        assert_int_equal(vx_buf_printf(&list, ", 1"), VX_OK);
    assert_int_equal(vx_buf_printf(&list, "]"), VX_OK);
    text = edited(VECTOR, (const char *)list.data);
    assert_int_equal(vx_manifest_parse(text, strlen(text), &m, &info), VX_ERR_MODEL_CORRUPT);
    assert_non_null(strstr(info.text, "self_test: field 'embedding' must be an array of 1 to 512"));
    vx_buf_done(&list);
    free(text);
}

/* A folder of its own for each test, with the files that the test names; removed afterwards. */
static int make_folder(void **state)
{
    char *folder = strdup("/tmp/voxlock-manifest-XXXXXX");

    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *f;

    assert_int_equal(vx_path_join(folder, name, path, sizeof path), VX_OK);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {VX_MANIFEST_NAME, "abc", "dir", "empty"};
    char path[256];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (vx_path_join(*state, names[i], path, sizeof path) == VX_OK)
            (void)remove(path);
    }
    (void)rmdir(*state);
    free(*state);
    return 0;
}

static void test_reads_real_folders(void **state)
{
    static const struct {
        const char *folder, *name;
    } cases[] = {{GOLDEN, "golden-ecapa-64"}, {"models/starter", "voxlock-starter-256"}};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_manifest m;
        vx_map map = {0};
        vx_errinfo info = {0};

        if (vx_manifest_read(cases[c].folder, &m, &info))
            fail_msg("%s: %s", info.path, info.text);
        assert_string_equal(m.name, cases[c].name);
        assert_int_equal(m.dim, 192);
        assert_int_equal(m.fbank.window_len, 400);
        assert_int_equal(m.fbank.subtract_mean, 1);
        assert_true(m.score_calibrated == (c == 1) && (m.cohort_count > 0) == (c == 1));
        if (vx_manifest_open_artefact(cases[c].folder, vx_manifest_artefact(&m, "native"), &map, &info))
            fail_msg("%s: %s", info.path, info.text);
        assert_int_equal(map.len, m.artefacts[0].bytes);
        vx_map_close(&map);
    }
}

static void test_unreadable_folders(void **state)
{
    const char *folder = *state;
    static char long_name[5000];
    char *text = edited("\"tiny\"", "tiny");
    vx_manifest m, before;
    vx_errinfo info = {0};

    memset(&m, 0x55, sizeof m);
    before = m;
    assert_int_equal(vx_manifest_read(folder, &m, &info), VX_ERR_MODEL_MISSING);
    assert_non_null(strstr(info.path, VX_MANIFEST_NAME));
    assert_int_equal(vx_manifest_read("/nonexistent/folder", &m, NULL), VX_ERR_MODEL_MISSING);
    memset(long_name, 'x', sizeof long_name - 1);
    assert_int_equal(vx_manifest_read(long_name, &m, NULL), VX_ERR_MODEL_MISSING);

    info = (vx_errinfo){0};
    write_file(folder, VX_MANIFEST_NAME, text);
    assert_int_equal(vx_manifest_read(folder, &m, &info), VX_ERR_MODEL_CORRUPT);
    assert_non_null(strstr(info.path, VX_MANIFEST_NAME));
    assert_int_equal(info.line, 3);
    assert_memory_equal(&m, &before, sizeof m);
    free(text);
}

static void test_manifest_over_one_mebibyte(void **state)
{
    size_t n = (1u << 20) + 1;
    char *text = malloc(n + 1);
    vx_manifest m;
    vx_errinfo info = {0};

    assert_non_null(text);
    memset(text, ' ', n);
    memcpy(text, good, sizeof good - 1);
    text[n - 1] = '\0';
    write_file(*state, VX_MANIFEST_NAME, text);
    assert_int_equal(vx_manifest_read(*state, &m, &info), VX_OK);
    text[n - 1] = ' ';
    text[n] = '\0';
    write_file(*state, VX_MANIFEST_NAME, text);
    assert_int_equal(vx_manifest_read(*state, &m, &info), VX_ERR_MODEL_CORRUPT);
    free(text);
}

static void test_artefacts_are_proven(void **state)
{
    static const struct {
        const char *content;
        vx_err expected;
        const char *says;
    } cases[] = {
        {"abc", VX_OK, ""},
        {"abd", VX_ERR_MODEL_HASH, "where the manifest states " SHA_ABC},
        {"abcd", VX_ERR_MODEL_HASH, "4 bytes where the manifest states 3"},
        {"ab", VX_ERR_MODEL_HASH, "2 bytes where the manifest states 3"},
    };
    const char *folder = *state;
    char path[256];
    vx_manifest m;
    vx_artefact a;

    assert_int_equal(vx_manifest_parse(good, sizeof good - 1, &m, NULL), VX_OK);
    a = *vx_manifest_artefact(&m, "jit");
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_map map = {0};
        vx_errinfo info = {0};

        write_file(folder, "abc", cases[c].content);
        assert_int_equal(vx_manifest_open_artefact(folder, &a, &map, &info), cases[c].expected);
        assert_true((map.data != NULL) == (cases[c].expected == VX_OK));
        assert_non_null(strstr(info.text, cases[c].says));
        assert_true(cases[c].expected == VX_OK || strstr(info.path, "/abc"));
        vx_map_close(&map);
    }

    vx_map map = {0};
    strncpy(a.file, "none", sizeof a.file - 1);
    assert_int_equal(vx_manifest_open_artefact(folder, &a, &map, NULL), VX_ERR_MODEL_MISSING);
    assert_int_equal(vx_path_join(folder, "dir", path, sizeof path), VX_OK);
    assert_int_equal(mkdir(path, 0700), 0);
    strncpy(a.file, "dir", sizeof a.file - 1);
    assert_int_equal(vx_manifest_open_artefact(folder, &a, &map, NULL), VX_ERR_IO);
    write_file(folder, "empty", "");
    strncpy(a.file, "empty", sizeof a.file - 1);
    assert_int_equal(vx_manifest_open_artefact(folder, &a, &map, NULL), VX_ERR_IO);
    assert_null(map.data);
}

static vx_err attempt_read(void *ctx)
{
    vx_manifest m;
    vx_errinfo info = {0};

    (void)ctx;
    return vx_manifest_read(GOLDEN, &m, &info);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(attempt_read, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_value),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_syntax_faults_name_the_line),
        cmocka_unit_test(test_not_an_object),
        cmocka_unit_test(test_no_more_than_eight_artefacts),
        cmocka_unit_test(test_probability),
        cmocka_unit_test(test_precisions),
        cmocka_unit_test(test_calibration_is_optional),
        cmocka_unit_test(test_cohort_and_voiceprint_are_optional),
        cmocka_unit_test(test_self_test_is_optional),
        cmocka_unit_test(test_self_test_beyond_512_numbers),
        cmocka_unit_test(test_reads_real_folders),
        cmocka_unit_test_setup_teardown(test_unreadable_folders, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_manifest_over_one_mebibyte, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_artefacts_are_proven, make_folder, remove_folder),
        cmocka_unit_test(test_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
