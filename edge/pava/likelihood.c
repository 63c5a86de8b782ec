/* likelihood.c - the sums. */
#include "edge/pava/likelihood.h"

#include <math.h>
#include <stdio.h>

/* Further from the living than so many spreads tells no more: a measure that failed wildly must not decide alone. */
static const double LIMIT = 4;
/* A layer's ratio counts no more than e^12: a fingerprint's is near that, and nothing else should be. */
static const double LLR_LIMIT = 12;
/* From here on the confidence is below what any verdict opens at (decide.c: every valid source at 0.35 or more). */
static const double ACCUSED = 0.65;

const vx_pava_weights vx_pava_fitted = {
#include "edge/pava/pava_weights.inc"
};

vx_risk vx_risk_of_layer(vx_pava_layer layer)
{
    static const vx_risk risks[VX_N_LAYERS] = {
        [VX_LAYER_REPLAY] = VX_RISK_REPLAY,     [VX_LAYER_SYNTHETIC] = VX_RISK_SYNTHETIC,
        [VX_LAYER_PLAYBACK] = VX_RISK_PLAYBACK, [VX_LAYER_CONVERSION] = VX_RISK_SYNTHETIC,
        [VX_LAYER_LIVENESS] = VX_RISK_LIVENESS, [VX_LAYER_DEEPFAKE] = VX_RISK_SYNTHETIC,
        [VX_LAYER_PHYSICS] = VX_RISK_PHYSICS,
    };
    return risks[layer];
}

bool vx_layer_counts(const vx_pava_weights *weights, vx_pava_layer layer)
{
    return weights->layers[layer].reliability > 0 && weights->risks[vx_risk_of_layer(layer)] > 0;
}

double vx_layer_llr(const vx_layer_weights *weights, const double measures[VX_PAVA_MEASURES])
{
    double sum = weights->bias;
    for (int i = 0; i < VX_PAVA_MEASURES; i++) {
        const vx_measure_weights *w = &weights->measures[i];
        if (!(w->spread > 0) || !isfinite(measures[i]))
            continue;
        const double z = fmin(fmax((measures[i] - w->centre) / w->spread, -LIMIT), LIMIT);
        sum += w->linear * z + w->square * (z * z - 1);
    }
    return fmin(fmax(sum, -LLR_LIMIT), LLR_LIMIT);
}

double vx_pava_risk(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS])
{
    double strongest[VX_N_RISKS] = {0}, sum = weights->bias;
    bool judged[VX_N_RISKS] = {false};
    for (int i = 0; i < VX_N_LAYERS; i++) {
        const vx_risk r = vx_risk_of_layer((vx_pava_layer)i);
        if (findings[i].status != VX_EVIDENCE_VALID || !vx_layer_counts(weights, (vx_pava_layer)i))
            continue;
        strongest[r] = judged[r] ? fmax(strongest[r], findings[i].llr) : findings[i].llr;
        judged[r] = true;
    }
    for (int r = 0; r < VX_N_RISKS; r++)
        sum += weights->risks[r] * (judged[r] ? strongest[r] : weights->usual[r]);
    return 1 / (1 + exp(-sum));
}

/* ---- together ------------------------------------------------------------------------------------------------------- */

/* The first layer that has a say and could not judge; VX_N_LAYERS when all could. */
static int first_absent(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS])
{
    int i = 0;
    while (i < VX_N_LAYERS && (findings[i].status == VX_EVIDENCE_VALID || !vx_layer_counts(weights, (vx_pava_layer)i)))
        i++;
    return i;
}

/* The layer that speaks for a machine most; VX_N_LAYERS when none that has a say has judged. */
static int loudest(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS])
{
    int best = VX_N_LAYERS;
    for (int i = 0; i < VX_N_LAYERS; i++)
        if (findings[i].status == VX_EVIDENCE_VALID && vx_layer_counts(weights, (vx_pava_layer)i) &&
            (best == VX_N_LAYERS || findings[i].llr > findings[best].llr))
            best = i;
    return best;
}

static bool nobody_counts(const vx_pava_weights *weights)
{
    int i = 0;
    while (i < VX_N_LAYERS && !vx_layer_counts(weights, (vx_pava_layer)i))
        i++;
    return i == VX_N_LAYERS;
}

double vx_pava_conclude(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS], bool own_speaker,
                        vx_evidence *ret_evidence)
{
    const int absent = first_absent(weights, findings), worst = loudest(weights, findings);
    const double risk = vx_pava_risk(weights, findings);
    const bool accused = worst < VX_N_LAYERS && risk > ACCUSED;
    vx_evidence e = {.status = VX_EVIDENCE_INCONCLUSIVE};
    if (nobody_counts(weights)) {
        (void)snprintf(e.reason, sizeof e.reason, "no layer tells a living voice from a recording");
    } else if (!accused && absent < VX_N_LAYERS) {
        (void)snprintf(e.reason, sizeof e.reason, "layer %s cannot judge: %.150s",
                       vx_pava_layer_name((vx_pava_layer)absent), findings[absent].reason);
    } else if (!accused && own_speaker) {
        (void)snprintf(e.reason, sizeof e.reason, "this computer's own loudspeaker was playing meanwhile");
    } else {
        e.status = VX_EVIDENCE_VALID;
        e.confidence = 1 - risk;
        (void)snprintf(e.reason, sizeof e.reason, "layer %s speaks most for a machine, at %.2f",
                       vx_pava_layer_name((vx_pava_layer)worst), findings[worst].spoof);
    }
    *ret_evidence = e;
    return risk;
}
