/* scores.h - error rates of a verification system from the scores of its trials.
 * Owns:   EER, minimum detection cost, cost of likelihood ratios, errors at a threshold, all of them also of reweighted
 *         trials, as a bootstrap needs them. Does not: compute scores or draw samples.
 * Source: models/train/score_trials.py, from which it differs in one thing: trials of equal score are accepted or
 *         refused together, since no threshold lies between them. Cllr: N. Bruemmer and J. du Preez,
 *         Application-independent evaluation of speaker detection, 2006.
 */
#ifndef VX_MEASURE_SCORES_H
#define VX_MEASURE_SCORES_H

#include <stdbool.h>
#include <stddef.h>

/* NIST's operating point: one trial in a hundred is the claimed speaker, both errors cost 1. */
#define VX_SCORES_TARGET_PRIOR 0.01

typedef struct {
    double score;
    bool is_target; /* both recordings are of one speaker */
    double weight;  /* 1, or how often a bootstrap drew it; 0 leaves it out */
} vx_scored_trial;

typedef struct {
    double eer;       /* share, at the threshold where misses and false alarms differ least: their mean */
    double threshold; /* that threshold: the highest score it refuses */
    double min_dcf;   /* divided by the cost of refusing everything, so at most 1 */
    double targets;   /* sums of weights */
    double nontargets;
} vx_score_rates;

/* Into rising order of score, which vx_scores_rates needs. */
void vx_scores_sort(vx_scored_trial *trials, size_t n);
/* trials [in] sorted. False, with ret untouched, when either kind has no weight. */
bool vx_scores_rates(const vx_scored_trial *trials, size_t n, vx_score_rates *ret);

/* What likelihood ratios cost, in bits, where the scores are their natural logarithms: 0 is perfect, 1 is what saying
 * nothing costs, and more than 1 is worse than that. False, with ret untouched, when either kind has no weight. */
bool vx_scores_cllr(const vx_scored_trial *trials, size_t n, double *ret);
/* The least that any rising function of the scores would cost: what calibration cannot mend. By pooling adjacent
 * violators. trials [in] sorted. False as above, and when memory is out. */
bool vx_scores_min_cllr(const vx_scored_trial *trials, size_t n, double *ret);

/* Shares; a score of the threshold is accepted. NAN of a kind that has no weight. */
typedef struct {
    double missed, false_alarms;
} vx_score_errors;
vx_score_errors vx_scores_errors_at(const vx_scored_trial *trials, size_t n, double threshold);

#endif
