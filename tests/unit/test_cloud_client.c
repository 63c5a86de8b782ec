/* test_cloud_client.c - what the client sends, keeps, repeats and gives up, and what each answer does to its breaker.
 * The service is a proxy with nothing behind it, or one that answers from a second one; the real service is asked in
 * tests/e2e/test_cloud_path.c.
 */
#include "edge/route/cloud_client.h"

#include <math.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "shared/base/gzip.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/bad_proxy.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

enum { DIM = 8, N = 4800, FAILURES = 5, BASE_MS = 3000, SEED = 20 };
#define OPEN_NS UINT64_C(30000000000)
#define OCTETS  "Content-Type: application/octet-stream\r\n"
#define PROBLEM "Content-Type: application/problem+json\r\n"
#define MODEL   "Voxlock-Model: sha256:" DIGEST "\r\n"
#define DIGEST  "1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER   "2222222222222222222222222222222222222222222222222222222222222222"

static float samples[N];

static uint64_t read_turned(void *ctx)
{
    return atomic_load((atomic_uint_fast64_t *)ctx);
}

/* A client, the proxy it asks, and the clock of its breaker. */
typedef struct {
    bad_proxy *proxy;
    vx_cloud *cloud;
    atomic_uint_fast64_t now_ns;
    vx_buf good; /* a whole answer */
    char endpoint[64];
} stage;

static vx_cloud_options options_for(const char *endpoint)
{
    vx_cloud_options options = {.endpoint = endpoint,
                                .timeout_ms = SANITIZED ? 10 * BASE_MS : BASE_MS,
                                .breaker_failures = FAILURES,
                                .breaker_open_ns = OPEN_NS,
                                .dim = DIM};
    memset(options.model.bytes, 0x11, sizeof options.model.bytes);
    return options;
}

static void make_good(vx_buf *ret)
{
    /* 0.5, 0.5, 0.5, 0.5, 0, ...: of length 1 */
    static const uint8_t vector[DIM * 4] = {0, 0, 0, 0x3f, 0, 0, 0, 0x3f, 0, 0, 0, 0x3f, 0, 0, 0, 0x3f};
    bad_proxy_make(ret, "200 OK", OCTETS MODEL, vector, sizeof vector);
}

static void put_cloud(stage *s, const vx_cloud_options *options)
{
    vx_errinfo info = {0};
    vx_cloud_destroy(s->cloud);
    s->cloud = NULL;
    if (vx_cloud_create(options, (vx_clock){.now_ns = read_turned, .ctx = &s->now_ns}, &s->cloud, &info))
        fail_msg("%s", info.text);
}

static void set_answer(stage *s, const vx_buf *answer)
{
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_ANSWER, .answer = answer->data, .len = answer->len});
}

static int set_up(void **state)
{
    stage *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    *state = s;
    for (int i = 0; i < N; i++)
        samples[i] = (float)sin(i * 0.05) / 2;
    make_good(&s->good);
    s->proxy = bad_proxy_start(0, SEED);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%d", bad_proxy_port(s->proxy));
    const vx_cloud_options options = options_for(s->endpoint);
    put_cloud(s, &options);
    set_answer(s, &s->good);
    return 0;
}

static int tear_down(void **state)
{
    stage *s = *state;
    vx_cloud_destroy(s->cloud);
    bad_proxy_stop(s->proxy);
    vx_buf_done(&s->good);
    free(s);
    return 0;
}

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

static vx_err ask_until(stage *s, uint64_t deadline_ns, vx_errinfo *info)
{
    vx_embedding embedding = {.dim = -1};
    const vx_err err = vx_cloud_embed(s->cloud, samples, N, deadline_ns, 0.9, &embedding, info);
    assert_int_equal(embedding.dim, err == VX_OK ? DIM : -1);
    if (err == VX_OK)
        assert_true(embedding.values[0] == 0.5f && embedding.values[4] == 0.0f);
    return err;
}

static vx_err ask(stage *s, vx_errinfo *info)
{
    return ask_until(s, in_ms(PATIENCE_MS), info);
}

static vx_cloud_view view_of(const stage *s)
{
    vx_cloud_view view;
    vx_cloud_get_view(s->cloud, &view);
    return view;
}

/* ---- settings and create ----------------------------------------------------------------------------------------- */

static void settings(void **state)
{
    (void)state;
    static const struct {
        char *environment[5];
        vx_err err;
        vx_identity_kind kind;
    } cases[] = {
        {{NULL}, VX_ERR_NOT_FOUND, VX_IDENTITY_NONE},
        {{"VOXLOCK_CLOUD_ENDPOINT=https://a.example"}, VX_OK, VX_IDENTITY_NONE},
        {{"VOXLOCK_CLOUD_ENDPOINT=https://a.example", "VOXLOCK_CLOUD_AUTH=api-key", "VOXLOCK_CLOUD_API_KEY=k"},
         VX_OK,
         VX_IDENTITY_API_KEY},
        {{"VOXLOCK_CLOUD_ENDPOINT=https://a.example", "VOXLOCK_CLOUD_AUTH=key-file"}, VX_OK, VX_IDENTITY_KEY_FILE},
        {{"VOXLOCK_CLOUD_ENDPOINT=https://a.example", "VOXLOCK_CLOUD_AUTH=metadata"}, VX_OK, VX_IDENTITY_METADATA},
        {{"VOXLOCK_CLOUD_ENDPOINT=https://a.example", "VOXLOCK_CLOUD_AUTH=command", "VOXLOCK_CLOUD_COMMAND=true",
          "VOXLOCK_CLOUD_TIMEOUT_MS=700"},
         VX_OK,
         VX_IDENTITY_COMMAND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_options *read = NULL;
        const char *operands[1];
        int n_operands;
        vx_cloud_options options = {.dim = 77};
        vx_errinfo info = {0};
        assert_int_equal(
            vx_options_load(VX_FOR_EDGE, cases[i].environment, 0, NULL, NULL, operands, &n_operands, &read, NULL),
            VX_OK);
        assert_int_equal(vx_cloud_settings(read, &options, &info), cases[i].err);
        if (cases[i].err != VX_OK) {
            assert_int_equal(options.dim, 77);
            assert_non_null(strstr(info.text, "VOXLOCK_CLOUD_ENDPOINT"));
        } else {
            assert_string_equal(options.endpoint, "https://a.example");
            assert_int_equal(options.identity.kind, cases[i].kind);
            assert_int_equal(options.timeout_ms, i == 5 ? 700 : 3000);
            assert_int_equal(options.breaker_failures, 5);
            assert_true(options.breaker_open_ns == OPEN_NS);
            assert_null(options.ca_file);
            assert_null(options.identity.audience);
        }
        vx_options_destroy(read);
    }
}

static void endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        vx_err err;
    } cases[] = {
        {"https://voxlock-ml.example", VX_OK},
        {"https://voxlock-ml.example/", VX_OK},
        {"https://voxlock-ml.example/base//", VX_OK},
        {"http://127.0.0.1:8010", VX_OK},
        {"http://[::1]:8010", VX_OK},
        {"http://localhost:8010", VX_OK},
        {"http://voxlock-ml.example", VX_ERR_OPTION_VALUE},
        {"http://127.0.0.1.example", VX_ERR_OPTION_VALUE},
        {"http://127.0.0.1@example", VX_ERR_OPTION_VALUE},
        {"https://user:secret@voxlock-ml.example", VX_ERR_OPTION_VALUE},
        {"ftp://voxlock-ml.example", VX_ERR_OPTION_VALUE},
        {"file:///etc/passwd", VX_ERR_OPTION_VALUE},
        {"voxlock-ml.example", VX_ERR_OPTION_VALUE},
        {"https://", VX_ERR_OPTION_VALUE},
        {"https://voxlock-ml.example/?a=b", VX_ERR_OPTION_VALUE},
        {"https://voxlock-ml.example/#a", VX_ERR_OPTION_VALUE},
        {"", VX_ERR_OPTION_VALUE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_cloud *cloud = NULL;
        vx_errinfo info = {0};
        const vx_cloud_options options = options_for(cases[i].endpoint);
        const vx_err err = vx_cloud_create(&options, vx_clock_monotonic(), &cloud, &info);
        if (err != cases[i].err)
            fail_msg("%s: %s %s", cases[i].endpoint, vx_err_code(err), info.text);
        if (err != VX_OK) {
            assert_null(cloud);
            assert_non_null(strstr(info.text, "VOXLOCK_CLOUD_ENDPOINT"));
            assert_null(strstr(info.text, "secret"));
        }
        vx_cloud_destroy(cloud);
    }
    vx_cloud *cloud = NULL;
    vx_cloud_options options = options_for("https://voxlock-ml.example");
    options.dim = VX_EMBEDDING_MAX_DIM + 1;
    assert_int_equal(vx_cloud_create(&options, vx_clock_monotonic(), &cloud, NULL), VX_ERR_ARG);
    vx_cloud_destroy(NULL);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_cloud *cloud = NULL;
    vx_cloud_options options = options_for("https://voxlock-ml.example/");
    options.ca_file = "ca.pem";
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_API_KEY, .api_key = "key"};
    const vx_err err = vx_cloud_create(&options, vx_clock_monotonic(), &cloud, NULL);
    vx_cloud_destroy(cloud);
    return err;
}

static void create_without_memory(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

static void request_as_sent(void **state)
{
    stage *s = *state;
    vx_embedding embedding;
    const float odd[] = {0, 1, -1, 2, -2, 0.5f, 1.4f / 32768, 1.6f / 32768, -0.6f / 32768, 0.99999f};
    const int16_t want[] = {0, 32767, -32768, 32767, -32768, 16384, 1, 2, -1, 32767};
    vx_cloud_options options = options_for(s->endpoint);
    char slashed[80];
    snprintf(slashed, sizeof slashed, "%s/base//", s->endpoint);
    options.endpoint = slashed;
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_API_KEY, .api_key = "sesame"};
    options.keeps_level = true;
    put_cloud(s, &options);
    assert_int_equal(vx_cloud_embed(s->cloud, odd, 10, in_ms(PATIENCE_MS), 0, &embedding, NULL), VX_OK);
    vx_buf head = bad_proxy_last_head(s->proxy), body = bad_proxy_last_body(s->proxy);
    const char *line = "POST /base/api/ml/speaker_embedding?format=int16&sample_rate=16000 HTTP/1.1\r\n";
    assert_memory_equal(head.data, line, strlen(line));
    static const struct {
        const char *name, *value;
    } headers[] = {{"Content-Type", "application/octet-stream"},
                   {"Accept", "application/octet-stream"},
                   {"Accept-Encoding", "gzip"},
                   {"Authorization", "Bearer sesame"},
                   {"User-Agent", "voxlock/" VX_VERSION}};
    const http_reply as_reply = {.head = head};
    char value[128];
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_true(http_header(&as_reply, headers[i].name, value, sizeof value));
        assert_string_equal(value, headers[i].value);
    }
    assert_false(http_header(&as_reply, "Expect", value, sizeof value));
    assert_int_equal(body.len, sizeof want);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal((int16_t)vx_le16(body.data + 2 * i), want[i]);
    vx_buf_done(&head);
    vx_buf_done(&body);
}

static void sent_at_full_scale(void **state)
{
    stage *s = *state;
    static const struct {
        float samples[4];
        int16_t want[4];
    } cases[] = {
        {{0, 0.5f, -0.25f, 0.1f}, {0, 32767, -16384, 6553}},
        {{0, 0.1f, -2, 1}, {0, 1638, -32767, 16384}},
        {{1e-5f, 0, -1e-5f, 0}, {32767, 0, -32767, 0}},
        {{9e-7f, 0, -9e-7f, 0}, {0, 0, 0, 0}}, /* silence stays silence */
        {{0, 0, 0, 0}, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_embedding embedding;
        assert_int_equal(vx_cloud_embed(s->cloud, cases[i].samples, 4, in_ms(PATIENCE_MS), 0, &embedding, NULL), VX_OK);
        vx_buf body = bad_proxy_last_body(s->proxy);
        assert_int_equal(body.len, 8);
        for (size_t k = 0; k < 4; k++)
            assert_int_equal((int16_t)vx_le16(body.data + 2 * k), cases[i].want[k]);
        vx_buf_done(&body);
    }
}

static void never_sent(void **state)
{
    stage *s = *state;
    const struct {
        float odd;
        size_t n;
        vx_err err;
    } cases[] = {
        {0, 0, VX_ERR_AUDIO_EMPTY},
        {0, VX_AUDIO_MAX_SAMPLES + 1, VX_ERR_AUDIO_LONG},
        {NAN, 16, VX_ERR_AUDIO_NOT_FINITE},
        {INFINITY, 16, VX_ERR_AUDIO_NOT_FINITE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float clip[16] = {[15] = cases[i].odd};
        vx_embedding embedding;
        assert_int_equal(vx_cloud_embed(s->cloud, clip, cases[i].n, in_ms(PATIENCE_MS), 0, &embedding, NULL),
                         cases[i].err);
    }
    assert_int_equal(bad_proxy_count(s->proxy).connections, 0);
    assert_int_equal(view_of(s).n_asked, 0);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* What the service is blamed for; the sentences are test_cloud_answer.c's. */
static void answers(void **state)
{
    stage *s = *state;
    static const uint8_t zeros[DIM * 4];
    static const struct {
        const char *status, *lines, *body;
        size_t len;
        vx_err err;
        bool counts; /* as a failure of the service */
    } cases[] = {
        {"200 OK", OCTETS MODEL, (const char *)zeros, sizeof zeros, VX_ERR_CLOUD_ANSWER, true},
        {"200 OK", OCTETS, (const char *)zeros, sizeof zeros, VX_ERR_CLOUD_ANSWER, true},
        {"200 OK", OCTETS "Voxlock-Model: sha256:" OTHER "\r\n", (const char *)zeros, sizeof zeros,
         VX_ERR_MODEL_MISMATCH, true},
        {"200 OK", OCTETS MODEL "Content-Encoding: gzip\r\n", "not gzip", 8, VX_ERR_NETWORK, true},
        {"302 Found", "Location: http://127.0.0.1:1/\r\n", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"401 Unauthorized", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"403 Forbidden", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"404 Not Found", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"413 Content Too Large", "", "", 0, VX_ERR_CLOUD_REFUSED, false},
        {"415 Unsupported Media Type", "", "", 0, VX_ERR_CLOUD_REFUSED, false},
        {"422 Unprocessable Content", "", "", 0, VX_ERR_CLOUD_REFUSED, false},
        {"422 Unprocessable Content", PROBLEM, "{\"code\":\"silent_audio\"}", 23, VX_ERR_AUDIO_SILENT, false},
        {"429 Too Many Requests", "Retry-After: 7\r\n", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"500 Internal Server Error", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"503 Service Unavailable", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
        {"504 Gateway Timeout", "", "", 0, VX_ERR_CLOUD_REFUSED, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        vx_buf answer = {0};
        const vx_cloud_options options = options_for(s->endpoint);
        put_cloud(s, &options);
        bad_proxy_make(&answer, cases[i].status, cases[i].lines, cases[i].body, cases[i].len);
        set_answer(s, &answer);
        const vx_err err = ask(s, &info);
        if (err != cases[i].err)
            fail_msg("%s: %s, %s", cases[i].status, vx_err_code(err), info.text);
        assert_int_equal(info.code, err);
        const vx_cloud_view view = view_of(s);
        if (view.breaker.failures_in_row != cases[i].counts || view.n_failed != cases[i].counts)
            fail_msg("%s: %d failures", cases[i].status, view.breaker.failures_in_row);
        assert_int_equal(view.n_asked, 1);
        assert_int_equal(view.n_answered, 0);
        vx_buf_done(&answer);
    }
}

/* More than an answer may hold: sent as it is, or unpacked from little. */
static void too_much(void **state)
{
    stage *s = *state;
    vx_buf zeros_ = {0}, packed = {0}, plain = {0}, bomb = {0}, heads = {0}, lines = {0};
    const size_t n = 4 << 20;
    assert_int_equal(vx_buf_reserve(&zeros_, n), VX_OK);
    memset(zeros_.data, 0, n);
    assert_int_equal(vx_gzip_deflate(zeros_.data, n, 9, &packed), VX_OK);
    assert_true(packed.len < n / 500);
    bad_proxy_make(&plain, "200 OK", OCTETS MODEL, zeros_.data, n);
    bad_proxy_make(&bomb, "200 OK", OCTETS MODEL "Content-Encoding: gzip\r\n", packed.data, packed.len);
    for (int i = 0; i < 3000; i++)
        assert_int_equal(vx_buf_printf(&lines, "X-%d: 0123456789abcdef\r\n", i), VX_OK);
    bad_proxy_make(&heads, "200 OK", (const char *)lines.data, "", 0);
    const vx_buf *const all[] = {&plain, &bomb, &heads};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        vx_errinfo info = {0};
        set_answer(s, all[i]);
        assert_int_equal(ask(s, &info), VX_ERR_CLOUD_ANSWER);
        assert_non_null(strstr(info.text, "more than an answer may hold"));
    }
    assert_int_equal(view_of(s).n_failed, 3);
    vx_buf_done(&zeros_);
    vx_buf_done(&packed);
    vx_buf_done(&plain);
    vx_buf_done(&bomb);
    vx_buf_done(&heads);
    vx_buf_done(&lines);
}

static void packed_answer(void **state)
{
    stage *s = *state;
    vx_buf packed = {0}, answer = {0};
    assert_int_equal(vx_gzip_deflate(s->good.data + s->good.len - DIM * 4, DIM * 4, 6, &packed), VX_OK);
    bad_proxy_make(&answer, "200 OK", OCTETS MODEL "Content-Encoding: gzip\r\n", packed.data, packed.len);
    set_answer(s, &answer);
    assert_int_equal(ask(s, NULL), VX_OK);
    vx_buf_done(&packed);
    vx_buf_done(&answer);
}

/* ---- breaker, timeouts ------------------------------------------------------------------------------------------- */

static void breaker_opens_and_closes(void **state)
{
    stage *s = *state;
    vx_errinfo info = {0};
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP});
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(view_of(s).breaker.state, VX_BREAKER_CLOSED);
        assert_int_equal(ask(s, NULL), VX_ERR_NETWORK);
    }
    assert_int_equal(view_of(s).breaker.state, VX_BREAKER_OPEN);
    const bad_counts before = bad_proxy_count(s->proxy);
    set_answer(s, &s->good);
    assert_int_equal(ask(s, &info), VX_ERR_CIRCUIT_OPEN);
    assert_int_equal(info.retry_s, 30);
    assert_int_equal(bad_proxy_count(s->proxy).connections, before.connections); /* nobody was asked */
    assert_int_equal(view_of(s).n_asked, FAILURES);

    atomic_fetch_add(&s->now_ns, OPEN_NS);
    assert_int_equal(view_of(s).breaker.state, VX_BREAKER_HALF_OPEN);
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP});
    assert_int_equal(ask(s, NULL), VX_ERR_NETWORK);
    assert_int_equal(view_of(s).breaker.state, VX_BREAKER_OPEN); /* the probe failed */
    atomic_fetch_add(&s->now_ns, OPEN_NS);
    set_answer(s, &s->good);
    assert_int_equal(ask(s, NULL), VX_OK);
    assert_int_equal(view_of(s).breaker.state, VX_BREAKER_CLOSED);
    assert_int_equal(view_of(s).breaker.failures_in_row, 0);
}

/* A caller in a hurry gets DEADLINE and blames nobody; silence for the whole timeout is a failure. */
static void silence(void **state)
{
    stage *s = *state;
    vx_errinfo info = {0};
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_STALL});
    assert_int_equal(ask_until(s, in_ms(60), &info), VX_ERR_DEADLINE);
    assert_non_null(strstr(info.text, "127.0.0.1"));
    assert_int_equal(ask_until(s, 0, NULL), VX_ERR_DEADLINE);
    assert_int_equal(view_of(s).n_failed, 0);
    assert_int_equal(view_of(s).breaker.failures_in_row, 0);

    vx_cloud_options options = options_for(s->endpoint);
    options.timeout_ms = 120;
    put_cloud(s, &options);
    const uint64_t start = vx_now_ns();
    assert_int_equal(ask(s, NULL), VX_ERR_DEADLINE);
    assert_true(vx_ms_since(start) >= 119);
    assert_int_equal(view_of(s).breaker.failures_in_row, 1);

    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP}); /* for the threads that keep silent */
    options.timeout_ms = BASE_MS;
    put_cloud(s, &options);
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_STALL});
    assert_int_equal(ask_until(s, in_ms(1200), NULL), VX_ERR_DEADLINE); /* a second is a fair chance */
    assert_int_equal(view_of(s).breaker.failures_in_row, 1);
}

static void timeout_is_learned(void **state)
{
    stage *s = *state;
    const vx_cloud_options options = options_for(s->endpoint);
    assert_true(view_of(s).timeout_ms ==
                options.timeout_ms); /* a cold start would have more; the setting is the most */
    assert_true(view_of(s).average_ms == 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(s, NULL), VX_OK);
    const vx_cloud_view view = view_of(s);
    assert_true(view.average_ms > 0 && view.average_ms < options.timeout_ms);
    assert_true(fabs(view.timeout_ms - fmin(fmax(1.8 * view.average_ms, 1000), options.timeout_ms)) < 1e-6);
    assert_int_equal(view.n_answered, 3);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void one_connection_for_many(void **state)
{
    stage *s = *state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(s, NULL), VX_OK);
    const bad_counts count = bad_proxy_count(s->proxy);
    assert_int_equal(count.requests, 20);
    assert_int_equal(count.connections, 1);
}

/* A kept connection that the other side resets at the next request: asked again on a new one, and nobody is blamed. */
static void dead_connection(void **state)
{
    stage *s = *state;
    bad_proxy *front = bad_proxy_start(bad_proxy_port(s->proxy), SEED);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", bad_proxy_port(front));
    const vx_cloud_options options = options_for(endpoint);
    put_cloud(s, &options);
    bad_proxy_set(front, (bad_fault){.kind = BAD_RESET_KEPT});
    assert_int_equal(ask(s, NULL), VX_OK);
    assert_int_equal(ask(s, NULL), VX_OK);
    const bad_counts count = bad_proxy_count(front);
    assert_int_equal(count.connections, 2);
    assert_int_equal(count.requests, 3);
    assert_int_equal(view_of(s).n_failed, 0);
    bad_proxy_set(front, (bad_fault){.kind = BAD_DROP}); /* once more, and no further */
    assert_int_equal(ask(s, NULL), VX_ERR_NETWORK);
    assert_int_equal(bad_proxy_count(front).requests, 5);
    assert_int_equal(ask(s, NULL), VX_ERR_NETWORK); /* on a new connection: not once more */
    assert_int_equal(bad_proxy_count(front).requests, 6);
    vx_cloud_destroy(s->cloud);
    s->cloud = NULL;
    bad_proxy_stop(front);
}

typedef struct {
    stage *s;
    atomic_int n_ok, n_failed;
} crowd;

static void *ask_in_thread(void *arg)
{
    crowd *c = arg;
    for (int i = 0; i < 10; i++) {
        vx_embedding embedding;
        vx_cloud_view view;
        const vx_err err = vx_cloud_embed(c->s->cloud, samples, N, in_ms(PATIENCE_MS), 0.9, &embedding, NULL);
        vx_cloud_get_view(c->s->cloud, &view);
        atomic_fetch_add(err == VX_OK ? &c->n_ok : &c->n_failed, 1);
    }
    return NULL;
}

static void many_at_once(void **state)
{
    enum { THREADS = 8 };
    stage *s = *state;
    pthread_t threads[THREADS];
    crowd c = {.s = s};
    vx_cloud_options options = options_for(s->endpoint);
    options.breaker_failures = 1000;
    put_cloud(s, &options);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.n_ok, 10 * THREADS);
    assert_int_equal(view_of(s).n_answered, 10 * THREADS);
    assert_in_range(bad_proxy_count(s->proxy).connections, 1, 10 * THREADS);

    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP, .share = 40});
    c = (crowd){.s = s};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_in_thread, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.n_ok + c.n_failed, 10 * THREADS);
    assert_int_equal(view_of(s).n_failed, c.n_failed);
    assert_true(c.n_failed > 0);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

#if defined(__linux__) && !SANITIZED
#define SLOW_NAME "slow-name.invalid"

/* Stands before the system's own, for libcurl too: a name server that does not answer. */
__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node, const char *restrict service_name,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict res);
int getaddrinfo(const char *restrict node, const char *restrict service_name, const struct addrinfo *restrict hints,
                struct addrinfo **restrict res)
{
    (void)service_name, (void)hints, (void)res;
    if (node && strcmp(node, SLOW_NAME) == 0)
        pause();
    return EAI_NONAME;
}

static void name_server_is_silent(void **state)
{
    stage *s = *state;
    vx_cloud_options options = options_for("https://" SLOW_NAME);
    options.timeout_ms = 150;
    put_cloud(s, &options);
    assert_int_equal(ask(s, NULL), VX_ERR_DEADLINE); /* it would wait for ever */
    assert_int_equal(view_of(s).n_failed, 1);
    options = options_for("https://no-such-name.invalid");
    put_cloud(s, &options);
    assert_int_equal(ask(s, NULL), VX_ERR_NETWORK);
}
#else
static void name_server_is_silent(void **state)
{
    (void)state;
    skip(); /* only Linux lets a program stand before the system's getaddrinfo, and not with a sanitizer's before it */
}
#endif

/* ---- identity ---------------------------------------------------------------------------------------------------- */

static void write_token(const char *path, const char *token)
{
    FILE *file = fopen(path, "w");
    if (!file)
        fail_msg("cannot write %s", path);
    else
        assert_int_equal(fputs(token, file) < 0 || fclose(file) != 0, 0);
}

static void token_is_renewed_once(void **state)
{
    stage *s = *state;
    char path[] = "/tmp/voxlock-token-XXXXXX", command[64];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(command, sizeof command, "cat %s", path);
    bad_proxy *front = bad_proxy_start(bad_proxy_port(s->proxy), SEED);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", bad_proxy_port(front));
    vx_cloud_options options = options_for(endpoint);
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_COMMAND, .command = command};
    put_cloud(s, &options);

    /* {"exp":99999999999} in the middle: kept until then, unless the service says no. */
    write_token(path, "aaaa.eyJleHAiOjk5OTk5OTk5OTk5fQ.old");
    assert_int_equal(ask(s, NULL), VX_OK);
    write_token(path, "aaaa.eyJleHAiOjk5OTk5OTk5OTk5fQ.new");
    assert_int_equal(ask(s, NULL), VX_OK);
    vx_buf head = bad_proxy_last_head(front), refusal = {0};
    assert_non_null(strstr((const char *)head.data, ".old\r\n"));
    vx_buf_done(&head);

    usleep(1000000); /* one fetch a second, however many ask */
    bad_proxy_make(&refusal, "401 Unauthorized", "", "", 0);
    bad_proxy_set(front, (bad_fault){.kind = BAD_ANSWER_ONCE, .answer = refusal.data, .len = refusal.len});
    assert_int_equal(ask(s, NULL), VX_OK);
    head = bad_proxy_last_head(front);
    assert_non_null(strstr((const char *)head.data, ".new\r\n"));
    assert_int_equal(bad_proxy_count(front).requests, 4);
    assert_int_equal(view_of(s).n_failed, 0);

    bad_proxy_set(front, (bad_fault){.kind = BAD_ANSWER, .answer = refusal.data, .len = refusal.len});
    assert_int_equal(ask(s, NULL), VX_ERR_CLOUD_REFUSED); /* for ever 401: asked twice, and given up */
    assert_int_equal(bad_proxy_count(front).requests, 6);
    assert_int_equal(view_of(s).breaker.failures_in_row, 1);
    vx_cloud_destroy(s->cloud);
    s->cloud = NULL;
    bad_proxy_stop(front);
    unlink(path);
    vx_buf_done(&head);
    vx_buf_done(&refusal);
}

static void no_token_no_request(void **state)
{
    stage *s = *state;
    vx_errinfo info = {0};
    vx_cloud_options options = options_for(s->endpoint);
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_COMMAND, .command = "false"};
    put_cloud(s, &options);
    assert_int_equal(ask(s, &info), VX_ERR_TOKEN);
    assert_true(info.text[0] != '\0');
    assert_int_equal(bad_proxy_count(s->proxy).connections, 0);
    assert_int_equal(view_of(s).n_failed, 1); /* it would cost every attempt its time */
}

/* A key is not tried twice: there is no other. */
static void wrong_key(void **state)
{
    stage *s = *state;
    vx_buf refusal = {0};
    vx_cloud_options options = options_for(s->endpoint);
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_API_KEY, .api_key = "sesame"};
    put_cloud(s, &options);
    bad_proxy_make(&refusal, "401 Unauthorized", "", "", 0);
    set_answer(s, &refusal);
    assert_int_equal(ask(s, NULL), VX_ERR_CLOUD_REFUSED);
    assert_int_equal(bad_proxy_count(s->proxy).requests, 1);
    vx_buf_done(&refusal);
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

/* Asked with the same identity, and without a word to the breaker. */
static void health(void **state)
{
    stage *s = *state;
    static const char ready[] = "{\"startup_state\":\"READY\",\"model\":{\"digest\":\"sha256:" DIGEST "\"}}";
    vx_buf answer = {0};
    vx_cloud_options options = options_for(s->endpoint);
    options.identity = (vx_identity_options){.kind = VX_IDENTITY_API_KEY, .api_key = "sesame"};
    put_cloud(s, &options);
    bad_proxy_make(&answer, "200 OK", "Content-Type: application/json\r\n", ready, sizeof ready - 1);
    set_answer(s, &answer);
    assert_int_equal(vx_cloud_health(s->cloud, in_ms(PATIENCE_MS), NULL), VX_OK);
    vx_buf head = bad_proxy_last_head(s->proxy);
    assert_memory_equal(head.data, "GET /status HTTP/1.1\r\n", 22);
    assert_non_null(strstr((const char *)head.data, "Authorization: Bearer sesame\r\n"));
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP});
    assert_int_equal(vx_cloud_health(s->cloud, in_ms(PATIENCE_MS), NULL), VX_ERR_NETWORK);
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_STALL});
    assert_int_equal(vx_cloud_health(s->cloud, in_ms(100), NULL), VX_ERR_DEADLINE);
    assert_int_equal(view_of(s).n_asked, 0);
    assert_int_equal(view_of(s).breaker.failures_in_row, 0);
    vx_buf_done(&head);
    vx_buf_done(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings),
        cmocka_unit_test(endpoints),
        cmocka_unit_test(create_without_memory),
        cmocka_unit_test_setup_teardown(request_as_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sent_at_full_scale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(never_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(packed_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(breaker_opens_and_closes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(timeout_is_learned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_connection_for_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dead_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(name_server_is_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(token_is_renewed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_token_no_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(health, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
