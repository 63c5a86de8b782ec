/* profiles.h - speakers, the recordings kept of them, and their voiceprints by model and microphone.
 * Owns:   which samples are kept and that templates fit the model. Does not: embed, compare, or judge quality.
 *
 * Up to VX_STORE_SAMPLES recordings a speaker are kept as audio, the best by quality, so that voiceprints can be
 * computed anew when the model changes; embeddings hang on samples, one for each model they were computed with.
 *
 * A profile that was changed by something else than voxlock is not read: STORE_CORRUPT, and info names it. It can be
 * removed. Where profiles were added or taken away none is read.
 */
#ifndef VX_EDGE_STORE_PROFILES_H
#define VX_EDGE_STORE_PROFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/store/store.h"
#include "edge/types.h"
#include "shared/engine/embedding.h"

enum { VX_STORE_SAMPLES = 10 };

typedef struct {
    int64_t id;
    char name[VX_NAME_CAP];
    int64_t created_ms, updated_ms;
    int n_samples;         /* recordings kept */
    int n_microphones;     /* variants */
    bool armed;            /* an AUTHENTICATE for this speaker may unlock */
    bool starter_accepted; /* its owner said so though the model is the starter */
    bool legacy;           /* has embeddings of no model that audio could be recomputed with: no sample holds audio */
    vx_model_digest model; /* of the embeddings written last; zero when there are none */
} vx_speaker;

/* Names are 1 to 64 bytes of UTF-8 without control characters, compared as they are. Errors: RANGE. */
VX_MUST_CHECK vx_err vx_speaker_check_name(const char *name, vx_errinfo *info);

/* One recording to keep. Borrowed by the functions that take it. */
typedef struct {
    const float *samples; /* 16 kHz mono; NULL: only the embedding is known (legacy) */
    size_t n;
    vx_quality quality;
    const char *microphone; /* "" when unknown */
    int64_t taken_ms;
    const vx_embedding *embedding; /* NULL: none of this model yet */
} vx_new_sample;

typedef struct {
    int64_t speaker;
    int n_kept, n_dropped; /* of old and new recordings together: what retention left */
} vx_enrolled;

/* Adds recordings to a speaker, who is made when there is none, keeps the best VX_STORE_SAMPLES (by quality.score; of
 * each microphone the best stays, unless there are more microphones than that), and writes one audit entry: all of it
 * or nothing.
 * replace [in] drop what was there before: recordings, what was learned, and whether it may unlock. Refused (LEGACY_PROFILE) where it is false and the profile is legacy.
 * Errors  RANGE (name, n = 0), LEGACY_PROFILE, STORE_*, IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_enrol(vx_store *store, const char *name, const vx_new_sample *samples, size_t n,
                                    bool replace, vx_enrolled *ret_enrolled, vx_errinfo *info);

/* Errors: NOT_ENROLLED (info names the speakers there are, if few), STORE_*, IO. */
VX_MUST_CHECK vx_err vx_store_speaker(vx_store *store, const char *name, vx_speaker *ret_speaker, vx_errinfo *info);
/* All, by name. ret_speakers [out] heap, free(); NULL when there are none. */
VX_MUST_CHECK vx_err vx_store_speakers(vx_store *store, vx_speaker **ret_speakers, size_t *ret_n, vx_errinfo *info);
/* With all that hangs on it (samples, embeddings, priors, habits); attempts and audit entries stay. Pages are overwritten
 * (secure_delete). */
VX_MUST_CHECK vx_err vx_store_remove(vx_store *store, const char *name, vx_errinfo *info);
/* Attempts go with the name, and with them the rejections that make the next one wait; audit entries stay as they are.
 * Errors: NOT_ENROLLED, EXISTS, RANGE. */
VX_MUST_CHECK vx_err vx_store_rename(vx_store *store, const char *name, const char *new_name, vx_errinfo *info);
/* Whether AUTHENTICATE for this speaker may unlock. */
VX_MUST_CHECK vx_err vx_store_arm(vx_store *store, const char *name, bool armed, bool starter_accepted,
                                  vx_errinfo *info);

/* One kept recording. */
typedef struct {
    int64_t id;
    int64_t taken_ms;
    vx_quality quality;
    char microphone[VX_MICROPHONE_CAP];
    bool has_audio;
    bool has_embedding; /* of the model asked for */
} vx_sample;
/* The samples of a speaker, best first, without their audio. model may be NULL. ret_samples [out] heap, free().
 * Errors: NOT_ENROLLED (no such speaker), STORE_*, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_store_samples(vx_store *store, int64_t speaker, const vx_model_digest *model,
                                      vx_sample **ret_samples, size_t *ret_n, vx_errinfo *info);
/* A sample's audio, to be wiped with vx_audio_wipe-like care: ret_pcm [out] heap, n floats; wipe and free(). Audio is kept
 * as 16-bit PCM, which is what microphones give. Errors: NOT_FOUND (no such sample, or no audio), STORE_CORRUPT, NOMEM. */
VX_MUST_CHECK vx_err vx_store_sample_audio(vx_store *store, int64_t sample, float **ret_pcm, size_t *ret_n,
                                           vx_errinfo *info);

/* A voiceprint as the comparison wants it. */
typedef struct {
    vx_embedding embedding;
    int64_t sample;
    double speech_s, quality; /* of the recording it came from */
    char microphone[VX_MICROPHONE_CAP];
} vx_exemplar;
/* The exemplars of one model, best first. ret [out] heap; wipe (n * sizeof) and free(). Errors: NOT_FOUND when the speaker
 * has none of that model (info says which models there are, and what `voxlock migrate` can do), NOT_ENROLLED (no such
 * speaker), STORE_*, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_store_exemplars(vx_store *store, int64_t speaker, const vx_model_digest *model,
                                        vx_exemplar **ret, size_t *ret_n, vx_errinfo *info);
/* Writes embeddings computed anew, one for each sample, all or none; those of other models stay until
 * vx_store_forget_models. */
VX_MUST_CHECK vx_err vx_store_put_embeddings(vx_store *store, int64_t speaker, const int64_t *samples,
                                             const vx_embedding *embeddings, size_t n, vx_errinfo *info);
/* Drops the embeddings of every model but this one, where audio is there to compute them again. */
VX_MUST_CHECK vx_err vx_store_forget_models(vx_store *store, const vx_model_digest *keep, vx_errinfo *info);
/* Gives a legacy profile embeddings of `model` by padding with zeros or cutting off, then normalising: the caller asked
 * for it by name (--allow-legacy) and says that it is no measure of likeness. Errors: LEGACY_PROFILE (it is none). */
VX_MUST_CHECK vx_err vx_store_pad_legacy(vx_store *store, const char *name, const vx_model_digest *model, int dim,
                                         vx_errinfo *info);

#endif
