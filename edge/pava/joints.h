/* joints.h - does a recording hang together over time, or was it put together?
 * Owns:   jumps of the spectrum and of the background between neighbouring moments. Does not: judge.
 */
#ifndef VX_EDGE_PAVA_JOINTS_H
#define VX_EDGE_PAVA_JOINTS_H

#include "edge/pava/pitch.h"

typedef struct {
    double flux_peak;      /* highest jump of the log spectrum within speech, in spreads of all its jumps */
    double flux_kurtosis;  /* of the jumps: a joint is one where others are none */
    double floor_jump_db;  /* largest change of the background from one pause to the next, per band mean */
    double pitch_jump_oct; /* largest step of F0 within a voiced stretch, octaves */
    double repeat;    /* most alike pair of distant 200 ms stretches, 0 to 1: speech never repeats itself exactly */
    double stillness; /* share of neighbouring speech frames that hardly differ: machines hold still */
} vx_joints;

/* Errors: NOT_FOUND (less than half a second of speech), NOMEM. */
VX_MUST_CHECK vx_err vx_joints_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_joints *ret,
                                       vx_errinfo *info);

#endif
