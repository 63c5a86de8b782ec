/* test_err.c - the list of error codes, and filling a vx_errinfo. */
#include "shared/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The contract with clients, written down a second time: an entry may be added here, never changed. */
static const struct {
    int value;
    const char *code;
} frozen[] = {
    {0, "ok"},
    {-1, "out_of_memory"},
    {-2, "internal"},
    {-3, "bad_argument"},
    {-4, "size_overflow"},
    {-5, "out_of_range"},
    {-6, "io"},
    {-7, "not_found"},
    {-8, "permission"},
    {-9, "unsupported"},
    {-10, "busy"},
    {-11, "shutting_down"},
    {-12, "deadline_exceeded"},
    {-13, "not_ready"},
    {-14, "client_limit"},
    {-15, "circuit_open"},
    {-20, "bad_base64"},
    {-21, "bad_json"},
    {-22, "json_too_complex"},
    {-23, "bad_field"},
    {-24, "bad_gzip"},
    {-30, "unknown_audio_format"},
    {-31, "corrupt_audio"},
    {-32, "empty_audio"},
    {-33, "audio_too_short"},
    {-34, "audio_too_long"},
    {-35, "silent_audio"},
    {-36, "audio_not_finite"},
    {-37, "audio_over_scale"},
    {-38, "sample_rate_out_of_range"},
    {-39, "no_speech"},
    {-40, "too_quiet"},
    {-41, "clipped"},
    {-42, "too_noisy"},
    {-50, "model_missing"},
    {-51, "model_corrupt"},
    {-52, "model_hash_mismatch"},
    {-53, "model_shape"},
    {-54, "model_mismatch"},
    {-55, "engine_failed"},
    {-60, "unknown_setting"},
    {-61, "bad_setting"},
    {-70, "unauthorized"},
    {-71, "invalid_token"},
    {-80, "store_corrupt"},
    {-81, "store_key"},
    {-82, "store_version"},
    {-83, "store_locked"},
    {-84, "audit_broken"},
    {-85, "exists"},
    {-86, "not_enrolled"},
    {-87, "legacy_profile"},
    {-88, "another_voice"},
    {-89, "voice_taken"},
    {-90, "network"},
    {-91, "cloud_refused"},
    {-92, "cloud_answer"},
    {-93, "no_identity_token"},
    {-94, "uncalibrated"},
    {-95, "bad_list"},
};

static const struct {
    vx_err err;
    int value;
} listed[] = {
#define ENTRY(name, value, code, sentence) {VX_ERR_##name, (value)},
    VX_ERR_LIST(ENTRY)
#undef ENTRY
};

static void codes_are_frozen(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(frozen); i++)
        assert_string_equal(vx_err_code((vx_err)frozen[i].value), frozen[i].code);
    assert_int_equal(COUNT(frozen), COUNT(listed) + 1); /* a new code is frozen from its first day */
}

static void codes_are_distinct_and_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(listed); i++) {
        assert_true(listed[i].value < 0);
        const char *sentence = vx_err_sentence(listed[i].err);
        assert_true(strlen(sentence) > 10);
        assert_int_not_equal(sentence[strlen(sentence) - 1], '.');
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(listed[i].value, listed[k].value);
            assert_string_not_equal(vx_err_code(listed[i].err), vx_err_code(listed[k].err));
        }
    }
}

static void unknown_value_is_internal(void **state)
{
    (void)state;
    assert_string_equal(vx_err_code((vx_err)-9999), "internal");
    assert_string_equal(vx_err_sentence((vx_err)1), vx_err_sentence(VX_ERR_INTERNAL));
    assert_string_equal(vx_err_sentence(VX_OK), "no error");
}

static void first_error_wins(void **state)
{
    (void)state;
    vx_errinfo info = {0};
    assert_int_equal(vx_errinfo_set_at(&info, VX_ERR_IO, "/a/file", 12, 3, "bad byte %d", 7), VX_ERR_IO);
    assert_int_equal(vx_errinfo_set(&info, VX_ERR_NOMEM, "later"), VX_ERR_NOMEM);
    assert_int_equal(info.code, VX_ERR_IO);
    assert_int_equal(info.offset, 12);
    assert_int_equal(info.line, 3);
    assert_string_equal(info.path, "/a/file");
    assert_string_equal(info.text, "bad byte 7");
}

static void place_is_unknown_by_default(void **state)
{
    (void)state;
    vx_errinfo info = {0};
    assert_int_equal(vx_errinfo_set(&info, VX_ERR_RANGE, "x"), VX_ERR_RANGE);
    assert_int_equal(info.offset, -1);
    assert_int_equal(info.line, 0);
    assert_string_equal(info.path, "");
    assert_int_equal(vx_errinfo_set(NULL, VX_ERR_RANGE, "x"), VX_ERR_RANGE);
    assert_int_equal(vx_errinfo_set_at(NULL, VX_ERR_IO, "p", 0, 0, "x"), VX_ERR_IO);
}

static void text_falls_back_to_sentence(void **state)
{
    (void)state;
    vx_errinfo info = {0};
    assert_string_equal(vx_errinfo_text(&info, VX_ERR_IO), vx_err_sentence(VX_ERR_IO));
    assert_string_equal(vx_errinfo_text(NULL, VX_ERR_IO), vx_err_sentence(VX_ERR_IO));
    (void)vx_errinfo_set(&info, VX_ERR_IO, "%s", "");
    assert_string_equal(vx_errinfo_text(&info, VX_ERR_IO), vx_err_sentence(VX_ERR_IO));
    vx_errinfo filled = {0};
    (void)vx_errinfo_set(&filled, VX_ERR_IO, "disk on fire");
    assert_string_equal(vx_errinfo_text(&filled, VX_ERR_IO), "disk on fire");
}

/* A tail that straddles the end of the field, at every position: whole characters stay, halves go. */
static void long_text_is_cut_between_characters(void **state)
{
    (void)state;
    static const char *const tails[] = {"x", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x94\x92"};
    enum { FIELD = sizeof((vx_errinfo *)0)->text };
    for (size_t t = 0; t < COUNT(tails); t++) {
        for (size_t fill = FIELD - 6; fill <= FIELD; fill++) {
            char text[2 * FIELD];
            memset(text, 'a', fill);
            snprintf(text + fill, sizeof text - fill, "%s", tails[t]);
            size_t room = FIELD - 1;
            size_t want = fill > room ? room : strlen(text) <= room ? strlen(text) : fill;

            vx_errinfo info = {0};
            (void)vx_errinfo_set_at(&info, VX_ERR_IO, text, -1, 0, "%s", text);
            assert_int_equal(strlen(info.text), want);
            assert_memory_equal(info.text, text, want);
            assert_string_equal(info.path, info.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_frozen),
        cmocka_unit_test(codes_are_distinct_and_said),
        cmocka_unit_test(unknown_value_is_internal),
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(place_is_unknown_by_default),
        cmocka_unit_test(text_falls_back_to_sentence),
        cmocka_unit_test(long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
