/* test_faults.c - the engine fails, finds no memory, becomes slow, on purpose (cloud/faults.h): what clients see of it,
 * and that it passes. Whatever happens, every request is answered, and no answer holds a wrong vector.
 */
#include <poll.h>
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

#include "shared/base/clock.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"

#define RAW   "/api/ml/speaker_embedding?format=int16&sample_rate=16000"
#define LINES "Content-Type: application/octet-stream\r\nAccept: application/octet-stream\r\n"

enum { N_SAMPLES = VX_AUDIO_RATE / 2 };

/* ---- clips ----------------------------------------------------------------------------------------------------- */

/* Half a second of noise as bare samples, and the bytes of its embedding. */
typedef struct {
    vx_buf pcm, vector;
} clip;

static clip make_clip(uint64_t seed)
{
    float *samples = malloc(N_SAMPLES * sizeof *samples), expected[CLIP_DIM];
    assert_non_null(samples);
    for (size_t i = 0; i < N_SAMPLES; i++)
        samples[i] = (float)((int)(stats_random(&seed) & 0x3fff) - 0x2000) / 32768;
    vx_audio audio = {.samples = samples, .n = N_SAMPLES};
    clip_expected(&audio, expected);
    clip c = {.pcm = clip_s16(samples, N_SAMPLES), .vector = clip_f32(expected, CLIP_DIM)};
    free(samples);
    return c;
}

static void clip_done(clip *c)
{
    vx_buf_done(&c->pcm);
    vx_buf_done(&c->vector);
}

static int send_clip(const service *s, const clip *c)
{
    return raw_post_with(s->port, RAW, LINES, c->pcm.data, c->pcm.len);
}

static bool holds_code(const http_reply *reply, const char *code)
{
    json_t *root = http_json(reply);
    const char *got = json_string_value(json_object_get(root, "code"));
    const bool holds = got && strcmp(got, code) == 0;
    json_decref(root);
    return holds;
}

/* The status of the answer; 200 comes with the right vector, anything else is a whole problem. */
static int take_answer(int fd, const clip *c, http_reply *ret_reply)
{
    http_reply reply = {0};
    if (!raw_reply(fd, true, &reply))
        fail_msg("a request is lost");
    raw_close(&fd);
    if (reply.status == 200) {
        assert_int_equal(reply.body.len, c->vector.len);
        assert_memory_equal(reply.body.data, c->vector.data, c->vector.len);
    } else {
        assert_true(http_header_is(&reply, "Content-Type", "application/problem+json"));
        json_decref(http_json(&reply));
    }
    const int status = reply.status;
    if (ret_reply)
        *ret_reply = reply;
    else
        http_reply_done(&reply);
    return status;
}

static int ask(const service *s, const clip *c)
{
    return take_answer(send_clip(s, c), c, NULL);
}

static void expect_problem(const service *s, const clip *c, int status, const char *code)
{
    http_reply reply;
    assert_int_equal(take_answer(send_clip(s, c), c, &reply), status);
    assert_true(holds_code(&reply, code));
    http_reply_done(&reply);
}

/* ---- faults ---------------------------------------------------------------------------------------------------- */

typedef struct {
    char path[64], setting[96];
} faults;

static void faults_set(const faults *f, const char *words)
{
    char beside[80];
    snprintf(beside, sizeof beside, "%s.new", f->path);
    FILE *file = fopen(beside, "w");
    assert_non_null(file);
    assert_true(fputs(words, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(beside, f->path), 0);
}

static faults faults_make(void)
{
    faults f = {.path = "/tmp/voxlock-faults-XXXXXX"};
    const int fd = mkstemp(f.path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(f.setting, sizeof f.setting, "VOXLOCK_TEST_FAULTS=%s", f.path);
    return f;
}

static void faults_done(const faults *f)
{
    unlink(f->path);
}

/* ---- what the service says of itself --------------------------------------------------------------------------- */

/* One value of /status, such as "circuit_breaker", "state". New reference. */
static json_t *status_of(const service *s, const char *part, const char *key)
{
    http_reply reply = http_get(s->port, "/status");
    json_t *root = http_json(&reply), *value = json_incref(json_object_get(json_object_get(root, part), key));
    assert_non_null(value);
    json_decref(root);
    http_reply_done(&reply);
    return value;
}

static long long status_number(const service *s, const char *part, const char *key)
{
    json_t *value = status_of(s, part, key);
    const long long number = json_integer_value(value);
    json_decref(value);
    return number;
}

static void expect_breaker(const service *s, const char *state, int opened)
{
    json_t *value = status_of(s, "circuit_breaker", "state");
    assert_string_equal(json_string_value(value), state);
    json_decref(value);
    assert_int_equal(status_number(s, "circuit_breaker", "opened_count"), opened);
}

static void expect_health(const service *s, int status)
{
    http_reply reply = http_get(s->port, "/health");
    assert_int_equal(reply.status, status);
    http_reply_done(&reply);
}

/* ---- a failing engine ------------------------------------------------------------------------------------------ */

/* Until the pause is over and one request was let through. Everything before is refused at once. */
static int ask_until_let_through(const service *s, const clip *c)
{
    const uint64_t start = vx_now_ns();
    int status;
    while ((status = ask(s, c)) == 503) {
        assert_true(vx_ms_since(start) < PATIENCE_MS);
        poll(NULL, 0, 10);
    }
    return status;
}

/* Five failures are told as such; then the service answers at once and says when to come back; one request tries in
 * between; and when the fault is gone all is as before. */
static void failures_open_the_breaker_and_a_success_closes_it(void **state)
{
    (void)state;
    static const struct {
        const char *word, *code; /* in the log: what broke inside is not told to clients */
    } rows[] = {{"engine", "engine_failed"}, {"memory", "out_of_memory"}};
    clip known = make_clip(1), fresh = make_clip(2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        faults f = faults_make();
        const char *const settings[] = {f.setting, "VOXLOCK_BREAKER_OPEN_MS=1000", NULL};
        service *s = service_start_ready(settings);
        assert_int_equal(ask(s, &known), 200);
        faults_set(&f, rows[i].word);
        for (int k = 0; k < 5; k++) {
            expect_breaker(s, "CLOSED", 0);
            expect_problem(s, &fresh, 500, "internal");
        }
        assert_true(service_says(s, rows[i].code));

        http_reply reply;
        assert_int_equal(take_answer(send_clip(s, &fresh), &fresh, &reply), 503);
        assert_true(holds_code(&reply, "circuit_open"));
        char after[16];
        assert_true(http_header(&reply, "Retry-After", after, sizeof after));
        assert_int_equal(atoi(after), 1);
        http_reply_done(&reply);
        expect_health(s, 200);                 /* a restart would mend nothing that the pause does not */
        assert_int_equal(ask(s, &known), 200); /* what is remembered needs no engine */

        assert_int_equal(ask_until_let_through(s, &fresh), 500);
        expect_breaker(s, "OPEN", 2);
        faults_set(&f, "");
        assert_int_equal(ask_until_let_through(s, &fresh), 200);
        expect_breaker(s, "CLOSED", 2);
        assert_int_equal(status_number(s, "circuit_breaker", "failures"), 0);
        assert_int_equal(service_stop(s), 0);
        service_check_log(s);
        faults_done(&f);
    }
    clip_done(&known);
    clip_done(&fresh);
}

static void probes_tell_of_an_open_breaker(void **state)
{
    (void)state;
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_BREAKER_FAILURES=1", NULL};
    clip c = make_clip(3);
    service *s = service_start_ready(settings);
    faults_set(&f, "engine");
    assert_int_equal(ask(s, &c), 500);
    http_reply reply = http_get(s->port, "/api/ml/health");
    assert_int_equal(reply.status, 200);
    json_t *root = http_json(&reply);
    const json_t *breaker = json_object_get(root, "circuit_breaker");
    assert_string_equal(json_string_value(json_object_get(breaker, "state")), "OPEN");
    assert_true(json_real_value(json_object_get(breaker, "retry_after_seconds")) > 0);
    assert_true(json_real_value(json_object_get(breaker, "retry_after_seconds")) <= 30);
    json_decref(root);
    http_reply_done(&reply);
    expect_problem(s, &c, 503, "circuit_open");
    reply = http_get(s->port, "/metrics");
    const char *text = (const char *)reply.body.data;
    assert_non_null(strstr(text, "\nvoxlock_breaker_state 2\n"));
    assert_non_null(strstr(text, "\nvoxlock_breaker_opened_total 1\n"));
    assert_non_null(strstr(text, "\nvoxlock_refused_total{reason=\"circuit_open\"} 1\n"));
    http_reply_done(&reply);
    clip_done(&c);
    faults_done(&f);
}

/* With a breaker that one failure opens, nothing that a client sends opens it. */
static void mistakes_of_clients_are_no_failures(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_BREAKER_FAILURES=1", "VOXLOCK_MAX_BODY=64KiB", NULL};
    static uint8_t zeros[32000], nan_samples[32000], large[100000];
    memset(nan_samples, 0xff, sizeof nan_samples); /* float32 NaN */
    const struct {
        const char *path, *type;
        const void *body;
        size_t len;
        int status;
    } rows[] = {
        {RAW, "application/octet-stream", zeros, sizeof zeros, 422},
        {RAW, "application/octet-stream", zeros, 100, 422},
        {RAW, "application/octet-stream", "", 0, 422},
        {"/api/ml/speaker_embedding?format=float32", "audio/raw", nan_samples, sizeof nan_samples, 422},
        {"/api/ml/speaker_embedding?format=flac", "audio/flac", "fLaC\0\0\0\x22", 8, 422},
        {"/api/ml/speaker_embedding?format=m4a", "audio/mp4", "x", 1, 422},
        {"/api/ml/speaker_embedding", "audio/wav", "what is this", 12, 415},
        {"/api/ml/speaker_embedding", "application/json", "{\"audio_data\": \"!\"}", 19, 400},
        {"/api/ml/speaker_embedding", "application/json", "{", 1, 400},
        {"/api/ml/speaker_embedding", "application/json", "{}", 2, 422},
        {"/api/ml/speaker_embedding", "text/plain", "x", 1, 415},
        {"/api/ml/speaker_embedding", "application/json\r\nContent-Encoding: gzip", "x", 1, 400},
        {RAW, "application/octet-stream", large, sizeof large, 413},
    };
    clip c = make_clip(4);
    service *s = service_start_ready(settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char lines[128];
        http_reply reply = {0};
        snprintf(lines, sizeof lines, "Content-Type: %s\r\n", rows[i].type);
        int fd = raw_post_with(s->port, rows[i].path, lines, rows[i].body, rows[i].len);
        assert_true(raw_reply(fd, true, &reply));
        if (reply.status != rows[i].status)
            fail_msg("row %zu is answered %d: %s", i, reply.status, (const char *)reply.body.data);
        http_reply_done(&reply);
        raw_close(&fd);
    }
    expect_breaker(s, "CLOSED", 0);
    assert_int_equal(status_number(s, "circuit_breaker", "failures"), 0);
    assert_int_equal(ask(s, &c), 200);
    clip_done(&c);
}

/* Faults come and go while many ask: each is answered, with its own vector or with a reason. */
static void nothing_is_lost_or_mixed_up_while_faults_come_and_go(void **state)
{
    (void)state;
    enum { CLIPS = 4, AT_ONCE = 12, ROUNDS = 12 };
    static const char *const words[] = {"", "engine", "memory", ""};
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_BREAKER_OPEN_MS=1", "ECAPA_CACHE_SIZE=3", "VOXLOCK_THREADS=3",
                                    NULL};
    clip clips[CLIPS];
    int n_right = 0, n_failed = 0, n_refused = 0;
    for (uint64_t i = 0; i < CLIPS; i++)
        clips[i] = make_clip(10 + i);
    service *s = service_start_ready(settings);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            fds[i] = send_clip(s, &clips[(i + round) % CLIPS]);
            if (i == AT_ONCE / 2)
                faults_set(&f, words[round % 4]);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            const int status = take_answer(fds[i], &clips[(i + round) % CLIPS], NULL);
            assert_true(status == 200 || status == 500 || status == 503);
            n_right += status == 200;
            n_failed += status == 500;
            n_refused += status == 503;
        }
    }
    print_message("# %d right, %d failed, %d refused\n", n_right, n_failed, n_refused);
    assert_true(n_right > 0 && n_failed > 0);
    faults_set(&f, "");
    for (int i = 0; i < CLIPS; i++)
        assert_int_equal(ask_until_let_through(s, &clips[i]), 200);
    assert_int_equal(service_stop(s), 0);
    service_check_log(s);
    for (int i = 0; i < CLIPS; i++)
        clip_done(&clips[i]);
    faults_done(&f);
}

/* ---- a slow engine --------------------------------------------------------------------------------------------- */

/* Past the queue the answer is 429 at once; all that were taken are answered; and probes never wait. */
static void a_full_queue_refuses_at_once(void **state)
{
    (void)state;
    enum { N = 8 };
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_THREADS=1", "VOXLOCK_QUEUE=1", NULL};
    clip clips[N];
    int fds[N], served = 0, busy = 0;
    for (uint64_t i = 0; i < N; i++)
        clips[i] = make_clip(20 + i);
    service *s = service_start_ready(settings);
    faults_set(&f, "slow");
    for (int i = 0; i < N; i++)
        fds[i] = send_clip(s, &clips[i]);
    expect_health(s, 200);
    for (int i = 0; i < N; i++) {
        http_reply reply;
        const int status = take_answer(fds[i], &clips[i], &reply);
        served += status == 200;
        if (status != 200) {
            assert_int_equal(status, 429);
            assert_true(holds_code(&reply, "busy"));
            assert_true(http_header_is(&reply, "Retry-After", "1"));
            busy++;
        }
        http_reply_done(&reply);
    }
    assert_true(served >= 2 && busy >= 1);
    char line[64];
    snprintf(line, sizeof line, "\nvoxlock_refused_total{reason=\"busy\"} %d\n", busy);
    http_reply reply = http_get(s->port, "/metrics");
    assert_non_null(strstr((const char *)reply.body.data, line));
    http_reply_done(&reply);
    for (int i = 0; i < N; i++)
        clip_done(&clips[i]);
    faults_done(&f);
}

/* What waited too long is not begun. Neither it nor a slow success is a failure of the engine. */
static void the_deadline_covers_queueing(void **state)
{
    (void)state;
    enum { N = 6 };
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_THREADS=1", "VOXLOCK_DEADLINE_MS=400",
                                    "VOXLOCK_BREAKER_FAILURES=1", NULL};
    clip clips[N];
    int fds[N], served = 0, late = 0;
    for (uint64_t i = 0; i < N; i++)
        clips[i] = make_clip(30 + i);
    service *s = service_start_ready(settings);
    faults_set(&f, "slow");
    for (int i = 0; i < N; i++)
        fds[i] = send_clip(s, &clips[i]);
    for (int i = 0; i < N; i++) {
        http_reply reply;
        const int status = take_answer(fds[i], &clips[i], &reply);
        served += status == 200;
        if (status != 200) {
            assert_int_equal(status, 504);
            assert_true(holds_code(&reply, "deadline_exceeded"));
            late++;
        }
        http_reply_done(&reply);
    }
    assert_true(served >= 1 && late >= 1);
    assert_int_equal(status_number(s, "cache", "misses"), served); /* nothing was computed for nobody */
    expect_breaker(s, "CLOSED", 0);
    for (int i = 0; i < N; i++)
        clip_done(&clips[i]);
    faults_done(&f);
}

/* Who waits for another's computation waits no longer than its own deadline. */
static void the_deadline_covers_waiting_for_the_same_clip(void **state)
{
    (void)state;
    enum { TRIES = 20 };
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_THREADS=2", "VOXLOCK_DEADLINE_MS=200", NULL};
    service *s = service_start_ready(settings);
    faults_set(&f, "slow");
    int late = 0;
    for (uint64_t i = 0; late == 0; i++) { /* again where the two did not meet */
        assert_true(i < TRIES);
        clip c = make_clip(40 + i);
        int first = send_clip(s, &c), second = send_clip(s, &c);
        const int a = take_answer(first, &c, NULL), b = take_answer(second, &c, NULL);
        assert_true((a == 200 || a == 504) && (b == 200 || b == 504));
        late += (a == 200) != (b == 200);
        clip_done(&c);
    }
    faults_done(&f);
}

/* A signal during slow work: what was taken is answered first. */
static void slow_work_is_finished_before_the_end(void **state)
{
    (void)state;
    enum { N = 4 };
    faults f = faults_make();
    const char *const settings[] = {f.setting, "VOXLOCK_THREADS=2", "VOXLOCK_DRAIN_MS=600000", NULL};
    clip clips[N];
    int fds[N];
    for (uint64_t i = 0; i < N; i++)
        clips[i] = make_clip(60 + i);
    service *s = service_start_ready(settings);
    faults_set(&f, "slow");
    for (int i = 0; i < N; i++)
        fds[i] = send_clip(s, &clips[i]);
    const uint64_t start = vx_now_ns();
    while (status_number(s, "queue", "running") + status_number(s, "queue", "waiting") < N &&
           status_number(s, "cache", "misses") < N)
        assert_true(vx_ms_since(start) < PATIENCE_MS);
    service_signal(s, SIGTERM);
    for (int i = 0; i < N; i++)
        assert_int_equal(take_answer(fds[i], &clips[i], NULL), 200);
    assert_int_equal(service_wait(s), 0);
    for (int i = 0; i < N; i++)
        clip_done(&clips[i]);
    faults_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(failures_open_the_breaker_and_a_success_closes_it, service_reap),
        cmocka_unit_test_teardown(probes_tell_of_an_open_breaker, service_reap),
        cmocka_unit_test_teardown(mistakes_of_clients_are_no_failures, service_reap),
        cmocka_unit_test_teardown(nothing_is_lost_or_mixed_up_while_faults_come_and_go, service_reap),
        cmocka_unit_test_teardown(a_full_queue_refuses_at_once, service_reap),
        cmocka_unit_test_teardown(the_deadline_covers_queueing, service_reap),
        cmocka_unit_test_teardown(the_deadline_covers_waiting_for_the_same_clip, service_reap),
        cmocka_unit_test_teardown(slow_work_is_finished_before_the_end, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
