/* coupling.c - see coupling.h.
 * Owns:   what people do on average: the line of pitch over tract, the bounds of the ratios.
 */
#include "edge/pava/coupling.h"

#include <math.h>
#include <stdlib.h>

#include "edge/pava/tract.h"
#include "shared/base/bytes.h"

enum {
    N = 3, /* F4 does not come through a telephone */
    MOVES_MIN =
        25,   /* correlations of few pairs say little, and one in five is news; but the rest of the measures stand */
    MOVE = 5, /* frames: shorter ones are smaller than the error of a formant, longer ones span two phones */
};

/* ln F0 over ln L (cm), least squares over the means of 378 speakers (251 with microphones, 134 at telephones, as far as
 * there were formants enough): correlation -0.73, and recordings deviate by 0.21. */
#define LINE_PITCH  4.99
#define LINE_LENGTH 2.771
#define LINE_SLOPE  (-2.6)

/* Of the same speakers' frames one in a hundred lies beyond either pair. */
static const double F2_F1[2] = {1.4, 8.5}, F3_F2[2] = {1.11, 3.1};

#define MAD_TO_SIGMA 1.4826

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of sorted values; 0 of none. */
static double quantile(const double *sorted, size_t n, double q)
{
    return n > 0 ? sorted[(size_t)(q * (double)(n - 1) + 0.5)] : 0;
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, rising);
    return quantile(values, n, 0.5);
}

static bool is_tracked(const vx_formants *formants, size_t t)
{
    const float *hz = formants->hz[t];
    return hz[0] > 0 && hz[1] > 0 && hz[2] > 0;
}

/* Whether frames t to t + MOVE are one voiced stretch with formant f at its ends. */
static bool is_movement(const vx_pitch *pitch, const vx_formants *formants, int f, size_t t)
{
    if (t + MOVE >= formants->n_frames || !(formants->hz[t][f] > 0 && formants->hz[t + MOVE][f] > 0))
        return false;
    for (size_t i = t; i <= t + MOVE; i++)
        if (!(pitch->f0_hz[i] > 0))
            return false;
    return true;
}

static void measure_pitch(const vx_pitch *pitch, const vx_formants *formants, double *scratch, vx_coupling *c)
{
    size_t n = 0;
    for (size_t t = 0; t < formants->n_frames; t++)
        n += vx_tract_of_frame(formants->hz[t], &scratch[n]);
    const double length = median(scratch, n);
    n = 0;
    for (size_t t = 0; t < pitch->n_frames; t++)
        if (pitch->f0_hz[t] > 0)
            scratch[n++] = log((double)pitch->f0_hz[t]);
    const double f0 = median(scratch, n);
    for (size_t i = 0; i < n; i++)
        scratch[i] = fabs(scratch[i] - f0);
    c->pitch_range = MAD_TO_SIGMA * median(scratch, n);
    c->pitch_excess = f0 - LINE_PITCH - LINE_SLOPE * (length - LINE_LENGTH);
}

/* Movements of the formant that has least. */
static size_t count_moves(const vx_pitch *pitch, const vx_formants *formants)
{
    size_t least = formants->n_frames;
    for (int f = 0; f < N; f++) {
        size_t n = 0;
        for (size_t t = 0; t < formants->n_frames; t++)
            n += is_movement(pitch, formants, f, t);
        least = n < least ? n : least;
    }
    return least;
}

/* Correlation of the movements of F0 and one formant; 0 where either stands still. */
static double follow_of(const vx_pitch *pitch, const vx_formants *formants, int f)
{
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (size_t t = 0; t < formants->n_frames; t++) {
        if (!is_movement(pitch, formants, f, t))
            continue;
        const double dx = log((double)pitch->f0_hz[t + MOVE] / (double)pitch->f0_hz[t]);
        const double dy = log((double)formants->hz[t + MOVE][f] / (double)formants->hz[t][f]);
        n++, x += dx, y += dy, xx += dx * dx, yy += dy * dy, xy += dx * dy;
    }
    const double vx = n * xx - x * x, vy = n * yy - y * y;
    /* A thousandth a movement is the rounding of a constant pitch. */
    return vx > 1e-6 * n * n && vy > 1e-6 * n * n ? fmax(-1, fmin(1, (n * xy - x * y) / sqrt(vx * vy))) : 0;
}

static void measure_bandwidths(const vx_formants *formants, double *scratch, vx_coupling *c)
{
    for (int f = 0; f < N; f++) {
        size_t n = 0;
        for (size_t t = 0; t < formants->n_frames; t++)
            if (formants->hz[t][f] > 0)
                scratch[n++] = fmax((double)formants->bandwidth[t][f], 1); /* 0 is the rounding of a pure tone */
        c->bandwidth_hz[f] = median(scratch, n);
        c->bandwidth_spread += log2(quantile(scratch, n, 0.8) / quantile(scratch, n, 0.2)) / N;
    }
}

static void measure_steadiness(const vx_formants *formants, double *scratch, vx_coupling *c)
{
    for (int f = 0; f < N; f++) {
        size_t n = 0;
        for (size_t t = 1; t < formants->n_frames; t++)
            if (formants->hz[t][f] > 0 && formants->hz[t - 1][f] > 0)
                scratch[n++] = fabs(log((double)formants->hz[t][f] / (double)formants->hz[t - 1][f]));
        c->unsteady += median(scratch, n) / N;
    }
}

static double bent_share(const vx_formants *formants)
{
    size_t n = 0, bent = 0;
    for (size_t t = 0; t < formants->n_frames; t++) {
        if (!is_tracked(formants, t))
            continue;
        const float *hz = formants->hz[t];
        const double low = (double)hz[1] / (double)hz[0], high = (double)hz[2] / (double)hz[1];
        bent += low < F2_F1[0] || low > F2_F1[1] || high < F3_F2[0] || high > F3_F2[1];
        n++;
    }
    return n > 0 ? (double)bent / (double)n : 0;
}

vx_err vx_coupling_measure(const vx_pitch *pitch, const vx_formants *formants, vx_coupling *ret, vx_errinfo *info)
{
    const size_t n_moves = count_moves(pitch, formants);
    if (n_moves < MOVES_MIN)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                              "%zu movements of pitch and formants can be followed; their relation needs %d", n_moves,
                              MOVES_MIN);
    const size_t bytes = (formants->n_frames + 1) * sizeof(double); /* one more: the slot behind the last */
    double *scratch = malloc(bytes);
    if (scratch == NULL)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory to relate pitch and formants");
    vx_coupling c = {.bent = bent_share(formants)};
    measure_pitch(pitch, formants, scratch, &c);
    measure_bandwidths(formants, scratch, &c);
    measure_steadiness(formants, scratch, &c);
    for (int f = 0; f < N; f++)
        c.follow[f] = follow_of(pitch, formants, f);
    c.tracked = (double)formants->n_tracked / (double)pitch->n_voiced;
    vx_wipe(scratch, bytes);
    free(scratch);
    *ret = c;
    return VX_OK;
}
