/* routes.c - the table of paths. */
#include "cloud/routes.h"

#include <stdio.h>
#include <string.h>

#include "cloud/problem.h"
#include "shared/base/clock.h"

/* path, method, handler, accepts, on_worker, open, quiet */
static const vx_route ROUTES[] = {
    {"/api/ml/speaker_embedding", "POST", vx_route_embedding, VX_BODY_JSON | VX_BODY_RAW, true, false, false},
    {"/api/ml/speaker_verify", "POST", vx_route_verify, VX_BODY_JSON, true, false, false},
    {"/api/ml/speaker_identify", "POST", vx_route_identify, VX_BODY_JSON, true, false, false},
    {"/api/ml/batch_embedding", "POST", vx_route_batch, VX_BODY_JSON, true, false, false},
    {"/api/ml/prepopulate", "POST", vx_route_prepopulate, VX_BODY_JSON, true, false, false},
    {"/api/ml/prewarm", "GET", vx_route_prewarm, VX_BODY_NONE, true, false, false},
    {"/api/ml/prewarm", "POST", vx_route_prewarm, VX_BODY_NONE, true, false, false},
    {"/health", "GET", vx_route_health, VX_BODY_NONE, false, true, true},
    {"/health/live", "GET", vx_route_live, VX_BODY_NONE, false, true, true},
    {"/api/ml/health", "GET", vx_route_ml_health, VX_BODY_NONE, false, true, true},
    {"/status", "GET", vx_route_status, VX_BODY_NONE, false, false, false},
    {"/startup-diagnostics", "GET", vx_route_diagnostics, VX_BODY_NONE, false, false, false},
    {"/metrics", "GET", vx_route_metrics, VX_BODY_NONE, false, false, true},
    {"/openapi.json", "GET", vx_route_openapi, VX_BODY_NONE, false, false, false},
};
#define N_ROUTES (sizeof ROUTES / sizeof ROUTES[0])

static bool takes(const vx_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

const vx_route *vx_routes_find(const char *path, const char *method, char ret_allow[VX_ALLOW_CAP])
{
    ret_allow[0] = '\0';
    for (size_t i = 0; i < N_ROUTES; i++) {
        if (strcmp(ROUTES[i].path, path) != 0)
            continue;
        if (takes(&ROUTES[i], method))
            return &ROUTES[i];
        size_t len = strlen(ret_allow);
        snprintf(ret_allow + len, VX_ALLOW_CAP - len, "%s%s", len ? ", " : "",
                 strcmp(ROUTES[i].method, "GET") == 0 ? "GET, HEAD" : ROUTES[i].method);
    }
    return NULL;
}

const vx_route *vx_routes_at(size_t i)
{
    return i < N_ROUTES ? &ROUTES[i] : NULL;
}

/* What broke inside is not told to the client: here it is for the operator. */
static void log_failure(vx_service *service, const vx_route *route, const vx_request *request, vx_err err,
                        const vx_errinfo *info)
{
    if (vx_problem_status(err) != 500)
        return;
    VX_LOG(vx_service_log(service), VX_LOG_ERROR, "request failed", vx_f_str("request_id", request->id),
           vx_f_str("path", route->path), vx_f_str("code", vx_err_code(err)),
           vx_f_str("reason", vx_errinfo_text(info, err)));
}

void vx_route_run(vx_service *service, const vx_route *route, const vx_request *request, vx_reply *reply)
{
    vx_errinfo info = {0};
    vx_err err = vx_now_ns() >= request->deadline_ns ? VX_ERR_DEADLINE : route->handler(service, request, reply, &info);
    if (!err)
        return;
    log_failure(service, route, request, err, &info);
    vx_problem_reply(reply, request->id, err, &info);
}
