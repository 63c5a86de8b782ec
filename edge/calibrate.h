/* calibrate.h - scores fitted to the recordings a user has, and what can honestly be said of them.
 * Owns:   the trials among the recordings kept and those of other people, the fit, the error rates. Does not: store.
 */
#ifndef VX_EDGE_CALIBRATE_H
#define VX_EDGE_CALIBRATE_H

#include "edge/runtime.h"

/* An error rate with its 95 % interval (Wilson's). Trials that share a recording are not independent, so the true interval
 * is wider. */
typedef struct {
    int errors, trials;
    double rate, low, high; /* meaningless with trials 0 */
} vx_error_rate;
vx_error_rate vx_error_rate_of(int errors, int trials);

typedef struct {
    int n_same, n_other; /* trials */
    bool fitted;         /* there were trials of both kinds; else `calibration` is what was in force */
    vx_calibration calibration;
    /* At the threshold, each trial judged by a fit that never saw its recording; where nothing was fitted, by what was in
     * force. */
    vx_error_rate false_rejects, false_accepts;
    double cllr_before, cllr_after; /* bits; 1 is what a coin gives. NAN where one kind of trial is missing */
} vx_calibrated;

/* Trials: each recording kept of a profile against its others (same), against every other profile (other); each of
 * `strangers` against every profile (other).
 * strangers [in] n recordings of people who are not enrolled: embedding, and measures of the recording
 * Errors  NOT_ENROLLED (no profile has two recordings of the model in use), those of store and scores, RANGE (the fit does
 *         not converge), NOMEM */
VX_MUST_CHECK vx_err vx_calibrate(const vx_runtime *runtime, const vx_embedding *strangers, const vx_quality *measures,
                                  size_t n, vx_calibrated *ret, vx_errinfo *info);

#endif
