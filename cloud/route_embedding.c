/* route_embedding.c - POST /api/ml/speaker_embedding: audio in, embedding out. */
#include <stdint.h>
#include <string.h>

#include "cloud/answer.h"
#include "cloud/audio_input.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"

/* Everything about one request that its answer is made from. */
typedef struct {
    const vx_request *request;
    vx_audio audio;
    vx_embedding embedding;
    vx_stage_times times;
    vx_vector_form form;
    bool cached;
    vx_engine_info engine;
    double total_ms;
} work;

/* The same bytes, read the same way, are the same audio. */
static vx_err request_key(const vx_request *request, vx_cache_key *ret_key)
{
    const char *format = request->format ? request->format : "",
               *rate = request->sample_rate ? request->sample_rate : "";
    const vx_bytes parts[] = {{&request->kind, sizeof request->kind},
                              {format, strlen(format)},
                              {rate, strlen(rate)},
                              {request->body.data, request->body.len}};
    return vx_inference_request_key(parts, sizeof parts / sizeof *parts, ret_key);
}

/* JSON with base64, or the bare bytes of a recording. */
static vx_err read_audio(vx_service *service, work *w, vx_errinfo *info)
{
    const vx_request *request = w->request;
    vx_audio_hint hint;
    json_t *root = NULL;
    vx_err err;
    if (request->kind == VX_BODY_RAW) {
        err = vx_audio_hint_query(request, &hint, info);
        if (!err)
            err = vx_audio_from_bytes(service, request->body.data, request->body.len, hint, &w->audio, &w->times, info);
        return err;
    }
    err = vx_input_json(request, &root, info);
    if (!err)
        err = vx_audio_hint_json(root, "format", "sample_rate", vx_audio_hint_default(), &hint, info);
    if (!err)
        err = vx_answer_form(root, &w->form, info);
    if (!err)
        err = vx_audio_from_field(service, root, "audio_data", hint, &w->audio, &w->times, info);
    json_decref(root);
    return err;
}

/* From memory if these very bytes were answered before, without looking into them; else decoded and embedded. */
static vx_err embed(vx_service *service, work *w, vx_errinfo *info)
{
    vx_cache_key request, key;
    int note;
    vx_err err = request_key(w->request, &request);
    if (err)
        return err;
    if (vx_service_recall(service, &request, &w->embedding, &w->audio, &note)) {
        w->form = (vx_vector_form)note;
        w->cached = true;
        return VX_OK;
    }
    err = read_audio(service, w, info);
    if (!err)
        err = vx_service_embed(service, &w->audio, w->request->deadline_ns, &key, &w->embedding, &w->times, &w->cached,
                               info);
    if (!err)
        vx_service_remember(service, &request, &key, &w->audio, (int)w->form);
    return err;
}

static vx_err answer_json(const work *w, vx_reply *reply)
{
    json_t *root = json_object();
    int bad = json_object_set_new(root, "success", json_true());
    bad |= vx_answer_embedding(root, &w->embedding, w->form);
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(w->total_ms));
    bad |= json_object_set_new(root, "cached", json_boolean(w->cached));
    bad |= json_object_set_new(root, "error", json_null());
    bad |= vx_answer_model(root, &w->embedding, &w->engine);
    bad |= vx_answer_engine(root, &w->engine);
    bad |= vx_answer_audio(root, "audio", &w->audio);
    bad |= vx_answer_timing(root, w->request, &w->times, w->total_ms);
    bad |= json_object_set_new(root, "request_id", json_string(w->request->id));
    return vx_answer_send(reply, root, bad);
}

/* The bare vector, little-endian float32; what JSON says beside it goes into headers. */
static vx_err answer_octets(const work *w, vx_reply *reply)
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&w->embedding.model, digest);
    vx_err err = vx_answer_octets(&w->embedding, &reply->body);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Model", "%s", digest);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Model-Name", "%s", w->engine.manifest->name);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Embedding-Size", "%d", w->embedding.dim);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Cached", "%s", w->cached ? "true" : "false");
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Engine", "strategy=%s; gemm=%s; isa=%s; precision=%s", w->engine.strategy,
                              w->engine.gemm, w->engine.isa, w->engine.precision);
    if (!err)
        err = vx_reply_header(reply, "Voxlock-Audio",
                              "seconds=%.3f; sample_rate=%d; channels=%d; format=%s; clipped_share=%.6g; "
                              "level_dbfs=%.3f",
                              w->audio.seconds, w->audio.source_rate, w->audio.source_channels, w->audio.format,
                              w->audio.clipped_share, w->audio.level_dbfs);
    reply->status = 200;
    reply->content_type = "application/octet-stream";
    return err;
}

vx_err vx_route_embedding(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    work w = {.request = request};
    vx_service_view view;
    vx_err err = embed(service, &w, info);
    if (!err) {
        vx_service_view_get(service, &view);
        w.engine = view.info;
        w.total_ms = vx_ms_since(request->complete_ns);
        err = (request->wants_octets ? answer_octets : answer_json)(&w, reply);
    }
    if (!err)
        err = vx_answer_server_timing(reply, request, &w.times, w.total_ms);
    vx_embedding_wipe(&w.embedding);
    vx_audio_done(&w.audio);
    return err;
}
