/* lab_audio.h - the laboratory's signal processing: random ranges, levels, filters, rates.
 * Owns:   arithmetic on samples. Does not: know what is attacked. Samples are 16 kHz mono and changed in place, unless
 *         it says otherwise.
 */
#ifndef VX_TESTS_BENCH_SPOOF_LAB_AUDIO_H
#define VX_TESTS_BENCH_SPOOF_LAB_AUDIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_PI 3.14159265358979323846

/* ---- chance; seed is of stats_random ---------------------------------------------------------------------------------- */

double lab_uniform(uint64_t *seed, double low, double high);
/* Even over the logarithm: for times, frequencies and ratios. */
double lab_log_uniform(uint64_t *seed, double low, double high);
bool lab_chance(uint64_t *seed, double probability);
/* 0 .. n - 1; n > 0. */
size_t lab_pick(uint64_t *seed, size_t n);
/* Mean 0, deviation 1. */
double lab_gauss(uint64_t *seed);

/* ---- levels ---------------------------------------------------------------------------------------------------------- */

double lab_db_to_gain(double db);
/* Mean square of the frames of 20 ms that are not 30 dB below the loud ones (95th percentile), dB: the level of the
 * speech, however much of the clip is pause. -200 at the lowest. */
double lab_speech_db(const float *samples, size_t n);
float lab_peak(const float *samples, size_t n);
void lab_scale(float *samples, size_t n, double gain);
/* Gaussian noise, white above 800 Hz and rising below as a microphone's does; `db` is its mean square. */
void lab_hiss(uint64_t *seed, double db, float *samples, size_t n);
/* Automatic gain: towards `target_db` of mean square, at most `range_db` either way, in `seconds`. */
void lab_agc(float *samples, size_t n, double target_db, double range_db, double seconds);

/* ---- filters --------------------------------------------------------------------------------------------------------- */

/* H(z) = (b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2). Source: R. Bristow-Johnson, Audio EQ Cookbook. */
typedef struct {
    double b0, b1, b2, a1, a2;
} lab_biquad;

/* rate_hz: of the signal; 0 < hz < rate_hz / 2. */
lab_biquad lab_low_pass(double rate_hz, double hz, double q);
lab_biquad lab_high_pass(double rate_hz, double hz, double q);
lab_biquad lab_peak_filter(double rate_hz, double hz, double q, double db);
lab_biquad lab_low_shelf(double rate_hz, double hz, double db);
lab_biquad lab_high_shelf(double rate_hz, double hz, double db);
void lab_filter(const lab_biquad *filter, float *samples, size_t n);
/* Butterworth, 16 kHz; order even, at most 12. */
void lab_cut_above(double hz, int order, float *samples, size_t n);
void lab_cut_below(double hz, int order, float *samples, size_t n);

/* ---- rates ----------------------------------------------------------------------------------------------------------- */

/* To another rate; high quality, linear phase, no delay. The answer is from lab_alloc. */
float *lab_resample(const float *samples, size_t n, double from_hz, double to_hz, size_t *ret_n);
/* Delays by a number of samples that may have a fraction; what comes in at the start is 0. */
void lab_delay(float *samples, size_t n, double by);

#endif
