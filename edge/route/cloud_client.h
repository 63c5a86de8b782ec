/* cloud_client.h - asks voxlock-cloud for an embedding.
 * Owns:   the connection (libcurl: kept alive, HTTP/2 where offered, TLS verified, gzip), the breaker, the timeout that
 *         learns. Does not: decide whether to ask (router.h).
 */
#ifndef VX_EDGE_ROUTE_CLOUD_CLIENT_H
#define VX_EDGE_ROUTE_CLOUD_CLIENT_H

#include "edge/route/identity.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/base/options.h"
#include "shared/engine/embedding.h"
#include "shared/resilience/breaker.h"

typedef struct {
    const char *endpoint; /* "https://voxlock-ml-...run.app"; http only to loopback */
    vx_identity_options identity;
    const char *ca_file; /* NULL: the system's */
    int timeout_ms;      /* base, and most of one request; 3000 */
    int breaker_failures;
    uint64_t breaker_open_ns;
    vx_model_digest model; /* embeddings of another model are refused (MODEL_MISMATCH) */
    int dim;
} vx_cloud_options;
/* From VOXLOCK_CLOUD_*; model and dim are the caller's to set. NOT_FOUND when no endpoint is set. */
VX_MUST_CHECK vx_err vx_cloud_settings(const vx_options *settings, vx_cloud_options *ret_options, vx_errinfo *info);

typedef struct vx_cloud vx_cloud;

/* Texts are copied. curl_global_init is the program's. Errors: OPTION_VALUE (endpoint), NOMEM. */
VX_MUST_CHECK vx_err vx_cloud_create(const vx_cloud_options *options, vx_clock clock, vx_cloud **ret_cloud,
                                     vx_errinfo *info);
void vx_cloud_destroy(vx_cloud *cloud);

/* One utterance, sent as PCM int16. Tried once more on a connection that turned out to be dead, and once with a fresh
 * token after 401; nothing else is repeated, since the caller has a device to fall back on.
 * deadline_ns [in] by vx_now_ns(); the earlier of it and the learned timeout
 * pressure    [in] share of memory in use, for the timeout
 * Threads     any; each call has a connection of its own from a small pool
 * Errors      CIRCUIT_OPEN (retry_s), DEADLINE, NETWORK, TOKEN, CLOUD_REFUSED (the service's problem code in the text;
 *             AUDIO_* where it said so), CLOUD_ANSWER (not JSON, wrong length, not finite, not of length 1),
 *             MODEL_MISMATCH, NOMEM */
VX_MUST_CHECK vx_err vx_cloud_embed(vx_cloud *cloud, const float *samples, size_t n, uint64_t deadline_ns,
                                    double pressure, vx_embedding *ret_embedding, vx_errinfo *info);
/* GET /health, for doctor and status: VX_OK when it is reachable, ready and of this model. Not counted by the breaker. */
VX_MUST_CHECK vx_err vx_cloud_health(vx_cloud *cloud, uint64_t deadline_ns, vx_errinfo *info);

typedef struct {
    vx_breaker_view breaker;
    uint64_t n_asked, n_answered, n_failed;
    double average_ms, timeout_ms; /* of answers; of the next request */
} vx_cloud_view;
void vx_cloud_get_view(vx_cloud *cloud, vx_cloud_view *ret_view);

#endif
