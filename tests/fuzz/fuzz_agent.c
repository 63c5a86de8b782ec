/* fuzz_agent.c - what comes to the agent and from it: lines of its socket in both directions, and requests of its HTTP
 * API. The reader of replies is held against jansson; nobody is let through without the token.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "edge/agent/api_route.h"
#include "edge/agent/reply.h"
#include "edge/agent/request.h"
#include "shared/base/json.h"
#include "tests/fuzz/fuzz.h"

/* Below what the reader takes; above it the two may differ. */
enum { DEPTH = 8, VALUES = 256 };

static void require(int condition)
{
    if (!condition)
        abort();
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void try_request(const char *text, size_t len)
{
    vx_agent_request r = {0};
    vx_errinfo info = {0};
    const vx_err err = vx_agent_request_parse(text, len, &r, &info);
    require(err == VX_OK || info.code == err);
    if (err != VX_OK)
        return;
    require(r.timeout_ms >= VX_AGENT_LEAST_MS && r.timeout_ms <= VX_AGENT_MOST_MS);
    require((r.op == VX_ASK_UNLOCK) == (r.purpose != NULL));
}

/* ---- replies ---------------------------------------------------------------------------------------------------- */

static void check_shown(const char *text)
{
    for (; *text; text++)
        require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

/* What jansson finds, the reader finds; what jansson does not take, lets nobody in. */
static void compare_with_jansson(const char *text, size_t len)
{
    static const vx_json_limits limits = {.max_depth = DEPTH, .max_values = VALUES};
    char verdict[64] = "";
    bool may = false;
    json_t *root = NULL;
    const bool found = vx_agent_reply_flag(text, len, "may_unlock", &may);
    const bool named = vx_agent_reply_field(text, len, "verdict", verdict, sizeof verdict);
    check_shown(verdict);
    const vx_err err = vx_json_parse(text, len, limits, &root, NULL);
    if (err == VX_OK) {
        require(found == json_is_boolean(json_object_get(root, "may_unlock")));
        require(!found || may == json_is_true(json_object_get(root, "may_unlock")));
        require(named == json_is_string(json_object_get(root, "verdict")));
        const char *text_there = json_string_value(json_object_get(root, "verdict"));
        require(!named || strcmp(verdict, "AUTHENTICATE") != 0 || strcmp(text_there, "AUTHENTICATE") == 0);
    }
    json_decref(root);
}

static void try_reply(const char *text, size_t len)
{
    const char *value = NULL;
    size_t n = 0;
    char sentence[VX_AGENT_SENTENCE_CAP];
    const vx_reply_kind kind = vx_agent_reply_kind(text, len, &value, &n);
    if (kind != VX_REPLY_BAD)
        require(value > text && value + n < text + len);
    if (kind == VX_REPLY_SAY) {
        require(vx_agent_reply_text(value, n, sentence, sizeof sentence));
        check_shown(sentence);
    }
    compare_with_jansson(kind == VX_REPLY_ANSWER ? value : text, kind == VX_REPLY_ANSWER ? n : len);
}

/* ---- the HTTP API ----------------------------------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_t *unlock(void *arg, const char *purpose, vx_asker *asker)
{
    ++*(int *)arg;
    require(strcmp(purpose, "screen") == 0);
    asker->say(asker, "Say: 4 7 1");
    return json_pack("{s:s}", "verdict", asker->gone(asker) ? "REJECT" : "AUTHENTICATE");
}

static json_t *status(void *arg)
{
    ++*(int *)arg;
    return json_object();
}

/* Method, path, host, origin, authorization, type: a line each; "-" is a header that was not sent. The rest is the body. */
static void try_http(const char *text, size_t len)
{
    char lines[6][256];
    const char *end = text + len;
    for (size_t i = 0; i < 6; i++) {
        const char *stop = text < end ? memchr(text, '\n', (size_t)(end - text)) : NULL;
        const size_t n = stop ? (size_t)(stop - text) : (size_t)(end - text);
        const size_t kept = n < sizeof lines[i] ? n : sizeof lines[i] - 1;
        if (kept)
            memcpy(lines[i], text, kept);
        lines[i][kept] = '\0';
        text = stop ? stop + 1 : end;
    }
    const char *headers[4];
    for (size_t i = 0; i < 4; i++)
        headers[i] = strcmp(lines[i + 2], "-") == 0 ? NULL : lines[i + 2];

    int n_calls = 0;
    atomic_bool stopping = false;
    const vx_agent_calls calls = {.arg = &n_calls, .unlock = unlock, .status = status, .diagnostics = status};
    const vx_api_front front = {
        .calls = &calls, .token = TOKEN, .port = 8011, .origins = "https://desk.example", .stopping = &stopping};
    const vx_api_request request = {.method = lines[0],
                                    .path = lines[1],
                                    .host = headers[0],
                                    .origin = headers[1],
                                    .authorization = headers[2],
                                    .content_type = headers[3],
                                    .body = text,
                                    .len = (size_t)(end - text),
                                    .fd = -1};
    vx_api_reply reply = {0};
    vx_api_route(&front, &request, &reply);
    require(reply.status >= 200 && reply.status < 600 && reply.body && reply.content_type);
    require((reply.status == 200) == (n_calls == 1));
    if (n_calls) {
        require(headers[2] && strstr(headers[2], TOKEN));
        require(headers[0] && strstr(headers[0], ":8011"));
        require(!headers[1] || strcmp(headers[1], "https://desk.example") == 0);
    }
    free(reply.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    try_request(text, size);
    try_reply(text, size);
    try_http(text, size);
    return 0;
}
