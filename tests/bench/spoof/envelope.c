/* envelope.c - see envelope.h. */
#include "tests/bench/spoof/envelope.h"

#include <math.h>
#include <stdlib.h>

#include "edge/pava/lpc.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"

double envelope_read(const float *values, size_t n, double at)
{
    if (!(at > 0))
        return (double)values[0];
    if (at >= (double)(n - 1))
        return (double)values[n - 1];
    const size_t i = (size_t)at;
    const double part = at - (double)i;
    return (1 - part) * (double)values[i] + part * (double)values[i + 1];
}

bool envelope_predict(const dft *d, int window, const float *bins, int order, double *ret_a, double *ret_gain)
{
    const size_t n = (size_t)d->n;
    float *power = lab_alloc(n + 2, sizeof *power), *r = lab_alloc(n, sizeof *r);
    for (size_t k = 0; k <= n / 2; k++) {
        const double tilt =
            1 + ENVELOPE_EMPHASIS * ENVELOPE_EMPHASIS - 2 * ENVELOPE_EMPHASIS * cos(2 * LAB_PI * (double)k / (double)n);
        power[2 * k] = (float)(tilt * bin_power(bins + 2 * k));
    }
    dft_inverse(d, power, 1, r);
    /* A floor 50 dB down and a lag window of 60 Hz: sharp harmonics would pull the poles onto themselves. */
    double lags[VX_LPC_MAX + 1] = {0}, error = 0;
    for (int i = 0; i <= order; i++) {
        const double x = 2 * LAB_PI * 60.0 / LAB_RATE * i;
        lags[i] = (double)r[i] * exp(-0.5 * x * x);
    }
    lags[0] *= 1.00001;
    const double square = 0.375 * window; /* of a Hann window */
    const double loud = lags[0] / square;
    free(power);
    free(r);
    if (!(loud > 1e-14) || !vx_lpc_solve(lags, order, ret_a, &error))
        return false;
    *ret_gain = sqrt(loud * error);
    return true;
}

void envelope_of_predictor(const dft *d, const double *a, int order, float *ret_log)
{
    const size_t n = (size_t)d->n;
    float *row = lab_alloc(n, sizeof *row), *bins = lab_alloc(n + 2, sizeof *bins);
    for (int i = 0; i <= order; i++)
        row[i] = (float)a[i];
    dft_forward(d, row, 1, bins);
    for (size_t k = 0; k <= n / 2; k++)
        ret_log[k] = (float)-log(fmax(bin_power(bins + 2 * k), 1e-12));
    free(row);
    free(bins);
}

/* Cepstrum of ln of power, and back: both are even, so one transform does either. */
static void even_transform(const dft *d, const float *half, double scale, float *ret_half)
{
    const size_t n = (size_t)d->n;
    float *row = lab_alloc(n, sizeof *row), *bins = lab_alloc(n + 2, sizeof *bins);
    for (size_t k = 0; k <= n / 2; k++)
        row[k] = half[k];
    for (size_t k = 1; k < n / 2; k++)
        row[n - k] = half[k];
    dft_forward(d, row, 1, bins);
    for (size_t k = 0; k <= n / 2; k++)
        ret_half[k] = (float)(scale * (double)bins[2 * k]);
    free(row);
    free(bins);
}

/* Mean over `width` bins around each, in fractions of bins. */
static void box(const float *power, size_t n, double width, float *ret)
{
    double *sum = lab_alloc(3 * n, sizeof *sum); /* mirrored at both ends: that of bin k begins at n + k */
    const size_t last = n - 1;
    double total = 0;
    for (size_t i = 0; i < 3 * n; i++) {
        const size_t k = i < n ? n - i : i - n;
        total += (double)power[k > last ? (2 * last > k ? 2 * last - k : 0) : k];
        sum[i] = total;
    }
    for (size_t k = 0; k < n; k++) {
        const double from = (double)(n + k) - 0.5 - width / 2, to = from + width;
        const size_t i = (size_t)from, j = (size_t)to;
        const double low = sum[i] + (from - (double)i) * (sum[i + 1] - sum[i]);
        const double high = sum[j] + (to - (double)j) * (sum[j + 1] - sum[j]);
        ret[k] = (float)((high - low) / width);
    }
    free(sum);
}

void envelope_smooth(const dft *d, double f0, float *power)
{
    const size_t n = (size_t)d->n / 2 + 1;
    float *level = lab_alloc(n, sizeof *level);
    box(power, n, fmax(1, f0 * 2 / 3 * d->n / LAB_RATE), level);
    for (size_t k = 0; k < n; k++)
        level[k] = logf(level[k] + 1e-14F);
    even_transform(d, level, 1.0 / d->n, level);
    for (size_t q = 1; q < n; q++) {
        const double x = LAB_PI * f0 * (double)q / LAB_RATE;
        level[q] *= (float)(sin(x) / x * (1.18 - 0.18 * cos(2 * x)));
    }
    even_transform(d, level, 1, power);
    free(level);
}

void envelope_minimum_phase(const dft *d, const float *log_power, float *ret_bins)
{
    const size_t n = (size_t)d->n;
    float *row = lab_alloc(n, sizeof *row);
    /* Half of ln of power is ln of amplitude; what lies before time 0 is turned over onto what lies behind. */
    even_transform(d, log_power, 0.5 / d->n, row);
    for (size_t q = 1; q < n / 2; q++)
        row[q] *= 2;
    dft_forward(d, row, 1, ret_bins);
    for (size_t k = 0; k <= n / 2; k++) {
        const float size = expf(ret_bins[2 * k]), angle = ret_bins[2 * k + 1];
        ret_bins[2 * k] = size * cosf(angle);
        ret_bins[2 * k + 1] = size * sinf(angle);
    }
    free(row);
}
