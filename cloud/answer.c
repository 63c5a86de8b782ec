/* answer.c - parts of answers. */
#include "cloud/answer.h"

#include <math.h>

#include "shared/base/json.h"

json_t *vx_answer_rounded(double value)
{
    return json_real(round(value * 1e3) / 1e3);
}

int vx_answer_embedding(json_t *obj, const vx_embedding *embedding)
{
    int bad = json_object_set_new(obj, "embedding", vx_json_from_floats(embedding->values, (size_t)embedding->dim));
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

vx_err vx_answer_send(vx_reply *reply, json_t *root, int bad)
{
    if (bad) {
        json_decref(root);
        return VX_ERR_NOMEM;
    }
    return vx_reply_json(reply, 200, "application/json", root);
}
