/* plugin_loopback.c - HTTP/1.1 on a socket through libmicrohttpd.
 * Owns:   the library's options, the body of a request while it comes. Does not: what api_plugin.h leaves to api_route.c.
 */
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "edge/agent/api_plugin.h"

/* Memory for one request's line and headers; seconds of silence, and of a whole request. */
enum { HEAD_BYTES = 16 * 1024, SILENCE_S = 5, REQUEST_S = 10 };

struct vx_api_listener {
    struct MHD_Daemon *daemon;
    size_t body_cap;
    void (*answer)(void *arg, const vx_api_request *request, vx_api_reply *ret_reply);
    void *arg;
};

/* A request whose body comes. */
typedef struct {
    struct timespec since;
    bool too_large;
    size_t len;
    char body[]; /* [body_cap + 1] */
} incoming;

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? (int)info->connect_fd : -1;
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, vx_api_reply *reply)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(reply->len, reply->len ? reply->body : NULL, MHD_RESPMEM_MUST_COPY);
    free(reply->body);
    if (!response)
        return MHD_NO;
    bool ok = MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
              MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
    if (ok && reply->content_type)
        ok = MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES;
    for (size_t i = 0; ok && i < VX_API_REPLY_HEADERS && reply->headers[i].name; i++)
        ok = MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) == MHD_YES;
    const enum MHD_Result sent = ok ? MHD_queue_response(connection, (unsigned)reply->status, response) : MHD_NO;
    MHD_destroy_response(response);
    return sent;
}

static bool too_slow(const incoming *in)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) != 0 || now.tv_sec - in->since.tv_sec > REQUEST_S;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *left, void **context)
{
    vx_api_listener *l = arg;
    incoming *in = *context;
    (void)version;
    if (!in) {
        in = calloc(1, sizeof *in + l->body_cap + 1);
        *context = in;
        return in && clock_gettime(CLOCK_MONOTONIC, &in->since) == 0 ? MHD_YES : MHD_NO;
    }
    if (*left > 0) {
        /* What is over the most is read to its end and forgotten: a client that is cut off while it sends sees no answer. */
        in->too_large = in->too_large || *left > l->body_cap - in->len;
        if (!in->too_large) {
            memcpy(in->body + in->len, data, *left);
            in->len += *left;
        }
        *left = 0;
        return too_slow(in) ? MHD_NO : MHD_YES;
    }
    const vx_api_request request = {
        .method = method,
        .path = url,
        .host = header(connection, MHD_HTTP_HEADER_HOST),
        .origin = header(connection, MHD_HTTP_HEADER_ORIGIN),
        .authorization = header(connection, MHD_HTTP_HEADER_AUTHORIZATION),
        .content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE),
        .body = in->body,
        .len = in->too_large ? 0 : in->len,
        .body_too_large = in->too_large,
        .fd = fd_of(connection),
    };
    vx_api_reply reply = {0};
    l->answer(l->arg, &request, &reply);
    return send_reply(connection, &reply);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    free(*context);
    *context = NULL;
}

static void close_listener(vx_api_listener *l)
{
    if (!l)
        return;
    MHD_stop_daemon(l->daemon);
    free(l);
}

static vx_err open_listener(int fd, int n_connections, size_t body_cap,
                            void (*answer)(void *arg, const vx_api_request *request, vx_api_reply *ret_reply),
                            void *arg, vx_api_listener **ret_listener)
{
    vx_api_listener *l = calloc(1, sizeof *l);
    if (!l)
        return VX_ERR_INTERNAL;
    *l = (vx_api_listener){.body_cap = body_cap, .answer = answer, .arg = arg};
    l->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0,
                                 NULL, NULL, on_request, l, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                 (unsigned)n_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S, MHD_OPTION_NOTIFY_COMPLETED,
                                 on_completed, l, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!l->daemon) {
        free(l);
        return VX_ERR_INTERNAL;
    }
    *ret_listener = l;
    return VX_OK;
}

__attribute__((visibility("default"))) extern const vx_api_plugin vx_api_plugin_table;
const vx_api_plugin vx_api_plugin_table = {
    .abi = VX_API_PLUGIN_ABI,
    .library = "libmicrohttpd",
    .open = open_listener,
    .close = close_listener,
};
