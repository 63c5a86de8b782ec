/* formants.c - poles of each voiced frame, and which of them are F1 to F4.
 * Owns:   the bands, the costs of calling a pole a formant, the path of least cost. Does not: solve or factor (lpc.h).
 * Source: J. Makhoul, Spectral linear prediction, 1975: a part of a power spectrum is predicted as if it were all there
 *         is, so that a band needs neither filter nor resampling; D. Talkin, Speech formant trajectory estimation using
 *         dynamic programming with modulated transition costs, 1987.
 *
 * Numbers were chosen on the speakers that models are trained with, for the least deviation of tract lengths between
 * recordings of one speaker against that between speakers (tests/bench/bench_tract.c measures it on others).
 */
#include "edge/pava/formants.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/lpc.h"
#include "shared/base/bytes.h"

enum {
    LAGS = 14,  /* of the autocorrelation: more than any band's order; even, for vectors of two */
    PEAKS = 6,  /* poles of one frame: half of the highest order */
    LABELS = 10 /* ways to name them that are followed over time; 24 find the same paths */
};

static const double PI = 3.14159265358979323846;
#define BIN_HZ (16000.0 / VX_PAVA_FFT)

/* Two poles for each formant that a tract of 16 to 17 cm has in the band, and what is left for glottis and channel.
 * To 5 kHz, since there a tract of 12 cm has its F4; 5.5 kHz and two poles more name F5 F4 too often (deviation within
 * speakers 0.7 cm instead of 0.5). A telephone ends at 3.4 kHz; an eighth pole there, free to settle between the formants,
 * makes 0.9 cm of 0.6. */
typedef struct {
    int first_bin, last_bin, order, n_formants;
} band;
static const band WIDE = {0, 160, 12, 4}, TELEPHONE = {5, 109, 7, 3};

/* Telephone where voiced frames have less than this at 4 to 5.5 kHz against 1.5 to 3 kHz: of 690 recordings with
 * microphones the least is at -28 dB, of 791 telephone calls the most at -35 dB. */
#define TELEPHONE_SHARE 7e-4
#define PRE_EMPHASIS    0.97

/* What may be a formant. Wider ones are the slope of the spectrum, not a resonance. */
#define LOWEST_HZ       180.0
#define BAND_END_HZ     50.0
#define BANDWIDTH_MAX   700.0

/* Costs, in nats: a pole is the less a formant the wider it is, and the farther from where this tract, were it a uniform
 * tube, had it. The deviations are those of vowels. */
#define BANDWIDTH_UNIT  250.0
#define MISSING         3.0
static const double DEVIATION[VX_FORMANTS] = {0.35, 0.25, 0.14, 0.11};
/* From one frame to the next formants move by up to 8 %, and a jump costs no more than losing them and finding others. */
#define MOVE      0.08
#define MOVE_MOST 4.0
#define LOST      1.5

/* Hypotheses of the tract's length, cm, and what is believed of adults before listening: as much as a tenth of a frame. */
enum { LENGTHS = 11 };
#define LENGTH_FIRST  12.5
#define LENGTH_STEP   0.75
#define LENGTH_MEAN   15.8
#define LENGTH_SPREAD 0.12
#define LENGTH_WEIGHT 0.1
/* Lengths that differ by more are two ways to name, not one between two steps. */
#define OTHER_LENGTH  0.1
#define MARGIN_MOST   3.0
#define SOUND_CM_S    34300.0

typedef struct {
    int n;
    double hz[PEAKS], bandwidth[PEAKS], log_hz[PEAKS];
} peaks;

/* One way to name the poles of a frame. */
typedef struct {
    short peak[VX_FORMANTS]; /* -1: none of them */
    short from;              /* label of the frame before, -1 at the start of a stretch */
    double cost;             /* of this frame alone; then of the best path up to it */
} label;

typedef struct {
    int n;
    label labels[LABELS]; /* by cost of the frame */
} step;

typedef struct {
    band band;
    double weighted_cos[VX_PAVA_BINS][LAGS]; /* [band's bins] pre-emphasis in them */
    peaks *peaks;                            /* [n_frames] */
    step *steps;                             /* [n_frames] */
    size_t n_frames;
    double log_nominal[VX_FORMANTS]; /* of the tract that was settled on */
} tracker;

/* ---- poles ---------------------------------------------------------------------------------------------------------- */

static band band_of(const vx_spectrogram *s, const vx_pitch *pitch)
{
    double treble = 0, middle = 0;
    for (size_t t = 0; t < s->n_frames; t++) {
        const float *power = s->power + t * VX_PAVA_BINS;
        if (!(pitch->f0_hz[t] > 0))
            continue;
        for (int i = 0; i < 48; i++) {
            middle += (double)power[48 + i];
            treble += (double)power[128 + i];
        }
    }
    return treble < TELEPHONE_SHARE * middle ? TELEPHONE : WIDE;
}

static void fill_table(tracker *k)
{
    const int n = k->band.last_bin - k->band.first_bin;
    for (int i = 0; i <= n; i++) {
        const double w = 2 * PI * (k->band.first_bin + i) / VX_PAVA_FFT;
        const double gain = 1 + PRE_EMPHASIS * PRE_EMPHASIS - 2 * PRE_EMPHASIS * cos(w);
        const double share = i == 0 || i == n ? 0.5 : 1; /* every other bin stands for two of the circle */
        for (int lag = 0; lag < LAGS; lag++)
            k->weighted_cos[i][lag] = gain * share * cos(PI * i * lag / n);
    }
}

/* r [out] of the frame and its neighbours together: 45 ms hold two periods of the lowest voice. */
static void autocorrelate(const tracker *k, const vx_spectrogram *s, size_t t, double r[LAGS])
{
    const float *here = s->power + t * VX_PAVA_BINS;
    const float *before = t > 0 ? here - VX_PAVA_BINS : here;
    const float *after = t + 1 < s->n_frames ? here + VX_PAVA_BINS : here;
    double sum[LAGS] = {0};
    for (int bin = k->band.first_bin; bin <= k->band.last_bin; bin++) {
        const double power = (double)before[bin] + (double)here[bin] + (double)after[bin];
        const double *row = k->weighted_cos[bin - k->band.first_bin];
        for (int lag = 0; lag < LAGS; lag++)
            sum[lag] += power * row[lag];
    }
    memcpy(r, sum, sizeof sum);
    r[0] *= 1 + 1e-6; /* a floor 60 dB down: exact zeros of a filtered recording are no voice's */
}

static void find_peaks(const tracker *k, const vx_spectrogram *s, size_t t, peaks *ret)
{
    double r[LAGS], a[VX_LPC_MAX + 1], re[VX_LPC_MAX / 2], im[VX_LPC_MAX / 2], error;
    ret->n = 0;
    autocorrelate(k, s, t, r);
    if (!vx_lpc_solve(r, k->band.order, a, &error))
        return;
    const int n = vx_lpc_poles(a, k->band.order, re, im);
    const double low = k->band.first_bin * BIN_HZ, high = k->band.last_bin * BIN_HZ;
    for (int i = 0; i < n && ret->n < PEAKS; i++) {
        const double hz = low + (high - low) * atan2(im[i], re[i]) / PI;
        const double bandwidth = -log(re[i] * re[i] + im[i] * im[i]) * (high - low) / PI;
        if (hz < LOWEST_HZ || hz > high - BAND_END_HZ || !(bandwidth < BANDWIDTH_MAX))
            continue;
        ret->hz[ret->n] = hz;
        ret->bandwidth[ret->n] = bandwidth;
        ret->log_hz[ret->n++] = log(hz);
    }
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

static void nominal_of(double length_cm, double ret_log_hz[VX_FORMANTS])
{
    for (int f = 0; f < VX_FORMANTS; f++)
        ret_log_hz[f] = log((2 * f + 1) * SOUND_CM_S / (4 * length_cm));
}

static double cost_of(const peaks *p, int peak, int formant, const double log_nominal[VX_FORMANTS])
{
    const double off = (p->log_hz[peak] - log_nominal[formant]) / DEVIATION[formant];
    return p->bandwidth[peak] / BANDWIDTH_UNIT + 0.5 * off * off;
}

/* Cost of the best names, formants rising as poles do. */
static double least_cost(const peaks *p, int n_formants, const double log_nominal[VX_FORMANTS])
{
    double best[PEAKS + 1] = {0}; /* of the formants so far, with the first 0, 1, ... peaks */
    for (int f = 0; f < n_formants; f++) {
        double diagonal = best[0];
        best[0] += MISSING;
        for (int i = 0; i < p->n; i++) {
            const double named = diagonal + cost_of(p, i, f, log_nominal);
            diagonal = best[i + 1];
            best[i + 1] = fmin(fmin(best[i + 1] + MISSING, best[i]), named);
        }
    }
    return best[p->n];
}

static double length_of(int i)
{
    return LENGTH_FIRST + LENGTH_STEP * i;
}

/* What the best other valley of the costs lies above the best. */
static double rival_cost(const double cost[LENGTHS], int best)
{
    double least = INFINITY;
    for (int i = 0; i < LENGTHS; i++) {
        const bool valley = (i == 0 || cost[i] < cost[i - 1]) && (i == LENGTHS - 1 || cost[i] <= cost[i + 1]);
        if (valley && fabs(log(length_of(i) / length_of(best))) > OTHER_LENGTH)
            least = fmin(least, cost[i] - cost[best]);
    }
    return least;
}

/* Names depend on the length of the tract, so the length comes first: the one under which all frames are named at the
 * least cost. Following formants from a fixed length instead skips one or names one twice when the tract is far off. */
static double settle_length(const tracker *k, const vx_pitch *pitch, double *ret_margin)
{
    double cost[LENGTHS] = {0};
    size_t n_voiced = 0;
    for (int i = 0; i < LENGTHS; i++) {
        double log_nominal[VX_FORMANTS];
        nominal_of(length_of(i), log_nominal);
        n_voiced = 0;
        for (size_t t = 0; t < k->n_frames; t++)
            if (pitch->f0_hz[t] > 0) {
                cost[i] += least_cost(&k->peaks[t], k->band.n_formants, log_nominal);
                n_voiced++;
            }
        const double unusual = log(length_of(i) / LENGTH_MEAN) / LENGTH_SPREAD;
        cost[i] += (double)n_voiced * LENGTH_WEIGHT * unusual * unusual;
    }
    int best = 0;
    for (int i = 1; i < LENGTHS; i++)
        best = cost[i] < cost[best] ? i : best;
    *ret_margin = n_voiced > 0 ? fmin(rival_cost(cost, best) / (double)n_voiced, MARGIN_MOST) : 0;
    return length_of(best);
}

static void keep(step *s, const label *l)
{
    if (s->n == LABELS && l->cost >= s->labels[LABELS - 1].cost)
        return;
    int at = s->n < LABELS ? s->n++ : LABELS - 1;
    for (; at > 0 && s->labels[at - 1].cost > l->cost; at--)
        s->labels[at] = s->labels[at - 1];
    s->labels[at] = *l;
}

/* All names of formants from `formant` on, for poles from `first` on; l names those before. */
static void name_rest(const tracker *k, const peaks *p, int formant, int first, label l, step *s)
{
    if (s->n == LABELS && l.cost >= s->labels[LABELS - 1].cost)
        return;
    if (formant == k->band.n_formants) {
        keep(s, &l);
        return;
    }
    const double cost = l.cost;
    for (int i = first; i < p->n; i++) {
        l.peak[formant] = (short)i;
        l.cost = cost + cost_of(p, i, formant, k->log_nominal);
        name_rest(k, p, formant + 1, i + 1, l, s);
    }
    l.peak[formant] = -1;
    l.cost = cost + MISSING;
    name_rest(k, p, formant + 1, first, l, s);
}

/* ---- path ----------------------------------------------------------------------------------------------------------- */

static double cost_of_move(const peaks *before, const label *from, const peaks *here, const label *to)
{
    double cost = 0;
    for (int f = 0; f < VX_FORMANTS; f++) {
        const int a = from->peak[f], b = to->peak[f];
        if (a >= 0 && b >= 0) {
            const double move = (here->hz[b] - before->hz[a]) / (MOVE * before->hz[a]);
            cost += fmin(move * move, MOVE_MOST);
        } else if (a >= 0 || b >= 0)
            cost += LOST;
    }
    return cost;
}

/* The cheapest way into each label of frame t from those of the frame before. */
static void follow(tracker *k, size_t t)
{
    const step *before = &k->steps[t - 1];
    step *here = &k->steps[t];
    for (int i = 0; i < here->n; i++) {
        double best = INFINITY;
        for (int j = 0; j < before->n; j++) {
            const double cost = before->labels[j].cost +
                                cost_of_move(&k->peaks[t - 1], &before->labels[j], &k->peaks[t], &here->labels[i]);
            if (cost < best) {
                best = cost;
                here->labels[i].from = (short)j;
            }
        }
        here->labels[i].cost += best;
    }
}

static void write_frame(const peaks *p, const label *l, float hz[VX_FORMANTS], float bandwidth[VX_FORMANTS])
{
    for (int f = 0; f < VX_FORMANTS; f++)
        if (l->peak[f] >= 0) {
            hz[f] = (float)p->hz[l->peak[f]];
            bandwidth[f] = (float)p->bandwidth[l->peak[f]];
        }
}

/* Walks back from the last frame of a voiced stretch. */
static void write_stretch(const tracker *k, size_t last, vx_formants *ret)
{
    int at = 0;
    for (int i = 1; i < k->steps[last].n; i++)
        if (k->steps[last].labels[i].cost < k->steps[last].labels[at].cost)
            at = i;
    for (size_t t = last; at >= 0; t--) {
        const label *l = &k->steps[t].labels[at];
        write_frame(&k->peaks[t], l, ret->hz[t], ret->bandwidth[t]);
        ret->n_tracked += l->peak[0] >= 0 && l->peak[1] >= 0 && l->peak[2] >= 0;
        at = l->from;
    }
}

static void track(tracker *k, const vx_spectrogram *s, const vx_pitch *pitch, vx_formants *ret)
{
    static const label NONE = {{-1, -1, -1, -1}, -1, 0};
    for (size_t t = 0; t < k->n_frames; t++)
        if (pitch->f0_hz[t] > 0)
            find_peaks(k, s, t, &k->peaks[t]);
    nominal_of(settle_length(k, pitch, &ret->margin), k->log_nominal);
    for (size_t t = 0; t < k->n_frames; t++) {
        if (!(pitch->f0_hz[t] > 0))
            continue;
        name_rest(k, &k->peaks[t], 0, 0, NONE, &k->steps[t]);
        if (t > 0 && pitch->f0_hz[t - 1] > 0)
            follow(k, t);
        if (t + 1 == k->n_frames || !(pitch->f0_hz[t + 1] > 0))
            write_stretch(k, t, ret);
    }
}

/* ---- public --------------------------------------------------------------------------------------------------------- */

static void wipe_free(void *data, size_t bytes)
{
    if (data != NULL)
        vx_wipe(data, bytes);
    free(data);
}

vx_err vx_formants_track(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_formants *ret)
{
    const size_t n = spectrogram->n_frames;
    vx_formants f = {.n_frames = n};
    tracker *k = calloc(1, sizeof *k);
    vx_err err = VX_ERR_NOMEM;
    if (k == NULL)
        goto out;
    k->n_frames = n;
    k->band = band_of(spectrogram, pitch);
    k->peaks = calloc(n, sizeof *k->peaks);
    k->steps = calloc(n, sizeof *k->steps);
    f.hz = calloc(n, sizeof *f.hz);
    f.bandwidth = calloc(n, sizeof *f.bandwidth);
    if (k->peaks == NULL || k->steps == NULL || f.hz == NULL || f.bandwidth == NULL)
        goto out;
    f.n_sought = k->band.n_formants;
    fill_table(k);
    track(k, spectrogram, pitch, &f);
    *ret = f;
    f = (vx_formants){0};
    err = VX_OK;
out:
    if (k != NULL) {
        wipe_free(k->peaks, n * sizeof *k->peaks);
        wipe_free(k->steps, n * sizeof *k->steps);
    }
    free(k);
    vx_formants_done(&f);
    return err;
}

void vx_formants_done(vx_formants *formants)
{
    wipe_free(formants->hz, formants->n_frames * sizeof *formants->hz);
    wipe_free(formants->bandwidth, formants->n_frames * sizeof *formants->bandwidth);
    *formants = (vx_formants){0};
}
