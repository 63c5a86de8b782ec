/* forged.h - the golden model with a network of another strategy beside its weights: a right one, or one that is wrong in
 * one way (models/forge_artefacts.py makes them, build/forged keeps them).
 * Owns:   a copy of the model's folder, and a manifest that states of the network what a test wants stated.
 *         Does not: open anything.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_FORGED_H
#define VX_TESTS_FORGED_H

#include "tests/support/model_copy.h"

#define FORGED_GOLDEN    "tests/data/golden/model"
/* What `native` is said to take; a network that is said to take less goes first in `auto`. */
#define FORGED_NATIVE_MS 50.0

typedef struct {
    model_copy folder;
    const char *strategy; /* "jit", "onnx" */
    const char *file;     /* the network's name in the folder */
} forged_model;

/* Skips the test, and says why, when no Python with PyTorch was there to make them, or this build lacks the plugin.
 * plugin [in] "torch", "onnx" */
void forged_need(const char *plugin);
/* The golden model, its self-test by PyTorch, and a network in its place, measured at cosine 1.
 * network      [in] file of build/forged, "jit_good.pt"
 * inference_ms [in] what the manifest says it took */
forged_model forged_model_of(const char *strategy, const char *network, double inference_ms);
/* One more value of the network's entry in the manifest (takes it): "precision", "sha256", ... */
void forged_state(const forged_model *model, const char *key, json_t *value);
/* Removes the folder. */
void forged_model_done(forged_model *model);

#endif
