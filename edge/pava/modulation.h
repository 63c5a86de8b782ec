/* modulation.h - how fast the bands of speech grow and fade, and how they hang together.
 * Owns:   the modulation spectrum of a few broad bands. Does not: judge.
 * Source: syllables come 3 to 6 times a second; rooms fill the valleys between them, vocoders smooth what is faster than
 *         their frames and synthesisers repeat themselves.
 */
#ifndef VX_EDGE_PAVA_MODULATION_H
#define VX_EDGE_PAVA_MODULATION_H

#include "edge/pava/spectrogram.h"

typedef struct {
    double syllabic_db;    /* power at 2 to 8 Hz against 8 to 16 Hz, mean of the bands */
    double fast_db;        /* 16 to 40 Hz against 2 to 8 Hz */
    double depth_db;       /* 90th less 10th percentile of the envelope, mean of the bands */
    double coherence;      /* correlation of the envelopes of neighbouring bands, 0 to 1 */
    double coherence_high; /* the same, of the bands above 3 kHz alone */
} vx_modulation;

/* Errors: NOT_FOUND (less than a second between first and last word), NOMEM. */
VX_MUST_CHECK vx_err vx_modulation_measure(const vx_spectrogram *spectrogram, vx_modulation *ret, vx_errinfo *info);

#endif
