/* scores.c - rates by one pass over the trials in rising order, each distinct score a threshold; costs of ratios. */
#include "shared/measure/scores.h"

#include <math.h>
#include <stdlib.h>

static int by_score(const void *a, const void *b)
{
    const double x = ((const vx_scored_trial *)a)->score, y = ((const vx_scored_trial *)b)->score;
    return (x > y) - (x < y);
}

void vx_scores_sort(vx_scored_trial *trials, size_t n)
{
    if (n > 0)
        qsort(trials, n, sizeof *trials, by_score);
}

bool vx_scores_rates(const vx_scored_trial *trials, size_t n, vx_score_rates *ret)
{
    /* Refusing everything misses every target and costs exactly the prior. */
    vx_score_rates rates = {.min_dcf = 1};
    for (size_t i = 0; i < n; i++)
        *(trials[i].is_target ? &rates.targets : &rates.nontargets) += trials[i].weight;
    if (!(rates.targets > 0) || !(rates.nontargets > 0))
        return false;

    double missed = 0, refused = 0, least_gap = INFINITY;
    for (size_t i = 0; i < n; i++) {
        *(trials[i].is_target ? &missed : &refused) += trials[i].weight;
        const bool has_twin = i + 1 < n && !(trials[i + 1].score > trials[i].score);
        if (has_twin)
            continue;
        const double miss = missed / rates.targets, false_alarm = 1 - refused / rates.nontargets;
        const double gap = fabs(miss - false_alarm);
        if (gap < least_gap) {
            least_gap = gap;
            rates.eer = (miss + false_alarm) / 2;
            rates.threshold = trials[i].score;
        }
        const double cost = miss + false_alarm * (1 - VX_SCORES_TARGET_PRIOR) / VX_SCORES_TARGET_PRIOR;
        rates.min_dcf = fmin(rates.min_dcf, cost);
    }
    *ret = rates;
    return true;
}

/* ---- likelihood ratios ---- */

static bool weigh(const vx_scored_trial *trials, size_t n, double *ret_targets, double *ret_nontargets)
{
    double sums[2] = {0, 0};
    for (size_t i = 0; i < n; i++)
        sums[trials[i].is_target] += trials[i].weight;
    *ret_nontargets = sums[0];
    *ret_targets = sums[1];
    return sums[0] > 0 && sums[1] > 0;
}

/* log2(1 + exp(x)) without overflow. */
static double bits(double x)
{
    return (x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))) / log(2);
}

bool vx_scores_cllr(const vx_scored_trial *trials, size_t n, double *ret)
{
    double targets, nontargets, cost[2] = {0, 0};
    if (!weigh(trials, n, &targets, &nontargets))
        return false;
    for (size_t i = 0; i < n; i++)
        if (trials[i].weight > 0)
            cost[trials[i].is_target] +=
                trials[i].weight * bits(trials[i].is_target ? -trials[i].score : trials[i].score);
    *ret = (cost[1] / targets + cost[0] / nontargets) / 2;
    return true;
}

/* Shares of all targets and non-targets that get one likelihood ratio, target / nontarget. */
typedef struct {
    double target, nontarget;
} block;

/* a's ratio is at least b's, also where one is infinite. */
static bool violates(const block *a, const block *b)
{
    return a->target * b->nontarget >= b->target * a->nontarget;
}

bool vx_scores_min_cllr(const vx_scored_trial *trials, size_t n, double *ret)
{
    double targets, nontargets, cost = 0;
    size_t n_blocks = 0;
    if (!weigh(trials, n, &targets, &nontargets))
        return false;
    block *blocks = calloc(n, sizeof *blocks);
    if (!blocks)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!(trials[i].weight > 0))
            continue;
        block *last = &blocks[n_blocks++];
        *last =
            trials[i].is_target ? (block){trials[i].weight / targets, 0} : (block){0, trials[i].weight / nontargets};
        /* What has one score has one ratio. */
        while (i + 1 < n && !(trials[i + 1].score > trials[i].score)) {
            i++;
            *(trials[i].is_target ? &last->target : &last->nontarget) +=
                trials[i].weight / (trials[i].is_target ? targets : nontargets);
        }
        while (n_blocks > 1 && violates(&blocks[n_blocks - 2], &blocks[n_blocks - 1])) {
            blocks[n_blocks - 2].target += blocks[n_blocks - 1].target;
            blocks[n_blocks - 2].nontarget += blocks[n_blocks - 1].nontarget;
            n_blocks--;
        }
    }
    for (size_t i = 0; i < n_blocks; i++) {
        const block b = blocks[i];
        cost += b.target > 0 ? b.target * log2(1 + b.nontarget / b.target) : 0;
        cost += b.nontarget > 0 ? b.nontarget * log2(1 + b.target / b.nontarget) : 0;
    }
    free(blocks);
    *ret = cost / 2;
    return true;
}

vx_score_errors vx_scores_errors_at(const vx_scored_trial *trials, size_t n, double threshold)
{
    double targets, nontargets;
    vx_score_errors errors = {0, 0};
    (void)weigh(trials, n, &targets, &nontargets);
    for (size_t i = 0; i < n; i++)
        if (trials[i].is_target == (trials[i].score < threshold))
            *(trials[i].is_target ? &errors.missed : &errors.false_alarms) += trials[i].weight;
    errors.missed = targets > 0 ? errors.missed / targets : NAN;
    errors.false_alarms = nontargets > 0 ? errors.false_alarms / nontargets : NAN;
    return errors;
}
