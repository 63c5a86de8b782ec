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
    bool keeps_level; /* the model's front end does not subtract the mean, so that loudness must not be changed */
} vx_cloud_options;
/* From VOXLOCK_CLOUD_*; model, dim and keeps_level are the caller's to set. NOT_FOUND when no endpoint is set. */
VX_MUST_CHECK vx_err vx_cloud_settings(const vx_options *settings, vx_cloud_options *ret_options, vx_errinfo *info);

typedef struct vx_cloud vx_cloud;

/* Texts are copied. identity.audience NULL is the endpoint, identity.ca_file NULL is ca_file.
 * Errors: OPTION_VALUE (endpoint, identity), UNSUPPORTED (no libcurl), ARG (dim, timeout, breaker), NOMEM. */
VX_MUST_CHECK vx_err vx_cloud_create(const vx_cloud_options *options, vx_clock clock, vx_cloud **ret_cloud,
                                     vx_errinfo *info);
void vx_cloud_destroy(vx_cloud *cloud);

/* One utterance, sent as PCM int16, scaled to full scale unless keeps_level. Tried once more on a connection that turned
 * out to be dead, and once with a fresh token after 401; nothing else is repeated, since the caller has a device to fall
 * back on.
 * deadline_ns [in] by vx_now_ns(); the earlier of it and the learned timeout
 * pressure    [in] share of memory in use, for the timeout
 * Threads     any; each call has a connection of its own from a small pool
 *
 * The breaker counts what is wrong with the way to the service or with the service: name, network, certificate, token,
 * 401, 403, 429, 5xx, answers that cannot be used, another model, and no answer within the timeout. It does not count
 * what is wrong with the recording (413, 415, 422), want of memory here, or a deadline that left less than both a second
 * and the timeout.
 * Errors      AUDIO_EMPTY, AUDIO_LONG, AUDIO_NOT_FINITE (nothing is sent); CIRCUIT_OPEN (retry_s), DEADLINE, NETWORK,
 *             TOKEN, CLOUD_REFUSED (the service's problem code in the text; AUDIO_* where it said so), CLOUD_ANSWER
 *             (another type, wrong length, not finite, not of length 1, too large), MODEL_MISMATCH, and those of
 *             vx_identity_header; NOMEM */
VX_MUST_CHECK vx_err vx_cloud_embed(vx_cloud *cloud, const float *samples, size_t n, uint64_t deadline_ns,
                                    double pressure, vx_embedding *ret_embedding, vx_errinfo *info);
/* GET /status, for doctor and status: VX_OK when it is reachable, lets us in, is ready and of this model. Neither asks nor
 * informs the breaker. Errors: as above, and NOT_READY. */
VX_MUST_CHECK vx_err vx_cloud_health(vx_cloud *cloud, uint64_t deadline_ns, vx_errinfo *info);

typedef struct {
    vx_breaker_view breaker;
    uint64_t n_asked, n_answered, n_failed;
    double average_ms, timeout_ms; /* of answers; of the next request */
} vx_cloud_view;
void vx_cloud_get_view(vx_cloud *cloud, vx_cloud_view *ret_view);

#endif
