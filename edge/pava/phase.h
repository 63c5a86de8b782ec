/* phase.h - what the phases of voiced speech tell of how it was made.
 * Owns:   the residual of linear prediction around glottal pulses, and measures of it. Does not: judge.
 * Source: with the tract's resonances taken off, what excited them is left: in a throat one sharp event a cycle, of one
 *         sign, hardly the same from cycle to cycle. Vocoders that choose phases make it too sharp, too alike, or no
 *         event at all; rooms smear it.
 */
#ifndef VX_EDGE_PAVA_PHASE_H
#define VX_EDGE_PAVA_PHASE_H

#include "edge/pava/pitch.h"

/* All are medians over voiced frames. Times are told as of a cycle of 8 ms: a low voice would always be smeared
 * otherwise. The sign of the skewness hangs on how the microphone was wired, and is left out. */
typedef struct {
    double delay_spread_ms; /* of a cycle's energy around its event, RMS; 8 / sqrt(12) where it is even */
    double delay_change_ms; /* how much the middle of that energy moves from frame to frame */
    double skewness;        /* of the residual over three cycles: events have a sign */
    double crest_db;        /* event over the RMS of the 4 ms around it */
    double coherence;       /* correlation of neighbouring cycles around their events, -1 to 1 */
} vx_phase;

/* pitch [in] of the same samples
 * Errors NOT_FOUND (fewer than 20 voiced frames), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_phase_measure(const float *samples, size_t n, const vx_pitch *pitch, vx_phase *ret,
                                      vx_errinfo *info);

#endif
