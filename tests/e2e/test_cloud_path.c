/* test_cloud_path.c - the way to the cloud with the real voxlock-cloud at its end: the same vector as on the device,
 * every fault on the way, and TLS with HTTP/2 through nghttpx.
 */
#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/route/router.h"
#include "shared/base/clock.h"
#include "shared/base/sha256.h"
#include "shared/engine/engine.h"
#include "tests/support/bad_proxy.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"
#include "tests/support/stats.h"
#include "tests/support/test_ca.h"

enum { SEED = 22, TIMEOUT_MS = SANITIZED ? 8000 : 700, DEADLINE_MS = 6 * TIMEOUT_MS, DAY_S = 86400 };

typedef struct {
    vx_engine *engine; /* the device's, for all tests */
    vx_model_digest model;
    vx_audio clip;
    vx_embedding expected; /* of the clip */
} fixture;

static fixture f;

static int open_all(void **state)
{
    (void)state;
    const vx_engine_options options = vx_engine_options_default();
    vx_engine_info info;
    if (vx_engine_open("models/starter", &options, &f.engine, NULL))
        return -1;
    vx_engine_get_info(f.engine, &info);
    f.model = info.manifest->digest;
    f.clip = clip_audio("reader1_a.flac");
    return vx_engine_embed(f.engine, f.clip.samples, f.clip.n, &f.expected, NULL, NULL) == VX_OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    vx_audio_done(&f.clip);
    vx_engine_close(f.engine);
    return 0;
}

static vx_cloud_options options_for(const char *endpoint)
{
    return (vx_cloud_options){.endpoint = endpoint,
                              .timeout_ms = TIMEOUT_MS,
                              .breaker_failures = 5,
                              .breaker_open_ns = UINT64_C(30000000000),
                              .model = f.model,
                              .dim = CLIP_DIM};
}

static vx_cloud *cloud_by(const vx_cloud_options *options)
{
    vx_cloud *cloud = NULL;
    vx_errinfo info = {0};
    if (vx_cloud_create(options, vx_clock_monotonic(), &cloud, &info))
        fail_msg("%s", info.text);
    return cloud;
}

static vx_cloud *cloud_at(int port)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", port);
    const vx_cloud_options options = options_for(endpoint);
    return cloud_by(&options);
}

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

static vx_err ask(vx_cloud *cloud, vx_errinfo *info)
{
    vx_embedding embedding;
    double cosine;
    const vx_err err = vx_cloud_embed(cloud, f.clip.samples, f.clip.n, in_ms(DEADLINE_MS), 0.9, &embedding, info);
    if (err == VX_OK) {
        assert_int_equal(vx_embedding_cosine(&embedding, &f.expected, &cosine), VX_OK);
        assert_true(cosine >= 0.9999);
    }
    return err;
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static void same_vector_as_on_the_device(void **state)
{
    (void)state;
    static const char *const names[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac",
                                        "reader2_b.flac", "reader3_a.flac", "reader3_b.flac"};
    static const float gains[] = {1.0f, 0.37f, 0.011f}; /* the last some 60 dB below full scale */
    const service *s = service_start_ready(NULL);
    vx_cloud *cloud = cloud_at(s->port);
    double worst = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (size_t g = 0; g < sizeof gains / sizeof *gains; g++) {
            vx_audio clip = clip_audio(names[i]);
            vx_embedding here, there;
            double cosine;
            for (size_t k = 0; k < clip.n; k++)
                clip.samples[k] *= gains[g];
            assert_int_equal(vx_engine_embed(f.engine, clip.samples, clip.n, &here, NULL, NULL), VX_OK);
            assert_int_equal(vx_cloud_embed(cloud, clip.samples, clip.n, in_ms(PATIENCE_MS), 0, &there, NULL), VX_OK);
            assert_int_equal(vx_embedding_cosine(&here, &there, &cosine), VX_OK);
            worst = fmin(worst, cosine);
            vx_audio_done(&clip);
        }
    }
    print_message("# least cosine of device and cloud: %.7f\n", worst);
    assert_true(worst >= 0.9999);
    vx_cloud_destroy(cloud);
}

static void longest_recording(void **state)
{
    (void)state;
    const service *s = service_start_ready(NULL);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", s->port);
    vx_cloud_options options = options_for(endpoint);
    options.timeout_ms = PATIENCE_MS;
    vx_cloud *cloud = cloud_by(&options);
    const size_t n = VX_AUDIO_MAX_SAMPLES;
    vx_embedding embedding;
    float *samples = calloc(n, sizeof *samples);
    if (!samples)
        fail_msg("out of memory");
    for (size_t i = 0; samples && i < n; i++)
        samples[i] = f.clip.samples[i % f.clip.n];
    assert_int_equal(vx_cloud_embed(cloud, samples, n, in_ms(PATIENCE_MS), 0, &embedding, NULL), VX_OK);
    free(samples);
    vx_cloud_destroy(cloud);
}

/* What the service finds wrong with a recording is told as such, and is no failure of the service. */
static void recordings_refused(void **state)
{
    (void)state;
    static const float silence[16000];
    const service *s = service_start_ready(NULL);
    vx_cloud *cloud = cloud_at(s->port);
    vx_embedding embedding;
    vx_cloud_view view;
    vx_errinfo info = {0};
    assert_int_equal(vx_cloud_embed(cloud, silence, 16000, in_ms(DEADLINE_MS), 0, &embedding, &info),
                     VX_ERR_AUDIO_SILENT);
    assert_non_null(strstr(info.text, "422 silent_audio"));
    assert_int_equal(vx_cloud_embed(cloud, f.clip.samples, 1600, in_ms(DEADLINE_MS), 0, &embedding, NULL),
                     VX_ERR_AUDIO_SHORT);
    vx_cloud_get_view(cloud, &view);
    assert_int_equal(view.n_failed, 0);
    assert_int_equal(view.n_asked, 2);
    vx_cloud_destroy(cloud);
}

static void keys(void **state)
{
    (void)state;
    static const char key[] = "a-key-of-some-length";
    char hex[VX_SHA256_HEX], setting[128], endpoint[64];
    uint8_t digest[VX_SHA256_BYTES];
    assert_int_equal(vx_sha256_of(key, sizeof key - 1, digest), VX_OK);
    vx_hex(digest, sizeof digest, hex);
    snprintf(setting, sizeof setting, "VOXLOCK_API_KEYS=edge:%s", hex);
    const service *s = service_start_ready((const char *const[]){setting, NULL});
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", s->port);
    vx_cloud_options options = options_for(endpoint);
    static const struct {
        vx_identity_kind kind;
        const char *key;
        vx_err err;
    } cases[] = {
        {VX_IDENTITY_API_KEY, key, VX_OK},
        {VX_IDENTITY_API_KEY, "another-key", VX_ERR_CLOUD_REFUSED},
        {VX_IDENTITY_NONE, NULL, VX_ERR_CLOUD_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        options.identity = (vx_identity_options){.kind = cases[i].kind, .api_key = cases[i].key};
        vx_cloud *cloud = cloud_by(&options);
        assert_int_equal(ask(cloud, &info), cases[i].err);
        assert_int_equal(vx_cloud_health(cloud, in_ms(DEADLINE_MS), NULL), cases[i].err);
        assert_null(strstr(info.text, "another-key"));
        vx_cloud_destroy(cloud);
    }
}

static void other_model_and_health(void **state)
{
    (void)state;
    const service *s = service_start_ready(NULL);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/", s->port);
    vx_cloud_options options = options_for(endpoint);
    vx_cloud *cloud = cloud_by(&options);
    assert_int_equal(vx_cloud_health(cloud, in_ms(DEADLINE_MS), NULL), VX_OK);
    assert_int_equal(ask(cloud, NULL), VX_OK);
    vx_cloud_destroy(cloud);
    options.model.bytes[0] ^= 1;
    cloud = cloud_by(&options);
    assert_int_equal(vx_cloud_health(cloud, in_ms(DEADLINE_MS), NULL), VX_ERR_MODEL_MISMATCH);
    assert_int_equal(ask(cloud, NULL), VX_ERR_MODEL_MISMATCH);
    vx_cloud_destroy(cloud);
}

/* ---- routing ----------------------------------------------------------------------------------------------------- */

typedef struct {
    bool works;
    int n_calls;
} device;

static vx_err device_embed(void *arg, const float *samples, size_t n, uint64_t deadline_ns, vx_embedding *ret,
                           vx_errinfo *info)
{
    device *d = arg;
    (void)deadline_ns;
    d->n_calls++;
    if (!d->works)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "no memory for the model");
    return vx_engine_embed(f.engine, samples, n, ret, NULL, info);
}

static int embeddings_asked(int port)
{
    http_reply metrics = http_get(port, "/metrics");
    int n = 0, total = 0;
    for (const char *at = (const char *)metrics.body.data; (at = strstr(at, "voxlock_requests_total{")); at++) {
        const size_t line = strcspn(at, "\n");
        const char *route = strstr(at, "speaker_embedding");
        if (route && (size_t)(route - at) < line && sscanf(at, "%*[^}]} %d", &n) == 1)
            total += n;
    }
    http_reply_done(&metrics);
    return total;
}

static void nobody_is_asked_without_pressure(void **state)
{
    (void)state;
    const service *s = service_start_ready(NULL);
    bad_proxy *proxy = bad_proxy_start(s->port, SEED);
    vx_cloud *cloud = cloud_at(bad_proxy_port(proxy));
    device d = {.works = true};
    const vx_router router = {.device = device_embed, .device_arg = &d, .cloud = cloud, .max_pressure = 0.85};
    vx_embedding embedding;
    vx_route_report report;
    uint64_t random = SEED;
    for (int i = 0; i < 40; i++) {
        const double share = (double)(stats_random(&random) >> 11) / 9007199254740992.0;
        const double pressure = i == 0 ? -1 : i == 1 ? 0.849999 : 0.85 * share;
        assert_int_equal(vx_route_embed(&router, pressure, f.clip.samples, f.clip.n / 8, in_ms(PATIENCE_MS), &embedding,
                                        &report, NULL),
                         VX_OK);
        assert_int_equal(report.by, VX_ROUTE_DEVICE);
    }
    assert_int_equal(d.n_calls, 40);
    assert_int_equal(bad_proxy_count(proxy).connections, 0);
    assert_int_equal(embeddings_asked(s->port), 0);

    assert_int_equal(
        vx_route_embed(&router, 0.85, f.clip.samples, f.clip.n, in_ms(PATIENCE_MS), &embedding, &report, NULL), VX_OK);
    assert_int_equal(report.by, VX_ROUTE_CLOUD);
    assert_int_equal(d.n_calls, 40);
    assert_int_equal(bad_proxy_count(proxy).passed, 1);
    assert_int_equal(embeddings_asked(s->port), 1); /* so it would have been seen */
    vx_cloud_destroy(cloud);
    bad_proxy_stop(proxy);
}

static const char html[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>";

static const struct {
    const char *what;
    bad_fault fault;
    vx_err err; /* of the cloud */
} faults[] = {
    {"nothing", {.kind = BAD_NOTHING}, VX_OK},
    {"some latency", {.kind = BAD_LATENCY, .ms = 50}, VX_OK},
    {"too much latency", {.kind = BAD_LATENCY, .ms = 2 * DEADLINE_MS}, VX_ERR_DEADLINE},
    {"a thin line", {.kind = BAD_THROTTLE, .bytes_per_s = 60}, VX_ERR_DEADLINE},
    {"refused", {.kind = BAD_REFUSE}, VX_ERR_NETWORK},
    {"dropped", {.kind = BAD_DROP}, VX_ERR_NETWORK},
    {"reset in the middle", {.kind = BAD_RESET_BODY}, VX_ERR_NETWORK},
    {"cut off", {.kind = BAD_TRUNCATE}, VX_ERR_NETWORK},
    {"silent", {.kind = BAD_STALL}, VX_ERR_DEADLINE},
    {"silent in the middle", {.kind = BAD_STALL_BODY}, VX_ERR_DEADLINE},
    {"garbled", {.kind = BAD_CORRUPT}, VX_ERR_CLOUD_ANSWER},
    {"somebody else", {.kind = BAD_ANSWER, .answer = html, .len = sizeof html - 1}, VX_ERR_CLOUD_ANSWER},
};

/* Cloud first under pressure, with a device that works and with one that does not: the verdict comes within the
 * deadline, with the device's vector wherever there is one. */
static void every_fault(void **state)
{
    (void)state;
    const service *s = service_start_ready(NULL);
    for (size_t i = 0; i < 2 * sizeof faults / sizeof *faults; i++) {
        const bool works = i % 2 == 0;
        bad_proxy *proxy = bad_proxy_start(s->port, SEED);
        vx_cloud *cloud = cloud_at(bad_proxy_port(proxy));
        device d = {.works = works};
        const vx_router router = {.device = device_embed, .device_arg = &d, .cloud = cloud, .max_pressure = 0.85};
        vx_embedding embedding;
        vx_route_report report;
        vx_errinfo info = {0};
        vx_cloud_view view;
        double cosine;
        bad_proxy_set(proxy, faults[i / 2].fault);
        const vx_err cloud_err = faults[i / 2].err;
        const vx_err want = cloud_err == VX_OK || works ? VX_OK : VX_ERR_NOMEM;
        const vx_err err =
            vx_route_embed(&router, 0.9, f.clip.samples, f.clip.n, in_ms(DEADLINE_MS), &embedding, &report, &info);
        if (err != want || report.elapsed_ms > DEADLINE_MS)
            fail_msg("%s, device %d: %s, %.0f ms, %s", faults[i / 2].what, works, vx_err_code(err), report.elapsed_ms,
                     report.reason);
        assert_int_equal(d.n_calls, cloud_err != VX_OK);
        if (err == VX_OK) {
            assert_int_equal(report.by, cloud_err == VX_OK ? VX_ROUTE_CLOUD : VX_ROUTE_DEVICE);
            assert_int_equal(vx_embedding_cosine(&embedding, &f.expected, &cosine), VX_OK);
            assert_true(cosine >= 0.9999);
        }
        vx_cloud_get_view(cloud, &view);
        assert_int_equal(view.breaker.failures_in_row, cloud_err != VX_OK);
        vx_cloud_destroy(cloud);
        bad_proxy_stop(proxy);
    }
}

/* A service that ends: five failures later nobody asks it any more. */
static void service_goes_away(void **state)
{
    (void)state;
    service *s = service_start_ready(NULL);
    vx_cloud *cloud = cloud_at(s->port);
    device d = {.works = true};
    const vx_router router = {.device = device_embed, .device_arg = &d, .cloud = cloud, .max_pressure = 0.85};
    for (int i = 0; i < 9; i++) {
        vx_embedding embedding;
        vx_route_report report;
        vx_cloud_view view;
        assert_int_equal(
            vx_route_embed(&router, 0.9, f.clip.samples, f.clip.n, in_ms(DEADLINE_MS), &embedding, &report, NULL),
            VX_OK);
        assert_int_equal(report.by, i < 2 ? VX_ROUTE_CLOUD : VX_ROUTE_DEVICE);
        vx_cloud_get_view(cloud, &view);
        assert_int_equal(view.n_failed, i < 2 ? 0 : i < 7 ? i - 1 : 5);
        assert_int_equal(view.breaker.state, view.n_failed < 5 ? VX_BREAKER_CLOSED : VX_BREAKER_OPEN);
        assert_true(i < 7 || strstr(report.reason, "pause"));
        if (i == 1)
            assert_int_equal(service_stop(s), 0);
    }
    vx_cloud_destroy(cloud);
}

/* Half of all requests are spoiled in a row of ways; whoever asks gets the right vector or an error, never a wrong one. */
static void bad_weather(void **state)
{
    (void)state;
    static const bad_kind kinds[] = {BAD_DROP, BAD_RESET_BODY, BAD_TRUNCATE, BAD_CORRUPT};
    const service *s = service_start_ready(NULL);
    bad_proxy *proxy = bad_proxy_start(s->port, SEED);
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", bad_proxy_port(proxy));
    vx_cloud_options options = options_for(endpoint);
    options.breaker_failures = 1000;
    vx_cloud *cloud = cloud_by(&options);
    int n_ok = 0;
    for (int i = 0; i < 80; i++) {
        bad_proxy_set(proxy, (bad_fault){.kind = kinds[i % 4], .share = 50});
        n_ok += ask(cloud, NULL) == VX_OK; /* which compares the vector */
    }
    const bad_counts count = bad_proxy_count(proxy);
    print_message("# seed %d: %d of 80 answered, %d of %d requests spoiled\n", SEED, n_ok, count.struck,
                  count.requests);
    assert_in_range(n_ok, 20, 70);
    assert_true(count.struck >= 80 - n_ok);
    vx_cloud_destroy(cloud);
    bad_proxy_stop(proxy);
}

/* ---- TLS and HTTP/2 ---------------------------------------------------------------------------------------------- */

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* nghttpx in front of a port, with a certificate. Returns its own port. */
static int tls_start(const char *pem, const char *key, const char *protocols, int to_port, child *ret)
{
    const int port = free_port();
    char front[64], back[64], alpn[32];
    snprintf(front, sizeof front, "--frontend=127.0.0.1,%d", port);
    snprintf(back, sizeof back, "--backend=127.0.0.1,%d", to_port);
    snprintf(alpn, sizeof alpn, "--npn-list=%s", protocols);
    char *const argv[] = {(char *)"nghttpx",
                          (char *)"--conf=/dev/null",
                          front,
                          back,
                          alpn,
                          (char *)"--single-process",
                          (char *)"--no-ocsp",
                          (char *)"--workers=1",
                          (char *)"--log-level=FATAL",
                          (char *)(uintptr_t)key,
                          (char *)(uintptr_t)pem,
                          NULL};
    assert_true(child_start(argv, CHILD_STDERR, ret));
    const uint64_t until_ns = in_ms(PATIENCE_MS);
    int fd;
    while ((fd = raw_try(port)) < 0 && vx_now_ns() < until_ns)
        usleep(10000);
    if (fd < 0)
        fail_msg("nghttpx does not listen");
    raw_close(&fd);
    return port;
}

static void tls_end(child *c)
{
    kill(c->pid, SIGTERM);
    (void)child_end(c, PATIENCE_MS);
}

static bool has_nghttpx(void)
{
    child c;
    char *const argv[] = {(char *)"nghttpx", (char *)"--version", NULL};
    return child_start(argv, CHILD_STDOUT, &c) && child_end(&c, PATIENCE_MS) == 0;
}

/* The version that nghttpx was asked in; it says so to who is behind it. */
static void check_via(bad_proxy *proxy, const char *version)
{
    vx_buf head = bad_proxy_last_head(proxy);
    const http_reply as_reply = {.head = head};
    if (!http_header_is(&as_reply, "Via", version))
        fail_msg("not by HTTP/%s: %s", version, (const char *)head.data);
    vx_buf_done(&head);
}

static void tls(void **state)
{
    (void)state;
    if (!has_nghttpx())
        skip();
    static const struct {
        const char *protocols, *via;
    } cases[] = {{"h2,http/1.1", "2 "}, {"http/1.1", "1.1 "}};
    test_ca *ca = test_ca_start();
    char pem[128], key[128], endpoint[64];
    test_ca_issue(ca, "good", "localhost", -60, DAY_S, pem, key);
    const service *s = service_start_ready(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        child nghttpx;
        bad_proxy *proxy = bad_proxy_start(s->port, SEED);
        snprintf(endpoint, sizeof endpoint, "https://localhost:%d",
                 tls_start(pem, key, cases[i].protocols, bad_proxy_port(proxy), &nghttpx));
        vx_cloud_options options = options_for(endpoint);
        options.ca_file = test_ca_path(ca);
        options.timeout_ms = PATIENCE_MS;
        vx_cloud *cloud = cloud_by(&options);
        for (int k = 0; k < 3; k++) {
            vx_errinfo info = {0};
            if (ask(cloud, &info) != VX_OK)
                fail_msg("%s: %s", cases[i].protocols, info.text);
            check_via(proxy, cases[i].via);
        }
        assert_int_equal(vx_cloud_health(cloud, in_ms(DEADLINE_MS), NULL), VX_OK);
        vx_cloud_destroy(cloud);
        tls_end(&nghttpx);
        bad_proxy_stop(proxy);
    }
    test_ca_done(ca);
}

/* Nothing is sent to who cannot prove its name: the proxy behind sees no request. */
static void certificates_refused(void **state)
{
    (void)state;
    if (!has_nghttpx())
        skip();
    enum { OWN, STRANGER, SYSTEM, NO_FILE };
    static const struct {
        const char *what, *certified, *asked;
        long from_s, to_s;
        int trusts;
        vx_err err;
    } cases[] = {
        {"good", "localhost", "localhost", -60, DAY_S, OWN, VX_OK},
        {"another host's", "voxlock.example", "localhost", -60, DAY_S, OWN, VX_ERR_NETWORK},
        {"name for an address", "localhost", "127.0.0.1", -60, DAY_S, OWN, VX_ERR_NETWORK},
        {"expired", "localhost", "localhost", -2 * DAY_S, -60, OWN, VX_ERR_NETWORK},
        {"not yet good", "localhost", "localhost", DAY_S, 2 * DAY_S, OWN, VX_ERR_NETWORK},
        {"of a stranger", "localhost", "localhost", -60, DAY_S, STRANGER, VX_ERR_NETWORK},
        {"unknown to the system", "localhost", "localhost", -60, DAY_S, SYSTEM, VX_ERR_NETWORK},
        {"no such CA file", "localhost", "localhost", -60, DAY_S, NO_FILE, VX_ERR_OPTION_VALUE},
    };
    test_ca *ca = test_ca_start(), *stranger = test_ca_start();
    const char *const files[] = {test_ca_path(ca), test_ca_path(stranger), NULL, "/nonexistent/ca.pem"};
    const service *s = service_start_ready(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16], pem[128], key[128], endpoint[64];
        child nghttpx;
        vx_errinfo info = {0};
        snprintf(name, sizeof name, "case%zu", i);
        test_ca_issue(ca, name, cases[i].certified, cases[i].from_s, cases[i].to_s, pem, key);
        bad_proxy *proxy = bad_proxy_start(s->port, SEED);
        snprintf(endpoint, sizeof endpoint, "https://%s:%d", cases[i].asked,
                 tls_start(pem, key, "h2,http/1.1", bad_proxy_port(proxy), &nghttpx));
        vx_cloud_options options = options_for(endpoint);
        options.ca_file = files[cases[i].trusts];
        options.timeout_ms = PATIENCE_MS;
        vx_cloud *cloud = cloud_by(&options);
        const vx_err err = ask(cloud, &info);
        if (err != cases[i].err)
            fail_msg("%s: %s %s", cases[i].what, vx_err_code(err), info.text);
        assert_int_equal(bad_proxy_count(proxy).requests, err == VX_OK);
        assert_true(err == VX_OK || info.text[0] != '\0');
        vx_cloud_destroy(cloud);
        tls_end(&nghttpx);
        bad_proxy_stop(proxy);
    }
    test_ca_done(ca);
    test_ca_done(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(same_vector_as_on_the_device, service_reap),
        cmocka_unit_test_teardown(longest_recording, service_reap),
        cmocka_unit_test_teardown(recordings_refused, service_reap),
        cmocka_unit_test_teardown(keys, service_reap),
        cmocka_unit_test_teardown(other_model_and_health, service_reap),
        cmocka_unit_test_teardown(nobody_is_asked_without_pressure, service_reap),
        cmocka_unit_test_teardown(every_fault, service_reap),
        cmocka_unit_test_teardown(service_goes_away, service_reap),
        cmocka_unit_test_teardown(bad_weather, service_reap),
        cmocka_unit_test_teardown(tls, service_reap),
        cmocka_unit_test_teardown(certificates_refused, service_reap),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
