/* test_routes.c - the table of paths, its agreement with cloud/openapi.json, and request ids. */
#include "cloud/routes.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static void paths_are_compared_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *path, *method;
        bool found;
        const char *allow;
    } rows[] = {
        {"/health", "GET", true, ""},
        {"/health", "HEAD", true, ""},
        {"/health", "POST", false, "GET, HEAD"},
        {"/health", "get", false, "GET, HEAD"},
        {"/health", "", false, "GET, HEAD"},
        {"/health/", "GET", false, ""},
        {"/Health", "GET", false, ""},
        {"/healt", "GET", false, ""},
        {"/healthz", "GET", false, ""},
        {"", "GET", false, ""},
        {"/", "GET", false, ""},
        {"//health", "GET", false, ""},
        {"/api/ml/speaker_embedding", "POST", true, ""},
        {"/api/ml/speaker_embedding", "GET", false, "POST"},
        {"/api/ml/speaker_embedding", "HEAD", false, "POST"},
        {"/api/ml/speaker_embedding", "OPTIONS", false, "POST"},
        {"/api/ml/prewarm", "GET", true, ""},
        {"/api/ml/prewarm", "POST", true, ""},
        {"/api/ml/prewarm", "HEAD", true, ""},
        {"/api/ml/prewarm", "PUT", false, "GET, HEAD, POST"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char allow[VX_ALLOW_CAP] = "untouched";
        const vx_route *route = vx_routes_find(rows[i].path, rows[i].method, allow);
        if ((route != NULL) != rows[i].found)
            fail_msg("%s %s: found %d", rows[i].method, rows[i].path, route != NULL);
        if (!route)
            assert_string_equal(allow, rows[i].allow);
    }
}

static bool is_among(const char *path, const char *const *paths)
{
    while (*paths && strcmp(path, *paths) != 0)
        paths++;
    return *paths != NULL;
}

/* What may compute or wait runs on workers; what tells how the service is must not wait for them. */
static void only_answers_at_hand_are_given_by_the_io_thread(void **state)
{
    (void)state;
    static const char *const at_hand[] = {"/health",  "/health/live",         "/api/ml/health", "/status",
                                          "/metrics", "/startup-diagnostics", "/openapi.json",  NULL};
    for (size_t i = 0; vx_routes_at(i); i++) {
        const vx_route *route = vx_routes_at(i);
        assert_int_equal(route->on_worker, !is_among(route->path, at_hand));
        assert_true(route->on_worker || route->accepts == 0); /* a body in gzip is unpacked on a worker */
        assert_non_null(route->handler);
    }
}

/* An orchestrator's probes have no key. Everything else tells of the model, the load or the settings, or costs time. */
static void only_probes_are_open(void **state)
{
    (void)state;
    static const char *const open[] = {"/health", "/health/live", "/api/ml/health", NULL};
    size_t n_open = 0;
    for (size_t i = 0; vx_routes_at(i); i++) {
        assert_int_equal(vx_routes_at(i)->open, is_among(vx_routes_at(i)->path, open));
        n_open += vx_routes_at(i)->open;
    }
    assert_int_equal(n_open, 3);
}

static bool is_documented(const json_t *document, const vx_route *route)
{
    char method[8] = "";
    for (size_t i = 0; route->method[i] && i + 1 < sizeof method; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    return json_object_get(json_object_get(json_object_get(document, "paths"), route->path), method) != NULL;
}

static void the_document_lists_what_there_is(void **state)
{
    (void)state;
    json_t *document = json_load_file("cloud/openapi.json", JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    size_t n_routes = 0, n_operations = 0;
    for (; vx_routes_at(n_routes); n_routes++) {
        if (!is_documented(document, vx_routes_at(n_routes)))
            fail_msg("%s %s is not in cloud/openapi.json", vx_routes_at(n_routes)->method,
                     vx_routes_at(n_routes)->path);
    }
    const char *path;
    json_t *operations;
    json_object_foreach(json_object_get(document, "paths"), path, operations) n_operations +=
        json_object_size(operations);
    assert_int_equal(n_operations, n_routes);
    const json_t *version = json_object_get(json_object_get(document, "info"), "version");
    assert_string_equal(json_string_value(version), VX_VERSION);
    json_decref(document);
}

/* A handler is not run for a request that nobody waits for any more. */
static void a_deadline_that_has_passed_is_told(void **state)
{
    (void)state;
    char allow[VX_ALLOW_CAP];
    const vx_route *route = vx_routes_find("/health/live", "GET", allow);
    static const int statuses[] = {504, 200};
    for (int in_time = 0; in_time < 2; in_time++) {
        const vx_request request = {.id = "x", .deadline_ns = in_time ? UINT64_MAX : 1};
        vx_reply reply = {0};
        vx_route_run(NULL, route, &request, &reply); /* this one asks nothing of the service */
        assert_int_equal(reply.status, statuses[in_time]);
        vx_reply_done(&reply);
    }
}

static void request_ids_are_taken_or_made(void **state)
{
    (void)state;
    static const struct {
        const char *sent;
        bool taken;
    } rows[] = {
        {"abc.DEF-1_2", true},
        {"0123456789012345678901234567890123456789012345678901234567890123", true},
        {"01234567890123456789012345678901234567890123456789012345678901234", false},
        {"", false},
        {"a b", false},
        {"a\r\nX: y", false},
        {"\xc3\xa4", false},
        {NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char id[VX_REQUEST_ID_CAP], made[VX_REQUEST_ID_CAP];
        vx_request_id_make(made);
        assert_int_equal(strlen(made), 32);
        memcpy(id, made, sizeof id);
        vx_request_id_take(rows[i].sent, id);
        assert_string_equal(id, rows[i].taken ? rows[i].sent : made);
    }
    char one[VX_REQUEST_ID_CAP], other[VX_REQUEST_ID_CAP];
    vx_request_id_make(one);
    vx_request_id_make(other);
    assert_string_not_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_compared_exactly),
        cmocka_unit_test(only_answers_at_hand_are_given_by_the_io_thread),
        cmocka_unit_test(only_probes_are_open),
        cmocka_unit_test(the_document_lists_what_there_is),
        cmocka_unit_test(a_deadline_that_has_passed_is_told),
        cmocka_unit_test(request_ids_are_taken_or_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
