/* test_cloud_answer.c - every kind of answer that a service, or something in its place, may send: the embedding, or what
 * is said of it and when to come back.
 */
#include "edge/route/cloud_answer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DIM = 8 };
#define OCTETS  "Content-Type: application/octet-stream\r\n"
#define PROBLEM "Content-Type: application/problem+json\r\n"
#define MODEL   "Voxlock-Model: sha256:" DIGEST "\r\n"
#define DIGEST  "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER   "2222222222222222222222222222222222222222222222222222222222222222"

static vx_model_digest own_model(void)
{
    vx_model_digest model;
    memset(model.bytes, 0x11, sizeof model.bytes);
    return model;
}

/* As vx_http_ask gives it: a zero behind the body that is not counted. */
static vx_http_answer answer_of(const char *status, const char *lines, const void *body, size_t len)
{
    vx_http_answer answer = {.status = atoi(status)};
    if (vx_buf_printf(&answer.head, "HTTP/1.1 %s\r\n%s\r\n", status, lines) || vx_buf_append(&answer.body, body, len) ||
        vx_buf_reserve(&answer.body, 1))
        fail_msg("out of memory");
    else
        answer.body.data[len] = '\0';
    return answer;
}

/* A float32 in memory is little-endian on every machine that this runs on. */
#define HALF 0.5f, 0.5f, 0.5f, 0.5f
static const float whole[DIM] = {HALF}, with_nan[DIM] = {HALF, NAN}, with_inf[DIM] = {HALF, -INFINITY},
                   longer[DIM] = {HALF, 0.5f}, zeros[DIM] = {0}, huge[DIM] = {3e38f, 3e38f},
                   nearly[DIM] = {0.50001f, 0.5f, 0.5f, 0.5f}, nine[DIM + 1] = {HALF};

static void embeddings(void **state)
{
    (void)state;
    static const char html[] = "<html>\x1b[31mSign in to the hotel's network</html>";
    static const struct {
        const char *what, *status, *lines;
        const void *body;
        size_t len;
        vx_err err;
        const char *text; /* in the sentence */
        int retry_s;
    } cases[] = {
        {"good", "200 OK", OCTETS MODEL, whole, sizeof whole, VX_OK, "", 0},
        {"type with parameter", "200 OK", "Content-Type: application/octet-stream; a=b\r\n" MODEL, whole, sizeof whole,
         VX_OK, "", 0},
        {"rounding", "200 OK", OCTETS MODEL, nearly, sizeof nearly, VX_OK, "", 0},
        {"NaN", "200 OK", OCTETS MODEL, with_nan, sizeof with_nan, VX_ERR_CLOUD_ANSWER, "not finite", 0},
        {"infinity", "200 OK", OCTETS MODEL, with_inf, sizeof with_inf, VX_ERR_CLOUD_ANSWER, "not finite", 0},
        {"not normalised", "200 OK", OCTETS MODEL, longer, sizeof longer, VX_ERR_CLOUD_ANSWER, "length 1.118", 0},
        {"zeros", "200 OK", OCTETS MODEL, zeros, sizeof zeros, VX_ERR_CLOUD_ANSWER, "length 0", 0},
        {"huge numbers", "200 OK", OCTETS MODEL, huge, sizeof huge, VX_ERR_CLOUD_ANSWER, "length 4.2", 0},
        {"one number more", "200 OK", OCTETS MODEL, nine, sizeof nine, VX_ERR_CLOUD_ANSWER, "36 bytes", 0},
        {"a byte less", "200 OK", OCTETS MODEL, whole, sizeof whole - 1, VX_ERR_CLOUD_ANSWER, "31 bytes", 0},
        {"empty", "200 OK", OCTETS MODEL, "", 0, VX_ERR_CLOUD_ANSWER, "0 bytes", 0},
        {"other model", "200 OK", OCTETS "Voxlock-Model: sha256:" OTHER "\r\n", whole, sizeof whole,
         VX_ERR_MODEL_MISMATCH, "sha256:222222222222, this device sha256:111111111111", 0},
        {"no model", "200 OK", OCTETS, whole, sizeof whole, VX_ERR_CLOUD_ANSWER, "which model", 0},
        {"half a digest", "200 OK", OCTETS "Voxlock-Model: sha256:1111\r\n", whole, sizeof whole, VX_ERR_CLOUD_ANSWER,
         "which model", 0},
        {"HTML", "200 OK", "Content-Type: text/html\r\n", html, sizeof html - 1, VX_ERR_CLOUD_ANSWER, "text/html", 0},
        {"hostile type", "200 OK", "Content-Type: \x1b[2J\xc3\xa9\r\n", html, sizeof html - 1, VX_ERR_CLOUD_ANSWER,
         "?[2J??", 0},
        {"JSON", "200 OK", "Content-Type: application/json\r\n", "{}", 2, VX_ERR_CLOUD_ANSWER, "application/json", 0},
        {"no type", "200 OK", MODEL, whole, sizeof whole, VX_ERR_CLOUD_ANSWER, "no type", 0},
        {"moved", "302 Found", "Location: http://127.0.0.1:1/\r\n", "", 0, VX_ERR_CLOUD_REFUSED, "points elsewhere", 0},
        {"no content", "204 No Content", MODEL, "", 0, VX_ERR_CLOUD_REFUSED, "204", 0},
        {"no such path", "404 Not Found", "", "", 0, VX_ERR_CLOUD_REFUSED, "404", 0},
        {"who are you", "401 Unauthorized", "", "", 0, VX_ERR_CLOUD_REFUSED, "VOXLOCK_CLOUD_AUTH", 0},
        {"not you", "403 Forbidden", "", "", 0, VX_ERR_CLOUD_REFUSED, "403", 0},
        {"busy", "429 Too Many Requests", PROBLEM "Retry-After: 7\r\n", "{\"code\":\"busy\",\"detail\":\"queue\"}", 32,
         VX_ERR_CLOUD_REFUSED, "429 busy: queue", 7},
        {"broken", "500 Internal Server Error", PROBLEM, "{\"code\":\"internal\"}", 19, VX_ERR_CLOUD_REFUSED,
         "500 internal", 0},
        {"not ready", "503 Service Unavailable", PROBLEM "Retry-After: 2\r\n", "{\"code\":\"not_ready\"}", 20,
         VX_ERR_CLOUD_REFUSED, "not_ready", 2},
        {"senseless pause", "503 Service Unavailable", "Retry-After: 99999999999999999999\r\n", "", 0,
         VX_ERR_CLOUD_REFUSED, "503", 0},
        {"negative pause", "503 Service Unavailable", "Retry-After: -4\r\n", "", 0, VX_ERR_CLOUD_REFUSED, "503", 0},
        {"too late", "504 Gateway Timeout", PROBLEM, "not JSON", 8, VX_ERR_CLOUD_REFUSED, "504", 0},
        {"too short", "422 Unprocessable Content", PROBLEM, "{\"code\":\"audio_too_short\",\"detail\":\"0.1 s\"}", 43,
         VX_ERR_AUDIO_SHORT, "audio_too_short: 0.1 s", 0},
        {"silent", "422 Unprocessable Content", PROBLEM, "{\"code\":\"silent_audio\"}", 23, VX_ERR_AUDIO_SILENT,
         "silent_audio", 0},
        {"unknown format", "415 Unsupported Media Type", PROBLEM, "{\"code\":\"unknown_audio_format\"}", 31,
         VX_ERR_AUDIO_FORMAT, "", 0},
        {"too large", "413 Content Too Large", "", "", 0, VX_ERR_CLOUD_REFUSED, "413", 0},
        {"audio's fault, says a failure", "500 Internal Server Error", PROBLEM, "{\"code\":\"silent_audio\"}", 23,
         VX_ERR_CLOUD_REFUSED, "silent_audio", 0},
        {"no text for code", "422 Unprocessable Content", PROBLEM, "{\"code\":[1]}", 12, VX_ERR_CLOUD_REFUSED, "422",
         0},
        {"an array", "422 Unprocessable Content", PROBLEM, "[]", 2, VX_ERR_CLOUD_REFUSED, "422", 0},
        {"hostile code", "500 Internal Server Error", PROBLEM, "{\"code\":\"\\u001b[2J\",\"detail\":\"\\u202e\"}", 38,
         VX_ERR_CLOUD_REFUSED, "?[2J: ???", 0},
    };
    const vx_model_digest model = own_model();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        vx_embedding embedding = {.dim = -1};
        vx_http_answer answer = answer_of(cases[i].status, cases[i].lines, cases[i].body, cases[i].len);
        const vx_err err = vx_cloud_read_embedding(&answer, &model, DIM, &embedding, &info);
        if (err != cases[i].err || !strstr(info.text, cases[i].text) || info.retry_s != cases[i].retry_s)
            fail_msg("%s: %s, \"%s\", %d", cases[i].what, vx_err_code(err), info.text, info.retry_s);
        assert_int_equal(info.code, err);
        assert_int_equal(embedding.dim, err == VX_OK ? DIM : -1);
        assert_true(err != VX_OK || vx_model_digest_equal(&embedding.model, &model));
        vx_http_answer_done(&answer);
    }
}

static void first_error_wins(void **state)
{
    (void)state;
    const vx_model_digest model = own_model();
    vx_embedding embedding;
    vx_errinfo info = {0};
    vx_http_answer answer = answer_of("503 Service Unavailable", "Retry-After: 9\r\n", "", 0);
    (void)vx_errinfo_set(&info, VX_ERR_NOMEM, "before");
    assert_int_equal(vx_cloud_read_embedding(&answer, &model, DIM, &embedding, &info), VX_ERR_CLOUD_REFUSED);
    assert_int_equal(info.retry_s, 0);
    assert_string_equal(info.text, "before");
    assert_int_equal(vx_cloud_read_embedding(&answer, &model, DIM, &embedding, NULL), VX_ERR_CLOUD_REFUSED);
    vx_http_answer_done(&answer);
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        const char *status, *type, *body;
        vx_err err;
    } cases[] = {
        {"200 OK", "application/json", "{\"startup_state\":\"READY\",\"model\":{\"digest\":\"sha256:" DIGEST "\"}}",
         VX_OK},
        {"200 OK", "application/json; charset=utf-8",
         "{\"startup_state\":\"DEGRADED\",\"model\":{\"digest\":\"sha256:" DIGEST "\"}}", VX_OK},
        {"200 OK", "application/json", "{\"startup_state\":\"READY\",\"model\":{\"digest\":\"sha256:" OTHER "\"}}",
         VX_ERR_MODEL_MISMATCH},
        {"200 OK", "application/json", "{\"startup_state\":\"INITIALIZING\",\"model\":null}", VX_ERR_NOT_READY},
        {"200 OK", "application/json", "{\"startup_state\":\"READY\",\"model\":{\"digest\":\"md5\"}}",
         VX_ERR_CLOUD_ANSWER},
        {"200 OK", "application/json", "{}", VX_ERR_CLOUD_ANSWER},
        {"200 OK", "application/json", "[]", VX_ERR_CLOUD_ANSWER},
        {"200 OK", "application/json", "{", VX_ERR_CLOUD_ANSWER},
        {"200 OK", "application/json", "", VX_ERR_CLOUD_ANSWER},
        {"200 OK", "text/html", "<html>", VX_ERR_CLOUD_ANSWER},
        {"401 Unauthorized", "text/html", "", VX_ERR_CLOUD_REFUSED},
        {"503 Service Unavailable", "text/html", "", VX_ERR_CLOUD_REFUSED},
    };
    const vx_model_digest model = own_model();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        char lines[128];
        snprintf(lines, sizeof lines, "Content-Type: %s\r\n", cases[i].type);
        vx_http_answer answer = answer_of(cases[i].status, lines, cases[i].body, strlen(cases[i].body));
        const vx_err err = vx_cloud_read_status(&answer, &model, &info);
        if (err != cases[i].err)
            fail_msg("%s: %s %s", cases[i].body, vx_err_code(err), info.text);
        assert_int_equal(info.code, err);
        vx_http_answer_done(&answer);
    }
}

/* The server's clock, which identity goes by. */
static void dates(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int64_t seconds;
    } cases[] = {
        {"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 784111777},
        {"HTTP/2 200\r\ndate:Thu, 01 Jan 1970 00:00:00 GMT \r\nServer: x\r\n", 0},
        {"Date: Sat, 21 Nov 2026 06:40:00 GMT\r\n", 1795243200},
        {"Date: Thu, 29 Feb 2024 23:59:60 GMT\r\n", 1709251200},
        {"Date: Sunday, 06-Nov-94 08:49:37 GMT\r\n", -1},
        {"Date: Sun, 06 Nov 1994 08:49:37 EST\r\n", -1},
        {"Date: Sun, 06 anF 1994 08:49:37 GMT\r\n", -1},
        {"Date: Sun, 06 N 1994 08:49:37 GMT\r\n", -1},
        {"Date: Sun, 06 Nov 1969 08:49:37 GMT\r\n", -1},
        {"Date: soon\r\n", -1},
        {"X-Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_http_answer answer = {0};
        assert_int_equal(vx_buf_printf(&answer.head, "%s", cases[i].head), VX_OK);
        if (vx_http_date_s(&answer) != cases[i].seconds)
            fail_msg("%s: %lld", cases[i].head, (long long)vx_http_date_s(&answer));
        vx_http_answer_done(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings),
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(statuses),
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
