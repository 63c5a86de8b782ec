/* channel.c - the long-term spectra of speech and of its pauses, read in thirds of an octave; harmonics that grow with
 * level. */
#include "edge/pava/channel.h"

#include <math.h>
#include <stdlib.h>

enum {
    THIRDS = 22,         /* of an octave, from 63 Hz to 8,000 Hz */
    MIN_SPEECH = 50,     /* frames */
    MIN_PAUSE = 10,      /* frames of pause that a floor rests on */
    MIN_VOICED = 20,     /* frames on each side of the median level */
    HARMONICS_HZ = 3000, /* up to here single harmonics are told apart by a window of 25 ms, with voices above 80 Hz */
};
static const double BIN_HZ = 31.25, FIRST_HZ = 62.5, NYQUIST_HZ = 8000;
static const double TINY = 1e-14; /* below the rounding noise of 16 bits in any bin */
static const double LOW_EDGE_DB = 20, OVER_FLOOR_DB = 6;

static double db(double power)
{
    return 10 * log10(power + TINY);
}

/* Mean power of each bin over the frames with (or without) speech. Returns the number of frames. */
static size_t mean_spectrum(const vx_spectrogram *s, bool speech, double ret[VX_PAVA_BINS])
{
    size_t n = 0;
    for (int k = 0; k < VX_PAVA_BINS; k++)
        ret[k] = 0;
    for (size_t i = 0; i < s->n_frames; i++) {
        /* What touches speech on either side holds its reverberation and its onset: no pause. */
        const bool near = s->speech[i] || (i > 0 && s->speech[i - 1]) || (i + 1 < s->n_frames && s->speech[i + 1]);
        if (speech ? !s->speech[i] : near)
            continue;
        for (int k = 0; k < VX_PAVA_BINS; k++)
            ret[k] += (double)s->power[i * VX_PAVA_BINS + (size_t)k];
        n++;
    }
    for (int k = 0; k < VX_PAVA_BINS && n > 0; k++)
        ret[k] /= (double)n;
    return n;
}

static double third_hz(double index)
{
    return FIRST_HZ * exp2(index / 3);
}

/* Mean power of the bins of each third, in dB; the lowest are narrower than a bin and take the nearest. */
static void thirds_of(const double spectrum[VX_PAVA_BINS], double ret_db[THIRDS])
{
    for (int b = 0; b < THIRDS; b++) {
        int low = (int)ceil(third_hz(b - 0.5) / BIN_HZ), high = (int)floor(third_hz(b + 0.5) / BIN_HZ);
        double sum = 0;
        if (high > VX_PAVA_BINS - 2)
            high = VX_PAVA_BINS - 2;
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

static int third_of(double hz)
{
    return (int)fmin(fmax(round(3 * log2(hz / FIRST_HZ)), 0), THIRDS - 1);
}

/* ---- edges ---------------------------------------------------------------------------------------------------------- */

/* The lowest frequency from which on up speech is no more than LOW_EDGE_DB under its level, between bins by a line. */
static double low_edge(const double spectrum[VX_PAVA_BINS])
{
    double level = 0;
    int n = 0;
    for (int k = (int)(300 / BIN_HZ); k <= (int)(1000 / BIN_HZ); k++, n++)
        level += spectrum[k];
    level = db(level / n) - LOW_EDGE_DB;
    int k = (int)(300 / BIN_HZ);
    while (k > 1 && db(spectrum[k - 1]) >= level)
        k--;
    const double here = db(spectrum[k]), below = db(spectrum[k - 1]);
    return BIN_HZ * (k - (here > below ? fmin((here - level) / (here - below), 1) : 0));
}

/* The highest third in which speech rises over the pauses. floor [in] NULL: over the least of the spectrum */
static double high_edge(const double speech[VX_PAVA_BINS], const double *pauses)
{
    double least = INFINITY;
    for (int k = 8; k < VX_PAVA_BINS - 1; k++)
        least = fmin(least, speech[k]);
    for (int k = VX_PAVA_BINS - 2; k > 8; k--) {
        /* Three bins together: one alone is over its neighbours by chance. */
        const double here = speech[k - 1] + speech[k] + speech[k + 1];
        const double rest = pauses ? pauses[k - 1] + pauses[k] + pauses[k + 1] : 3 * least;
        if (db(here) > db(rest) + OVER_FLOOR_DB)
            return fmin((k + 1) * BIN_HZ, NYQUIST_HZ);
    }
    return 9 * BIN_HZ;
}

/* ---- pauses --------------------------------------------------------------------------------------------------------- */

/* Spread of the level of the pauses, in dB, over stretches of MIN_PAUSE frames. */
static double floor_change(const vx_spectrogram *s)
{
    double sum = 0, square = 0, power = 0;
    int n = 0, run = 0;
    for (size_t i = 0; i < s->n_frames; i++) {
        if (s->speech[i]) {
            run = 0, power = 0;
            continue;
        }
        power += (double)s->level[i];
        if (++run < MIN_PAUSE)
            continue;
        const double level = db(power / run);
        sum += level, square += level * level, n++;
        run = 0, power = 0;
    }
    return n >= 3 ? sqrt(fmax(square / n - sum / n * (sum / n), 0)) : NAN;
}

/* ---- distortion ----------------------------------------------------------------------------------------------------- */

/* Power half-way between the harmonics of a frame against the power at them, dB. */
static double between_harmonics(const float *power, double f0_hz)
{
    double at = 0, between = 0;
    for (double hz = f0_hz; hz + f0_hz < HARMONICS_HZ; hz += f0_hz) {
        const int k = (int)lround(hz / BIN_HZ), m = (int)lround((hz + f0_hz / 2) / BIN_HZ);
        at += (double)power[k];
        between += (double)power[m];
    }
    return db(between) - db(at);
}

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* A voice is as clean loud as soft, or cleaner; what a loudspeaker adds grows with level. scratch [n_frames] */
static double distortion(const vx_spectrogram *s, const vx_pitch *pitch, float *scratch)
{
    size_t n = 0;
    double sum[2] = {0, 0};
    int count[2] = {0, 0};
    /* Below this pitch the window does not tell harmonics apart. */
    static const float LOWEST_HZ = 110;
    for (size_t i = 0; i < s->n_frames; i++)
        if (pitch->f0_hz[i] > LOWEST_HZ)
            scratch[n++] = s->level[i];
    if (n < 2 * MIN_VOICED)
        return NAN;
    qsort(scratch, n, sizeof *scratch, rising);
    const float weak = scratch[n / 4], strong = scratch[n - 1 - n / 4];
    for (size_t i = 0; i < s->n_frames; i++) {
        if (!(pitch->f0_hz[i] > LOWEST_HZ) || (s->level[i] > weak && s->level[i] < strong))
            continue;
        const int side = s->level[i] >= strong;
        sum[side] += between_harmonics(s->power + i * VX_PAVA_BINS, (double)pitch->f0_hz[i]);
        count[side]++;
    }
    return sum[1] / count[1] - sum[0] / count[0];
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

vx_err vx_channel_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_channel *ret, vx_errinfo *info)
{
    double speech[VX_PAVA_BINS], pauses[VX_PAVA_BINS], speech_db[THIRDS], pauses_db[THIRDS];
    const size_t n_speech = mean_spectrum(spectrogram, true, speech);
    const bool has_pauses = mean_spectrum(spectrogram, false, pauses) >= MIN_PAUSE;
    if (n_speech < MIN_SPEECH)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than half a second of speech");
    float *scratch = malloc(spectrogram->n_frames * sizeof *scratch);
    if (!scratch)
        return VX_ERR_NOMEM;
    thirds_of(speech, speech_db);
    thirds_of(pauses, pauses_db);

    vx_channel c;
    c.low_edge_hz = low_edge(speech);
    c.high_edge_hz = high_edge(speech, has_pauses ? pauses : NULL);
    const int low = third_of(fmax(c.low_edge_hz, FIRST_HZ)), high = third_of(c.high_edge_hz);
    c.low_slope_db = slope(speech_db, 0, low + 3 < THIRDS ? low + 3 : THIRDS - 1);
    c.tilt_db = slope(speech_db, third_of(500), high);
    c.ripple_db = ripple(speech_db, low, high);
    c.floor_slope_db = has_pauses ? slope(pauses_db, third_of(125), third_of(4000)) : NAN;
    c.floor_ripple_db = has_pauses ? ripple(pauses_db, third_of(125), third_of(4000)) : NAN;
    double all_speech = 0, all_pauses = 0;
    for (int k = 3; k < VX_PAVA_BINS; k++)
        all_speech += speech[k], all_pauses += pauses[k];
    c.floor_depth_db = has_pauses ? db(all_speech) - db(all_pauses) : NAN;
    c.floor_change_db = floor_change(spectrogram);
    c.distortion_db = distortion(spectrogram, pitch, scratch);
    free(scratch);
    *ret = c;
    return VX_OK;
}
