/* decide.c - the rules from a probability to a verdict, and the settings they take.
 * Owns:   thresholds, and what AUTHENTICATE wants besides a high P. Does not: compute P (fusion.c), find anomalies
 *         (anomaly.c), put it into words (explain.c).
 *
 * Why lowering a score cannot open the lock: suppose AUTHENTICATE, and raise one score. Every source that was valid
 * still is; P does not fall (fusion.c), the threshold does not rise (the changed voice's conditions are lower bounds),
 * the lowest score does not fall. It was at least LOW, and below LOW lie all of disagreement (in billionths
 * min(highest, CAP) - lowest > DISAGREEMENT is lowest < min(highest, CAP) - DISAGREEMENT <= LOW exactly),
 * contradiction (physics <= 0.30) and too bad (< 0.01). So the verdict stays, or "too good" is reached. Why losing ML
 * or physics cannot: without them there is no AUTHENTICATE, but for allow_degraded.
 */
#include "edge/decide/decide.h"

#include <math.h>

#include "edge/decide/decide_private.h"

/* A voice that changed: what it may be like, what must make up for it, and the threshold. A stricter owner's threshold
 * is lowered by as much as the usual one, 0.85. */
#define CHANGED_ML         0.60
#define CHANGED_OTHERS     0.90
#define CHANGED_THRESHOLD  0.80
#define CHANGED_ALLOWANCE  0.05
/* The same without any voice. */
#define DEGRADED_THRESHOLD 0.75
#define DEGRADED_ALLOWANCE 0.10

vx_decide_options vx_decide_options_default(void)
{
    return (vx_decide_options){
        .weights = {0.40, 0.30, 0.20, 0.10},
        .authenticate = 0.85,
        .reject = 0.40,
        .min_sources = 2,
        .allow_degraded = false,
        .prior = VX_DECIDE_PRIOR,
    };
}

vx_err vx_decide_settings(const vx_options *settings, vx_decide_options *ret_options, vx_errinfo *info)
{
    const vx_decide_options options = {
        .weights = {[VX_SOURCE_ML] = vx_option_real(settings, "BAYESIAN_ML_WEIGHT"),
                    [VX_SOURCE_PHYSICS] = vx_option_real(settings, "BAYESIAN_PHYSICS_WEIGHT"),
                    [VX_SOURCE_BEHAVIOUR] = vx_option_real(settings, "BAYESIAN_BEHAVIORAL_WEIGHT"),
                    [VX_SOURCE_CONTEXT] = vx_option_real(settings, "BAYESIAN_CONTEXT_WEIGHT")},
        .authenticate = vx_option_real(settings, "BAYESIAN_AUTH_THRESHOLD"),
        .reject = vx_option_real(settings, "BAYESIAN_REJECT_THRESHOLD"),
        .min_sources = (int)vx_option_int(settings, "BAYESIAN_MIN_SOURCES"),
        .allow_degraded = vx_option_bool(settings, "VOXLOCK_ALLOW_DEGRADED_UNLOCK"),
        .prior = vx_option_real(settings, "BAYESIAN_PRIOR_AUTHENTIC"),
    };
    if (!(options.weights[VX_SOURCE_ML] > 0 && options.weights[VX_SOURCE_PHYSICS] > 0))
        return vx_errinfo_set(
            info, VX_ERR_OPTION_VALUE,
            "BAYESIAN_ML_WEIGHT and BAYESIAN_PHYSICS_WEIGHT must be more than 0: a lock that does not weigh "
            "the voice opens to others");
    if (!(options.reject < options.authenticate))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "BAYESIAN_REJECT_THRESHOLD (%g) must be less than BAYESIAN_AUTH_THRESHOLD (%g)",
                              options.reject, options.authenticate);
    *ret_options = options;
    return VX_OK;
}

/* Hoarse, but at the usual time, and alive beyond doubt. */
static bool may_be_changed(const vx_scores *s)
{
    return s->valid[VX_SOURCE_ML] && s->value[VX_SOURCE_ML] >= CHANGED_ML && s->valid[VX_SOURCE_PHYSICS] &&
           s->value[VX_SOURCE_PHYSICS] >= CHANGED_OTHERS && s->valid[VX_SOURCE_BEHAVIOUR] &&
           s->value[VX_SOURCE_BEHAVIOUR] >= CHANGED_OTHERS;
}

static double threshold_of(const vx_scores *s, double authenticate)
{
    if (!s->valid[VX_SOURCE_ML])
        return fmax(DEGRADED_THRESHOLD, vx_billionths(authenticate - DEGRADED_ALLOWANCE));
    if (may_be_changed(s))
        return fmin(authenticate, fmax(CHANGED_THRESHOLD, vx_billionths(authenticate - CHANGED_ALLOWANCE)));
    return authenticate;
}

static vx_obstacle obstacle_of(const vx_scores *s, const vx_decide_options *options, unsigned without,
                               const vx_decision *d)
{
    const double low = vx_billionths(VX_DECIDE_CAP - VX_DECIDE_DISAGREEMENT);
    /* Without the voice any living person at the owner's desk would do: then at least the hour must be the owner's. */
    if (!(without & VX_RULE_VOICE) && !s->valid[VX_SOURCE_ML] &&
        !(options->allow_degraded && s->valid[VX_SOURCE_BEHAVIOUR]))
        return VX_OBSTACLE_VOICE;
    if (!(without & VX_RULE_LIVING) && !s->valid[VX_SOURCE_PHYSICS])
        return VX_OBSTACLE_LIVING;
    if (!(without & VX_RULE_LOW_SCORE) && s->lowest < low)
        return VX_OBSTACLE_LOW_SCORE;
    if (d->p < d->threshold)
        return VX_OBSTACLE_PROBABILITY;
    if (!(without & VX_RULE_MIN_SOURCES) && s->n < options->min_sources)
        return VX_OBSTACLE_MIN_SOURCES;
    return VX_OBSTACLE_NONE;
}

vx_obstacle vx_judge(const vx_scores *scores, const vx_decide_options *options, unsigned without, vx_decision *ret)
{
    vx_decision d = {.verdict = VX_NO_EVIDENCE, .threshold = threshold_of(scores, options->authenticate)};
    const bool weighs = vx_fuse(scores, options, &d);
    const vx_obstacle obstacle = obstacle_of(scores, options, without, &d);
    if (weighs && (scores->valid[VX_SOURCE_ML] || scores->valid[VX_SOURCE_PHYSICS])) {
        d.anomaly = vx_anomaly_of(scores, without);
        if (d.anomaly != VX_ANOMALY_NONE)
            d.verdict = VX_ESCALATE;
        else if (d.p < options->reject) /* first: a lowered threshold may lie below it */
            d.verdict = VX_REJECT;
        else
            d.verdict = obstacle == VX_OBSTACLE_NONE ? VX_AUTHENTICATE : VX_CHALLENGE;
    }
    if (d.verdict == VX_NO_EVIDENCE)
        d.pooled = d.p = 0;
    d.alert = d.verdict == VX_ESCALATE;
    d.degraded = d.verdict != VX_NO_EVIDENCE && !scores->valid[VX_SOURCE_ML];
    d.voice_changed = d.verdict == VX_AUTHENTICATE && may_be_changed(scores) && d.p < options->authenticate;
    *ret = d;
    return obstacle;
}

void vx_decide(const vx_evidence evidence[VX_N_SOURCES], const vx_decide_options *options, vx_decision *ret_decision)
{
    const vx_scores scores = vx_scores_of(evidence);
    const vx_obstacle obstacle = vx_judge(&scores, options, 0, ret_decision);
    vx_explain(&scores, obstacle, ret_decision);
}
