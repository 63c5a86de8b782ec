/* router.h - who computes an embedding: this device, or the cloud.
 * Owns:   the rules. Below 85 % memory pressure the device; from there the cloud if its breaker is closed, else the
 *         device; whoever fails or is late hands over to the other; both failed is an error.
 *         Does not: compute or connect: both are given to it.
 */
#ifndef VX_EDGE_ROUTE_ROUTER_H
#define VX_EDGE_ROUTE_ROUTER_H

#include "edge/route/cloud_client.h"
#include "edge/route/memory.h"
#include "shared/base/err.h"
#include "shared/engine/embedding.h"

typedef enum { VX_ROUTE_DEVICE, VX_ROUTE_CLOUD, VX_ROUTE_NOWHERE } vx_route_by;
/* "device", "cloud", "nowhere". */
const char *vx_route_name(vx_route_by by);

/* Embeds on the device. deadline_ns: for acquiring the model; a running inference is not cut off. */
typedef vx_err vx_device_embed_fn(void *arg, const float *samples, size_t n, uint64_t deadline_ns,
                                  vx_embedding *ret_embedding, vx_errinfo *info);

typedef struct {
    vx_device_embed_fn *device; /* NULL: there is none */
    void *device_arg;
    vx_cloud *cloud;     /* NULL: none is set up */
    double max_pressure; /* VOXLOCK_CLOUD_PRESSURE, 0.85 */
} vx_router;

typedef struct {
    vx_route_by by;
    double pressure; /* -1: could not be read, which counts as none */
    double elapsed_ms;
    char reason[256]; /* "memory 91 % in use, cloud timed out after 3000 ms: computed on the device" */
} vx_route_report;

/* What would be asked first. Pure.
 * breaker_closed [in] also true for HALF_OPEN, which lets one probe through: without one it would never close */
vx_route_by vx_route_first(const vx_router *router, double pressure, bool breaker_closed);
/* pressure [in] share of memory in use, or -1
 * What the device says of the recording (AUDIO_*) is final; what the cloud says of it is not. While there is a device to
 * fall back on, the cloud gets half of the time that is left.
 * Errors   what the last one tried said; info holds it, and report->reason both */
VX_MUST_CHECK vx_err vx_route_embed(const vx_router *router, double pressure, const float *samples, size_t n,
                                    uint64_t deadline_ns, vx_embedding *ret_embedding, vx_route_report *ret_report,
                                    vx_errinfo *info);

#endif
