/* likelihood.h - from measures to how much likelier a machine is than a living voice, and from layers to the risk.
 * Owns:   the arithmetic of weights that models/fit_pava.py fitted to recordings of known truth (pava_weights.inc). Does
 *         not: measure.
 *
 * A layer's logarithmic likelihood ratio is a sum over its measures x, each held against living voices:
 * z = (x - centre) / spread within +-LIMIT, adding linear z + square (z^2 - 1): too little can be as odd as too much.
 * The risk adds the layers' ratios by the groups of the specification, weighted.
 *
 * What a recording does not give, or not in time, neither accuses nor acquits. A measure that is missing adds nothing to
 * its layer's ratio, by which the layer accuses; where it does not accuse, the measure counts as if it had spoken for a
 * machine as loudly as it can. So nothing is won by keeping a layer from seeing: whoever takes a measure away, or a whole
 * layer, is never nearer to being taken for a living voice. (To let such a layer speak for a machine and not for a living
 * voice is not enough: the measure taken away may be the one that accuses. It also costs the living more, as one weak
 * measure missing then silences its layer.)
 */
#ifndef VX_EDGE_PAVA_LIKELIHOOD_H
#define VX_EDGE_PAVA_LIKELIHOOD_H

#include "edge/pava/pava.h"

/* A risk above this is an accusation: the confidence is below what any verdict opens at (decide.c: every valid source at
 * 0.35 or more), and digits prove nothing (attempt.c). */
#define VX_PAVA_ACCUSED 0.65

/* Layers whose ratios add up to the risk. Of those that look for synthetic speech of three kinds the strongest counts. */
typedef enum {
    VX_RISK_REPLAY,
    VX_RISK_SYNTHETIC,
    VX_RISK_PLAYBACK,
    VX_RISK_PHYSICS,
    VX_RISK_LIVENESS,
    VX_N_RISKS
} vx_risk;

typedef struct {
    double centre, spread, linear, square;
} vx_measure_weights;

typedef struct {
    double reliability; /* 2 AUC - 1 on attack kinds and speakers it was not fitted to; 0: it does not separate them */
    double bias;
    vx_measure_weights measures[VX_PAVA_MEASURES];
} vx_layer_weights;

typedef struct {
    vx_layer_weights layers[VX_N_LAYERS];
    double bias, risks[VX_N_RISKS]; /* risks: not negative */
    double usual[VX_N_RISKS];       /* the median of living voices, which stands for a group that could not judge */
} vx_pava_weights;

extern const vx_pava_weights vx_pava_fitted;

vx_risk vx_risk_of_layer(vx_pava_layer layer);
/* Whether the layer has a say: it is reliable, and its group has weight. */
bool vx_layer_counts(const vx_pava_weights *weights, vx_pava_layer layer);
/* Natural logarithm, positive for a machine. measures [in] finite or NAN. */
double vx_layer_llr(const vx_layer_weights *weights, const double measures[VX_PAVA_MEASURES]);
/* How much higher it could be at most with the measures that are missing (NAN): 0 where none is. Not negative. */
double vx_layer_missing(const vx_layer_weights *weights, const double measures[VX_PAVA_MEASURES]);
/* By what was measured: the probability of a machine where living voices and machines are as likely beforehand, 0 to 1; never
 * falls as a layer's llr rises. A group none of whose layers is VALID and has a say counts as with most living voices: what
 * the others accuse of is then neither more nor less. */
double vx_pava_risk(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS]);
/* What the findings of the layers come to. Absence never helps: where a layer that has a say cannot judge, the others may
 * still accuse, but they cannot acquit: short of an accusation the whole is INCONCLUSIVE then, and the verdict CHALLENGE at
 * best. So it is while this computer's own loudspeaker plays, and where measures are missing that could have accused.
 * ret_evidence [out] VALID or INCONCLUSIVE, with the reason
 * Returns the risk: of what was measured where that accuses; otherwise with what is missing counted against the recording,
 * as far as VX_PAVA_ACCUSED and no farther. */
double vx_pava_conclude(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS], bool own_speaker,
                        vx_evidence *ret_evidence);

#endif
