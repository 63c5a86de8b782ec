/* likeness.h - the voiceprints of one speaker for the model that runs here, and likeness to them.
 * Owns:   the arrays that a comparison wants, and wiping them; a recording to its embedding. Does not: store (store/profiles.h), normalise and calibrate
 *         (engine/score.h), decide.
 */
#ifndef VX_EDGE_LIKENESS_H
#define VX_EDGE_LIKENESS_H

#include "edge/runtime.h"
#include "edge/types.h"
#include "shared/audio/audio.h"

/* All-zero is none. Biometric. */
typedef struct {
    vx_embedding *embeddings; /* [n] */
    double *speech_s;         /* [n] */
    size_t n, cap;
} vx_voiceprints;

/* Errors: those of vx_store_exemplars (NOT_FOUND: none of this model). */
VX_MUST_CHECK vx_err vx_voiceprints_load(const vx_runtime *runtime, int64_t speaker, vx_voiceprints *ret,
                                         vx_errinfo *info);
/* Room for `cap` of them; n is 0. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_voiceprints_reserve(size_t cap, vx_voiceprints *ret);
/* A copy of one more; there is room. */
void vx_voiceprints_add(vx_voiceprints *voiceprints, const vx_embedding *embedding, double speech_s);
/* Wipes and frees; all-zero is fine. */
void vx_voiceprints_done(vx_voiceprints *voiceprints);

/* The voice in a recording, trimmed and embedded, if it is good enough to be compared; for commands, who have a minute.
 * Errors: those of vx_quality_judge, of the model folder, and of vx_runtime_embed */
VX_MUST_CHECK vx_err vx_voice_embed(vx_runtime *runtime, const vx_audio *recording, vx_embedding *ret_embedding,
                                    vx_quality *ret_quality, vx_errinfo *info);
/* How probable it is that an utterance is of that voice, by the calibration in force.
 * quality [in] of the utterance
 * Errors  UNCALIBRATED (info says what to do), those of vx_score_compare */
VX_MUST_CHECK vx_err vx_voiceprints_compare(const vx_runtime *runtime, const vx_voiceprints *voiceprints,
                                            const vx_embedding *utterance, const vx_quality *quality,
                                            vx_score *ret_score, vx_errinfo *info);
/* The probability from which the voice alone is accepted, by the same calibration. */
double vx_voiceprints_threshold(const vx_runtime *runtime);

#endif
