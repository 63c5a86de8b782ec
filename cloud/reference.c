/* reference.c - embeddings from clients. */
#include "cloud/reference.h"

#include <math.h>

#include "shared/base/bytes.h"
#include "shared/base/json.h"

/* Below this length a vector has no direction to compare; real embeddings are at least 1e3 times longer. */
#define MIN_NORM 1e-6

vx_err vx_reference_model(const json_t *obj, const char *key, const vx_manifest *manifest, vx_errinfo *info)
{
    const char *text = NULL;
    vx_model_digest digest;
    vx_err err = vx_json_text(obj, key, false, &text, NULL, info);
    if (err || !text)
        return err;
    if (vx_model_digest_parse(text, &digest))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be sha256: and 64 hex digits", key);
    if (vx_model_digest_equal(&digest, &manifest->digest))
        return VX_OK;
    char ours[VX_DIGEST_TEXT];
    vx_model_digest_text(&manifest->digest, ours);
    return vx_errinfo_set(info, VX_ERR_MODEL_MISMATCH,
                          "the reference was made by another model; this service runs %s: enrol the speaker again",
                          ours);
}

vx_err vx_reference_vector(const json_t *array, const char *what, const vx_manifest *manifest, vx_embedding *ret,
                           vx_errinfo *info)
{
    float raw[VX_EMBEDDING_MAX_DIM];
    size_t dim = (size_t)manifest->dim;
    vx_err err = vx_json_floats(array, what, dim, raw, info);
    if (err)
        return err;
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)raw[i] * (double)raw[i];
    if (sqrt(sum) < MIN_NORM)
        err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "%s is all zeros and has no direction", what);
    else
        err = vx_embedding_from_raw(&manifest->digest, raw, manifest->dim, ret);
    vx_wipe(raw, sizeof raw);
    return err;
}
