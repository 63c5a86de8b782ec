/* route_verify.c - POST /api/ml/speaker_verify: is this the voice of that reference? */
#include "cloud/answer.h"
#include "cloud/audio_input.h"
#include "cloud/reference.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

static bool given(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return value && !json_is_null(value);
}

static vx_err one_reference(const json_t *root, vx_errinfo *info)
{
    if (given(root, "reference_embedding") == given(root, "reference_audio"))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "send exactly one of reference_embedding and reference_audio");
    return VX_OK;
}

static vx_err reference_from_audio(vx_service *service, const vx_request *request, const json_t *root,
                                   vx_audio_hint hint, vx_embedding *ret, vx_stage_times *times, vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_err err = vx_audio_hint_json(root, "reference_format", "reference_sample_rate", hint, &hint, info);
    if (!err)
        err = vx_audio_from_field(service, root, "reference_audio", hint, &audio, times, info);
    if (!err)
        err = vx_service_embed(service, &audio, request->deadline_ns, NULL, ret, times, &(bool){false}, info);
    vx_audio_done(&audio);
    return err;
}

static vx_err answer(vx_reply *reply, const vx_request *request, const vx_engine_info *engine, const vx_audio *audio,
                     const vx_embedding *probe, double similarity, double threshold, const vx_stage_times *times)
{
    double total_ms = vx_ms_since(request->complete_ns), probability;
    json_t *root = json_object();
    int bad = json_object_set_new(root, "success", json_true());
    bad |= json_object_set_new(root, "verified", json_boolean(similarity >= threshold));
    bad |= json_object_set_new(root, "similarity", json_real(similarity));
    bad |= json_object_set_new(root, "confidence", json_real((similarity + 1) / 2));
    bad |= json_object_set_new(root, "threshold", json_real(threshold));
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(total_ms));
    bad |= json_object_set_new(root, "error", json_null());
    bad |= json_object_set_new(
        root, "probability",
        vx_manifest_probability(engine->manifest, similarity, &probability) ? json_real(probability) : json_null());
    bad |= vx_answer_model(root, probe, engine);
    bad |= vx_answer_audio(root, "audio", audio);
    bad |= vx_answer_timing(root, request, times, total_ms);
    bad |= json_object_set_new(root, "request_id", json_string(request->id));
    vx_err err = vx_answer_send(reply, root, bad);
    return err ? err : vx_answer_server_timing(reply, request, times, total_ms);
}

/* Everything that needs no model is checked first, so that a bad request is told so while the model still loads. */
static vx_err verify(vx_service *service, const vx_request *request, const json_t *root, vx_reply *reply,
                     vx_audio *audio, vx_embedding *probe, vx_embedding *reference, vx_errinfo *info)
{
    vx_stage_times times = {0};
    vx_audio_hint hint = vx_audio_hint_default();
    vx_service_view view;
    double similarity;
    bool cached = false;
    vx_err err = one_reference(root, info);
    if (!err)
        err = vx_audio_hint_json(root, "format", "sample_rate", hint, &hint, info);
    if (!err)
        err = vx_audio_from_field(service, root, "audio_data", hint, audio, &times, info);
    if (!err)
        err = vx_service_wait_ready(service, request->deadline_ns, info);
    if (err)
        return err;

    vx_service_view_get(service, &view);
    const vx_manifest *manifest = view.info.manifest;
    double threshold = manifest->threshold;
    err = vx_json_real(root, "threshold", false, -1, 1, &threshold, info);
    if (!err)
        err = vx_reference_model(root, "reference_model", manifest, info);
    if (!err && given(root, "reference_embedding"))
        err = vx_reference_vector(json_object_get(root, "reference_embedding"), "reference_embedding", manifest,
                                  reference, info);
    else if (!err)
        err = reference_from_audio(service, request, root, hint, reference, &times, info);
    if (!err)
        err = vx_service_embed(service, audio, request->deadline_ns, NULL, probe, &times, &cached, info);
    if (!err)
        err = vx_embedding_cosine(probe, reference, &similarity);
    if (!err)
        err = answer(reply, request, &view.info, audio, probe, similarity, threshold, &times);
    return err;
}

vx_err vx_route_verify(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_embedding probe = {0}, reference = {0};
    json_t *root = NULL;
    vx_err err = vx_input_json(request, &root, info);
    if (!err)
        err = verify(service, request, root, reply, &audio, &probe, &reference, info);
    json_decref(root);
    vx_audio_done(&audio);
    vx_embedding_wipe(&probe);
    vx_embedding_wipe(&reference);
    return err;
}
