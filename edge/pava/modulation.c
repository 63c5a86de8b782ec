/* modulation.c - envelopes of eight bands between first and last word, their spectra by a plain sum of cosines: 20
 * frequencies of at most 3,000 frames need no FFT. */
#include "edge/pava/modulation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BANDS = 8, HIGH_BAND = 5 /* from 3 kHz on */, MIN_FRAMES = 100, SLOTS = 20 };
static const double FRAMES_S = 100, PI = 3.14159265358979323846;
/* Edges in bins of 31.25 Hz: about equal steps of the ear. */
static const int edges[BANDS + 1] = {4, 12, 22, 36, 58, 96, 140, 190, 254};

/* Log envelopes of frames first to last, their means taken off: [BANDS][n]. */
static void envelopes(const vx_spectrogram *s, size_t first, size_t n, double *ret)
{
    for (int b = 0; b < BANDS; b++) {
        double *band = ret + (size_t)b * n, mean = 0, peak = 0;
        for (size_t i = 0; i < n; i++) {
            const float *power = s->power + (first + i) * VX_PAVA_BINS;
            band[i] = 0;
            for (int k = edges[b]; k < edges[b + 1]; k++)
                band[i] += (double)power[k];
            peak = fmax(peak, band[i]);
        }
        /* 50 dB under the peak is as good as silence, in whatever noise. */
        for (size_t i = 0; i < n; i++) {
            band[i] = 10 * log10(band[i] + 1e-5 * peak + 1e-14);
            mean += band[i] / (double)n;
        }
        for (size_t i = 0; i < n; i++)
            band[i] -= mean;
    }
}

/* Power of an envelope between two frequencies of modulation, Hz, sampled SLOTS times, with a Hann window. */
static double power_between(const double *envelope, size_t n, double low_hz, double high_hz)
{
    double sum = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        const double step = 2 * PI * (low_hz + (high_hz - low_hz) * (slot + 0.5) / SLOTS) / FRAMES_S;
        /* A rotation instead of a cosine for each frame. */
        const double turn_re = cos(step), turn_im = sin(step), slow_re = cos(2 * PI / (double)n),
                     slow_im = sin(2 * PI / (double)n);
        double re = 1, im = 0, hann_re = 1, hann_im = 0, sum_re = 0, sum_im = 0;
        for (size_t i = 0; i < n; i++) {
            const double x = envelope[i] * (1 - hann_re);
            sum_re += x * re, sum_im += x * im;
            const double r = re * turn_re - im * turn_im, h = hann_re * slow_re - hann_im * slow_im;
            im = re * turn_im + im * turn_re, re = r;
            hann_im = hann_re * slow_im + hann_im * slow_re, hann_re = h;
        }
        sum += sum_re * sum_re + sum_im * sum_im;
    }
    return sum * (high_hz - low_hz) / SLOTS;
}

static double correlation(const double *a, const double *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++)
        ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

vx_err vx_modulation_measure(const vx_spectrogram *spectrogram, vx_modulation *ret, vx_errinfo *info)
{
    size_t first = 0, last = spectrogram->n_frames;
    while (first < last && !spectrogram->speech[first])
        first++;
    while (last > first && !spectrogram->speech[last - 1])
        last--;
    const size_t n = last - first;
    if (n < MIN_FRAMES)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than a second between first and last word");
    double *bands = malloc((BANDS + 1) * n * sizeof *bands), *sorted = bands ? bands + BANDS * n : NULL;
    if (!bands)
        return VX_ERR_NOMEM;
    envelopes(spectrogram, first, n, bands);

    vx_modulation m = {0};
    for (int b = 0; b < BANDS; b++) {
        const double *band = bands + (size_t)b * n;
        const double slow = power_between(band, n, 2, 8) + 1e-9, middle = power_between(band, n, 8, 16) + 1e-9,
                     fast = power_between(band, n, 16, 40) + 1e-9;
        m.syllabic_db += 10 * log10(slow / middle) / BANDS;
        m.fast_db += 10 * log10(fast / slow) / BANDS;
        memcpy(sorted, band, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, rising);
        m.depth_db += (sorted[n - 1 - n / 10] - sorted[n / 10]) / BANDS;
        if (b + 1 == BANDS)
            continue;
        const double alike = correlation(band, band + n, n);
        m.coherence += alike / (BANDS - 1);
        if (b >= HIGH_BAND)
            m.coherence_high += alike / (BANDS - 1 - HIGH_BAND);
    }
    free(bands);
    *ret = m;
    return VX_OK;
}
