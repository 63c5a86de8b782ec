/* route_status.c - what the service says of itself to an operator: status, start-up, metrics. On the I/O thread, from
 * state that is at hand.
 */
#include <stdio.h>

#include "cloud/answer.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"
#include "shared/base/cpu.h"
#include "shared/base/json.h"

static json_t *timestamp(void)
{
    char text[VX_TIMESTAMP_CAP];
    vx_timestamp(text);
    return json_string(text);
}

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
    bad |= json_object_set_new(part, "device", json_string(info->device));
    bad |= json_object_set_new(part, "precision", json_string(info->precision));
    bad |= json_object_set_new(part, "reason", vx_json_shown(info->reason));
    bad |= json_object_set_new(part, "degraded", json_boolean(info->degraded));
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
    bad |=
        json_object_set_new(part, "self_test_cosine", view->self_test >= -1 ? json_real(view->self_test) : json_null());
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

static json_t *cache_part(vx_service *service)
{
    vx_cache_stats stats;
    vx_inference_cache_stats(vx_service_inference(service), &stats);
    json_t *part = json_object();
    int bad = json_object_set_new(part, "entries", json_integer((json_int_t)stats.entries));
    bad |= json_object_set_new(part, "bytes", json_integer((json_int_t)stats.bytes));
    bad |= json_object_set_new(part, "hits", json_integer((json_int_t)stats.hits));
    bad |= json_object_set_new(part, "misses", json_integer((json_int_t)stats.misses));
    bad |= json_object_set_new(part, "joined", json_integer((json_int_t)stats.joined));
    bad |= json_object_set_new(part, "evicted", json_integer((json_int_t)stats.evicted));
    bad |= json_object_set_new(part, "expired", json_integer((json_int_t)stats.expired));
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
    bool ready = vx_startup_serves(view.state);
    json_t *root = json_object();
    int bad = json_object_set_new(root, "service", json_string("voxlock-cloud"));
    bad |= json_object_set_new(root, "version", json_string(VX_VERSION));
    bad |= json_object_set_new(root, "startup_state", json_string(vx_startup_name(view.state)));
    bad |= json_object_set_new(root, "startup_duration_ms", vx_answer_rounded(view.startup_ms));
    bad |= json_object_set_new(root, "uptime_seconds", vx_answer_rounded(vx_service_uptime_s(service)));
    bad |= json_object_set_new(root, "engine", ready ? engine_part(&view.info) : json_null());
    bad |= json_object_set_new(root, "model", ready ? model_part(&view) : json_null());
    bad |= json_object_set_new(root, "queue", queue_part(service));
    bad |= json_object_set_new(root, "cache", cache_part(service));
    bad |= json_object_set_new(root, "circuit_breaker", vx_answer_breaker(service));
    bad |= json_object_set_new(root, "memory", memory_part());
    bad |= json_object_set_new(root, "timestamp", timestamp());
    return vx_answer_send(reply, root, bad);
}

/* ---- /startup-diagnostics -------------------------------------------------------------------------------------- */

static json_t *event_part(const vx_startup_event *event)
{
    json_t *part = json_object();
    int bad = json_object_set_new(part, "state", json_string(vx_startup_name(event->state)));
    bad |= json_object_set_new(part, "at_ms", vx_answer_rounded(event->at_ms));
    bad |= json_object_set_new(part, "attempt", json_integer(event->attempt));
    bad |= json_object_set_new(part, "reason", vx_json_shown(event->reason));
    return whole(part, bad);
}

static json_t *history_part(vx_service *service)
{
    vx_startup_event events[VX_STARTUP_EVENTS];
    int n = vx_service_history(service, events), bad = 0;
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        bad |= json_array_append_new(list, event_part(&events[i]));
    return whole(list, bad);
}

/* What each strategy said in the latest attempt; the last of them is the one that runs, if one does. */
static json_t *strategies_part(vx_service *service)
{
    vx_engine_trials trials;
    json_t *list = json_array();
    int bad = 0;
    vx_service_trials(service, &trials);
    for (int i = 0; i < trials.n; i++) {
        const vx_engine_trial *trial = &trials.list[i];
        json_t *part = json_object();
        bad |= json_object_set_new(part, "strategy", vx_json_shown(trial->strategy));
        bad |= json_object_set_new(part, "opened", json_boolean(trial->err == VX_OK));
        bad |= json_object_set_new(part, "code", trial->err ? json_string(vx_err_code(trial->err)) : json_null());
        bad |= json_object_set_new(part, "reason", vx_json_shown(trial->text));
        bad |= json_array_append_new(list, whole(part, bad));
    }
    return whole(list, bad);
}

/* Every setting in force and where it came from; secrets are masked by the table. */
static json_t *settings_part(vx_service *service)
{
    const vx_option *option;
    const char *value, *origin;
    json_t *part = json_object();
    int bad = 0;
    for (size_t i = 0; (option = vx_option_at(vx_service_options(service), i, &value, &origin)); i++)
        bad |= json_object_set_new(
            part, option->name,
            json_pack("{s:o, s:o}", "value", vx_json_shown(value), "origin", vx_json_shown(origin)));
    return whole(part, bad);
}

vx_err vx_route_diagnostics(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_view view;
    vx_startup_event events[VX_STARTUP_EVENTS] = {0};
    vx_service_view_get(service, &view);
    bool ready = vx_startup_serves(view.state);
    int retries = events[vx_service_history(service, events) - 1].attempt;
    json_t *root = json_object();
    int bad = json_object_set_new(root, "startup_state", json_string(vx_startup_name(view.state)));
    bad |= json_object_set_new(root, "startup_duration_ms", vx_answer_rounded(view.startup_ms));
    bad |= json_object_set_new(root, "retries", json_integer(retries > 1 ? retries - 1 : 0));
    bad |= json_object_set_new(root, "history", history_part(service));
    bad |= json_object_set_new(root, "strategies", strategies_part(service));
    bad |= json_object_set_new(root, "model_folder", vx_json_shown(view.folder));
    bad |= json_object_set_new(root, "engine", ready ? engine_part(&view.info) : json_null());
    bad |= json_object_set_new(root, "settings", settings_part(service));
    bad |= json_object_set_new(root, "version", json_string(VX_VERSION));
    bad |= json_object_set_new(root, "timestamp", timestamp());
    return vx_answer_send(reply, root, bad);
}

/* ---- /metrics -------------------------------------------------------------------------------------------------- */

vx_err vx_route_metrics(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)request, (void)info;
    vx_service_refresh_gauges(service);
    reply->status = 200;
    reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return vx_metrics_write(vx_service_metrics(service), &reply->body);
}
