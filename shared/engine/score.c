/* score.c - compares a voiceprint with an utterance, and both with strangers.
 * Owns:   the arithmetic of score.h. Does not: read files (cohort.c), fit (calibration.c).
 * Source: the idea of adaptive normalisation is Matejka et al., Analysis of score normalization in multilingual speaker
 *         recognition, 2017. Differs in two things, for reasons that docs/measurements.md gives: no division by the
 *         cohort's deviation, and nothing is ever added to a score.
 */
#include "shared/engine/score.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

/* ---- strangers ---- */

/* Reorders. By selection: a library's sort may leave a copy of the values in memory that nobody wipes. */
static double mean_of_nearest(const vx_cohort *cohort, double *cosines)
{
    double sum = 0.0;
    for (int i = 0; i < cohort->top; i++) {
        int nearest = i;
        for (int k = i + 1; k < cohort->n; k++)
            nearest = cosines[k] > cosines[nearest] ? k : nearest;
        const double cosine = cosines[nearest];
        cosines[nearest] = cosines[i];
        cosines[i] = cosine;
        sum += cosine;
    }
    return sum / cohort->top;
}

static void cosines_to_cohort(const vx_cohort *cohort, const vx_embedding *e, double *ret_cosines)
{
    for (int i = 0; i < cohort->n; i++) {
        const float *stranger = cohort->values + (size_t)i * (size_t)cohort->dim;
        double dot = 0.0;
        for (int k = 0; k < cohort->dim; k++)
            dot += (double)stranger[k] * (double)e->values[k];
        ret_cosines[i] = dot;
    }
}

/* How near strangers come: to one exemplar on average, and how much nearer by the choice among all of them; to the
 * utterance. */
typedef struct {
    double exemplar, gain, utterance;
} nearness;

static vx_err measure_strangers(const vx_cohort *cohort, const vx_template *enrolled, const vx_embedding *utterance,
                                nearness *ret)
{
    const size_t n = (size_t)cohort->n;
    nearness near = {0};
    double *room = malloc(2 * n * sizeof *room), *best = room ? room + n : NULL;
    if (!room)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        best[i] = -1.0;
    for (size_t e = 0; e < enrolled->n; e++) {
        cosines_to_cohort(cohort, &enrolled->exemplars[e], room);
        for (size_t i = 0; i < n; i++)
            best[i] = fmax(best[i], room[i]);
        near.exemplar += mean_of_nearest(cohort, room) / (double)enrolled->n;
    }
    near.gain = mean_of_nearest(cohort, best) - near.exemplar;
    cosines_to_cohort(cohort, utterance, room);
    near.utterance = mean_of_nearest(cohort, room);
    vx_wipe(room, 2 * n * sizeof *room);
    free(room);
    *ret = near;
    return VX_OK;
}

/* ---- the template ---- */

/* 0 where exemplars cancel each other out: such a mean has no direction. */
static vx_err cosine_to_centroid(const vx_template *enrolled, const vx_embedding *utterance, double *ret)
{
    const vx_embedding *first = &enrolled->exemplars[0];
    float mean[VX_EMBEDDING_MAX_DIM] = {0};
    vx_embedding centroid;
    vx_err err = VX_OK;
    for (size_t e = 0; e < enrolled->n; e++)
        for (int k = 0; k < first->dim; k++)
            mean[k] += enrolled->exemplars[e].values[k] / (float)enrolled->n;
    if (vx_embedding_from_raw(&first->model, mean, first->dim, &centroid) == VX_OK)
        err = vx_embedding_cosine(&centroid, utterance, ret);
    else
        *ret = 0.0;
    vx_wipe(mean, sizeof mean);
    vx_embedding_wipe(&centroid);
    return err;
}

static bool is_finite(const vx_embedding *e)
{
    for (int i = 0; i < e->dim; i++)
        if (!isfinite(e->values[i]))
            return false;
    return true;
}

static vx_err check(const vx_manifest *manifest, const vx_cohort *cohort, const vx_template *enrolled,
                    const vx_embedding *utterance, const vx_score_conditions *conditions)
{
    if (enrolled->n == 0)
        return VX_ERR_ARG;
    /* A calibration holds for scores of its own cohort only. */
    if (cohort->n != manifest->cohort_count || utterance->dim != manifest->dim ||
        !vx_model_digest_equal(&utterance->model, &manifest->digest))
        return VX_ERR_MODEL_MISMATCH;
    if (cohort->n > 0 && (cohort->dim != manifest->dim || !vx_model_digest_equal(&cohort->model, &manifest->digest)))
        return VX_ERR_MODEL_MISMATCH;
    if (!is_finite(utterance) || !(conditions->speech_s >= 0.0) || !isfinite(conditions->speech_s) ||
        !isfinite(conditions->snr_db))
        return VX_ERR_RANGE;
    for (size_t e = 0; e < enrolled->n; e++) {
        const vx_embedding *exemplar = &enrolled->exemplars[e];
        if (exemplar->dim != manifest->dim || !vx_model_digest_equal(&exemplar->model, &manifest->digest))
            return VX_ERR_MODEL_MISMATCH;
        if (!is_finite(exemplar) || !(enrolled->speech_s[e] >= 0.0) || !isfinite(enrolled->speech_s[e]))
            return VX_ERR_RANGE;
    }
    return VX_OK;
}

/* Cosines only. ret_mean: over all exemplars. */
static vx_err compare_exemplars(const vx_template *enrolled, const vx_embedding *utterance, vx_score *ret,
                                double *ret_mean)
{
    vx_score score = {.cosine = -INFINITY};
    double mean = 0.0;
    for (size_t e = 0; e < enrolled->n; e++) {
        double cosine;
        const vx_err err = vx_embedding_cosine(&enrolled->exemplars[e], utterance, &cosine);
        if (err != VX_OK)
            return err;
        mean += cosine / (double)enrolled->n;
        if (cosine > score.cosine) {
            score.cosine = cosine;
            score.best = e;
        }
    }
    const vx_err err = cosine_to_centroid(enrolled, utterance, &score.cosine_centroid);
    if (err != VX_OK)
        return err;
    *ret = score;
    *ret_mean = mean;
    return VX_OK;
}

vx_err vx_score_compare(const vx_manifest *manifest, const vx_cohort *cohort, const vx_calibration *calibration,
                        const vx_template *enrolled, const vx_embedding *utterance,
                        const vx_score_conditions *conditions, vx_score *ret_score)
{
    vx_score score;
    double mean, features[VX_SCORE_FEATURES];
    vx_err err = check(manifest, cohort, enrolled, utterance, conditions);
    if (err == VX_OK)
        err = compare_exemplars(enrolled, utterance, &score, &mean);
    if (err != VX_OK)
        return err;
    if (cohort->n > 0) {
        nearness near;
        err = measure_strangers(cohort, enrolled, utterance, &near);
        if (err != VX_OK)
            return err;
        const double common =
            (fmax(near.exemplar - cohort->floor, 0.0) + fmax(near.utterance - cohort->floor, 0.0)) / 2;
        score.normalised = score.cosine - fmax(near.gain, 0.0) - common;
    } else {
        score.normalised = fmin(score.cosine, mean + VX_SCORE_MARGIN);
    }
    if (!calibration && manifest->score_calibrated)
        calibration = &manifest->score_calibration;
    score.probability = 0.5;
    score.calibrated = calibration != NULL;
    if (calibration) {
        vx_score_features(&score, enrolled->speech_s[score.best], conditions, features);
        score.llr = vx_calibration_llr(calibration, features);
        score.probability = vx_calibration_probability(score.llr);
    }
    *ret_score = score;
    return VX_OK;
}

static double within(double value, double min, double max)
{
    return fmin(fmax(value, min), max);
}

void vx_score_features(const vx_score *score, double enrolled_speech_s, const vx_score_conditions *conditions,
                       double ret_features[VX_SCORE_FEATURES])
{
    ret_features[VX_FEATURE_ONE] = 1.0;
    ret_features[VX_FEATURE_SCORE] = score->normalised;
    ret_features[VX_FEATURE_ENROLLED] = log(within(enrolled_speech_s, 0.1, 60.0));
    ret_features[VX_FEATURE_UTTERANCE] = log(within(conditions->speech_s, 0.1, 60.0));
    ret_features[VX_FEATURE_SNR] = within(conditions->snr_db, 0.0, 40.0) / 10.0;
}
