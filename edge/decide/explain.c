/* explain.c - a decision in words: the owner's sentence, the table of evidence, JSON.
 * Owns:   what is said. Does not: decide anything.
 * A sentence says what was found and what to do now, to somebody who never heard of a source or a threshold.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edge/decide/decide_private.h"
#include "shared/base/json.h"
#include "shared/base/tame.h"

/* ---- the sentence ----------------------------------------------------------------------------------------------- */

#define SAY_DIGITS "say the digits you are asked for."
#define TYPE_IT    "type your password."
#define OR_TYPE_IT "or " TYPE_IT

/* What is said when one source is what P lacks. */
typedef struct {
    const char *challenge, *reject;
} lack;

static const lack lacks[VX_N_SOURCES] = {
    [VX_SOURCE_ML] = {"The voice is like yours, but not clearly enough: come closer to the microphone and " SAY_DIGITS,
                      "This does not sound like you: if it is you, try again closer to the microphone, " OR_TYPE_IT},
    [VX_SOURCE_PHYSICS] =
        {"The recording does not clearly show a living voice, which a new microphone can cause: " SAY_DIGITS,
         "This does not sound like a living voice: speak to the microphone yourself, " OR_TYPE_IT},
    [VX_SOURCE_BEHAVIOUR] = {"This is not when or how you usually unlock: " SAY_DIGITS,
                             "Too much speaks against you, the time and manner most of all: try again, " OR_TYPE_IT},
    [VX_SOURCE_CONTEXT] = {"This is not the place or the devices you usually unlock with: " SAY_DIGITS,
                           "Too much speaks against you, the place and devices most of all: try again, " OR_TYPE_IT},
};
static const lack lacks_history = {"Too little is known of your habits yet to be sure: " SAY_DIGITS,
                                   "Too little speaks for you: try again, " OR_TYPE_IT};

/* The source that pulls P down most. */
static vx_source heaviest_of(const vx_decision *d)
{
    vx_source heaviest = VX_SOURCE_ML;
    double most = -1;
    for (int i = 0; i < VX_N_SOURCES; i++) {
        const double pull = d->weight[i] > 0 ? -d->weight[i] * log(d->used[i]) : 0;
        if (pull > most) {
            most = pull;
            heaviest = (vx_source)i;
        }
    }
    return heaviest;
}

/* The valid source with the lowest (sign -1) or highest (1) score. */
static vx_source extreme_of(const vx_scores *s, int sign)
{
    vx_source found = VX_SOURCE_ML;
    double most = -2;
    for (int i = 0; i < VX_N_SOURCES; i++) {
        if (s->valid[i] && sign * s->value[i] > most) {
            most = sign * s->value[i];
            found = (vx_source)i;
        }
    }
    return found;
}

static const char *const spoken[VX_N_SOURCES] = {"the voice", "the test for a living voice", "the time and manner",
                                                 "the place"};

static void say_alarm(const vx_scores *s, vx_decision *d)
{
    static const char *const alarms[] = {
        [VX_ANOMALY_CONTRADICTION] =
            "The voice is right, but it does not come from a living throat: this looks like a "
            "recording. If it was you, type your password; if not, somebody holds a recording of your voice.",
        [VX_ANOMALY_TOO_GOOD] =
            "Everything fits better than it ever does, so this looks made up: if it was you, " TYPE_IT,
        [VX_ANOMALY_TOO_BAD] = "Nothing fits at all, so this seems to be somebody else: if it was you, " TYPE_IT,
    };
    const vx_source highest = extreme_of(s, 1), lowest = extreme_of(s, -1);
    if (d->anomaly != VX_ANOMALY_DISAGREEMENT)
        (void)snprintf(d->sentence, sizeof d->sentence, "%s", alarms[d->anomaly]);
    else
        (void)snprintf(
            d->sentence, sizeof d->sentence,
            "The evidence contradicts itself: %s says yes (%.2f), %s says no (%.2f). If it was you, " TYPE_IT,
            spoken[highest], s->value[highest], spoken[lowest], s->value[lowest]);
}

static const char *welcome(const vx_scores *s, const vx_decision *d)
{
    if (d->degraded)
        return "Your voice could not be compared; all else fits, and VOXLOCK_ALLOW_DEGRADED_UNLOCK lets that be "
               "enough.";
    /* The allowance may also have made up for a strange place. */
    if (d->voice_changed && s->value[VX_SOURCE_ML] < VX_DECIDE_CAP)
        return "It is you, though your voice sounds different today: it is a living one, and time and manner are "
               "yours.";
    return "It is you: the voice is right, and it is alive.";
}

static const char *challenge(const vx_scores *s, vx_obstacle obstacle, const vx_decision *d)
{
    const bool right = s->valid[VX_SOURCE_ML] && s->value[VX_SOURCE_ML] >= VX_DECIDE_VOICE_RIGHT;
    switch (obstacle) {
    case VX_OBSTACLE_VOICE:
        return d->p >= d->threshold
                   ? "All else fits, but your voice could not be compared, and without it nothing is unlocked: try "
                     "again, " OR_TYPE_IT
                   : "Your voice could not be compared, and all else is not enough: try again, " OR_TYPE_IT;
    case VX_OBSTACLE_LIVING:
        return right ? "The voice matches, but nothing shows that it is a living voice: " SAY_DIGITS
                     : "Nothing shows that this is a living voice, nor is it clearly yours: " SAY_DIGITS;
    case VX_OBSTACLE_MIN_SOURCES:
        return "It fits, but less could be measured than BAYESIAN_MIN_SOURCES asks for: " SAY_DIGITS;
    case VX_OBSTACLE_LOW_SCORE: return lacks[extreme_of(s, -1)].challenge;
    default: break;
    }
    const vx_source heaviest = heaviest_of(d);
    return s->valid[heaviest] ? lacks[heaviest].challenge : lacks_history.challenge;
}

void vx_explain(const vx_scores *scores, vx_obstacle obstacle, vx_decision *d)
{
    const char *text = NULL;
    const vx_source heaviest = heaviest_of(d);
    switch (d->verdict) {
    case VX_AUTHENTICATE: text = welcome(scores, d); break;
    case VX_CHALLENGE: text = challenge(scores, obstacle, d); break;
    case VX_REJECT: text = scores->valid[heaviest] ? lacks[heaviest].reject : lacks_history.reject; break;
    case VX_ESCALATE: say_alarm(scores, d); return;
    default:
        text =
            scores->valid[VX_SOURCE_ML] || scores->valid[VX_SOURCE_PHYSICS]
                ? "What could be measured has no weight in your settings (BAYESIAN_..._WEIGHT), so nothing was decided."
                : "Neither the voice nor where it comes from could be examined, so nothing was decided: try "
                  "again, " OR_TYPE_IT;
        break;
    }
    (void)snprintf(d->sentence, sizeof d->sentence, "%s", text);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

enum { NUMBER_CAP = 24 };

/* A number of the table, or a dash where there is none. */
static const char *number(bool is_one, double value, char ret_text[NUMBER_CAP])
{
    if (is_one)
        (void)snprintf(ret_text, NUMBER_CAP, "%.2f", value);
    else
        (void)snprintf(ret_text, NUMBER_CAP, "-");
    return ret_text;
}

static vx_err show_source(vx_source source, const vx_evidence *evidence, const vx_decision *d, vx_buf *out)
{
    char measured[NUMBER_CAP], used[NUMBER_CAP], weight[NUMBER_CAP], reason[VX_REASON_CAP];
    const vx_evidence_status status = vx_decide_status(evidence);
    const bool enters = d->used[source] > 0;
    (void)snprintf(reason, sizeof reason, "%s", evidence->reason);
    vx_tame(reason);
    return vx_buf_printf(out, "  %-8s  %-12s  %8s  %4s  %6s  %s\n", vx_source_name(source),
                         vx_evidence_status_name(status),
                         number(status == VX_EVIDENCE_VALID, evidence->confidence, measured),
                         number(enters, d->used[source], used), number(enters, d->weight[source], weight), reason);
}

vx_err vx_decision_show(const vx_evidence evidence[VX_N_SOURCES], const vx_decision *decision, vx_buf *out)
{
    vx_err err = vx_buf_printf(out, "  %-8s  %-12s  measured  used  weight  reason\n", "source", "status");
    for (int i = 0; i < VX_N_SOURCES && err == VX_OK; i++)
        err = show_source((vx_source)i, &evidence[i], decision, out);
    if (err == VX_OK && vx_verdict_is_decision(decision->verdict))
        err = vx_buf_printf(out, "\n  probability %.3f, threshold %.3g%s%s%s\n", decision->p, decision->threshold,
                            decision->anomaly != VX_ANOMALY_NONE ? ", anomaly: " : "",
                            decision->anomaly != VX_ANOMALY_NONE ? vx_anomaly_name(decision->anomaly) : "",
                            decision->degraded ? ", degraded: without the voice" : "");
    if (err == VX_OK)
        err = vx_buf_printf(out, "%s: %s\n", vx_verdict_name(decision->verdict), decision->sentence);
    return err;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static json_t *real_or_null(bool is_one, double value)
{
    return is_one ? json_real(value) : json_null();
}

static json_t *source_json(vx_source source, const vx_evidence *evidence, const vx_decision *d)
{
    const vx_evidence_status status = vx_decide_status(evidence);
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:f, s:o, s:o}", "source", vx_source_name(source), "status",
        vx_evidence_status_name(status), "confidence", real_or_null(status == VX_EVIDENCE_VALID, evidence->confidence),
        "used", real_or_null(d->used[source] > 0, d->used[source]), "weight", d->weight[source], "elapsed_ms",
        real_or_null(isfinite(evidence->elapsed_ms), evidence->elapsed_ms), "reason", vx_json_shown(evidence->reason));
}

json_t *vx_decision_json(const vx_evidence evidence[VX_N_SOURCES], const vx_decision *decision)
{
    const bool decided = vx_verdict_is_decision(decision->verdict);
    json_t *sources = json_array();
    for (int i = 0; i < VX_N_SOURCES && sources; i++) {
        if (json_array_append_new(sources, source_json((vx_source)i, &evidence[i], decision)) != 0) {
            json_decref(sources);
            sources = NULL;
        }
    }
    if (!sources)
        return NULL;
    return json_pack("{s:s, s:o, s:o, s:f, s:s, s:b, s:b, s:b, s:s, s:o}", "verdict",
                     vx_verdict_name(decision->verdict), "probability", real_or_null(decided, decision->p), "pooled",
                     real_or_null(decided, decision->pooled), "threshold", decision->threshold, "anomaly",
                     vx_anomaly_name(decision->anomaly), "degraded", decision->degraded, "voice_changed",
                     decision->voice_changed, "alert", decision->alert, "sentence", decision->sentence, "evidence",
                     sources);
}
