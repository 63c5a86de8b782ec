/* openapi.c - the contract as a judge. */
#include "tests/support/openapi.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "tests/support/schema.h"

#define DOCUMENT "cloud/openapi.json"

json_t *openapi_load(void)
{
    json_error_t error;
    json_t *document = json_load_file(DOCUMENT, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        fail_msg(DOCUMENT ":%d: %s", error.line, error.text);
    return document;
}

const json_t *openapi_operation(const json_t *document, const char *path, const char *method)
{
    char key[16];
    snprintf(key, sizeof key, "%s", strcmp(method, "HEAD") == 0 ? "GET" : method);
    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), key);
}

/* "application/json" of "application/json; charset=utf-8". */
static void essence_of(const http_reply *reply, char *ret, size_t cap)
{
    if (!http_header(reply, "Content-Type", ret, cap))
        snprintf(ret, cap, "(none)");
    ret[strcspn(ret, "; ")] = '\0';
}

/* Of every HTTP answer, or described once for all of ours. */
static bool is_common_header(const char *name)
{
    static const char *const names[] = {"Date",         "Connection", "Content-Length", "Content-Type", "Cache-Control",
                                        "X-Request-Id", "Vary"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return strncasecmp(name, "Access-Control-", 15) == 0;
}

static bool is_documented_header(const json_t *headers, const char *name)
{
    const char *key;
    json_t *unused;
    json_object_foreach((json_t *)headers, key, unused)
    {
        if (strcasecmp(key, name) == 0)
            return true;
    }
    return is_common_header(name);
}

/* Required headers are there and as their schemas say; no header is there that is not documented. */
static void check_headers(const json_t *document, const json_t *response, const char *what, const http_reply *reply)
{
    const char *name;
    json_t *node;
    char value[1024], why[512];
    const json_t *headers = json_object_get(response, "headers");
    json_object_foreach((json_t *)headers, name, node)
    {
        const json_t *header = schema_follow(document, node);
        const bool there = http_header(reply, name, value, sizeof value) && value[0];
        if (!there && json_is_true(json_object_get(header, "required")))
            fail_msg("%s: the header %s is missing", what, name);
        const json_t *schema = schema_follow(document, json_object_get(header, "schema"));
        const char *type = json_string_value(json_object_get(schema, "type"));
        json_t *got = type && strcmp(type, "integer") == 0 ? json_integer(atoll(value)) : json_string(value);
        if (there && !schema_holds(document, schema, got, why, sizeof why))
            fail_msg("%s: the header %s: %s", what, name, why);
        json_decref(got);
    }
    for (const char *line = strchr((const char *)reply->head.data, '\n'); line && line[1] != '\r';
         line = strchr(line + 1, '\n')) {
        snprintf(value, sizeof value, "%.*s", (int)strcspn(line + 1, ":\r\n"), line + 1);
        if (value[0] && !is_documented_header(headers, value))
            fail_msg("%s: the header %s is not documented", what, value);
    }
}

/* What RFC 9457 and our own members must say beside the schema. */
static void check_problem(const json_t *body, const char *what, const http_reply *reply)
{
    char id[128], type[128];
    const char *code = json_string_value(json_object_get(body, "code"));
    const char *detail = json_string_value(json_object_get(body, "detail"));
    snprintf(type, sizeof type, "/problems/%s", code);
    if (json_integer_value(json_object_get(body, "status")) != reply->status)
        fail_msg("%s: the problem states another status", what);
    if (strcmp(json_string_value(json_object_get(body, "type")), type) != 0)
        fail_msg("%s: type is not %s", what, type);
    if (strlen(detail) < 10 || strlen(json_string_value(json_object_get(body, "title"))) < 10)
        fail_msg("%s: title or detail says nothing", what);
    if (!http_header(reply, "X-Request-Id", id, sizeof id) ||
        strcmp(json_string_value(json_object_get(body, "request_id")), id) != 0)
        fail_msg("%s: request_id is not that of the header", what);
}

void openapi_check(const json_t *document, const char *path, const char *method, const http_reply *reply)
{
    char what[256], status[16], type[128], why[512];
    const json_t *operation = openapi_operation(document, path, method);
    snprintf(what, sizeof what, "%s %s %d", method, path, reply->status);
    snprintf(status, sizeof status, "%d", reply->status);
    essence_of(reply, type, sizeof type);
    const json_t *response = schema_follow(document, json_object_get(json_object_get(operation, "responses"), status));
    if (!response)
        fail_msg("%s: the status is not documented: %.300s", what, reply->body.len ? (char *)reply->body.data : "");
    const json_t *media = json_object_get(json_object_get(response, "content"), type);
    if (!media)
        fail_msg("%s: the content type %s is not documented", what, type);
    check_headers(document, response, what, reply);
    if (strcmp(method, "HEAD") == 0 || !strstr(type, "json"))
        return;
    json_t *body = http_json(reply);
    if (!schema_holds(document, json_object_get(media, "schema"), body, why, sizeof why))
        fail_msg("%s: %s", what, why);
    if (strcmp(type, "application/problem+json") == 0)
        check_problem(body, what, reply);
    json_decref(body);
}

void openapi_expect_problem(const json_t *document, const char *path, http_reply *reply, int status, const char *code)
{
    openapi_check(document, path, "POST", reply);
    json_t *body = http_json(reply);
    const char *got = json_string_value(json_object_get(body, "code"));
    if (reply->status != status || !got || strcmp(got, code) != 0)
        fail_msg("%s: %d %s instead of %d %s", path, reply->status, got ? got : "(success)", status, code);
    json_decref(body);
    http_reply_done(reply);
}
