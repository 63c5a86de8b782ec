/* score.h - how alike a voiceprint and an utterance are, as a probability.
 * Owns:   normalisation of a score against the model's cohort, and what the calibrated result says.
 *         Does not: embed, decide, store.
 *
 * A cosine means something else for every voice and microphone, and more the more exemplars are looked at. Both are
 * measured on strangers: the cohort, embeddings of training speakers, shipped with the model. What a voice has in common
 * with the strangers it is most like, beyond what is usual, is taken off, and so is what they gain by the choice among
 * exemplars. Normalisation only takes away: a channel that the cohort does not know makes every stranger unlike, and the
 * usual normalisation by mean and deviation then accepts whoever uses the same channel (docs/measurements.md, "Scores").
 * The result goes through a logistic fitted on speakers that the model never saw. Both come with the model folder; a
 * cohort of another model is refused.
 */
#ifndef VX_ENGINE_SCORE_H
#define VX_ENGINE_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"
#include "shared/engine/calibration.h"
#include "shared/engine/embedding.h"
#include "shared/engine/manifest.h"

/* Strangers: unit vectors of one model. All-zero is none. */
typedef struct {
    vx_model_digest model;
    int n, dim, top; /* top: how many of the nearest are looked at, at most n */
    double floor;    /* mean cosine to the nearest that is usual: only what is above it counts */
    float *values;   /* [n, dim], owned */
} vx_cohort;

/* Opens the cohort that the manifest names: safetensors with "cohort" F32 [n, dim] and "model" U8 [32], the digest of the
 * weights that computed it. A manifest without one gives an empty cohort and VX_OK.
 * Errors: MODEL_MISSING, MODEL_HASH, MODEL_CORRUPT, MODEL_SHAPE (not as many, or not as long, as the manifest says),
 *         MODEL_MISMATCH (of other weights), PERMISSION, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_cohort_open(const char *folder, const vx_manifest *manifest, vx_cohort *ret_cohort,
                                    vx_errinfo *info);
/* All-zero and NULL are fine. */
void vx_cohort_close(vx_cohort *cohort);

/* What an utterance is compared with: one or more embeddings of one speaker. */
typedef struct {
    const vx_embedding *exemplars; /* borrowed; n, of one model */
    const double *speech_s;        /* [n] */
    size_t n;
} vx_template;

typedef struct {
    double speech_s, snr_db; /* of the utterance */
} vx_score_conditions;

typedef struct {
    double cosine;          /* to the best exemplar */
    double cosine_centroid; /* to the normalised mean of all */
    size_t best;            /* which exemplar */
    double normalised;      /* a cosine too, at most that of the best exemplar */
    double llr;             /* natural logarithm; 0 says nothing */
    double probability;     /* at prior 0.5 */
    bool calibrated;        /* llr and probability mean something */
} vx_score;

/* Compares. The best exemplar counts, less what strangers gain by being compared with the best of so many; without a
 * cohort it counts at most VX_SCORE_MARGIN above the mean over all exemplars. So more exemplars do not raise false
 * accepts.
 * cohort      [in] the manifest's, as opened
 * calibration [in] NULL: the manifest's; where it has none, `calibrated` is false
 * Errors      MODEL_MISMATCH (template, utterance, cohort, manifest), ARG (n = 0), RANGE (a value that is not finite, a
 *             time below 0), NOMEM
 * Threads     any */
#define VX_SCORE_MARGIN 0.02
VX_MUST_CHECK vx_err vx_score_compare(const vx_manifest *manifest, const vx_cohort *cohort,
                                      const vx_calibration *calibration, const vx_template *enrolled,
                                      const vx_embedding *utterance, const vx_score_conditions *conditions,
                                      vx_score *ret_score);

/* The features of a trial, as calibration weighs them. Speech counts from 0.1 to 60 s, noise from 0 to 40 dB: measures
 * beyond are those of something else than speech. */
void vx_score_features(const vx_score *score, double enrolled_speech_s, const vx_score_conditions *conditions,
                       double ret_features[VX_SCORE_FEATURES]);

#endif
