/* scene.h - one recording, analysed once for all layers.
 * Owns:   the order of the analyses, and which recordings cannot be judged at all. Does not: say what a measure means.
 */
#ifndef VX_EDGE_PAVA_SCENE_H
#define VX_EDGE_PAVA_SCENE_H

#include "edge/pava/breath.h"
#include "edge/pava/channel.h"
#include "edge/pava/countermeasure.h"
#include "edge/pava/coupling.h"
#include "edge/pava/cycles.h"
#include "edge/pava/fingerprint.h"
#include "edge/pava/formants.h"
#include "edge/pava/joints.h"
#include "edge/pava/modulation.h"
#include "edge/pava/movement.h"
#include "edge/pava/pava.h"
#include "edge/pava/phase.h"
#include "edge/pava/pitch.h"
#include "edge/pava/reverb.h"
#include "edge/pava/spectrogram.h"
#include "edge/pava/tract.h"

/* What an analysis came to: its result counts with VX_OK, and info says why not otherwise. */
typedef struct {
    vx_err err;
    vx_errinfo info;
} vx_analysis;

typedef struct {
    const float *samples; /* borrowed; finite */
    size_t n;
    const vx_pava_known *known; /* borrowed */
    uint64_t deadline_ns;       /* 0: none */
    bool late;                  /* the time was over before the last analysis began */
    vx_spectrogram spectrogram;
    vx_pitch pitch;
    vx_cycles cycles;
    vx_formants formants;
    bool has_pitch;     /* enough voiced frames for the next */
    double pitch_ln_hz; /* median of ln F0 */

    vx_analysis has_pitch_track, has_cycles, has_formants; /* all that follow need these: late, they are late too */
    vx_analysis has_fingerprint, has_search, has_breath, has_tract, has_coupling, has_reverb, has_movement, has_channel,
        has_modulation, has_phase, has_joints, has_traces;
    vx_fingerprint fingerprint;
    vx_fingerprint_match repetition; /* the best; also of a search that the end of the time cut short */
    vx_breath breath;
    vx_tract tract;
    vx_coupling coupling;
    vx_reverb reverb;
    vx_movement movement;
    vx_channel channel;
    vx_modulation modulation;
    vx_phase phase;
    vx_joints joints;
    double traces[VX_N_TRACES]; /* log-odds */
} vx_scene;

/* Analyses, as far as the time goes: what is not reached by deadline_ns (vx_now_ns's clock; 0: no end) has the error
 * DEADLINE.
 * ret_scene [out] vx_scene_done, also after an error
 * Errors    RANGE (the recording holds nothing that could be judged: info says what it is), NOMEM */
VX_MUST_CHECK vx_err vx_scene_analyse(const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                                      vx_scene *ret_scene, vx_errinfo *info);
/* All-zero is fine. */
void vx_scene_done(vx_scene *scene);

#endif
