/* exchange.c - one request: headers, body, worker, reply.
 *
 *   request line   vx_exchange_begin  the clock starts
 *   headers        on_headers         route, limits; a refusal is decided here
 *   body           on_body            kept, or dropped when the request is refused
 *   complete       on_complete        answered here, or suspended and submitted
 *   worker         work               the handler runs; resume
 *   resumed        send_reply
 *   sent or gone   vx_exchange_end    logged, freed
 */
#include "cloud/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cloud/access_log.h"
#include "cloud/http.h"
#include "cloud/media.h"
#include "cloud/problem.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"

/* A body declared longer than this many times the limit is refused before it is read. Below that it is read and
 * dropped first, since a client that is still sending sees a reset instead of the answer. */
#define REFUSE_FACTOR 4

typedef enum {
    PHASE_LINE,    /* request line read */
    PHASE_BODY,    /* headers read */
    PHASE_WORKING, /* a worker has it, or had it: the reply is filled when the library calls next */
    PHASE_SENT,    /* the reply was handed over */
} phase;

struct vx_exchange {
    vx_front *front;
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
};

/* ---- small things ---------------------------------------------------------------------------------------------- */

static const char *header(const vx_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static const char *query(const vx_exchange *x, const char *name)
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

/* The capacity may be 16 MiB that a client only announced: what was never written is not touched either. */
static void drop_body(vx_buf *body)
{
    vx_wipe(body->data, body->len);
    vx_buf_done(body);
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

static bool add_headers(struct MHD_Response *response, const vx_exchange *x)
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
    if (ok && vx_flight_draining(&x->front->flight))
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return ok;
}

/* MHD_NO drops the connection: all that is left when memory is out. */
static enum MHD_Result send_reply(vx_exchange *x)
{
    x->access.status = x->reply.status;
    x->access.response_bytes = vx_reply_len(&x->reply);
    struct MHD_Response *response = make_response(&x->reply);
    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (add_headers(response, x) && vx_watch_move(x->front->dog, x->watch, VX_WATCH_QUIET)) {
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
    vx_exchange *x = arg;
    x->request.started_ns = vx_now_ns();
    vx_service_observe(x->front->service, VX_STAGE_QUEUE,
                       (double)(x->request.started_ns - x->request.complete_ns) / 1e6);
    vx_route_run(x->front->service, x->route, &x->request, &x->reply);
    drop_body(&x->request.body);
    /* From here on x belongs to the I/O thread, which may free it at once. */
    MHD_resume_connection(x->connection);
}

/* Suspended first: a worker may be done before submit returns. */
static enum MHD_Result give_to_worker(vx_exchange *x)
{
    x->phase = PHASE_WORKING;
    MHD_suspend_connection(x->connection);
    vx_err err = vx_service_submit(x->front->service, work, x);
    if (err) {
        vx_problem_reply(&x->reply, x->request.id, err, NULL);
        MHD_resume_connection(x->connection);
    }
    return MHD_YES;
}

/* ---- headers --------------------------------------------------------------------------------------------------- */

static void refuse(vx_exchange *x, vx_fault fault)
{
    if (x->refused)
        return;
    vx_problem_fault(&x->reply, x->request.id, fault, NULL);
    x->refused = true;
}

/* Where the body ends must have one reading, or a proxy in front of this server may have another. */
static bool is_framing_clear(const vx_exchange *x)
{
    const char *coding = header(x, "Transfer-Encoding");
    return !coding || (strcasecmp(coding, "chunked") == 0 && !header(x, "Content-Length"));
}

static void check_type(vx_exchange *x)
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

static void find_route(vx_exchange *x)
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

static void read_headers(vx_exchange *x, const char *method)
{
    vx_request_id_take(header(x, "X-Request-Id"), x->request.id);
    vx_watch_name(x->front->dog, x->watch, x->request.id);
    copy(x->access.method, sizeof x->access.method, method);
    copy(x->access.user_agent, sizeof x->access.user_agent, header(x, "User-Agent"));
    vx_access_trace(header(x, "X-Cloud-Trace-Context"), x->access.trace);
    x->request.format = query(x, "format");
    x->request.sample_rate = query(x, "sample_rate");
    x->request.wants_octets = vx_media_prefers_octets(header(x, "Accept"));
}

/* What the client says the body's length is; 0 when it does not say. */
static uint64_t declared_length(const vx_exchange *x)
{
    const char *text = header(x, "Content-Length");
    return text ? strtoull(text, NULL, 10) : 0;
}

/* The library can send an answer here or after the whole body, and one sent here ends the connection. So that ordinary
 * clients read the answer, a refusal waits for the end of the body, except when the client waits for leave to send or
 * would send absurdly much. */
static enum MHD_Result on_headers(vx_exchange *x, const char *method)
{
    x->phase = PHASE_BODY;
    vx_flight_arrive(&x->front->flight);
    read_headers(x, method);
    bool clear = is_framing_clear(x);
    if (clear)
        find_route(x);
    else
        refuse(x, VX_FAULT_FRAMING);
    if (x->route)
        check_type(x);
    uint64_t length = declared_length(x), limit = x->front->max_body;
    if (length > limit)
        refuse(x, VX_FAULT_BODY_SIZE);
    bool waits = header(x, "Expect") != NULL;
    if (x->refused && (waits || !clear || length / REFUSE_FACTOR > limit))
        return send_reply(x);
    return MHD_YES;
}

/* ---- body ------------------------------------------------------------------------------------------------------ */

static void on_body(vx_exchange *x, const char *data, size_t len)
{
    if (x->refused || x->too_large || x->route->accepts == 0)
        return;
    vx_buf *body = &x->request.body;
    vx_err err = VX_OK;
    if (body->len == 0) {
        uint64_t declared = declared_length(x);
        body->limit = (size_t)x->front->max_body;
        err = vx_buf_reserve(body, declared > len ? (size_t)declared : len);
    }
    if (!err)
        err = vx_buf_append(body, data, len);
    if (!err)
        return;
    drop_body(body);
    x->too_large = err == VX_ERR_OVERFLOW;
    if (!x->too_large) {
        vx_problem_reply(&x->reply, x->request.id, err, NULL);
        x->refused = true;
    }
}

static enum MHD_Result on_complete(vx_exchange *x)
{
    x->request.complete_ns = x->request.started_ns = vx_now_ns();
    if (x->too_large)
        refuse(x, VX_FAULT_BODY_SIZE);
    /* Old clients and curl -d send JSON without saying so. */
    if (!x->refused && x->untyped && x->request.body.len > 0 && x->request.body.data[0] != '{')
        refuse(x, VX_FAULT_CONTENT_TYPE);
    /* False: the watchdog has just answered 408 and cut the connection off. */
    if (!vx_watch_move(x->front->dog, x->watch, VX_WATCH_NONE))
        return MHD_NO;
    if (!x->refused && x->route->on_worker)
        return give_to_worker(x);
    if (!x->refused)
        vx_route_run(x->front->service, x->route, &x->request, &x->reply);
    return send_reply(x);
}

/* ---- begin, step, end ------------------------------------------------------------------------------------------ */

/* The path is taken as sent, before escapes are undone: paths are compared exactly. */
vx_exchange *vx_exchange_begin(vx_front *front, struct MHD_Connection *connection, vx_watch *watch, const char *uri)
{
    vx_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->front = front;
    x->connection = connection;
    x->watch = watch;
    x->request.arrived_ns = vx_now_ns();
    x->request.deadline_ns = x->request.arrived_ns + front->deadline_ns;
    size_t path_len = strcspn(uri, "?");
    if (path_len >= sizeof x->access.path) /* longer than any route: what is cut off decides nothing */
        path_len = sizeof x->access.path - 1;
    memcpy(x->access.path, uri, path_len);
    remote_ip(connection, x->access.remote_ip, sizeof x->access.remote_ip);
    vx_request_id_make(x->request.id);
    x->access.request_id = x->request.id;
    vx_watch_name(front->dog, watch, x->request.id);
    vx_watch_move(front->dog, watch, VX_WATCH_UPLOAD);
    return x;
}

enum MHD_Result vx_exchange_step(vx_exchange *x, const char *method, const char *data, size_t *ret_left)
{
    if (x->phase == PHASE_LINE)
        return on_headers(x, method);
    if (*ret_left > 0) {
        on_body(x, data, *ret_left);
        *ret_left = 0;
        return MHD_YES;
    }
    return x->phase == PHASE_BODY ? on_complete(x) : send_reply(x);
}

/* What was not answered by us: cut off by the watchdog, refused by the library itself, or left by the client. */
static int status_without_reply(const vx_exchange *x, bool cut_off)
{
    if (cut_off)
        return 408;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info && info->http_status ? (int)info->http_status : VX_STATUS_CLIENT_GONE;
}

void vx_exchange_end(vx_exchange *x)
{
    vx_front *front = x->front;
    bool alive = vx_watch_move(front->dog, x->watch, VX_WATCH_QUIET);
    if (x->phase != PHASE_SENT)
        x->access.status = status_without_reply(x, !alive);
    x->access.seconds = vx_ms_since(x->request.arrived_ns) / 1e3;
    vx_access_write(front->service, &x->access);
    drop_body(&x->request.body);
    vx_reply_done(&x->reply);
    bool counted = x->phase != PHASE_LINE;
    free(x);
    if (counted)
        vx_flight_leave(&front->flight);
}
