/* access_log.c - the line per request, in the fields Cloud Logging shows as a request. */
#include "cloud/access_log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TRACE_LEN 32
#define N_FIXED   9

void vx_access_trace(const char *header, char ret_trace[33])
{
    ret_trace[0] = '\0';
    if (!header)
        return;
    for (size_t i = 0; i < TRACE_LEN; i++) {
        if (!isxdigit((unsigned char)header[i]))
            return;
    }
    if (header[TRACE_LEN] != '\0' && header[TRACE_LEN] != '/')
        return;
    memcpy(ret_trace, header, TRACE_LEN);
    ret_trace[TRACE_LEN] = '\0';
}

/* Our own failures stand out; a client's mistakes are the client's affair. */
static vx_log_level level_of(const vx_access *access)
{
    if (access->status == 500)
        return VX_LOG_ERROR;
    if (access->status > 500)
        return VX_LOG_WARNING;
    return access->quiet && access->status < 400 ? VX_LOG_DEBUG : VX_LOG_INFO;
}

static void write_line(vx_log *log, const vx_access *access)
{
    char latency[32];
    /* Cloud Logging takes a duration as text of seconds. */
    snprintf(latency, sizeof latency, "%.6fs", access->seconds);
    const vx_log_field fields[N_FIXED] = {
        vx_f_str("httpRequest.requestMethod", access->method),
        vx_f_str("httpRequest.requestUrl", access->path),
        vx_f_int("httpRequest.status", access->status),
        vx_f_str("httpRequest.latency", latency),
        vx_f_int("httpRequest.responseSize", (int64_t)access->response_bytes),
        vx_f_str("httpRequest.userAgent", access->user_agent),
        vx_f_str("httpRequest.remoteIp", access->remote_ip),
        vx_f_str("request_id", access->request_id),
        vx_f_str("logging.googleapis.com/trace", access->trace),
    };
    vx_log_write(log, level_of(access), "request", fields, access->trace[0] ? N_FIXED : N_FIXED - 1);
}

/* Paths that clients invent would each become a series: they share one label. */
static void count(vx_metrics *metrics, const vx_access *access)
{
    char labels[96];
    const char *route = access->route ? access->route : "other";
    snprintf(labels, sizeof labels, "route=\"%s\",status=\"%d\"", route, access->status);
    vx_metric_add(vx_metrics_counter(metrics, "voxlock_requests_total", "Requests answered.", labels), 1);
    snprintf(labels, sizeof labels, "route=\"%s\"", route);
    vx_metric_observe(vx_metrics_latency(metrics, "voxlock_request_seconds",
                                         "From the request line to the end of the answer.", labels),
                      access->seconds);
}

void vx_access_write(vx_service *service, const vx_access *access)
{
    write_line(vx_service_log(service), access);
    count(vx_service_metrics(service), access);
}
