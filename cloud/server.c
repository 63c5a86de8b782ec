/* server.c - the HTTP library's daemon: its options, its callbacks, its end.
 * Everything below runs on the library's one I/O thread, except start, drain and destroy.
 */
#include "cloud/server.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cloud/access_log.h"
#include "cloud/exchange.h"
#include "cloud/listen.h"
#include "cloud/trace.h"
#include "shared/base/clock.h"

/* Request line and headers must fit, and pieces of the body come in up to half this size: 2,000 connections cost
 * 64 MiB at worst. */
#define CONNECTION_MEMORY (32 * 1024)

struct vx_server {
    vx_front front;
    bool has_flight;
    struct MHD_Daemon *daemon;
    int listen_fd;
};

/* ---- callbacks ------------------------------------------------------------------------------------------------- */

static void *on_request_line(void *arg, const char *uri, struct MHD_Connection *connection)
{
    vx_server *server = arg;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!info || !info->socket_context)
        return NULL;
    return vx_exchange_begin(&server->front, connection, info->socket_context, uri);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *data, size_t *ret_left, void **context)
{
    (void)arg, (void)connection, (void)url, (void)version;
    /* NULL: memory was out at the request line. */
    return *context ? vx_exchange_step(*context, method, data, ret_left) : MHD_NO;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    if (*context)
        vx_exchange_end(*context);
    *context = NULL;
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
        vx_watch_move(server->front.dog, watch, VX_WATCH_QUIET);
        *context = watch;
    } else if (*context) {
        /* The library closes the socket after this call. */
        vx_watch_move(server->front.dog, *context, VX_WATCH_NONE);
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
    VX_LOG(vx_service_log(server->front.service), VX_LOG_DEBUG, "http library", vx_f_str("text", text));
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static struct MHD_Daemon *start_daemon(vx_server *server, const vx_options *options)
{
    const unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, server,
        MHD_OPTION_LISTEN_SOCKET, server->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)vx_option_int(options, "VOXLOCK_MAX_CONNECTIONS"),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        /* Requests that two programs may read differently (no Host, spaces in the path) are refused. */
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

/* The library's own timeout stays off: it counts silence, so that it would close a stalled upload without an answer,
 * and wait for ever for a request line that comes a byte at a time. */
static vx_err start_watchdog(vx_server *server, const vx_options *options)
{
    const uint64_t limit_ms[VX_WATCH_LISTS] = {
        [VX_WATCH_QUIET] = (uint64_t)vx_option_int(options, "VOXLOCK_IDLE_TIMEOUT_S") * 1000,
        [VX_WATCH_UPLOAD] = (uint64_t)vx_option_int(options, "VOXLOCK_BODY_TIMEOUT_MS"),
    };
    return vx_watchdog_create(limit_ms, &server->front.dog);
}

static vx_err read_settings(vx_front *front, const vx_options *options, vx_errinfo *info)
{
    front->max_body = (uint64_t)vx_option_int(options, "VOXLOCK_MAX_BODY");
    front->deadline_ns = (uint64_t)vx_option_int(options, "VOXLOCK_DEADLINE_MS") * 1000000u;
    front->max_buffered = (uint64_t)vx_option_int(options, "VOXLOCK_MAX_BUFFERED");
    front->forwarded_hops = (int)vx_option_int(options, "VOXLOCK_FORWARDED_HOPS");
    front->project = vx_option_text(options, "VOXLOCK_GCP_PROJECT");
    front->cors_origins = vx_option_text(options, "VOXLOCK_CORS_ORIGINS");
    vx_err err = vx_trace_check_project(front->project, info);
    if (!err)
        err = vx_auth_create(vx_option_text(options, "VOXLOCK_API_KEYS"), &front->auth, info);
    return err;
}

static vx_err start_flight(vx_server *server)
{
    vx_metric *gauge = vx_metrics_gauge(vx_service_metrics(server->front.service), "voxlock_in_flight",
                                        "Requests whose headers have arrived and that are not answered.", "");
    vx_err err = vx_flight_init(&server->front.flight, gauge);
    server->has_flight = !err;
    vx_access_begin(server->front.service);
    return err;
}

vx_err vx_server_start(vx_service *service, vx_server **ret_server, int *ret_port, vx_errinfo *info)
{
    const vx_options *options = vx_service_options(service);
    int port = 0;
    vx_server *server = calloc(1, sizeof *server);
    if (!server)
        return VX_ERR_NOMEM;
    server->front.service = service;
    server->listen_fd = -1;
    vx_err err = read_settings(&server->front, options, info);
    if (!err)
        err = start_flight(server);
    if (!err)
        err = vx_listen(vx_option_text(options, "VOXLOCK_BIND"), (int)vx_option_int(options, "PORT"),
                        &server->listen_fd, &port, info);
    if (!err)
        err = start_watchdog(server, options);
    if (!err) {
        server->daemon = start_daemon(server, options);
        if (!server->daemon) {
            server->listen_fd = -1; /* the library has closed it on most of its ways out; the program ends anyway */
            err = vx_errinfo_set(info, VX_ERR_INTERNAL, "the HTTP library could not start");
        }
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
    vx_flight_drain(&server->front.flight, until);
}

void vx_server_destroy(vx_server *server)
{
    if (!server)
        return;
    if (server->daemon) {
        /* A quiesced daemon leaves the listening socket to us. */
        MHD_quiesce_daemon(server->daemon);
        MHD_stop_daemon(server->daemon);
    }
    /* After the daemon: closing its connections takes them off the watchdog's lists. */
    vx_watchdog_destroy(server->front.dog);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->has_flight)
        vx_flight_done(&server->front.flight);
    vx_auth_destroy(server->front.auth);
    free(server);
}
