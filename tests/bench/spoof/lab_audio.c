/* lab_audio.c - see lab_audio.h. */
#include "tests/bench/spoof/lab_audio.h"

#include <math.h>
#include <soxr.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/lab.h"
#include "tests/support/stats.h"

enum { FRAME = LAB_RATE / 50, SINC = 32 /* taps on each side of a fractional delay */ };

/* ---- chance ---------------------------------------------------------------------------------------------------------- */

double lab_uniform(uint64_t *seed, double low, double high)
{
    return low + (high - low) * (double)(stats_random(seed) >> 11) * 0x1p-53;
}

double lab_log_uniform(uint64_t *seed, double low, double high)
{
    return low * pow(high / low, lab_uniform(seed, 0, 1));
}

bool lab_chance(uint64_t *seed, double probability)
{
    return lab_uniform(seed, 0, 1) < probability;
}

size_t lab_pick(uint64_t *seed, size_t n)
{
    return (size_t)(stats_random(seed) % n);
}

double lab_gauss(uint64_t *seed)
{
    const double radius = sqrt(-2 * log(lab_uniform(seed, 0x1p-53, 1)));
    return radius * cos(2 * LAB_PI * lab_uniform(seed, 0, 1));
}

/* ---- levels ---------------------------------------------------------------------------------------------------------- */

double lab_db_to_gain(double db)
{
    return pow(10, db / 20);
}

static double mean_square(const float *samples, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)samples[i] * (double)samples[i];
    return n > 0 ? sum / (double)n : 0;
}

double lab_speech_db(const float *samples, size_t n)
{
    const size_t n_frames = n / FRAME;
    double *powers = lab_alloc(n_frames + 1, sizeof *powers), sum = 0, loud;
    size_t n_loud = 0;
    for (size_t t = 0; t < n_frames; t++)
        powers[t] = mean_square(samples + t * FRAME, FRAME);
    stats_sort(powers, n_frames);
    loud = 1e-3 * stats_quantile(powers, n_frames, 0.95);
    for (size_t t = 0; t < n_frames; t++)
        if (powers[t] >= loud) {
            sum += powers[t];
            n_loud++;
        }
    free(powers);
    return 10 * log10(fmax(1e-20, n_loud > 0 ? sum / (double)n_loud : mean_square(samples, n)));
}

float lab_peak(const float *samples, size_t n)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(samples[i]));
    return peak;
}

void lab_scale(float *samples, size_t n, double gain)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(gain * (double)samples[i]);
}

void lab_hiss(uint64_t *seed, double db, float *samples, size_t n)
{
    /* One pole at 80 Hz, 20 dB above the white part at its top. */
    const double pole = exp(-2 * LAB_PI * 80 / LAB_RATE), low_gain = 10 * (1 - pole);
    const double gain = lab_db_to_gain(db) / sqrt(1 + low_gain * low_gain / (1 - pole * pole));
    double low = 0;
    for (size_t i = 0; i < n; i++) {
        low = pole * low + low_gain * lab_gauss(seed);
        samples[i] += (float)(gain * (low + lab_gauss(seed)));
    }
}

void lab_agc(float *samples, size_t n, double target_db, double range_db, double seconds)
{
    const double pole = exp(-1 / (seconds * LAB_RATE)), least = pow(10, target_db / 10 - 2 * range_db / 10);
    double power = pow(10, target_db / 10);
    for (size_t i = 0; i < n; i++) {
        const double x = (double)samples[i];
        /* Pauses are not turned up: what is 2 * range below the target is held to be one. */
        if (x * x > least)
            power = pole * power + (1 - pole) * x * x;
        const double db = fmax(-range_db, fmin(range_db, target_db - 10 * log10(power)));
        samples[i] = (float)(x * lab_db_to_gain(db));
    }
}

/* ---- filters --------------------------------------------------------------------------------------------------------- */

static lab_biquad normalised(double b0, double b1, double b2, double a0, double a1, double a2)
{
    return (lab_biquad){b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0};
}

lab_biquad lab_low_pass(double rate_hz, double hz, double q)
{
    const double w = 2 * LAB_PI * hz / rate_hz, c = cos(w), alpha = sin(w) / (2 * q);
    return normalised((1 - c) / 2, 1 - c, (1 - c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

lab_biquad lab_high_pass(double rate_hz, double hz, double q)
{
    const double w = 2 * LAB_PI * hz / rate_hz, c = cos(w), alpha = sin(w) / (2 * q);
    return normalised((1 + c) / 2, -(1 + c), (1 + c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

lab_biquad lab_peak_filter(double rate_hz, double hz, double q, double db)
{
    const double w = 2 * LAB_PI * hz / rate_hz, c = cos(w), alpha = sin(w) / (2 * q), a = pow(10, db / 40);
    return normalised(1 + alpha * a, -2 * c, 1 - alpha * a, 1 + alpha / a, -2 * c, 1 - alpha / a);
}

/* sign: 1 lifts below hz, -1 above; slope 1. */
static lab_biquad shelf(double rate_hz, double hz, double db, double sign)
{
    const double w = 2 * LAB_PI * hz / rate_hz, c = sign * cos(w), a = pow(10, db / 40);
    const double root = 2 * sqrt(a) * sin(w) / sqrt(2);
    return normalised(a * (a + 1 - (a - 1) * c + root), sign * 2 * a * (a - 1 - (a + 1) * c),
                      a * (a + 1 - (a - 1) * c - root), a + 1 + (a - 1) * c + root, -sign * 2 * (a - 1 + (a + 1) * c),
                      a + 1 + (a - 1) * c - root);
}

lab_biquad lab_low_shelf(double rate_hz, double hz, double db)
{
    return shelf(rate_hz, hz, db, 1);
}

lab_biquad lab_high_shelf(double rate_hz, double hz, double db)
{
    return shelf(rate_hz, hz, db, -1);
}

void lab_filter(const lab_biquad *f, float *samples, size_t n)
{
    double s1 = 0, s2 = 0; /* direct form II transposed */
    for (size_t i = 0; i < n; i++) {
        const double x = (double)samples[i], y = f->b0 * x + s1;
        s1 = f->b1 * x - f->a1 * y + s2;
        s2 = f->b2 * x - f->a2 * y;
        samples[i] = (float)y;
    }
}

static void butterworth(lab_biquad (*section)(double, double, double), double hz, int order, float *samples, size_t n)
{
    for (int i = 0; i < order / 2; i++) {
        const lab_biquad f = section(LAB_RATE, hz, 1 / (2 * cos(LAB_PI * (2 * i + 1) / (2 * order))));
        lab_filter(&f, samples, n);
    }
}

void lab_cut_above(double hz, int order, float *samples, size_t n)
{
    butterworth(lab_low_pass, hz, order, samples, n);
}

void lab_cut_below(double hz, int order, float *samples, size_t n)
{
    butterworth(lab_high_pass, hz, order, samples, n);
}

/* ---- rates ----------------------------------------------------------------------------------------------------------- */

float *lab_resample(const float *samples, size_t n, double from_hz, double to_hz, size_t *ret_n)
{
    const size_t cap = (size_t)((double)n * to_hz / from_hz + 0.5);
    const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
    float *out = lab_alloc(cap + 1, sizeof *out);
    size_t done = 0;
    if (soxr_oneshot(from_hz, to_hz, 1, samples, n, NULL, out, cap, &done, NULL, &quality, NULL))
        abort();
    *ret_n = done;
    return out;
}

void lab_delay(float *samples, size_t n, double by)
{
    const size_t whole = (size_t)by;
    const double fraction = by - (double)whole;
    double taps[2 * SINC];
    for (int k = 0; k < 2 * SINC; k++) {
        const double at = k - SINC + 1 - fraction, window = 0.5 + 0.5 * cos(LAB_PI * at / (SINC + 1));
        taps[k] = window * (fabs(at) < 1e-12 ? 1 : sin(LAB_PI * at) / (LAB_PI * at));
    }
    float *in = lab_alloc(n + 1, sizeof *in);
    memcpy(in, samples, n * sizeof *in);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t k = 0; k < 2 * SINC; k++) { /* in[i - whole - (k - SINC + 1)] */
            const size_t at = i + SINC - 1 - k - whole;
            if (i + SINC - 1 >= k + whole && at < n)
                sum += taps[k] * (double)in[at];
        }
        samples[i] = (float)sum;
    }
    free(in);
}
