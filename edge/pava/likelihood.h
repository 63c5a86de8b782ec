/* likelihood.h - from measures to how much likelier a machine is than a living voice, and from layers to the risk.
 * Owns:   the arithmetic of weights that models/fit_pava.py fitted to recordings of known truth (pava_weights.inc). Does
 *         not: measure.
 *
 * A layer's logarithmic likelihood ratio is a sum over its measures x, each held against living voices:
 * z = (x - centre) / spread within +-LIMIT, adding linear z + square (z^2 - 1): too little can be as odd as too much.
 * A measure that is not there adds nothing. The risk adds the layers' ratios by the groups of the specification, weighted.
 */
#ifndef VX_EDGE_PAVA_LIKELIHOOD_H
#define VX_EDGE_PAVA_LIKELIHOOD_H

#include "edge/pava/pava.h"

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
/* The probability of a machine where living voices and machines are as likely beforehand, 0 to 1; never falls as a
 * layer's llr rises. A group none of whose layers is VALID and has a say counts as with most living voices: what the others
 * accuse of is then neither more nor less. */
double vx_pava_risk(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS]);
/* What the findings of the layers come to. Absence never helps: where a layer that has a say cannot judge, the others may
 * still accuse, but they cannot acquit: short of an accusation that no verdict opens with, the whole is INCONCLUSIVE then,
 * and the verdict CHALLENGE at best. So it is while
 * this computer's own loudspeaker plays.
 * ret_evidence [out] VALID or INCONCLUSIVE, with the reason
 * Returns the risk. */
double vx_pava_conclude(const vx_pava_weights *weights, const vx_layer_finding findings[VX_N_LAYERS], bool own_speaker,
                        vx_evidence *ret_evidence);

#endif
