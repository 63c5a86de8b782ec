/* test_protocol.c - HTTP itself: request ids, connections that are kept, ways to send a body, content types, what the
 * log says of a request.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"

typedef struct {
    service *s;
    json_t *document;
    char *body; /* a request that is answered 200 */
    float expected[CLIP_DIM];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    f.s = service_start_ready(NULL);
    f.document = openapi_load();
    f.body = clip_file_json("reader1_a.flac", "");
    vx_audio audio = clip_audio("reader1_a.flac");
    clip_expected(&audio, f.expected);
    vx_audio_done(&audio);
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    json_decref(f->document);
    free(f->body);
    return service_reap(state);
}

static http_reply post_with(const fixture *f, const char *const headers[], const char *body, size_t len)
{
    return http_call(f->s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = body, .len = len});
}

static void check_embedding(const fixture *f, const http_reply *reply, const char *what)
{
    float got[CLIP_DIM];
    if (reply->status != 200)
        fail_msg("%s: %d %.300s", what, reply->status, (const char *)reply->body.data);
    json_t *root = http_json(reply);
    clip_values(json_object_get(root, "embedding"), got);
    assert_memory_equal(got, f->expected, sizeof got);
    json_decref(root);
}

/* ---- request ids ------------------------------------------------------------------------------------------------ */

static bool is_made(const char *id)
{
    return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

static void a_clients_request_id_is_taken_or_replaced(void **state)
{
    static const struct {
        const char *sent;
        bool taken;
    } cases[] = {
        {"a", true},
        {"A-z_0.9", true},
        {"7c1b2f0e-9d8c-4a5f-b6e0-d1c2b3a49586", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},   /* 64 */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}, /* 65 */
        {"two words", false},
        {"quote\"", false},
        {"<b>", false},
        {"a\tb", false},
        {"\xc3\xa4", false},
        {"\xff\xfe", false},
        {"a,b", false},
        {"{}", false},
    };
    const fixture *f = *state;
    char line[128], got[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(line, sizeof line, "X-Request-Id: %s", cases[i].sent);
        const char *const headers[] = {line, "Content-Type: application/json", NULL};
        for (int post = 0; post < 2; post++) {
            http_reply reply = http_call(f->s->port, (http_request){.path = post ? EMBEDDING : "/health",
                                                                    .headers = headers,
                                                                    .body = post ? "{" : NULL,
                                                                    .len = 1});
            assert_true(http_header(&reply, "X-Request-Id", got, sizeof got));
            if (cases[i].taken ? strcmp(got, cases[i].sent) != 0 : !is_made(got))
                fail_msg("'%s' is answered as '%s'", cases[i].sent, got);
            if (post)
                openapi_check(f->document, EMBEDDING, "POST", &reply);
            http_reply_done(&reply);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void made_request_ids_differ(void **state)
{
    enum { N = 100 };
    static char ids[N][64];
    const fixture *f = *state;
    CURL *curl = curl_easy_init();
    for (int i = 0; i < N; i++) {
        http_reply reply = http_call_on(curl, f->s->port, (http_request){.path = i % 2 ? "/health" : "/nothing"});
        assert_true(http_header(&reply, "X-Request-Id", ids[i], sizeof ids[i]));
        assert_true(is_made(ids[i]));
        http_reply_done(&reply);
    }
    curl_easy_cleanup(curl);
    qsort(ids, N, sizeof ids[0], by_text);
    for (int i = 1; i < N; i++)
        assert_string_not_equal(ids[i - 1], ids[i]);
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

/* A client's mistake costs an answer, not the connection. */
static void one_connection_serves_good_and_bad_requests(void **state)
{
    static const char *const json[] = {"Content-Type: application/json", "Expect:", NULL};
    static const char *const plain[] = {"Content-Type: text/plain", "Expect:", NULL};
    const fixture *f = *state;
    const struct {
        http_request request;
        int status;
    } cases[] = {
        {{.path = EMBEDDING, .headers = json, .body = f->body, .len = strlen(f->body)}, 200},
        {{.path = EMBEDDING, .headers = json, .body = "{}", .len = 2}, 422},
        {{.path = EMBEDDING, .headers = json, .body = "{", .len = 1}, 400},
        {{.path = EMBEDDING, .headers = plain, .body = "x", .len = 1}, 415},
        {{.path = "/nothing", .headers = json, .body = "{}", .len = 2}, 404},
        {{.path = EMBEDDING}, 405},
        {{.method = "HEAD", .path = "/health"}, 200},
        {{.path = "/health", .method = "GET", .headers = json, .body = "ignored", .len = 7}, 200},
        {{.path = "/metrics"}, 200},
    };
    CURL *curl = curl_easy_init();
    long connections = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            long opened = 0;
            http_reply reply = http_call_on(curl, f->s->port, cases[i].request);
            if (reply.status != cases[i].status)
                fail_msg("%s is answered %d instead of %d", cases[i].request.path, reply.status, cases[i].status);
            curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &opened);
            connections += opened;
            http_reply_done(&reply);
        }
    }
    curl_easy_cleanup(curl);
    assert_int_equal(connections, 1);
}

static void requests_sent_ahead_are_answered_in_order(void **state)
{
    const fixture *f = *state;
    vx_buf all = {0};
    static const char ahead[] = "GET /health/live HTTP/1.1\r\nHost: t\r\nX-Request-Id: p1\r\n\r\n"
                                "GET /nothing HTTP/1.1\r\nHost: t\r\nX-Request-Id: p2\r\n\r\n";
    char head[256];
    snprintf(head, sizeof head,
             "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nX-Request-Id: p3\r\nContent-Length: %zu\r\n"
             "Content-Type: application/json\r\n\r\n",
             strlen(f->body));
    static const char last[] = "GET /health/live HTTP/1.1\r\nHost: t\r\nX-Request-Id: p4\r\nConnection: close\r\n\r\n";
    const char *const parts[] = {ahead, head, f->body, last};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(vx_buf_append(&all, parts[i], strlen(parts[i])), VX_OK);
    int fd = raw_open(f->s->port);
    assert_true(raw_send(fd, all.data, all.len));
    static const int statuses[] = {200, 404, 200, 200};
    for (int i = 0; i < 4; i++) {
        http_reply reply = {0};
        const char id[] = {'p', (char)('1' + i), '\0'};
        assert_true(raw_reply(fd, true, &reply));
        assert_int_equal(reply.status, statuses[i]);
        assert_true(http_header_is(&reply, "X-Request-Id", id));
        if (i == 2)
            check_embedding(f, &reply, "the third of four");
        http_reply_done(&reply);
    }
    assert_true(raw_ended(fd, NULL));
    raw_close(&fd);
    vx_buf_done(&all);
}

static void the_connection_ends_when_the_client_says_so(void **state)
{
    static const char *const requests[] = {
        "GET /health/live HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "GET /health/live HTTP/1.0\r\n\r\n",
        "GET /health/live HTTP/1.0\r\nHost: t\r\n\r\n",
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        http_reply reply = {0};
        int fd = raw_open(f->s->port);
        assert_true(raw_say(fd, requests[i]));
        assert_true(raw_reply(fd, true, &reply));
        assert_int_equal(reply.status, 200);
        assert_true(raw_ended(fd, NULL));
        http_reply_done(&reply);
        raw_close(&fd);
    }
}

/* A client that has sent everything and half-closes still wants its answer. */
static void a_half_closed_connection_is_answered(void **state)
{
    const fixture *f = *state;
    http_reply reply = {0};
    int fd = raw_post(f->s->port, EMBEDDING, f->body);
    assert_int_equal(raw_finish(fd), 0);
    assert_true(raw_reply(fd, true, &reply));
    check_embedding(f, &reply, "after a half-close");
    http_reply_done(&reply);
    raw_close(&fd);
}

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

static void a_body_may_come_in_chunks(void **state)
{
    const fixture *f = *state;
    static const char *const headers[] = {"Content-Type: application/json", "Transfer-Encoding: chunked",
                                          "Expect:", NULL};
    http_reply reply = post_with(f, headers, f->body, strlen(f->body));
    check_embedding(f, &reply, "libcurl's chunks");
    http_reply_done(&reply);

    /* Chunks of 1 to 64 bytes, extensions and a trailer: all that RFC 9112 allows. */
    vx_buf all = {0};
    assert_int_equal(vx_buf_printf(&all, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                                         "Transfer-Encoding: Chunked\r\n\r\n"),
                     VX_OK);
    const size_t len = strlen(f->body);
    for (size_t at = 0, i = 0; at < len; i++) {
        const size_t piece = len - at < i % 64 + 1 ? len - at : i % 64 + 1;
        assert_int_equal(vx_buf_printf(&all, i % 7 ? "%zx\r\n" : "0%zX;a=b\r\n", piece), VX_OK);
        assert_int_equal(vx_buf_append(&all, f->body + at, piece), VX_OK);
        assert_int_equal(vx_buf_append(&all, "\r\n", 2), VX_OK);
        at += piece;
    }
    assert_int_equal(vx_buf_printf(&all, "0\r\nX-Trailer: 1\r\n\r\n"), VX_OK);
    int fd = raw_open(f->s->port);
    assert_true(raw_send(fd, all.data, all.len));
    assert_true(raw_reply(fd, true, &reply));
    check_embedding(f, &reply, "small chunks");
    http_reply_done(&reply);
    /* The connection is in step: it serves another request. */
    assert_true(raw_say(fd, "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    raw_close(&fd);
    vx_buf_done(&all);
}

/* The head alone first: the service must ask for the body of a request that it will take, and refuse at once what it
 * will not. */
static void expect_100_continue_is_honoured(void **state)
{
    static const struct {
        const char *path, *type;
        size_t len;
        int status;
    } cases[] = {
        {EMBEDDING, "application/json", 0, 200},
        {EMBEDDING, "text/html", 100, 415},
        {"/nothing", "application/json", 100, 404},
        {"/health", "application/json", 100, 405},
        {EMBEDDING, "application/json", (16 << 20) + 1, 413},
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[512];
        http_reply reply = {0};
        int fd = raw_open(f->s->port);
        snprintf(
            head, sizeof head,
            "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: %s\r\nContent-Length: %zu\r\nExpect: 100-continue\r\n\r\n",
            cases[i].path, cases[i].type, cases[i].len ? cases[i].len : strlen(f->body));
        assert_true(raw_say(fd, head));
        assert_true(raw_reply(fd, cases[i].status != 200, &reply));
        if (cases[i].status == 200) {
            assert_int_equal(reply.status, 100);
            http_reply_done(&reply);
            assert_true(raw_say(fd, f->body));
            assert_true(raw_reply(fd, true, &reply));
            check_embedding(f, &reply, "after 100 Continue");
        }
        assert_int_equal(reply.status, cases[i].status);
        http_reply_done(&reply);
        raw_close(&fd);
    }
}

static void content_types_decide_what_a_body_is(void **state)
{
    static const struct {
        const char *type;
        int json, flac; /* status of either body under this type */
    } cases[] = {
        {"Content-Type: application/json", 200, 400},
        {"Content-Type: application/json; charset=utf-8", 200, 400},
        {"Content-Type: Application/JSON ;x=y", 200, 400},
        {"Content-Type: text/json", 200, 400},
        {"Content-Type: application/vnd.client+json", 200, 400},
        {"Content-Type:", 200, 415},
        {"Content-Type: application/x-www-form-urlencoded", 200, 415},
        {"Content-Type: audio/flac", 415, 200},
        {"Content-Type: audio/wav", 415, 200}, /* the bytes decide, not the name */
        {"Content-Type: application/octet-stream", 415, 200},
        {"Content-Type: audio/", 415, 415},
        {"Content-Type: audio", 415, 415},
        {"Content-Type: text/plain", 415, 415},
        {"Content-Type: multipart/form-data; boundary=x", 415, 415},
        {"Content-Type: image/png", 415, 415},
        {"Content-Type: json", 415, 415},
        {"Content-Type: +json", 415, 415},
        {"Content-Type: application/jsonp", 415, 415},
        {"Content-Type: \xff\xfe", 415, 415},
    };
    const fixture *f = *state;
    vx_buf flac = clip_file("reader1_a.flac");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const headers[] = {cases[i].type, "Expect:", NULL};
        http_reply json = post_with(f, headers, f->body, strlen(f->body));
        http_reply bare = post_with(f, headers, (const char *)flac.data, flac.len);
        if (json.status != cases[i].json || bare.status != cases[i].flac)
            fail_msg("%s: JSON %d, FLAC %d", cases[i].type, json.status, bare.status);
        openapi_check(f->document, EMBEDDING, "POST", &json);
        openapi_check(f->document, EMBEDDING, "POST", &bare);
        http_reply_done(&json);
        http_reply_done(&bare);
    }
    vx_buf_done(&flac);
}

/* Answers about voices are nobody else's, and none may be kept on the way. */
static void answers_are_not_to_be_stored(void **state)
{
    static const char *const paths[] = {"/health", "/status", "/metrics", "/openapi.json", "/nothing", EMBEDDING};
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply reply = http_get(f->s->port, paths[i]);
        assert_true(http_header_is(&reply, "Cache-Control", "no-store"));
        http_reply_done(&reply);
    }
    http_reply reply = http_post(f->s->port, EMBEDDING, f->body);
    assert_true(http_header_is(&reply, "Cache-Control", "no-store"));
    http_reply_done(&reply);
}

/* ---- the log ---------------------------------------------------------------------------------------------------- */

/* The log line of a request, by its id. New reference. */
static json_t *line_of(const fixture *f, const char *id)
{
    char mark[128];
    snprintf(mark, sizeof mark, "\"request_id\":\"%s\"", id);
    assert_true(service_says(f->s, mark));
    char *text = service_log(f->s), *rest = text, *line;
    json_t *found = NULL;
    while (!found && (line = strsep(&rest, "\n"))) {
        if (strstr(line, mark))
            found = json_loads(line, 0, NULL);
    }
    free(text);
    assert_non_null(found);
    return found;
}

static void each_request_is_one_line_of_the_log(void **state)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Expect:",
                                          "X-Request-Id: logged-1",
                                          "User-Agent: te\"st\xff/1",
                                          "X-Cloud-Trace-Context: 0123456789abcdef0123456789abcdef/42;o=1",
                                          NULL};
    const fixture *f = *state;
    http_reply reply = http_call(f->s->port, (http_request){.path = EMBEDDING "?format=auto&secret=1",
                                                            .headers = headers,
                                                            .body = f->body,
                                                            .len = strlen(f->body)});
    assert_int_equal(reply.status, 200);
    json_t *line = line_of(f, "logged-1");
    const json_t *request = json_object_get(line, "httpRequest");
    assert_string_equal(json_string_value(json_object_get(line, "severity")), "INFO");
    assert_string_equal(json_string_value(json_object_get(request, "requestMethod")), "POST");
    /* Without the query: who puts a token there must not find it in a log. */
    assert_string_equal(json_string_value(json_object_get(request, "requestUrl")), EMBEDDING);
    assert_int_equal(json_integer_value(json_object_get(request, "status")), 200);
    assert_int_equal(json_integer_value(json_object_get(request, "responseSize")), reply.body.len);
    assert_non_null(strstr(json_string_value(json_object_get(request, "userAgent")), "te\"st"));
    assert_string_equal(json_string_value(json_object_get(request, "remoteIp")), "127.0.0.1");
    const char *latency = json_string_value(json_object_get(request, "latency"));
    char *end;
    assert_true(strtod(latency, &end) > 0);
    assert_string_equal(end, "s");
    assert_string_equal(json_string_value(json_object_get(line, "logging.googleapis.com/trace")),
                        "0123456789abcdef0123456789abcdef");
    json_decref(line);
    http_reply_done(&reply);
    service_check_log(f->s);
}

/* What a client controls cannot forge a line. */
static void a_client_cannot_forge_a_line_of_the_log(void **state)
{
    const fixture *f = *state;
    static const char request[] = "GET /x%0a{\"severity\":\"ERROR\"} HTTP/1.1\r\nHost: t\r\nX-Request-Id: forger\r\n"
                                  "User-Agent: a\\\"}\x01\x1b[31m\x7f\r\n\r\n";
    int fd = raw_open(f->s->port);
    http_reply reply = {0};
    assert_true(raw_say(fd, request));
    assert_true(raw_reply(fd, true, &reply));
    http_reply_done(&reply);
    raw_close(&fd);
    assert_true(service_says(f->s, "forger"));
    service_check_log(f->s);
    char *log = service_log(f->s);
    for (const char *c = log; *c; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
    assert_null(strstr(log, "\n{\"severity\":\"ERROR\"}"));
    free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clients_request_id_is_taken_or_replaced),
        cmocka_unit_test(made_request_ids_differ),
        cmocka_unit_test(one_connection_serves_good_and_bad_requests),
        cmocka_unit_test(requests_sent_ahead_are_answered_in_order),
        cmocka_unit_test(the_connection_ends_when_the_client_says_so),
        cmocka_unit_test(a_half_closed_connection_is_answered),
        cmocka_unit_test(a_body_may_come_in_chunks),
        cmocka_unit_test(expect_100_continue_is_honoured),
        cmocka_unit_test(content_types_decide_what_a_body_is),
        cmocka_unit_test(answers_are_not_to_be_stored),
        cmocka_unit_test(each_request_is_one_line_of_the_log),
        cmocka_unit_test(a_client_cannot_forge_a_line_of_the_log),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
