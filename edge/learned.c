/* learned.c - habits, places, priors and calibrations to and from the store's named values. */
#include "edge/learned.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "edge/decide/prior.h"
#include "shared/base/json.h"

enum { NAME_CAP = 16 + VX_DIGEST_TEXT };
static const vx_json_limits LIMITS = {4, 64};

static void name_of(const char *kind, int64_t speaker, char ret_name[NAME_CAP])
{
    (void)snprintf(ret_name, NAME_CAP, "%s/%" PRId64, kind, speaker);
}

vx_err vx_learned_habits(vx_store *store, int64_t speaker, vx_habits *ret, vx_errinfo *info)
{
    char name[NAME_CAP];
    vx_buf value = {0};
    vx_habits habits = {0};
    name_of("habits", speaker, name);
    vx_err err = vx_store_get(store, name, &value, info);
    if (err == VX_OK)
        err = vx_habits_decode(value.data, value.len, &habits, info);
    else if (err == VX_ERR_NOT_FOUND)
        err = VX_OK;
    if (err == VX_OK)
        *ret = habits;
    vx_buf_wipe_done(&value);
    return err;
}

vx_err vx_learned_save_habits(vx_store *store, int64_t speaker, const vx_habits *habits, vx_errinfo *info)
{
    char name[NAME_CAP];
    vx_buf value = {0};
    name_of("habits", speaker, name);
    vx_err err = vx_habits_encode(habits, &value);
    if (err == VX_OK)
        err = vx_store_put(store, name, value.data, value.len, info);
    vx_buf_wipe_done(&value);
    return err;
}

vx_err vx_learned_places(vx_store *store, int64_t speaker, vx_places *ret, vx_errinfo *info)
{
    char name[NAME_CAP];
    vx_buf value = {0};
    vx_places places = {0};
    name_of("places", speaker, name);
    vx_err err = vx_store_get(store, name, &value, info);
    if (err == VX_OK)
        err = vx_places_decode(value.data, value.len, &places, info);
    else if (err == VX_ERR_NOT_FOUND)
        err = vx_places_init(&places);
    if (err == VX_OK)
        *ret = places;
    vx_buf_wipe_done(&value);
    return err;
}

vx_err vx_learned_save_places(vx_store *store, int64_t speaker, const vx_places *places, vx_errinfo *info)
{
    char name[NAME_CAP];
    vx_buf value = {0};
    name_of("places", speaker, name);
    vx_err err = vx_places_encode(places, &value);
    if (err == VX_OK)
        err = vx_store_put(store, name, value.data, value.len, info);
    vx_buf_wipe_done(&value);
    return err;
}

/* A small JSON document by name. */
static vx_err get_json(vx_store *store, const char *name, json_t **ret, vx_errinfo *info)
{
    vx_buf value = {0};
    vx_err err = vx_store_get(store, name, &value, info);
    if (err == VX_OK && vx_json_parse((const char *)value.data, value.len, LIMITS, ret, NULL) != VX_OK)
        err = vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the stored value %s is not what voxlock writes", name);
    vx_buf_wipe_done(&value);
    return err;
}

static vx_err put_json(vx_store *store, const char *name, json_t *root, vx_errinfo *info)
{
    vx_buf value = {0};
    vx_err err = root ? vx_json_write(root, &value) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_store_put(store, name, value.data, value.len, info);
    json_decref(root);
    vx_buf_wipe_done(&value);
    return err;
}

vx_err vx_learned_baseline(vx_store *store, int64_t speaker, vx_pava_baseline *ret, vx_errinfo *info)
{
    char name[NAME_CAP];
    vx_buf value = {0};
    vx_pava_baseline baseline = {0};
    name_of("throat", speaker, name);
    vx_err err = vx_store_get(store, name, &value, info);
    if (err == VX_OK)
        err = vx_pava_baseline_unpack(value.data, value.len, &baseline);
    else if (err == VX_ERR_NOT_FOUND)
        err = VX_OK;
    if (err == VX_OK)
        *ret = baseline;
    vx_buf_wipe_done(&value);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "what was learned of the speaker's throat cannot be read");
}

vx_err vx_learned_save_baseline(vx_store *store, int64_t speaker, const vx_pava_baseline *baseline, vx_errinfo *info)
{
    char name[NAME_CAP];
    uint8_t bytes[VX_PAVA_BASELINE_BYTES];
    name_of("throat", speaker, name);
    vx_pava_baseline_pack(baseline, bytes);
    return vx_store_put(store, name, bytes, sizeof bytes, info);
}

vx_err vx_learned_prior(vx_store *store, int64_t speaker, double unlearned, double *ret, vx_errinfo *info)
{
    char name[NAME_CAP];
    json_t *root = NULL;
    double prior = unlearned;
    vx_errinfo cause = {0};
    name_of("prior", speaker, name);
    vx_err err = get_json(store, name, &root, &cause);
    if (err == VX_OK)
        err = vx_json_real(root, "prior", true, VX_PRIOR_LEAST, VX_PRIOR_MOST, &prior, NULL);
    json_decref(root);
    if (err == VX_OK || err == VX_ERR_NOT_FOUND) {
        *ret = prior;
        return VX_OK;
    }
    if (err == VX_ERR_JSON_FIELD)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the prior of this profile cannot be read");
    return vx_errinfo_set(info, err, "%s", vx_errinfo_text(&cause, err));
}

vx_err vx_learned_save_prior(vx_store *store, int64_t speaker, double prior, vx_errinfo *info)
{
    char name[NAME_CAP];
    name_of("prior", speaker, name);
    return put_json(store, name, json_pack("{s:f}", "prior", prior), info);
}

static void calibration_name(const vx_model_digest *model, char ret_name[NAME_CAP])
{
    char digest[VX_DIGEST_TEXT];
    vx_model_digest_text(model, digest);
    (void)snprintf(ret_name, NAME_CAP, "calibration/%s", digest);
}

vx_err vx_learned_calibration(vx_store *store, const vx_model_digest *model, vx_calibration *ret, vx_errinfo *info)
{
    char name[NAME_CAP];
    json_t *root = NULL;
    vx_calibration c = {0};
    int64_t n_same = 0, n_other = 0;
    float weights[VX_SCORE_FEATURES];
    calibration_name(model, name);
    vx_err err = get_json(store, name, &root, info);
    if (err == VX_OK)
        err = vx_json_floats(json_object_get(root, "weights"), "weights", VX_SCORE_FEATURES, weights, info);
    if (err == VX_OK)
        err = vx_json_int(root, "same", true, 0, INT32_MAX, &n_same, info);
    if (err == VX_OK)
        err = vx_json_int(root, "other", true, 0, INT32_MAX, &n_other, info);
    if (err == VX_OK)
        err = vx_json_real(root, "threshold", true, 0, 1, &c.threshold, info);
    json_decref(root);
    if (err == VX_ERR_JSON_FIELD)
        return VX_ERR_STORE_CORRUPT;
    if (err != VX_OK)
        return err;
    for (int i = 0; i < VX_SCORE_FEATURES; i++)
        c.weights[i] = (double)weights[i];
    c.n_same = (int)n_same;
    c.n_other = (int)n_other;
    *ret = c;
    return VX_OK;
}

vx_err vx_learned_save_calibration(vx_store *store, const vx_model_digest *model, const vx_calibration *calibration,
                                   vx_errinfo *info)
{
    char name[NAME_CAP];
    float weights[VX_SCORE_FEATURES];
    calibration_name(model, name);
    if (!calibration)
        return vx_store_drop(store, name, info);
    for (int i = 0; i < VX_SCORE_FEATURES; i++)
        weights[i] = (float)calibration->weights[i];
    return put_json(store, name,
                    json_pack("{s:o, s:i, s:i, s:f}", "weights", vx_json_from_floats(weights, VX_SCORE_FEATURES),
                              "same", calibration->n_same, "other", calibration->n_other, "threshold",
                              calibration->threshold),
                    info);
}
