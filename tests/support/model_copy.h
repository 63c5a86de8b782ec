/* model_copy.h - a model folder of its own for a test that spoils it.
 * Owns:   a temporary folder with at most the three files of a model. Does not: load anything.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_MODEL_COPY_H
#define VX_TESTS_MODEL_COPY_H

#include <jansson.h>
#include <stddef.h>

#define MODEL_MANIFEST ".optimization_manifest.json"
#define MODEL_WEIGHTS  "model.safetensors"
#define MODEL_COHORT   "cohort.safetensors"

typedef struct {
    char path[64];
} model_copy;

/* An empty folder. */
model_copy model_copy_empty(void);
/* A copy of weights and manifest, and of the cohort where there is one. */
model_copy model_copy_of(const char *folder);
/* Copies one file, or puts one, in a single step: nobody sees half of it. */
void model_copy_take(const model_copy *copy, const char *folder, const char *name);
void model_copy_put(const model_copy *copy, const char *name, const void *data, size_t len);
void model_copy_drop(const model_copy *copy, const char *name);
/* Cuts a file down to n bytes; turns the lowest bit of one byte. */
void model_copy_cut(const model_copy *copy, const char *name, size_t n);
void model_copy_flip(const model_copy *copy, const char *name, size_t at);
/* The manifest as it stands (new reference), and in its place another (takes it). */
json_t *model_copy_manifest(const model_copy *copy);
void model_copy_set_manifest(const model_copy *copy, json_t *manifest);
/* Removes the folder. */
void model_copy_done(model_copy *copy);

#endif
