/* route_embedding.c - POST /api/ml/speaker_embedding: audio in, embedding out. */
#include <stdint.h>
#include <string.h>

#include "cloud/answer.h"
#include "cloud/audio_input.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"

/* JSON with base64, or the bare bytes of a recording. */
static vx_err read_audio(vx_service *service, const vx_request *request, vx_audio *ret_audio, vx_stage_times *times,
                         vx_errinfo *info)
{
    vx_audio_hint hint;
    json_t *root = NULL;
    vx_err err;
    if (request->kind == VX_BODY_RAW) {
        err = vx_audio_hint_query(request, &hint, info);
        if (!err)
            err = vx_audio_from_bytes(service, request->body.data, request->body.len, hint, ret_audio, times, info);
        return err;
    }
    err = vx_input_json(request, &root, info);
    if (!err)
        err = vx_audio_hint_json(root, "format", "sample_rate", vx_audio_hint_default(), &hint, info);
    if (!err)
        err = vx_audio_from_field(service, root, "audio_data", hint, ret_audio, times, info);
    json_decref(root);
    return err;
}

static vx_err answer_json(vx_reply *reply, const vx_request *request, const vx_engine_info *engine,
                          const vx_audio *audio, const vx_embedding *embedding, const vx_stage_times *times,
                          double total_ms)
{
    json_t *root = json_object();
    int bad = json_object_set_new(root, "success", json_true());
    bad |= vx_answer_embedding(root, embedding);
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(total_ms));
    bad |= json_object_set_new(root, "cached", json_false());
    bad |= json_object_set_new(root, "error", json_null());
    bad |= vx_answer_model(root, embedding, engine);
    bad |= vx_answer_engine(root, engine);
    bad |= vx_answer_audio(root, "audio", audio);
    bad |= vx_answer_timing(root, request, times, total_ms);
    bad |= json_object_set_new(root, "request_id", json_string(request->id));
    return vx_answer_send(reply, root, bad);
}

static vx_err append_le32(vx_buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint8_t le[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    return vx_buf_append(out, le, sizeof le);
}

/* The bare vector, little-endian float32; what JSON says beside it goes into headers. */
static vx_err answer_octets(vx_reply *reply, const vx_request *request, const vx_engine_info *engine,
                            const vx_audio *audio, const vx_embedding *embedding, const vx_stage_times *times,
                            double total_ms)
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&embedding->model, digest);
    vx_err err = vx_buf_reserve(&reply->body, (size_t)embedding->dim * 4);
    for (int i = 0; !err && i < embedding->dim; i++)
        err = append_le32(&reply->body, embedding->values[i]);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Model", "%s", digest);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Model-Name", "%s", engine->manifest->name);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Embedding-Size", "%d", embedding->dim);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Cached", "false");
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Engine", "strategy=%s; gemm=%s; isa=%s; precision=%s", engine->strategy,
                              engine->gemm, engine->isa, engine->precision);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Audio",
                              "seconds=%.3f; sample_rate=%d; channels=%d; format=%s; clipped_share=%.6g; "
                              "level_dbfs=%.3f",
                              audio->seconds, audio->source_rate, audio->source_channels, audio->format,
                              audio->clipped_share, audio->level_dbfs);
    if (!err)
        err = vx_reply_header(reply, "Server-Timing",
                              "decode;dur=%.3f, features;dur=%.3f, inference;dur=%.3f, queue;dur=%.3f, total;dur=%.3f",
                              times->decode_ms, times->features_ms, times->inference_ms,
                              vx_ms_between(request->complete_ns, request->started_ns), total_ms);
    reply->status = 200;
    reply->content_type = "application/octet-stream";
    return err;
}

vx_err vx_route_embedding(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_embedding embedding;
    vx_stage_times times = {0};
    vx_service_view view;
    vx_err err = read_audio(service, request, &audio, &times, info);
    if (!err)
        err = vx_service_embed(service, &audio, request->deadline_ns, &embedding, &times, info);
    if (!err) {
        vx_service_view_get(service, &view);
        double total_ms = vx_ms_since(request->complete_ns);
        err = (request->wants_octets ? answer_octets : answer_json)(reply, request, &view.info, &audio, &embedding,
                                                                    &times, total_ms);
        vx_embedding_wipe(&embedding);
    }
    vx_audio_done(&audio);
    return err;
}
