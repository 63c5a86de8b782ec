/* joints.c - jumps from frame to frame in eighteen bands, changes of the background, pieces that come twice. */
#include "edge/pava/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

enum {
    BANDS = 18,
    MIN_BANDS = 4, /* with something in them: a telephone leaves eight */
    WIDTH = 14,    /* bins of a band: 437 Hz, even over the spectrum, since joints show anywhere */
    MIN_SPEECH = 50,
    MIN_PAIRS = 20,  /* of neighbouring frames that a share or a quantile rests on */
    MIN_PAUSE = 8,   /* frames that a background rests on */
    PIECE = 20,      /* frames of what may come twice */
    APART = 40,      /* frames between the two: nearer, speech is like itself */
    FARTHEST = 1000, /* of the two: beyond 10 s the time taken grows no faster than the recording */
    BLOCK = 64,      /* frames compared at once; the compiler knows how many */
};
/* Of the loudest frame's power, in any bin: 70 dB under it is as good as nothing, whatever the gain. A band is live
 * that has ten times as much in speech; the others (of a telephone half of all) hold rounding noise, which never stands
 * still. */
static const double NOTHING = 1e-7, LIVE = 10;
/* No frame of speech is under it (spectrogram.c); the peak of a recording that is nearly all silence may be. */
static const double QUIETEST = 1e-8;
/* An eighth of people's voiced frames differ less from the one before, a third at the telephone. */
static const float STILL_DB = 1.6f;

/* Directions are the bands of a frame of speech without their mean over time and over the bands, of length 1; zeros
 * where there is no speech. */
typedef struct {
    const vx_spectrogram *s;
    const vx_pitch *pitch;
    size_t n;                         /* frames */
    size_t n_bands, first_bin[BANDS]; /* that are live */
    size_t stride;                    /* of a direction's row: n and BLOCK zeros behind it */
    float *bands;                     /* [n][n_bands] dB */
    float *directions;                /* [n_bands][stride] */
    float *alike;                     /* [stride] */
    float *steps;                     /* [n] scratch */
} work;

static double band_power(const vx_spectrogram *s, size_t frame, size_t first_bin)
{
    const float *power = s->power + frame * VX_PAVA_BINS + first_bin;
    double sum = 0;
    for (int k = 0; k < WIDTH; k++)
        sum += (double)power[k];
    return sum;
}

static void take_bands(work *w)
{
    const double nothing = NOTHING * WIDTH * fmax((double)w->s->peak_level, QUIETEST);
    for (size_t b = 0; b < BANDS; b++) {
        double sum = 0;
        const size_t first = 2 + b * WIDTH;
        for (size_t i = 0; i < w->n; i++)
            sum += w->s->speech[i] ? band_power(w->s, i, first) : 0;
        if (sum > LIVE * nothing * (double)w->s->n_speech)
            w->first_bin[w->n_bands++] = first;
    }
    for (size_t i = 0; i < w->n; i++)
        for (size_t b = 0; b < w->n_bands; b++)
            w->bands[i * w->n_bands + b] = (float)(10 * log10(band_power(w->s, i, w->first_bin[b]) + nothing));
}

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* ---- jumps ------------------------------------------------------------------------------------------------------- */

/* Mean absolute difference of two frames, each held against its own mean: louder is no jump. */
static float jump(const float *a, const float *b, size_t n)
{
    float mean = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        mean += b[i] - a[i];
    mean /= (float)n;
    for (size_t i = 0; i < n; i++)
        sum += fabsf(b[i] - a[i] - mean);
    return sum / (float)n;
}

static void measure_flux(work *w, vx_joints *j)
{
    size_t n = 0, n_voiced = 0, n_still = 0;
    double mean = 0, square = 0, fourth = 0;
    for (size_t i = 1; i < w->n; i++) {
        if (!w->s->speech[i] || !w->s->speech[i - 1])
            continue;
        const float flux = jump(w->bands + (i - 1) * w->n_bands, w->bands + i * w->n_bands, w->n_bands);
        mean += (double)flux;
        w->steps[n++] = flux;
        if (w->pitch->f0_hz[i] > 0 && w->pitch->f0_hz[i - 1] > 0) {
            n_voiced++;
            n_still += flux < STILL_DB;
        }
    }
    if (n_voiced >= MIN_PAIRS)
        j->stillness = (double)n_still / (double)n_voiced;
    if (n < MIN_PAIRS)
        return;
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const double off = (double)w->steps[i] - mean;
        square += off * off, fourth += off * off * off * off;
    }
    qsort(w->steps, n, sizeof *w->steps, rising);
    if (!(square > 0) || !(w->steps[n / 2] > 0))
        return;
    j->flux_peak = (double)w->steps[n - 1] / (double)w->steps[n / 2];
    j->flux_kurtosis = fourth * (double)n / (square * square);
}

static double pitch_jump(work *w)
{
    size_t n = 0;
    const float *f0 = w->pitch->f0_hz;
    for (size_t i = 1; i < w->n; i++)
        if (f0[i] > 0 && f0[i - 1] > 0)
            w->steps[n++] = fabsf(log2f(f0[i] / f0[i - 1]));
    if (n < MIN_PAIRS)
        return NAN;
    qsort(w->steps, n, sizeof *w->steps, rising);
    return (double)w->steps[n - 1 - n / 20];
}

/* ---- background -------------------------------------------------------------------------------------------------- */

/* Mean log spectrum of each pause against that of the one before. */
static double floor_jump(const work *w)
{
    double before[BANDS], now[BANDS] = {0}, most = NAN;
    size_t run = 0;
    bool has_before = false;
    for (size_t i = 0; i <= w->n; i++) {
        if (i < w->n && !w->s->speech[i]) {
            for (size_t b = 0; b < w->n_bands; b++)
                now[b] += (double)w->bands[i * w->n_bands + b];
            run++;
            continue;
        }
        if (run >= MIN_PAUSE) {
            double change = 0;
            for (size_t b = 0; b < w->n_bands; b++) {
                now[b] /= (double)run;
                change += has_before ? fabs(now[b] - before[b]) / (double)w->n_bands : 0;
                before[b] = now[b];
            }
            if (has_before)
                most = fmax(most, change);
            has_before = true;
        }
        run = 0;
        memset(now, 0, sizeof now);
    }
    return most;
}

/* ---- repetition -------------------------------------------------------------------------------------------------- */

/* The mean over time goes first: else all that came through one channel is alike. */
static void take_directions(work *w)
{
    const size_t n_bands = w->n_bands;
    double mean[BANDS] = {0};
    for (size_t i = 0; i < w->n; i++)
        for (size_t b = 0; b < n_bands && w->s->speech[i]; b++)
            mean[b] += (double)w->bands[i * n_bands + b] / (double)w->s->n_speech;
    for (size_t i = 0; i < w->n; i++) {
        double off[BANDS], middle = 0, length = 0;
        if (!w->s->speech[i])
            continue;
        for (size_t b = 0; b < n_bands; b++) {
            off[b] = (double)w->bands[i * n_bands + b] - mean[b];
            middle += off[b] / (double)n_bands;
        }
        for (size_t b = 0; b < n_bands; b++) {
            off[b] -= middle;
            length += off[b] * off[b];
        }
        for (size_t b = 0; b < n_bands && length > 0; b++)
            w->directions[b * w->stride + i] = (float)(off[b] / sqrt(length));
    }
}

/* w->alike[i] = cosine of frames i and i + apart */
static void compare(work *w, size_t apart)
{
    for (size_t from = 0; from + apart < w->n; from += BLOCK) {
        float sums[BLOCK] = {0};
        for (size_t b = 0; b < w->n_bands; b++) {
            const float *now = w->directions + b * w->stride + from, *later = now + apart;
            for (int i = 0; i < BLOCK; i++)
                sums[i] += now[i] * later[i];
        }
        memcpy(w->alike + from, sums, sizeof sums);
    }
}

/* The most alike pair of pieces of speech that lie APART. */
static double repeats(work *w)
{
    double best = 0;
    if (w->n < APART + PIECE)
        return NAN;
    for (size_t apart = APART; apart + PIECE <= w->n && apart <= FARTHEST; apart++) {
        double run = 0;
        compare(w, apart);
        for (size_t i = 0; i + apart < w->n; i++) {
            run += (double)w->alike[i] - (i >= PIECE ? (double)w->alike[i - PIECE] : 0);
            best = fmax(best, run / PIECE);
        }
    }
    return fmin(best, 1);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

vx_err vx_joints_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_joints *ret, vx_errinfo *info)
{
    if (spectrogram->n_speech < MIN_SPEECH)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than half a second of speech");
    work w = {.s = spectrogram, .pitch = pitch, .n = spectrogram->n_frames, .stride = spectrogram->n_frames + BLOCK};
    const size_t floats = 2 * BANDS * w.stride + 2 * w.stride;
    w.bands = calloc(floats, sizeof *w.bands);
    if (w.bands == NULL)
        return VX_ERR_NOMEM;
    w.directions = w.bands + BANDS * w.stride;
    w.alike = w.directions + BANDS * w.stride;
    w.steps = w.alike + w.stride;
    take_bands(&w);
    vx_joints j = {.flux_peak = NAN, .flux_kurtosis = NAN, .stillness = NAN};
    vx_err err = VX_OK;
    if (w.n_bands < MIN_BANDS) {
        err = vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the sound is a tone or two, not speech");
        goto out;
    }
    take_directions(&w);
    measure_flux(&w, &j);
    j.floor_jump_db = floor_jump(&w);
    j.pitch_jump_oct = pitch_jump(&w);
    j.repeat = repeats(&w);
    *ret = j;
out:
    vx_wipe(w.bands, floats * sizeof *w.bands);
    free(w.bands);
    return err;
}
