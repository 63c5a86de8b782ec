/* anomaly.c - evidence that fits no honest attempt.
 * Owns:   the four rules. Does not: weigh; an anomaly takes access away whatever P is.
 * Only what was measured is looked at, and it takes two to disagree or to agree.
 */
#include <math.h>

#include "edge/decide/decide_private.h"

#define FAKE_PHYSICS 0.30
#define TOO_GOOD     0.99
#define TOO_BAD      0.01

static bool contradicts(const vx_scores *s)
{
    return s->valid[VX_SOURCE_ML] && s->value[VX_SOURCE_ML] >= VX_DECIDE_VOICE_RIGHT && s->valid[VX_SOURCE_PHYSICS] &&
           s->value[VX_SOURCE_PHYSICS] <= FAKE_PHYSICS;
}

/* The difference of two decimals, too, is one: 0.80 - 0.30 has to be 0.50. */
static bool disagrees(const vx_scores *s)
{
    return vx_billionths(fmin(s->highest, VX_DECIDE_CAP) - s->lowest) > VX_DECIDE_DISAGREEMENT;
}

static bool is_too_good(const vx_scores *s)
{
    return s->lowest > TOO_GOOD;
}

static bool is_too_bad(const vx_scores *s)
{
    return s->highest < TOO_BAD;
}

vx_anomaly vx_anomaly_of(const vx_scores *scores, unsigned without)
{
    /* A contradiction nearly always is a disagreement as well, and says more. */
    static const struct {
        vx_anomaly anomaly;
        bool (*holds)(const vx_scores *scores);
    } rules[] = {
        {VX_ANOMALY_CONTRADICTION, contradicts},
        {VX_ANOMALY_DISAGREEMENT, disagrees},
        {VX_ANOMALY_TOO_GOOD, is_too_good},
        {VX_ANOMALY_TOO_BAD, is_too_bad},
    };
    for (size_t i = 0; scores->n >= 2 && i < sizeof rules / sizeof *rules; i++)
        if (!(without & 1u << rules[i].anomaly) && rules[i].holds(scores))
            return rules[i].anomaly;
    return VX_ANOMALY_NONE;
}

const char *vx_anomaly_name(vx_anomaly anomaly)
{
    static const char *const names[] = {"none", "disagreement", "contradiction", "too_good", "too_bad"};
    return (unsigned)anomaly < sizeof names / sizeof *names ? names[anomaly] : "unknown";
}
