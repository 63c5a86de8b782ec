/* countermeasure_features.h - what the network is shown of a recording.
 * Owns:   choosing a stretch of it, three kinds of rows over its frames. Does not: know weights (countermeasure.c).
 *
 * Bands: power in steps of 125 Hz, in nepers. The steps are equal up to 8 kHz because vocoders leave their traces high up.
 * Pulses: how unevenly sound is spread over 24 ms in each of 16 bands. A glottis lets out a pulse a cycle; machines that
 * make up phases (Griffin and Lim's, phase vocoders) spread it, and power spectra do not show that: without these rows and
 * the next, their speech was told from voices no better than by a coin.
 * Together: whether neighbouring bands rise and fall together within those 24 ms, as what one pulse excites does.
 *
 * All of it is measured against the level of speech, with a floor 60 dB below that: no gain changes the rows, and what lies
 * deeper (the rounding to 16 bits, digital silence) tells of files and not of voices.
 */
#ifndef VX_EDGE_PAVA_COUNTERMEASURE_FEATURES_H
#define VX_EDGE_PAVA_COUNTERMEASURE_FEATURES_H

#include <stddef.h>

#include "edge/pava/spectrogram.h"

enum {
    VX_TRACE_BANDS = 64,
    VX_TRACE_PULSES = 16,
    VX_TRACE_ROWS = VX_TRACE_BANDS + VX_TRACE_PULSES + VX_TRACE_PULSES - 1,
    VX_TRACE_SPEECH_MIN = 50, /* frames; with fewer there is too little to judge */
    VX_TRACE_FRAMES_MAX = 600 /* looked at, so that memory and time are bounded; more told nothing more */
};

/* Frames [first, first + n) of a recording. */
typedef struct {
    size_t first, n;
    size_t n_speech;
} vx_trace_stretch;

/* From shortly before the first word to shortly after the last, where rooms fade; of what is longer than
 * VX_TRACE_FRAMES_MAX the part with most speech. Errors: RANGE (less speech than VX_TRACE_SPEECH_MIN). */
VX_MUST_CHECK vx_err vx_trace_choose(const vx_spectrogram *spectrogram, vx_trace_stretch *ret_stretch);

/* Measures a stretch.
 * samples     [in]  n, finite; spectrogram [in] of the same samples; stretch [in] of that
 * ret_rows    [out] [VX_TRACE_ROWS, ld]: bands, pulses, together; a column a frame; columns behind the last are left alone
 * Errors  NOMEM; ret_rows is then undefined. Threads: any. */
VX_MUST_CHECK vx_err vx_trace_measure(const float *samples, size_t n, const vx_spectrogram *spectrogram,
                                      const vx_trace_stretch *stretch, float *ret_rows, size_t ld);

/* Takes from each band its mean over the frames with speech: what a microphone or a telephone does to all of them. */
void vx_trace_level_bands(const vx_spectrogram *spectrogram, const vx_trace_stretch *stretch, float *rows, size_t ld);

#endif
