/* modulation.h - how fast the bands of speech grow and fade, and how they hang together.
 * Owns:   the modulation spectrum of a few broad bands. Does not: judge.
 * Source: syllables come 3 to 6 times a second; rooms fill the valleys between them, and vocoders smooth what is faster
 *         than their frames.
 */
#ifndef VX_EDGE_PAVA_MODULATION_H
#define VX_EDGE_PAVA_MODULATION_H

#include "edge/pava/spectrogram.h"

/* Means over the bands in which there is speech: those of a telephone end at 4 kHz. A coherence is NAN where no two
 * neighbours hold speech. */
typedef struct {
    double syllabic_db;    /* power of the envelope at 2 to 8 Hz against 8 to 16 Hz */
    double fast_db;        /* 16 to 40 Hz against 2 to 8 Hz */
    double depth_db;       /* 90th less 10th percentile of the envelope */
    double coherence;      /* correlation of the envelopes of neighbouring bands, -1 to 1 */
    double coherence_high; /* the same, of the bands above 3 kHz alone */
} vx_modulation;

/* Errors: NOT_FOUND (less than a second between first and last word, or no band that rises and falls), NOMEM. */
VX_MUST_CHECK vx_err vx_modulation_measure(const vx_spectrogram *spectrogram, vx_modulation *ret, vx_errinfo *info);

#endif
