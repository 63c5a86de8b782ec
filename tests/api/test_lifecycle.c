/* test_lifecycle.c - starting, refusing to start, stopping: what an operator and a container host rely on. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"

/* Requests in flight when the signal comes. */
enum { IN_FLIGHT = SANITIZED ? 4 : 12 };

/* A minute of audio as a request. Freed by the caller. */
static char *long_request(void)
{
    vx_buf minute = clip_noise_flac(60 * VX_AUDIO_RATE, 3);
    char *body = clip_json(minute.data, minute.len, "");
    vx_buf_done(&minute);
    return body;
}

static json_t *queue_of(service *s)
{
    http_reply reply = http_get(s->port, "/status");
    json_t *root = http_json(&reply), *queue = json_incref(json_object_get(root, "queue"));
    json_decref(root);
    http_reply_done(&reply);
    return queue;
}

static void await_work(service *s, int running, int waiting)
{
    for (int tries = 0;; tries++) {
        json_t *queue = queue_of(s);
        const bool there = json_integer_value(json_object_get(queue, "running")) >= running &&
                           json_integer_value(json_object_get(queue, "waiting")) >= waiting;
        json_decref(queue);
        if (there)
            return;
        assert_true(tries < 10000);
    }
}

static bool can_connect(int port)
{
    int fd = raw_try(port);
    const bool connected = fd >= 0;
    raw_close(&fd);
    return connected;
}

static void a_signal_ends_an_idle_service(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        service *s = service_start_ready(NULL);
        service_signal(s, signals[i]);
        assert_int_equal(service_wait(s), 0);
        service_check_log(s);
        char *log = service_log(s);
        assert_non_null(strstr(log, "\"message\":\"draining\""));
        assert_non_null(strstr(log, "\"message\":\"stopped\""));
        free(log);
    }
}

static void a_signal_before_the_model_is_loaded_ends_it_too(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(service_stop(service_start(NULL)), 0);
    static const char *const bad[] = {"ECAPA_CACHE_DIR=/nonexistent", NULL};
    assert_int_equal(service_stop(service_start(bad)), 0);
}

/* All that were let in are answered in full, nobody else is let in, and then it ends. A second signal changes nothing. */
static void requests_in_flight_are_answered_first(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_THREADS=1", "VOXLOCK_DRAIN_MS=600000", "VOXLOCK_DEADLINE_MS=600000",
                                           NULL};
    char *body = long_request();
    for (int n_signals = 1; n_signals <= 2; n_signals++) {
        int fds[IN_FLIGHT];
        service *s = service_start_ready(settings);
        for (int i = 0; i < IN_FLIGHT; i++)
            fds[i] = raw_post(s->port, EMBEDDING, body);
        await_work(s, 1, IN_FLIGHT - 1);
        for (int i = 0; i < n_signals; i++) {
            service_signal(s, SIGTERM);
            assert_true(service_says(s, "draining"));
        }
        while (can_connect(s->port))
            assert_true(service_running(s)); /* or it ended, which refuses too */
        for (int i = 0; i < IN_FLIGHT; i++) {
            http_reply reply = {0};
            assert_true(raw_reply(fds[i], true, &reply));
            assert_int_equal(reply.status, 200);
            assert_true(http_header_is(&reply, "Connection", "close") || i == 0); /* one may have been sent before */
            json_t *root = http_json(&reply);
            assert_int_equal(json_array_size(json_object_get(root, "embedding")), CLIP_DIM);
            json_decref(root);
            http_reply_done(&reply);
            raw_close(&fds[i]);
        }
        assert_int_equal(service_wait(s), 0);
        service_check_log(s);
    }
    free(body);
}

/* The host would kill it soon: what has not begun is refused, and the end comes all the same. */
static void the_drain_time_is_kept(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_THREADS=1", "VOXLOCK_DRAIN_MS=0", "VOXLOCK_DEADLINE_MS=600000",
                                           NULL};
    enum { N = 6 };
    int fds[N];
    char *body = long_request();
    service *s = service_start_ready(settings);
    for (int i = 0; i < N; i++)
        fds[i] = raw_post(s->port, EMBEDDING, body);
    await_work(s, 1, N - 1);
    assert_int_equal(service_stop(s), 0);
    for (int i = 0; i < N; i++) {
        http_reply reply = {0};
        if (raw_reply(fds[i], true, &reply)) {
            assert_true(reply.status == 200 || reply.status == 503);
            json_decref(http_json(&reply));
        }
        http_reply_done(&reply);
        raw_close(&fds[i]);
    }
    free(body);
}

/* With ten minutes to drain, only what is in flight may use them. */
static void connections_without_a_request_do_not_hold_it_up(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_DRAIN_MS=600000", "VOXLOCK_IDLE_TIMEOUT_S=3600", NULL};
    service *s = service_start_ready(settings);
    http_reply reply = {0};
    int fresh = raw_open(s->port), used = raw_open(s->port);
    assert_true(raw_say(used, "GET /health/live HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_true(raw_reply(used, true, &reply));
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
    assert_true(raw_ended(fresh, NULL));
    assert_true(raw_ended(used, NULL));
    raw_close(&fresh);
    raw_close(&used);
}

/* A body on its way is a request in flight. */
static void an_upload_is_finished_while_draining(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_DRAIN_MS=600000", "VOXLOCK_BODY_TIMEOUT_MS=600000", NULL};
    char *body = clip_file_json("reader1_a.flac", ""), head[256];
    service *s = service_start_ready(settings);
    int fd = raw_open(s->port);
    snprintf(head, sizeof head,
             "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
             "Expect: 100-continue\r\n\r\n",
             strlen(body));
    http_reply reply = {0};
    assert_true(raw_say(fd, head));
    assert_true(raw_reply(fd, false, &reply)); /* 100 Continue: the headers have been read */
    http_reply_done(&reply);
    assert_true(raw_send(fd, body, 1000));
    service_signal(s, SIGTERM);
    assert_true(service_says(s, "draining"));
    assert_true(raw_say(fd, body + 1000));
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    raw_close(&fd);
    assert_int_equal(service_wait(s), 0);
    free(body);
}

/* After a crash the next one takes over its port, connections of the last one in TIME_WAIT or not. */
static void a_killed_service_starts_again_on_its_port(void **state)
{
    (void)state;
    service *s = service_start_ready(NULL);
    const int port = s->port;
    int fd = raw_open(port);
    http_reply reply = http_get(port, "/health");
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    service_signal(s, SIGKILL);
    assert_int_equal(service_wait(s), 128 + SIGKILL);
    assert_true(raw_ended(fd, NULL));

    char setting[32];
    snprintf(setting, sizeof setting, "PORT=%d", port);
    const char *const settings[] = {setting, NULL};
    s = service_start_ready(settings);
    assert_int_equal(s->port, port);
    reply = http_get(port, "/health");
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    raw_close(&fd);

    /* And nobody shares it. */
    service *second = service_run(settings, NULL);
    assert_int_equal(second->status, 1);
    char *log = service_log(second);
    assert_non_null(strstr(log, setting + strlen("PORT=")));
    assert_non_null(strstr(log, "in use"));
    free(log);
    assert_int_equal(service_stop(s), 0);
}

static void bad_settings_are_named_and_end_it_with_2(void **state)
{
    (void)state;
    static const struct {
        const char *setting, *arg; /* either may be NULL */
        const char *says;
        int status;
    } cases[] = {
        {"PORT=port", NULL, "PORT", 2},
        {"PORT=65536", NULL, "PORT", 2},
        {"PORT=-1", NULL, "PORT", 2},
        {"PORT=80 80", NULL, "PORT", 2},
        {"VOXLOCK_QUEUE=many", NULL, "VOXLOCK_QUEUE", 2},
        {"VOXLOCK_MAX_BODY=1KiB", NULL, "VOXLOCK_MAX_BODY", 2},
        {"VOXLOCK_MAX_BODY=16 parsecs", NULL, "VOXLOCK_MAX_BODY", 2},
        {"VOXLOCK_DEADLINE_MS=1", NULL, "VOXLOCK_DEADLINE_MS", 2},
        {"VOXLOCK_DEADLINE_MS=99999999999999999999", NULL, "VOXLOCK_DEADLINE_MS", 2},
        {"VOXLOCK_LOG_FORMAT=xml", NULL, "VOXLOCK_LOG_FORMAT", 2},
        {"VOXLOCK_LOG_LEVEL=loud", NULL, "VOXLOCK_LOG_LEVEL", 2},
        {"ECAPA_PREFERRED_STRATEGY=magic", NULL, "ECAPA_PREFERRED_STRATEGY", 2},
        {"ECAPA_DEVICE=quantum", NULL, "ECAPA_DEVICE", 2},
        {"ECAPA_STRICT_OFFLINE=false", NULL, "ECAPA_STRICT_OFFLINE", 2},
        {"ECAPA_WARMUP_ON_START=maybe", NULL, "ECAPA_WARMUP_ON_START", 2},
        {"VOXLOCK_ISA=mmx", NULL, "VOXLOCK_ISA", 2},
        {"VOXLOCK_NO_SUCH_THING=1", NULL, "VOXLOCK_NO_SUCH_THING", 2},
        {"ECAPA_CACHE_DIRECTORY=/x", NULL, "ECAPA_CACHE_DIRECTORY", 2},
        {"VOXLOCK_CONFIG=/nonexistent.conf", NULL, "/nonexistent.conf", 2},
        {NULL, "--port=x", "port", 2},
        {NULL, "--no-such-flag", "--no-such-flag", 2},
        {NULL, "operand", "operand", 2},
        {NULL, "--port", "--port", 2},
        {"VOXLOCK_BIND=not.an.address.invalid", NULL, "not.an.address.invalid", 1},
        {"VOXLOCK_BIND=203.0.113.7", NULL, "203.0.113.7", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const settings[] = {cases[i].setting, NULL}, *const args[] = {cases[i].arg, NULL};
        const char *what = cases[i].setting ? cases[i].setting : cases[i].arg;
        service *s = service_run(settings, args);
        char *log = service_log(s);
        const char *end = strchr(log, '\n');
        if (s->status != cases[i].status)
            fail_msg("%s: status %d: %s", what, s->status, log);
        if (!strstr(log, cases[i].says) || strncmp(log, "voxlock-cloud: ", 15) != 0 || !end || end[1])
            fail_msg("%s is not told in one line: %s", what, log);
        free(log);
        if (i % 20 == 19)
            assert_int_equal(service_reap(state), 0);
    }
}

static void questions_are_answered_without_a_service(void **state)
{
    (void)state;
    static const char *const args[] = {"--help", "-h", "--version"};
    static const char *const says[] = {"VOXLOCK_DRAIN_MS", "PORT", "voxlock-cloud " VX_VERSION "\n"};
    for (size_t i = 0; i < 3; i++) {
        const char *const argv[] = {args[i], NULL};
        service *s = service_run(NULL, argv);
        char *log = service_log(s);
        assert_int_equal(s->status, 0);
        assert_non_null(strstr(log, says[i]));
        free(log);
    }
}

/* A flag beats the environment, which beats the file. */
static void settings_come_from_flags_environment_and_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/voxlock-lifecycle-XXXXXX", config[64];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "# limits\nVOXLOCK_QUEUE = 11\nVOXLOCK_THREADS = 3\n";
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    snprintf(config, sizeof config, "VOXLOCK_CONFIG=%s", path);
    static const struct {
        const char *env, *flag;
        int queue, threads;
    } cases[] = {
        {NULL, NULL, 11, 3},
        {"VOXLOCK_QUEUE=12", NULL, 12, 3},
        {"VOXLOCK_THREADS=2", "--threads=1", 11, 1},
    };
    for (size_t i = 0; i < 3; i++) {
        const char *const settings[] = {config, cases[i].env, NULL}, *const args[] = {cases[i].flag, NULL};
        service *s = service_start_with(settings, args);
        json_t *queue = queue_of(s);
        assert_int_equal(json_integer_value(json_object_get(queue, "limit")), cases[i].queue);
        assert_int_equal(json_integer_value(json_object_get(queue, "workers")), cases[i].threads);
        json_decref(queue);
        assert_int_equal(service_stop(s), 0);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_signal_ends_an_idle_service, service_reap),
        cmocka_unit_test_teardown(a_signal_before_the_model_is_loaded_ends_it_too, service_reap),
        cmocka_unit_test_teardown(requests_in_flight_are_answered_first, service_reap),
        cmocka_unit_test_teardown(the_drain_time_is_kept, service_reap),
        cmocka_unit_test_teardown(connections_without_a_request_do_not_hold_it_up, service_reap),
        cmocka_unit_test_teardown(an_upload_is_finished_while_draining, service_reap),
        cmocka_unit_test_teardown(a_killed_service_starts_again_on_its_port, service_reap),
        cmocka_unit_test_teardown(bad_settings_are_named_and_end_it_with_2, service_reap),
        cmocka_unit_test_teardown(questions_are_answered_without_a_service, service_reap),
        cmocka_unit_test_teardown(settings_come_from_flags_environment_and_a_file, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
