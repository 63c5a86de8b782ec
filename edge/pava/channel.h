/* channel.h - what the way from mouth to samples did to the spectrum: edges, slopes, floor, distortion.
 * Owns:   measures of the long-term spectrum of speech and of the pauses. Does not: tell a loudspeaker from a telephone
 *         by one of them: both cut bands. What they mean together was learned.
 */
#ifndef VX_EDGE_PAVA_CHANNEL_H
#define VX_EDGE_PAVA_CHANNEL_H

#include "edge/pava/pitch.h"

/* Speech is held against the pauses, and their noise is taken off where the voice itself is measured.
 * Slopes are in dB per octave; ripple is the deviation of a spectrum from its own smoothing over an octave.
 *
 * Distortion is told by the valleys of the spectrum below 3.5 kHz, which a nonlinearity fills, the more the louder: how
 * shallow they are in the loudest quarter of the voiced frames less in the softest. One percent shows where the valleys
 * are empty. Those of a voice are not: a fifth of second and third harmonic moves it by a quarter of what people differ
 * in. */
typedef struct {
    double low_edge_hz;     /* below it the voice is 20 dB under its level at 300 to 1,000 Hz */
    double high_edge_hz;    /* above it no bin of speech is over the floor by 6 dB; 8,000 at the most */
    double low_slope_db;    /* of the voice, from 63 Hz to an octave above low_edge_hz */
    double tilt_db;         /* of the voice, from 500 Hz to high_edge_hz */
    double ripple_db;       /* of the voice, between its edges: resonances */
    double floor_slope_db;  /* of the pauses, 125 to 4,000 Hz */
    double floor_ripple_db; /* of the pauses */
    double floor_depth_db;  /* speech over pauses */
    double floor_change_db; /* spread of the level of the pauses over time */
    double distortion_db;   /* loud less soft */
} vx_channel;

/* A measure that the recording does not give (no pauses, no voice) is NAN. Errors: NOT_FOUND (less than half a second
 * of speech), NOMEM. */
VX_MUST_CHECK vx_err vx_channel_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_channel *ret,
                                        vx_errinfo *info);

#endif
