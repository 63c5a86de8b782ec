/* test_json.c - the parser's grammar, limits and error places; field access; float32 through text and back. */
#include "shared/base/json.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/comma_locale.h"

#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
/* A literal and its length, so that zero bytes can stand in it. */
#define TEXT(literal) literal, sizeof(literal) - 1

static const vx_json_limits wide = {.max_depth = 32, .max_values = 100000};

static json_t *parse(const char *text)
{
    json_t *root = NULL;
    vx_errinfo info = {0};

    if (vx_json_parse(text, strlen(text), wide, &root, &info) != VX_OK)
        fail_msg("%s: %s", text, info.text);
    return root;
}

/* ---- parser --------------------------------------------------------------------------------------------------- */

static void good_text_means_what_jansson_says(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        "[]",
        " \t\r\n[ ] ",
        "{\"a\":1}",
        "{\"a\" : {\"a\":[{\"a\":[]}]}, \"b\":\"\"}",
        "[true,false,null]",
        "[0,-0,1,-1,10,9223372036854775807,-9223372036854775808]",
        "[0.0,-0.0,0.5,-12.25,1e0,1E5,1e+5,1e-5,123.456e-7,5e-324,1e-400,1.7976931348623157e308]",
        "[0.1000000014901161193847656250000000000000000000000000000000001]",
        "[\"\",\"a\",\"plain text that is longer than one machine word\"]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        "[\"\\u0041\\u00e4\\u20AC\\uD834\\udd1e\"]",
        "[\"a\\nb\\nc\", \"\\n\", \"x\\u00e4\"]",
        "[\"\x7f \xc2\x80 \xc3\xa4 \xe2\x82\xac \xf0\x9d\x84\x9e \xf4\x8f\xbf\xbf\"]",
        "{\"\":1,\" \":2,\"k\\u00e4y\":3,\"\xc3\xa4\":4}",
        "\"root\"",
        "17",
        "null",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_error_t error;
        json_t *want = json_loads(cases[i], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        assert_non_null(want);
        json_t *got = parse(cases[i]);
        if (!json_equal(got, want))
            fail_msg("%s: not the values that jansson finds", cases[i]);
        json_decref(got);
        json_decref(want);
    }
}

static void bad_text_is_placed_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        int offset, line;
        const char *says;
    } cases[] = {
        {TEXT(""), 0, 1, "ends too early"},
        {TEXT(" \n "), 3, 2, "ends too early"},
        {TEXT("{"), 1, 1, "ends too early"},
        {TEXT("["), 1, 1, "ends too early"},
        {TEXT("[1"), 2, 1, "ends too early"},
        {TEXT("[1,"), 3, 1, "ends too early"},
        {TEXT("[1,]"), 3, 1, "a value"},
        {TEXT("[1 2]"), 3, 1, "a comma or ']'"},
        {TEXT("[1}"), 2, 1, "a comma or ']'"},
        {TEXT("{\"a\"}"), 4, 1, "a colon"},
        {TEXT("{\"a\":}"), 5, 1, "a value"},
        {TEXT("{\"a\":1,}"), 7, 1, "a key"},
        {TEXT("{\"a\":1 \"b\":2}"), 7, 1, "a comma or '}'"},
        {TEXT("{a:1}"), 1, 1, "a key"},
        {TEXT("{\"a\":1,\n \"b\":2,\n \"a\":3}"), 17, 3, "already has"},
        {TEXT("{\"a\":1,\"\\u0061\":2}"), 7, 1, "already has"},
        {TEXT("[] []"), 3, 1, "something follows"},
        {TEXT("[]\0"), 2, 1, "something follows"},
        {TEXT("\0[]"), 0, 1, "a value"},
        {TEXT("\xef\xbb\xbf[]"), 0, 1, "a value"},
        {TEXT("[tru]"), 1, 1, "a value"},
        {TEXT("[True]"), 1, 1, "a value"},
        {TEXT("[NaN]"), 1, 1, "a value"},
        {TEXT("[-]"), 2, 1, "a digit"},
        {TEXT("[+1]"), 1, 1, "a value"},
        {TEXT("[.5]"), 1, 1, "a value"},
        {TEXT("[5.]"), 3, 1, "behind the point"},
        {TEXT("[01]"), 1, 1, "no zero in front"},
        {TEXT("[-01]"), 2, 1, "no zero in front"},
        {TEXT("[1e]"), 3, 1, "in the exponent"},
        {TEXT("[1e+]"), 4, 1, "in the exponent"},
        {TEXT("[0x10]"), 2, 1, "a comma"},
        {TEXT("[1e400]"), 1, 1, "out of range"},
        {TEXT("[-1e400]"), 1, 1, "out of range"},
        {TEXT("[9223372036854775808]"), 1, 1, "out of range"},
        {TEXT("[-9223372036854775809]"), 1, 1, "out of range"},
        {TEXT("[99999999999999999999]"), 1, 1, "out of range"},
        {TEXT("[\"abc"), 5, 1, "ends too early"},
        {TEXT("[\"abc\\"), 6, 1, "ends too early"},
        {TEXT("[\"\\x\"]"), 3, 1, "unknown escape"},
        {TEXT("[\"\\\0\"]"), 3, 1, "unknown escape"},
        {TEXT("[\"\\u12g4\"]"), 4, 1, "hex digits"},
        {TEXT("[\"\\u12"), 4, 1, "hex digits"},
        {TEXT("[\"\\u0000\"]"), 4, 1, "\\u0000"},
        {TEXT("[\"\\ud800\"]"), 4, 1, "surrogate"},
        {TEXT("[\"\\ud800\\u0041\"]"), 4, 1, "surrogate"},
        {TEXT("[\"\\udc00\\ud800\"]"), 4, 1, "surrogate"},
        {TEXT("[\"a\0b\"]"), 3, 1, "a control character"},
        {TEXT("[\"line\nbreak\"]"), 6, 1, "a control character"},
        {TEXT("[\"12345678901234567\x1f\"]"), 19, 1, "a control character"},
        {TEXT("[\"\xff\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\x80\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\xc0\xaf\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\xe0\x9f\xbf\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\xed\xa0\x80\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\xf4\x90\x80\x80\"]"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"\xc3"), 2, 1, "invalid UTF-8"},
        {TEXT("[\"12345678901\xe2\x82"), 13, 1, "invalid UTF-8"},
        {TEXT("{\"\xff\":1}"), 2, 1, "invalid UTF-8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *root = (json_t *)&cases;
        vx_errinfo info = {0};
        vx_err err = vx_json_parse(cases[i].text, cases[i].len, wide, &root, &info);
        if (err != VX_ERR_JSON_SYNTAX || info.code != err || info.offset != cases[i].offset ||
            info.line != cases[i].line || !strstr(info.text, cases[i].says))
            fail_msg("case %zu %s: %s at %lld, line %d: %s", i, cases[i].text, vx_err_code(err), (long long)info.offset,
                     info.line, info.text);
        assert_ptr_equal(root, &cases);
    }
}

static void limits_bind_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t depth, values;
    } cases[] = {
        {"1", 0, 1},
        {"[]", 1, 1},
        {"[[[]]]", 3, 3},
        {"[[],[],{}]", 2, 4},
        {"{\"a\":{\"b\":[1,\"]]]]{{{{\"]}}", 3, 7},
        {"[1,2.5,\"x\",true,null]", 1, 6},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t len = strlen(cases[i].text);
        json_t *root = NULL;
        vx_errinfo info = {0};
        vx_json_limits limits = {cases[i].depth, cases[i].values};
        assert_int_equal(vx_json_parse(cases[i].text, len, limits, &root, &info), VX_OK);
        json_decref(root);
        limits.max_values--;
        assert_int_equal(vx_json_parse(cases[i].text, len, limits, &root, &info), VX_ERR_JSON_LIMIT);
        assert_non_null(strstr(info.text, "too many values"));
        if (cases[i].depth == 0)
            continue;
        limits = (vx_json_limits){cases[i].depth - 1, cases[i].values};
        assert_int_equal(vx_json_parse(cases[i].text, len, limits, &root, NULL), VX_ERR_JSON_LIMIT);
    }
}

/* A caller that asks for any depth gets one that a small stack survives. */
static void depth_has_a_ceiling(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    static char text[DEPTH];
    json_t *root = NULL;
    vx_json_limits limits = {SIZE_MAX, SIZE_MAX};

    memset(text, '[', sizeof text);
    assert_int_equal(vx_json_parse(text, sizeof text, limits, &root, NULL), VX_ERR_JSON_LIMIT);
    memset(text + 512, ']', 512);
    assert_int_equal(vx_json_parse(text, 1024, limits, &root, NULL), VX_OK);
    json_decref(root);
}

static void endless_numbers_are_refused(void **state)
{
    (void)state;
    char text[1000] = "0.";
    json_t *root = NULL;

    memset(text + 2, '3', sizeof text - 2);
    assert_int_equal(vx_json_parse(text, sizeof text, wide, &root, NULL), VX_ERR_JSON_LIMIT);
    assert_int_equal(vx_json_parse(text, 400, wide, &root, NULL), VX_OK);
    assert_true(json_real_value(root) == 1.0 / 3);
    json_decref(root);
}

/* The word-wise scan of strings must see every special byte at every place in a word. */
static void specials_are_seen_at_every_offset(void **state)
{
    (void)state;
    static const struct {
        char byte;
        vx_err want;
    } cases[] = {
        {'\x1f', VX_ERR_JSON_SYNTAX},
        {'\0', VX_ERR_JSON_SYNTAX},
        {'\\', VX_ERR_JSON_SYNTAX},
        {'"', VX_ERR_JSON_SYNTAX},
        {'\x80', VX_ERR_JSON_SYNTAX},
        {'\x20', VX_OK},
        {'!', VX_OK},
        {'#', VX_OK},
        {'[', VX_OK},
        {']', VX_OK},
        {'\x7f', VX_OK},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t at = 1; at <= 40; at++) {
            char text[42];
            json_t *root = NULL;
            memset(text, 'A', sizeof text);
            text[0] = text[sizeof text - 1] = '"';
            text[at] = cases[i].byte;
            vx_err err = vx_json_parse(text, sizeof text, wide, &root, NULL);
            if (err != cases[i].want)
                fail_msg("byte 0x%02x at %zu: %s", (uint8_t)cases[i].byte, at, vx_err_code(err));
            json_decref(root);
        }
    }
}

/* ---- fields --------------------------------------------------------------------------------------------------- */

static void text_fields(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool required;
        const char *want, *says; /* both NULL: absent, and fine */
    } cases[] = {
        {"{\"audio_data\":\"AAAA\"}", true, "AAAA", NULL},
        {"{\"audio_data\":\"\"}", true, "", NULL},
        {"{}", false, NULL, NULL},
        {"{\"audio_data\":null}", false, NULL, NULL},
        {"{\"audio_data\":null}", true, NULL, "field 'audio_data' is required"},
        {"{}", true, NULL, "field 'audio_data' is required"},
        {"{\"audio_data\":7}", true, NULL, "field 'audio_data' must be a string"},
        {"{\"audio_data\":[]}", false, NULL, "field 'audio_data' must be a string"},
        {"[]", false, NULL, "an object with the field 'audio_data' was expected"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *obj = parse(cases[i].json);
        const char *text = "untouched";
        size_t len = 77;
        vx_errinfo info = {0};
        vx_err err = vx_json_text(obj, "audio_data", cases[i].required, &text, &len, &info);
        assert_int_equal(err, cases[i].says ? VX_ERR_JSON_FIELD : VX_OK);
        assert_string_equal(info.text, cases[i].says ? cases[i].says : "");
        assert_string_equal(text, cases[i].want ? cases[i].want : "untouched");
        assert_int_equal(len, cases[i].want ? strlen(cases[i].want) : 77);
        json_decref(obj);
    }
}

static void number_fields(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        vx_err want_int, want_real;
        int64_t num;
        double real;
    } cases[] = {
        {"{\"n\":8000}", VX_OK, VX_OK, 8000, 8000},
        {"{\"n\":192000}", VX_OK, VX_OK, 192000, 192000},
        {"{\"n\":16000.0}", VX_OK, VX_OK, 16000, 16000},
        {"{\"n\":1.6e4}", VX_OK, VX_OK, 16000, 16000},
        {"{\"n\":16000.5}", VX_ERR_JSON_FIELD, VX_OK, 0, 16000.5},
        {"{\"n\":7999}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":192001}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":1e300}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":-9223372036854775808}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":\"16000\"}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":true}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
        {"{\"n\":null}", VX_ERR_JSON_FIELD, VX_ERR_JSON_FIELD, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *obj = parse(cases[i].json);
        int64_t num = 77;
        double real = 77;
        assert_int_equal(vx_json_int(obj, "n", true, 8000, 192000, &num, NULL), cases[i].want_int);
        assert_int_equal(num, cases[i].want_int == VX_OK ? cases[i].num : 77);
        assert_int_equal(vx_json_real(obj, "n", true, 8000, 192000, &real, NULL), cases[i].want_real);
        assert_true(real == (cases[i].want_real == VX_OK ? cases[i].real : 77));
        json_decref(obj);
    }

    json_t *obj = parse("{\"n\":null}");
    int64_t num = 77;
    vx_errinfo info = {0};
    assert_int_equal(vx_json_int(obj, "n", false, 1, 2, &num, NULL), VX_OK);
    assert_int_equal(num, 77);
    assert_int_equal(vx_json_int(obj, "sample_rate", true, 8000, 192000, &num, &info), VX_ERR_JSON_FIELD);
    assert_string_equal(info.text, "field 'sample_rate' is required");
    json_object_set_new(obj, "n", json_integer(3));
    info = (vx_errinfo){0};
    assert_int_equal(vx_json_int(obj, "n", false, 1, 2, &num, &info), VX_ERR_JSON_FIELD);
    assert_string_equal(info.text, "field 'n' must be a whole number from 1 to 2");
    json_decref(obj);
}

static void bool_fields(void **state)
{
    (void)state;
    json_t *obj = parse("{\"t\":true,\"f\":false,\"n\":1,\"z\":null}");
    bool value = false;
    vx_errinfo info = {0};

    assert_int_equal(vx_json_bool(obj, "t", true, &value, &info), VX_OK);
    assert_true(value);
    assert_int_equal(vx_json_bool(obj, "z", false, &value, &info), VX_OK);
    assert_true(value);
    assert_int_equal(vx_json_bool(obj, "f", true, &value, &info), VX_OK);
    assert_false(value);
    assert_int_equal(vx_json_bool(obj, "n", false, &value, &info), VX_ERR_JSON_FIELD);
    assert_string_equal(info.text, "field 'n' must be true or false");
    json_decref(obj);
}

static void float_arrays(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *says;
    } cases[] = {
        {"[1,-2.5,3e38]", NULL},
        {"[1,2]", "reference_embedding must be an array of 3 numbers"},
        {"[1,2,3,4]", "reference_embedding must be an array of 3 numbers"},
        {"{}", "reference_embedding must be an array of 3 numbers"},
        {"[1,2,\"3\"]", "reference_embedding must hold only finite numbers; number 3 is not one"},
        {"[1,null,3]", "reference_embedding must hold only finite numbers; number 2 is not one"},
        {"[1e39,2,3]", "reference_embedding must hold only finite numbers; number 1 is not one"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *array = parse(cases[i].json);
        float got[3] = {77, 77, 77};
        const float want[3] = {1, -2.5f, 3e38f}, untouched[3] = {77, 77, 77};
        vx_errinfo info = {0};
        vx_err err = vx_json_floats(array, "reference_embedding", 3, got, &info);
        assert_int_equal(err, cases[i].says ? VX_ERR_JSON_FIELD : VX_OK);
        assert_string_equal(info.text, cases[i].says ? cases[i].says : "");
        assert_memory_equal(got, cases[i].says ? untouched : want, sizeof got);
        json_decref(array);
    }
    assert_int_equal(vx_json_floats(NULL, "x", 0, NULL, NULL), VX_ERR_JSON_FIELD);
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

static void assert_round_trip(const float *values, size_t n)
{
    json_t *array = vx_json_from_floats(values, n), *back = NULL;
    vx_buf text = {0};
    float *got = malloc(n * sizeof *got);

    assert_non_null(array);
    assert_non_null(got);
    assert_int_equal(vx_json_write(array, &text), VX_OK);
    assert_int_equal(vx_json_parse((const char *)text.data, text.len, wide, &back, NULL), VX_OK);
    assert_int_equal(vx_json_floats(back, "values", n, got, NULL), VX_OK);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&got[i], &values[i], sizeof(float)) != 0)
            fail_msg("%a came back as %a", (double)values[i], (double)got[i]);
    }
    free(got);
    json_decref(array);
    json_decref(back);
    vx_buf_done(&text);
}

static void floats_round_trip(void **state)
{
    (void)state;
    static const float edges[] = {0.0f,        -0.0f,       0.1f,          -0.1f,       1e-9f,           FLT_MIN,
                                  -FLT_MIN,    FLT_MAX,     FLT_TRUE_MIN,  FLT_EPSILON, 1.17549421e-38f, 1.0f / 3,
                                  16777216.0f, 16777217.0f, 0x1.fffffep-1f};
    enum { N = 20000 };
    static float values[N];
    unsigned seed = (unsigned)time(NULL);
    uint64_t random = seed;

    assert_round_trip(edges, COUNT(edges));
    print_message("# seed %u\n", seed);
    for (size_t i = 0; i < N;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t bits = (uint32_t)(random >> 32);
        memcpy(&values[i], &bits, sizeof bits);
        i += isfinite(values[i]) ? 1 : 0;
    }
    assert_round_trip(values, N);
}

static void written_text(void **state)
{
    (void)state;
    static const struct {
        const char *json, *want;
    } cases[] = {
        {"{\"b\" : 1, \"a\" : [ 0.1, 2.50, 1e3, -7 ]}", "{\"b\":1,\"a\":[0.1,2.5,1000.0,-7]}"},
        {"\"\\u00e4\\n\\/\"", "\"\xc3\xa4\\n/\""},
        {"[]", "[]"},
        {"null", "null"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *root = parse(cases[i].json);
        vx_buf text = {0};
        assert_int_equal(vx_buf_append(&text, "> ", 2), VX_OK);
        assert_int_equal(vx_json_write(root, &text), VX_OK);
        assert_int_equal(text.len, strlen(cases[i].want) + 2);
        assert_memory_equal(text.data + 2, cases[i].want, text.len - 2);
        vx_buf_done(&text);
        json_decref(root);
    }
}

static void full_buffer_stays_as_it_was(void **state)
{
    (void)state;
    json_t *root = parse("[1,2,3,4,5,6,7,8,9]");
    vx_buf text = {.limit = 8};

    assert_int_equal(vx_buf_append(&text, "abc", 3), VX_OK);
    assert_int_equal(vx_json_write(root, &text), VX_ERR_OVERFLOW);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "abc", 3);
    vx_buf_done(&text);
    json_decref(root);
}

static void locale_does_not_matter(void **state)
{
    (void)state;
    if (!vx_comma_locale_enter())
        skip();
    json_t *root = parse("[0.5,-1.25e2,3]");
    vx_buf text = {0};
    vx_err err = vx_json_write(root, &text);
    vx_comma_locale_leave();

    assert_int_equal(err, VX_OK);
    assert_int_equal(text.len, strlen("[0.5,-125.0,3]"));
    assert_memory_equal(text.data, "[0.5,-125.0,3]", text.len);
    vx_buf_done(&text);
    json_decref(root);
}

/* ---- out of memory -------------------------------------------------------------------------------------------- */

static vx_err attempt_parse(void *ctx)
{
    static const char text[] = "{\"plain\":\"text\",\"esc\\u0061ped\":\"\\n\",\"list\":[1,2.5,true,null,{}]}";
    json_t *root = NULL;
    vx_err err = vx_json_parse(text, sizeof text - 1, wide, &root, NULL);

    (void)ctx;
    assert_true((err == VX_OK) == (root != NULL));
    json_decref(root);
    return err;
}

static vx_err attempt_write(void *ctx)
{
    static const float values[] = {1, 2, 3};
    vx_buf text = {0};
    vx_err err = VX_ERR_NOMEM;
    json_t *array = vx_json_from_floats(values, COUNT(values));

    (void)ctx;
    if (array)
        err = vx_json_write(array, &text);
    assert_true(err == VX_OK || text.len == 0);
    vx_buf_done(&text);
    json_decref(array);
    return err;
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    json_malloc_t old_malloc;
    json_free_t old_free;

    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(malloc, free);
    vx_alloc_fail_each(attempt_parse, NULL);
    vx_alloc_fail_each(attempt_write, NULL);
    json_set_alloc_funcs(old_malloc, old_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_text_means_what_jansson_says),
        cmocka_unit_test(bad_text_is_placed_and_named),
        cmocka_unit_test(limits_bind_exactly),
        cmocka_unit_test(depth_has_a_ceiling),
        cmocka_unit_test(endless_numbers_are_refused),
        cmocka_unit_test(specials_are_seen_at_every_offset),
        cmocka_unit_test(text_fields),
        cmocka_unit_test(number_fields),
        cmocka_unit_test(bool_fields),
        cmocka_unit_test(float_arrays),
        cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(written_text),
        cmocka_unit_test(full_buffer_stays_as_it_was),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
