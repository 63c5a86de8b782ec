/* modulation.c - envelopes of eight bands between first and last word, and their spectra over seconds that overlap by
 * half.
 */
#include "edge/pava/modulation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

enum {
    BANDS = 8,
    HIGH_BAND = 5, /* from 3 kHz on */
    SECOND = 100,  /* frames: the k-th frequency of its spectrum is k Hz */
    MIN_FRAMES = SECOND,
    SLOW = 2,
    MIDDLE = 8,
    FAST = 16,
    FASTEST = 40, /* Hz, where the 25 ms of a frame's window leave nothing */
};
static const double PI = 3.14159265358979323846;
/* Edges in bins of 31.25 Hz: about equal steps of the ear. */
static const int edges[BANDS + 1] = {4, 12, 22, 36, 58, 96, 140, 190, 254};
/* Under the band's peak; what lies lower is as good as silence, in whatever noise. */
static const double SILENCE = 1e-5;
/* A band that rises and falls by less has no speech in it: steady noise goes 6 dB up and down, and a telephone has no
 * upper bands. */
static const double LEAST_DEPTH_DB = 8;

typedef struct {
    const double *level; /* [n] dB, mean 0 */
    size_t n;
    double depth_db;
} band;

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Bins low to high - 1 of n frames, in dB. sorted: room for n */
static band take_band(const float *power, size_t n, int low, int high, double *level, double *sorted)
{
    double peak = 0, mean = 0;
    for (size_t i = 0; i < n; i++) {
        level[i] = 0;
        for (int k = low; k < high; k++)
            level[i] += (double)power[i * VX_PAVA_BINS + (size_t)k];
        peak = fmax(peak, level[i]);
    }
    if (!(peak > 0)) {
        memset(level, 0, n * sizeof *level);
        return (band){level, n, 0};
    }
    for (size_t i = 0; i < n; i++) {
        level[i] = 10 * log10(level[i] / peak + SILENCE);
        mean += level[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        level[i] -= mean;
    memcpy(sorted, level, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, rising);
    return (band){level, n, sorted[n - 1 - n / 10] - sorted[n / 10]};
}

/* Power of the envelope at whole Hz, Hann window: one second's mean and what lies a Hz beside it do not leak into 2 Hz.
 * ret [FASTEST] filled from SLOW on */
static void spectrum(const band *b, const double cosine[2 * SECOND], double ret[FASTEST])
{
    double x[SECOND];
    for (int k = SLOW; k < FASTEST; k++)
        ret[k] = 0;
    for (size_t at = 0; at + SECOND <= b->n; at += SECOND / 2) {
        for (int i = 0; i < SECOND; i++)
            x[i] = b->level[at + (size_t)i] * (1 - cosine[i]);
        for (int k = SLOW; k < FASTEST; k++) {
            double re = 0, im = 0;
            /* A sine is a cosine three quarters later. */
            for (int i = 0, turn = 0; i < SECOND; i++) {
                re += x[i] * cosine[turn];
                im += x[i] * cosine[turn + 3 * SECOND / 4];
                turn += k;
                turn -= turn >= SECOND ? SECOND : 0;
            }
            ret[k] += re * re + im * im;
        }
    }
}

static double power_between(const double *power, int low, int high)
{
    double sum = 1e-9; /* dB^2: an envelope may lack a range */
    for (int k = low; k < high; k++)
        sum += power[k];
    return sum;
}

static double correlation(const band *a, const band *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a->n; i++)
        ab += a->level[i] * b->level[i], aa += a->level[i] * a->level[i], bb += b->level[i] * b->level[i];
    return ab / sqrt(aa * bb);
}

/* Means over the bands with speech, and over the neighbours among them. False where no band has any. */
static bool measure(const band bands[BANDS], vx_modulation *ret)
{
    vx_modulation m = {0};
    double cosine[2 * SECOND], power[FASTEST];
    int n = 0, n_pairs = 0, n_high = 0;
    for (int i = 0; i < 2 * SECOND; i++)
        cosine[i] = cos(2 * PI * i / SECOND);
    for (int b = 0; b < BANDS; b++) {
        if (bands[b].depth_db < LEAST_DEPTH_DB)
            continue;
        spectrum(&bands[b], cosine, power);
        const double slow = power_between(power, SLOW, MIDDLE);
        m.syllabic_db += 10 * log10(slow / power_between(power, MIDDLE, FAST));
        m.fast_db += 10 * log10(power_between(power, FAST, FASTEST) / slow);
        m.depth_db += bands[b].depth_db;
        n++;
        if (b + 1 == BANDS || bands[b + 1].depth_db < LEAST_DEPTH_DB)
            continue;
        const double alike = correlation(&bands[b], &bands[b + 1]);
        m.coherence += alike, n_pairs++;
        if (b >= HIGH_BAND)
            m.coherence_high += alike, n_high++;
    }
    if (n == 0)
        return false;
    *ret = (vx_modulation){.syllabic_db = m.syllabic_db / n,
                           .fast_db = m.fast_db / n,
                           .depth_db = m.depth_db / n,
                           .coherence = n_pairs > 0 ? m.coherence / n_pairs : NAN,
                           .coherence_high = n_high > 0 ? m.coherence_high / n_high : NAN};
    return true;
}

vx_err vx_modulation_measure(const vx_spectrogram *spectrogram, vx_modulation *ret, vx_errinfo *info)
{
    size_t first = 0, last = spectrogram->n_frames;
    while (first < last && !spectrogram->speech[first])
        first++;
    while (last > first && !spectrogram->speech[last - 1])
        last--;
    const size_t n = last - first, bytes = (BANDS + 1) * n * sizeof(double);
    if (n < MIN_FRAMES)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than a second between first and last word");
    double *levels = malloc(bytes);
    if (levels == NULL)
        return VX_ERR_NOMEM;
    band bands[BANDS];
    for (size_t b = 0; b < BANDS; b++)
        bands[b] = take_band(spectrogram->power + first * VX_PAVA_BINS, n, edges[b], edges[b + 1], levels + b * n,
                             levels + BANDS * n);
    const bool found = measure(bands, ret);
    vx_wipe(levels, bytes);
    free(levels);
    return found ? VX_OK
                 : vx_errinfo_set(info, VX_ERR_NOT_FOUND, "no band of the sound rises and falls as speech does");
}
