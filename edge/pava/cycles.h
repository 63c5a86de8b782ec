/* cycles.h - single glottal cycles, and how they differ from one to the next: jitter, shimmer, harmonics to noise.
 * Owns:   marking the cycles within voiced stretches. Does not: decide whether such a voice is alive, or undo the mouth: a
 *         formant that rings into the next cycle changes jitter and shimmer of a vowel against those of its glottis, by a
 *         fifth up to 200 Hz and by more above.
 */
#ifndef VX_EDGE_PAVA_CYCLES_H
#define VX_EDGE_PAVA_CYCLES_H

#include <stddef.h>

#include "edge/pava/pitch.h"

typedef struct {
    size_t n_cycles;    /* in stretches of at least five; with fewer than 20 the measures are NAN */
    double jitter;      /* mean |T[i] - T[i+1]| / mean T ("local"); 0.002 to 0.02 in healthy voices */
    double jitter_rap;  /* against the mean of three neighbours: without the melody */
    double shimmer;     /* mean |A[i] - A[i+1]| / mean A */
    double shimmer_apq; /* against the mean of five neighbours */
    double hnr_db;      /* harmonics to noise, of the voiced frames' median */
} vx_cycles;

/* Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_cycles_measure(const float *samples, size_t n, const vx_pitch *pitch, vx_cycles *ret);

#endif
