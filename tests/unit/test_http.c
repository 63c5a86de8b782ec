/* test_http.c - who may be spoken to, what of an answer is kept, and whom TLS believes. */
#include "edge/route/http.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/child.h"
#include "tests/support/service.h"
#include "tests/support/token_endpoint.h"

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

static vx_http *new_http(const char *ca_file)
{
    vx_http *http = NULL;
    assert_int_equal(vx_http_create(ca_file, &http), VX_OK);
    return http;
}

/* ---- URLs ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *url;
    bool good;
} urls[] = {
    {"https://voxlock-ml-abc123-uc.a.run.app", true},
    {"HTTPS://Example.com:8443/path?query", true},
    {"http://127.0.0.1:8010", true},
    {"http://127.1.2.3", true},
    {"http://localhost:8010/", true},
    {"http://LocalHost", true},
    {"http://[::1]:8010", true},
    {"http://[0:0:0:0:0:0:0:1]:8010", true},
    {"http://example.com", false},
    {"http://127.0.0.1.example.com", false},
    {"http://localhost.example.com", false},
    {"http://128.0.0.1", false},
    {"http://0.0.0.0", false},
    {"http://[::]", false},
    {"http://[::2]", false},
    {"http://[fe80::1]", false},
    {"http://127.0.0.1@example.com", false},
    {"https://user@example.com", false},
    {"https://user:word@example.com", false},
    {"ftp://127.0.0.1", false},
    {"file:///etc/passwd", false},
    {"gopher://127.0.0.1", false},
    {"example.com", false},
    {"https://", false},
    {"https://exa mple.com", false},
    {"", false},
};

static void plain_http_is_for_this_computer_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        vx_errinfo info = {0};
        const vx_err err = vx_http_check_url("VOXLOCK_CLOUD_ENDPOINT", urls[i].url, &info);
        if (err != (urls[i].good ? VX_OK : VX_ERR_OPTION_VALUE))
            fail_msg("'%s': %s", urls[i].url, info.text);
        assert_true(urls[i].good || strncmp(info.text, "VOXLOCK_CLOUD_ENDPOINT ", 23) == 0);
    }
}

static void a_url_that_may_not_be_asked_is_not_asked(void **state)
{
    (void)state;
    vx_http *http = new_http(NULL);
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        vx_http_answer answer = {.status = 77};
        const vx_http_request request = {.url = urls[i].url, .deadline_ns = in_ms(PATIENCE_MS), .max_bytes = 100};
        if (!urls[i].good)
            assert_int_equal(vx_http_ask(http, &request, &answer, NULL), VX_ERR_OPTION_VALUE);
        assert_int_equal(answer.status, 77);
    }
    vx_http_destroy(http);
    vx_http_destroy(NULL);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void a_header_is_found_whatever_its_case(void **state)
{
    (void)state;
    static const struct {
        const char *head, *name, *value; /* value NULL: none */
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n", "date", "now"},
        {"HTTP/1.1 200 OK\r\nX:1\r\nx: \t2 \t\r\n\r\n", "X", "2"},
        {"HTTP/1.1 200 OK\r\nX-Date: now\r\nDat: e\r\n\r\n", "Date", NULL},
        {"HTTP/1.1 200 OK\r\nDate:\r\n\r\n", "Date", ""},
        {"HTTP/1.1 200 OK\r\nDate: cut", "Date", "cut"},
        {"HTTP/1.1 200 OK\r\nDate: 12345678\r\n\r\n", "Date", NULL}, /* does not fit into 8 */
        {"", "Date", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[8] = "before";
        vx_http_answer answer = {0};
        assert_int_equal(vx_buf_append(&answer.head, cases[i].head, strlen(cases[i].head)), VX_OK);
        assert_int_equal(vx_http_header(&answer, cases[i].name, value, sizeof value), cases[i].value != NULL);
        assert_string_equal(value, cases[i].value ? cases[i].value : "before");
        vx_http_answer_done(&answer);
    }
}

static void the_servers_clock_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int64_t date_s;
    } cases[] = {
        {"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n", 1700000000}, {"Date: yesterday\r\n", -1}, {"Server: none\r\n", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_http_answer answer = {0};
        assert_int_equal(vx_buf_append(&answer.head, cases[i].head, strlen(cases[i].head)), VX_OK);
        assert_int_equal(vx_http_date_s(&answer), cases[i].date_s);
        vx_http_answer_done(&answer);
    }
}

static void an_answer_is_kept_up_to_its_bound(void **state)
{
    token_endpoint *server = *state;
    static const struct {
        size_t max_bytes;
        vx_err err;
    } cases[] = {{100, VX_OK}, {10, VX_OK}, {9, VX_ERR_RANGE}, {1, VX_ERR_RANGE}};
    vx_http *http = new_http(NULL);
    token_endpoint_rule(server, (token_rules){.status = 418, .body = "0123456789"});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_http_answer answer = {0};
        const vx_http_request request = {
            .url = token_endpoint_url(server), .deadline_ns = in_ms(PATIENCE_MS), .max_bytes = cases[i].max_bytes};
        assert_int_equal(vx_http_ask(http, &request, &answer, NULL), cases[i].err);
        if (cases[i].err == VX_OK) {
            assert_int_equal(answer.status, 418);
            assert_int_equal(answer.body.len, 10);
            assert_string_equal((const char *)answer.body.data, "0123456789");
            assert_true(vx_http_date_s(&answer) > 1600000000);
        }
        vx_http_answer_done(&answer);
    }
    vx_http_destroy(http);
}

static void what_goes_wrong_on_the_way_is_told(void **state)
{
    token_endpoint *server = *state;
    static const struct {
        token_rules rules;
        uint64_t timeout_ms;
        vx_err err;
    } cases[] = {
        {{.delay_ms = 5000}, 50, VX_ERR_DEADLINE},
        {{0}, 0, VX_ERR_DEADLINE},
        {{.hangs_up = true}, PATIENCE_MS, VX_ERR_NETWORK},
    };
    vx_http *http = new_http(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_http_answer answer = {.status = 77};
        vx_errinfo info = {0};
        const vx_http_request request = {
            .url = token_endpoint_url(server), .deadline_ns = in_ms(cases[i].timeout_ms), .max_bytes = 100};
        token_endpoint_rule(server, cases[i].rules);
        assert_int_equal(vx_http_ask(http, &request, &answer, &info), cases[i].err);
        assert_non_null(strstr(info.text, "127.0.0.1"));
        assert_int_equal(answer.status, 77);
    }
    vx_http_destroy(http);
}

static vx_err create(void *arg)
{
    vx_http *http = NULL;
    const vx_err err = vx_http_create(arg, &http);
    vx_http_destroy(http);
    return err;
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    char ca[] = "ca.pem";
    vx_alloc_fail_each(create, NULL);
    vx_alloc_fail_each(create, ca);
}

/* ---- TLS -------------------------------------------------------------------------------------------------------- */

/* OpenSSL's own test server, with a certificate that it signed itself for the name localhost. A static: a test that
 * fails jumps out, and the server must end all the same. */
static struct {
    char folder[64], key[96], certificate[96];
    child server;
    int port;
} tls;

static int run_to_end(char *const argv[])
{
    child c = {0};
    return child_start(argv, CHILD_STDERR, &c) ? child_end(&c, PATIENCE_MS) : -1;
}

static bool tls_start(void)
{
    snprintf(tls.folder, sizeof tls.folder, "/tmp/voxlock-tls-XXXXXX");
    assert_non_null(mkdtemp(tls.folder));
    snprintf(tls.key, sizeof tls.key, "%s/key.pem", tls.folder);
    snprintf(tls.certificate, sizeof tls.certificate, "%s/certificate.pem", tls.folder);
    char *const make[] = {"openssl", "req",   "-x509", "-newkey",       "rsa:2048", "-nodes",
                          "-days",   "2",     "-subj", "/CN=localhost", "-addext",  "subjectAltName=DNS:localhost",
                          "-keyout", tls.key, "-out",  tls.certificate, NULL};
    char *const serve[] = {"openssl", "s_server",      "-accept", "127.0.0.1:0", "-www",
                           "-cert",   tls.certificate, "-key",    tls.key,       NULL};
    const char *line;
    if (run_to_end(make) != 0 || !child_start(serve, CHILD_STDOUT, &tls.server))
        return false;
    while (tls.port == 0 && child_hear(&tls.server, PATIENCE_MS, &line))
        if (strncmp(line, "ACCEPT ", 7) == 0 && strrchr(line, ':'))
            tls.port = atoi(strrchr(line, ':') + 1);
    return tls.port > 0;
}

static int tls_stop(void **state)
{
    (void)state;
    if (tls.server.pid > 0)
        kill(tls.server.pid, SIGTERM);
    child_end(&tls.server, PATIENCE_MS);
    unlink(tls.key);
    unlink(tls.certificate);
    rmdir(tls.folder);
    return 0;
}

static vx_err ask_tls(const char *host, const char *ca_file, vx_errinfo *info)
{
    char url[128];
    vx_http_answer answer = {0};
    vx_http *http = new_http(ca_file);
    snprintf(url, sizeof url, "https://%s:%d/", host, tls.port);
    const vx_http_request request = {.url = url, .deadline_ns = in_ms(PATIENCE_MS), .max_bytes = 100000};
    const vx_err err = vx_http_ask(http, &request, &answer, info);
    assert_int_equal(answer.status, err == VX_OK ? 200 : 0);
    vx_http_answer_done(&answer);
    vx_http_destroy(http);
    return err;
}

static void a_server_is_who_its_certificate_says(void **state)
{
    (void)state;
    if (!tls_start()) {
        print_message("no openssl program\n");
        skip();
    }
    const struct {
        const char *host, *ca_file;
        vx_err err;
        const char *part;
    } cases[] = {
        {"localhost", tls.certificate, VX_OK, ""},
        {"localhost", NULL, VX_ERR_NETWORK, "certificate"},
        {"127.0.0.1", tls.certificate, VX_ERR_NETWORK, "127.0.0.1"},
        {"localhost", "/nonexistent/ca.pem", VX_ERR_OPTION_VALUE, "no certificates"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_errinfo info = {0};
        const vx_err err = ask_tls(cases[i].host, cases[i].ca_file, &info);
        if (err != cases[i].err || !strstr(info.text, cases[i].part))
            fail_msg("case %zu: %s, '%s'", i, vx_err_code(err), info.text);
    }
}

static int set_up(void **state)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    *state = token_endpoint_start();
    return 0;
}

static int tear_down(void **state)
{
    token_endpoint_stop(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_is_for_this_computer_alone),
        cmocka_unit_test(a_url_that_may_not_be_asked_is_not_asked),
        cmocka_unit_test(a_header_is_found_whatever_its_case),
        cmocka_unit_test(the_servers_clock_is_read),
        cmocka_unit_test(an_answer_is_kept_up_to_its_bound),
        cmocka_unit_test(what_goes_wrong_on_the_way_is_told),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test_teardown(a_server_is_who_its_certificate_says, tls_stop),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
