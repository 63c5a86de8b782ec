/* exchange.c - one request: headers, body, worker, reply.
 *
 *   request line   vx_exchange_begin  the clock starts
 *   headers        on_headers         route, limits; a refusal is decided here
 *   body           on_body            kept, or dropped when the request is refused
 *   complete       on_complete        answered here, or suspended and submitted
 *   worker         work, hand_back    the handler runs; resume
 *   resumed        send_reply
 *   sent or gone   vx_exchange_end    logged, freed
 */
#include "cloud/exchange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cloud/access_log.h"
#include "cloud/client.h"
#include "cloud/cors.h"
#include "cloud/http.h"
#include "cloud/negotiate.h"
#include "cloud/problem.h"
#include "cloud/routes.h"
#include "cloud/trace.h"
#include "shared/base/clock.h"
#include "shared/base/gzip.h"

/* A body declared longer than this many times the limit is refused before it is read. Below that it is read and
 * dropped first, since a client that is still sending sees a reset instead of the answer. */
#define REFUSE_FACTOR 4

/* Below this a compressed answer saves nothing that matters; level 1 halves an embedding in 40 us, level 6 in 150. */
#define GZIP_LEAST    1024
#define GZIP_LEVEL    1

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
    bool inflate, deflate; /* the body is gzip; the answer may be */
    uint64_t client;       /* whose turn it is in the queue */
    uint64_t held;         /* this exchange's share of front->buffered */
    vx_request request;
    vx_reply reply;
    vx_access access;
};

/* ---- small things ---------------------------------------------------------------------------------------------- */

static const char *header(const vx_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

/* A value that holds %00 is told by its length; it stands for no value that any route takes. */
static const char *query(const vx_exchange *x, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(x->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &len) !=
        MHD_YES)
        return NULL;
    return value && strlen(value) != len ? "" : value;
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
    if (ok && x->access.origin[0]) {
        ok = MHD_add_response_header(response, "Access-Control-Allow-Origin", x->access.origin) == MHD_YES &&
             MHD_add_response_header(response, "Access-Control-Expose-Headers", "*") == MHD_YES &&
             MHD_add_response_header(response, "Vary", "Origin") == MHD_YES;
    }
    if (ok && vx_flight_draining(&x->front->flight))
        ok = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return ok;
}

/* MHD_NO drops the connection: all that is left when memory is out. */
static enum MHD_Result send_reply(vx_exchange *x)
{
    x->access.status = x->reply.status;
    x->access.code = x->reply.code;
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

/* A body in gzip is unpacked to no more than a plain one might be. */
static vx_err inflate_body(vx_exchange *x, vx_errinfo *info)
{
    vx_buf plain = {0};
    vx_err err = vx_gzip_inflate(x->request.body.data, x->request.body.len, (size_t)x->front->max_body, &plain, info);
    if (err) {
        vx_buf_done(&plain); /* wiped by then, and as large as the limit allows */
        return err;
    }
    drop_body(&x->request.body);
    x->request.body = plain;
    return VX_OK;
}

/* An answer that cannot be compressed goes as it is. */
static void deflate_reply(vx_reply *reply)
{
    vx_buf packed = {0};
    if (reply->fixed || reply->body.len < GZIP_LEAST)
        return;
    /* The coding last: once it is named, nothing may fail any more. */
    if (vx_gzip_deflate(reply->body.data, reply->body.len, GZIP_LEVEL, &packed) ||
        vx_reply_header(reply, "Vary", "Accept-Encoding") || vx_reply_header(reply, "Content-Encoding", "gzip")) {
        vx_buf_wipe_done(&packed);
        return;
    }
    vx_buf_wipe_done(&reply->body);
    reply->body = packed;
}

static void run_route(vx_exchange *x)
{
    vx_errinfo info = {0};
    vx_err err = x->inflate ? inflate_body(x, &info) : VX_OK;
    if (err == VX_ERR_RANGE)
        vx_problem_fault(&x->reply, x->request.id, VX_FAULT_BODY_SIZE, NULL);
    else if (err)
        vx_problem_reply(&x->reply, x->request.id, err, &info);
    else
        vx_route_run(x->front->service, x->route, &x->request, &x->reply);
    if (x->deflate)
        deflate_reply(&x->reply);
}

static void work(void *arg, int worker)
{
    (void)worker;
    vx_exchange *x = arg;
    x->request.started_ns = vx_now_ns();
    vx_service_observe(x->front->service, VX_STAGE_QUEUE,
                       (double)(x->request.started_ns - x->request.complete_ns) / 1e6);
    run_route(x);
    drop_body(&x->request.body);
}

/* From here on x belongs to the I/O thread, which may free it at once. */
static void hand_back(void *arg, int worker)
{
    (void)worker;
    MHD_resume_connection(((vx_exchange *)arg)->connection);
}

/* Suspended first: a worker may be done before submit returns. */
static enum MHD_Result give_to_worker(vx_exchange *x)
{
    x->phase = PHASE_WORKING;
    MHD_suspend_connection(x->connection);
    vx_err err = vx_service_submit(x->front->service, x->client, work, hand_back, x);
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

typedef struct {
    int lengths, codings;
    bool odd_name;
} framing;

static enum MHD_Result look_at_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind, (void)value;
    framing *seen = arg;
    seen->lengths += strcasecmp(name, "Content-Length") == 0;
    seen->codings += strcasecmp(name, "Transfer-Encoding") == 0;
    /* "Content-Length : 2" is some other header to the library, and a length to others. */
    seen->odd_name |= name[strcspn(name, " \t")] != '\0';
    return MHD_YES;
}

/* Where the body ends must have one reading, or a proxy in front of this server may have another. The library takes the
 * first of several lengths or codings. */
static bool is_framing_clear(const vx_exchange *x)
{
    framing seen = {0};
    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, look_at_header, &seen);
    return !seen.odd_name && seen.lengths + seen.codings <= 1 &&
           (seen.codings == 0 || strcasecmp(header(x, "Transfer-Encoding"), "chunked") == 0);
}

static void check_type(vx_exchange *x)
{
    vx_coding coding = vx_coding_of(header(x, "Content-Encoding"));
    if (x->route->accepts == 0)
        return;
    if (coding == VX_CODING_OTHER) {
        refuse(x, VX_FAULT_CONTENT_ENCODING);
        return;
    }
    x->inflate = coding == VX_CODING_GZIP;
    vx_content content = vx_content_of(header(x, "Content-Type"));
    /* What is packed cannot be looked into here: the parser will judge. */
    x->untyped = content == VX_CONTENT_UNSAID && !x->inflate;
    x->request.kind = content == VX_CONTENT_RAW ? VX_BODY_RAW : VX_BODY_JSON;
    if (content == VX_CONTENT_OTHER || !(x->route->accepts & x->request.kind))
        refuse(x, VX_FAULT_CONTENT_TYPE);
}

static void refuse_err(vx_exchange *x, vx_err err)
{
    if (x->refused)
        return;
    vx_problem_reply(&x->reply, x->request.id, err, NULL);
    x->refused = true;
}

/* Who asks, and whether it may. Probes are open: an orchestrator has no key. */
static void check_client(vx_exchange *x)
{
    const char *name = "";
    vx_err err = vx_auth_check(x->front->auth, header(x, "Authorization"), &name);
    x->access.client = err ? "" : name;
    x->client = name[0] ? vx_client_hash("key ", name) : vx_client_hash("address ", x->access.remote_ip);
    if (!err || (x->route && x->route->open))
        return;
    refuse_err(x, err);
    const char *challenge = vx_auth_challenge(err);
    if (challenge && vx_reply_header(&x->reply, "WWW-Authenticate", "%s", challenge)) /* the first: always fits */
        return;
}

/* A page's browser asks first what it may send. The answer is the same for every path. */
static void answer_preflight(vx_exchange *x)
{
    x->reply.status = 204;
    x->refused = vx_reply_header(&x->reply, "Access-Control-Allow-Methods", "GET, POST") == VX_OK &&
                 vx_reply_header(&x->reply, "Access-Control-Allow-Headers",
                                 "Authorization, Content-Type, Content-Encoding, X-Request-Id, traceparent") == VX_OK &&
                 vx_reply_header(&x->reply, "Access-Control-Max-Age", "600") == VX_OK;
}

static bool is_preflight(const vx_exchange *x)
{
    return x->access.origin[0] && strcmp(x->access.method, "OPTIONS") == 0 &&
           header(x, "Access-Control-Request-Method");
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
        if (vx_reply_header(&x->reply, "Allow", "%s", allow)) /* the first: always fits */
            return;
    } else {
        refuse(x, VX_FAULT_PATH);
    }
}

static enum MHD_Result join_forwarded(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    vx_buf *list = arg;
    if (strcasecmp(name, "X-Forwarded-For") != 0 || !vx_buf_printf(list, "%s%s", list->len ? "," : "", value))
        return MHD_YES;
    vx_buf_done(list); /* without its end the list would name whom the client likes */
    return MHD_NO;
}

/* Some proxies add to the client's line, some add a line of their own: in the order of lines both are one list. */
static void read_address(vx_exchange *x)
{
    vx_buf list = {0};
    if (x->front->forwarded_hops > 0)
        MHD_get_connection_values(x->connection, MHD_HEADER_KIND, join_forwarded, &list);
    vx_client_forwarded((const char *)list.data, x->front->forwarded_hops, x->access.remote_ip);
    vx_buf_done(&list);
}

static void read_headers(vx_exchange *x, const char *method)
{
    read_address(x);
    vx_request_id_take(header(x, "X-Request-Id"), x->request.id);
    vx_watch_name(x->front->dog, x->watch, x->request.id);
    copy(x->access.method, sizeof x->access.method, method);
    copy(x->access.user_agent, sizeof x->access.user_agent, header(x, "User-Agent"));
    vx_trace trace;
    if (vx_trace_read(header(x, "traceparent"), header(x, "X-Cloud-Trace-Context"), &trace))
        vx_trace_name(&trace, x->front->project, x->access.trace);
    if (vx_cors_allows(x->front->cors_origins, header(x, "Origin")))
        copy(x->access.origin, sizeof x->access.origin, header(x, "Origin"));
    x->request.format = query(x, "format");
    x->request.sample_rate = query(x, "sample_rate");
    static const char *const types[] = {"application/json", "application/octet-stream"};
    static const char *const codings[] = {"identity", "gzip"};
    x->request.wants_octets = vx_negotiate_type(header(x, "Accept"), types, 2) == 1;
    x->deflate = vx_negotiate_coding(header(x, "Accept-Encoding"), codings, 2) == 1;
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
    if (!clear)
        refuse(x, VX_FAULT_FRAMING);
    else if (is_preflight(x))
        answer_preflight(x);
    else
        find_route(x);
    /* Without a key a client learns no more than that it needs one. */
    if (x->route)
        check_client(x);
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

/* All bodies together have a bound, since many clients may each send what one is allowed to. What counts is what has
 * come: were it what is announced, sixteen headers would keep everyone else out for as long as a body may take. */
static bool hold(vx_exchange *x, uint64_t bytes)
{
    if (bytes <= x->held)
        return true;
    uint64_t more = bytes - x->held;
    if (atomic_fetch_add_explicit(&x->front->buffered, more, memory_order_relaxed) + more > x->front->max_buffered) {
        atomic_fetch_sub_explicit(&x->front->buffered, more, memory_order_relaxed);
        return false;
    }
    x->held = bytes;
    return true;
}

static void release(vx_exchange *x)
{
    atomic_fetch_sub_explicit(&x->front->buffered, x->held, memory_order_relaxed);
    x->held = 0;
}

static void on_body(vx_exchange *x, const char *data, size_t len)
{
    if (x->refused || x->too_large || x->route->accepts == 0)
        return;
    vx_buf *body = &x->request.body;
    uint64_t declared = declared_length(x), need = body->len + len > declared ? body->len + len : declared;
    vx_err err = hold(x, body->len + len) ? VX_OK : VX_ERR_BUSY;
    if (!err && body->len == 0) {
        body->limit = (size_t)x->front->max_body;
        err = vx_buf_reserve(body, (size_t)need);
    }
    if (!err)
        err = vx_buf_append(body, data, len);
    if (!err)
        return;
    drop_body(body);
    release(x);
    x->too_large = err == VX_ERR_OVERFLOW;
    if (!x->too_large)
        refuse_err(x, err);
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
        run_route(x);
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
    release(x);
    vx_reply_done(&x->reply);
    bool counted = x->phase != PHASE_LINE;
    free(x);
    if (counted)
        vx_flight_leave(&front->flight);
}
