/* cloud_answer.h - what an answer of the cloud service says, checked as the hostile input that it is. Private to route.
 * Owns:   the embedding, the problem, the status. Does not: send anything, or judge the service (cloud_client.c).
 */
#ifndef VX_EDGE_ROUTE_CLOUD_ANSWER_H
#define VX_EDGE_ROUTE_CLOUD_ANSWER_H

#include "edge/route/http.h"
#include "shared/base/err.h"
#include "shared/engine/embedding.h"

/* Most of one answer: an embedding of the largest dimension is 2 KiB, a status under 2 KiB, a problem under 1 KiB. */
enum { VX_CLOUD_ANSWER_MAX = 16 * 1024 };

/* The answer to POST /api/ml/speaker_embedding with Accept: application/octet-stream.
 * ret_embedding [out] untouched on failure
 * Errors   CLOUD_REFUSED (any status but 200; info has the service's code, and when to come back), AUDIO_* (a refusal
 *          that says so), CLOUD_ANSWER (another type, wrong length, not finite, not of length 1, of no model),
 *          MODEL_MISMATCH */
VX_MUST_CHECK vx_err vx_cloud_read_embedding(const vx_http_answer *answer, const vx_model_digest *model, int dim,
                                             vx_embedding *ret_embedding, vx_errinfo *info);
/* The answer to GET /status. VX_OK: it serves embeddings of this model. Errors: CLOUD_REFUSED, CLOUD_ANSWER, NOT_READY,
 * MODEL_MISMATCH, NOMEM. */
VX_MUST_CHECK vx_err vx_cloud_read_status(const vx_http_answer *answer, const vx_model_digest *model, vx_errinfo *info);

#endif
