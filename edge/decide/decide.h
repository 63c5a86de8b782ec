/* decide.h - from evidence to a verdict: fusion, anomalies, thresholds, and the sentence that explains it.
 * Owns:   the formulas of the verdict and the rules that keep it safe. Does not: gather evidence, read a clock, store,
 *         unlock.
 *
 * The safety rules, each a test (tests/unit/test_decide*.c): unavailable is a status and never a number; P never falls
 * when a confidence rises; anomalies only take access away; lowering a valid score, or losing ML or physics, never
 * turns a verdict into AUTHENTICATE (sole exception: leaving the rule that every source is above 0.99). The last is
 * not left to the formulas, whose weights and prior can be set: AUTHENTICATE also wants every valid source to be at
 * least VX_DECIDE_CAP - VX_DECIDE_DISAGREEMENT, so that what disagreement and contradiction forbid stays forbidden
 * when the higher score falls. With the default weights and an unlearned prior that never changes a verdict.
 */
#ifndef VX_EDGE_DECIDE_DECIDE_H
#define VX_EDGE_DECIDE_DECIDE_H

#include <jansson.h>

#include "edge/types.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"
#include "shared/base/options.h"

#define VX_DECIDE_NEUTRAL      0.70 /* behaviour and context without history */
#define VX_DECIDE_CAP          0.85 /* a score above it widens no disagreement */
#define VX_DECIDE_DISAGREEMENT 0.50
#define VX_DECIDE_PRIOR        0.85 /* the prior that changes nothing */

typedef struct {
    double weights[VX_N_SOURCES]; /* each at least 0, together more than 0 */
    double authenticate, reject;  /* thresholds of P, inclusive; 0 < reject < authenticate < 1 */
    int min_sources;              /* VALID ones below which the verdict is CHALLENGE at best */
    bool allow_degraded; /* a verdict without ML may unlock, where behaviour is VALID (VOXLOCK_ALLOW_DEGRADED_UNLOCK) */
    double prior;        /* that whoever speaks is the owner, 0.05 to 0.95; anything else is VX_DECIDE_PRIOR */
} vx_decide_options;
vx_decide_options vx_decide_options_default(void);
/* BAYESIAN_* and VOXLOCK_ALLOW_DEGRADED_UNLOCK. Errors: OPTION_VALUE (thresholds out of order, ML or physics without weight). */
VX_MUST_CHECK vx_err vx_decide_settings(const vx_options *settings, vx_decide_options *ret_options, vx_errinfo *info);

typedef enum {
    VX_ANOMALY_NONE,
    VX_ANOMALY_DISAGREEMENT,  /* min(highest, 0.85) - lowest > 0.50 */
    VX_ANOMALY_CONTRADICTION, /* ML >= 0.80 with physics <= 0.30: the voice is right and the throat is not */
    VX_ANOMALY_TOO_GOOD,      /* every source > 0.99 */
    VX_ANOMALY_TOO_BAD,       /* every source < 0.01 */
} vx_anomaly;
/* "none", "disagreement", "contradiction", "too_good", "too_bad". */
const char *vx_anomaly_name(vx_anomaly anomaly);

enum { VX_SENTENCE_CAP = 320 };
typedef struct {
    vx_verdict verdict;          /* AUTHENTICATE, CHALLENGE, REJECT, ESCALATE, or NO_EVIDENCE */
    double pooled, p;            /* weighted geometric mean; posterior; both 0 with NO_EVIDENCE */
    double threshold;            /* of AUTHENTICATE in this case */
    double used[VX_N_SOURCES];   /* the confidence that entered, clamped; 0: the source dropped out */
    double weight[VX_N_SOURCES]; /* renormalised */
    vx_anomaly anomaly;
    bool degraded;                  /* judged without ML */
    bool voice_changed;             /* the allowance of a changed voice lowered the threshold and was needed */
    bool alert;                     /* ESCALATE: tell the owner, log it */
    char sentence[VX_SENTENCE_CAP]; /* for the owner: what, and what to do now */
} vx_decision;

/* The verdict. A VALID confidence that is NaN or outside 0 to 1 counts as UNAVAILABLE; ML and physics that are not
 * VALID drop out, behaviour and context that are not VALID enter as VX_DECIDE_NEUTRAL. Anomalies and min_sources look
 * at VALID sources only, anomalies at two of them at least: what is neutral neither agrees nor disagrees. NO_EVIDENCE
 * also when nothing that came back has weight. Confidences, pooled and p are whole billionths, so that thresholds mean
 * what they say.
 * evidence [in] one of each source
 * options  [in] as vx_decide_settings checked them
 * Never fails; takes well below 0.1 ms. Threads: any. */
void vx_decide(const vx_evidence evidence[VX_N_SOURCES], const vx_decide_options *options, vx_decision *ret_decision);

/* The table of evidence as text for a terminal: source, status, confidence, weight, reason; then P, threshold, verdict,
 * sentence. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_decision_show(const vx_evidence evidence[VX_N_SOURCES], const vx_decision *decision,
                                      vx_buf *out);
/* The same as JSON: {"verdict", "probability", "pooled" (both null: nothing was decided), "threshold", "anomaly",
 * "degraded", "voice_changed", "alert", "sentence", "evidence": [{"source", "status", "confidence" (null unless valid),
 * "used" (null: dropped out), "weight", "elapsed_ms", "reason"}]}. New reference; NULL when memory is out. */
json_t *vx_decision_json(const vx_evidence evidence[VX_N_SOURCES], const vx_decision *decision);

#endif
