/* layer_conversion.c - layer 4: one person's words in another's voice: pitch and resonances that no throat makes together. */
#include <stdio.h>

#include "edge/pava/layer.h"

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    const vx_analysis *a = &s->has_traces;
    const vx_coupling *c = &s->coupling;
    if (a->err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1, vx_errinfo_text(&a->info, a->err));
        return false;
    }
    ret[0] = s->traces[VX_TRACE_CONVERTED];
    if (s->has_coupling.err != VX_OK)
        return true;
    ret[1] = c->pitch_excess;
    ret[2] = c->pitch_range;
    ret[3] = c->follow[0];
    ret[4] = c->follow[1];
    ret[5] = c->follow[2];
    ret[6] = c->bandwidth_hz[0];
    ret[7] = c->bandwidth_hz[1];
    ret[8] = c->bandwidth_hz[2];
    ret[9] = c->bandwidth_spread;
    ret[10] = c->bent;
    ret[11] = c->unsteady;
    return true;
}

const vx_layer vx_layer_conversion = {
    .name = "conversion",
    .measures = {"converted_log_odds", "pitch_excess", "pitch_range", "follow_f1", "follow_f2", "follow_f3",
                 "f1_width_hz", "f2_width_hz", "f3_width_hz", "width_spread_oct", "bent", "unsteady"},
    .measure = measure,
};
