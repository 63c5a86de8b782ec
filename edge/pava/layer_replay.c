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
    /* Below SAME chance alone speaks, and the more is known the louder: that must not age into an accusation. */
    const double repeats = fmax(scene->repetition.evidence - VX_FINGERPRINT_SAME, 0);
    /* What was found in time accuses, whatever would have come. */
    if (repeats <= 0 && scene->has_search.err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1,
                       vx_errinfo_text(&scene->has_search.info, scene->has_search.err));
        return false;
    }
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
