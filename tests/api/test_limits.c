/* test_limits.c - limits of size, time and number, and a service without a model: 408, 413, 429, 503, 504. Each by a
 * service of its own, whose settings bring the limit near.
 */
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
#define VERIFY    "/api/ml/speaker_verify"
#define BATCH     "/api/ml/batch_embedding"

/* Work for a worker: a minute of audio, from 50 ms to 10 s by machine and build. */
enum { MINUTE = 60 * VX_AUDIO_RATE };

typedef struct {
    json_t *document;
    char *clip; /* base64 of a good clip */
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f;
    vx_buf file = clip_file("reader1_a.flac");
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
    return 0;
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
    static const size_t sizes[] = {LIMIT, LIMIT + 1, 2 * LIMIT, 2 << 20};
    char *body = malloc(2 << 20);
    memset(body, ' ', 2 << 20);
    for (size_t way = 0; way < 3; way++) {
        for (size_t i = 0; i < 4; i++) {
            if (way == 0 && i == 3)
                continue; /* below */
            http_reply reply = http_call(
                s->port, (http_request){.path = EMBEDDING, .headers = ways[way], .body = body, .len = sizes[i]});
            if (i == 0)
                openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_json");
            else
                openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
        }
    }
    /* 2 MiB is over four times the limit, where the answer comes before the body: a client that is still sending may see
     * a reset in its place, one that looks first sees it. */
    http_reply reply = {0};
    int fd = raw_open(s->port);
    assert_true(raw_say(fd, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                            "Content-Length: 2097152\r\n\r\n"));
    assert_true(raw_reply(fd, true, &reply));
    openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
    raw_close(&fd);
    free(body);
    assert_int_equal(service_stop(s), 0);
}

/* The default limit, at its edge; and lengths that nobody can mean are refused before anything is read. */
static void the_default_limit_is_16_mib(void **state)
{
    const fixture *f = *state;
    const size_t limit = 16 << 20;
    service *s = service_start_ready(NULL);
    char *body = malloc(limit + 2);
    memset(body, ' ', limit + 1);
    body[limit] = '\0';
    http_reply reply = http_post(s->port, EMBEDDING, body);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 400, "bad_json");
    body[limit] = ' ';
    body[limit + 1] = '\0';
    reply = http_post(s->port, EMBEDDING, body);
    openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
    free(body);
    static const char *const lengths[] = {"100000000000", "9223372036854775807"};
    for (size_t i = 0; i < 2; i++) {
        char head[256];
        int fd = raw_open(s->port);
        snprintf(head, sizeof head, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Length: %s\r\n\r\n", lengths[i]);
        assert_true(raw_say(fd, head));
        assert_true(raw_reply(fd, true, &reply));
        openapi_expect_problem(f->document, EMBEDDING, &reply, 413, "body_too_large");
        assert_true(raw_ended(fd, NULL));
        raw_close(&fd);
    }
    assert_int_equal(service_stop(s), 0);
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
        char *body = clip_fill("{\"audio_data\": \"%\"}", f->clip);
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
    char *body = clip_fill("{\"audio_data\": \"%\"}", f->clip);
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
            char *body = clip_fill(bodies[k], f->clip);
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
        cmocka_unit_test_teardown(bodies_over_the_limit_are_413, service_reap),
        cmocka_unit_test_teardown(the_default_limit_is_16_mib, service_reap),
        cmocka_unit_test_teardown(slow_bodies_are_408, service_reap),
        cmocka_unit_test_teardown(a_full_queue_is_429, service_reap),
        cmocka_unit_test_teardown(a_request_past_its_deadline_is_504, service_reap),
        cmocka_unit_test_teardown(a_batch_past_its_deadline_says_which_items, service_reap),
        cmocka_unit_test_teardown(without_a_model_requests_are_503, service_reap),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
