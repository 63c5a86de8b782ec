/* embedding.c - normalises, compares and wipes speaker embeddings, and spells model digests.
 * Owns:   the arithmetic of embedding.h. Does not: run models, store or print embeddings.
 */
#include "shared/engine/embedding.h"

#include <math.h>
#include <string.h>

#include "shared/base/bytes.h"

#define DIGEST_PREFIX     "sha256:"
#define DIGEST_PREFIX_LEN (sizeof DIGEST_PREFIX - 1)

/* Below this length a direction is rounding noise. */
#define MIN_LENGTH        1e-12

void vx_embedding_wipe(vx_embedding *embedding)
{
    if (embedding)
        vx_wipe(embedding, sizeof *embedding);
}

bool vx_model_digest_equal(const vx_model_digest *a, const vx_model_digest *b)
{
    return vx_equal_ct(a->bytes, b->bytes, sizeof a->bytes);
}

void vx_model_digest_text(const vx_model_digest *digest, char ret_text[VX_DIGEST_TEXT])
{
    memcpy(ret_text, DIGEST_PREFIX, DIGEST_PREFIX_LEN);
    vx_hex(digest->bytes, sizeof digest->bytes, ret_text + DIGEST_PREFIX_LEN);
}

vx_err vx_model_digest_parse(const char *text, vx_model_digest *ret_digest)
{
    vx_model_digest digest;

    if (strlen(text) != VX_DIGEST_TEXT - 1 || memcmp(text, DIGEST_PREFIX, DIGEST_PREFIX_LEN) != 0)
        return VX_ERR_RANGE;
    if (!vx_unhex(text + DIGEST_PREFIX_LEN, sizeof digest.bytes, digest.bytes))
        return VX_ERR_RANGE;
    *ret_digest = digest;
    return VX_OK;
}

vx_err vx_embedding_from_raw(const vx_model_digest *model, const float *raw, int dim, vx_embedding *ret)
{
    double sum = 0.0, length;

    if (dim < 1 || dim > VX_EMBEDDING_MAX_DIM)
        return VX_ERR_ARG;
    /* In double no square of a float and no sum of 512 of them overflows: not finite here means not finite there. */
    for (int i = 0; i < dim; i++)
        sum += (double)raw[i] * raw[i];
    length = sqrt(sum);
    if (!isfinite(length) || length < MIN_LENGTH)
        return VX_ERR_ENGINE;

    ret->model = *model;
    ret->dim = dim;
    for (int i = 0; i < dim; i++)
        ret->values[i] = (float)(raw[i] / length);
    /* The struct is copied and stored whole, so no byte of it may stay unset. */
    for (int i = dim; i < VX_EMBEDDING_MAX_DIM; i++)
        ret->values[i] = 0.0f;
    return VX_OK;
}

vx_err vx_embedding_cosine(const vx_embedding *a, const vx_embedding *b, double *ret)
{
    double dot = 0.0;

    if (a->dim != b->dim || !vx_model_digest_equal(&a->model, &b->model))
        return VX_ERR_MODEL_MISMATCH;
    for (int i = 0; i < a->dim; i++)
        dot += (double)a->values[i] * b->values[i];
    /* fmin would turn NaN into 1: a perfect match. */
    if (!isfinite(dot))
        return VX_ERR_ENGINE;
    /* Both are of length 1 only to float precision, so the product may leave [-1, 1] by a few 1e-8. */
    *ret = fmax(-1.0, fmin(1.0, dot));
    return VX_OK;
}
