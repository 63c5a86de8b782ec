/* route_batch.c - POST /api/ml/batch_embedding: up to 64 recordings, each answered on its own; and
 * POST /api/ml/prepopulate: the same work, answered without the vectors, so that later requests find them in memory.
 * It takes audio only: an embedding for a hash would let one caller choose what another is told.
 * The items run one after the other on one worker: a batch is one request in the queue and gets one core, so that it
 * cannot crowd out the clients that send single clips.
 */
#include <stdio.h>

#include "cloud/answer.h"
#include "cloud/audio_input.h"
#include "cloud/problem.h"
#include "cloud/routes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

#define MAX_ITEMS 64

/* What both forms of the request come down to. */
typedef struct {
    vx_service *service;
    const vx_request *request;
    vx_audio_hint hint; /* of items that say nothing else */
    vx_stage_times times;
    vx_engine_info engine;
    bool rich;
    bool populate; /* answers say whether, not what */
    vx_vector_form form;
    size_t n_cached, n_computed, n_failed;
    json_t *answers; /* items, or embeddings */
    json_t *errors;  /* beside embeddings */
} batch;

/* One item to an embedding. `item` is base64 text in the older form, an object in the rich one. */
static vx_err embed_item(batch *b, const json_t *item, vx_audio *audio, vx_embedding *ret_embedding, bool *ret_cached,
                         vx_errinfo *info)
{
    vx_audio_hint hint = b->hint;
    vx_err err = vx_now_ns() >= b->request->deadline_ns ? VX_ERR_DEADLINE : VX_OK;
    if (err)
        return err;
    if (b->rich) {
        err = vx_audio_hint_json(item, "format", "sample_rate", b->hint, &hint, info);
        if (!err)
            err = vx_audio_from_field(b->service, item, "audio_data", hint, audio, &b->times, info);
    } else if (!json_is_string(item)) {
        err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "an item of audio_samples must be a base64 string");
    } else {
        err = vx_audio_from_base64(b->service, "the item", json_string_value(item), json_string_length(item), hint,
                                   audio, &b->times, info);
    }
    if (!err)
        err = vx_service_embed(b->service, audio, b->request->deadline_ns, NULL, ret_embedding, &b->times, ret_cached,
                               info);
    return err;
}

/* {"code", "detail"}, the members of a problem that differ between items. */
static int set_failure(json_t *obj, const char *detail_key, vx_err err, const vx_errinfo *info)
{
    const char *detail = vx_problem_detail(err, info);
    json_t *text = json_string(detail);
    int bad = json_object_set_new(obj, "code", json_string(vx_problem_code(err, info)));
    return bad | json_object_set_new(obj, detail_key, text ? text : json_string(vx_err_sentence(err)));
}

/* embeddings[i] and errors[i]: one of the two is null. */
static int answer_plain(const batch *b, vx_err err, const vx_embedding *embedding, const vx_errinfo *info)
{
    if (!err) {
        int bad = json_array_append_new(b->answers, vx_answer_vector(embedding, b->form));
        return bad | json_array_append_new(b->errors, json_null());
    }
    json_t *failure = json_object();
    int bad = set_failure(failure, "detail", err, info);
    bad |= json_array_append_new(b->errors, failure);
    return bad | json_array_append_new(b->answers, json_null());
}

static int answer_rich(const batch *b, json_t *item, vx_err err, const vx_audio *audio, const vx_embedding *embedding,
                       bool cached, const vx_errinfo *info)
{
    json_t *id = json_object_get(item, "id");
    json_t *answer = json_object();
    int bad = json_object_set(answer, "id", json_is_string(id) || json_is_integer(id) ? id : json_null());
    bad |= json_object_set_new(answer, "success", json_boolean(!err));
    if (err) {
        bad |= set_failure(answer, "error", err, info);
    } else {
        if (!b->populate)
            bad |= vx_answer_embedding(answer, embedding, b->form);
        bad |= json_object_set_new(answer, "cached", json_boolean(cached));
        bad |= json_object_set_new(answer, "error", json_null());
        bad |= vx_answer_audio(answer, "audio", audio);
    }
    return bad | json_array_append_new(b->answers, answer);
}

/* Runs every item; fails only when memory is out or the service shuts down. */
static vx_err run_items(batch *b, const json_t *list)
{
    vx_err fatal = VX_OK;
    for (size_t i = 0; !fatal && i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        vx_audio audio = {0};
        vx_embedding embedding = {0};
        vx_errinfo info = {0};
        bool cached = false;
        vx_err err = embed_item(b, item, &audio, &embedding, &cached, &info);
        b->n_failed += err != VX_OK;
        b->n_cached += !err && cached;
        b->n_computed += !err && !cached;
        int bad = b->rich || b->populate ? answer_rich(b, item, err, &audio, &embedding, cached, &info)
                                         : answer_plain(b, err, &embedding, &info);
        if (err == VX_ERR_CLOSED)
            fatal = err;
        else if (bad)
            fatal = VX_ERR_NOMEM;
        vx_audio_done(&audio);
        vx_embedding_wipe(&embedding);
    }
    return fatal;
}

static vx_err find_list(batch *b, const json_t *root, const json_t **ret_list, vx_errinfo *info)
{
    const json_t *plain = json_object_get(root, "audio_samples"), *rich = json_object_get(root, "items");
    if (json_is_null(plain))
        plain = NULL;
    if (json_is_null(rich))
        rich = NULL;
    if (!plain == !rich)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "send exactly one of audio_samples and items");
    const json_t *list = rich ? rich : plain;
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > MAX_ITEMS)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be an array of 1 to %d items",
                              rich ? "items" : "audio_samples", MAX_ITEMS);
    b->rich = rich != NULL;
    *ret_list = list;
    return VX_OK;
}

static vx_err answer(const batch *b, vx_reply *reply)
{
    const vx_manifest *manifest = b->engine.manifest;
    double total_ms = vx_ms_since(b->request->complete_ns);
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(&manifest->digest, digest);
    json_t *root = json_object();
    int bad = json_object_set_new(root, "success", json_true());
    bad |= json_object_set(root, b->rich || b->populate ? "items" : "embeddings", b->answers);
    if (b->populate) {
        bad |= json_object_set_new(root, "computed", json_integer((json_int_t)b->n_computed));
        bad |= json_object_set_new(root, "cached", json_integer((json_int_t)b->n_cached));
        bad |= json_object_set_new(root, "failed", json_integer((json_int_t)b->n_failed));
    } else if (!b->rich) {
        bad |= json_object_set(root, "errors", b->errors);
    }
    if (!b->populate)
        bad |= json_object_set_new(root, "embedding_size", json_integer(manifest->dim));
    bad |= json_object_set_new(root, "processing_time_ms", vx_answer_rounded(total_ms));
    bad |= json_object_set_new(root, "error", json_null());
    bad |= json_object_set_new(root, "model", json_string(digest));
    bad |= json_object_set_new(root, "model_name", json_string(manifest->name));
    bad |= vx_answer_engine(root, &b->engine);
    bad |= vx_answer_timing(root, b->request, &b->times, total_ms);
    bad |= json_object_set_new(root, "request_id", json_string(b->request->id));
    vx_err err = vx_answer_send(reply, root, bad);
    return err ? err : vx_answer_server_timing(reply, b->request, &b->times, total_ms);
}

static vx_err run(vx_service *service, const vx_request *request, bool populate, vx_reply *reply, vx_errinfo *info)
{
    batch b = {.service = service, .request = request, .populate = populate};
    vx_service_view view;
    const json_t *list = NULL;
    json_t *root = NULL;
    vx_err err = vx_input_json(request, &root, info);
    if (!err)
        err = find_list(&b, root, &list, info);
    if (!err)
        err = vx_audio_hint_json(root, "format", "sample_rate", vx_audio_hint_default(), &b.hint, info);
    if (!err)
        err = vx_answer_form(root, &b.form, info);
    /* A service without a model fails the request, not 64 items one by one. */
    if (!err)
        err = vx_service_wait_ready(service, request->deadline_ns, info);
    if (err)
        goto out;
    vx_service_view_get(service, &view);
    b.engine = view.info;
    b.answers = json_array();
    b.errors = json_array();
    err = b.answers && b.errors ? run_items(&b, list) : VX_ERR_NOMEM;
    if (!err)
        err = answer(&b, reply);
out:
    json_decref(root);
    json_decref(b.answers);
    json_decref(b.errors);
    return err;
}

vx_err vx_route_batch(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    return run(service, request, false, reply, info);
}

vx_err vx_route_prepopulate(vx_service *service, const vx_request *request, vx_reply *reply, vx_errinfo *info)
{
    return run(service, request, true, reply, info);
}
