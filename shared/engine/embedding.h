/* embedding.h - a speaker embedding that knows which model made it.
 * Owns:   the type, normalisation, comparison. Embeddings of different models are never compared.
 */
#ifndef VX_ENGINE_EMBEDDING_H
#define VX_ENGINE_EMBEDDING_H

#include <stdbool.h>

#include "shared/base/err.h"
#include "shared/base/sha256.h"

#define VX_EMBEDDING_MAX_DIM 512

/* SHA-256 of a model's reference weights (model.safetensors): what "the same model" means. */
typedef struct {
    uint8_t bytes[VX_SHA256_BYTES];
} vx_model_digest;

/* L2-normalised vector. Plain data; biometric: wipe with vx_embedding_wipe after use, never log. */
typedef struct {
    vx_model_digest model;
    int dim;
    float values[VX_EMBEDDING_MAX_DIM];
} vx_embedding;

void vx_embedding_wipe(vx_embedding *embedding);
bool vx_model_digest_equal(const vx_model_digest *a, const vx_model_digest *b);
/* "sha256:<64 hex>" both ways; text needs VX_DIGEST_TEXT bytes. Errors: RANGE. */
#define VX_DIGEST_TEXT (7 + VX_SHA256_HEX)
void vx_model_digest_text(const vx_model_digest *digest, char ret_text[VX_DIGEST_TEXT]);
VX_MUST_CHECK vx_err vx_model_digest_parse(const char *text, vx_model_digest *ret_digest);

/* Scales raw values to length 1 into ret. Errors: ENGINE when a value is not finite or the length is below 1e-12;
 * ARG when dim is outside 1 .. VX_EMBEDDING_MAX_DIM. ret is then untouched. */
VX_MUST_CHECK vx_err vx_embedding_from_raw(const vx_model_digest *model, const float *raw, int dim, vx_embedding *ret);

/* Cosine similarity in [-1, 1]. Errors: MODEL_MISMATCH when digest or dimension differ, ENGINE when a
 * value is not finite; ret is then untouched. */
VX_MUST_CHECK vx_err vx_embedding_cosine(const vx_embedding *a, const vx_embedding *b, double *ret);

#endif
