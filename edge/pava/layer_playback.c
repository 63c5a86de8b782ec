/* layer_playback.c - layer 3: a loudspeaker between mouth and microphone. */
#include <stdio.h>

#include "edge/pava/layer.h"

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    const vx_analysis *a = s->has_traces.err != VX_OK ? &s->has_traces : &s->has_channel;
    const vx_channel *c = &s->channel;
    if (a->err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1, vx_errinfo_text(&a->info, a->err));
        return false;
    }
    ret[0] = s->traces[VX_TRACE_PLAYBACK];
    ret[1] = c->low_edge_hz;
    ret[2] = c->high_edge_hz;
    ret[3] = c->low_slope_db;
    ret[4] = c->tilt_db;
    ret[5] = c->ripple_db;
    ret[6] = c->floor_slope_db;
    ret[7] = c->floor_ripple_db;
    ret[8] = c->floor_depth_db;
    ret[9] = c->distortion_db;
    if (s->has_modulation.err == VX_OK)
        ret[10] = s->modulation.depth_db;
    return true;
}

const vx_layer vx_layer_playback = {
    .name = "playback",
    .measures = {"playback_log_odds", "low_edge_hz", "high_edge_hz", "low_slope_db_oct", "tilt_db_oct", "ripple_db",
                 "floor_slope_db_oct", "floor_ripple_db", "floor_depth_db", "distortion_db", "modulation_depth_db"},
    .measure = measure,
};
