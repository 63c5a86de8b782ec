/* layer.h - what a layer of anti-spoofing is given, and what it answers.
 * Owns:   those two types, and the list of layers. Does not: weigh them against each other (pava.c).
 *
 * A layer measures; what its measures mean was learned from recordings (pava_weights.inc, models/fit_pava.py). It may
 * abstain, by name, and then counts for nothing. A physical quantity that cannot be is a failed measurement and makes it
 * abstain: it never accuses.
 */
#ifndef VX_EDGE_PAVA_LAYER_H
#define VX_EDGE_PAVA_LAYER_H

#include "edge/pava/countermeasure.h"
#include "edge/pava/cycles.h"
#include "edge/pava/fingerprint.h"
#include "edge/pava/formants.h"
#include "edge/pava/pava.h"
#include "edge/pava/pitch.h"
#include "edge/pava/reverb.h"
#include "edge/pava/spectrogram.h"
#include "edge/pava/tract.h"

/* One recording, analysed once for all layers. */
typedef struct {
    const float *samples; /* borrowed, finite */
    size_t n;
    vx_spectrogram spectrogram;
    vx_pitch pitch;
    vx_cycles cycles;
    vx_formants formants;
    vx_err tract_err, reverb_err, fingerprint_err, trace_err; /* VX_OK: the member below is set */
    vx_errinfo tract_info, reverb_info, fingerprint_info;
    vx_tract tract;
    vx_reverb reverb;
    vx_fingerprint fingerprint;
    double traces[VX_N_TRACES]; /* log-odds */
    const vx_pava_known *known; /* never NULL */
} vx_scene;

/* name: of the layer, for settings and JSON; measures: names with their unit, as "rt60_s", in the order of the numbers. */
typedef struct {
    const char *name;
    const char *measures[VX_PAVA_MEASURES]; /* NULL after the last */
    /* Writes the measures and returns true, or says in ret_reason why it abstains. Every measure is finite. */
    bool (*measure)(const vx_scene *scene, double ret_measures[VX_PAVA_MEASURES], char ret_reason[VX_REASON_CAP]);
} vx_layer;

extern const vx_layer vx_layer_replay, vx_layer_synthetic, vx_layer_playback, vx_layer_conversion, vx_layer_liveness,
    vx_layer_deepfake, vx_layer_physics;
/* In the order of vx_pava_layer. */
extern const vx_layer *const vx_layers[VX_N_LAYERS];

#endif
