/* access_log.c - the line per request, in the fields Cloud Logging shows as a request. */
#include "cloud/access_log.h"

#include <stdio.h>
#include <string.h>

#define MAX_FIELDS 11

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
    vx_log_field fields[MAX_FIELDS] = {
        vx_f_str("httpRequest.requestMethod", access->method),
        vx_f_str("httpRequest.requestUrl", access->path),
        vx_f_int("httpRequest.status", access->status),
        vx_f_str("httpRequest.latency", latency),
        vx_f_int("httpRequest.responseSize", (int64_t)access->response_bytes),
        vx_f_str("httpRequest.userAgent", access->user_agent),
        vx_f_str("httpRequest.remoteIp", access->remote_ip),
        vx_f_str("request_id", access->request_id),
    };
    size_t n = 8;
    if (access->code)
        fields[n++] = vx_f_str("code", access->code);
    if (access->client && access->client[0])
        fields[n++] = vx_f_str("client", access->client);
    if (access->trace[0])
        fields[n++] = vx_f_str("logging.googleapis.com/trace", access->trace);
    vx_log_write(log, level_of(access), "request", fields, n);
}

/* Requests that were refused though nothing was wrong with them. */
static vx_metric *refused(vx_metrics *metrics, const char *code)
{
    char label[64];
    snprintf(label, sizeof label, "reason=\"%s\"", code);
    return vx_metrics_counter(metrics, "voxlock_refused_total", "Sound requests refused for want of room or a model.",
                              label);
}

void vx_access_begin(vx_service *service)
{
    static const vx_err reasons[] = {VX_ERR_BUSY, VX_ERR_LIMIT, VX_ERR_CIRCUIT_OPEN, VX_ERR_NOT_READY, VX_ERR_CLOSED};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        (void)refused(vx_service_metrics(service), vx_err_code(reasons[i]));
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
    if (access->code && (access->status == 429 || access->status == 503))
        vx_metric_add(refused(metrics, access->code), 1);
}

void vx_access_write(vx_service *service, const vx_access *access)
{
    write_line(vx_service_log(service), access);
    count(vx_service_metrics(service), access);
}
