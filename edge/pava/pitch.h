/* pitch.h - the fundamental frequency of a voice over time, and how sure that there is one.
 * Owns:   candidates of each frame, the path through them. Does not: find single glottal cycles (cycles.h).
 */
#ifndef VX_EDGE_PAVA_PITCH_H
#define VX_EDGE_PAVA_PITCH_H

#include <stddef.h>

#include "edge/pava/spectrogram.h"

#define VX_PITCH_MIN_HZ 60.0
#define VX_PITCH_MAX_HZ 450.0

typedef struct {
    size_t n_frames;
    float *f0_hz; /* [n_frames] 0 where no voice is */
    /* [n_frames] probability that the glottis swings, 0 to 1; f0_hz is set from 0.5 on. Above that it may be relied on; below
     * it is too low in noise, where most of what is missed is voice. */
    float *voiced;
    size_t n_voiced;
} vx_pitch;

/* Normalised cross-correlation with a path by dynamic programming (Talkin's RAPT is the model).
 * samples [in] n, finite; spectrogram [in] of the same samples. Errors: NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_pitch_track(const float *samples, size_t n, const vx_spectrogram *spectrogram, vx_pitch *ret);
void vx_pitch_done(vx_pitch *pitch);

#endif
