/* calibration.h - from the features of a trial to how much more likely they are of one voice than of two.
 * Owns:   the logistic and its fit to trials. Does not: compare voices or make features (score.h).
 */
#ifndef VX_ENGINE_CALIBRATION_H
#define VX_ENGINE_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

/* What a trial is judged by, and where it stands. */
enum {
    VX_FEATURE_ONE,
    VX_FEATURE_SCORE,     /* the normalised score */
    VX_FEATURE_ENROLLED,  /* ln of the seconds of speech in the best exemplar */
    VX_FEATURE_UTTERANCE, /* ln of the seconds of speech in the utterance */
    VX_FEATURE_SNR,       /* of the utterance, in units of 10 dB */
    VX_SCORE_FEATURES
};

/* llr = w . x of a trial; P(same) = 1 / (1 + exp(-(llr + logit(prior)))). */
typedef struct {
    double weights[VX_SCORE_FEATURES];
    int n_same, n_other; /* trials it was fitted on; 0 of one: a false-accept (or false-reject) rate cannot be stated */
    double threshold;    /* of the probability at prior 0.5: where the model's threshold of "yes" lies */
} vx_calibration;

double vx_calibration_llr(const vx_calibration *calibration, const double features[VX_SCORE_FEATURES]);
/* At prior 0.5. */
double vx_calibration_probability(double llr);

/* Logistic regression of trials, same and other speakers weighed as if there were as many of each (of the rarer), with a
 * ridge towards `start` that weighs as much as VX_CALIBRATION_RIDGE trials: a handful moves little. A weight other than
 * those of ONE and SCORE that is 0 in `start` stays 0: what did not help over many speakers is not learned from a few.
 * features [in] [n, VX_SCORE_FEATURES], rows as in the enum; same [in] [n]
 * start    [in] NULL: all weights 0, threshold 0.5. The threshold is taken over.
 * Memory   none allocated
 * Errors   ARG (n = 0, or one class only), RANGE (not finite, it does not converge, or it gives likeness no weight) */
enum { VX_CALIBRATION_RIDGE = 50 };
VX_MUST_CHECK vx_err vx_calibration_fit(const double *features, const bool *same, size_t n, const vx_calibration *start,
                                        vx_calibration *ret, vx_errinfo *info);

#endif
