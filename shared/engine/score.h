/* score.h - how alike a voiceprint and an utterance are, as a probability.
 * Owns:   adaptive score normalisation against the model's cohort, and the calibration of the result.
 *         Does not: embed, decide, store.
 *
 * A cosine means something else for every voice and microphone: both sides are therefore measured against the strangers
 * they are most like (the cohort, embeddings of training speakers, shipped with the model), and the result is put through
 * a logistic fitted on speakers that the model never saw. Both come with the model folder; a cohort of another model is
 * refused.
 */
#ifndef VX_ENGINE_SCORE_H
#define VX_ENGINE_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"
#include "shared/engine/embedding.h"
#include "shared/engine/manifest.h"

/* llr = w . x of a trial; P(same) = 1 / (1 + exp(-(llr + logit(prior)))). The features are those of vx_score_features. */
enum { VX_SCORE_FEATURES = 6 };
typedef struct {
    double weights[VX_SCORE_FEATURES];
    int n_same, n_other; /* trials it was fitted on; 0 of one: a false-accept (or false-reject) rate cannot be stated */
    double threshold;    /* of the probability at prior 0.5: where the model's threshold of "yes" lies */
} vx_calibration;

/* Strangers: unit vectors of one model. All-zero is none. */
typedef struct {
    vx_model_digest model;
    int n, dim, top; /* top: how many of the nearest are looked at */
    float *values;   /* [n, dim], owned */
} vx_cohort;

/* Opens the cohort that the manifest names (safetensors, one tensor "cohort" [n, dim], digest proven). A manifest
 * without one gives an empty cohort and VX_OK. Errors: MODEL_MISSING, MODEL_HASH, MODEL_CORRUPT, MODEL_SHAPE, NOMEM. */
VX_MUST_CHECK vx_err vx_cohort_open(const char *folder, const vx_manifest *manifest, vx_cohort *ret_cohort,
                                    vx_errinfo *info);
/* All-zero is fine. */
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
    double normalised;      /* after the cohort; the cosine itself without one */
    double llr;             /* natural logarithm; 0 says nothing */
    double probability;     /* at prior 0.5 */
    bool calibrated;        /* llr and probability mean something */
} vx_score;

/* Compares. The best exemplar counts, but never more than a margin above the centroid, and the cohort is measured in the
 * same way, so that many exemplars do not raise false accepts (docs/measurements.md).
 * calibration [in] NULL: the manifest's
 * Errors      MODEL_MISMATCH (template, utterance, cohort), ARG (n = 0), RANGE, NOMEM */
VX_MUST_CHECK vx_err vx_score_compare(const vx_manifest *manifest, const vx_cohort *cohort,
                                      const vx_calibration *calibration, const vx_template *enrolled,
                                      const vx_embedding *utterance, const vx_score_conditions *conditions,
                                      vx_score *ret_score);

/* The features of a trial, as calibration weighs them: 1, normalised score, and what durations and noise take from it. */
void vx_score_features(const vx_score *score, double enrolled_speech_s, const vx_score_conditions *conditions,
                       double ret_features[VX_SCORE_FEATURES]);

/* Logistic regression of trials (features as above), same and other speakers weighed as if there were as many of each,
 * with a ridge towards `start`, so that a handful of trials moves little.
 * features [in] [n, VX_SCORE_FEATURES]; same [in] [n]
 * Errors   ARG (n = 0, or one class only), RANGE (not finite, or it does not converge), NOMEM */
VX_MUST_CHECK vx_err vx_calibration_fit(const double *features, const bool *same, size_t n, const vx_calibration *start,
                                        vx_calibration *ret, vx_errinfo *info);

#endif
