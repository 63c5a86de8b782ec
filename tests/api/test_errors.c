/* test_errors.c - every mistake of a request that the contract names, made on purpose: status, code, and what a client
 * needs to mend it. openapi_check holds the form; limits of time and size are in test_limits.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define VERIFY    "/api/ml/speaker_verify"
#define BATCH     "/api/ml/batch_embedding"

enum { MINUTE = 60 * VX_AUDIO_RATE };

typedef struct {
    service *s;
    json_t *document;
    char *clip; /* base64 of a good clip */
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    vx_buf file = clip_file("reader1_a.flac");
    f.s = service_start_ready(NULL);
    f.document = openapi_load();
    f.clip = clip_base64(file.data, file.len);
    vx_buf_done(&file);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    free(f->clip);
    return service_reap(state);
}

/* Still there, and still right. */
static void check_alive(const fixture *f)
{
    assert_true(service_running(f->s));
    vx_buf body = {0};
    assert_int_equal(vx_buf_printf(&body, "{\"audio_data\": \"%s\"}", f->clip), VX_OK);
    http_reply reply = http_post(f->s->port, EMBEDDING, (const char *)body.data);
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    vx_buf_done(&body);
}

typedef struct {
    const char *path, *body; /* a % stands for the base64 of a good clip */
    int status;
    const char *code;
    const char *says; /* part of the detail; NULL: anything */
} json_case;

static void check_json_cases(const fixture *f, const json_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *body = clip_fill(cases[i].body, f->clip);
        http_reply reply = http_post(f->s->port, cases[i].path, body);
        if (cases[i].says && !(reply.body.len && strstr((const char *)reply.body.data, cases[i].says)))
            fail_msg("'%s' is not told of %.100s: %s", cases[i].says, cases[i].body, (const char *)reply.body.data);
        if (reply.status != cases[i].status)
            print_error("body: %.200s\n", cases[i].body);
        openapi_expect_problem(f->document, cases[i].path, &reply, cases[i].status, cases[i].code);
        free(body);
    }
    check_alive(f);
}

/* ---- 400, 422: JSON --------------------------------------------------------------------------------------------- */

static void json_that_is_none_is_400(void **state)
{
    static const json_case cases[] = {
        {EMBEDDING, "", 400, "bad_json", "empty"},
        {VERIFY, "", 400, "bad_json", "empty"},
        {BATCH, " \r\n\t", 400, "bad_json", NULL},
        {EMBEDDING, "{", 400, "bad_json", NULL},
        {EMBEDDING, "nul", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\"", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\",}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\"} x", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\"}{}", 400, "bad_json", NULL},
        {EMBEDDING, "{'audio_data': '%'}", 400, "bad_json", NULL},
        {EMBEDDING, "{audio_data: \"%\"}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"audio_data\": \"%\"}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": NaN}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 1e400}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 99999999999999999999}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 016000}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"\\u0000\"}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"\xff\xfe\"}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"\xc0\xaf\": 1}", 400, "bad_json", NULL},
        {EMBEDDING, "{\"audio_data\": \"a\nb\"}", 400, "bad_json", NULL},
        {EMBEDDING, "\xef\xbb\xbf{}", 400, "bad_json", NULL},
        {EMBEDDING, "// comment\n{}", 400, "bad_json", NULL},
    };
    check_json_cases(*state, cases, sizeof cases / sizeof *cases);
}

static void base64_that_is_none_is_400(void **state)
{
    static const json_case cases[] = {
        {EMBEDDING, "{\"audio_data\": \"!!!!\"}", 400, "bad_base64", "character 1 of 4"},
        {EMBEDDING, "{\"audio_data\": \"%!\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AAA\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AA==AAAA\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AAAA=\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"====\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AAAA\\nAAAA\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \" AAAA\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AA-_\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"AB==\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"data:audio/wav;base64,AAAA\"}", 400, "bad_base64", NULL},
        {EMBEDDING, "{\"audio_data\": \"\\u00e4\\u00e4\"}", 400, "bad_base64", NULL},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"A\"}", 400, "bad_base64", "reference_audio"},
        {VERIFY, "{\"audio_data\": \"A\", \"reference_audio\": \"%\"}", 400, "bad_base64", "audio_data"},
    };
    check_json_cases(*state, cases, sizeof cases / sizeof *cases);
}

static void fields_that_cannot_be_used_are_422(void **state)
{
    static const json_case cases[] = {
        {EMBEDDING, "[]", 422, "bad_field", "object"},
        {EMBEDDING, "null", 422, "bad_field", "object"},
        {EMBEDDING, "\"%\"", 422, "bad_field", "object"},
        {EMBEDDING, "{}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": null}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": 1}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": [\"%\"]}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": {\"a\": 1}}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": true}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"AUDIO_DATA\": \"%\"}", 422, "bad_field", "audio_data"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": 1}", 422, "bad_field", "format"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": []}", 422, "bad_field", "format"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": \"\"}", 422, "unknown_audio_format", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": \"FLAC\"}", 422, "unknown_audio_format", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": \"opus\"}", 422, "unknown_audio_format", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": \"wav\\u0301\"}", 422, "unknown_audio_format", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"format\": \"../../etc/passwd\"}", 422, "unknown_audio_format", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": \"16000\"}", 422, "bad_field", "sample_rate"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 16000.5}", 422, "bad_field", "sample_rate"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": []}", 422, "bad_field", "sample_rate"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": false}", 422, "bad_field", "sample_rate"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 0}", 422, "sample_rate_out_of_range", "8000"},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": -16000}", 422, "sample_rate_out_of_range", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 7999}", 422, "sample_rate_out_of_range", NULL},
        {EMBEDDING, "{\"audio_data\": \"%\", \"sample_rate\": 192001}", 422, "sample_rate_out_of_range", NULL},
        {VERIFY, "{\"audio_data\": \"%\"}", 422, "bad_field", "reference"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"reference_embedding\": []}", 422, "bad_field",
         "one"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_embedding\": []}", 422, "bad_field", "192"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_embedding\": [1, 2, 3]}", 422, "bad_field", "192"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_embedding\": \"x\"}", 422, "bad_field", "reference_embedding"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_embedding\": {\"0\": 1}}", 422, "bad_field", NULL},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": 7}", 422, "bad_field", "reference_audio"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"threshold\": 2}", 422, "bad_field",
         "threshold"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"threshold\": \"0.5\"}", 422, "bad_field",
         "threshold"},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"reference_model\": 1}", 422, "bad_field", NULL},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"reference_model\": \"sha256:0\"}", 422,
         "bad_field", NULL},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"reference_format\": \"x\"}", 422,
         "unknown_audio_format", NULL},
        {VERIFY, "{\"audio_data\": \"%\", \"reference_audio\": \"%\", \"reference_sample_rate\": 1}", 422,
         "sample_rate_out_of_range", NULL},
        {VERIFY, "{\"reference_audio\": \"%\"}", 422, "bad_field", "audio_data"},
        {BATCH, "{}", 422, "bad_field", "audio_samples"},
        {BATCH, "{\"audio_samples\": []}", 422, "bad_field", "1 to 64"},
        {BATCH, "{\"items\": []}", 422, "bad_field", "1 to 64"},
        {BATCH, "{\"audio_samples\": \"%\"}", 422, "bad_field", "array"},
        {BATCH, "{\"audio_samples\": {}}", 422, "bad_field", "array"},
        {BATCH, "{\"audio_samples\": [\"%\"], \"items\": [{\"audio_data\": \"%\"}]}", 422, "bad_field", "one"},
        {BATCH, "{\"audio_samples\": [\"%\"], \"format\": \"aac\"}", 422, "unknown_audio_format", NULL},
        {BATCH, "{\"audio_samples\": [\"%\"], \"sample_rate\": 1}", 422, "sample_rate_out_of_range", NULL},
    };
    check_json_cases(*state, cases, sizeof cases / sizeof *cases);
}

/* Values of the right type in a container of the right length, one of them of no use. */
static void reference_embeddings_are_checked_number_by_number(void **state)
{
    static const char *const odd[] = {"null", "\"0.1\"", "true", "[0.1]", "1e39", "-1e300", "0"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        vx_buf body = {0};
        assert_int_equal(vx_buf_printf(&body, "{\"audio_data\": \"%s\", \"reference_embedding\": [", f->clip), VX_OK);
        /* The last case is all zeros, which have no direction. */
        for (int k = 0; k < CLIP_DIM; k++)
            assert_int_equal(vx_buf_printf(&body, "%s%s", k ? "," : "",
                                           k == 100 ? odd[i]
                                           : i == 6 ? "0"
                                                    : "0.1"),
                             VX_OK);
        assert_int_equal(vx_buf_printf(&body, "]}"), VX_OK);
        http_reply reply = http_post(f->s->port, VERIFY, (const char *)body.data);
        openapi_expect_problem(f->document, VERIFY, &reply, 422, "bad_field");
        vx_buf_done(&body);
    }
    check_alive(f);
}

static void json_bombs_are_400(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *unit;
        size_t n;
        const char *code;
    } bombs[] = {
        {"[", 17, "json_too_complex"},
        {"[", 1000000, "json_too_complex"},
        {"{\"a\":", 1000000, "json_too_complex"},
        {"[[[[],[]],", 300000, "json_too_complex"},
        {"\"\",", 500000, "bad_json"}, /* behind a first value nothing may come */
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        vx_buf body = {0};
        for (size_t k = 0; k < bombs[i].n; k++)
            assert_int_equal(vx_buf_append(&body, bombs[i].unit, strlen(bombs[i].unit)), VX_OK);
        assert_int_equal(vx_buf_append(&body, "", 1), VX_OK);
        http_reply reply = http_post(f->s->port, EMBEDDING, (const char *)body.data);
        openapi_expect_problem(f->document, EMBEDDING, &reply, 400, bombs[i].code);
        vx_buf_done(&body);
    }
    /* Many values, flat: more than the limit in one array; and 16 levels, which are allowed. */
    vx_buf body = {0};
    assert_int_equal(vx_buf_printf(&body, "{\"audio_data\": ["), VX_OK);
    for (int k = 0; k < 400001; k++)
        assert_int_equal(vx_buf_append(&body, "1,", 2), VX_OK);
    assert_int_equal(vx_buf_printf(&body, "1]}"), VX_OK);
    http_reply reply = http_post(f->s->port, EMBEDDING, (const char *)body.data);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "json_too_complex");
    vx_buf_done(&body);
    reply = http_post(f->s->port, EMBEDDING, "{\"a\": [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}");
    openapi_expect_problem(f->document, EMBEDDING, &reply, 422, "bad_field");
    check_alive(f);
}

/* ---- 415, 422: audio -------------------------------------------------------------------------------------------- */

/* n samples of a tone whose middle sample is `odd`, as raw float32. */
static vx_buf tone_with(size_t n, float odd)
{
    float *samples = encode_tone(n, VX_AUDIO_RATE, 1, 200, 0.3);
    assert_non_null(samples);
    if (n > 0)
        samples[n / 2] = odd;
    vx_buf raw = clip_f32(samples, n);
    free(samples);
    return raw;
}

static void expect_audio(const fixture *f, vx_buf *audio, const char *more, int status, const char *code)
{
    char *body = clip_json(audio->data, audio->len, more);
    http_reply reply = http_post(f->s->port, EMBEDDING, body);
    if (reply.status != status)
        print_error("%s: %.300s\n", more, (const char *)reply.body.data);
    if (status == 200) {
        assert_int_equal(reply.status, 200);
        http_reply_done(&reply);
    } else {
        openapi_expect_problem(f->document, EMBEDDING, &reply, status, code);
    }
    free(body);
    vx_buf_done(audio);
}

static void audio_is_from_0_3_to_60_seconds(void **state)
{
    const fixture *f = *state;
    static const struct {
        size_t n;
        int rate, status;
        const char *code;
    } cases[] = {
        {0, 16000, 422, "empty_audio"},
        {1, 16000, 422, "audio_too_short"},
        {4799, 16000, 422, "audio_too_short"},
        {4800, 16000, 200, NULL},
        {2399, 8000, 422, "audio_too_short"},
        {2400, 8000, 200, NULL},
        {57600, 192000, 200, NULL},
        {MINUTE, 16000, 200, NULL},
        {MINUTE + 1, 16000, 422, "audio_too_long"},
        {MINUTE + 16000, 16000, 422, "audio_too_long"},
        {MINUTE / 2 + 1, 8000, 422, "audio_too_long"},
        {3 * MINUTE, 48000, 200, NULL},
        {3 * MINUTE + 3, 48000, 422, "audio_too_long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char more[96];
        float *samples = encode_tone(cases[i].n, cases[i].rate, 1, 200, 0.3);
        vx_buf raw = clip_s16(samples, cases[i].n);
        snprintf(more, sizeof more, ", \"format\": \"int16\", \"sample_rate\": %d", cases[i].rate);
        expect_audio(f, &raw, more, cases[i].status, cases[i].code);
        free(samples);
    }
    /* 61 seconds that take no room: what a header promises is not believed either. */
    vx_buf file = {0};
    float *samples = encode_tone(61 * VX_AUDIO_RATE, VX_AUDIO_RATE, 1, 200, 0.3);
    assert_int_equal(encode_audio(ENCODE_VORBIS, samples, 61 * VX_AUDIO_RATE, VX_AUDIO_RATE, 1, &file), 0);
    expect_audio(f, &file, "", 422, "audio_too_long");
    file = (vx_buf){0};
    assert_int_equal(encode_audio(ENCODE_FLAC16, samples, 0, VX_AUDIO_RATE, 1, &file), 0);
    expect_audio(f, &file, "", 422, "empty_audio");
    file = (vx_buf){0};
    assert_int_equal(encode_audio(ENCODE_WAV16, samples, 0, VX_AUDIO_RATE, 1, &file), 0);
    expect_audio(f, &file, "", 422, "empty_audio");
    free(samples);
    check_alive(f);
}

static void samples_must_be_numbers_at_full_scale(void **state)
{
    const fixture *f = *state;
    static const struct {
        float odd;
        int status;
        const char *code;
    } cases[] = {
        {NAN, 422, "audio_not_finite"},
        {-NAN, 422, "audio_not_finite"},
        {INFINITY, 422, "audio_not_finite"},
        {-INFINITY, 422, "audio_not_finite"},
        {32767, 422, "audio_over_scale"},
        {-3e38f, 422, "audio_over_scale"},
        {1e-42f, 200, NULL},
        {1.5f, 200, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_buf raw = tone_with(16000, cases[i].odd);
        expect_audio(f, &raw, ", \"format\": \"float32\"", cases[i].status, cases[i].code);
    }
    float *zeros = calloc(16000, sizeof *zeros);
    vx_buf raw = clip_s16(zeros, 16000);
    expect_audio(f, &raw, ", \"format\": \"int16\"", 422, "silent_audio");
    raw = clip_f32(zeros, 16000);
    expect_audio(f, &raw, "", 422, "silent_audio");
    raw = clip_s16(zeros, 16000);
    raw.len--;
    expect_audio(f, &raw, ", \"format\": \"int16\"", 422, "corrupt_audio");
    raw = tone_with(16000, 0);
    raw.len -= 2;
    expect_audio(f, &raw, "", 422, "corrupt_audio");
    free(zeros);
    check_alive(f);
}

static void bytes_that_are_no_known_audio_are_415(void **state)
{
    static const char *const heads[] = {"\x89PNG\r\n\x1a\n0000",
                                        "GIF89a000000",
                                        "%PDF-1.7\n000",
                                        "<!DOCTYPE html>",
                                        "#!AMR\n000000",
                                        "{\"json\": true}",
                                        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        vx_buf file = {0};
        assert_int_equal(vx_buf_append(&file, heads[i], strlen(heads[i])), VX_OK);
        expect_audio(f, &file, ", \"format\": \"auto\"", 415, "unknown_audio_format");
    }
    /* A file that is known, under another name. */
    static const char *const names[] = {"wav", "ogg", "mp3"};
    for (size_t i = 0; i < 3; i++) {
        char more[32];
        vx_buf file = clip_file("reader1_a.flac");
        snprintf(more, sizeof more, ", \"format\": \"%s\"", names[i]);
        expect_audio(f, &file, more, 415, "unknown_audio_format");
    }
    check_alive(f);
}

static void files_that_are_cut_off_are_422(void **state)
{
    const fixture *f = *state;
    static const char *const names[] = {"reader1_a.wav", "reader1_a.flac", "reader1_a.ogg", "reader1_a.opus"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vx_buf file = clip_file(names[i]);
        file.len /= 2;
        expect_audio(f, &file, "", 422, "corrupt_audio");
    }
    check_alive(f);
}

/* The older clients' `format` is a field; that of a bare body is in the query. */
static void the_query_of_a_bare_body_is_checked(void **state)
{
    static const struct {
        const char *query, *code;
        int status;
    } cases[] = {
        {"?format=flac", NULL, 200},
        {"?format=auto&sample_rate=48000", NULL, 200},
        {"?format=", "unknown_audio_format", 422},
        {"?format=FLAC", "unknown_audio_format", 422},
        {"?format=flac%00", "unknown_audio_format", 422},
        {"?format=%ff%fe", "unknown_audio_format", 422},
        {"?format=aiff", "unknown_audio_format", 422},
        {"?format=ogg", "unknown_audio_format", 415},
        {"?sample_rate=", "bad_field", 422},
        {"?sample_rate=x", "bad_field", 422},
        {"?sample_rate=16000x", "bad_field", 422},
        {"?sample_rate=1e4", "bad_field", 422},
        {"?sample_rate=99999999999999999999", "bad_field", 422},
        {"?sample_rate=7999", "sample_rate_out_of_range", 422},
        {"?sample_rate=-1", "sample_rate_out_of_range", 422},
    };
    static const char *const headers[] = {"Content-Type: audio/flac", "Expect:", NULL};
    const fixture *f = *state;
    vx_buf file = clip_file("reader1_a.flac");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        snprintf(path, sizeof path, EMBEDDING "%s", cases[i].query);
        http_reply reply =
            http_call(f->s->port, (http_request){.path = path, .headers = headers, .body = file.data, .len = file.len});
        if (reply.status != cases[i].status)
            fail_msg("%s is answered %d", cases[i].query, reply.status);
        if (cases[i].code)
            openapi_expect_problem(f->document, EMBEDDING, &reply, cases[i].status, cases[i].code);
        http_reply_done(&reply);
    }
    vx_buf_done(&file);
    check_alive(f);
}

static void content_encodings_that_are_not_taken_are_415(void **state)
{
    static const char *const codings[] = {"br", "zstd", "x-unknown", "gzip, br", "gzip gzip"};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        char line[64];
        snprintf(line, sizeof line, "Content-Encoding: %s", codings[i]);
        const char *const headers[] = {"Content-Type: application/json", line, NULL};
        http_reply reply =
            http_call(f->s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = "{}", .len = 2});
        openapi_expect_problem(f->document, EMBEDDING, &reply, 415, "unsupported_content_encoding");
    }
    check_alive(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_that_is_none_is_400),
        cmocka_unit_test(base64_that_is_none_is_400),
        cmocka_unit_test(fields_that_cannot_be_used_are_422),
        cmocka_unit_test(reference_embeddings_are_checked_number_by_number),
        cmocka_unit_test(json_bombs_are_400),
        cmocka_unit_test(audio_is_from_0_3_to_60_seconds),
        cmocka_unit_test(samples_must_be_numbers_at_full_scale),
        cmocka_unit_test(bytes_that_are_no_known_audio_are_415),
        cmocka_unit_test(files_that_are_cut_off_are_422),
        cmocka_unit_test(the_query_of_a_bare_body_is_checked),
        cmocka_unit_test(content_encodings_that_are_not_taken_are_415),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
