/* spectrogram.h - the power spectra of a recording, 10 ms apart: what every layer looks at.
 * Owns:   window, transform, and which frames hold speech. Does not: smooth, normalise, or judge.
 *
 * All tracks of edge/pava have the same frames: n / 160 of them, frame i around the middle of samples 160 i to 160 i + 159.
 */
#ifndef VX_EDGE_PAVA_SPECTROGRAM_H
#define VX_EDGE_PAVA_SPECTROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

enum {
    VX_PAVA_HOP = 160,    /* samples */
    VX_PAVA_WINDOW = 400, /* samples, Hann: 25 ms */
    VX_PAVA_FFT = 512,
    VX_PAVA_BINS = VX_PAVA_FFT / 2 + 1, /* 31.25 Hz apart */
};

typedef struct {
    size_t n_frames;
    float *
        power; /* [n_frames][VX_PAVA_BINS] |X|^2 over the sum of the squared window: white noise of variance 1 gives 1 */
    float *level; /* [n_frames] mean square of the frame's window above 80 Hz */
    bool *speech; /* [n_frames] */
    size_t n_speech;
    float floor_level, peak_level; /* a tenth of the frames lies below the one, a fiftieth above the other */
} vx_spectrogram;

/* Speech is what is 6 dB above the floor, 35 dB at most below the peak, and above -80 dBFS (the measures there are). A
 * sound that never pauses has no floor to stand out from, so noise and tones alone hold no speech, nor does silence.
 * samples [in] n, finite, 16 kHz mono. Ends are padded with zeros.
 * Errors  NOMEM, RANGE (n < VX_PAVA_WINDOW, or samples whose square is no float) */
VX_MUST_CHECK vx_err vx_spectrogram_compute(const float *samples, size_t n, vx_spectrogram *ret);
/* Wipes and frees; all-zero is fine. */
void vx_spectrogram_done(vx_spectrogram *spectrogram);

#endif
