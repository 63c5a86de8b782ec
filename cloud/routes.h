/* routes.h - what the service answers, one row a path and method.
 * Owns:   the table, and running a handler. Does not: know the HTTP library.
 */
#ifndef VX_CLOUD_ROUTES_H
#define VX_CLOUD_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "cloud/http.h"
#include "cloud/service.h"

/* Fills the reply, or fails: the failure becomes a problem, and what the reply held is dropped. */
typedef vx_err vx_handler(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info);

typedef struct {
    const char *path;
    const char *method; /* GET answers HEAD too */
    vx_handler *handler;
    unsigned accepts; /* vx_body_kind bits; 0: a body is read and dropped */
    bool on_worker;   /* false: cheap enough for the I/O thread, so that it answers under any load */
    bool open;        /* answered without a key */
    bool quiet;       /* probes: success is logged at debug level */
} vx_route;

/* route_embedding.c, route_verify.c, route_identify.c, route_batch.c */
vx_handler vx_route_embedding, vx_route_verify, vx_route_identify, vx_route_batch, vx_route_prepopulate;
/* route_health.c */
vx_handler vx_route_health, vx_route_ml_health, vx_route_live;
/* route_status.c */
vx_handler vx_route_status, vx_route_diagnostics, vx_route_metrics;
/* route_prewarm.c */
vx_handler vx_route_prewarm;
/* route_openapi.c */
vx_handler vx_route_openapi;

#define VX_ALLOW_CAP 32
/* The row for a path and method, compared exactly. When there is none, ret_allow names the methods that the path does
 * take, "" for a path that does not exist. */
const vx_route *vx_routes_find(const char *path, const char *method, char ret_allow[VX_ALLOW_CAP]);
/* The i-th row, NULL past the end. */
const vx_route *vx_routes_at(size_t i);

/* Runs the handler, unless the deadline has passed; failures become problems. The reply is always filled. */
void vx_route_run(vx_service *service, const vx_route *route, const vx_request *request, vx_reply *reply);

#endif
