/* countermeasure_features.h - what the network is shown of a recording.
 * Owns:   choosing a stretch of it, rows of measures over its frames. Does not: know weights (countermeasure.c).
 *
 * Spectra tell texts read by machines from voices; what vocoders and converters do to a voice they hardly tell. That lies
 * in the pulses of the glottis: each excites all of the tract at once, rises faster than it fades, and leaves neighbouring
 * bands ringing in step. Machines that make up phases, lay cycles over each other or move formants disturb this, and a
 * loudspeaker in a room blurs it. So most rows look at envelopes of 2 ms. A logistic regression on means and deviations of
 * the rows, on speakers that it was not fitted to: equal error rates with power alone 35 % (vocoders), 37 % (conversion)
 * and 25 % (replay); with all rows but power 17, 20 and 21 %.
 *
 * All of it is measured against the level of speech, with a floor 70 dB below that: no gain changes the rows, and what lies
 * deeper (the rounding to 16 bits, digital silence) tells of files and not of voices.
 */
#ifndef VX_EDGE_PAVA_COUNTERMEASURE_FEATURES_H
#define VX_EDGE_PAVA_COUNTERMEASURE_FEATURES_H

#include <stddef.h>

#include "edge/pava/spectrogram.h"

enum {
    VX_TRACE_BANDS = 64,     /* of 125 Hz: even up to 8 kHz, because machines leave traces high up */
    VX_TRACE_ENVELOPES = 16, /* 500 Hz apart */

    /* Where the rows of one kind begin. */
    VX_TRACE_POWER = 0,                                         /* of each band, nepers */
    VX_TRACE_COMB = VX_TRACE_POWER + VX_TRACE_BANDS,            /* how uneven 500 Hz of the spectrum are: harmonics */
    VX_TRACE_PULSES = VX_TRACE_COMB + VX_TRACE_ENVELOPES,       /* how uneven the envelope is over 24 ms */
    VX_TRACE_PEAKS = VX_TRACE_PULSES + VX_TRACE_ENVELOPES,      /* its skewness: few high peaks, or few deep gaps */
    VX_TRACE_ATTACKS = VX_TRACE_PEAKS + VX_TRACE_ENVELOPES,     /* that of its steps: steep rise and slow fall */
    VX_TRACE_TOGETHER = VX_TRACE_ATTACKS + VX_TRACE_ENVELOPES,  /* its correlation with that of the next band, */
    VX_TRACE_LEAD = VX_TRACE_TOGETHER + VX_TRACE_ENVELOPES - 1, /* and with the slope of that: which one is earlier */
    VX_TRACE_SKEW = VX_TRACE_LEAD + VX_TRACE_ENVELOPES - 1,     /* of samples, and of their differences, unsigned */
    VX_TRACE_ROWS = VX_TRACE_SKEW + 2,

    VX_TRACE_SPEECH_MIN = 50, /* frames; with fewer there is too little to judge */
    VX_TRACE_FRAMES_MAX = 600 /* looked at, so that memory and time are bounded whatever is recorded */
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
 * ret_rows    [out] [VX_TRACE_ROWS, ld], a column a frame; columns behind the last are left alone
 * Errors  NOMEM; ret_rows is then undefined. Threads: any. */
VX_MUST_CHECK vx_err vx_trace_measure(const float *samples, size_t n, const vx_spectrogram *spectrogram,
                                      const vx_trace_stretch *stretch, float *ret_rows, size_t ld);

/* Takes from each band its mean over the frames with speech: what a microphone or a telephone does to all of them. */
void vx_trace_level_bands(const vx_spectrogram *spectrogram, const vx_trace_stretch *stretch, float *rows, size_t ld);

#endif
