/* route_health.c - the probes. On the I/O thread, from state that is at hand, so that they are answered while every
 * worker is busy.
 */
#include <stdio.h>

#include "cloud/answer.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"

/* The words of the service this one replaces; its clients compare them. */
static const char *health_word(vx_startup_state state)
{
    switch (state) {
    case VX_STARTUP_PENDING: return "pending";
    case VX_STARTUP_INITIALIZING:
    case VX_STARTUP_RETRYING: return "initializing";
    case VX_STARTUP_READY: return "healthy";
    case VX_STARTUP_DEGRADED: return "degraded";
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

/* Why there is no model; null unless start-up failed. Health needs no key, so paths stay in /startup-diagnostics. */
static json_t *failure(const vx_service_view *view)
{
    if (view->state != VX_STARTUP_FAILED)
        return json_null();
    return json_string("the model could not be loaded; /startup-diagnostics says why");
}

/* Load balancers look at the status only: not ready is 503. */
static vx_err send_health(vx_reply *reply, const vx_service_view *view, json_t *root, int bad)
{
    bool ready = vx_startup_serves(view->state);
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
    bool ready = vx_startup_serves(view.state);
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
    bad |= json_object_set_new(root, "ecapa_ready", json_boolean(vx_startup_serves(view.state)));
    bad |= json_object_set_new(root, "circuit_breaker", vx_answer_breaker(service));
    return send_health(reply, &view, root, bad);
}

vx_err vx_route_live(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    (void)service, (void)request, (void)info;
    json_t *root = json_object();
    return vx_answer_send(reply, root, json_object_set_new(root, "status", json_string("alive")));
}
