/* answer.c - parts of answers. */
#include "cloud/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/base64.h"
#include "shared/base/json.h"

json_t *vx_answer_rounded(double value)
{
    return json_real(round(value * 1e3) / 1e3);
}

vx_err vx_answer_form(const json_t *root, vx_vector_form *ret_form, vx_errinfo *info)
{
    const char *name = "float";
    vx_err err = vx_json_text(root, "encoding_format", false, &name, NULL, info);
    if (err)
        return err;
    if (strcmp(name, "float") != 0 && strcmp(name, "base64") != 0)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field 'encoding_format' must be float or base64");
    *ret_form = strcmp(name, "base64") == 0 ? VX_VECTOR_BASE64 : VX_VECTOR_FLOAT;
    return VX_OK;
}

vx_err vx_answer_octets(const vx_embedding *embedding, vx_buf *out)
{
    vx_err err = vx_buf_reserve(out, (size_t)embedding->dim * 4);
    for (int i = 0; !err && i < embedding->dim; i++) {
        uint32_t bits;
        memcpy(&bits, &embedding->values[i], sizeof bits);
        const uint8_t le[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
        err = vx_buf_append(out, le, sizeof le);
    }
    return err;
}

static json_t *base64_vector(const vx_embedding *embedding)
{
    vx_buf octets = {0};
    char text[VX_EMBEDDING_MAX_DIM * 4 * 4 / 3 + 8];
    json_t *string = NULL;
    if (!vx_answer_octets(embedding, &octets)) {
        vx_base64_encode(octets.data, octets.len, text);
        string = json_string(text);
        vx_wipe(text, sizeof text);
    }
    vx_buf_wipe_done(&octets);
    return string;
}

json_t *vx_answer_vector(const vx_embedding *embedding, vx_vector_form form)
{
    return form == VX_VECTOR_BASE64 ? base64_vector(embedding)
                                    : vx_json_from_floats(embedding->values, (size_t)embedding->dim);
}

int vx_answer_embedding(json_t *obj, const vx_embedding *embedding, vx_vector_form form)
{
    int bad = json_object_set_new(obj, "embedding", vx_answer_vector(embedding, form));
    return bad | json_object_set_new(obj, "embedding_size", json_integer(embedding->dim));
}

int vx_answer_model(json_t *obj, const vx_embedding *embedding, const vx_engine_info *info)
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&embedding->model, digest);
    int bad = json_object_set_new(obj, "model", json_string(digest));
    return bad | json_object_set_new(obj, "model_name", json_string(info->manifest->name));
}

int vx_answer_engine(json_t *obj, const vx_engine_info *info)
{
    json_t *engine = json_object();
    int bad = json_object_set_new(engine, "strategy", json_string(info->strategy));
    bad |= json_object_set_new(engine, "gemm", json_string(info->gemm));
    bad |= json_object_set_new(engine, "isa", json_string(info->isa));
    bad |= json_object_set_new(engine, "precision", json_string(info->precision));
    return bad | json_object_set_new(obj, "engine", engine);
}

int vx_answer_audio(json_t *obj, const char *key, const vx_audio *audio)
{
    json_t *part = json_object();
    int bad = json_object_set_new(part, "seconds", vx_answer_rounded(audio->seconds));
    bad |= json_object_set_new(part, "sample_rate", json_integer(audio->source_rate));
    bad |= json_object_set_new(part, "channels", json_integer(audio->source_channels));
    bad |= json_object_set_new(part, "format", json_string(audio->format));
    bad |= json_object_set_new(part, "clipped_share", json_real(audio->clipped_share));
    bad |= json_object_set_new(part, "level_dbfs", vx_answer_rounded(audio->level_dbfs));
    return bad | json_object_set_new(obj, key, part);
}

json_t *vx_answer_breaker(vx_service *service)
{
    vx_breaker_view view;
    vx_inference_breaker_view(vx_service_inference(service), &view);
    return json_pack("{s:s, s:i, s:I, s:o}", "state", vx_breaker_name(view.state), "failures", view.failures_in_row,
                     "opened_count", (json_int_t)view.opened_count, "retry_after_seconds",
                     view.retry_ns ? vx_answer_rounded((double)view.retry_ns / 1e9) : json_null());
}

int vx_answer_timing(json_t *obj, const vx_request *request, const vx_stage_times *times, double total_ms)
{
    json_t *part = json_object();
    int bad = json_object_set_new(part, "decode", vx_answer_rounded(times->decode_ms));
    bad |= json_object_set_new(part, "features", vx_answer_rounded(times->features_ms));
    bad |= json_object_set_new(part, "inference", vx_answer_rounded(times->inference_ms));
    bad |=
        json_object_set_new(part, "queue", vx_answer_rounded(vx_ms_between(request->complete_ns, request->started_ns)));
    bad |= json_object_set_new(part, "total", vx_answer_rounded(total_ms));
    return bad | json_object_set_new(obj, "timing_ms", part);
}

vx_err vx_answer_server_timing(vx_reply *reply, const vx_request *request, const vx_stage_times *times, double total_ms)
{
    return vx_reply_header(reply, "Server-Timing",
                           "decode;dur=%.3f, features;dur=%.3f, inference;dur=%.3f, queue;dur=%.3f, total;dur=%.3f",
                           times->decode_ms, times->features_ms, times->inference_ms,
                           vx_ms_between(request->complete_ns, request->started_ns), total_ms);
}

vx_err vx_answer_send(vx_reply *reply, json_t *root, int bad)
{
    if (bad) {
        json_decref(root);
        return VX_ERR_NOMEM;
    }
    return vx_reply_json(reply, 200, "application/json", root);
}
