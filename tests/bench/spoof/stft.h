/* stft.h - signals to spectra and back: single frames, and whole recordings in overlapping frames.
 * Owns:   the inverse that shared/audio/fft.h does without, windows, overlap-add. Does not: change a spectrum.
 *
 * All on the scalar kernel, so that a seed gives the same recording on every machine. Out of memory ends the program, as
 * lab.h has it.
 */
#ifndef VX_TESTS_BENCH_SPOOF_STFT_H
#define VX_TESTS_BENCH_SPOOF_STFT_H

#include <stddef.h>

#include "shared/audio/fft.h"

/* Transforms of one length; one thread at a time. Spectra are [n / 2 + 1][re, im]. */
typedef struct {
    int n;
    vx_fft *plan;
    float *data, *work;
} dft;

/* n: as vx_fft_create takes it. */
dft dft_make(int n);
void dft_done(dft *d);
/* rows [in] [n_rows][n]; ret_bins [out] [n_rows][n / 2 + 1][2] */
void dft_forward(const dft *d, const float *rows, size_t n_rows, float *ret_bins);
/* The signals with these spectra (imaginary parts of the first and the last bin count as 0). */
void dft_inverse(const dft *d, const float *bins, size_t n_rows, float *ret_rows);

/* Spectrum of a Hann window of `window` samples (at most d->n) around sample `middle`, phases as seen from there; the
 * signal is 0 outside. */
void dft_frame(const dft *d, const float *samples, size_t n_samples, double window, long middle, float *ret_bins);

/* Spectra of Hann windows of `window` samples, frame t around sample t * hop, from the first sample to the last. */
typedef struct {
    dft d;
    int window, hop;
    size_t n_frames;
    float *bins; /* [n_frames][d.n / 2 + 1][2] */
} stft;

/* n: samples of a transform, at least window; the rest is zeros. hop: at most window / 2. */
stft stft_of(const float *samples, size_t n_samples, int window, int n, int hop);
void stft_done(stft *s);
/* The signal whose spectra come closest to these (D. Griffin, J. Lim, 1984, equation 6). */
void stft_invert(const stft *s, size_t n_samples, float *ret_samples);

static inline size_t stft_n_bins(const stft *s)
{
    return (size_t)s->d.n / 2 + 1;
}
static inline float *stft_frame(const stft *s, size_t t)
{
    return s->bins + 2 * t * stft_n_bins(s);
}
static inline double bin_power(const float *bin)
{
    return (double)bin[0] * (double)bin[0] + (double)bin[1] * (double)bin[1];
}

#endif
