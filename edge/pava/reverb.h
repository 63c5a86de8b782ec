/* reverb.h - the room in a recording: how long sound lingers, and whether it lingered twice.
 * Owns:   finding decays behind words, fitting them. Does not: know the rooms of this speaker (layer_physics.c).
 * Source: J. Wen, E. Habets, P. Naylor, Blind estimation of reverberation time based on the distribution of signal decay
 *         rates, 2008: no sound in a room can fall faster than the room, so the fastest falls of speech tell the room.
 */
#ifndef VX_EDGE_PAVA_REVERB_H
#define VX_EDGE_PAVA_REVERB_H

#include "edge/pava/spectrogram.h"

enum { VX_REVERB_FALLS = 3 };

/* How exact, on 462 recordings of 21 speakers that nothing was fitted on, in simulated rooms of 0.2 to 1.0 s (median
 * relative error of rt60_s): 8 %, with noise at 20 dB SNR 11 %, at 10 dB 14 %. Below 0.3 s it is 13, 14 and 29 %, mostly
 * too long: recordings bring a room of their own, and noise hides the fastest falls.
 *
 * One room, or a loudspeaker in a second one (medians; probability that two rooms measure more, and the same among
 * recordings of about the same rt60_s, where 0.5 tells nothing): late_early 0.77 and 1.41 (0.74, 0.69); early_s 0.23 and
 * 0.26 (0.77, 0.68); rt60_s 0.43 and 0.57 (0.73, -); double_slope 0.24 and 0.23 (0.36, 0.47). Sound fades behind two rooms
 * as behind one, only later and with a rounder beginning. tests/bench/bench_reverb.c measures all of this.
 */
typedef struct {
    double rt60_s;       /* time in which sound falls by 60 dB, 500 to 2,500 Hz */
    double rt60_spread;  /* of the decays' own slopes, relative: interquartile range over median */
    double early_s;      /* time for 60 dB at the speed of the fastest falls of 60 ms: direct sound that ends */
    double late_early;   /* slope behind the knee over slope before it, median of the decays; 1 for a straight line */
    double double_slope; /* 0 to 1: how much better two slopes fit the decays than one */
    double fall_db_s[VX_REVERB_FALLS]; /* speed of falls over 160 ms: median, 80 %, 95 %; tells rt60_s */
    size_t n_decays;                   /* of 12 dB and more, in all bands */
} vx_reverb;

/* Errors: NOT_FOUND (too few free decays: info says how many, or that noise covers them; or what comes out is no room's:
 * a gate, a machine), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_reverb_measure(const vx_spectrogram *spectrogram, vx_reverb *ret, vx_errinfo *info);

#endif
