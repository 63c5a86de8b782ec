/* layer_replay.c - layer 1: the very recording that was heard before.
 * People do not say a sentence twice with the same hundredths of a second; a loudspeaker does nothing else.
 */
#include <math.h>
#include <stdio.h>

#include "edge/pava/layer.h"

static const double REPEATED = 0.1;

static bool measure(const vx_scene *scene, double *ret_measures, char ret_reason[VX_REASON_CAP])
{
    const vx_pava_known *known = scene->known;
    vx_fingerprint_match best = {0};
    size_t which = 0;
    if (scene->has_fingerprint.err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1,
                       vx_errinfo_text(&scene->has_fingerprint.info, scene->has_fingerprint.err));
        return false;
    }
    vx_fingerprint_find(&scene->fingerprint, known->heard, known->n_heard, &best, &which);
    /* Below SAME chance alone speaks, and the more is known the louder: that must not age into an accusation. */
    const double repeats = fmax(best.evidence - VX_FINGERPRINT_SAME, 0);
    /* A replay repeats the owner. Where none of the owner's speech is known, that nothing is repeated tells nothing: else one
     * failed attempt of a stranger's would acquit every recording of a profile that has not learned yet. */
    if (repeats <= 0 && known->n_other >= known->n_heard) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "nothing of the speaker was heard before that this could repeat");
        return false;
    }
    /* What only just agrees is a repetition all the same, and no nearer to what chance does. */
    ret_measures[0] = repeats > 0 ? fmax(repeats, REPEATED) : 0;
    return true;
}

const vx_layer vx_layer_replay = {
    .name = "replay",
    .measures = {"repeat_evidence"},
    .measure = measure,
};
