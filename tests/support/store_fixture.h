/* store_fixture.h - a profile store in a folder of its own, and things to put into it that a seed fixes.
 * Owns:   the folder. Does not: judge. Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_STORE_FIXTURE_H
#define VX_TESTS_STORE_FIXTURE_H

#include "edge/store/attempts.h"
#include "edge/store/audit.h"
#include "edge/store/profiles.h"
#include "edge/store/store.h"

#define STORE_FIXTURE_CAP 64
enum { FIXTURE_DIM = 192, FIXTURE_CLIP = 1600 /* samples of a recording: 0.1 s */ };

/* A new folder of mode 0700 in /tmp. */
void store_folder_make(char ret_folder[STORE_FIXTURE_CAP]);
/* Empties it, and folders in it; `remove` also takes it away. */
void store_folder_clear(const char *folder, bool remove);
/* "folder/name"; good until the 64th call after this one. */
const char *store_folder_path(const char *folder, const char *name);

/* A store with its key in a file, made when there is none. vfs NULL: the system's. */
vx_err store_try(const char *folder, const char *vfs, vx_store **ret_store, vx_errinfo *info);
/* The same, which must work. */
vx_store *store_start(const char *folder);
/* Integrity, sealed values and audit chain are right. */
void store_assert_whole(vx_store *store);

/* A recording of FIXTURE_CLIP samples that 16 bits hold exactly, with the embedding of a voice; what it points to is the
 * fixture's, until the 64th call after this one.
 * seed [in] fixes all of it; model [in] first byte of the model's digest; score [in] of its quality */
vx_new_sample fixture_sample(uint64_t seed, uint8_t model, double score, const char *microphone);
vx_embedding fixture_embedding(uint64_t seed, uint8_t model, int dim);
vx_model_digest fixture_model(uint8_t model);

/* Everything in the store that its users can see, as text, but times and keys: two stores with the same text hold the
 * same. Freed by the caller. NULL, info filled, when a read fails. */
char *store_picture(vx_store *store, vx_errinfo *info);

/* A store for each test: setup and teardown of cmocka, which also proves that the test left it whole. *state is the
 * fixture. */
typedef struct {
    char folder[STORE_FIXTURE_CAP];
    vx_store *store;
} store_fixture;
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* An enrolment that must work, and keep and drop so many. */
void fixture_enrol(vx_store *store, const char *name, const vx_new_sample *samples, size_t n, bool replace, int kept,
                   int dropped);
/* A speaker that must be there. */
vx_speaker fixture_speaker(vx_store *store, const char *name);

#endif
