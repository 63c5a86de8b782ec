/* test_router.c - who is asked, in which order, what comes of it and what is told of it. The device is a fake, the cloud
 * a real client in front of a proxy that answers or fails.
 */
#include "edge/route/router.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/bad_proxy.h"
#include "tests/support/service.h"

enum { DIM = 4, N = 4800, SEED = 21 };

static const float samples[N];

/* ---- the rule ---------------------------------------------------------------------------------------------------- */

static vx_err no_device(void *arg, const float *s, size_t n, uint64_t deadline_ns, vx_embedding *ret, vx_errinfo *info)
{
    (void)arg, (void)s, (void)n, (void)deadline_ns, (void)ret, (void)info;
    return VX_ERR_INTERNAL;
}

static void who_is_first(void **state)
{
    (void)state;
    enum { D = VX_ROUTE_DEVICE, C = VX_ROUTE_CLOUD, NOBODY = VX_ROUTE_NOWHERE };
    static const struct {
        double pressure;
        /* with both and the breaker closed, open; with the device alone; the cloud alone, breaker closed, open */
        int both, both_open, device, cloud, cloud_open;
    } rows[] = {
        {0.0, D, D, D, C, C}, {0.8499, D, D, D, C, C}, {0.85, C, D, D, C, C},     {1.0, C, D, D, C, C},
        {-1, D, D, D, C, C},  {NAN, D, D, D, C, C},    {INFINITY, C, D, D, C, C},
    };
    /* Only whether there is one is looked at. */
    vx_cloud *const some = (vx_cloud *)(uintptr_t)samples;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_router router = {.device = no_device, .cloud = some, .max_pressure = 0.85};
        assert_int_equal(vx_route_first(&router, rows[i].pressure, true), rows[i].both);
        assert_int_equal(vx_route_first(&router, rows[i].pressure, false), rows[i].both_open);
        router.cloud = NULL;
        assert_int_equal(vx_route_first(&router, rows[i].pressure, true), rows[i].device);
        router = (vx_router){.cloud = some, .max_pressure = 0.85};
        assert_int_equal(vx_route_first(&router, rows[i].pressure, true), rows[i].cloud);
        assert_int_equal(vx_route_first(&router, rows[i].pressure, false), rows[i].cloud_open);
        router.cloud = NULL;
        assert_int_equal(vx_route_first(&router, rows[i].pressure, true), NOBODY);
    }
    assert_string_equal(vx_route_name(VX_ROUTE_DEVICE), "device");
    assert_string_equal(vx_route_name(VX_ROUTE_CLOUD), "cloud");
    assert_string_equal(vx_route_name(VX_ROUTE_NOWHERE), "nowhere");
}

/* ---- the whole way ----------------------------------------------------------------------------------------------- */

/* What the device is to answer, and what it saw. */
typedef struct {
    vx_err err;
    const char *text; /* NULL: it fails without a word */
    int n_calls;
    uint64_t called_ns, deadline_ns;
} device;

static vx_err device_embed(void *arg, const float *s, size_t n, uint64_t deadline_ns, vx_embedding *ret,
                           vx_errinfo *info)
{
    device *d = arg;
    assert_ptr_equal(s, samples);
    assert_int_equal(n, N);
    d->n_calls++;
    d->called_ns = vx_now_ns();
    d->deadline_ns = deadline_ns;
    if (d->err == VX_OK)
        *ret = (vx_embedding){.dim = DIM, .values = {1}};
    else if (d->text)
        return vx_errinfo_set(info, d->err, "%s", d->text);
    return d->err;
}

typedef struct {
    bad_proxy *proxy;
    vx_buf good, short_audio;
} stage;

static int set_up(void **state)
{
    static const float vector[DIM] = {0, 1};
    static const char lines[] = "Content-Type: application/octet-stream\r\nVoxlock-Model: sha256:"
                                "0000000000000000000000000000000000000000000000000000000000000000\r\n";
    static const char problem[] = "{\"code\":\"audio_too_short\",\"detail\":\"it lies\"}";
    stage *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    *state = s;
    bad_proxy_make(&s->good, "200 OK", lines, vector, sizeof vector);
    bad_proxy_make(&s->short_audio, "422 Unprocessable Content", "Content-Type: application/problem+json\r\n", problem,
                   sizeof problem - 1);
    s->proxy = bad_proxy_start(0, SEED);
    return 0;
}

static int tear_down(void **state)
{
    stage *s = *state;
    bad_proxy_stop(s->proxy);
    vx_buf_done(&s->good);
    vx_buf_done(&s->short_audio);
    free(s);
    return 0;
}

static vx_cloud *new_cloud(const stage *s, int breaker_failures)
{
    char endpoint[64];
    vx_cloud *cloud = NULL;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", bad_proxy_port(s->proxy));
    const vx_cloud_options options = {.endpoint = endpoint,
                                      .timeout_ms = PATIENCE_MS,
                                      .breaker_failures = breaker_failures,
                                      .breaker_open_ns = UINT64_C(3600000000000),
                                      .dim = DIM};
    assert_int_equal(vx_cloud_create(&options, vx_clock_monotonic(), &cloud, NULL), VX_OK);
    return cloud;
}

typedef enum { ABSENT, WORKS, FAILS, LIES, PAUSED } cloud_state;

static bad_fault fault_of(const stage *s, cloud_state cloud)
{
    const vx_buf *answer = cloud == LIES ? &s->short_audio : &s->good;
    if (cloud == FAILS)
        return (bad_fault){.kind = BAD_DROP};
    return (bad_fault){.kind = BAD_ANSWER, .answer = answer->data, .len = answer->len};
}

/* A client whose breaker has opened: one failure is enough for it. */
static vx_cloud *make_cloud(const stage *s, cloud_state cloud)
{
    vx_embedding embedding;
    if (cloud == ABSENT)
        return NULL;
    vx_cloud *client = new_cloud(s, cloud == PAUSED ? 1 : 100);
    if (cloud == PAUSED) {
        bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_DROP});
        assert_int_not_equal(
            vx_cloud_embed(client, samples, N, vx_now_ns() + PATIENCE_MS * 1000000ull, 0, &embedding, NULL), VX_OK);
    }
    bad_proxy_set(s->proxy, fault_of(s, cloud));
    return client;
}

#define NO_DEVICE VX_ERR_NOT_FOUND /* a device function that is not there */

static const struct {
    const char *what;
    double pressure;
    vx_err device;
    cloud_state cloud;
    vx_err err;
    vx_route_by by;
    int device_calls, cloud_requests;
    const char *reason; /* begins so, and ends with the next */
    const char *end;
} cases[] = {
    {"little pressure", 0.42, VX_OK, WORKS, VX_OK, VX_ROUTE_DEVICE, 1, 0,
     "memory 42 % in use: ", "computed on the device"},
    {"just below", 0.8499, VX_OK, WORKS, VX_OK, VX_ROUTE_DEVICE, 1, 0,
     "memory 85 % in use: ", "computed on the device"},
    {"pressure unknown", -1, VX_OK, WORKS, VX_OK, VX_ROUTE_DEVICE, 1, 0,
     "memory pressure unknown: ", "computed on the device"},
    {"pressure", 0.85, VX_OK, WORKS, VX_OK, VX_ROUTE_CLOUD, 0, 1, "memory 85 % in use: ", "computed in the cloud"},
    {"pressure, no cloud", 0.91, VX_OK, ABSENT, VX_OK, VX_ROUTE_DEVICE, 1, 0,
     "memory 91 % in use, no cloud is set up: ", "computed on the device"},
    {"pressure, cloud fails", 0.91, VX_OK, FAILS, VX_OK, VX_ROUTE_DEVICE, 1, 1,
     "memory 91 % in use, cloud: 127.0.0.1: ", ": computed on the device"},
    {"pressure, cloud paused", 0.91, VX_OK, PAUSED, VX_OK, VX_ROUTE_DEVICE, 1, 0,
     "memory 91 % in use, the cloud is given a pause after failures: ", "computed on the device"},
    {"pressure, cloud blames the recording", 0.91, VX_OK, LIES, VX_OK, VX_ROUTE_DEVICE, 1, 1,
     "memory 91 % in use, cloud: the service answered 422 audio_too_short", ": computed on the device"},
    {"device out of memory", 0.5, VX_ERR_NOMEM, WORKS, VX_OK, VX_ROUTE_CLOUD, 1, 1,
     "memory 50 % in use, device: said so: ", "computed in the cloud"},
    {"device without a model", 0.5, VX_ERR_MODEL_MISSING, WORKS, VX_OK, VX_ROUTE_CLOUD, 1, 1, "memory 50 % in use, ",
     "computed in the cloud"},
    {"device late", 0.5, VX_ERR_DEADLINE, WORKS, VX_OK, VX_ROUTE_CLOUD, 1, 1, "", "computed in the cloud"},
    {"device blames the recording", 0.5, VX_ERR_AUDIO_SHORT, WORKS, VX_ERR_AUDIO_SHORT, VX_ROUTE_NOWHERE, 1, 0,
     "memory 50 % in use, device: said so: ", "not computed"},
    {"device finds too much noise", 0.5, VX_ERR_AUDIO_NOISY, WORKS, VX_ERR_AUDIO_NOISY, VX_ROUTE_NOWHERE, 1, 0, "",
     "not computed"},
    {"no device", 0.1, NO_DEVICE, WORKS, VX_OK, VX_ROUTE_CLOUD, 0, 1, "memory 10 % in use: ", "computed in the cloud"},
    {"both fail, device first", 0.5, VX_ERR_ENGINE, FAILS, VX_ERR_NETWORK, VX_ROUTE_NOWHERE, 1, 1,
     "memory 50 % in use, device: said so, cloud: 127.0.0.1: ", ": not computed"},
    {"both fail, cloud first", 0.9, VX_ERR_ENGINE, FAILS, VX_ERR_ENGINE, VX_ROUTE_NOWHERE, 1, 1,
     "memory 90 % in use, cloud: 127.0.0.1: ", ", device: said so: not computed"},
    {"device fails, cloud paused", 0.5, VX_ERR_ENGINE, PAUSED, VX_ERR_CIRCUIT_OPEN, VX_ROUTE_NOWHERE, 1, 0,
     "memory 50 % in use, device: said so, cloud: ", "not computed"},
    {"no device, cloud paused", 0.5, NO_DEVICE, PAUSED, VX_ERR_CIRCUIT_OPEN, VX_ROUTE_NOWHERE, 0, 0, "",
     "not computed"},
    {"device alone fails", 0.5, VX_ERR_ENGINE, ABSENT, VX_ERR_ENGINE, VX_ROUTE_NOWHERE, 1, 0, "", "not computed"},
    {"nobody", 0.9, NO_DEVICE, ABSENT, VX_ERR_NOT_READY, VX_ROUTE_NOWHERE, 0, 0, "memory 90 % in use",
     ": not computed"},
};

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static void routes(void **state)
{
    const stage *s = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        device d = {.err = cases[i].device, .text = "said so"};
        vx_cloud *cloud = make_cloud(s, cases[i].cloud);
        const int before = bad_proxy_count(s->proxy).requests;
        const vx_router router = {.device = cases[i].device == NO_DEVICE ? NULL : device_embed,
                                  .device_arg = &d,
                                  .cloud = cloud,
                                  .max_pressure = 0.85};
        vx_embedding embedding = {.dim = -1};
        vx_route_report report;
        vx_errinfo info = {0};
        const vx_err err = vx_route_embed(&router, cases[i].pressure, samples, N,
                                          vx_now_ns() + PATIENCE_MS * 1000000ull, &embedding, &report, &info);
        if (err != cases[i].err || report.by != cases[i].by || d.n_calls != cases[i].device_calls ||
            bad_proxy_count(s->proxy).requests - before != cases[i].cloud_requests ||
            strncmp(report.reason, cases[i].reason, strlen(cases[i].reason)) != 0 ||
            !ends_with(report.reason, cases[i].end))
            fail_msg("%s: %s, %s, device %d, cloud %d, \"%s\"", cases[i].what, vx_err_code(err),
                     vx_route_name(report.by), d.n_calls, bad_proxy_count(s->proxy).requests - before, report.reason);
        assert_int_equal(info.code, err);
        assert_true(err == VX_OK || info.text[0] != '\0');
        assert_int_equal(embedding.dim, err == VX_OK ? DIM : -1);
        assert_true(err != VX_OK || embedding.values[report.by == VX_ROUTE_CLOUD] == 1.0f);
        assert_true(report.pressure == cases[i].pressure && report.elapsed_ms >= 0);
        vx_cloud_destroy(cloud);
    }
}

/* HALF_OPEN: the next attempt under pressure is the probe, or the breaker would never close. */
static uint64_t read_turned(void *ctx)
{
    return *(uint64_t *)ctx;
}

static void half_open_is_probed(void **state)
{
    const stage *s = *state;
    uint64_t now_ns = 0;
    char endpoint[64];
    vx_cloud *cloud = NULL;
    device d = {0};
    vx_embedding embedding;
    vx_route_report report;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", bad_proxy_port(s->proxy));
    const vx_cloud_options options = {
        .endpoint = endpoint, .timeout_ms = PATIENCE_MS, .breaker_failures = 1, .breaker_open_ns = 100, .dim = DIM};
    assert_int_equal(vx_cloud_create(&options, (vx_clock){read_turned, &now_ns}, &cloud, NULL), VX_OK);
    const vx_router router = {.device = device_embed, .device_arg = &d, .cloud = cloud, .max_pressure = 0.85};
    static const struct {
        bad_kind fault;
        uint64_t passes_ns;
        vx_route_by by;
        int requests;
    } steps[] = {
        {BAD_DROP, 0, VX_ROUTE_DEVICE, 1},    {BAD_ANSWER, 99, VX_ROUTE_DEVICE, 1}, {BAD_DROP, 1, VX_ROUTE_DEVICE, 2},
        {BAD_ANSWER, 50, VX_ROUTE_DEVICE, 2}, {BAD_ANSWER, 50, VX_ROUTE_CLOUD, 3},  {BAD_ANSWER, 0, VX_ROUTE_CLOUD, 4},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        now_ns += steps[i].passes_ns;
        bad_proxy_set(s->proxy, (bad_fault){.kind = steps[i].fault, .answer = s->good.data, .len = s->good.len});
        assert_int_equal(vx_route_embed(&router, 0.95, samples, N, vx_now_ns() + PATIENCE_MS * 1000000ull, &embedding,
                                        &report, NULL),
                         VX_OK);
        assert_int_equal(report.by, steps[i].by);
        assert_int_equal(bad_proxy_count(s->proxy).requests, steps[i].requests);
    }
    vx_cloud_destroy(cloud);
}

/* A silent cloud takes half of the time and leaves the device the other half, and its whole deadline. */
static void device_keeps_half(void **state)
{
    const stage *s = *state;
    device d = {0};
    vx_embedding embedding;
    vx_route_report report;
    vx_cloud *cloud = new_cloud(s, 5);
    const vx_router router = {.device = device_embed, .device_arg = &d, .cloud = cloud, .max_pressure = 0.85};
    bad_proxy_set(s->proxy, (bad_fault){.kind = BAD_STALL});
    const uint64_t start_ns = vx_now_ns(), deadline_ns = start_ns + 1000000000u;
    assert_int_equal(vx_route_embed(&router, 0.9, samples, N, deadline_ns, &embedding, &report, NULL), VX_OK);
    assert_int_equal(report.by, VX_ROUTE_DEVICE);
    assert_true(report.elapsed_ms >= 499);
    assert_true(d.called_ns < deadline_ns && d.deadline_ns == deadline_ns);
    /* Alone it has all of it. */
    const vx_router alone = {.cloud = cloud, .max_pressure = 0.85};
    assert_int_equal(vx_route_embed(&alone, 0.9, samples, N, vx_now_ns() + 200000000u, &embedding, &report, NULL),
                     VX_ERR_DEADLINE);
    assert_true(report.elapsed_ms >= 199);
    vx_cloud_destroy(cloud);
}

/* The sentence stays whole, whatever the two have to say: cut between characters, never at its end. */
static void long_stories(void **state)
{
    (void)state;
    char text[256];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'x', lead);
        for (size_t i = lead; i + 3 < sizeof text; i += 2)
            memcpy(text + i, "\xc3\xa9", 3);
        device d = {.err = VX_ERR_ENGINE, .text = text};
        const vx_router router = {.device = device_embed, .device_arg = &d, .max_pressure = 0.85};
        vx_embedding embedding;
        vx_route_report report;
        vx_errinfo info = {0};
        assert_int_equal(vx_route_embed(&router, 0.9, samples, N, UINT64_MAX, &embedding, &report, &info),
                         VX_ERR_ENGINE);
        const char *story = strstr(report.reason, "device: ") + 8 + lead;
        size_t n = 0;
        while (memcmp(story + n, "\xc3\xa9", 2) == 0)
            n += 2;
        assert_string_equal(story + n, ": not computed");
        assert_in_range(n, 80, 90);
    }
    device wordless = {.err = VX_ERR_ENGINE};
    const vx_router router = {.device = device_embed, .device_arg = &wordless, .max_pressure = 0.85};
    vx_embedding embedding;
    vx_route_report report;
    vx_errinfo info = {0};
    assert_int_equal(vx_route_embed(&router, 0.1, samples, N, UINT64_MAX, &embedding, &report, &info), VX_ERR_ENGINE);
    assert_int_equal(info.code, VX_ERR_ENGINE);
    assert_string_equal(info.text, vx_err_sentence(VX_ERR_ENGINE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_first),
        cmocka_unit_test_setup_teardown(routes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_open_is_probed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(device_keeps_half, set_up, tear_down),
        cmocka_unit_test(long_stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
