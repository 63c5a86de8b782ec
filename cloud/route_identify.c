/* route_identify.c - POST /api/ml/speaker_identify: whose voice of these is it? Nothing is stored. */
#include <stdio.h>
#include <stdlib.h>

#include "cloud/answer.h"
#include "cloud/audio_input.h"
#include "cloud/reference.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

#define MAX_CANDIDATES 1000

typedef struct {
    const json_t *id; /* borrowed from the request */
    double similarity;
    size_t order; /* in the request: ties keep it */
} score;

static int by_similarity(const void *a, const void *b)
{
    const score *x = a, *y = b;
    if (x->similarity != y->similarity)
        return x->similarity < y->similarity ? 1 : -1;
    return x->order > y->order ? 1 : -1;
}

static vx_err check_list(const json_t *root, const json_t **ret_list, vx_errinfo *info)
{
    const json_t *list = json_object_get(root, "candidates");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > MAX_CANDIDATES)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field 'candidates' must be an array of 1 to %d objects",
                              MAX_CANDIDATES);
    *ret_list = list;
    return VX_OK;
}

/* One candidate: {"id", "embedding", "model"?}. */
static vx_err compare(const json_t *candidate, size_t i, const vx_embedding *probe, const vx_manifest *manifest,
                      score *ret_score, vx_errinfo *info)
{
    char what[48];
    vx_embedding reference = {0};
    snprintf(what, sizeof what, "candidates[%zu].embedding", i);
    const json_t *id = json_object_get(candidate, "id");
    if (!json_is_string(id) && !json_is_integer(id))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "candidates[%zu].id must be a string or a whole number", i);
    vx_err err = vx_reference_model(candidate, "model", manifest, info);
    if (!err)
        err = vx_reference_vector(json_object_get(candidate, "embedding"), what, manifest, &reference, info);
    *ret_score = (score){.id = id, .order = i};
    if (!err)
        err = vx_embedding_cosine(probe, &reference, &ret_score->similarity);
    vx_embedding_wipe(&reference);
    return err;
}

static json_t *result(const score *s, const vx_manifest *manifest, double threshold)
{
    double probability;
    json_t *part = json_object();
    int bad = json_object_set(part, "id", (json_t *)s->id);
    bad |= json_object_set_new(part, "similarity", json_real(s->similarity));
    bad |= json_object_set_new(part, "confidence", json_real((s->similarity + 1) / 2));
    bad |= json_object_set_new(part, "probability",
                               vx_manifest_probability(manifest, s->similarity, &probability) ? json_real(probability)
                                                                                              : json_null());
    bad |= json_object_set_new(part, "verified", json_boolean(s->similarity >= threshold));
    if (!bad)
        return part;
    json_decref(part);
    return NULL;
}

static vx_err answer(vx_reply *reply, const vx_request *request, const vx_engine_info *engine, const vx_audio *audio,
                     const vx_embedding *probe, const score *scores, size_t n_scores, size_t n_shown, double threshold,
                     const vx_stage_times *times)
{
    double total_ms = vx_ms_since(request->complete_ns);
    bool found = scores[0].similarity >= threshold;
    json_t *root = json_object(), *results = json_array();
    int bad = 0;
    for (size_t i = 0; i < n_shown; i++)
        bad |= json_array_append_new(results, result(&scores[i], engine->manifest, threshold));
    bad |= json_object_set_new(root, "success", json_true());
    bad |= json_object_set_new(root, "identified", json_boolean(found));
    bad |= json_object_set(root, "speaker", found ? (json_t *)scores[0].id : json_null());
    bad |= json_object_set_new(root, "results", results);
    bad |= json_object_set_new(root, "candidates", json_integer((json_int_t)n_scores));
    bad |= json_object_set_new(root, "threshold", json_real(threshold));
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(total_ms));
    bad |= json_object_set_new(root, "error", json_null());
    bad |= vx_answer_model(root, probe, engine);
    bad |= vx_answer_audio(root, "audio", audio);
    bad |= vx_answer_timing(root, request, times, total_ms);
    bad |= json_object_set_new(root, "request_id", json_string(request->id));
    vx_err err = vx_answer_send(reply, root, bad);
    return err ? err : vx_answer_server_timing(reply, request, times, total_ms);
}

/* Ranks every candidate and answers. */
static vx_err rank(const json_t *root, const json_t *list, vx_reply *reply, const vx_request *request,
                   const vx_engine_info *engine, const vx_audio *audio, const vx_embedding *probe,
                   const vx_stage_times *times, vx_errinfo *info)
{
    const vx_manifest *manifest = engine->manifest;
    const size_t n = json_array_size(list);
    double threshold = manifest->threshold;
    int64_t shown = (int64_t)n;
    vx_err err = vx_json_real(root, "threshold", false, -1, 1, &threshold, info);
    if (!err)
        err = vx_json_int(root, "top_k", false, 1, MAX_CANDIDATES, &shown, info);
    score *scores = calloc(n, sizeof *scores);
    if (!err && !scores)
        err = VX_ERR_NOMEM;
    for (size_t i = 0; !err && i < n; i++)
        err = compare(json_array_get(list, i), i, probe, manifest, &scores[i], info);
    if (!err) {
        qsort(scores, n, sizeof *scores, by_similarity);
        err = answer(reply, request, engine, audio, probe, scores, n, (size_t)shown < n ? (size_t)shown : n, threshold,
                     times);
    }
    free(scores);
    return err;
}

vx_err vx_route_identify(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_embedding probe = {0};
    vx_stage_times times = {0};
    vx_audio_hint hint = vx_audio_hint_default();
    vx_service_view view;
    const json_t *list = NULL;
    json_t *root = NULL;
    bool cached;
    vx_err err = vx_input_json(request, &root, info);
    if (!err)
        err = check_list(root, &list, info);
    if (!err)
        err = vx_audio_hint_json(root, "format", "sample_rate", hint, &hint, info);
    if (!err)
        err = vx_audio_from_field(service, root, "audio_data", hint, &audio, &times, info);
    if (!err)
        err = vx_service_embed(service, &audio, request->deadline_ns, NULL, &probe, &times, &cached, info);
    if (!err) {
        vx_service_view_get(service, &view);
        err = rank(root, list, reply, request, &view.info, &audio, &probe, &times, info);
    }
    json_decref(root);
    vx_audio_done(&audio);
    vx_embedding_wipe(&probe);
    return err;
}
