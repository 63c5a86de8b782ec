/* server.c - the life of one request between socket and worker.
 *
 * The library calls back on its one I/O thread: with the request line, with the headers, with pieces of the body, and
 * when all is there. Nothing is computed on that thread: a request that needs work is suspended and given to a pool
 * worker, which fills in the reply and resumes it; the library then calls back once more and the reply is sent.
 *
 *   request line   begin_exchange     the clock starts
 *   headers        on_headers         route, limits; a refusal is decided here
 *   body           on_body            kept, or dropped when the request is refused
 *   complete       on_complete        answered here, or suspended and submitted
 *   worker         work               the handler runs; resume
 *   resumed        send_reply
 *   sent or gone   on_completed       logged, freed
 *
 * An exchange belongs to the I/O thread, except between submit and resume, when it belongs to the worker.
 */
#include "cloud/server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloud/access_log.h"
#include "cloud/cond.h"
#include "cloud/http.h"
#include "cloud/listen.h"
#include "cloud/media.h"
#include "cloud/problem.h"
#include "cloud/routes.h"
#include "cloud/watchdog.h"
#include "shared/base/clock.h"

/* A body declared longer than this many times the limit is refused before it is read. Below that it is read and
 * dropped first, since a client that is still sending sees a reset instead of the answer. */
#define REFUSE_FACTOR     4

/* Request line and headers must fit, and pieces of the body come in up to this size: 32 KiB costs 2,000 connections
 * 64 MiB at worst, and 16 KiB pieces measured slower on 128 KB bodies. */
#define CONNECTION_MEMORY (32 * 1024)

struct vx_server {
    vx_service *service; /* borrowed, constant */
    struct MHD_Daemon *daemon;
    vx_watchdog *dog;
    int listen_fd;
    uint64_t max_body, deadline_ns; /* constant */
    vx_metric *in_flight_gauge;

    pthread_mutex_t lock; /* guards the rest; taken last, for a moment */
    pthread_cond_t idle;  /* in_flight became 0 */
    size_t in_flight;     /* requests whose headers have arrived */
    bool draining;
};

typedef enum {
    PHASE_LINE,    /* request line read */
    PHASE_BODY,    /* headers read */
    PHASE_WORKING, /* a worker has it, or had it: the reply is filled when the library calls next */
    PHASE_SENT,    /* the reply was handed over */
} phase;

typedef struct {
    vx_server *server;
    struct MHD_Connection *connection;
    vx_watch *watch; /* the connection's */
    phase phase;
    const vx_route *route; /* NULL: refused */
    bool refused;          /* the reply is filled; the body is dropped */
    bool too_large;        /* the body is over the limit; dropped */
    bool untyped;          /* the body is JSON if it starts like it */
    vx_request request;
    vx_reply reply;
    vx_access access;
} exchange;

/* ---- small things ---------------------------------------------------------------------------------------------- */

static const char *header(const exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static const char *query(const exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

static void copy(char *to, size_t cap, const char *text)
{
    snprintf(to, cap, "%s", text ? text : "");
}

static void remote_ip(struct MHD_Connection *connection, char *ret_text, size_t cap)
{
    ret_text[0] = '\0';
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    const void *addr = info->client_addr;
    if (info->client_addr->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)addr)->sin6_addr;
        /* An IPv4 client of a socket that takes both. */
        if (IN6_IS_ADDR_V4MAPPED(v6))
            inet_ntop(AF_INET, &v6->s6_addr[12], ret_text, (socklen_t)cap);
        else
            inet_ntop(AF_INET6, v6, ret_text, (socklen_t)cap);
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)addr)->sin_addr, ret_text, (socklen_t)cap);
    }
}

static void enter_flight(vx_server *server, int change)
{
    pthread_mutex_lock(&server->lock);
    server->in_flight = change > 0 ? server->in_flight + 1 : server->in_flight - 1;
    vx_metric_set(server->in_flight_gauge, (double)server->in_flight);
    if (server->in_flight == 0)
        pthread_cond_signal(&server->idle);
    pthread_mutex_unlock(&server->lock);
}

static bool is_draining(vx_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool draining = server->draining;
    pthread_mutex_unlock(&server->lock);
    return draining;
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

/* The library frees the body when it is sent: only then may it be wiped. */
static void free_body(void *arg)
{
    vx_buf *body = arg;
    vx_buf_wipe_done(body);
    free(body);
}

static struct MHD_Response *make_response(vx_reply *reply)
{
    if (reply->fixed)
        return MHD_create_response_from_buffer(reply->fixed_len, (void *)reply->fixed, MHD_RESPMEM_PERSISTENT);
    vx_buf *body = malloc(sizeof *body);
    if (!body)
        return NULL;
    *body = reply->body;
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(body->len, body->data, free_body, body);
    if (response)
        reply->body = (vx_buf){0};
    else
        free(body);
    return response;
}

static bool add_headers(struct MHD_Response *response, const exchange *x)
{
    const vx_reply *reply = &x->reply;
    char number[16];
    bool ok = MHD_add_response_header(response, "X-Request-Id", x->request.id) == MHD_YES &&
              MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES;
    if (ok && reply->content_type)
        ok = MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES;
    if (ok && reply->retry_after_s > 0) {
        snprintf(number, sizeof number, "%d", reply->retry_after_s);
        ok = MHD_add_response_header(response, "Retry-After", number) == MHD_YES;
    }
    for (int i = 0; ok && i < reply->n_headers; i++)
        ok = MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) == MHD_YES;
    if (ok && is_draining(x->server))
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return ok;
}

/* MHD_NO drops the connection: all that is left when memory is out. */
static enum MHD_Result send_reply(exchange *x)
{
    x->access.status = x->reply.status;
    x->access.response_bytes = vx_reply_len(&x->reply);
    struct MHD_Response *response = make_response(&x->reply);
    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (add_headers(response, x) && vx_watch_move(x->server->dog, x->watch, VX_WATCH_QUIET)) {
        x->phase = PHASE_SENT;
        queued = MHD_queue_response(x->connection, (unsigned)x->reply.status, response);
    }
    MHD_destroy_response(response);
    return queued;
}

/* ---- working --------------------------------------------------------------------------------------------------- */

static void work(void *arg, int worker)
{
    (void)worker;
    exchange *x = arg;
    x->request.started_ns = vx_now_ns();
    vx_service_observe(x->server->service, VX_STAGE_QUEUE,
                       (double)(x->request.started_ns - x->request.complete_ns) / 1e6);
    vx_route_run(x->server->service, x->route, &x->request, &x->reply);
    vx_buf_wipe_done(&x->request.body);
    /* From here on x belongs to the I/O thread, which may free it at once. */
    MHD_resume_connection(x->connection);
}

/* Suspended first: a worker may be done before submit returns. */
static enum MHD_Result give_to_worker(exchange *x)
{
    x->phase = PHASE_WORKING;
    MHD_suspend_connection(x->connection);
    vx_err err = vx_service_submit(x->server->service, work, x);
    if (err) {
        vx_problem_reply(&x->reply, x->request.id, err, NULL);
        MHD_resume_connection(x->connection);
    }
    return MHD_YES;
}

/* ---- headers --------------------------------------------------------------------------------------------------- */

static void refuse(exchange *x, vx_fault fault)
{
    if (x->refused)
        return;
    vx_problem_fault(&x->reply, x->request.id, fault, NULL);
    x->refused = true;
}

/* Where the body ends must have one reading, or a proxy in front of this server may have another. */
static bool is_framing_clear(const exchange *x)
{
    const char *coding = header(x, "Transfer-Encoding");
    return !coding || (strcasecmp(coding, "chunked") == 0 && !header(x, "Content-Length"));
}

static void check_type(exchange *x)
{
    const char *encoding = header(x, "Content-Encoding");
    if (x->route->accepts == 0)
        return;
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        refuse(x, VX_FAULT_CONTENT_ENCODING);
        return;
    }
    vx_media media = vx_media_of(header(x, "Content-Type"));
    x->untyped = media == VX_MEDIA_UNSAID;
    x->request.kind = media == VX_MEDIA_RAW ? VX_BODY_RAW : VX_BODY_JSON;
    if (media == VX_MEDIA_OTHER || !(x->route->accepts & x->request.kind))
        refuse(x, VX_FAULT_CONTENT_TYPE);
}

static void find_route(exchange *x)
{
    char allow[VX_ALLOW_CAP];
    x->route = vx_routes_find(x->access.path, x->access.method, allow);
    if (x->route) {
        x->access.route = x->route->path;
        x->access.quiet = x->route->quiet;
    } else if (allow[0]) {
        refuse(x, VX_FAULT_METHOD);
        if (vx_reply_header(&x->reply, "Allow", "%s", allow)) /* one header of eight: always fits */
            return;
    } else {
        refuse(x, VX_FAULT_PATH);
    }
}

static void read_headers(exchange *x, const char *method)
{
    vx_request_id(header(x, "X-Request-Id"), x->request.id);
    vx_watch_name(x->server->dog, x->watch, x->request.id);
    copy(x->access.request_id, sizeof x->access.request_id, x->request.id);
    copy(x->access.method, sizeof x->access.method, method);
    copy(x->access.user_agent, sizeof x->access.user_agent, header(x, "User-Agent"));
    vx_access_trace(header(x, "X-Cloud-Trace-Context"), x->access.trace);
    x->request.format = query(x, "format");
    x->request.sample_rate = query(x, "sample_rate");
    x->request.wants_octets = vx_media_prefers_octets(header(x, "Accept"));
}

/* What the client says the body's length is; 0 when it does not say. */
static uint64_t declared_length(const exchange *x)
{
    const char *text = header(x, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

/* The library can send an answer here or after the whole body, and one sent here ends the connection. So that ordinary
 * clients read the answer, a refusal waits for the end of the body, except when the client waits for leave to send or
 * would send absurdly much. */
static enum MHD_Result on_headers(exchange *x, const char *method)
{
    x->phase = PHASE_BODY;
    enter_flight(x->server, +1);
    read_headers(x, method);
    bool clear = is_framing_clear(x);
    if (clear)
        find_route(x);
    else
        refuse(x, VX_FAULT_FRAMING);
    if (x->route)
        check_type(x);
    uint64_t length = declared_length(x), limit = x->server->max_body;
    if (length > limit)
        refuse(x, VX_FAULT_BODY_SIZE);
    bool waits = header(x, "Expect") != NULL;
    if (x->refused && (waits || !clear || length / REFUSE_FACTOR > limit))
        return send_reply(x);
    return MHD_YES;
}

/* ---- body ------------------------------------------------------------------------------------------------------ */

static void on_body(exchange *x, const char *data, size_t len)
{
    if (x->refused || x->too_large || x->route->accepts == 0)
        return;
    vx_buf *body = &x->request.body;
    vx_err err = VX_OK;
    if (body->len == 0) {
        uint64_t declared = declared_length(x);
        body->limit = (size_t)x->server->max_body;
        err = vx_buf_reserve(body, declared > len ? (size_t)declared : len);
    }
    if (!err)
        err = vx_buf_append(body, data, len);
    if (!err)
        return;
    vx_buf_wipe_done(body);
    x->too_large = err == VX_ERR_OVERFLOW;
    if (!x->too_large) {
        vx_problem_reply(&x->reply, x->request.id, err, NULL);
        x->refused = true;
    }
}

static enum MHD_Result on_complete(exchange *x)
{
    x->request.complete_ns = x->request.started_ns = vx_now_ns();
    if (x->too_large)
        refuse(x, VX_FAULT_BODY_SIZE);
    /* Old clients and curl -d send JSON without saying so. */
    if (!x->refused && x->untyped && x->request.body.len > 0 && x->request.body.data[0] != '{')
        refuse(x, VX_FAULT_CONTENT_TYPE);
    /* False: the watchdog has just answered 408 and cut the connection off. */
    if (!vx_watch_move(x->server->dog, x->watch, VX_WATCH_NONE))
        return MHD_NO;
    if (!x->refused && x->route->on_worker)
        return give_to_worker(x);
    if (!x->refused)
        vx_route_run(x->server->service, x->route, &x->request, &x->reply);
    return send_reply(x);
}

/* ---- the library's callbacks, all on the I/O thread ------------------------------------------------------------ */

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **context)
{
    (void)arg, (void)connection, (void)url, (void)version;
    exchange *x = *context;
    if (!x)
        return MHD_NO; /* memory was out at the request line */
    if (x->phase == PHASE_LINE)
        return on_headers(x, method);
    if (*len > 0) {
        on_body(x, data, *len);
        *len = 0;
        return MHD_YES;
    }
    return x->phase == PHASE_BODY ? on_complete(x) : send_reply(x);
}

/* The first sight of a request. The path is taken as sent, before escapes are undone: paths are compared exactly. */
static void *begin_exchange(void *arg, const char *uri, struct MHD_Connection *connection)
{
    vx_server *server = arg;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange *x = info && info->socket_context ? calloc(1, sizeof *x) : NULL;
    if (!x)
        return NULL;
    x->server = server;
    x->connection = connection;
    x->watch = info->socket_context;
    x->request.arrived_ns = vx_now_ns();
    x->request.deadline_ns = x->request.arrived_ns + server->deadline_ns;
    size_t path_len = strcspn(uri, "?");
    snprintf(x->access.path, sizeof x->access.path, "%.*s", (int)(path_len < 1000 ? path_len : 1000), uri);
    remote_ip(connection, x->access.remote_ip, sizeof x->access.remote_ip);
    vx_request_id(NULL, x->request.id);
    vx_watch_name(server->dog, x->watch, x->request.id);
    vx_watch_move(server->dog, x->watch, VX_WATCH_UPLOAD);
    return x;
}

/* What was not answered by us: cut off by the watchdog, refused by the library itself, or left by the client. */
static int status_without_reply(const exchange *x, bool cut_off)
{
    if (cut_off)
        return 408;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info && info->http_status ? (int)info->http_status : VX_STATUS_CLIENT_GONE;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    exchange *x = *context;
    if (!x)
        return;
    *context = NULL;
    vx_server *server = x->server;
    bool alive = vx_watch_move(server->dog, x->watch, VX_WATCH_QUIET);
    if (x->phase != PHASE_SENT)
        x->access.status = status_without_reply(x, !alive);
    x->access.seconds = vx_ms_since(x->request.arrived_ns) / 1e3;
    vx_access_write(server->service, &x->access);
    vx_buf_wipe_done(&x->request.body);
    vx_reply_done(&x->reply);
    bool counted = x->phase != PHASE_LINE;
    free(x);
    if (counted)
        enter_flight(server, -1);
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    vx_server *server = arg;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        vx_watch *watch = info ? malloc(sizeof *watch) : NULL;
        if (!watch)
            return; /* its requests will be dropped */
        vx_watch_init(watch, info->connect_fd);
        vx_watch_move(server->dog, watch, VX_WATCH_QUIET);
        *context = watch;
    } else if (*context) {
        /* The library closes the socket after this call. */
        vx_watch_move(server->dog, *context, VX_WATCH_NONE);
        free(*context);
        *context = NULL;
    }
}

static void VX_PRINTF(2, 0) on_library_log(void *arg, const char *fmt, va_list args)
{
    vx_server *server = arg;
    char text[256];
    vsnprintf(text, sizeof text, fmt, args);
    text[strcspn(text, "\r\n")] = '\0';
    VX_LOG(vx_service_log(server->service), VX_LOG_DEBUG, "http library", vx_f_str("text", text));
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static struct MHD_Daemon *start_daemon(vx_server *server, const vx_options *options)
{
    const unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, server,
        MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, begin_exchange, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)vx_option_int(options, "VOXLOCK_MAX_CONNECTIONS"),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)vx_option_int(options, "VOXLOCK_IDLE_TIMEOUT_S"),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        /* Requests that two programs may read differently (no Host, spaces in the path) are refused. */
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static vx_err start_watchdog(vx_server *server, const vx_options *options)
{
    uint64_t body_ms = (uint64_t)vx_option_int(options, "VOXLOCK_BODY_TIMEOUT_MS");
    uint64_t idle_ms = (uint64_t)vx_option_int(options, "VOXLOCK_IDLE_TIMEOUT_S") * 1000;
    /* A connection that is silent for idle_ms is closed by the library; if it is not, a request line has begun, and
     * that may take no longer than a body. */
    const uint64_t limit_ms[VX_WATCH_LISTS] = {
        [VX_WATCH_QUIET] = idle_ms + body_ms,
        [VX_WATCH_UPLOAD] = body_ms,
    };
    return vx_watchdog_create(limit_ms, &server->dog);
}

vx_err vx_server_start(vx_service *service, vx_server **ret_server, int *ret_port, vx_errinfo *info)
{
    const vx_options *options = vx_service_options(service);
    int port = 0;
    vx_server *server = calloc(1, sizeof *server);
    if (!server)
        return VX_ERR_NOMEM;
    server->service = service;
    server->listen_fd = -1;
    server->max_body = (uint64_t)vx_option_int(options, "VOXLOCK_MAX_BODY");
    server->deadline_ns = (uint64_t)vx_option_int(options, "VOXLOCK_DEADLINE_MS") * 1000000u;
    server->in_flight_gauge = vx_metrics_gauge(vx_service_metrics(service), "voxlock_in_flight",
                                               "Requests whose headers have arrived and that are not answered.", "");
    if (pthread_mutex_init(&server->lock, NULL) != 0) {
        free(server);
        return VX_ERR_INTERNAL;
    }
    if (!vx_cond_init(&server->idle)) {
        pthread_mutex_destroy(&server->lock);
        free(server);
        return VX_ERR_INTERNAL;
    }
    vx_err err = vx_listen(vx_option_text(options, "VOXLOCK_BIND"), (int)vx_option_int(options, "PORT"),
                           &server->listen_fd, &port, info);
    if (!err)
        err = start_watchdog(server, options);
    if (!err) {
        server->daemon = start_daemon(server, options);
        if (!server->daemon)
            err = vx_errinfo_set(info, VX_ERR_INTERNAL, "the HTTP library could not start");
    }
    if (err) {
        vx_server_destroy(server);
        return err;
    }
    *ret_server = server;
    *ret_port = port;
    return VX_OK;
}

void vx_server_drain(vx_server *server, uint64_t drain_ms)
{
    uint64_t until = vx_now_ns() + drain_ms * 1000000u;
    /* The socket may be closed only after the library's thread has ended; shut down, it refuses connections now
     * (Linux; elsewhere the call fails, and clients wait in the backlog until the program ends). */
    if (MHD_quiesce_daemon(server->daemon) != MHD_INVALID_SOCKET)
        shutdown(server->listen_fd, SHUT_RDWR);
    pthread_mutex_lock(&server->lock);
    server->draining = true;
    while (server->in_flight > 0 && vx_cond_wait_until(&server->idle, &server->lock, until))
        ;
    pthread_mutex_unlock(&server->lock);
}

void vx_server_destroy(vx_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    /* After the daemon: closing its connections takes them off the watchdog's lists. */
    vx_watchdog_destroy(server->dog);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
