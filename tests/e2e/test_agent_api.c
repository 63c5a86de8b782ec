/* test_agent_api.c - the agent's HTTP API over real connections: who is let through, what the paths answer, what hostile
 * requests get; and that a program which does not serve maps no HTTP server.
 */
#include "edge/agent/api.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/agent_double.h"
#include "tests/support/http.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNLOCK       "/api/voice/unlock"
#define HEALTH       "/api/voice-unlock/health"
#define DIAGNOSTICS  "/api/voice-unlock/diagnostics"

typedef struct {
    scratch place;
    agent_double agent;
    vx_agent_calls calls;
    vx_api *api;
    int port;
    char token[VX_API_TOKEN_CHARS + 1];
    char bearer[128]; /* the whole header */
} fixture;

static void begin(fixture *f, agent_script script, const char *origins)
{
    const vx_api_options options = {.origins = origins};
    vx_errinfo info = {0};
    *f = (fixture){.place = scratch_make(), .agent.script = script};
    f->calls = agent_double_calls(&f->agent);
    if (vx_api_create(f->place.path, &f->calls, &options, &f->api, &f->port, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_int_equal(vx_api_token(f->place.path, f->token, NULL), VX_OK);
    snprintf(f->bearer, sizeof f->bearer, "Authorization: Bearer %s", f->token);
}

static void end(fixture *f)
{
    vx_api_destroy(f->api);
    scratch_done(&f->place);
}

static void wait_for(atomic_int *count, int least)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 500 && atomic_load(count) < least; i++)
        (void)nanosleep(&pause, NULL);
    assert_true(atomic_load(count) >= least);
}

/* One request with the token; body may be NULL. */
static http_reply call(const fixture *f, const char *method, const char *path, const char *body)
{
    const char *const headers[] = {f->bearer, "Content-Type: application/json", NULL};
    return http_call(
        f->port, (http_request){
                     .method = method, .path = path, .headers = headers, .body = body, .len = body ? strlen(body) : 0});
}

/* Status and code of a problem; frees the reply. */
static void assert_problem(http_reply *r, int status, const char *code)
{
    assert_int_equal(r->status, status);
    assert_true(http_header_is(r, "Content-Type", "application/problem+json"));
    json_t *root = http_json(r);
    assert_string_equal(json_string_value(json_object_get(root, "code")), code);
    assert_int_equal(json_integer_value(json_object_get(root, "status")), status);
    assert_true(json_string_length(json_object_get(root, "detail")) > 0);
    json_decref(root);
    http_reply_done(r);
}

static const char *text_of(const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    return text ? text : "(none)";
}

/* ---- what is mapped --------------------------------------------------------------------------------------------- */

static bool is_mapped(const char *name)
{
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps))
        found = strstr(line, name) != NULL;
    if (maps)
        (void)fclose(maps);
    return found;
}

/* The first test: a plugin, once loaded, stays. */
static void a_server_is_mapped_only_to_serve(void **state)
{
    (void)state;
    fixture f;
    if (access("/proc/self/maps", R_OK) != 0) {
        skip();
        return;
    }
    assert_false(is_mapped("libmicrohttpd"));
    assert_false(is_mapped("vx_loopback_http"));
    begin(&f, (agent_script){0}, NULL);
    assert_true(is_mapped("libmicrohttpd"));
    end(&f);
}

/* ---- answers ---------------------------------------------------------------------------------------------------- */

static void an_unlock_is_answered_with_verdict_and_words(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.says = {"Say: 4 7 1"}, .verdict = "AUTHENTICATE", .may_unlock = true}, NULL);
    static const char *const bodies[] = {NULL, "", "{}", "{\"timeout_ms\": 5000}"};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        http_reply r = call(&f, "POST", UNLOCK, bodies[i]);
        assert_int_equal(r.status, 200);
        assert_true(http_header_is(&r, "Content-Type", "application/json"));
        assert_true(http_header_is(&r, "Cache-Control", "no-store"));
        json_t *root = http_json(&r);
        assert_string_equal(text_of(root, "verdict"), "AUTHENTICATE");
        assert_string_equal(json_string_value(json_array_get(json_object_get(root, "said"), 0)), "Say: 4 7 1");
        json_decref(root);
        http_reply_done(&r);
    }
    assert_int_equal(atomic_load(&f.agent.n_unlocks), COUNT(bodies));
    assert_int_equal(atomic_load(&f.agent.n_for_pam), 0);
    end(&f);
}

static void health_and_diagnostics_are_the_agents(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){0}, NULL);
    http_reply r = call(&f, "GET", HEALTH, NULL);
    assert_int_equal(r.status, 200);
    json_t *root = http_json(&r);
    assert_string_equal(text_of(root, "state"), "idle");
    json_decref(root);
    http_reply_done(&r);
    r = call(&f, "GET", DIAGNOSTICS, NULL);
    assert_int_equal(r.status, 200);
    root = http_json(&r);
    assert_string_equal(text_of(root, "status"), "healthy");
    assert_true(json_is_array(json_object_get(root, "recommended_actions")));
    json_decref(root);
    http_reply_done(&r);
    end(&f);
}

static void want_of_memory_is_our_failure(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.no_memory = true}, NULL);
    http_reply r = call(&f, "POST", UNLOCK, NULL);
    assert_problem(&r, 500, "out_of_memory");
    r = call(&f, "GET", HEALTH, NULL);
    assert_problem(&r, 500, "out_of_memory");
    end(&f);
}

/* ---- who is let through ----------------------------------------------------------------------------------------- */

static const struct {
    const char *host; /* %d: the port; NULL: libcurl's own */
    bool good;
} hosts[] = {
    {NULL, true},
    {"Host: localhost:%d", true},
    {"Host: LOCALHOST:%d", true},
    {"Host: [::1]:%d", true},
    {"Host: 127.0.0.1", false}, /* that is port 80 */
    {"Host: 127.0.0.1:1%d", false},
    {"Host: evil.example:%d", false},
    {"Host: 127.0.0.1.evil.example:%d", false},
    {"Host: localhost.:%d", false},
    {"Host: 127.1:%d", false},
    {"Host: 0.0.0.0:%d", false},
};

/* A name server that says 127.0.0.1 for its own name brings a page here; the page sends its own name. */
static void names_of_others_are_refused(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){0}, NULL);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        char host[96] = "X-None: 1";
        const char *const headers[] = {f.bearer, host, NULL};
        if (hosts[i].host) {
            const char *mark = strstr(hosts[i].host, "%d");
            const int before = mark ? (int)(mark - hosts[i].host) : (int)strlen(hosts[i].host);
            if (mark)
                snprintf(host, sizeof host, "%.*s%d", before, hosts[i].host, f.port);
            else
                snprintf(host, sizeof host, "%s", hosts[i].host);
        }
        http_reply r = http_call(f.port, (http_request){.path = HEALTH, .headers = headers});
        if ((r.status == 200) != hosts[i].good)
            fail_msg("%s: %d", host, r.status);
        if (hosts[i].good)
            http_reply_done(&r);
        else
            assert_problem(&r, 421, "bad_host");
    }
    end(&f);
}

static void pages_are_refused_unless_named(void **state)
{
    (void)state;
    static const struct {
        const char *configured, *origin;
        bool good;
    } cases[] = {
        {NULL, "https://evil.example", false},
        {NULL, "null", false},
        {NULL, "http://localhost:3000", false},
        {"https://desk.example, http://localhost:3000", "https://desk.example", true},
        {"https://desk.example, http://localhost:3000", "http://localhost:3000", true},
        {"https://desk.example", "https://desk.example.evil", false},
        {"https://desk.example", "https://desk.exampl", false},
        {"https://desk.example", "http://desk.example", false},
        {"https://desk.example", "null", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        fixture f;
        char origin[96];
        begin(&f, (agent_script){0}, cases[i].configured);
        snprintf(origin, sizeof origin, "Origin: %s", cases[i].origin);
        const char *const headers[] = {f.bearer, origin, NULL};
        http_reply r = http_call(f.port, (http_request){.path = HEALTH, .headers = headers});
        assert_false(http_header_is(&r, "Access-Control-Allow-Origin", ""));
        if (cases[i].good) {
            assert_int_equal(r.status, 200);
            http_reply_done(&r);
        } else
            assert_problem(&r, 403, "origin_refused");
        end(&f);
    }
}

static void without_the_token_nothing_is_told(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.verdict = "AUTHENTICATE", .may_unlock = true}, NULL);
    char wrong[128], longer[140], shorter[128], basic[128], lower[128];
    snprintf(wrong, sizeof wrong, "%s", f.bearer);
    wrong[strlen(wrong) - 1] = wrong[strlen(wrong) - 1] == '0' ? '1' : '0';
    snprintf(longer, sizeof longer, "%s0", f.bearer);
    snprintf(shorter, sizeof shorter, "%.*s", (int)strlen(f.bearer) - 1, f.bearer);
    snprintf(basic, sizeof basic, "Authorization: Basic %s", f.token);
    snprintf(lower, sizeof lower, "authorization: bearer %s", f.token);
    const struct {
        const char *header, *code;
    } cases[] = {{"X-None: 1", "unauthorized"},
                 {basic, "unauthorized"},
                 {"Authorization: Bearer", "unauthorized"},
                 {"Authorization: Bearer x", "invalid_token"},
                 {wrong, "invalid_token"},
                 {longer, "invalid_token"},
                 {shorter, "invalid_token"}};
    static const char *const paths[] = {UNLOCK, HEALTH, "/no/such/path"};
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t k = 0; k < COUNT(paths); k++) {
            const char *const headers[] = {cases[i].header, NULL};
            http_reply r = http_call(f.port, (http_request){.path = paths[k], .headers = headers});
            assert_true(http_header_is(&r, "WWW-Authenticate", "Bearer"));
            assert_problem(&r, 401, cases[i].code);
        }
    assert_int_equal(atomic_load(&f.agent.n_unlocks) + atomic_load(&f.agent.n_status), 0);
    const char *const headers[] = {lower, NULL};
    http_reply r = http_call(f.port, (http_request){.path = HEALTH, .headers = headers});
    assert_int_equal(r.status, 200);
    http_reply_done(&r);
    end(&f);
}

/* ---- requests that are none ------------------------------------------------------------------------------------- */

static void wrong_requests_get_their_problem(void **state)
{
    (void)state;
    fixture f;
    char *big = malloc(VX_API_BODY_CAP + 2);
    begin(&f, (agent_script){0}, NULL);
    memset(big, ' ', VX_API_BODY_CAP + 1);
    big[VX_API_BODY_CAP + 1] = '\0';
    const struct {
        const char *method, *path, *body, *code;
        int status;
    } cases[] = {
        {"GET", "/", NULL, "unknown_path", 404},
        {"GET", "/api/voice-unlock/health/", NULL, "unknown_path", 404},
        {"POST", "/api/voice/Unlock", NULL, "unknown_path", 404},
        {"GET", UNLOCK, NULL, "method_not_allowed", 405},
        {"DELETE", HEALTH, NULL, "method_not_allowed", 405},
        {"OPTIONS", UNLOCK, NULL, "method_not_allowed", 405},
        {"POST", UNLOCK, "{", "bad_json", 400},
        {"POST", UNLOCK, "[]", "bad_field", 422},
        {"POST", UNLOCK, "{\"timeout_ms\":1}", "bad_field", 422},
        {"POST", UNLOCK, "{\"timeout_ms\":\"9\"}", "bad_field", 422},
        {"POST", UNLOCK, "[[[[[[1]]]]]]", "json_too_complex", 400},
        {"POST", UNLOCK, big, "body_too_large", 413},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        http_reply r = call(&f, cases[i].method, cases[i].path, cases[i].body);
        if (cases[i].status == 405)
            assert_true(http_header_is(&r, "Allow", strcmp(cases[i].path, UNLOCK) == 0 ? "POST" : "GET"));
        assert_problem(&r, cases[i].status, cases[i].code);
    }
    /* What a page may send without being asked is no JSON by its type. */
    static const char *const types[] = {"Content-Type: text/plain", "Content-Type: application/x-www-form-urlencoded",
                                        "Content-Type: application/jsonx", "Content-Type:"};
    for (size_t i = 0; i < COUNT(types); i++) {
        const char *const headers[] = {f.bearer, types[i], NULL};
        http_reply r = http_call(f.port, (http_request){.path = UNLOCK, .headers = headers, .body = "{}", .len = 2});
        assert_problem(&r, 415, "unsupported_content_type");
    }
    assert_int_equal(atomic_load(&f.agent.n_unlocks), 0);
    free(big);
    end(&f);
}

/* ---- those who wait --------------------------------------------------------------------------------------------- */

/* A request for an unlock, and nothing read. */
static int ask_and_wait(const fixture *f)
{
    char text[512];
    const int n =
        snprintf(text, sizeof text, "POST " UNLOCK " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\nContent-Length: 0\r\n\r\n",
                 f->port, f->bearer);
    const int fd = raw_open(f->port);
    assert_true(raw_send(fd, text, (size_t)n));
    return fd;
}

static void a_client_that_goes_ends_the_work(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.waits = true}, NULL);
    int fd = ask_and_wait(&f);
    wait_for(&f.agent.n_waiting, 1);
    raw_close(&fd);
    wait_for(&f.agent.n_gone, 1);
    end(&f);
}

static void the_deadline_ends_the_work(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.waits = true}, NULL);
    http_reply r = call(&f, "POST", UNLOCK, "{\"timeout_ms\":150}");
    assert_int_equal(r.status, 200);
    assert_int_equal(atomic_load(&f.agent.n_gone), 1);
    http_reply_done(&r);
    end(&f);
}

static void the_end_of_the_agent_ends_the_work(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){.waits = true}, NULL);
    int fd = ask_and_wait(&f);
    wait_for(&f.agent.n_waiting, 1);
    const uint64_t start = vx_now_ns();
    end(&f);
    assert_true(vx_ms_since(start) < 5000);
    assert_int_equal(atomic_load(&f.agent.n_gone), 1);
    raw_close(&fd);
}

/* ---- addresses, port, token's file ------------------------------------------------------------------------------ */

static int try_connect(int family, const char *address, int port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at = {0};
    const bool v6 = family == AF_INET6;
    at.any.sa_family = (sa_family_t)family;
    if (v6)
        at.v6.sin6_port = htons((uint16_t)port);
    else
        at.v4.sin_port = htons((uint16_t)port);
    assert_int_equal(inet_pton(family, address, v6 ? (void *)&at.v6.sin6_addr : (void *)&at.v4.sin_addr), 1);
    const int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    const int result = connect(fd, &at.any, v6 ? sizeof at.v6 : sizeof at.v4);
    close(fd);
    return result;
}

static void only_this_computer_can_connect(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){0}, NULL);
    assert_int_equal(try_connect(AF_INET, "127.0.0.1", f.port), 0);
    /* Another address of this very computer: 127.0.0.2 on Linux. */
    assert_int_not_equal(try_connect(AF_INET, "127.0.0.2", f.port), 0);
    /* A machine without IPv6 has no ::1; where a socket can be bound there, ours is. */
    const int probe = socket(AF_INET6, SOCK_STREAM, 0);
    const struct sockaddr_in6 any_port = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe >= 0 && bind(probe, (const struct sockaddr *)&any_port, sizeof any_port) == 0)
        assert_int_equal(try_connect(AF_INET6, "::1", f.port), 0);
    if (probe >= 0)
        close(probe);
    end(&f);
}

static void a_port_in_use_is_an_error(void **state)
{
    (void)state;
    fixture f;
    vx_api *second = NULL;
    vx_errinfo info = {0};
    int port = -1;
    begin(&f, (agent_script){0}, NULL);
    const vx_api_options options = {.port = f.port};
    assert_int_equal(vx_api_create(f.place.path, &f.calls, &options, &second, &port, &info), VX_ERR_IO);
    assert_null(second);
    assert_int_equal(port, -1);
    assert_non_null(strstr(info.text, "127.0.0.1"));
    end(&f);
}

static void the_token_is_the_users_alone_and_stays(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char first[VX_API_TOKEN_CHARS + 1], again[VX_API_TOKEN_CHARS + 1] = "untouched", path[128];
    scratch_path(&s, VX_API_TOKEN_FILE, path, sizeof path);
    assert_int_equal(vx_api_token(s.path, first, NULL), VX_OK);
    assert_int_equal(strspn(first, "0123456789abcdef"), VX_API_TOKEN_CHARS);
    assert_int_equal(scratch_mode(&s, VX_API_TOKEN_FILE) & 0777, 0600);
    assert_false(scratch_has(&s, VX_API_TOKEN_FILE ".new"));
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_OK);
    assert_string_equal(first, again);
    assert_int_equal(chmod(path, 0644), 0);
    memcpy(again, "untouched", 10);
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_ERR_PERMISSION);
    assert_string_equal(again, "untouched");
    assert_int_equal(chmod(path, 0600), 0);
    scratch_write(&s, VX_API_TOKEN_FILE, first, VX_API_TOKEN_CHARS - 1);
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_ERR_RANGE);
    scratch_write(&s, VX_API_TOKEN_FILE, "", 0);
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_ERR_RANGE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_OK);
    assert_string_not_equal(first, again);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(vx_api_token(s.path, again, NULL), VX_ERR_PERMISSION);
    scratch_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_mapped_only_to_serve),
        cmocka_unit_test(an_unlock_is_answered_with_verdict_and_words),
        cmocka_unit_test(health_and_diagnostics_are_the_agents),
        cmocka_unit_test(want_of_memory_is_our_failure),
        cmocka_unit_test(names_of_others_are_refused),
        cmocka_unit_test(pages_are_refused_unless_named),
        cmocka_unit_test(without_the_token_nothing_is_told),
        cmocka_unit_test(wrong_requests_get_their_problem),
        cmocka_unit_test(a_client_that_goes_ends_the_work),
        cmocka_unit_test(the_deadline_ends_the_work),
        cmocka_unit_test(the_end_of_the_agent_ends_the_work),
        cmocka_unit_test(only_this_computer_can_connect),
        cmocka_unit_test(a_port_in_use_is_an_error),
        cmocka_unit_test(the_token_is_the_users_alone_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
