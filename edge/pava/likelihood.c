/* likelihood.c - the sums. */
#include "edge/pava/likelihood.h"

#include <math.h>
#include <stdio.h>

/* Further from the living than so many spreads tells no more: a measure that failed wildly must not decide alone. */
static const double LIMIT = 4;
/* A layer's ratio counts no more than e^12: a fingerprint's is near that, and nothing else should be. */
static const double LLR_LIMIT = 12;
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

/* The most that one measure can add: of a parabola over +-LIMIT, at its vertex or at an end. Not negative: at z = 1 or -1
 * it is |linear|. */
static double most_of(const vx_measure_weights *w)
{
    if (w->square < 0 && fabs(w->linear) < -2 * w->square * LIMIT)
        return -w->linear * w->linear / (4 * w->square) - w->square;
    return fabs(w->linear) * LIMIT + w->square * (LIMIT * LIMIT - 1);
}

static bool is_missing(const vx_measure_weights *w, double measure)
{
    return w->spread > 0 && !isfinite(measure);
}

double vx_layer_missing(const vx_layer_weights *weights, const double measures[VX_PAVA_MEASURES])
{
    double sum = 0;
    for (int i = 0; i < VX_PAVA_MEASURES; i++)
        if (is_missing(&weights->measures[i], measures[i]))
            sum += most_of(&weights->measures[i]);
    return sum;
}

/* worst [in] what is missing in a layer counts as if it spoke for a machine as loudly as it can */
static double risk_of(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS], bool worst)
{
    double strongest[VX_N_RISKS] = {0}, sum = weights->bias;
    bool judged[VX_N_RISKS] = {false};
    for (int i = 0; i < VX_N_LAYERS; i++) {
        const vx_risk r = vx_risk_of_layer((vx_pava_layer)i);
        if (findings[i].status != VX_EVIDENCE_VALID || !vx_layer_counts(weights, (vx_pava_layer)i))
            continue;
        const double llr = findings[i].llr + (worst ? vx_layer_missing(&weights->layers[i], findings[i].measures) : 0);
        strongest[r] = judged[r] ? fmax(strongest[r], llr) : llr;
        judged[r] = true;
    }
    for (int r = 0; r < VX_N_RISKS; r++)
        sum += weights->risks[r] * (judged[r] ? strongest[r] : weights->usual[r]);
    return 1 / (1 + exp(-sum));
}

double vx_pava_risk(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS])
{
    return risk_of(weights, findings, false);
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

/* The measure that is missing most, by its name: "layer conversion lacks pitch_excess". */
static void say_what_is_missing(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS],
                                char ret_reason[VX_REASON_CAP])
{
    const char *layer = "", *measure = "";
    double most = 0;
    for (int i = 0; i < VX_N_LAYERS; i++) {
        const char *const *names = vx_pava_measure_names((vx_pava_layer)i);
        if (findings[i].status != VX_EVIDENCE_VALID || !vx_layer_counts(weights, (vx_pava_layer)i))
            continue;
        for (int m = 0; m < VX_PAVA_MEASURES && names[m]; m++) {
            const vx_measure_weights *w = &weights->layers[i].measures[m];
            const double adds = weights->risks[vx_risk_of_layer((vx_pava_layer)i)] * most_of(w);
            if (is_missing(w, findings[i].measures[m]) && adds > most) {
                most = adds;
                layer = vx_pava_layer_name((vx_pava_layer)i), measure = names[m];
            }
        }
    }
    (void)snprintf(ret_reason, VX_REASON_CAP, "layer %s lacks %s, which might have told a machine", layer, measure);
}

double vx_pava_conclude(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS], bool own_speaker,
                        vx_evidence *ret_evidence)
{
    const int absent = first_absent(weights, findings), loud = loudest(weights, findings);
    const double measured = risk_of(weights, findings, false), worst = risk_of(weights, findings, true);
    const bool accused = loud < VX_N_LAYERS && measured > VX_PAVA_ACCUSED;
    const double risk = fmax(measured, fmin(worst, VX_PAVA_ACCUSED));
    vx_evidence e = {.status = VX_EVIDENCE_INCONCLUSIVE};
    if (nobody_counts(weights)) {
        (void)snprintf(e.reason, sizeof e.reason, "no layer tells a living voice from a recording");
    } else if (!accused && absent < VX_N_LAYERS) {
        (void)snprintf(e.reason, sizeof e.reason, "layer %s cannot judge: %.150s",
                       vx_pava_layer_name((vx_pava_layer)absent), findings[absent].reason);
    } else if (!accused && own_speaker) {
        (void)snprintf(e.reason, sizeof e.reason, "this computer's own loudspeaker was playing meanwhile");
    } else if (!accused && worst > VX_PAVA_ACCUSED) {
        say_what_is_missing(weights, findings, e.reason);
    } else {
        e.status = VX_EVIDENCE_VALID;
        e.confidence = 1 - risk;
        (void)snprintf(e.reason, sizeof e.reason, "layer %s speaks most for a machine, at %.2f",
                       vx_pava_layer_name((vx_pava_layer)loud), findings[loud].spoof);
    }
    *ret_evidence = e;
    return risk;
}
