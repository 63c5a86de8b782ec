/* movement.h - does the mouth move against the microphone, as a living head does?
 * Owns:   one measure of it. Does not: weigh it; and it should weigh nothing, for the reasons below.
 *
 * A head sways by a centimetre at a few centimetres a second. One microphone could see that in two ways. The shift of
 * frequency is v / c, about 1e-4: a sixth of a cent, where pitch itself wanders by hundreds, and speech holds nothing that
 * is known well enough to compare with. The comb that reflections cut into the spectrum is a matter of centimetres from
 * 2 kHz on, and its drift can be measured, but does not tell what matters. Simulated rooms, 449 recordings of 21 speakers,
 * sway of 1 cm at 0.5 Hz, probability that the head measures more than the other (tests/bench/bench_movement.c):
 *     a source that never moves             0.66 without noise, 0.57 with noise at 25 dB SNR
 *     a loudspeaker that plays a recording  0.53 without noise, 0.48 with noise at 25 dB SNR
 *       of a head that swayed
 * The recorded head moved too. Noise of 25 dB SNR changes the measure by 0.6, movement by 0.2.
 */
#ifndef VX_EDGE_PAVA_MOVEMENT_H
#define VX_EDGE_PAVA_MOVEMENT_H

#include "edge/pava/spectrogram.h"

typedef struct {
    double
        comb_drift; /* ln of how much more the comb of 2 to 4 ms differs between pieces of 0.4 s than the scatter within
                          them explains: 0 where nothing but chance moves it */
    size_t n_pieces;
} vx_movement;

/* Errors: NOT_FOUND (less than 1.2 s of speech), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_movement_measure(const vx_spectrogram *spectrogram, vx_movement *ret, vx_errinfo *info);

#endif
