/* fbank.h - log-mel features from 16 kHz mono samples.
 * Owns:   window, transform and filter bank, all taken from the model's manifest. Does not: resample, detect speech,
 *         allocate after create.
 * Source: SpeechBrain Fbank + sentence InputNormalization(std_norm=False); differs in nothing.
 */
#ifndef VX_AUDIO_FBANK_H
#define VX_AUDIO_FBANK_H

#include <stddef.h>

#include "shared/base/cpu.h"
#include "shared/base/err.h"

typedef enum { VX_WINDOW_HAMMING, VX_WINDOW_HANN } vx_window; /* periodic */
typedef enum { VX_LOG_DB, VX_LOG_NATURAL } vx_log_kind;       /* 10 log10(x), or ln(x) */

/* Samples beyond this are refused: their power would leave float's range. Full scale is 1.0. */
#define VX_FBANK_PEAK_MAX 1e12f

/* The front end a model was trained with. */
typedef struct {
    int window_len; /* samples, = n_fft (even, factors 2, 3 and 5 only, 64 .. 4096) */
    int hop;        /* samples, 1 .. window_len */
    int n_fft;
    vx_window window;
    int n_bands;         /* 1 .. 256 */
    double f_min, f_max; /* Hz, edges of the lowest and highest band, within 0 .. 8000, 1 Hz or more apart */
    vx_log_kind log_kind;
    double floor;      /* smallest band power before the logarithm, 1e-30 .. 1 */
    double top_db;     /* dynamic range kept below the utterance's maximum; 0: no limit, else up to 1000 and DB only */
    int subtract_mean; /* per-band mean over time */
} vx_fbank_params;

/* 400-sample periodic Hamming, hop 160, 80 bands to 8 kHz, dB, floor 1e-10, 80 dB, mean subtracted. */
vx_fbank_params vx_fbank_params_default(void);

typedef struct vx_fbank vx_fbank;

/* Tables for one front end; isa: VX_ISA_* to use, normally vx_isa_best(). Errors: RANGE (info says which value), NOMEM,
 * UNSUPPORTED (isa not available). */
VX_MUST_CHECK vx_err vx_fbank_create(const vx_fbank_params *params, vx_isa isa, vx_fbank **ret_fbank, vx_errinfo *info);
void vx_fbank_destroy(vx_fbank *fbank);

/* Frames of n samples: 1 + n / hop (frames are centred, with n_fft / 2 zeros at both ends). */
size_t vx_fbank_frames(const vx_fbank *fbank, size_t n);
int vx_fbank_bands(const vx_fbank *fbank);

/* Features of one utterance, band-major as the network wants them.
 * pcm      [in]  n samples, 16 kHz mono, full scale 1.0
 * ret_feat [out] [n_bands, ld] float, row = band, column = frame; columns from n_frames to ld are left alone
 * ld       [in]  row stride in floats, at least vx_fbank_frames(n)
 * Memory   none allocated; scratch belongs to fbank; pcm and ret_feat must not overlap
 * Threads  one vx_fbank per thread
 * Errors   AUDIO_EMPTY for n = 0; AUDIO_NOT_FINITE on NaN or Inf in pcm, AUDIO_SCALE beyond VX_FBANK_PEAK_MAX; ARG for
 *          ld below the frames; ret_feat is then untouched. Features of accepted audio are always finite
 * Source   golden vectors of SpeechBrain's own code in tests/data/golden; within 5e-3 dB everywhere */
VX_MUST_CHECK vx_err vx_fbank_compute(vx_fbank *fbank, const float *pcm, size_t n, float *ret_feat, size_t ld);

#endif
