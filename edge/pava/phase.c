/* phase.c - prediction frame by frame, the event in its middle cycle, and the event after it.
 * Owns:   the residual, and what is read off it. Does not: solve for the predictor (lpc.c).
 */
#include "edge/pava/phase.h"

#include <math.h>
#include <stdlib.h>

#include "edge/pava/lpc.h"
#include "shared/base/bytes.h"

enum {
    ORDER = 18,
    LAGS = 20,    /* ORDER + 1, rounded up to what vector registers hold */
    LENGTH = 800, /* samples of a frame: its middle cycle, half a cycle around it, and the event after */
    LONGEST = 213, /* of a cycle, 75 Hz: half the frame and 15/8 of it stay within the frame */
    MIN_VOICED = 20,
};
static const double PI = 3.14159265358979323846, RATE = 16000, EMPHASIS = 0.97;
/* Times are told as of a cycle of 125 Hz: a low voice would have wider pulses than a high one otherwise. */
static const double STANDARD_CYCLE = 128;
/* Of voices prediction leaves a hundredth of the power and more; what leaves less is a tone, and has no events. */
static const double LEAST_REST = 1e-5;

typedef enum { SPREAD, MIDDLE, SKEWNESS, CREST, COHERENCE, N_MEASURES } measure;

typedef struct {
    double window[LENGTH];
    double sound[LENGTH + ORDER], shaped[LAGS - 1 + LENGTH]; /* emphasised; the latter windowed, zeros before it */
    double rest[LENGTH];                                     /* what prediction leaves */
} work;

/* Lags run inside, so that the additions of one do not wait for each other. ret [LAGS] */
static void correlate(const double *shaped, double *ret)
{
    double sums[LAGS] = {0};
    for (int i = 0; i < LENGTH; i++)
        for (int k = 0; k < LAGS; k++)
            sums[k] += shaped[i + LAGS - 1] * shaped[i + k];
    for (int k = 0; k < LAGS; k++)
        ret[LAGS - 1 - k] = sums[k];
}

/* Prediction of the samples around `middle`. False where there is nothing to predict. */
static bool predict(work *w, const float *samples, size_t n, size_t middle)
{
    double r[LAGS], a[ORDER + 1], error;
    if (middle < LENGTH / 2 + ORDER + 1 || middle + LENGTH / 2 > n)
        return false;
    const float *from = samples + middle - LENGTH / 2 - ORDER;
    for (int i = 0; i < LENGTH + ORDER; i++)
        w->sound[i] = (double)from[i] - EMPHASIS * (double)from[i - 1];
    for (int i = 0; i < LENGTH; i++)
        w->shaped[LAGS - 1 + i] = w->window[i] * w->sound[ORDER + i];
    correlate(w->shaped, r);
    r[0] *= 1 + 1e-6; /* 60 dB under it is as good as nothing */
    if (!vx_lpc_solve(r, ORDER, a, &error) || error < LEAST_REST)
        return false;
    for (int i = 0; i < LENGTH; i++)
        w->rest[i] = w->sound[ORDER + i];
    for (int k = 1; k <= ORDER; k++)
        for (int i = 0; i < LENGTH; i++)
            w->rest[i] += a[k] * w->sound[ORDER + i - k];
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

/* Correlation of half a cycle around an event with that around the next one, which lies near a cycle on: near, since no
 * cycle is as long as the last. */
static double coherence(const double *e, int event, int cycle)
{
    double ab = 0, aa = 0, bb = 0;
    const int slack = cycle / 8, next = find_event(e, event + cycle - slack, 2 * slack + 1);
    for (int t = -cycle / 4; t < cycle / 4; t++) {
        const double a = e[event + t], b = e[next + t];
        ab += a * b, aa += a * a, bb += b * b;
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
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
    if (!(energy > 0))
        return false;
    const double ms = STANDARD_CYCLE / cycle / RATE * 1000;
    ret[SPREAD] = sqrt(second / energy) * ms;
    ret[MIDDLE] = first / energy * ms;
    ret[SKEWNESS] = skewness(e, cycle);
    double near = 0; for (int t = -32; t < 32; t++) near += e[event + t] * e[event + t];
    ret[CREST] = 10 * log10(e[event] * e[event] / near * 64);
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
