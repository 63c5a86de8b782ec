/* envelope.h - spectral envelopes: the tract behind a spectrum, without the cycles of the glottis.
 * Owns:   all-pole and cepstral envelopes, the filter of least delay that has one. Does not: know where a voice is.
 */
#ifndef VX_TESTS_BENCH_SPOOF_ENVELOPE_H
#define VX_TESTS_BENCH_SPOOF_ENVELOPE_H

#include <stdbool.h>

#include "tests/bench/spoof/stft.h"

/* Of the pre-emphasised spectrum, so that the tilt of a voice takes no poles away from its formants. */
#define ENVELOPE_EMPHASIS 0.95

/* Predictor of a frame.
 * bins     [in]  spectrum of the frame through a Hann window of `window` samples, at least `order` samples shorter than d->n
 * ret_a    [out] [order + 1]; order up to VX_LPC_MAX
 * ret_gain [out] root mean square of what it leaves over, as if the window were 1 everywhere; of the emphasised signal
 * False    for silence and pure tones: there is none */
bool envelope_predict(const dft *d, int window, const float *bins, int order, double *ret_a, double *ret_gain);
/* ln |1 / A|^2. ret_log [out] [d->n / 2 + 1] */
void envelope_of_predictor(const dft *d, const double *a, int order, float *ret_log);

/* Power to ln of power, [d->n / 2 + 1], without what varies faster along the frequency axis than f0 (M. Morise:
 * CheapTrick, a spectral envelope estimator for high-quality speech synthesis, 2015). In place. */
void envelope_smooth(const dft *d, double f0, float *power);

/* The spectrum of least delay that has this ln of power. ret_bins [out] [d->n / 2 + 1][2] */
void envelope_minimum_phase(const dft *d, const float *log_power, float *ret_bins);

/* values[n] between its places: linear, the ends go on for ever. */
double envelope_read(const float *values, size_t n, double at);

#endif
