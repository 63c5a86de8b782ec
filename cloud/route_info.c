/* route_info.c - health, status and metrics: what the service says of itself. All of it on the I/O thread, from state
 * that is at hand, so that probes are answered while every worker is busy.
 */
#include <stdio.h>

#include "cloud/answer.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"

/* The words of the service this one replaces; its clients compare them. */
static const char *health_word(vx_startup_state state)
{
    switch (state) {
    case VX_STARTUP_PENDING: return "pending";
    case VX_STARTUP_INITIALIZING: return "initializing";
    case VX_STARTUP_READY: return "healthy";
    case VX_STARTUP_FAILED: return "unhealthy";
    }
    return "unhealthy";
}

static json_t *timestamp(void)
{
    char text[VX_TIMESTAMP_CAP];
    vx_timestamp(text);
    return json_string(text);
}

/* Why there is no model, without the paths that the log tells; null unless start-up failed. */
static json_t *failure(const vx_service_view *view)
{
    if (view->state != VX_STARTUP_FAILED)
        return json_null();
    return json_sprintf("%s (%s)", vx_err_sentence(view->error.code), view->error.text);
}

/* Load balancers look at the status only: not ready is 503. */
static vx_err send_health(vx_reply *reply, const vx_service_view *view, json_t *root, int bad)
{
    bool ready = view->state == VX_STARTUP_READY;
    vx_err err = vx_answer_send(reply, root, bad);
    if (!err && !ready) {
        reply->status = 503;
        reply->retry_after_s = 2;
    }
    return err;
}

vx_err vx_route_health(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_view view;
    vx_service_view_get(service, &view);
    bool ready = view.state == VX_STARTUP_READY;
    char source[32] = "";
    if (ready)
        snprintf(source, sizeof source, "prebaked_%s", view.info.strategy);

    json_t *root = json_object();
    int bad = json_object_set_new(root, "status", json_string(health_word(view.state)));
    bad |= json_object_set_new(root, "ecapa_ready", json_boolean(ready));
    bad |= json_object_set_new(root, "startup_state", json_string(vx_startup_name(view.state)));
    bad |= json_object_set_new(root, "startup_duration_ms", vx_answer_rounded(view.startup_ms));
    bad |= json_object_set_new(root, "load_source", ready ? json_string(source) : json_null());
    bad |= json_object_set_new(root, "using_prebaked_cache", json_boolean(ready));
    bad |= json_object_set_new(root, "load_time_ms", ready ? vx_answer_rounded(view.load_ms) : json_null());
    bad |= json_object_set_new(root, "version", json_string(VX_VERSION));
    bad |= json_object_set_new(root, "timestamp", timestamp());
    bad |= json_object_set_new(root, "error", failure(&view));
    return send_health(reply, &view, root, bad);
}

vx_err vx_route_ml_health(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_view view;
    vx_service_view_get(service, &view);
    json_t *root = json_object();
    int bad = json_object_set_new(root, "status", json_string(health_word(view.state)));
    bad |= json_object_set_new(root, "ecapa_ready", json_boolean(view.state == VX_STARTUP_READY));
    bad |= json_object_set_new(root, "circuit_breaker", json_null());
    return send_health(reply, &view, root, bad);
}

vx_err vx_route_live(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)service, (void)request, (void)info;
    json_t *root = json_object();
    return vx_answer_send(reply, root, json_object_set_new(root, "status", json_string("alive")));
}

/* ---- /status --------------------------------------------------------------------------------------------------- */

/* An object that lacks a field for want of memory is none: NULL, which fails the answer it was meant for. */
static json_t *whole(json_t *part, int bad)
{
    if (!bad)
        return part;
    json_decref(part);
    return NULL;
}

static json_t *engine_part(const vx_engine_info *info)
{
    json_t *part = json_object();
    int bad = json_object_set_new(part, "strategy", json_string(info->strategy));
    bad |= json_object_set_new(part, "gemm", json_string(info->gemm));
    bad |= json_object_set_new(part, "isa", json_string(info->isa));
    bad |= json_object_set_new(part, "precision", json_string(info->precision));
    bad |= json_object_set_new(part, "reason", json_string(info->reason));
    bad |= json_object_set_new(part, "threads_per_clip", json_integer(info->threads));
    return whole(part, bad);
}

static json_t *model_part(const vx_service_view *view)
{
    const vx_manifest *manifest = view->info.manifest;
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&manifest->digest, digest);
    json_t *part = json_object();
    int bad = json_object_set_new(part, "digest", json_string(digest));
    bad |= json_object_set_new(part, "name", json_string(manifest->name));
    bad |= json_object_set_new(part, "source", json_string(manifest->source));
    bad |= json_object_set_new(part, "licence", json_string(manifest->licence));
    bad |= json_object_set_new(part, "accuracy", json_string(manifest->accuracy));
    bad |= json_object_set_new(part, "embedding_size", json_integer(manifest->dim));
    bad |= json_object_set_new(part, "threshold", json_real(manifest->threshold));
    bad |= json_object_set_new(part, "calibrated", json_boolean(manifest->calibrated));
    bad |= json_object_set_new(part, "weights_bytes", json_integer((json_int_t)view->info.weights_bytes));
    bad |= json_object_set_new(part, "load_ms", vx_answer_rounded(view->load_ms));
    bad |= json_object_set_new(part, "warmup_ms", vx_answer_rounded(view->warmup_ms));
    return whole(part, bad);
}

static json_t *queue_part(vx_service *service)
{
    size_t waiting, running;
    int workers;
    vx_service_queue(service, &waiting, &running, &workers);
    json_t *part = json_object();
    int bad = json_object_set_new(part, "workers", json_integer(workers));
    bad |= json_object_set_new(part, "running", json_integer((json_int_t)running));
    bad |= json_object_set_new(part, "waiting", json_integer((json_int_t)waiting));
    bad |=
        json_object_set_new(part, "limit", json_integer(vx_option_int(vx_service_options(service), "VOXLOCK_QUEUE")));
    return whole(part, bad);
}

static json_t *memory_part(void)
{
    json_t *part = json_object();
    int bad = json_object_set_new(part, "resident_bytes", json_integer((json_int_t)vx_rss_bytes()));
    bad |= json_object_set_new(part, "resident_peak_bytes", json_integer((json_int_t)vx_rss_peak_bytes()));
    return whole(part, bad);
}

vx_err vx_route_status(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_view view;
    vx_service_view_get(service, &view);
    bool ready = view.state == VX_STARTUP_READY;
    json_t *root = json_object();
    int bad = json_object_set_new(root, "service", json_string("voxlock-cloud"));
    bad |= json_object_set_new(root, "version", json_string(VX_VERSION));
    bad |= json_object_set_new(root, "startup_state", json_string(vx_startup_name(view.state)));
    bad |= json_object_set_new(root, "startup_duration_ms", vx_answer_rounded(view.startup_ms));
    bad |= json_object_set_new(root, "uptime_seconds", vx_answer_rounded(vx_service_uptime_s(service)));
    bad |= json_object_set_new(root, "engine", ready ? engine_part(&view.info) : json_null());
    bad |= json_object_set_new(root, "model", ready ? model_part(&view) : json_null());
    bad |= json_object_set_new(root, "queue", queue_part(service));
    bad |= json_object_set_new(root, "memory", memory_part());
    bad |= json_object_set_new(root, "timestamp", timestamp());
    bad |= json_object_set_new(root, "error", failure(&view));
    return vx_answer_send(reply, root, bad);
}

vx_err vx_route_metrics(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_refresh_gauges(service);
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return vx_metrics_write(vx_service_metrics(service), &reply->body);
}
