/* layer_physics.c - layer 7: the throat that this speaker has, the rooms he is known in, one room and not two, a head that
 * moves. */
#include <math.h>
#include <stdio.h>

#include "edge/pava/layer.h"

/* Recordings that a baseline must rest on: one alone may be the odd one. */
enum { ENOUGH = 2 };
/* VTL_DEVIATION_THRESHOLD and DOUBLE_REVERB_THRESHOLD, where the settings do not say. */
static const double TRACT_CM = 2, DOUBLE_SLOPE = 0.7;

static double or_default(double value, double usual)
{
    return value > 0 ? value : usual;
}

/* In thresholds. A length that no adult has was no measurement, and is not there. */
static double tract_deviation(const vx_scene *s)
{
    const vx_pava_baseline *b = &s->known->baseline;
    if (s->has_tract.err != VX_OK || b->n_tract < ENOUGH)
        return NAN;
    return (s->tract.length_cm - b->tract_cm) / or_default(s->known->tract_threshold_cm, TRACT_CM);
}

static double pitch_deviation(const vx_scene *s)
{
    const vx_pava_baseline *b = &s->known->baseline;
    return s->has_pitch && b->n_pitch >= ENOUGH ? 12 / log(2) * (s->pitch_ln_hz - b->pitch_mean) : NAN;
}

/* Natural logarithm of the ratio to the most similar of the known rooms, without its sign. */
static double room_distance(const vx_scene *s)
{
    const vx_pava_baseline *b = &s->known->baseline;
    double nearest = NAN;
    if (s->has_reverb.err != VX_OK || b->n_rooms < ENOUGH)
        return NAN;
    for (int i = 0; i < b->n_rooms; i++)
        nearest = fmin(fabs(log(s->reverb.rt60_s / b->room_rt60_s[i])), isnan(nearest) ? INFINITY : nearest);
    return nearest;
}

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    ret[0] = tract_deviation(s);
    ret[1] = pitch_deviation(s);
    ret[2] = room_distance(s);
    if (s->has_reverb.err == VX_OK) {
        ret[3] = s->reverb.rt60_s;
        ret[4] = log(s->reverb.early_s / s->reverb.rt60_s);
        ret[5] = s->reverb.late_early;
        ret[6] = s->reverb.double_slope / or_default(s->known->double_reverb_threshold, DOUBLE_SLOPE);
    }
    if (s->has_movement.err == VX_OK)
        ret[7] = s->movement.comb_drift;
    for (int i = 0; i < 8; i++)
        if (isfinite(ret[i]))
            return true;
    (void)snprintf(ret_reason, VX_REASON_CAP, "neither throat nor room could be measured: %.60s; %.60s",
                   vx_errinfo_text(&s->has_tract.info, s->has_tract.err),
                   vx_errinfo_text(&s->has_reverb.info, s->has_reverb.err));
    return false;
}

const vx_layer vx_layer_physics = {
    .name = "physics",
    .measures = {"tract_deviation", "pitch_deviation_semitones", "room_distance", "rt60_s", "early_share", "late_early",
                 "double_slope", "comb_drift"},
    .measure = measure,
};
