/* cohort.c - the strangers of a model folder.
 * Owns:   the cohort's file: "cohort" F32 [n, dim], unit vectors, and "model" U8 [32]. Does not: compare (score.c).
 */
#include "shared/engine/score.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/engine/safetensors.h"

/* Written as unit vectors in float32: beyond rounding, another length is another file. */
#define LENGTH_WITHIN 1e-3

static vx_err refuse(const vx_manifest *manifest, vx_err err, const char *what, vx_errinfo *info)
{
    return vx_errinfo_set_at(info, err, manifest->cohort.file, -1, 0, "%s", what);
}

/* NULL unless there is such a tensor. */
static const vx_tensor *find(const vx_safetensors *file, const char *name, vx_dtype dtype, int n_dims)
{
    const vx_tensor *t = vx_safetensors_find(file, name);
    return t && t->dtype == dtype && t->n_dims == n_dims ? t : NULL;
}

static bool is_unit(const float *values, int dim)
{
    double sum = 0.0;
    for (int i = 0; i < dim; i++)
        sum += (double)values[i] * (double)values[i];
    return fabs(sqrt(sum) - 1.0) <= LENGTH_WITHIN;
}

static vx_err take(const vx_safetensors *file, const vx_manifest *manifest, vx_cohort *ret, vx_errinfo *info)
{
    const vx_tensor *values = find(file, "cohort", VX_DTYPE_F32, 2);
    const vx_tensor *model = find(file, "model", VX_DTYPE_U8, 1);
    vx_cohort c = {.n = manifest->cohort_count, .dim = manifest->dim, .floor = manifest->cohort_floor};
    if (!values || !model || model->n_values != sizeof c.model.bytes)
        return refuse(manifest, VX_ERR_MODEL_CORRUPT, "lacks 'cohort' or 'model', or one has another form", info);
    memcpy(c.model.bytes, model->data, sizeof c.model.bytes);
    if (!vx_model_digest_equal(&c.model, &manifest->digest))
        return refuse(manifest, VX_ERR_MODEL_MISMATCH, "its embeddings are those of another model", info);
    if (values->shape[0] != (size_t)c.n || values->shape[1] != (size_t)c.dim)
        return refuse(manifest, VX_ERR_MODEL_SHAPE,
                      "holds another number of embeddings, or others, than the manifest states", info);
    const float *rows = values->data;
    for (int i = 0; i < c.n; i++)
        if (!is_unit(rows + (size_t)i * (size_t)c.dim, c.dim))
            return refuse(manifest, VX_ERR_MODEL_CORRUPT, "an embedding is not of length 1", info);
    c.top = manifest->cohort_top < c.n ? manifest->cohort_top : c.n;
    /* A copy: 0.3 MB that stays, where a mapping would hold a second file open for as long. */
    c.values = malloc(values->bytes);
    if (!c.values)
        return VX_ERR_NOMEM;
    memcpy(c.values, values->data, values->bytes);
    *ret = c;
    return VX_OK;
}

vx_err vx_cohort_open(const char *folder, const vx_manifest *manifest, vx_cohort *ret_cohort, vx_errinfo *info)
{
    vx_map map = {0};
    vx_safetensors *file = NULL;
    vx_errinfo cause = {0};
    if (manifest->cohort_count == 0) {
        *ret_cohort = (vx_cohort){0};
        return VX_OK;
    }
    vx_err err = vx_manifest_open_artefact(folder, &manifest->cohort, &map, info);
    if (err != VX_OK)
        return err;
    err = vx_safetensors_open(map.data, map.len, &file, &cause);
    if (err == VX_OK)
        err = take(file, manifest, ret_cohort, info);
    else
        vx_errinfo_set_at(info, err, manifest->cohort.file, cause.offset, 0, "%s", vx_errinfo_text(&cause, err));
    vx_safetensors_close(file);
    vx_map_close(&map);
    return err;
}

void vx_cohort_close(vx_cohort *cohort)
{
    if (!cohort)
        return;
    free(cohort->values);
    *cohort = (vx_cohort){0};
}
