/* breath.c - noise of breath in the pauses, bursts of air at the onsets of words.
 * Owns:   the rules for both. Does not: measure levels of speech (spectrogram.c) or voice (pitch.c).
 */
#include "edge/pava/breath.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"

enum {
    BAND_FIRST = 16, /* 500 Hz: below lie hum and what is left of voices */
    BAND_LAST = 192, /* 6000 Hz */
    POP_FIRST = 1,
    POP_LAST = 2, /* 62 Hz; with the window's width what is below 100 */
    /* Frames. A breath lasts 0.1 to 1 s; a plosive's aspiration is shorter, and a fan that starts is longer. */
    BREATH_LEAST = 10,
    BREATH_MOST = 100,
    EDGE = 2,          /* beside voice: the window still holds some of it */
    PAUSE = 5,         /* without speech, before an onset */
    ONSET = 8,         /* after which voice must have begun: the longest aspiration */
    PAUSES_LEAST = 20, /* frames without speech that tell of the floor */
    SLOPE_POINTS = 10, /* thirds of an octave from 500 Hz on */
};

/* Breath is 6 dB over the floor at least, and 18 dB at least below the loudest of the voice, where friction lies above. */
#define OVER_FLOOR 4.0
#define UNDER_PEAK 0.016
/* A pop's power below 80 Hz is 12 dB over the floor's there, and more than all above it. */
#define POP_OVER   16.0
#define LEAST      1e-12 /* of a bin: the floor of digital silence */

enum { LENGTH_S, OVER_DB, SLOPE_DB, FIELDS }; /* of a breath */

typedef struct {
    const vx_spectrogram *s;
    const vx_pitch *pitch;
    double *band;            /* [n_frames] mean power of a bin, BAND_FIRST to BAND_LAST */
    double *sorted;          /* [n_frames] scratch */
    double (*found)[FIELDS]; /* [n_frames / BREATH_LEAST + 1] */
    size_t n_found;
    double floor, peak;         /* of band */
    double quiet[VX_PAVA_BINS]; /* mean power of the frames at the floor */
} search;

static const float *row(const search *b, size_t frame)
{
    return b->s->power + frame * VX_PAVA_BINS;
}

static double bins_mean(const float *power, int first, int last)
{
    double sum = 0;
    for (int k = first; k <= last; k++)
        sum += (double)power[k];
    return sum / (last - first + 1);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The mean spectrum of the frames without speech whose band is at `bound` or below; there is one at least. */
static void average_quiet(search *b, double bound)
{
    size_t count = 0;
    for (size_t i = 0; i < b->s->n_frames; i++) {
        if (b->s->speech[i] || b->band[i] > bound)
            continue;
        count++;
        for (size_t k = 0; k < VX_PAVA_BINS; k++)
            b->quiet[k] += (double)row(b, i)[k];
    }
    double sum = 0;
    for (size_t k = 0; k < VX_PAVA_BINS; k++) {
        b->quiet[k] = fmax(b->quiet[k] / (double)count, LEAST);
        sum += k >= BAND_FIRST && k <= BAND_LAST ? b->quiet[k] : 0;
    }
    b->floor = sum / (BAND_LAST - BAND_FIRST + 1);
}

/* The floor is that of the quieter half of the frames without speech: breath may fill the rest. */
static vx_err find_floor(search *b, vx_errinfo *info)
{
    size_t n_quiet = 0;
    for (size_t i = 0; i < b->s->n_frames; i++) {
        b->band[i] = bins_mean(row(b, i), BAND_FIRST, BAND_LAST);
        if (b->s->speech[i])
            b->peak = fmax(b->peak, b->band[i]);
        else
            b->sorted[n_quiet++] = b->band[i];
    }
    if (b->s->n_speech == 0)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "nobody speaks, so nobody breathes between words");
    if (n_quiet < PAUSES_LEAST)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the words leave no pause to breathe in: %zu ms of %d",
                              n_quiet * 10, PAUSES_LEAST * 10);
    qsort(b->sorted, n_quiet, sizeof *b->sorted, by_value);
    average_quiet(b, b->sorted[n_quiet / 2]);
    return VX_OK;
}

/* ---- breath ----------------------------------------------------------------------------------------------------------- */

static bool voice_near(const search *b, size_t frame, size_t reach)
{
    const size_t first = frame < reach ? 0 : frame - reach;
    for (size_t i = first; i <= frame + reach && i < b->s->n_frames; i++)
        if (b->pitch->voiced[i] >= 0.5f)
            return true;
    return false;
}

static bool may_be_breath(const search *b, size_t frame)
{
    return b->band[frame] > OVER_FLOOR * b->floor && b->band[frame] < UNDER_PEAK * b->peak &&
           !voice_near(b, frame, EDGE);
}

/* Least squares over thirds of octaves of frames first to end, without the floor. */
static double slope_of(const search *b, size_t first, size_t end)
{
    double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    for (int p = 0; p < SLOPE_POINTS; p++) {
        const double centre = BAND_FIRST * exp2(p / 3.0);
        const int low = (int)lround(centre / exp2(1 / 6.0)), high = (int)lround(centre * exp2(1 / 6.0)) - 1;
        double power = 0, quiet = 0;
        for (size_t i = first; i < end; i++)
            power += bins_mean(row(b, i), low, high) / (double)(end - first);
        for (int k = low; k <= high; k++)
            quiet += b->quiet[k] / (high - low + 1);
        const double y = 10 * log10(fmax(power - quiet, 0.1 * quiet)), x = p / 3.0;
        sum_x += x;
        sum_y += y;
        sum_xx += x * x;
        sum_xy += x * y;
    }
    return (SLOPE_POINTS * sum_xy - sum_x * sum_y) / (SLOPE_POINTS * sum_xx - sum_x * sum_x);
}

static void find_breaths(search *b)
{
    const size_t n = b->s->n_frames;
    for (size_t i = 0, end; i < n; i = end + 1) {
        double power = 0;
        for (end = i; end < n && may_be_breath(b, end); end++)
            power += b->band[end];
        const size_t length = end - i;
        if (length < BREATH_LEAST || length > BREATH_MOST)
            continue;
        double *found = b->found[b->n_found++];
        found[LENGTH_S] = (double)length * 0.01;
        found[OVER_DB] = 10 * log10(power / (double)length / b->floor);
        found[SLOPE_DB] = slope_of(b, i, end);
    }
}

static double median_of(const search *b, int field)
{
    if (b->n_found == 0)
        return NAN;
    for (size_t i = 0; i < b->n_found; i++)
        b->sorted[i] = b->found[i][field];
    qsort(b->sorted, b->n_found, sizeof *b->sorted, by_value);
    return b->sorted[b->n_found / 2];
}

/* ---- pops ------------------------------------------------------------------------------------------------------------- */

/* True if a word begins in this frame: speech behind a pause, and voice soon. */
static bool is_onset(const search *b, size_t frame)
{
    if (frame < PAUSE || !b->s->speech[frame])
        return false;
    for (size_t i = frame - PAUSE; i < frame; i++)
        if (b->s->speech[i])
            return false;
    for (size_t i = frame; i < frame + ONSET && i < b->s->n_frames; i++)
        if (b->pitch->voiced[i] >= 0.5f)
            return true;
    return false;
}

/* Looks before the voice only, which is_onset has seen to come: a low voice has its own power there. */
static void find_pops(const search *b, vx_breath *ret)
{
    double quiet = 0, loudest = 0;
    for (int k = POP_FIRST; k <= POP_LAST; k++)
        quiet += b->quiet[k] / (POP_LAST - POP_FIRST + 1);
    for (size_t i = 0; i < b->s->n_frames; i++) {
        if (!is_onset(b, i))
            continue;
        ret->n_onsets++;
        bool pop = false;
        for (size_t j = i - PAUSE; j < i + ONSET && !voice_near(b, j, 1); j++) {
            const double low = bins_mean(row(b, j), POP_FIRST, POP_LAST);
            const double all = bins_mean(row(b, j), POP_FIRST, VX_PAVA_BINS - 1) * (VX_PAVA_BINS - POP_FIRST);
            loudest = fmax(loudest, low / quiet);
            pop |= low > POP_OVER * quiet && 2 * low * (POP_LAST - POP_FIRST + 1) > all;
        }
        ret->n_pops += pop;
    }
    ret->pop_over_db = ret->n_onsets > 0 ? 10 * log10(fmax(loudest, 1)) : NAN;
}

vx_err vx_breath_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_breath *ret, vx_errinfo *info)
{
    const size_t n = spectrogram->n_frames, cap = n / BREATH_LEAST + 1;
    search b = {.s = spectrogram, .pitch = pitch};
    vx_err err = VX_ERR_NOMEM;
    b.band = calloc(n, sizeof *b.band);
    b.sorted = calloc(n, sizeof *b.sorted);
    b.found = calloc(cap, sizeof *b.found);
    if (b.band == NULL || b.sorted == NULL || b.found == NULL) {
        (void)vx_errinfo_set(info, err, "not enough memory to look for breath");
        goto out;
    }
    err = find_floor(&b, info);
    if (err != VX_OK)
        goto out;
    find_breaths(&b);
    vx_breath result = {.n_breaths = b.n_found, .breaths_per_s = (double)b.n_found / ((double)n * 0.01)};
    result.breath_s = median_of(&b, LENGTH_S);
    result.breath_over_db = median_of(&b, OVER_DB);
    result.breath_slope_db = median_of(&b, SLOPE_DB);
    find_pops(&b, &result);
    *ret = result;
out:
    if (b.band != NULL)
        vx_wipe(b.band, n * sizeof *b.band);
    free(b.band);
    free(b.sorted);
    free(b.found);
    vx_wipe(b.quiet, sizeof b.quiet);
    return err;
}
