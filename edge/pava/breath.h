/* breath.h - what air does at a mouth near a microphone: breath between words, pops before them.
 * Owns:   finding both, their numbers. Does not: decide whether such a voice is alive; who holds his breath, or keeps away
 *         from the microphone, has neither.
 */
#ifndef VX_EDGE_PAVA_BREATH_H
#define VX_EDGE_PAVA_BREATH_H

#include <stddef.h>

#include "edge/pava/pitch.h"

typedef struct {
    size_t n_breaths;
    double breaths_per_s;   /* of the whole recording */
    double breath_s;        /* length, the median; this and the next two are NAN without a breath */
    double breath_over_db;  /* level over the floor, 500 to 6000 Hz, the median */
    double breath_slope_db; /* of its spectrum without the floor's, dB an octave from 500 to 4000 Hz, the median */
    size_t n_onsets;        /* beginnings of words behind a pause, where a pop could be */
    size_t n_pops;
    double pop_over_db; /* level below 80 Hz over the floor's at the onsets, the loudest; NAN without an onset */
} vx_breath;

/* pitch [in] of the same recording as spectrogram
 * Errors NOT_FOUND (nobody speaks, or there is no pause to look at: info says which), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_breath_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_breath *ret,
                                       vx_errinfo *info);

#endif
