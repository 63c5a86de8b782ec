/* decide_private.h - the steps of a verdict, shared inside edge/decide and with its tests. */
#ifndef VX_EDGE_DECIDE_DECIDE_PRIVATE_H
#define VX_EDGE_DECIDE_DECIDE_PRIVATE_H

#include "edge/decide/decide.h"

/* From this score of ML on the voice counts as the right one. */
#define VX_DECIDE_VOICE_RIGHT 0.80

/* What was measured: the VALID sources, and nothing else. */
typedef struct {
    bool valid[VX_N_SOURCES];
    double value[VX_N_SOURCES]; /* clamped, in billionths; 0 unless valid */
    int n;                      /* valid ones */
    double lowest, highest;     /* of them; 1 and 0 when there is none */
} vx_scores;

/* The status that counts: VALID with something that is no number from 0 to 1 is UNAVAILABLE. */
vx_evidence_status vx_decide_status(const vx_evidence *evidence);
vx_scores vx_scores_of(const vx_evidence evidence[VX_N_SOURCES]);

/* The nearest whole number of billionths: the double that a literal of up to nine decimals is too. */
double vx_billionths(double x);
/* Fills used, weight, pooled and p. False when nothing that came back has weight; pooled and p are then 0. */
bool vx_fuse(const vx_scores *scores, const vx_decide_options *options, vx_decision *d);

/* The rules that take access away, as bits: a test leaves one out and compares. */
enum {
    VX_RULE_DISAGREEMENT = 1 << VX_ANOMALY_DISAGREEMENT,
    VX_RULE_CONTRADICTION = 1 << VX_ANOMALY_CONTRADICTION,
    VX_RULE_TOO_GOOD = 1 << VX_ANOMALY_TOO_GOOD,
    VX_RULE_TOO_BAD = 1 << VX_ANOMALY_TOO_BAD,
    VX_RULE_VOICE = 1 << 5,       /* no ML: not without allow_degraded */
    VX_RULE_LIVING = 1 << 6,      /* no physics: not at all */
    VX_RULE_LOW_SCORE = 1 << 7,   /* no valid source below VX_DECIDE_CAP - VX_DECIDE_DISAGREEMENT */
    VX_RULE_MIN_SOURCES = 1 << 8, /* not with fewer valid sources than asked for */
    VX_RULES_END = 1 << 9,
};

/* The first anomaly, the most telling one first. without [in] VX_RULE_* to leave out */
vx_anomaly vx_anomaly_of(const vx_scores *scores, unsigned without);

/* What keeps a verdict from being AUTHENTICATE, the one to be told first. */
typedef enum {
    VX_OBSTACLE_NONE,
    VX_OBSTACLE_VOICE,
    VX_OBSTACLE_LIVING,
    VX_OBSTACLE_LOW_SCORE,
    VX_OBSTACLE_PROBABILITY,
    VX_OBSTACLE_MIN_SOURCES,
} vx_obstacle;

/* All of the decision but its sentence. */
vx_obstacle vx_judge(const vx_scores *scores, const vx_decide_options *options, unsigned without, vx_decision *ret);
/* The sentence. */
void vx_explain(const vx_scores *scores, vx_obstacle obstacle, vx_decision *d);

#endif
