/* phase.c - prediction frame by frame, the event in its middle cycle, and the event after it.
 * Owns:   the residual, and what is read off it. Does not: solve for the predictor (lpc.c).
 */
#include "edge/pava/phase.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/lpc.h"
#include "shared/base/bytes.h"

enum {
    ORDER = 18,
    LAGS = 20,     /* ORDER + 1, rounded up to what vector registers hold */
    TAPS = 21,     /* ORDER + 1, and two of smoothing */
    LENGTH = 800,  /* samples of a frame: its middle cycle, half a cycle around it, and the event after */
    LONGEST = 213, /* of a cycle, 75 Hz: half the frame and 15/8 of it stay within the frame */
    NEAR = 32,     /* 2 ms on each side of an event */
    MIN_VOICED = 20,
};
static const double PI = 3.14159265358979323846, RATE = 16000, EMPHASIS = 0.97;
/* Times are told as of a cycle of 125 Hz: a low voice would have wider pulses than a high one otherwise. */
static const double STANDARD_CYCLE = 128;
/* Share of the power: the least that prediction left of 57,000 voiced frames was 1e-4. A tone leaves less, and has no
 * events. */
static const double LEAST_REST = 1e-5;

typedef enum { SPREAD, MIDDLE, SKEWNESS, CREST, COHERENCE, N_MEASURES } measure;

typedef struct {
    double window[LENGTH];
    double sound[TAPS - 1 + LENGTH], shaped[LAGS - 1 + LENGTH]; /* emphasised; the latter windowed, zeros before it */
    double rest[LENGTH];                                        /* what prediction leaves */
} work;

/* Lags run inside, so that the additions of one do not wait for each other; four samples at once, so that the sums are
 * not stored for each. ret [LAGS] */
static void correlate(const double *shaped, double *ret)
{
    double sums[LAGS] = {0};
    for (int i = 0; i < LENGTH; i += 4) {
        const double *x = shaped + i, *now = x + LAGS - 1;
        for (int k = 0; k < LAGS; k++)
            sums[k] += now[0] * x[k] + now[1] * x[k + 1] + now[2] * x[k + 2] + now[3] * x[k + 3];
    }
    for (int k = 0; k < LAGS; k++)
        ret[LAGS - 1 - k] = sums[k];
}

/* Weights of TAPS samples: what prediction leaves, smoothed by 1 2 1. Above 4 kHz that is mostly noise, and would hide
 * the events of a voice with little treble. */
static void smoothed(const double a[ORDER + 1], double ret[TAPS])
{
    memset(ret, 0, TAPS * sizeof *ret);
    for (int k = 0; k <= ORDER; k++) {
        ret[k] += 0.25 * a[k];
        ret[k + 1] += 0.5 * a[k];
        ret[k + 2] += 0.25 * a[k];
    }
}

/* sound [LENGTH] with TAPS - 1 samples before it; ret [LENGTH] */
static void filter(const double *sound, const double taps[TAPS], double *restrict ret)
{
    memset(ret, 0, LENGTH * sizeof *ret);
    for (int k = 0; k < TAPS; k += 3)
        for (int i = 0; i < LENGTH; i++)
            ret[i] += taps[k] * sound[i - k] + taps[k + 1] * sound[i - k - 1] + taps[k + 2] * sound[i - k - 2];
}

/* Prediction of the samples around `middle`. False where there is nothing to predict. */
static bool predict(work *w, const float *samples, size_t n, size_t middle)
{
    double r[LAGS], a[ORDER + 1], taps[TAPS], error;
    const double *sound = w->sound + TAPS - 1;
    if (middle < LENGTH / 2 + TAPS || middle + LENGTH / 2 > n)
        return false;
    const float *from = samples + middle - LENGTH / 2 - (TAPS - 1);
    for (int i = 0; i < TAPS - 1 + LENGTH; i++)
        w->sound[i] = (double)from[i] - EMPHASIS * (double)from[i - 1];
    for (int i = 0; i < LENGTH; i++)
        w->shaped[LAGS - 1 + i] = w->window[i] * sound[i];
    correlate(w->shaped, r);
    r[0] *= 1 + 1e-6; /* 60 dB under it is as good as nothing */
    if (!vx_lpc_solve(r, ORDER, a, &error) || error < LEAST_REST)
        return false;
    smoothed(a, taps);
    filter(sound, taps, w->rest);
    return true;
}

/* The strongest sample of [from, from + length). */
static int find_event(const double *e, int from, int length)
{
    int best = from;
    for (int i = from; i < from + length; i++)
        if (fabs(e[i]) > fabs(e[best]))
            best = i;
    return best;
}

/* Of three cycles around the middle. */
static double skewness(const double *e, int cycle)
{
    double m2 = 0, m3 = 0;
    const int from = LENGTH / 2 - 3 * cycle / 2;
    for (int i = from; i < from + 3 * cycle; i++)
        m2 += e[i] * e[i], m3 += e[i] * e[i] * e[i];
    m2 /= 3 * cycle, m3 /= 3 * cycle;
    return m2 > 0 ? m3 / (m2 * sqrt(m2)) : 0;
}

/* Highest correlation of half a cycle around an event with what follows about a cycle later: about, since no cycle is
 * as long as the last. */
static double coherence(const double *e, int event, int cycle)
{
    double best = -1;
    const int slack = cycle / 8, quarter = cycle / 4;
    for (int lag = cycle - slack; lag <= cycle + slack; lag++) {
        double ab = 0, aa = 0, bb = 0;
        for (int t = event - quarter; t < event + quarter; t++)
            ab += e[t] * e[t + lag], aa += e[t] * e[t], bb += e[t + lag] * e[t + lag];
        best = fmax(best, aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0);
    }
    return best;
}

/* Over the same stretch for all voices: the RMS of a cycle falls as the cycle grows. */
static double crest(const double *e, int event)
{
    double energy = 0;
    for (int t = -NEAR; t < NEAR; t++)
        energy += e[event + t] * e[event + t];
    return 10 * log10(e[event] * e[event] / energy * (2 * NEAR));
}

/* One frame's measures. cycle [in] samples, at most LONGEST. False where it is silent. */
static bool measure_frame(const double *e, int cycle, double ret[N_MEASURES])
{
    const int event = find_event(e, LENGTH / 2 - cycle / 2, cycle), half = cycle / 2;
    double energy = 0, first = 0, second = 0;
    for (int t = -half; t < half; t++) {
        const double power = e[event + t] * e[event + t];
        energy += power, first += t * power, second += (double)t * t * power;
    }
    if (!(energy > 0 && fabs(e[event]) > 0))
        return false;
    const double ms = STANDARD_CYCLE / cycle / RATE * 1000;
    ret[SPREAD] = sqrt(second / energy) * ms;
    ret[MIDDLE] = first / energy * ms;
    ret[SKEWNESS] = skewness(e, cycle);
    ret[CREST] = crest(e, event);
    ret[COHERENCE] = coherence(e, event, cycle);
    return true;
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, rising);
    return values[n / 2];
}

/* all [N_MEASURES] room for n_frames values each; that of MIDDLE gets its changes from one frame to the next.
 * Returns how many frames were measured. */
static size_t measure_frames(work *w, const float *samples, size_t n, const vx_pitch *pitch, double *all[N_MEASURES],
                             size_t *ret_changes)
{
    double m[N_MEASURES], before = NAN;
    size_t n_taken = 0, n_changes = 0;
    for (size_t i = 0; i < pitch->n_frames; i++) {
        const int cycle = pitch->f0_hz[i] > 0 ? (int)lround(RATE / (double)pitch->f0_hz[i]) : 0;
        if (cycle == 0 || cycle > LONGEST || !predict(w, samples, n, i * VX_PAVA_HOP + VX_PAVA_HOP / 2) ||
            !measure_frame(w->rest, cycle, m)) {
            before = NAN;
            continue;
        }
        for (int k = 0; k < N_MEASURES; k++)
            if (k != MIDDLE)
                all[k][n_taken] = m[k];
        n_taken++;
        if (isfinite(before))
            all[MIDDLE][n_changes++] = fabs(m[MIDDLE] - before);
        before = m[MIDDLE];
    }
    *ret_changes = n_changes;
    return n_taken;
}

vx_err vx_phase_measure(const float *samples, size_t n, const vx_pitch *pitch, vx_phase *ret, vx_errinfo *info)
{
    double *all[N_MEASURES];
    size_t n_changes = 0;
    vx_err err = VX_OK;
    work *w = calloc(1, sizeof *w);
    double *values = malloc((N_MEASURES * pitch->n_frames + 1) * sizeof *values);
    if (w == NULL || values == NULL) {
        err = VX_ERR_NOMEM;
        goto out;
    }
    for (int i = 0; i < LENGTH; i++)
        w->window[i] = 0.5 - 0.5 * cos(2 * PI * (i + 0.5) / LENGTH);
    for (int k = 0; k < N_MEASURES; k++)
        all[k] = values + (size_t)k * pitch->n_frames;
    const size_t n_taken = measure_frames(w, samples, n, pitch, all, &n_changes);
    if (n_taken < MIN_VOICED || n_changes == 0) {
        err = vx_errinfo_set(info, VX_ERR_NOT_FOUND, "only %zu frames hold a voice", n_taken);
        goto out;
    }
    *ret = (vx_phase){.delay_spread_ms = median(all[SPREAD], n_taken),
                      .delay_change_ms = median(all[MIDDLE], n_changes),
                      .skewness = fabs(median(all[SKEWNESS], n_taken)),
                      .crest_db = median(all[CREST], n_taken),
                      .coherence = median(all[COHERENCE], n_taken)};
out:
    if (w != NULL)
        vx_wipe(w, sizeof *w);
    free(w);
    free(values);
    return err;
}
