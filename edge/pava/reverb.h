/* reverb.h - the room in a recording: how long sound lingers, and whether it lingered twice.
 * Owns:   finding decays behind words, fitting them. Does not: know the rooms of this speaker (layer_physics.c).
 */
#ifndef VX_EDGE_PAVA_REVERB_H
#define VX_EDGE_PAVA_REVERB_H

#include "edge/pava/spectrogram.h"

typedef struct {
    double rt60_s;       /* time in which sound falls by 60 dB */
    double rt60_spread;  /* of the decays it rests on, relative: interquartile range over median */
    double early_s;      /* the same from the first 10 dB of the decays */
    double late_early;   /* slope behind the knee over slope before it: 1 for one room, less where two rooms follow */
    double double_slope; /* 0 to 1: how much better two slopes fit the decays than one */
    size_t n_decays;
} vx_reverb;

/* Errors: NOT_FOUND (too few free decays: info says how many, or that noise covers them), NOMEM. */
VX_MUST_CHECK vx_err vx_reverb_measure(const vx_spectrogram *spectrogram, vx_reverb *ret, vx_errinfo *info);

#endif
