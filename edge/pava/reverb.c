/* reverb.c - see reverb.h.
 * Levels of narrow bands over time; wherever one falls for 160 ms on end and stays above the noise, the speed of that
 * fall is taken. Speech itself falls at any speed, so the distribution of speeds is read, not single ones: its steep end
 * lies where the room's own decay does not let sound fall faster. The map from three of its quantiles to the decay time is
 * a regression on simulated rooms (models/fit_reverb.py): four numbers.
 *
 * Tried: pieces of four lengths from 60 to 250 ms together, 36 numbers (an eighth less error); the steep quantile alone
 * (an eighth more); only pieces that are straight lines (a third more).
 */
#include "edge/pava/reverb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

enum {
    BANDS = 14,
    FIRST_DECAY_BAND = 3, /* below 340 Hz a band holds one harmonic, and its beats look like decays */
    PIECE = 16,           /* frames of a fall: 160 ms */
    SHORT_PIECE = 6,      /* of the fastest ones */
    MIN_PIECES = 30,
    MIN_DECAYS = 5,
    DECAY_FRAMES = 8,
    DECAY_MAX = 128, /* frames; a decay longer than 1.3 s is cut */
};
#define DECAY_DB 12.0F
#define ONSET_DB 3.0F /* below its peak a decay has begun: what was above may have been a vowel held */
#define RISE_DB  5.0F /* a decay may waver by so much: the band that holds one harmonic beats */
#define ABOVE_DB 4.0F /* over the floor: what is nearer is noise's own wavering */
#define TINY     1e-12F
#define FRAME_S  0.01
#define MIN_S    0.05 /* a car has 0.05 to 0.1 s, a church 3 s and more */
#define MAX_S    3.0

/* Edges in bins of 31.25 Hz: 125 Hz to 3,125 Hz, within the band of any telephone; 60 Hz wide, later a quarter octave. */
static const int EDGES[BANDS + 1] = {4, 6, 8, 11, 14, 18, 22, 27, 33, 40, 49, 59, 70, 84, 100};

/* ln T = w[0] + the sum of w[1 + i] ln fall_db_s[i]. */
static const double WEIGHTS[1 + VX_REVERB_FALLS] = {
#include "edge/pava/reverb_weights.inc"
};
static const double QUANTILES[VX_REVERB_FALLS] = {0.50, 0.80, 0.95};

typedef struct {
    size_t n;      /* frames */
    float *level;  /* [BANDS][n] dB */
    float *values; /* [BANDS * n] what is being sorted */
    float floor[BANDS];
} tracks;

/* One number of each a decay, for medians. */
typedef struct {
    size_t n;
    float *slope, *ratio, *gain; /* [BANDS * frames / DECAY_FRAMES] */
} decays;

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const float *sorted, size_t n, double q)
{
    const double at = q * (double)(n - 1);
    const size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
    return (double)sorted[below] + (at - (double)below) * (double)(sorted[above] - sorted[below]);
}

static double median(float *values, size_t n)
{
    qsort(values, n, sizeof *values, rising);
    return quantile(values, n, 0.5);
}

/* ---- levels ---------------------------------------------------------------------------------------------------------- */

static void fill_tracks(const vx_spectrogram *s, tracks *t)
{
    for (size_t i = 0; i < t->n; i++)
        for (int b = 0; b < BANDS; b++) {
            float sum = 0;
            for (int bin = EDGES[b]; bin < EDGES[b + 1]; bin++)
                sum += s->power[i * VX_PAVA_BINS + (size_t)bin];
            t->level[(size_t)b * t->n + i] = 10 * log10f(sum / (float)(EDGES[b + 1] - EDGES[b]) + TINY);
        }
    for (size_t b = 0; b < BANDS; b++) {
        memcpy(t->values, t->level + b * t->n, t->n * sizeof *t->values);
        qsort(t->values, t->n, sizeof *t->values, rising);
        t->floor[b] = (float)quantile(t->values, t->n, 0.1);
    }
}

/* ---- falls ----------------------------------------------------------------------------------------------------------- */

/* Speeds of all pieces that fall and end above the floor, into t->values in rising order, dB a second. */
static size_t collect_falls(tracks *t, int piece)
{
    size_t count = 0;
    const float middle = (float)(piece - 1) / 2;
    const float scale = 12.0F / ((float)FRAME_S * (float)piece * ((float)piece * (float)piece - 1));
    for (size_t b = 0; b < BANDS; b++) {
        const float *level = t->level + b * t->n;
        for (size_t i = 0; i + (size_t)piece <= t->n; i++) {
            if (level[i + (size_t)piece - 1] <= t->floor[b] + ABOVE_DB)
                continue;
            float sum = 0;
            for (int k = 0; k < piece; k++)
                sum += ((float)k - middle) * level[i + (size_t)k];
            if (sum < 0)
                t->values[count++] = -sum * scale;
        }
    }
    qsort(t->values, count, sizeof *t->values, rising);
    return count;
}

/* ---- decays ---------------------------------------------------------------------------------------------------------- */

/* Takes the straight line out of y over 0, 1, 2, ...; returns its slope. */
static double take_line(double *y, size_t n)
{
    const double middle = (double)(n - 1) / 2;
    double mean = 0, slope = 0;
    for (size_t i = 0; i < n; i++) {
        mean += y[i];
        slope += ((double)i - middle) * y[i];
    }
    mean /= (double)n;
    slope *= 12 / ((double)n * ((double)n * (double)n - 1));
    for (size_t i = 0; i < n; i++)
        y[i] -= mean + slope * ((double)i - middle);
    return slope;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* One line through a decay, then the best of two that meet: with the line taken out of both, a hinge at a knee explains
 * (y . h)^2 / (h . h) of what is left (Frisch and Waugh). */
static void fit_decay(const float *level, size_t n, decays *d)
{
    double y[DECAY_MAX], hinge[DECAY_MAX];
    for (size_t i = 0; i < n; i++)
        y[i] = (double)level[i];
    const double slope = take_line(y, n), left = dot(y, y, n);
    double best = 0, before = slope, after = slope;
    for (size_t knee = 3; knee + 3 < n; knee++) {
        for (size_t i = 0; i < n; i++)
            hinge[i] = i > knee ? (double)(i - knee) : 0;
        const double own = take_line(hinge, n), along = dot(y, hinge, n), size = dot(hinge, hinge, n);
        if (along * along > best * size) {
            best = along * along / size;
            before = slope - along / size * own;
            after = before + along / size;
        }
    }
    const double flat = -0.1; /* dB a frame: a room that falls slower would have 6 s */
    d->slope[d->n] = (float)(-slope / FRAME_S);
    d->ratio[d->n] = (float)(fmin(after, flat) / fmin(before, flat));
    d->gain[d->n] = (float)(left > 0 ? fmin(best / left, 1) : 0);
    d->n++;
}

/* The frame where the decay from `peak` ends: where the floor is near, or the level rises again. */
static size_t end_of_decay(const float *level, size_t n, size_t peak, float floor)
{
    size_t lowest = peak;
    for (size_t i = peak + 1; i < n && i < peak + DECAY_MAX; i++) {
        if (level[i] <= floor + ABOVE_DB || level[i] > level[lowest] + RISE_DB || level[i] > level[peak])
            break;
        if (level[i] < level[lowest])
            lowest = i;
    }
    return lowest;
}

/* The last frame that is near the peak. A gate or a click then has no frames left to be a decay of. */
static size_t start_of_decay(const float *level, size_t peak, size_t end)
{
    size_t start = end;
    while (start > peak && level[start] <= level[peak] - ONSET_DB)
        start--;
    return start;
}

static void collect_decays(const tracks *t, decays *d)
{
    for (size_t b = FIRST_DECAY_BAND; b < BANDS; b++) {
        const float *level = t->level + b * t->n;
        for (size_t i = 1; i + 1 < t->n; i++) {
            if (level[i] < level[i - 1] || level[i] <= level[i + 1])
                continue;
            const size_t end = end_of_decay(level, t->n, i, t->floor[b]), start = start_of_decay(level, i, end);
            if (end - start < DECAY_FRAMES || level[i] - level[end] < DECAY_DB)
                continue;
            fit_decay(level + start, end - start + 1, d);
            i = end;
        }
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

static vx_err judge(tracks *t, decays *d, vx_reverb *ret, vx_errinfo *info)
{
    vx_reverb r = {0};
    collect_decays(t, d);
    const size_t n_short = collect_falls(t, SHORT_PIECE);
    if (n_short > 0)
        r.early_s = 60 / quantile(t->values, n_short, QUANTILES[VX_REVERB_FALLS - 1]);
    const size_t n_falls = collect_falls(t, PIECE);
    if (n_falls < MIN_PIECES || n_short == 0 || d->n < MIN_DECAYS)
        return vx_errinfo_set(
            info, VX_ERR_NOT_FOUND,
            "the sound fades freely %zu times before noise or words cover it; the room shows from %d on", d->n,
            MIN_DECAYS);
    double ln_s = WEIGHTS[0];
    for (int i = 0; i < VX_REVERB_FALLS; i++) {
        r.fall_db_s[i] = quantile(t->values, n_falls, QUANTILES[i]);
        ln_s += WEIGHTS[1 + i] * log(r.fall_db_s[i]);
    }
    r.rt60_s = exp(ln_s);
    if (!(r.rt60_s >= MIN_S && r.rt60_s <= MAX_S))
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the decays come out at %.2f s, which is no room's", r.rt60_s);
    r.n_decays = d->n;
    const double middle = median(d->slope, d->n);
    r.rt60_spread = (quantile(d->slope, d->n, 0.75) - quantile(d->slope, d->n, 0.25)) / middle;
    r.late_early = median(d->ratio, d->n);
    r.double_slope = median(d->gain, d->n);
    *ret = r;
    return VX_OK;
}

vx_err vx_reverb_measure(const vx_spectrogram *spectrogram, vx_reverb *ret, vx_errinfo *info)
{
    if (spectrogram->n_speech == 0 || spectrogram->n_frames < PIECE)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "there is no speech whose echoes could be heard");
    tracks t = {.n = spectrogram->n_frames};
    const size_t cells = BANDS * t.n, most = cells / DECAY_FRAMES + BANDS;
    float *all = malloc((2 * cells + 3 * most) * sizeof *all);
    if (all == NULL)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory to look at the room");
    t.level = all;
    t.values = t.level + cells;
    decays d = {.slope = t.values + cells};
    d.ratio = d.slope + most;
    d.gain = d.ratio + most;
    fill_tracks(spectrogram, &t);
    const vx_err err = judge(&t, &d, ret, info);
    vx_wipe(all, (2 * cells + 3 * most) * sizeof *all);
    free(all);
    return err;
}
