/* phase.h - what the phases of voiced speech tell of how it was made.
 * Owns:   group delay and the phase relation of harmonics. Does not: judge.
 * Source: one glottis pulse excites all harmonics at once, so that the group delay of a pitch-synchronous frame is smooth
 *         and its energy is early; vocoders that choose phases (zero, minimum, random) leave them too alike or unrelated,
 *         rooms smear them.
 */
#ifndef VX_EDGE_PAVA_PHASE_H
#define VX_EDGE_PAVA_PHASE_H

#include "edge/pava/pitch.h"

typedef struct {
    double delay_spread_ms; /* median over voiced frames of the weighted spread of group delay over 300 to 3,400 Hz */
    double delay_change_ms; /* how much its centre moves from cycle to cycle */
    double skewness;        /* of the linear prediction residual: glottal pulses have a sign; median, signed */
    double crest_db;        /* peak to RMS of the residual within a cycle, median */
    double coherence;       /* of harmonic phases between neighbouring frames after linear delay is taken off, 0 to 1 */
} vx_phase;

/* Errors: NOT_FOUND (fewer than 20 voiced frames), NOMEM. */
VX_MUST_CHECK vx_err vx_phase_measure(const float *samples, size_t n, const vx_pitch *pitch, vx_phase *ret,
                                      vx_errinfo *info);

#endif
