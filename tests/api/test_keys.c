/* test_keys.c - clients with names: keys from a file, what is logged of them, and how the queue is shared between them
 * and between addresses behind proxies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/sha256.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/http.h"
#include "tests/support/service.h"

#define EMBEDDING   "/api/ml/speaker_embedding"
#define ALICE_TOKEN "alice-has-a-token-of-many-letters-01"
#define BOB_TOKEN   "bob-has-a-token-of-many-letters-0002"
#define ALICE       "Authorization: Bearer " ALICE_TOKEN
#define BOB         "Authorization: Bearer " BOB_TOKEN

/* ---- settings -------------------------------------------------------------------------------------------------- */

typedef struct {
    char path[64], setting[96];
} temp_file;

/* setting: "NAME=prefix" that the path is put behind. */
static temp_file make_file(const char *setting, const char *text)
{
    temp_file f = {.path = "/tmp/voxlock-keys-XXXXXX"};
    const int fd = mkstemp(f.path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    snprintf(f.setting, sizeof f.setting, "%s%s", setting, f.path);
    return f;
}

static void digest_of(const char *token, char ret_hex[VX_SHA256_HEX])
{
    uint8_t digest[VX_SHA256_BYTES];
    assert_int_equal(vx_sha256_of(token, strlen(token), digest), VX_OK);
    vx_hex(digest, sizeof digest, ret_hex);
}

static temp_file make_keys(void)
{
    char alice[VX_SHA256_HEX], bob[VX_SHA256_HEX], text[512];
    digest_of(ALICE_TOKEN, alice);
    digest_of(BOB_TOKEN, bob);
    snprintf(text, sizeof text, "# who may call\nalice:%s\n\nbob:%s\n", alice, bob);
    return make_file("VOXLOCK_API_KEYS=@", text);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static http_reply get_as(const service *s, const char *path, const char *authorization)
{
    const char *const headers[] = {authorization, NULL};
    return http_call(s->port, (http_request){.path = path, .headers = headers});
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void keys_of_a_file_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *authorization, *challenge; /* NULL: let in */
    } rows[] = {
        {ALICE, NULL},
        {BOB, NULL},
        {ALICE, NULL},
        {NULL, "Bearer"},
        {"Authorization: Bearer nobody-knows-this-token-of-letters", "Bearer error=\"invalid_token\""},
        {"Authorization: Bearer alice", "Bearer error=\"invalid_token\""},
        {"Authorization: Basic YWxpY2U6", "Bearer"},
    };
    temp_file keys = make_keys();
    const char *const settings[] = {keys.setting, NULL};
    service *s = service_start_ready(settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char challenge[128] = "";
        http_reply reply = get_as(s, "/status", rows[i].authorization);
        http_header(&reply, "WWW-Authenticate", challenge, sizeof challenge);
        assert_int_equal(reply.status, rows[i].challenge ? 401 : 200);
        /* Who brought no token is told only that one is needed (RFC 6750, section 3.1). */
        if (rows[i].challenge && strstr(rows[i].challenge, "error"))
            assert_non_null(strstr(challenge, "error=\"invalid_token\""));
        else
            assert_null(strstr(challenge, "error"));
        assert_int_equal(strncmp(challenge, "Bearer", 6) == 0, rows[i].challenge != NULL);
        http_reply_done(&reply);
    }
    http_reply probe = get_as(s, "/health", ALICE); /* open, and still a name in the log */
    assert_int_equal(probe.status, 200);
    http_reply_done(&probe);
    assert_int_equal(service_stop(s), 0);
    service_check_log(s);
    char alice[VX_SHA256_HEX], bob[VX_SHA256_HEX], *log = service_log(s);
    digest_of(ALICE_TOKEN, alice);
    digest_of(BOB_TOKEN, bob);
    assert_int_equal(count(log, "\"client\":\"alice\""), 3);
    assert_int_equal(count(log, "\"client\":\"bob\""), 1);
    assert_int_equal(count(log, "\"client\":"), 4);
    const char *const secrets[] = {ALICE_TOKEN, BOB_TOKEN, alice, bob, "nobody-knows-this-token", "YWxpY2U6"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        assert_null(strstr(log, secrets[i]));
    free(log);
    unlink(keys.path);
}

/* Without a key nothing of a body is kept or looked at, and a client that waits for leave to send is refused before. */
static void who_has_no_key_costs_nothing(void **state)
{
    (void)state;
    temp_file keys = make_keys();
    const char *const settings[] = {keys.setting, "VOXLOCK_MAX_BUFFERED=1MiB", NULL};
    service *s = service_start_ready(settings);
    char *large = calloc(1, 4 << 20);
    assert_non_null(large);
    http_reply reply = {0};
    int fd = raw_post_with(s->port, EMBEDDING, "Content-Type: audio/wav\r\n", large, 4 << 20);
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 401); /* and not 429, though it is more than all may hold */
    http_reply_done(&reply);
    raw_close(&fd);
    fd = raw_open(s->port);
    assert_true(raw_say(fd, "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: audio/wav\r\n"
                            "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"));
    assert_true(raw_reply(fd, true, &reply));
    assert_int_equal(reply.status, 401);
    http_reply_done(&reply);
    raw_close(&fd);
    free(large);
    assert_int_equal(service_stop(s), 0);
    unlink(keys.path);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    temp_file keys = make_keys();
    assert_int_equal(chmod(keys.path, 0644), 0);
    const char *const settings[] = {keys.setting, NULL};
    service *s = service_run(settings, NULL);
    assert_int_equal(s->status, 2);
    char *log = service_log(s);
    assert_non_null(strstr(log, keys.path));
    free(log);
    unlink(keys.path);
}

/* What `hash-key` prints is what the setting takes. */
static void a_key_can_be_made_by_the_program_itself(void **state)
{
    (void)state;
    static char program[] = VX_BUILD_DIR "/voxlock-cloud", command[] = "hash-key", name[] = "carol";
    static char *const argv[] = {program, command, name, NULL};
    static const char token[] = "carol-has-a-token-of-many-letters-3";
    child c;
    const char *line = NULL;
    char setting[256], header[128];
    assert_true(child_start(argv, CHILD_STDOUT, &c));
    assert_true(child_say(&c, token));
    assert_true(child_hear(&c, PATIENCE_MS, &line));
    snprintf(setting, sizeof setting, "VOXLOCK_API_KEYS=%s", line);
    assert_int_equal(child_end(&c, PATIENCE_MS), 0);
    const char *const settings[] = {setting, NULL};
    service *s = service_start(settings);
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    http_reply reply = get_as(s, "/status", header);
    assert_int_equal(reply.status, 200);
    http_reply_done(&reply);
    assert_int_equal(service_stop(s), 0);
}

/* ---- one client beside another --------------------------------------------------------------------------------- */

static char *clip_of(unsigned seed)
{
    vx_buf noise = clip_noise_flac(VX_AUDIO_RATE / 2, seed);
    char *body = clip_json(noise.data, noise.len, "");
    vx_buf_done(&noise);
    return body;
}

static int post_as(const service *s, const char *header, const char *body)
{
    char lines[256];
    snprintf(lines, sizeof lines, "Content-Type: application/json\r\n%s\r\n", header);
    return raw_post_with(s->port, EMBEDDING, lines, body, strlen(body));
}

/* 200, or 0 when the client has too much under way: nothing else may come. */
static int take_status(int fd)
{
    http_reply reply = {0};
    if (!raw_reply(fd, true, &reply))
        fail_msg("a request is lost");
    raw_close(&fd);
    json_t *root = http_json(&reply);
    int status = reply.status;
    if (status == 429) {
        assert_string_equal(json_string_value(json_object_get(root, "code")), "client_limit");
        assert_true(http_header_is(&reply, "Retry-After", "1"));
        status = 0;
    } else {
        assert_int_equal(status, 200);
    }
    json_decref(root);
    http_reply_done(&reply);
    return status;
}

/* One client sends more than it may; another is served all the same. busy and other: header lines. */
static void expect_own_limits(const service *s, const char *busy, const char *other)
{
    enum { N = 6 };
    int fds[N], served = 0;
    char *bodies[N + 1];
    for (unsigned i = 0; i <= N; i++)
        bodies[i] = clip_of(i);
    for (int i = 0; i < N; i++)
        fds[i] = post_as(s, busy, bodies[i]);
    assert_int_equal(take_status(post_as(s, other, bodies[N])), 200);
    for (int i = 0; i < N; i++)
        served += take_status(fds[i]) == 200;
    assert_in_range(served, 2, N - 1);
    for (int i = 0; i <= N; i++)
        free(bodies[i]);
}

static void every_key_has_its_own_limit(void **state)
{
    (void)state;
    temp_file keys = make_keys(), faults = make_file("VOXLOCK_TEST_FAULTS=", "slow");
    const char *const settings[] = {keys.setting, faults.setting, "VOXLOCK_CLIENT_LIMIT=2", "VOXLOCK_THREADS=2", NULL};
    service *s = service_start_ready(settings);
    expect_own_limits(s, ALICE, BOB);
    assert_int_equal(service_stop(s), 0);
    unlink(keys.path);
    unlink(faults.path);
}

static void every_address_has_its_own_limit(void **state)
{
    (void)state;
    temp_file faults = make_file("VOXLOCK_TEST_FAULTS=", "slow");
    const char *const settings[] = {faults.setting, "VOXLOCK_CLIENT_LIMIT=2", "VOXLOCK_THREADS=2",
                                    "VOXLOCK_FORWARDED_HOPS=1", NULL};
    service *s = service_start_ready(settings);
    /* What a client writes in front of the proxy's entry does not make it another client. */
    expect_own_limits(s, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.1, 10.0.0.2");
    assert_int_equal(service_stop(s), 0);
    unlink(faults.path);
}

/* The answer comes when the request no longer counts: who asks one thing after the other is never at a limit of one. */
static void a_client_that_waits_for_its_answers_meets_no_limit(void **state)
{
    (void)state;
    enum { N = SANITIZED ? 300 : 1500 };
    static const char *const settings[] = {"VOXLOCK_CLIENT_LIMIT=1", "VOXLOCK_THREADS=4", NULL};
    char *body = clip_of(1), head[256];
    service *s = service_start_ready(settings);
    int fd = raw_open(s->port);
    snprintf(head, sizeof head,
             "POST " EMBEDDING " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             strlen(body));
    for (int i = 0; i < N; i++) {
        http_reply reply = {0};
        assert_true(raw_say(fd, head) && raw_say(fd, body));
        assert_true(raw_reply(fd, true, &reply));
        if (reply.status != 200)
            fail_msg("request %d is answered %d", i, reply.status);
        http_reply_done(&reply);
    }
    raw_close(&fd);
    free(body);
    assert_int_equal(service_stop(s), 0);
}

/* ---- addresses in the log -------------------------------------------------------------------------------------- */

/* lines: headers of one request; ip: what the log must hold of it. */
static void the_log_names_the_client_and_not_the_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *hops, *lines, *ip;
    } rows[] = {
        {"0", "X-Forwarded-For: 203.0.113.9\r\n", "127.0.0.1"},
        {"1", "", "127.0.0.1"},
        {"1", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"1", "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n", "203.0.113.9"},
        {"2", "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 198.51.100.7\r\n", "203.0.113.9"},
        {"1", "x-forwarded-for: 2001:db8::7\r\n", "2001:db8::7"},
        /* a proxy that adds a line of its own, behind the client's */
        {"1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"},
        {"2", "X-Forwarded-For: 6.6.6.6\r\nAccept: a/b\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n",
         "203.0.113.9"},
        {"1", "X-Forwarded-For: <script>\r\n", "127.0.0.1"},
        {"1", "X-Forwarded-For:\r\n", "127.0.0.1"},
    };
    static const char *const paths[] = {"/health/live", "/nothing/here"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char setting[64], request[512], wanted[128];
        snprintf(setting, sizeof setting, "VOXLOCK_FORWARDED_HOPS=%s", rows[i].hops);
        const char *const settings[] = {setting, NULL};
        service *s = service_start(settings);
        for (int k = 0; k < 2; k++) {
            http_reply reply = {0};
            int fd = raw_open(s->port);
            snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: t\r\nX-Request-Id: row-%d\r\n%s\r\n", paths[k],
                     k, rows[i].lines);
            assert_true(raw_say(fd, request));
            assert_true(raw_reply(fd, true, &reply));
            http_reply_done(&reply);
            raw_close(&fd);
        }
        assert_int_equal(service_stop(s), 0);
        char *log = service_log(s);
        snprintf(wanted, sizeof wanted, "\"remoteIp\":\"%s\"", rows[i].ip);
        if (count(log, wanted) != 2)
            fail_msg("row %zu: no two lines with %s: %s", i, wanted, log);
        free(log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_of_a_file_have_names, service_reap),
        cmocka_unit_test_teardown(who_has_no_key_costs_nothing, service_reap),
        cmocka_unit_test_teardown(a_file_that_others_may_read_is_refused, service_reap),
        cmocka_unit_test_teardown(a_key_can_be_made_by_the_program_itself, service_reap),
        cmocka_unit_test_teardown(every_key_has_its_own_limit, service_reap),
        cmocka_unit_test_teardown(every_address_has_its_own_limit, service_reap),
        cmocka_unit_test_teardown(a_client_that_waits_for_its_answers_meets_no_limit, service_reap),
        cmocka_unit_test_teardown(the_log_names_the_client_and_not_the_proxy, service_reap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
