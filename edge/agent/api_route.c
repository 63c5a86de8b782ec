/* api_route.c - the checks in the order in which they cost an attacker something: Host, Origin, token, then the path, so
 * that whoever has no token learns nothing of what there is.
 */
#include "edge/agent/api_route.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "edge/agent/request.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

enum { MAX_SAID = 32 };

/* ---- replies ---------------------------------------------------------------------------------------------------- */

static void add_header(vx_api_reply *reply, const char *name, const char *value)
{
    for (size_t i = 0; i < VX_API_REPLY_HEADERS; i++)
        if (!reply->headers[i].name) {
            reply->headers[i].name = name;
            reply->headers[i].value = value;
            return;
        }
}

/* Takes the reference; NULL is out of memory. */
static void fill(vx_api_reply *reply, int status, const char *content_type, json_t *root)
{
    vx_buf body = {0};
    reply->status = status;
    if (root && vx_json_write(root, &body) == VX_OK && body.len > 0) {
        reply->content_type = content_type;
        reply->body = (char *)body.data;
        reply->len = body.len;
    } else {
        vx_buf_done(&body);
        reply->status = 500;
    }
    json_decref(root);
}

/* RFC 9457, as the cloud service has it. */
static void refuse(vx_api_reply *reply, int status, const char *code, const char *title, const char *detail)
{
    char type[96];
    snprintf(type, sizeof type, "/problems/%s", code);
    fill(reply, status, "application/problem+json",
         json_pack("{s:s, s:s, s:i, s:o, s:s}", "type", type, "title", title, "status", status, "detail",
                   vx_json_shown(detail), "code", code));
}

static void refuse_err(vx_api_reply *reply, int status, vx_err err, const vx_errinfo *info)
{
    refuse(reply, status, vx_err_code(err), vx_err_sentence(err), vx_errinfo_text(info, err));
}

static void answer(vx_api_reply *reply, json_t *root)
{
    if (root)
        fill(reply, 200, "application/json", root);
    else
        refuse_err(reply, 500, VX_ERR_NOMEM, NULL);
}

/* ---- who may ask ------------------------------------------------------------------------------------------------ */

/* A page whose name an attacker's name server points to 127.0.0.1 sends that name here, not one of these. */
static bool is_our_host(const char *host, int port)
{
    static const char *const names[] = {"127.0.0.1", "localhost", "[::1]"};
    char with_port[32];
    for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
        snprintf(with_port, sizeof with_port, "%s:%d", names[i], port);
        if (strcasecmp(host, with_port) == 0 || (port == 80 && strcasecmp(host, names[i]) == 0))
            return true;
    }
    return false;
}

/* Programs send no Origin; a page does, and is refused unless its origin is in the list, letter by letter. */
static bool is_known_origin(const char *origin, const char *list)
{
    const size_t len = strlen(origin);
    while (list && *list) {
        list += strspn(list, ", ");
        const size_t n = strcspn(list, ", ");
        if (n > 0 && n == len && memcmp(list, origin, n) == 0)
            return true;
        list += n;
    }
    return false;
}

static vx_err check_token(const char *header, const char *token)
{
    static const char scheme[] = "Bearer ";
    if (!header || strncasecmp(header, scheme, sizeof scheme - 1) != 0)
        return VX_ERR_AUTH_MISSING;
    header += sizeof scheme - 1;
    header += strspn(header, " ");
    const bool same = strlen(header) == VX_API_TOKEN_CHARS && vx_equal_ct(header, token, VX_API_TOKEN_CHARS);
    return same ? VX_OK : VX_ERR_AUTH_DENIED;
}

static bool may_ask(const vx_api_front *front, const vx_api_request *r, vx_api_reply *reply)
{
    if (!is_our_host(r->host, front->port)) {
        refuse(reply, 421, "bad_host", "the Host header names no address of this computer",
               "ask 127.0.0.1, [::1] or localhost, with the port");
        return false;
    }
    if (r->origin && !is_known_origin(r->origin, front->origins)) {
        refuse(reply, 403, "origin_refused", "pages of this origin may not ask",
               "this interface is for programs of this computer, not for web pages");
        return false;
    }
    const vx_err err = check_token(r->authorization, front->token);
    if (err != VX_OK) {
        refuse_err(reply, 401, err, NULL);
        add_header(reply, "WWW-Authenticate", "Bearer");
    }
    return err == VX_OK;
}

/* ---- POST /api/voice/unlock ------------------------------------------------------------------------------------- */

/* Whoever waits for an HTTP answer. */
typedef struct {
    vx_asker asker;
    const vx_api_front *front;
    int fd;
    pthread_mutex_t lock; /* guards said */
    json_t *said;         /* sentences so far; a client sees them with the answer */
} caller;

static void say(vx_asker *asker, const char *sentence)
{
    caller *c = asker->arg;
    pthread_mutex_lock(&c->lock);
    /* A sentence that is lost for want of memory was spoken all the same. */
    if (json_array_size(c->said) < MAX_SAID)
        (void)json_array_append_new(c->said, vx_json_shown(sentence));
    pthread_mutex_unlock(&c->lock);
}

static bool gone(vx_asker *asker)
{
    const caller *c = asker->arg;
    char byte;
    if (atomic_load(c->front->stopping) || vx_now_ns() >= asker->deadline_ns)
        return true;
    if (c->fd < 0)
        return false;
    /* A byte may be the client's next request; the end of the stream is its end. */
    const ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* The body may be empty; else it is an object that may hold timeout_ms. */
static vx_err read_timeout(const vx_api_request *r, int64_t *ret_ms, vx_errinfo *info)
{
    static const vx_json_limits limits = {.max_depth = 4, .max_values = 32};
    json_t *root = NULL;
    if (r->len == 0)
        return VX_OK;
    vx_err err = vx_json_parse(r->body, r->len, limits, &root, info);
    if (err == VX_OK && !json_is_object(root))
        err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "the body is a JSON object, or empty");
    if (err == VX_OK)
        err = vx_json_int(root, "timeout_ms", false, VX_AGENT_LEAST_MS, VX_AGENT_MOST_MS, ret_ms, info);
    json_decref(root);
    return err;
}

/* A page can send a form or plain text to anybody without being asked first, but not this type. */
static bool is_json(const char *content_type)
{
    static const char type[] = "application/json";
    const size_t n = sizeof type - 1;
    return content_type && strncasecmp(content_type, type, n) == 0 &&
           (content_type[n] == '\0' || content_type[n] == ';' || content_type[n] == ' ');
}

static void unlock_for(const vx_api_front *front, const vx_api_request *r, int64_t timeout_ms, vx_api_reply *reply)
{
    caller c = {.front = front, .fd = r->fd, .said = json_array()};
    if (!c.said || pthread_mutex_init(&c.lock, NULL) != 0) {
        json_decref(c.said);
        refuse_err(reply, 500, VX_ERR_NOMEM, NULL);
        return;
    }
    c.asker =
        (vx_asker){.arg = &c, .say = say, .gone = gone, .deadline_ns = vx_now_ns() + (uint64_t)timeout_ms * 1000000u};
    json_t *root = front->calls->unlock(front->calls->arg, "screen", &c.asker);
    if (root && json_object_set(root, "said", c.said) != 0) {
        json_decref(root);
        root = NULL;
    }
    json_decref(c.said);
    pthread_mutex_destroy(&c.lock);
    answer(reply, root);
}

static void unlock(const vx_api_front *front, const vx_api_request *r, vx_api_reply *reply)
{
    int64_t timeout_ms = VX_AGENT_DEFAULT_MS;
    vx_errinfo info = {0};
    if (r->body_too_large) {
        refuse(reply, 413, "body_too_large", "the body is over the limit", "the body is at most 4096 bytes");
        return;
    }
    if (r->len > 0 && !is_json(r->content_type)) {
        refuse(reply, 415, "unsupported_content_type", "the body is of another type", "send application/json");
        return;
    }
    const vx_err err = read_timeout(r, &timeout_ms, &info);
    if (err == VX_OK)
        unlock_for(front, r, timeout_ms, reply);
    else
        refuse_err(reply, err == VX_ERR_NOMEM ? 500 : err == VX_ERR_JSON_FIELD ? 422 : 400, err, &info);
}

/* ---- the others ------------------------------------------------------------------------------------------------- */

static void health(const vx_api_front *front, const vx_api_request *r, vx_api_reply *reply)
{
    (void)r;
    answer(reply, front->calls->status(front->calls->arg));
}

static void diagnostics(const vx_api_front *front, const vx_api_request *r, vx_api_reply *reply)
{
    (void)r;
    answer(reply, front->calls->diagnostics(front->calls->arg));
}

static const struct {
    const char *path, *method;
    void (*serve)(const vx_api_front *front, const vx_api_request *r, vx_api_reply *reply);
} routes[] = {
    {"/api/voice/unlock", "POST", unlock},
    {"/api/voice-unlock/health", "GET", health},
    {"/api/voice-unlock/diagnostics", "GET", diagnostics},
};

void vx_api_route(const vx_api_front *front, const vx_api_request *request, vx_api_reply *ret_reply)
{
    if (!may_ask(front, request, ret_reply))
        return;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, request->path) != 0)
            continue;
        if (strcmp(routes[i].method, request->method) == 0) {
            routes[i].serve(front, request, ret_reply);
            return;
        }
        refuse(ret_reply, 405, "method_not_allowed", "this path does not take this method", "see the Allow header");
        add_header(ret_reply, "Allow", routes[i].method);
        return;
    }
    refuse(ret_reply, 404, "unknown_path", "there is nothing at this path", "docs/agent.md lists what there is");
}
