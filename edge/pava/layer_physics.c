/* layer_physics.c - layer 7: the throat that this speaker has, the rooms he is known in, one room and not two, a head that
 * moves.
 *
 * The settings' two bounds are remarked on, and decide nothing. At 2 cm 15 of 1,050 living dev recordings are beyond that of
 * the tract, and 48 have no tract to hold against it: a bound that nobody gains by hiding from would ask 5.3 % of the living
 * for digits who are not now, to stop 3.1 % of the attacks. Decays of two slopes show at 0.7 in 1.5 % of the living, in
 * 0.9 % of the attacks, and in none of 150 that were played in two rooms.
 */
#include <math.h>
#include <stdio.h>

#include "edge/pava/layer.h"

enum {
    TRACT,
    PITCH,
    ROOM,
    RT60,
    EARLY,
    LATE_EARLY,
    DOUBLE_SLOPE,
    COMB_DRIFT,
    N_MEASURES,
    ENOUGH = 2, /* recordings that a baseline must rest on: one alone may be the odd one */
};
/* VTL_DEVIATION_THRESHOLD and DOUBLE_REVERB_THRESHOLD, where the settings do not say. */
static const double TRACT_CM = 2, TWO_ROOMS = 0.7;

static double or_default(double value, double usual)
{
    return value > 0 ? value : usual;
}

/* cm. A length that no adult has was no measurement, and is not there. */
static double tract_deviation(const vx_scene *s)
{
    const vx_pava_baseline *b = &s->known->baseline;
    return s->has_tract.err == VX_OK && b->n_tract >= ENOUGH ? s->tract.length_cm - b->tract_cm : NAN;
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

static void remark(const vx_scene *s, const double measures[N_MEASURES], char ret[VX_REASON_CAP])
{
    const double tract_cm = or_default(s->known->tract_threshold_cm, TRACT_CM);
    const double two_rooms = or_default(s->known->double_reverb_threshold, TWO_ROOMS);
    int n = 0;
    if (fabs(measures[TRACT]) > tract_cm)
        n = snprintf(ret, VX_REASON_CAP, "tract %+.1f cm from the known one (bound %.1f)", measures[TRACT], tract_cm);
    if (measures[DOUBLE_SLOPE] > two_rooms)
        (void)snprintf(ret + n, VX_REASON_CAP - (size_t)n, "%sdecays of two slopes, %.2f (bound %.2f)", n ? "; " : "",
                       measures[DOUBLE_SLOPE], two_rooms);
}

static bool measure(const vx_scene *s, double *ret, char ret_reason[VX_REASON_CAP])
{
    ret[TRACT] = tract_deviation(s);
    ret[PITCH] = pitch_deviation(s);
    ret[ROOM] = room_distance(s);
    if (s->has_reverb.err == VX_OK) {
        ret[RT60] = s->reverb.rt60_s;
        ret[EARLY] = log(s->reverb.early_s / s->reverb.rt60_s);
        ret[LATE_EARLY] = s->reverb.late_early;
        ret[DOUBLE_SLOPE] = s->reverb.double_slope;
    }
    if (s->has_movement.err == VX_OK)
        ret[COMB_DRIFT] = s->movement.comb_drift;
    for (int i = 0; i < N_MEASURES; i++)
        if (isfinite(ret[i])) {
            remark(s, ret, ret_reason);
            return true;
        }
    (void)snprintf(ret_reason, VX_REASON_CAP, "neither throat nor room could be measured: %.60s; %.60s",
                   vx_errinfo_text(&s->has_tract.info, s->has_tract.err),
                   vx_errinfo_text(&s->has_reverb.info, s->has_reverb.err));
    return false;
}

const vx_layer vx_layer_physics = {
    .name = "physics",
    .measures = {[TRACT] = "tract_deviation_cm",
                 [PITCH] = "pitch_deviation_semitones",
                 [ROOM] = "room_distance",
                 [RT60] = "rt60_s",
                 [EARLY] = "early_share",
                 [LATE_EARLY] = "late_early",
                 [DOUBLE_SLOPE] = "double_slope",
                 [COMB_DRIFT] = "comb_drift"},
    .measure = measure,
};
