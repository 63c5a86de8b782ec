/* test_access.c - who may ask: keys, which paths are open without one, how much one client may have under way, which
 * pages' browsers may read the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/sha256.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/service.h"

#define EMBEDDING "/api/ml/speaker_embedding"
#define TOKEN     "correct-horse-battery-staple-0123456789"

static void digest_of(const char *token, char ret_hex[VX_SHA256_HEX])
{
    uint8_t digest[VX_SHA256_BYTES];
    assert_int_equal(vx_sha256_of(token, strlen(token), digest), VX_OK);
    vx_hex(digest, sizeof digest, ret_hex);
}

static service *start_with_key(char ret_hex[VX_SHA256_HEX])
{
    char setting[256];
    digest_of(TOKEN, ret_hex);
    snprintf(setting, sizeof setting, "VOXLOCK_API_KEYS=alice:%s", ret_hex);
    const char *const settings[] = {setting, NULL};
    return service_start_ready(settings);
}

static void a_key_opens_and_nothing_else_does(void **state)
{
    (void)state;
    static const struct {
        const char *line, *code; /* NULL: let in */
    } cases[] = {
        {"Authorization: Bearer " TOKEN, NULL},
        {"Authorization: bearer " TOKEN, NULL},
        {"Authorization:", "unauthorized"},
        {"Authorization: Bearer", "unauthorized"},
        {"Authorization: Basic dXNlcjpwYXNz", "unauthorized"},
        {"Authorization: " TOKEN, "unauthorized"},
        {"Authorization: Bearer " TOKEN "x", "invalid_token"},
        {"Authorization: Bearer CORRECT-horse-battery-staple-0123456789", "invalid_token"},
        {"Authorization: Bearer correct-horse-battery-staple", "invalid_token"},
        {"Authorization: Bearer \xff\xfe", "unauthorized"},
    };
    char hex[VX_SHA256_HEX], *body = clip_file_json("reader1_a.flac", "");
    json_t *document = openapi_load();
    service *s = start_with_key(hex);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const headers[] = {"Content-Type: application/json", "Expect:", cases[i].line, NULL};
        http_reply reply = http_call(
            s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = body, .len = strlen(body)});
        if (!cases[i].code) {
            if (reply.status != 200)
                fail_msg("'%s' is answered %d", cases[i].line, reply.status);
            http_reply_done(&reply);
            continue;
        }
        if (reply.status != 401 || !http_header_is(&reply, "WWW-Authenticate", "Bearer"))
            fail_msg("'%s' is answered %d", cases[i].line, reply.status);
        openapi_expect_problem(document, EMBEDDING, &reply, 401, cases[i].code);
    }
    /* A digest is not a token: who reads the settings cannot call. */
    char line[128];
    snprintf(line, sizeof line, "Authorization: Bearer %s", hex);
    const char *const headers[] = {"Content-Type: application/json", line, NULL};
    http_reply reply =
        http_call(s->port, (http_request){.path = EMBEDDING, .headers = headers, .body = body, .len = strlen(body)});
    openapi_expect_problem(document, EMBEDDING, &reply, 401, "invalid_token");
    assert_int_equal(service_stop(s), 0);
    service_check_log(s);
    char *log = service_log(s);
    assert_null(strstr(log, TOKEN));
    assert_null(strstr(log, hex));
    free(log);
    free(body);
    json_decref(document);
}

/* Probes have no key. Everything else has something to tell that is not for everybody. */
static void probes_are_open_and_the_rest_is_not(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool open;
    } cases[] = {
        {"/health", true},   {"/health/live", true},     {"/api/ml/health", true},
        {"/status", false},  {"/metrics", false},        {"/startup-diagnostics", false},
        {"/nothing", false}, {"/api/ml/prewarm", false}, {EMBEDDING, false},
    };
    char hex[VX_SHA256_HEX];
    service *s = start_with_key(hex);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_reply reply = http_get(s->port, cases[i].path);
        const bool refused = reply.status == 401;
        /* An unknown path or method is no secret. */
        if (cases[i].open ? reply.status != 200 : !refused && reply.status != 404 && reply.status != 405)
            fail_msg("%s is answered %d", cases[i].path, reply.status);
        assert_null(strstr((const char *)reply.body.data, hex));
        http_reply_done(&reply);
    }
    /* With the key, the settings in force are told: without the keys. */
    static const char *const with_key[] = {"Authorization: Bearer " TOKEN, NULL};
    http_reply reply = http_call(s->port, (http_request){.path = "/startup-diagnostics", .headers = with_key});
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr((const char *)reply.body.data, "VOXLOCK_API_KEYS"));
    assert_null(strstr((const char *)reply.body.data, hex));
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
}

/* One client's work does not keep it from being told so at once, and leaves room for nobody else's. */
static void one_client_has_so_much_under_way_and_no_more(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_CLIENT_LIMIT=2", "VOXLOCK_THREADS=1", "VOXLOCK_DEADLINE_MS=600000",
                                           "ECAPA_CACHE_SIZE=0", NULL};
    enum { N = 8 };
    json_t *document = openapi_load();
    vx_buf minute = clip_noise_flac(60 * VX_AUDIO_RATE, 7);
    char *body = clip_json(minute.data, minute.len, "");
    service *s = service_start_ready(settings);
    int fds[N], limited = 0, served = 0;
    for (int i = 0; i < N; i++)
        fds[i] = raw_post(s->port, EMBEDDING, body);
    for (int i = 0; i < N; i++) {
        http_reply reply = {0};
        assert_true(raw_reply(fds[i], true, &reply));
        raw_close(&fds[i]);
        if (reply.status == 200) {
            served++;
            http_reply_done(&reply);
            continue;
        }
        limited++;
        char after[16];
        assert_true(http_header(&reply, "Retry-After", after, sizeof after));
        openapi_expect_problem(document, EMBEDDING, &reply, 429, "client_limit");
    }
    print_message("# %d served, %d over the limit\n", served, limited);
    assert_true(served >= 2 && limited >= 1);
    vx_buf_done(&minute);
    free(body);
    json_decref(document);
    assert_int_equal(service_stop(s), 0);
}

static void browsers_are_told_which_pages_may_read(void **state)
{
    (void)state;
    static const char *const settings[] = {"VOXLOCK_CORS_ORIGINS=https://app.example", NULL};
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        {"Origin: https://app.example", true},
        {"Origin: https://app.example.evil", false},
        {"Origin: http://app.example", false},
        {"Origin: https://app.example:443", false},
        {"Origin: null", false},
        {"Origin: *", false},
    };
    service *s = service_start_ready(settings);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const get[] = {cases[i].origin, NULL};
        http_reply reply = http_call(s->port, (http_request){.path = "/health", .headers = get});
        assert_int_equal(reply.status, 200);
        assert_int_equal(http_header_is(&reply, "Access-Control-Allow-Origin", "https://app.example"),
                         cases[i].allowed);
        http_reply_done(&reply);
        const char *const ask[] = {cases[i].origin, "Access-Control-Request-Method: POST", NULL};
        reply = http_call(s->port, (http_request){.method = "OPTIONS", .path = EMBEDDING, .headers = ask});
        assert_int_equal(reply.status, cases[i].allowed ? 204 : 405);
        assert_int_equal(http_header_is(&reply, "Access-Control-Allow-Origin", ""), cases[i].allowed);
        http_reply_done(&reply);
    }
    assert_int_equal(service_stop(s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_key_opens_and_nothing_else_does, service_reap),
        cmocka_unit_test_teardown(probes_are_open_and_the_rest_is_not, service_reap),
        cmocka_unit_test_teardown(one_client_has_so_much_under_way_and_no_more, service_reap),
        cmocka_unit_test_teardown(browsers_are_told_which_pages_may_read, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
