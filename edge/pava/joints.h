/* joints.h - does a recording hang together over time, or was it put together?
 * Owns:   jumps of the spectrum and of the background between neighbouring moments. Does not: judge.
 */
#ifndef VX_EDGE_PAVA_JOINTS_H
#define VX_EDGE_PAVA_JOINTS_H

#include "edge/pava/pitch.h"

/* Jumps are between the log spectra of neighbouring frames of speech. */
typedef struct {
    double flux_peak;      /* highest jump over the median one */
    double flux_kurtosis;  /* of the jumps: a joint is one where others are none */
    double floor_jump_db;  /* largest change of the background from one pause to the next, per band mean */
    double pitch_jump_oct; /* step of F0 that one in twenty exceeds: the largest is most often a slip of the track */
    double repeat;    /* most alike pair of 200 ms 0.4 to 10 s apart, 0 to 1: speech never repeats itself exactly */
    double stillness; /* share of the jumps within voice that are hardly any: machines hold still */
} vx_joints;

/* A measure that the recording does not give (no second pause, too few voiced frames) is NAN. Errors:
 * NOT_FOUND (less than half a second of speech, or in too few bands), NOMEM. */
VX_MUST_CHECK vx_err vx_joints_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_joints *ret,
                                       vx_errinfo *info);

#endif
