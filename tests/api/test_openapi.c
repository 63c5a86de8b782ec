/* test_openapi.c - the served document and the service say the same: every path, method, example and status of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "shared/base/gzip.h"
#include "shared/base/sha256.h"
#include "tests/support/http.h"
#include "tests/support/openapi.h"
#include "tests/support/schema.h"
#include "tests/support/service.h"

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"};
enum { N_METHODS = sizeof methods / sizeof *methods };

typedef struct {
    service *s;
    json_t *document;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    *state = &f; /* the teardown also follows a set-up that failed */
    f.s = service_start_ready(NULL);
    f.document = openapi_load();
    return 0;
}

static int tear_down(void **state)
{
    json_decref(((fixture *)*state)->document);
    return service_reap(state);
}

static void the_document_is_served_as_it_is(void **state)
{
    const fixture *f = *state;
    http_reply reply = http_get(f->s->port, "/openapi.json");
    assert_int_equal(reply.status, 200);
    assert_true(http_header_is(&reply, "Content-Type", "application/json"));
    json_t *served = http_json(&reply);
    assert_true(json_equal(served, f->document));
    assert_string_equal(json_string_value(json_object_get(served, "openapi")), "3.1.0");
    const json_t *info = json_object_get(served, "info");
    assert_string_equal(json_string_value(json_object_get(info, "version")), VX_VERSION);
    json_decref(served);
    http_reply_done(&reply);
}

static void check_no_body_answer(const fixture *f, const char *path, const char *method)
{
    char type[128], head_type[128], length[32], head_length[32];
    http_reply reply = http_get(f->s->port, path);
    assert_int_equal(reply.status, 200);
    openapi_check(f->document, path, method, &reply);
    http_reply head = http_call(f->s->port, (http_request){.method = "HEAD", .path = path});
    assert_int_equal(head.status, 200);
    openapi_check(f->document, path, "HEAD", &head);
    assert_int_equal(head.body.len, 0);
    assert_true(http_header(&reply, "Content-Type", type, sizeof type));
    assert_true(http_header(&head, "Content-Type", head_type, sizeof head_type));
    assert_string_equal(type, head_type);
    /* Not the same number: answers hold times. */
    assert_true(http_header(&reply, "Content-Length", length, sizeof length));
    assert_true(http_header(&head, "Content-Length", head_length, sizeof head_length));
    assert_true(atol(length) > 0 && atol(head_length) > 0);
    http_reply_done(&head);
    http_reply_done(&reply);
}

typedef void operation_fn(const fixture *f, const char *path, const char *method, const json_t *operation);

static size_t each_operation(const fixture *f, operation_fn *check)
{
    const char *path, *key;
    json_t *item, *operation;
    size_t n = 0;
    json_object_foreach(json_object_get(f->document, "paths"), path, item)
    {
        json_object_foreach(item, key, operation)
        {
            const bool get = strcmp(key, "get") == 0;
            if (!get)
                assert_string_equal(key, "post");
            check(f, path, get ? "GET" : "POST", operation);
            n++;
        }
    }
    return n;
}

static const json_t *json_body_of(const json_t *operation)
{
    return json_object_get(json_object_get(json_object_get(operation, "requestBody"), "content"), "application/json");
}

/* The same request in gzip, and its answer out of gzip. */
static http_reply post_packed(const fixture *f, const char *path, const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", "Content-Encoding: gzip",
                                          "Accept-Encoding: gzip", "Expect:", NULL};
    vx_buf packed = {0}, plain = {0};
    assert_int_equal(vx_gzip_deflate(body, strlen(body), 1, &packed), VX_OK);
    http_reply reply =
        http_call(f->s->port, (http_request){.path = path, .headers = headers, .body = packed.data, .len = packed.len});
    vx_buf_done(&packed);
    if (http_header_is(&reply, "Content-Encoding", "gzip")) {
        assert_int_equal(vx_gzip_inflate(reply.body.data, reply.body.len, 1 << 24, &plain, NULL), VX_OK);
        vx_buf_done(&reply.body);
        reply.body = plain;
    }
    return reply;
}

/* Sent as it stands. An example that shows a failure says so by x-status. */
static void post_example(const fixture *f, const char *path, const json_t *schema, const char *name,
                         const json_t *example)
{
    char why[512];
    const json_t *value = json_object_get(example, "value"), *status = json_object_get(example, "x-status");
    const int expected = status ? (int)json_integer_value(status) : 200;
    if (expected != 422 && !schema_holds(f->document, schema, value, why, sizeof why))
        fail_msg("%s: the example '%s' is not as its schema says: %s", path, name, why);
    char *body = json_dumps(value, 0);
    for (int packed = 0; packed < 2; packed++) {
        http_reply reply = packed ? post_packed(f, path, body) : http_post(f->s->port, path, body);
        if (reply.status != expected)
            fail_msg("%s: the example '%s' is answered %d", path, name, reply.status);
        openapi_check(f->document, path, "POST", &reply);
        http_reply_done(&reply);
    }
    free(body);
}

static void check_answers(const fixture *f, const char *path, const char *method, const json_t *operation)
{
    const char *name;
    json_t *example;
    size_t n = 0;
    if (strcmp(method, "GET") == 0) {
        check_no_body_answer(f, path, "GET");
        return;
    }
    const json_t *body = json_body_of(operation);
    http_reply reply = http_post(f->s->port, path, "{}");
    openapi_check(f->document, path, "POST", &reply);
    /* Where a body is required, an object with nothing in it is not enough. */
    assert_int_equal(reply.status, body ? 422 : 200);
    http_reply_done(&reply);
    json_object_foreach(json_object_get(body, "examples"), name, example)
    {
        post_example(f, path, json_object_get(body, "schema"), name, example);
        n++;
    }
    assert_true(!body || n > 0);
}

/* Each operation answers as documented: without a body at all, and to each of its examples. */
static void every_operation_answers_as_documented(void **state)
{
    assert_in_range(each_operation(*state, check_answers), 14, 64);
}

/* ---- failures of every operation -------------------------------------------------------------------------------- */

static void check_raw(const fixture *f, const char *path, const char *method, const char *headers, int status,
                      const char *code)
{
    char message[512];
    http_reply reply = {0};
    snprintf(message, sizeof message, "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method, path, headers);
    int fd = raw_open(f->s->port);
    assert_true(raw_say(fd, message) && raw_reply(fd, true, &reply));
    raw_close(&fd);
    json_t *problem = http_json(&reply);
    if (reply.status != status || strcmp(json_string_value(json_object_get(problem, "code")), code) != 0)
        fail_msg("%s %s is answered %d", method, path, reply.status);
    json_decref(problem);
    openapi_check(f->document, path, method, &reply);
    http_reply_done(&reply);
}

static void check_bad_messages(const fixture *f, const char *path, const char *method, const json_t *operation)
{
    (void)operation;
    check_raw(f, path, method, "Content-Length: 0\r\nContent-Length: 2\r\n", 400, "bad_framing");
    check_raw(f, path, method, "Content-Length: 99999999999\r\n", 413, "body_too_large");
}

static void bad_messages_are_answered_as_documented(void **state)
{
    each_operation(*state, check_bad_messages);
}

static void check_without_model(const fixture *f, const char *path, const char *method, const json_t *operation)
{
    const char *name;
    json_t *example;
    if (strcmp(method, "GET") == 0) {
        http_reply reply = http_get(f->s->port, path);
        openapi_check(f->document, path, "GET", &reply);
        http_reply_done(&reply);
        return;
    }
    json_object_foreach(json_object_get(json_body_of(operation), "examples"), name, example)
    {
        if (json_object_get(example, "x-status"))
            continue;
        char *body = json_dumps(json_object_get(example, "value"), 0);
        http_reply reply = http_post(f->s->port, path, body);
        openapi_expect_problem(f->document, path, &reply, 503, "not_ready");
        free(body);
    }
}

static void a_service_without_a_model_answers_as_documented(void **state)
{
    static const char *const settings[] = {"ECAPA_CACHE_DIR=/nonexistent", "VOXLOCK_LOAD_ATTEMPTS=1", NULL};
    fixture f = *(const fixture *)*state;
    f.s = service_start(settings);
    assert_true(service_says(f.s, "the model cannot be loaded"));
    each_operation(&f, check_without_model);
    assert_int_equal(service_stop(f.s), 0);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

#define TOKEN "3f7c1d9b2e8a4056917dc0e5b6a1f248"

/* Open: the operation's own list of what it asks for is there and empty. */
static void check_key(const fixture *f, const char *path, const char *method, const json_t *operation)
{
    static const char *const headers[] = {"Authorization: Bearer " TOKEN, NULL};
    const json_t *security = json_object_get(operation, "security");
    const bool open = security && json_array_size(security) == 0;
    http_reply reply = http_call(f->s->port, (http_request){.path = path, .method = method});
    if (reply.status != (open ? 200 : 401))
        fail_msg("%s %s is answered %d without a key", method, path, reply.status);
    openapi_check(f->document, path, method, &reply);
    http_reply_done(&reply);
    reply = http_call(f->s->port, (http_request){.path = path, .method = method, .headers = headers});
    if (reply.status == 401)
        fail_msg("%s %s is refused with a key", method, path);
    http_reply_done(&reply);
}

static void keys_are_asked_for_where_the_document_says(void **state)
{
    uint8_t digest[VX_SHA256_BYTES];
    char hex[VX_SHA256_HEX], keys[128];
    assert_int_equal(vx_sha256_of(TOKEN, strlen(TOKEN), digest), VX_OK);
    vx_hex(digest, sizeof digest, hex);
    snprintf(keys, sizeof keys, "VOXLOCK_API_KEYS=test:%s", hex);
    fixture f = *(const fixture *)*state;
    f.s = service_start_ready((const char *const[]){keys, NULL});
    each_operation(&f, check_key);
    assert_int_equal(service_stop(f.s), 0);
}

/* ---- methods and paths ------------------------------------------------------------------------------------------ */

/* The two must agree on a method: documented and answered, or neither. */
static void check_method(const fixture *f, const char *path, const char *method)
{
    char allow[256], *rest = allow, *allowed;
    http_reply reply = http_call(f->s->port, (http_request){.method = method, .path = path});
    if (openapi_operation(f->document, path, method)) {
        if (reply.status == 404 || reply.status == 405)
            fail_msg("%s %s is documented and answered %d", method, path, reply.status);
    } else {
        if (reply.status != 405)
            fail_msg("%s %s is not documented and answered %d", method, path, reply.status);
        if (!http_header(&reply, "Allow", allow, sizeof allow))
            fail_msg("%s %s: 405 without Allow", method, path);
        size_t n = 0;
        while ((allowed = strsep(&rest, ","))) {
            allowed += strspn(allowed, " ");
            n++;
            if (!openapi_operation(f->document, path, allowed))
                fail_msg("%s %s: Allow names %s, which is not documented", method, path, allowed);
        }
        const size_t documented = (openapi_operation(f->document, path, "GET") ? 2u : 0u) +
                                  (openapi_operation(f->document, path, "POST") ? 1u : 0u);
        assert_int_equal(n, documented);
        assert_true(http_header_is(&reply, "Content-Type", "application/problem+json"));
        json_t *problem = http_json(&reply);
        assert_string_equal(json_string_value(json_object_get(problem, "code")), "method_not_allowed");
        json_decref(problem);
    }
    http_reply_done(&reply);
}

static void other_methods_are_refused_with_allow(void **state)
{
    const fixture *f = *state;
    const char *path;
    json_t *item;
    json_object_foreach(json_object_get(f->document, "paths"), path, item)
    {
        for (size_t i = 0; i < N_METHODS; i++) {
            /* A HEAD that is refused says so without a body; checked on its own below. */
            if (strcmp(methods[i], "HEAD") != 0)
                check_method(f, path, methods[i]);
        }
    }
    http_reply head = http_call(f->s->port, (http_request){.method = "HEAD", .path = "/api/ml/speaker_verify"});
    assert_int_equal(head.status, 405);
    assert_true(http_header_is(&head, "Allow", "POST"));
    assert_int_equal(head.body.len, 0);
    http_reply_done(&head);
}

static void paths_that_are_not_documented_are_404(void **state)
{
    static const char *const paths[] = {
        "/",
        "/healthz",
        "/livez",
        "/health/",
        "/Health",
        "//health",
        "/health/ready",
        "/health%2Flive",
        "/healt%68",
        "/./health",
        "/health/../status",
        "/api",
        "/api/ml",
        "/api/ml/",
        "/api/ml/speaker_embedding/",
        "/api/ml/speaker_embeddings",
        "/api/ml/prewarm/",
        "/startup-diagnostics/",
        "/docs",
        "/metrics/",
        "/openapi.yaml",
        "/favicon.ico",
        "/index.html",
        "/*",
        "/health;x=1",
        "/health%00",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
    };
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_null(json_object_get(json_object_get(f->document, "paths"), paths[i]));
        for (int post = 0; post < 2; post++) {
            http_reply reply =
                http_call(f->s->port, (http_request){.path = paths[i], .body = post ? "{}" : NULL, .len = 2});
            if (reply.status != 404 || !http_header_is(&reply, "Content-Type", "application/problem+json"))
                fail_msg("%s is answered %d", paths[i], reply.status);
            json_t *problem = http_json(&reply);
            assert_string_equal(json_string_value(json_object_get(problem, "code")), "unknown_path");
            json_decref(problem);
            http_reply_done(&reply);
        }
    }
}

static void a_query_does_not_change_the_path(void **state)
{
    const fixture *f = *state;
    static const char *const paths[] = {"/health?", "/health?x=1", "/health?x=/../../y", "/health?x=%00%ff"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        http_reply reply = http_get(f->s->port, paths[i]);
        if (reply.status != 200)
            fail_msg("%s is answered %d", paths[i], reply.status);
        http_reply_done(&reply);
    }
}

/* Examples of answers are as their schemas say, and under the status they state. */
static void examples_of_answers_hold(void **state)
{
    const fixture *f = *state;
    const char *name, *type, *title;
    json_t *response, *media, *example;
    char why[512];
    size_t n = 0;
    const json_t *components = json_object_get(f->document, "components");
    json_object_foreach(json_object_get(components, "responses"), name, response)
    {
        json_object_foreach(json_object_get(response, "content"), type, media)
        {
            json_object_foreach(json_object_get(media, "examples"), title, example)
            {
                if (!schema_holds(f->document, json_object_get(media, "schema"), json_object_get(example, "value"), why,
                                  sizeof why))
                    fail_msg("the example '%s' of %s: %s", title, name, why);
                n++;
            }
        }
    }
    assert_in_range(n, 1, 64);
}

/* Each $ref of the document leads somewhere: one that does not would be skipped above. */
static size_t count_references(const json_t *document, const json_t *node)
{
    size_t i, n = 0;
    const char *key;
    json_t *part;
    if (json_object_get(node, "$ref")) {
        if (!schema_follow(document, node))
            fail_msg("%s leads nowhere", json_string_value(json_object_get(node, "$ref")));
        n++;
    }
    json_object_foreach((json_t *)node, key, part) n += count_references(document, part);
    json_array_foreach((json_t *)node, i, part) n += count_references(document, part);
    return n;
}

static void references_lead_somewhere(void **state)
{
    const fixture *f = *state;
    assert_in_range(count_references(f->document, f->document), 20, 2000);
}

/* The judge itself must be able to say no. */
static void the_schema_check_can_fail(void **state)
{
    static const struct {
        const char *path, *value, *why;
    } cases[] = {
        {"Engine", "{\"strategy\": \"a\", \"gemm\": \"b\", \"isa\": \"c\"}", "lacks 'precision'"},
        {"Engine", "{\"strategy\": \"a\", \"gemm\": \"b\", \"isa\": \"c\", \"precision\": 1}", "another type"},
        {"Engine", "{\"strategy\": \"a\", \"gemm\": \"b\", \"isa\": \"c\", \"precision\": \"d\", \"e\": 1}",
         ".e: is not documented"},
        {"Vector", "[1, 2]", "too few"},
        {"Digest", "\"sha256:12\"", "pattern"},
        {"Milliseconds", "-0.1", "too small"},
        {"StartupState", "\"STARTED\"", "not in the list"},
        {"VerifyRequest", "{\"audio_data\": \"\"}", "exactly one"},
        {"AnyVector", "\"AAAA AAAA\"", "pattern"},
        {"Settings", "{\"PORT\": {\"value\": \"1\"}}", ".PORT: lacks 'origin'"},
    };
    const fixture *f = *state;
    char why[512];
    const json_t *schemas = json_object_get(json_object_get(f->document, "components"), "schemas");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        assert_non_null(json_object_get(schemas, cases[i].path));
        if (schema_holds(f->document, json_object_get(schemas, cases[i].path), value, why, sizeof why) ||
            !strstr(why, cases[i].why))
            fail_msg("%s: '%s' is not found in '%s'", cases[i].path, cases[i].why, why);
        json_decref(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_is_served_as_it_is),
        cmocka_unit_test(every_operation_answers_as_documented),
        cmocka_unit_test(bad_messages_are_answered_as_documented),
        cmocka_unit_test(a_service_without_a_model_answers_as_documented),
        cmocka_unit_test(keys_are_asked_for_where_the_document_says),
        cmocka_unit_test(other_methods_are_refused_with_allow),
        cmocka_unit_test(paths_that_are_not_documented_are_404),
        cmocka_unit_test(a_query_does_not_change_the_path),
        cmocka_unit_test(examples_of_answers_hold),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(the_schema_check_can_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
