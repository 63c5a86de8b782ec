/* test_problem.c - which failure becomes which answer, and what the answer holds. */
#include "cloud/problem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"

static json_t *parse_body(const vx_reply *reply)
{
    json_t *root = json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text(const json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(root, key));
    return value ? value : "";
}

static void every_error_has_its_status(void **state)
{
    (void)state;
    /* The whole list, so that a new error is looked at here once. */
    static const struct {
        vx_err err;
        int status;
    } expected[] = {
        {VX_ERR_NOMEM, 500},
        {VX_ERR_INTERNAL, 500},
        {VX_ERR_ARG, 500},
        {VX_ERR_OVERFLOW, 500},
        {VX_ERR_RANGE, 500},
        {VX_ERR_IO, 500},
        {VX_ERR_NOT_FOUND, 500},
        {VX_ERR_PERMISSION, 500},
        {VX_ERR_UNSUPPORTED, 500},
        {VX_ERR_BUSY, 429},
        {VX_ERR_CLOSED, 503},
        {VX_ERR_DEADLINE, 504},
        {VX_ERR_NOT_READY, 503},
        {VX_ERR_BASE64, 400},
        {VX_ERR_JSON_SYNTAX, 400},
        {VX_ERR_JSON_LIMIT, 400},
        {VX_ERR_JSON_FIELD, 422},
        {VX_ERR_AUDIO_FORMAT, 415},
        {VX_ERR_AUDIO_CORRUPT, 422},
        {VX_ERR_AUDIO_EMPTY, 422},
        {VX_ERR_AUDIO_SHORT, 422},
        {VX_ERR_AUDIO_LONG, 422},
        {VX_ERR_AUDIO_SILENT, 422},
        {VX_ERR_AUDIO_NOT_FINITE, 422},
        {VX_ERR_AUDIO_SCALE, 422},
        {VX_ERR_AUDIO_RATE, 422},
        {VX_ERR_MODEL_MISSING, 500},
        {VX_ERR_MODEL_CORRUPT, 500},
        {VX_ERR_MODEL_HASH, 500},
        {VX_ERR_MODEL_SHAPE, 500},
        {VX_ERR_MODEL_MISMATCH, 409},
        {VX_ERR_ENGINE, 500},
        {VX_ERR_OPTION_UNKNOWN, 500},
        {VX_ERR_OPTION_VALUE, 500},
        {VX_ERR_LIMIT, 429},
        {VX_ERR_CIRCUIT_OPEN, 503},
        {VX_ERR_GZIP, 400},
        {VX_ERR_AUTH_MISSING, 401},
        {VX_ERR_AUTH_DENIED, 401},
        {VX_ERR_AUDIO_NO_SPEECH, 422},
        {VX_ERR_AUDIO_QUIET, 422},
        {VX_ERR_AUDIO_CLIPPED, 422},
        {VX_ERR_AUDIO_NOISY, 422},
        /* Of the device: the service never sees them. */
        {VX_ERR_STORE_CORRUPT, 500},
        {VX_ERR_STORE_KEY, 500},
        {VX_ERR_STORE_VERSION, 500},
        {VX_ERR_STORE_LOCKED, 500},
        {VX_ERR_AUDIT_BROKEN, 500},
        {VX_ERR_EXISTS, 500},
        {VX_ERR_NOT_ENROLLED, 500},
        {VX_ERR_LEGACY_PROFILE, 500},
        {VX_ERR_ENROL_VOICE, 500},
        {VX_ERR_ENROL_TAKEN, 500},
        {VX_ERR_NETWORK, 500},
        {VX_ERR_CLOUD_REFUSED, 500},
        {VX_ERR_CLOUD_ANSWER, 500},
        {VX_ERR_TOKEN, 500},
        {VX_ERR_UNCALIBRATED, 500},
        {VX_ERR_BAD_LIST, 500},
    };
    static const vx_err all[] = {
#define ONE(name, value, code, sentence) VX_ERR_##name,
        VX_ERR_LIST(ONE)
#undef ONE
    };
    assert_int_equal(sizeof expected / sizeof expected[0], sizeof all / sizeof all[0]);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (vx_problem_status(expected[i].err) != expected[i].status)
            fail_msg("%s is %d, expected %d", vx_err_code(expected[i].err), vx_problem_status(expected[i].err),
                     expected[i].status);
    }
}

static void a_problem_tells_clients_old_and_new(void **state)
{
    (void)state;
    vx_reply reply = {0};
    vx_errinfo info = {0};
    vx_errinfo_set(&info, VX_ERR_AUDIO_SHORT, "the recording lasts 0.1 seconds");
    vx_problem_reply(&reply, "id-1", VX_ERR_AUDIO_SHORT, &info);
    assert_int_equal(reply.status, 422);
    assert_string_equal(reply.content_type, "application/problem+json");
    json_t *root = parse_body(&reply);
    assert_string_equal(text(root, "type"), "/problems/audio_too_short");
    assert_string_equal(text(root, "title"), vx_err_sentence(VX_ERR_AUDIO_SHORT));
    assert_string_equal(text(root, "detail"), "the recording lasts 0.1 seconds");
    assert_string_equal(text(root, "error"), "the recording lasts 0.1 seconds");
    assert_string_equal(text(root, "code"), "audio_too_short");
    assert_string_equal(text(root, "request_id"), "id-1");
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 422);
    assert_true(json_is_false(json_object_get(root, "success")));
    json_decref(root);
    vx_reply_done(&reply);
}

static void the_code_of_the_case_wins_over_the_kind(void **state)
{
    (void)state;
    vx_reply reply = {0};
    vx_errinfo info = {0};
    vx_errinfo_set(&info, VX_ERR_AUDIO_FORMAT, "'m4a' is not in the list");
    vx_problem_reply(&reply, "x", VX_ERR_JSON_FIELD, &info);
    assert_int_equal(reply.status, 422);
    json_t *root = parse_body(&reply);
    assert_string_equal(text(root, "code"), "unknown_audio_format");
    assert_string_equal(text(root, "detail"), "'m4a' is not in the list");
    json_decref(root);
    vx_reply_done(&reply);
}

static void what_broke_inside_is_not_told(void **state)
{
    (void)state;
    vx_reply reply = {0};
    vx_errinfo info = {0};
    vx_errinfo_set(&info, VX_ERR_IO, "/secret/path is gone");
    vx_problem_reply(&reply, "x", VX_ERR_IO, &info);
    assert_int_equal(reply.status, 500);
    json_t *root = parse_body(&reply);
    assert_string_equal(text(root, "code"), "internal");
    assert_string_equal(text(root, "detail"), vx_err_sentence(VX_ERR_INTERNAL));
    json_decref(root);
    vx_reply_done(&reply);
}

static void a_detail_cut_inside_a_character_is_replaced(void **state)
{
    (void)state;
    vx_reply reply = {0};
    vx_errinfo info = {0};
    vx_errinfo_set(&info, VX_ERR_JSON_FIELD, "field '\xc3");
    vx_problem_reply(&reply, "x", VX_ERR_JSON_FIELD, &info);
    json_t *root = parse_body(&reply);
    assert_string_equal(text(root, "detail"), vx_err_sentence(VX_ERR_JSON_FIELD));
    json_decref(root);
    vx_reply_done(&reply);
}

static void what_may_be_tried_again_says_when(void **state)
{
    (void)state;
    static const struct {
        vx_err err;
        int seconds;
    } rows[] = {{VX_ERR_BUSY, 1},     {VX_ERR_LIMIT, 1},       {VX_ERR_NOT_READY, 2}, {VX_ERR_CLOSED, 2},
                {VX_ERR_DEADLINE, 0}, {VX_ERR_AUTH_DENIED, 0}, {VX_ERR_BASE64, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vx_reply reply = {0};
        vx_problem_reply(&reply, "x", rows[i].err, NULL);
        assert_int_equal(reply.retry_after_s, rows[i].seconds);
        vx_reply_done(&reply);
    }
}

/* Who knows the time tells it; a failure of our own has none, whatever was noted. */
static void the_time_of_the_case_goes_before_the_table(void **state)
{
    (void)state;
    static const struct {
        vx_err err;
        int noted, told;
    } rows[] = {{VX_ERR_CIRCUIT_OPEN, 7, 7}, {VX_ERR_CIRCUIT_OPEN, 0, 30}, {VX_ERR_BUSY, 3, 3}, {VX_ERR_ENGINE, 7, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vx_reply reply = {0};
        vx_errinfo info = {0};
        vx_errinfo_set(&info, rows[i].err, "a sentence for this case");
        info.retry_s = rows[i].noted;
        vx_problem_reply(&reply, "x", rows[i].err, &info);
        assert_int_equal(reply.retry_after_s, rows[i].told);
        vx_reply_done(&reply);
    }
}

static void faults_of_http_have_their_own_rows(void **state)
{
    (void)state;
    static const struct {
        vx_fault fault;
        int status;
        const char *code;
    } rows[] = {
        {VX_FAULT_PATH, 404, "unknown_path"},
        {VX_FAULT_METHOD, 405, "method_not_allowed"},
        {VX_FAULT_SLOW_BODY, 408, "body_timeout"},
        {VX_FAULT_BODY_SIZE, 413, "body_too_large"},
        {VX_FAULT_CONTENT_TYPE, 415, "unsupported_content_type"},
        {VX_FAULT_CONTENT_ENCODING, 415, "unsupported_content_encoding"},
        {VX_FAULT_FRAMING, 400, "bad_framing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        vx_reply reply = {0};
        vx_problem_fault(&reply, "x", rows[i].fault, NULL);
        json_t *root = parse_body(&reply);
        assert_int_equal(reply.status, rows[i].status);
        assert_string_equal(text(root, "code"), rows[i].code);
        json_decref(root);
        vx_reply_done(&reply);
    }
}

/* A worker that runs out of memory may have filled half a reply. */
static void a_problem_replaces_what_was_there(void **state)
{
    (void)state;
    vx_reply reply = {.status = 200, .retry_after_s = 9};
    assert_int_equal(vx_buf_append(&reply.body, "half", 4), VX_OK);
    assert_int_equal(vx_reply_header(&reply, "Voxlock-Model", "x"), VX_OK);
    vx_problem_reply(&reply, "x", VX_ERR_ENGINE, NULL);
    assert_int_equal(reply.n_headers, 0);
    assert_int_equal(reply.retry_after_s, 0);
    json_decref(parse_body(&reply));
    vx_reply_done(&reply);
}

/* Whatever allocation fails, the status stands and the body is whole or empty. */
static void without_memory_the_status_stands(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    json_set_alloc_funcs(malloc, free);
    for (size_t k = 1; k < 200; k++) {
        vx_reply reply = {0};
        vx_alloc_fail_at(k);
        vx_problem_reply(&reply, "x", VX_ERR_BUSY, NULL);
        bool done = vx_alloc_count() < k;
        vx_alloc_fail_at(0);
        assert_int_equal(reply.status, 429);
        if (reply.body.len > 0)
            json_decref(parse_body(&reply));
        else
            assert_false(done);
        vx_reply_done(&reply);
        if (done)
            return;
    }
    fail_msg("never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_status),
        cmocka_unit_test(a_problem_tells_clients_old_and_new),
        cmocka_unit_test(the_code_of_the_case_wins_over_the_kind),
        cmocka_unit_test(what_broke_inside_is_not_told),
        cmocka_unit_test(a_detail_cut_inside_a_character_is_replaced),
        cmocka_unit_test(what_may_be_tried_again_says_when),
        cmocka_unit_test(the_time_of_the_case_goes_before_the_table),
        cmocka_unit_test(faults_of_http_have_their_own_rows),
        cmocka_unit_test(a_problem_replaces_what_was_there),
        cmocka_unit_test(without_memory_the_status_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
