/* channel.c - the long-term spectra of speech and of its pauses, read in thirds of an octave; valleys of the spectrum
 * that fill as the voice grows louder.
 */
#include "edge/pava/channel.h"

#include <math.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

enum {
    THIRDS = 22,             /* of an octave, from 63 Hz to 8,000 Hz */
    MIN_SPEECH = 50,         /* frames */
    MIN_PAUSE = 10,          /* frames of pause that a floor rests on */
    MIN_VOICED = 40,         /* frames whose loudest and softest quarter are compared */
    PASS = 2,                /* thirds above the lower edge, where the fall is over */
    LAST = VX_PAVA_BINS - 2, /* the bin of 8,000 Hz is half a bin */
    VALLEY_FIRST = 7,
    VALLEY_LAST = 112, /* 220 to 3,500 Hz: of every channel, and above the lowest harmonics */
};
static const double BIN_HZ = 31.25, FIRST_HZ = 62.5, NYQUIST_HZ = 8000;
static const double LOW_EDGE_DB = 20, OVER_FLOOR_DB = 6;
/* Of speech under the pauses, no more than this is left when they are taken off: their mean is not known better. */
static const double LEAST_LEFT = 0.1;
/* Of the loudest frame's power, in any bin: 100 dB under it is as good as nothing in a mean,
 * and 120 in a frame's valleys, whatever the gain. */
static const double NOTHING = 1e-10, NOTHING_IN_VALLEYS = 1e-12;
/* No frame of speech is under it (spectrogram.c); the peak of a recording that is nearly all silence may be. */
static const double QUIETEST = 1e-8;

typedef struct {
    double speech[VX_PAVA_BINS], pauses[VX_PAVA_BINS];
    double voice[VX_PAVA_BINS]; /* speech without the noise that the pauses show */
    size_t n_speech, n_pauses;  /* frames */
    double nothing;             /* added before a logarithm */
} spectra;

static double db(double power)
{
    return 10 * log10(power);
}

/* What touches speech on either side holds its reverberation and its onset: no pause. */
static bool is_pause(const vx_spectrogram *s, size_t i)
{
    return !s->speech[i] && !(i > 0 && s->speech[i - 1]) && !(i + 1 < s->n_frames && s->speech[i + 1]);
}

/* Mean power of each bin over the frames with speech, and over those of pauses; without the first and the last frame: a
 * recording that ends within a word splashes over the whole spectrum there. */
static void mean_spectra(const vx_spectrogram *s, spectra *ret)
{
    *ret = (spectra){.nothing = NOTHING * fmax((double)s->peak_level, QUIETEST)};
    for (size_t i = 1; i + 1 < s->n_frames; i++) {
        double *sum = s->speech[i] ? ret->speech : ret->pauses;
        if (!s->speech[i] && !is_pause(s, i))
            continue;
        for (size_t k = 0; k < VX_PAVA_BINS; k++)
            sum[k] += (double)s->power[i * VX_PAVA_BINS + k];
        *(s->speech[i] ? &ret->n_speech : &ret->n_pauses) += 1;
    }
    for (int k = 0; k < VX_PAVA_BINS; k++) {
        ret->speech[k] = ret->speech[k] / (double)ret->n_speech + ret->nothing;
        ret->pauses[k] = ret->n_pauses > 0 ? ret->pauses[k] / (double)ret->n_pauses + ret->nothing : 0;
        ret->voice[k] = fmax(ret->speech[k] - ret->pauses[k], LEAST_LEFT * fmin(ret->pauses[k], ret->speech[k]));
    }
}

static double third_hz(double index)
{
    return FIRST_HZ * exp2(index / 3);
}

static int third_of(double hz)
{
    return (int)fmin(fmax(round(3 * log2(hz / FIRST_HZ)), 0), THIRDS - 1);
}

/* Mean power of the bins of each third, in dB; the lowest are narrower than a bin and take the nearest. */
static void thirds_of(const double spectrum[VX_PAVA_BINS], double ret_db[THIRDS])
{
    for (int b = 0; b < THIRDS; b++) {
        int low = (int)ceil(third_hz(b - 0.5) / BIN_HZ), high = (int)floor(third_hz(b + 0.5) / BIN_HZ);
        double sum = 0;
        high = high < LAST ? high : LAST;
        if (low > high)
            low = high = (int)lround(third_hz(b) / BIN_HZ);
        for (int k = low; k <= high; k++)
            sum += spectrum[k];
        ret_db[b] = db(sum / (high - low + 1));
    }
}

/* Slope of the line through y[first..last] against octaves; NAN of fewer than three. */
static double slope(const double *y, int first, int last)
{
    const int n = last - first + 1;
    double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
    if (n < 3)
        return NAN;
    for (int i = first; i <= last; i++) {
        mean_x += i / 3.0 / n;
        mean_y += y[i] / n;
    }
    for (int i = first; i <= last; i++) {
        xy += (i / 3.0 - mean_x) * (y[i] - mean_y);
        xx += (i / 3.0 - mean_x) * (i / 3.0 - mean_x);
    }
    return xy / xx;
}

/* Root mean square of what an octave's mean does not explain, over first..last. */
static double ripple(const double *y, int first, int last)
{
    double sum = 0;
    int n = 0;
    for (int i = first + 1; i < last; i++) {
        const double rest = y[i] - (y[i - 1] + y[i] + y[i + 1]) / 3;
        sum += rest * rest;
        n++;
    }
    return n >= 3 ? sqrt(sum / n) : NAN;
}

/* ---- edges ------------------------------------------------------------------------------------------------------- */

/* From here on up the voice is no more than LOW_EDGE_DB under its level; by a line between bins. */
static double low_edge(const double voice[VX_PAVA_BINS])
{
    double level = 0;
    int n = 0, k = (int)(300 / BIN_HZ);
    for (int i = k; i <= (int)(1000 / BIN_HZ); i++, n++)
        level += voice[i];
    level = db(level / n) - LOW_EDGE_DB;
    while (k > 1 && db(voice[k - 1]) >= level)
        k--;
    const double here = db(voice[k]), below = db(voice[k - 1]);
    return BIN_HZ * (k - (here > below ? fmin(fmax((here - level) / (here - below), 0), 1) : 0));
}

/* The highest frequency at which speech rises over the pauses, or, without any, over the least of its spectrum. */
static double high_edge(const spectra *s)
{
    double least = INFINITY;
    for (int k = 8; k <= LAST; k++)
        least = fmin(least, s->speech[k]);
    for (int k = LAST; k > 8; k--) {
        /* Three bins together: one alone is over its neighbours by chance. */
        const double here = s->speech[k - 1] + s->speech[k] + s->speech[k + 1];
        const double rest = s->n_pauses >= MIN_PAUSE ? s->pauses[k - 1] + s->pauses[k] + s->pauses[k + 1] : 3 * least;
        if (db(here) > db(rest) + OVER_FLOOR_DB)
            return fmin((k + 1) * BIN_HZ, NYQUIST_HZ);
    }
    return 9 * BIN_HZ;
}

/* ---- pauses ------------------------------------------------------------------------------------------------------ */

/* Spread of the level of the pauses, in dB, over stretches of MIN_PAUSE frames. */
static double floor_change(const vx_spectrogram *s, double nothing)
{
    double sum = 0, square = 0, power = 0;
    int n = 0, run = 0;
    for (size_t i = 0; i < s->n_frames; i++) {
        if (!is_pause(s, i)) {
            run = 0, power = 0;
            continue;
        }
        power += (double)s->level[i];
        if (++run < MIN_PAUSE)
            continue;
        const double level = db(power / run + nothing);
        sum += level, square += level * level, n++;
        run = 0, power = 0;
    }
    return n >= 3 ? sqrt(fmax(square / n - sum / n * (sum / n), 0)) : NAN;
}

static void measure_pauses(const vx_spectrogram *spectrogram, const spectra *s, vx_channel *c)
{
    double thirds[THIRDS], speech = 0, pauses = 0;
    const int first = third_of(125), last = third_of(4000);
    thirds_of(s->pauses, thirds);
    c->floor_slope_db = slope(thirds, first, last);
    c->floor_ripple_db = ripple(thirds, first, last);
    for (int k = 3; k < VX_PAVA_BINS; k++)
        speech += s->speech[k], pauses += s->pauses[k];
    c->floor_depth_db = db(speech / pauses);
    c->floor_change_db = floor_change(spectrogram, s->nothing);
}

/* ---- distortion -------------------------------------------------------------------------------------------------- */

/* Mean level of a frame's bins under the level of their mean, dB. Between the harmonics themselves there is nothing to
 * see: what distorts a periodic sound leaves it periodic. */
static double valleys(const float *power, double nothing)
{
    double sum = 0, levels = 0;
    for (int k = VALLEY_FIRST; k < VALLEY_LAST; k++) {
        const double here = (double)power[k] + nothing;
        sum += here;
        levels += db(here);
    }
    const int n = VALLEY_LAST - VALLEY_FIRST;
    return levels / n - db(sum / n);
}

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float median(float *values, size_t n)
{
    qsort(values, n, sizeof *values, rising);
    return values[n / 2];
}

/* Medians, since frames in which a voice begins or ends are soft and have no valleys. scratch: room for 2 n_frames */
static double distortion(const vx_spectrogram *s, const vx_pitch *pitch, double nothing, float *scratch)
{
    size_t n = 0, n_weak = 0, n_strong = 0;
    /* Levels are done with when the valleys come. */
    float *const levels = scratch, *const weak = scratch, *const strong = scratch + s->n_frames;
    for (size_t i = 0; i < s->n_frames; i++)
        if (pitch->f0_hz[i] > 0)
            levels[n++] = s->level[i];
    if (n < MIN_VOICED)
        return NAN;
    qsort(levels, n, sizeof *levels, rising);
    const float low = levels[n / 4], high = levels[n - 1 - n / 4];
    for (size_t i = 0; i < s->n_frames; i++) {
        if (!(pitch->f0_hz[i] > 0) || (s->level[i] > low && s->level[i] < high))
            continue;
        const float v = (float)valleys(s->power + i * VX_PAVA_BINS, nothing);
        if (s->level[i] >= high)
            strong[n_strong++] = v;
        else
            weak[n_weak++] = v;
    }
    return n_weak > 0 ? (double)(median(strong, n_strong) - median(weak, n_weak)) : NAN;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

vx_err vx_channel_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_channel *ret, vx_errinfo *info)
{
    if (spectrogram->n_speech < MIN_SPEECH + 2) /* without the ends */
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than half a second of speech");
    const size_t bytes = 2 * spectrogram->n_frames * sizeof(float);
    float *scratch = malloc(bytes);
    if (scratch == NULL)
        return VX_ERR_NOMEM;

    spectra s;
    double thirds[THIRDS];
    mean_spectra(spectrogram, &s);
    thirds_of(s.voice, thirds);
    vx_channel c = {.low_edge_hz = low_edge(s.voice),
                    .high_edge_hz = high_edge(&s),
                    .floor_slope_db = NAN,
                    .floor_ripple_db = NAN,
                    .floor_depth_db = NAN,
                    .floor_change_db = NAN};
    /* The third that the upper edge cuts through is half empty. */
    const int low = third_of(c.low_edge_hz), high = third_of(c.high_edge_hz) - 1;
    c.low_slope_db = slope(thirds, 0, low + 3);
    c.tilt_db = slope(thirds, third_of(500), high);
    c.ripple_db = ripple(thirds, low + PASS, high);
    if (s.n_pauses >= MIN_PAUSE)
        measure_pauses(spectrogram, &s, &c);
    c.distortion_db = distortion(spectrogram, pitch, s.nothing * (NOTHING_IN_VALLEYS / NOTHING), scratch);
    vx_wipe(&s, sizeof s);
    vx_wipe(scratch, bytes);
    free(scratch);
    *ret = c;
    return VX_OK;
}
