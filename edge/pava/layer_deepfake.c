/* layer_deepfake.c - layer 6: what does not hang together over time, and traces of any machine. */
#include <stdio.h>

#include "edge/pava/layer.h"

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    const vx_analysis *a = s->has_traces.err != VX_OK ? &s->has_traces : &s->has_joints;
    if (a->err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1, vx_errinfo_text(&a->info, a->err));
        return false;
    }
    ret[0] = s->traces[VX_TRACE_ANY];
    ret[1] = s->joints.flux_peak;
    ret[2] = s->joints.flux_kurtosis;
    ret[3] = s->joints.floor_jump_db;
    ret[4] = s->joints.pitch_jump_oct;
    ret[5] = s->joints.repeat;
    ret[6] = s->joints.stillness;
    if (s->has_channel.err == VX_OK)
        ret[7] = s->channel.floor_change_db;
    return true;
}

const vx_layer vx_layer_deepfake = {
    .name = "deepfake",
    .measures = {"any_log_odds", "flux_peak", "flux_kurtosis", "floor_jump_db", "pitch_jump_oct", "repeat", "stillness",
                 "floor_change_db"},
    .measure = measure,
};
