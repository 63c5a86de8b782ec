/* answer.h - the parts that answers share, as JSON.
 * Each function adds fields to an object and returns 0, or -1 when memory is out, so that a caller can add up the
 * results and look once. Keys appear in the order they are added.
 */
#ifndef VX_CLOUD_ANSWER_H
#define VX_CLOUD_ANSWER_H

#include <jansson.h>

#include "cloud/http.h"
#include "cloud/service.h"
#include "shared/audio/audio.h"
#include "shared/engine/embedding.h"

/* Milliseconds between two vx_now_ns() readings. */
static inline double vx_ms_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0;
}

/* A number with at most three decimals: times, levels. */
json_t *vx_answer_rounded(double value);
/* How a client wants the vector in JSON: as numbers, or as base64 of little-endian float32. */
typedef enum { VX_VECTOR_FLOAT, VX_VECTOR_BASE64 } vx_vector_form;
/* Reads encoding_format, "float" or "base64"; absent is float. Errors: JSON_FIELD. */
VX_MUST_CHECK vx_err vx_answer_form(const json_t *root, vx_vector_form *ret_form, vx_errinfo *info);
/* The vector as little-endian float32, appended to out. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_answer_octets(const vx_embedding *embedding, vx_buf *out);
/* The vector alone; NULL when memory is out. */
json_t *vx_answer_vector(const vx_embedding *embedding, vx_vector_form form);
/* embedding, embedding_size */
int vx_answer_embedding(json_t *obj, const vx_embedding *embedding, vx_vector_form form);
/* model (digest text), model_name */
int vx_answer_model(json_t *obj, const vx_embedding *embedding, const vx_engine_info *info);
/* engine: strategy, gemm, isa, precision */
int vx_answer_engine(json_t *obj, const vx_engine_info *info);
/* `key`: seconds, sample_rate, channels, format, clipped_share, level_dbfs */
int vx_answer_audio(json_t *obj, const char *key, const vx_audio *audio);
/* The circuit breaker as an object: state, failures, opened_count, retry_after_seconds. NULL when memory is out. */
json_t *vx_answer_breaker(vx_service *service);
/* timing_ms: decode, features, inference, queue, total */
int vx_answer_timing(json_t *obj, const vx_request *request, const vx_stage_times *times, double total_ms);

/* The header Server-Timing, of the same times. Errors: INTERNAL. */
VX_MUST_CHECK vx_err vx_answer_server_timing(vx_reply *reply, const vx_request *request, const vx_stage_times *times,
                                             double total_ms);

/* For handlers: takes root and ends the answer with 200, or with NOMEM when bad is not 0. */
VX_MUST_CHECK vx_err vx_answer_send(vx_reply *reply, json_t *root, int bad);

#endif
