/* test_errors.c - every failure that the contract names, made on purpose: status, code, form, and what a client needs to
 * go on (Allow, Retry-After, a sentence). openapi_check holds the form.
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

/* Work for a worker: a minute of audio, from 50 ms to 10 s by machine and build. */
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

static char *filled(const fixture *f, const char *pattern)
{
    vx_buf out = {0};
    for (const char *c = pattern; *c; c++) {
        const char *part = *c == '%' ? f->clip : c;
        assert_int_equal(vx_buf_append(&out, part, *c == '%' ? strlen(part) : 1), VX_OK);
    }
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);
    return (char *)out.data;
}

static void check_json_cases(const fixture *f, const json_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *body = filled(f, cases[i].body);
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

/* ---- 413 -------------------------------------------------------------------------------------------------------- */

static void bodies_over_the_limit_are_413(void **state)
{
    const fixture *f = *state;
    const char *const settings[] = {"VOXLOCK_MAX_BODY=64KiB", NULL};
    enum { LIMIT = 64 * 1024 };
    service *s = service_start_ready(settings);
    static const char *const with_length[] = {"Content-Type: application/json", "Expect:", NULL};
    static const char *const chunked[] = {"Content-Type: application/json", "Expect:", "Transfer-Encoding: chunked",
                                          NULL};
    static const char *const expecting[] = {"Content-Type: application/json", "Expect: 100-continue", NULL};
    static const char *const *const ways[] = {with_length, chunked, expecting};
    /* 2 MiB is over four times the limit, where the answer comes before the body is read: libcurl then stops sending. */
    static const size_t sizes[] = {LIMIT, LIMIT + 1, 2 * LIMIT, 2 << 20};
    char *body = malloc(2 << 20);
    memset(body, ' ', 2 << 20);
    for (size_t way = 0; way < 3; way++) {
        for (size_t i = 0; i < 4; i++) {
            http_reply reply = http_call(
                s->port, (http_request){.path = EMBEDDING, .headers = ways[way], .body = body, .len = sizes[i]});
            if (i == 0)
                openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_json");
            else
                openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
        }
    }
    free(body);
    assert_int_equal(service_stop(s), 0);
}

/* The default limit, at its edge; and lengths that nobody can mean are refused before anything is read. */
static void the_default_limit_is_16_mib(void **state)
{
    const fixture *f = *state;
    const size_t limit = 16 << 20;
    char *body = malloc(limit + 2);
    memset(body, ' ', limit + 1);
    body[limit] = '\0';
    http_reply reply = http_post(f->s->port, EMBEDDING, body);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_json");
    body[limit] = ' ';
    body[limit + 1] = '\0';
    reply = http_post(f->s->port, EMBEDDING, body);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
    free(body);
    static const char *const lengths[] = {"100000000000", "9223372036854775807"};
    for (size_t i = 0; i < 2; i++) {
        char head[256];
        int fd = raw_open(f->s->port);
        snprintf(head, sizeof head, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Length: %s\r\n\r\n", lengths[i]);
        assert_true(raw_say(fd, head));
        assert_true(raw_reply(fd, true, &reply));
        openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
        assert_true(raw_ended(fd, NULL));
        raw_close(&fd);
    }
    check_alive(f);
}

/* ---- 408 -------------------------------------------------------------------------------------------------------- */

static void slow_bodies_are_408(void **state)
{
    const fixture *f = *state;
    const char *const settings[] = {"VOXLOCK_BODY_TIMEOUT_MS=300", NULL};
    service *s = service_start_ready(settings);
    static const char *const starts[] = {
        "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\nContent-Type: application/json\r\n\r\n{",
        "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\"",
        "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n", /* not even the headers */
        "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n",  /* refused in any case */
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        http_reply reply = {0};
        int fd = raw_open(s->port);
        assert_true(raw_say(fd, starts[i]));
        assert_true(raw_reply(fd, true, &reply));
        assert_true(http_header_is(&reply, "Connection", "close"));
        openapi_expect_problem(f->document, EMBEDDING, &reply, 408, "body_timeout");
        assert_true(raw_ended(fd, NULL));
        raw_close(&fd);
    }
    /* Bytes that come now and then do not buy time. */
    http_reply reply = {0};
    int fd = raw_open(s->port);
    assert_true(raw_say(fd, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n"));
    int sent = 0;
    while (sent < 1000 && raw_say(fd, " ") && !raw_readable(fd, 20))
        sent++;
    assert_in_range(sent, 1, 999);
    assert_true(raw_reply(fd, true, &reply));
    openapi_expect_problem(f->document, EMBEDDING, &reply, 408, "body_timeout");
    raw_close(&fd);
    assert_int_equal(service_stop(s), 0);
}

/* ---- 429, 504: more work than workers --------------------------------------------------------------------------- */

/* One worker, busy for a while with as many minutes of audio as asked for. Returns the connection. */
static int keep_busy(service *s, int minutes)
{
    vx_buf minute = clip_noise_flac(MINUTE, 1);
    char *one = clip_base64(minute.data, minute.len);
    vx_buf body = {0};
    assert_int_equal(vx_buf_printf(&body, "{\"audio_samples\": ["), VX_OK);
    for (int i = 0; i < minutes; i++)
        assert_int_equal(vx_buf_printf(&body, "%s\"%s\"", i ? "," : "", one), VX_OK);
    assert_int_equal(vx_buf_printf(&body, "]}"), VX_OK);
    const int fd = raw_post(s->port, BATCH, (const char *)body.data);
    vx_buf_done(&body);
    vx_buf_done(&minute);
    free(one);
    return fd;
}

/* Polls /status until queue.<what> is n. */
static void await_queue(service *s, const char *what, int n)
{
    for (int tries = 0; tries < PATIENCE_MS / 5; tries++) {
        http_reply reply = http_get(s->port, "/status");
        json_t *root = http_json(&reply);
        const bool there = json_integer_value(json_object_get(json_object_get(root, "queue"), what)) == n;
        json_decref(root);
        http_reply_done(&reply);
        if (there)
            return;
    }
    fail_msg("queue.%s never is %d", what, n);
}

/* A full queue refuses at once, and everything that was let in is answered. */
static void a_full_queue_is_429(void **state)
{
    const fixture *f = *state;
    for (int queue = 0; queue < 2; queue++) {
        const char *const settings[] = {queue ? "VOXLOCK_QUEUE=1" : "VOXLOCK_QUEUE=0", "VOXLOCK_THREADS=1",
                                        "VOXLOCK_MAX_BODY=256MiB", "VOXLOCK_DEADLINE_MS=600000", NULL};
        service *s = service_start_ready(settings);
        char *body = filled(f, "{\"audio_data\": \"%\"}");
        int busy = keep_busy(s, SANITIZED ? 2 : 6), waiting = -1;
        await_queue(s, "running", 1);
        if (queue) {
            waiting = raw_post(s->port, EMBEDDING, body);
            await_queue(s, "waiting", 1);
        }
        static const char *const paths[] = {EMBEDDING, VERIFY, BATCH};
        for (size_t i = 0; i < 3; i++) {
            http_reply reply = http_post(s->port, paths[i], body);
            assert_true(http_header_is(&reply, "Retry-After", "1"));
            openapi_expect_problem(f->document, paths[i], &reply, 429, "busy");
        }
        /* Whoever watches the service can still see it. */
        http_reply reply = http_get(s->port, "/health");
        assert_int_equal(reply.status, 200);
        http_reply_done(&reply);
        assert_true(raw_reply(busy, true, &reply));
        assert_int_equal(reply.status, 200);
        http_reply_done(&reply);
        if (queue) {
            assert_true(raw_reply(waiting, true, &reply));
            assert_int_equal(reply.status, 200);
            http_reply_done(&reply);
        }
        raw_close(&busy);
        raw_close(&waiting);
        free(body);
        assert_int_equal(service_stop(s), 0);
    }
}

static void a_request_past_its_deadline_is_504(void **state)
{
    const fixture *f = *state;
    const char *const settings[] = {"VOXLOCK_THREADS=1", "VOXLOCK_DEADLINE_MS=100", "VOXLOCK_MAX_BODY=256MiB",
                                    "VOXLOCK_QUEUE=64", NULL};
    service *s = service_start_ready(settings);
    char *body = filled(f, "{\"audio_data\": \"%\"}");
    enum { N = 64 };
    int fds[N], late = 0, in_time = 0;
    /* Each takes the worker for a part of the deadline, so that the last ones wait longer than it. */
    vx_buf minute = clip_noise_flac(MINUTE, 2);
    char *slow = clip_json(minute.data, minute.len, "");
    for (int i = 0; i < N; i++)
        fds[i] = raw_post(s->port, EMBEDDING, i == N - 1 ? body : slow);
    for (int i = 0; i < N; i++) {
        http_reply reply = {0};
        assert_true(raw_reply(fds[i], true, &reply));
        raw_close(&fds[i]);
        if (reply.status == 200) {
            in_time++;
            http_reply_done(&reply);
        } else {
            late++;
            openapi_expect_problem(f->document, EMBEDDING, &reply, 504, "deadline_exceeded");
        }
    }
    print_message("# %d in time, %d late\n", in_time, late);
    assert_in_range(late, 1, N);
    free(slow);
    free(body);
    vx_buf_done(&minute);
    assert_int_equal(service_stop(s), 0);
}

/* What a batch did not reach in time is told item by item. */
static void a_batch_past_its_deadline_says_which_items(void **state)
{
    const fixture *f = *state;
    const char *const settings[] = {"VOXLOCK_THREADS=1", "VOXLOCK_DEADLINE_MS=200", "VOXLOCK_MAX_BODY=256MiB", NULL};
    service *s = service_start_ready(settings);
    http_reply reply = {0};
    int fd = keep_busy(s, SANITIZED ? 8 : 40);
    assert_true(raw_reply(fd, true, &reply));
    openapi_check(f->document, BATCH, "POST", &reply);
    /* On a machine so slow that not even the first item was begun, the whole request is late. */
    if (reply.status == 200) {
        json_t *root = http_json(&reply);
        const json_t *errors = json_object_get(root, "errors");
        const json_t *last = json_array_get(errors, json_array_size(errors) - 1);
        assert_string_equal(json_string_value(json_object_get(last, "code")), "deadline_exceeded");
        json_decref(root);
    } else {
        assert_int_equal(reply.status, 504);
    }
    http_reply_done(&reply);
    raw_close(&fd);
    assert_int_equal(service_stop(s), 0);
}

/* ---- 503 -------------------------------------------------------------------------------------------------------- */

static void check_health(const fixture *f, service *s, const char *path, int status, const char *word)
{
    http_reply reply = http_get(s->port, path);
    openapi_check(f->document, path, "GET", &reply);
    assert_int_equal(reply.status, status);
    json_t *root = http_json(&reply);
    assert_string_equal(json_string_value(json_object_get(root, "status")), word);
    json_decref(root);
    http_reply_done(&reply);
}

static void without_a_model_requests_are_503(void **state)
{
    const fixture *f = *state;
    static const char *const folders[] = {"ECAPA_CACHE_DIR=/nonexistent/model", "ECAPA_CACHE_DIR=tests/data/audio",
                                          "ECAPA_CACHE_DIR=/dev/null"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const char *const settings[] = {folders[i], "VOXLOCK_LOAD_BACKOFF_MS=1", NULL};
        service *s = service_start(settings);
        assert_true(service_says(s, "cannot be loaded"));
        check_health(f, s, "/health/live", 200, "alive");
        check_health(f, s, "/health", 503, "unhealthy");
        check_health(f, s, "/api/ml/health", 503, "unhealthy");
        http_reply reply = http_get(s->port, "/health");
        /* The reason without the paths of the server. */
        assert_null(strstr((const char *)reply.body.data, folders[i] + strlen("ECAPA_CACHE_DIR=")));
        assert_non_null(strstr((const char *)reply.body.data, "\"startup_state\":\"FAILED\""));
        assert_null(strstr((const char *)reply.body.data, "\"error\":null"));
        http_reply_done(&reply);
        reply = http_get(s->port, "/status");
        openapi_check(f->document, "/status", "GET", &reply);
        assert_int_equal(reply.status, 200);
        http_reply_done(&reply);
        reply = http_get(s->port, "/metrics");
        assert_non_null(strstr((const char *)reply.body.data, "\nvoxlock_ready 0\n"));
        http_reply_done(&reply);

        static const char *const paths[] = {EMBEDDING, VERIFY, BATCH};
        static const char *const bodies[] = {"{\"audio_data\": \"%\"}",
                                             "{\"audio_data\": \"%\", \"reference_audio\": \"%\"}",
                                             "{\"audio_samples\": [\"%\"]}"};
        for (size_t k = 0; k < 3; k++) {
            char *body = filled(f, bodies[k]);
            reply = http_post(s->port, paths[k], body);
            char after[16];
            assert_true(http_header(&reply, "Retry-After", after, sizeof after) && atoi(after) >= 1);
            openapi_expect_problem(f->document, paths[k], &reply, 503, "not_ready");
            free(body);
        }
        /* A request that no model could save is told what is wrong with it. */
        reply = http_post(s->port, EMBEDDING, "{}");
        openapi_expect_problem(f->document, EMBEDDING, &reply, 422, "bad_field");
        assert_int_equal(service_stop(s), 0);
    }
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
        cmocka_unit_test(bodies_over_the_limit_are_413),
        cmocka_unit_test(the_default_limit_is_16_mib),
        cmocka_unit_test(slow_bodies_are_408),
        cmocka_unit_test(a_full_queue_is_429),
        cmocka_unit_test(a_request_past_its_deadline_is_504),
        cmocka_unit_test(a_batch_past_its_deadline_says_which_items),
        cmocka_unit_test(without_a_model_requests_are_503),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
