/* layer_synthetic.c - layer 2: speech that a machine made up, by text to speech or a vocoder. */
#include <stdio.h>

#include "edge/pava/layer.h"

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    const vx_analysis *a = &s->has_traces;
    if (a->err != VX_OK) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "%.*s", VX_REASON_CAP - 1, vx_errinfo_text(&a->info, a->err));
        return false;
    }
    ret[0] = s->traces[VX_TRACE_SYNTHETIC];
    if (s->has_phase.err == VX_OK) {
        ret[1] = s->phase.delay_spread_ms;
        ret[2] = s->phase.delay_change_ms;
        ret[3] = s->phase.skewness;
        ret[4] = s->phase.crest_db;
        ret[5] = s->phase.coherence;
    }
    if (s->has_modulation.err == VX_OK) {
        ret[6] = s->modulation.syllabic_db;
        ret[7] = s->modulation.fast_db;
        ret[8] = s->modulation.coherence;
        ret[9] = s->modulation.coherence_high;
    }
    return true;
}

const vx_layer vx_layer_synthetic = {
    .name = "synthetic",
    .measures = {"synthetic_log_odds", "delay_spread_ms", "delay_change_ms", "residual_skewness", "residual_crest_db",
                 "phase_coherence", "syllabic_db", "fast_db", "band_coherence", "high_band_coherence"},
    .measure = measure,
};
