/* cycles.c - marks from one cycle of the glottis to the next, and what varies between neighbours.
 * Owns:   walking through voiced stretches, the measures. Does not: find the pitch (pitch.c).
 * Source: the cross-correlation method and the definitions of P. Boersma, D. Weenink: Praat, "Sound & Pitch: To
 *         PointProcess (cc)", "Voice 2. Jitter", "Voice 3. Shimmer"; HNR = r / (1 - r), here of neighbouring cycles.
 */
#include "edge/pava/cycles.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

enum {
    RATE = 16000,
    LEAST_RUN = 5,     /* cycles: fewer have no five neighbours */
    LEAST_CYCLES = 20, /* of a recording: below, a mean of differences says little */
    LEAST_PERIOD = 24, /* samples: below what VX_PITCH_MAX_HZ and SEARCH let pass */
};

/* A period is looked for within 15 % of what the pitch track has: twice the jitter of a very sick voice, and still less
 * than a ripple of the first formant of a low one. */
#define SEARCH      0.15
#define LEAST_MATCH 0.3  /* correlation of neighbours below which they are no two of one voice (Praat's) */
#define SAME_VOICE  1.25 /* ratio of pitch between frames, above which a new stretch begins */

typedef struct {
    double period, amplitude; /* samples; RMS around the mark */
} cycle;

/* Means of differences within runs, over all runs. */
typedef struct {
    double sum;
    size_t n;
} tally;

typedef struct {
    const float *samples;
    size_t n;
    const vx_pitch *pitch;
    size_t begin, end; /* of the voiced stretch, samples */
    cycle *run;        /* [cap] */
    double *hnr;       /* [cap] dB */
    size_t cap, n_run, n_hnr;
    tally period, jitter, rap, amplitude, shimmer, apq;
} marker;

static double period_at(const marker *m, double at)
{
    size_t i = (size_t)at / VX_PAVA_HOP;
    if (i >= m->pitch->n_frames || m->pitch->f0_hz[i] <= 0)
        i = (m->end - 1) / VX_PAVA_HOP;
    return RATE / (double)m->pitch->f0_hz[i];
}

static double dot(const float *a, const float *b, long n)
{
    float sums[4] = {0}; /* four chains of additions at once */
    long i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++)
            sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    return (double)sums[0] + (double)sums[1] + (double)sums[2] + (double)sums[3];
}

/* Finds the cycle next to the one around `at`: where a window of one period matches best.
 * direction    1: the next, -1: the one before
 * ret_distance [out] samples, more than 0
 * False when the stretch ends or nothing matches. */
static bool next_cycle(const marker *m, double at, int direction, double *ret_distance, double *ret_match)
{
    const double period = period_at(m, at);
    const long width = (long)period, first = lrint(at) - width / 2;
    const long low = (long)(period * (1 - SEARCH)), high = (long)(period * (1 + SEARCH)) + 1;
    const long left = direction > 0 ? first : first - high - 1, right = direction > 0 ? first + high + 1 : first;
    if (left < (long)m->begin || right + width > (long)m->end)
        return false;

    const float *here = m->samples + first;
    const double own = dot(here, here, width);
    double before = -1, best = -1, after = -1, last = -1;
    long at_best = 0;
    for (long lag = low - 1; lag <= high + 1; lag++) {
        const float *there = here + direction * lag;
        const double energy = own * dot(there, there, width);
        const double match = energy > 0 ? dot(here, there, width) / sqrt(energy) : 0;
        if (lag == at_best + 1)
            after = match;
        if (lag >= low && lag <= high && match > best) {
            before = last;
            best = match;
            at_best = lag;
        }
        last = match;
    }
    const double bend = 2 * best - before - after;
    if (best < LEAST_MATCH || best < before || best < after || bend <= 0)
        return false; /* a slope's end is no match */
    const double shift = (after - before) / (2 * bend);
    *ret_distance = (double)at_best + shift;
    *ret_match = best + (after - before) * shift / 4;
    return true;
}

/* Root mean square around a mark, a period to either side; weighted so that the neighbours count little. */
static double amplitude_at(const marker *m, double at, double period)
{
    const long first = lrint(at - period), end = lrint(at + period);
    double sum = 0, weights = 0;
    for (long i = first < 0 ? 0 : first; i < end && i < (long)m->n; i++) {
        const double u = ((double)i - at) / period, shape = (1 - u * u) * (1 - u * u);
        sum += shape * (double)m->samples[i] * (double)m->samples[i];
        weights += shape;
    }
    return weights > 0 ? sqrt(sum / weights) : 0;
}

static void count(tally *t, double value)
{
    t->sum += value;
    t->n++;
}

static void count_run(marker *m)
{
    if (m->n_run < LEAST_RUN)
        return;
    const cycle *c = m->run;
    for (size_t i = 0; i < m->n_run; i++) {
        count(&m->period, c[i].period);
        count(&m->amplitude, c[i].amplitude);
        if (i >= 1) {
            count(&m->jitter, fabs(c[i].period - c[i - 1].period));
            count(&m->shimmer, fabs(c[i].amplitude - c[i - 1].amplitude));
        }
        if (i >= 2)
            count(&m->rap, fabs(c[i - 1].period - (c[i - 2].period + c[i - 1].period + c[i].period) / 3));
        if (i >= 4) {
            double mean = 0;
            for (size_t j = i - 4; j <= i; j++)
                mean += c[j].amplitude / 5;
            count(&m->apq, fabs(c[i - 2].amplitude - mean));
        }
    }
}

/* The largest sample within half a period of the middle of the stretch. */
static double first_mark(const marker *m)
{
    const size_t middle = m->begin + (m->end - m->begin) / 2, half = (size_t)(period_at(m, (double)middle) / 2);
    size_t best = middle;
    for (size_t i = middle - m->begin < half ? m->begin : middle - half; i < m->end && i < middle + half; i++)
        if (fabsf(m->samples[i]) > fabsf(m->samples[best]))
            best = i;
    return (double)best;
}

/* Marks one stretch: from its middle back to its first cycle, then on to its last. */
static void mark_stretch(marker *m)
{
    double distance = 0, match = 0, at = first_mark(m);
    while (next_cycle(m, at, -1, &distance, &match))
        at -= distance;
    m->n_run = 0;
    while (m->n_run < m->cap && m->n_hnr < m->cap && next_cycle(m, at, 1, &distance, &match)) {
        m->run[m->n_run++] = (cycle){.period = distance, .amplitude = amplitude_at(m, at, distance)};
        const double r = fmin(fmax(match, 1e-3), 1 - 1e-6);
        m->hnr[m->n_hnr++] = 10 * log10(r / (1 - r));
        at += distance;
    }
    if (m->n_run < LEAST_RUN)
        m->n_hnr -= m->n_run;
    count_run(m);
}

/* Finds the next stretch of voice without a jump in its pitch, from frame `from` on. False when there is none. */
static bool next_stretch(marker *m, size_t from)
{
    const float *f0 = m->pitch->f0_hz;
    const size_t n = m->pitch->n_frames;
    while (from < n && f0[from] <= 0)
        from++;
    if (from == n)
        return false;
    size_t end = from + 1;
    while (end < n && f0[end] > 0 && fabs(log((double)(f0[end] / f0[end - 1]))) < log(SAME_VOICE))
        end++;
    m->begin = from * VX_PAVA_HOP;
    m->end = end * VX_PAVA_HOP;
    return true;
}

static double mean(const tally *t)
{
    return t->sum / (double)t->n;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static vx_cycles summary(marker *m)
{
    vx_cycles c = {m->period.n, NAN, NAN, NAN, NAN, NAN};
    if (c.n_cycles < LEAST_CYCLES)
        return c;
    qsort(m->hnr, m->n_hnr, sizeof *m->hnr, by_value);
    c.jitter = mean(&m->jitter) / mean(&m->period);
    c.jitter_rap = mean(&m->rap) / mean(&m->period);
    c.shimmer = mean(&m->shimmer) / mean(&m->amplitude);
    c.shimmer_apq = mean(&m->apq) / mean(&m->amplitude);
    c.hnr_db = m->hnr[m->n_hnr / 2];
    return c;
}

vx_err vx_cycles_measure(const float *samples, size_t n, const vx_pitch *pitch, vx_cycles *ret)
{
    marker m = {.samples = samples, .n = n, .pitch = pitch, .cap = n / LEAST_PERIOD + 1};
    vx_err err = VX_ERR_NOMEM;
    m.run = calloc(m.cap, sizeof *m.run);
    m.hnr = calloc(m.cap, sizeof *m.hnr);
    if (m.run == NULL || m.hnr == NULL)
        goto out;
    for (size_t from = 0; next_stretch(&m, from); from = m.end / VX_PAVA_HOP)
        mark_stretch(&m);
    *ret = summary(&m);
    err = VX_OK;
out:
    if (m.run != NULL)
        vx_wipe(m.run, m.cap * sizeof *m.run);
    if (m.hnr != NULL)
        vx_wipe(m.hnr, m.cap * sizeof *m.hnr);
    free(m.run);
    free(m.hnr);
    return err;
}
