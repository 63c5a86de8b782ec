/* test_routes.c - the table of paths, its agreement with cloud/openapi.json, and what headers are taken to mean. */
#include "cloud/routes.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "cloud/access_log.h"
#include "cloud/media.h"

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

/* What computes runs on workers, what probes must not wait for them. */
static void only_posts_reach_the_workers(void **state)
{
    (void)state;
    for (size_t i = 0; vx_routes_at(i); i++) {
        const vx_route *route = vx_routes_at(i);
        bool post = strcmp(route->method, "POST") == 0;
        assert_int_equal(route->on_worker, post);
        assert_int_equal(route->accepts != 0, post);
        assert_non_null(route->handler);
    }
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

static void media_types_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        vx_media media;
    } rows[] = {
        {NULL, VX_MEDIA_UNSAID},
        {"", VX_MEDIA_UNSAID},
        {"application/x-www-form-urlencoded", VX_MEDIA_UNSAID},
        {"application/json", VX_MEDIA_JSON},
        {"Application/JSON; charset=utf-8", VX_MEDIA_JSON},
        {"  application/json", VX_MEDIA_JSON},
        {"text/json", VX_MEDIA_JSON},
        {"application/vnd.x+json", VX_MEDIA_JSON},
        {"+json", VX_MEDIA_OTHER},
        {"application/jsonp", VX_MEDIA_OTHER},
        {"audio/wav", VX_MEDIA_RAW},
        {"AUDIO/x-anything;rate=8000", VX_MEDIA_RAW},
        {"audio/", VX_MEDIA_OTHER},
        {"audio", VX_MEDIA_OTHER},
        {"application/octet-stream", VX_MEDIA_RAW},
        {"text/plain", VX_MEDIA_OTHER},
        {"multipart/form-data; boundary=x", VX_MEDIA_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (vx_media_of(rows[i].header) != rows[i].media)
            fail_msg("'%s' is %d", rows[i].header ? rows[i].header : "(none)", (int)vx_media_of(rows[i].header));
    }
}

static void the_bare_vector_must_be_the_first_choice(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool octets;
    } rows[] = {
        {NULL, false},
        {"*/*", false},
        {"application/json", false},
        {"application/octet-stream", true},
        {"Application/Octet-Stream;q=1, application/json", true},
        {"application/json, application/octet-stream", false},
        {"application/octet-streams", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(vx_media_prefers_octets(rows[i].accept), rows[i].octets);
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

static void traces_must_be_well_formed(void **state)
{
    (void)state;
    static const struct {
        const char *header, *trace;
    } rows[] = {
        {"105445aa7843bc8bf206b12000100000/1;o=1", "105445aa7843bc8bf206b12000100000"},
        {"105445aa7843bc8bf206b12000100000", "105445aa7843bc8bf206b12000100000"},
        {"105445aa7843bc8bf206b1200010000", ""},
        {"105445aa7843bc8bf206b120001000000", ""},
        {"105445aa7843bc8bf206b1200010000g/1", ""},
        {"", ""},
        {NULL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char trace[33] = "untouched";
        vx_access_trace(rows[i].header, trace);
        assert_string_equal(trace, rows[i].trace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_compared_exactly),
        cmocka_unit_test(only_posts_reach_the_workers),
        cmocka_unit_test(the_document_lists_what_there_is),
        cmocka_unit_test(media_types_are_told_apart),
        cmocka_unit_test(the_bare_vector_must_be_the_first_choice),
        cmocka_unit_test(request_ids_are_taken_or_made),
        cmocka_unit_test(traces_must_be_well_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
