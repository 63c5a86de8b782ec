/* channel.h - what the way from mouth to samples did to the spectrum: edges, slopes, floor, distortion.
 * Owns:   measures of the long-term spectrum of speech and of the pauses, and of harmonics that no throat made. Does not:
 *         tell a loudspeaker from a telephone by one of them: both cut bands. What they mean together was learned.
 */
#ifndef VX_EDGE_PAVA_CHANNEL_H
#define VX_EDGE_PAVA_CHANNEL_H

#include "edge/pava/pitch.h"

typedef struct {
    double low_edge_hz;  /* below it speech is 20 dB under its level at 300 to 1,000 Hz */
    double high_edge_hz; /* above it no bin of speech is over the floor by 6 dB; 8,000 at the most */
    double
        low_slope_db; /* per octave, from 60 Hz to low_edge_hz's octave above: a small loudspeaker falls by 12 or more */
    double tilt_db;   /* per octave, 500 Hz to high_edge_hz, of speech */
    double ripple_db;       /* deviation of the long-term spectrum from its own smoothing over an octave: resonances */
    double floor_slope_db;  /* per octave, of the pauses */
    double floor_ripple_db; /* of the pauses, as ripple_db */
    double floor_depth_db;  /* speech over pauses */
    double floor_change_db; /* spread of the level of the pauses over time */
    double
        distortion_db; /* power between harmonics and at even multiples where none is expected, against the harmonics:
                               of strong voiced frames less that of weak ones, as a nonlinearity grows with level */
} vx_channel;

/* A measure that the recording does not give (no pauses, no voice) is NAN. Errors: NOT_FOUND (less than half a second of
 * speech), NOMEM. */
VX_MUST_CHECK vx_err vx_channel_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_channel *ret,
                                        vx_errinfo *info);

#endif
