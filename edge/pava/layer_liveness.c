/* layer_liveness.c - layer 5: what a throat does that nobody means to: uneven cycles, breath, pops. */
#include <math.h>
#include <stdio.h>

#include "edge/pava/layer.h"

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    const vx_cycles *c = &s->cycles;
    if (!isfinite(c->jitter)) {
        (void)snprintf(ret_reason, VX_REASON_CAP, "too few cycles of the voice can be told apart (%zu)", c->n_cycles);
        return false;
    }
    ret[0] = log(c->jitter + 1e-4);
    ret[1] = log(c->jitter_rap + 1e-4);
    ret[2] = log(c->shimmer + 1e-3);
    ret[3] = log(c->shimmer_apq + 1e-3);
    ret[4] = c->hnr_db;
    if (s->has_breath.err == VX_OK) {
        ret[5] = s->breath.breaths_per_s;
        ret[6] = s->breath.breath_over_db;
        ret[7] = s->breath.breath_slope_db;
        ret[8] = s->breath.pop_over_db;
    }
    return true;
}

const vx_layer vx_layer_liveness = {
    .name = "liveness",
    .measures = {"ln_jitter", "ln_jitter_rap", "ln_shimmer", "ln_shimmer_apq", "hnr_db", "breaths_per_s",
                 "breath_over_db", "breath_slope_db_oct", "pop_over_db"},
    .measure = measure,
};
