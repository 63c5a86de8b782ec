/* scores.c - one pass over the trials in rising order, each distinct score a threshold. */
#include "tests/support/scores.h"

#include <math.h>
#include <stdlib.h>

static int by_score(const void *a, const void *b)
{
    const double x = ((const scored_trial *)a)->score, y = ((const scored_trial *)b)->score;
    return (x > y) - (x < y);
}

void scores_sort(scored_trial *trials, size_t n)
{
    if (n > 0)
        qsort(trials, n, sizeof *trials, by_score);
}

bool scores_rates(const scored_trial *trials, size_t n, score_rates *ret)
{
    /* Refusing everything misses every target and costs exactly the prior. */
    score_rates rates = {.min_dcf = 1};
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
        const double cost = miss + false_alarm * (1 - SCORES_TARGET_PRIOR) / SCORES_TARGET_PRIOR;
        rates.min_dcf = fmin(rates.min_dcf, cost);
    }
    *ret = rates;
    return true;
}
