/* fusion.c - scores to one probability: clamp, renormalise, weighted geometric mean, posterior.
 * Owns:   the arithmetic, and that it keeps order. Does not: judge the result (decide.c).
 *
 * P must not fall when a score rises, not by the last bit either, and libm promises no such thing of log and exp. So
 * whatever goes into them lies on a grid (scores: billionths; the mean logarithm: 1e-12) whose neighbours differ by a
 * thousand times what libm may be off: there both rise strictly. The other steps are additions, products and quotients
 * with one argument that moves, and rounding keeps their order.
 * Billionths also make decimals mean on the machine what they mean on paper: 0.80 - 0.30 is not more than 0.50, and
 * four sources of 0.85 give a P of 0.85, not of 0.8499999999999999.
 */
#include <math.h>

#include "edge/decide/decide_private.h"
#include "edge/decide/prior.h"

/* Certainty would make every other source worthless: its odds are infinite. */
#define LEAST 1e-4
#define MOST  (1 - 1e-4)

static double on_grid(double x, double steps)
{
    return round(x * steps) / steps;
}

double vx_billionths(double x)
{
    return on_grid(x, 1e9);
}

vx_evidence_status vx_decide_status(const vx_evidence *evidence)
{
    if (evidence->status == VX_EVIDENCE_VALID && !(evidence->confidence >= 0 && evidence->confidence <= 1))
        return VX_EVIDENCE_UNAVAILABLE; /* NaN, too */
    return evidence->status;
}

vx_scores vx_scores_of(const vx_evidence evidence[VX_N_SOURCES])
{
    vx_scores s = {.lowest = 1, .highest = 0};
    for (int i = 0; i < VX_N_SOURCES; i++) {
        if (vx_decide_status(&evidence[i]) != VX_EVIDENCE_VALID)
            continue;
        s.valid[i] = true;
        s.value[i] = vx_billionths(fmin(fmax(evidence[i].confidence, LEAST), MOST));
        s.n++;
        s.lowest = fmin(s.lowest, s.value[i]);
        s.highest = fmax(s.highest, s.value[i]);
    }
    return s;
}

static double odds(double p)
{
    return p / (1 - p);
}

static double posterior(double pooled, double prior)
{
    if (!(prior >= VX_PRIOR_LEAST && prior <= VX_PRIOR_MOST))
        prior = VX_DECIDE_PRIOR;
    const double ratio = odds(pooled) * (odds(prior) / odds(VX_DECIDE_PRIOR));
    return 1 / (1 + 1 / ratio); /* not ratio / (1 + ratio), where both would move */
}

bool vx_fuse(const vx_scores *scores, const vx_decide_options *options, vx_decision *d)
{
    double total = 0, log_pooled = 0;
    d->pooled = d->p = 0;
    for (int i = 0; i < VX_N_SOURCES; i++) {
        const bool has_neutral = i == VX_SOURCE_BEHAVIOUR || i == VX_SOURCE_CONTEXT;
        d->used[i] = scores->valid[i] ? scores->value[i] : has_neutral ? VX_DECIDE_NEUTRAL : 0;
        d->weight[i] = d->used[i] > 0 ? options->weights[i] : 0;
        total += d->weight[i];
    }
    if (!(total > 0))
        return false;
    for (int i = 0; i < VX_N_SOURCES; i++) {
        d->weight[i] /= total;
        if (d->weight[i] > 0)
            log_pooled += d->weight[i] * log(d->used[i]);
    }
    const double pooled = exp(on_grid(log_pooled, 1e12));
    d->pooled = vx_billionths(pooled);
    d->p = vx_billionths(posterior(pooled, options->prior));
    return true;
}
