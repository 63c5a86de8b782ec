/* reference.h - embeddings that clients send to be compared with: verify and identify. */
#ifndef VX_CLOUD_REFERENCE_H
#define VX_CLOUD_REFERENCE_H

#include <jansson.h>

#include "shared/engine/embedding.h"
#include "shared/engine/manifest.h"

/* A reference that says which model made it is held to that: obj[key], when present, is a digest's text.
 * Errors: JSON_FIELD, MODEL_MISMATCH. */
VX_MUST_CHECK vx_err vx_reference_model(const json_t *obj, const char *key, const vx_manifest *manifest,
                                        vx_errinfo *info);
/* An array of the model's dimension to an embedding of length 1; `what` names it in errors. ret is wiped by the caller.
 * Errors: JSON_FIELD (wrong size, not finite, all zeros). */
VX_MUST_CHECK vx_err vx_reference_vector(const json_t *array, const char *what, const vx_manifest *manifest,
                                         vx_embedding *ret, vx_errinfo *info);

#endif
