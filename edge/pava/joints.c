/* joints.c - jumps from frame to frame in eighteen bands, changes of the background, pieces that come twice. */
#include "edge/pava/joints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BANDS = 18,
    WIDTH = 14, /* bins of a band: 437 Hz, even over the spectrum, since joints show anywhere */
    MIN_SPEECH = 50,
    MIN_PAUSE = 8, /* frames that a background rests on */
    PIECE = 20,    /* frames of what may come twice */
    APART = 40,    /* frames between the two: nearer, speech is like itself */
};
static const double TINY = 1e-12, STILL_DB = 0.6;

/* Log power of BANDS bands of each frame, dB: [n_frames][BANDS]. */
static void bands_of(const vx_spectrogram *s, float *ret)
{
    for (size_t i = 0; i < s->n_frames; i++)
        for (int b = 0; b < BANDS; b++) {
            const float *power = s->power + i * VX_PAVA_BINS + 2 + b * WIDTH;
            double sum = TINY;
            for (int k = 0; k < WIDTH; k++)
                sum += (double)power[k];
            ret[i * BANDS + (size_t)b] = (float)(10 * log10(sum));
        }
}

/* Mean absolute difference of two frames, each held against its own mean: louder is no jump. */
static double jump(const float *a, const float *b)
{
    double mean = 0, sum = 0;
    for (int i = 0; i < BANDS; i++)
        mean += (double)(b[i] - a[i]) / BANDS;
    for (int i = 0; i < BANDS; i++)
        sum += fabs((double)(b[i] - a[i]) - mean) / BANDS;
    return sum;
}

static void measure_flux(const vx_spectrogram *s, const float *bands, vx_joints *j)
{
    double sum = 0, square = 0, fourth = 0, peak = 0;
    size_t n = 0, n_still = 0;
    /* Two passes: spread first, then its fourth moment. */
    for (int pass = 0; pass < 2; pass++) {
        const double mean = n ? sum / (double)n : 0;
        for (size_t i = 1; i < s->n_frames; i++) {
            if (!s->speech[i] || !s->speech[i - 1])
                continue;
            const double flux = jump(bands + (i - 1) * BANDS, bands + i * BANDS);
            if (pass == 0) {
                sum += flux, n++;
                n_still += flux < STILL_DB;
                continue;
            }
            const double off = flux - mean;
            square += off * off, fourth += off * off * off * off;
            peak = fmax(peak, off);
        }
        if (n < MIN_SPEECH / 2)
            return;
    }
    const double variance = square / (double)n;
    j->stillness = (double)n_still / (double)n;
    if (!(variance > 0))
        return;
    j->flux_peak = peak / sqrt(variance);
    j->flux_kurtosis = fourth / (double)n / (variance * variance);
}

/* Mean log spectrum of each pause against that of the one before. */
static double floor_jump(const vx_spectrogram *s, const float *bands)
{
    double before[BANDS], now[BANDS] = {0}, most = NAN;
    size_t run = 0;
    bool has_before = false;
    for (size_t i = 0; i <= s->n_frames; i++) {
        if (i < s->n_frames && !s->speech[i]) {
            for (int b = 0; b < BANDS; b++)
                now[b] += (double)bands[i * BANDS + (size_t)b];
            run++;
            continue;
        }
        if (run >= MIN_PAUSE) {
            double change = 0;
            for (int b = 0; b < BANDS; b++) {
                now[b] /= (double)run;
                change += has_before ? fabs(now[b] - before[b]) / BANDS : 0;
                before[b] = now[b];
            }
            if (has_before)
                most = isnan(most) ? change : fmax(most, change);
            has_before = true;
        }
        run = 0;
        memset(now, 0, sizeof now);
    }
    return most;
}

static double pitch_jump(const vx_pitch *pitch)
{
    double most = NAN;
    for (size_t i = 1; i < pitch->n_frames; i++) {
        if (!(pitch->f0_hz[i] > 0) || !(pitch->f0_hz[i - 1] > 0))
            continue;
        const double step = fabs(log2((double)(pitch->f0_hz[i] / pitch->f0_hz[i - 1])));
        most = isnan(most) ? step : fmax(most, step);
    }
    return most;
}

/* Bands of a frame with mean taken off and length 1; false where it is flat. */
static void direct(const float *bands, size_t n_frames, float *ret)
{
    for (size_t i = 0; i < n_frames; i++) {
        double mean = 0, length = 0;
        for (int b = 0; b < BANDS; b++)
            mean += (double)bands[i * BANDS + (size_t)b] / BANDS;
        for (int b = 0; b < BANDS; b++) {
            const double off = (double)bands[i * BANDS + (size_t)b] - mean;
            length += off * off;
        }
        for (int b = 0; b < BANDS; b++)
            ret[i * BANDS + (size_t)b] =
                length > 0 ? (float)(((double)bands[i * BANDS + (size_t)b] - mean) / sqrt(length)) : 0;
    }
}

/* The most alike pair of pieces of speech that lie APART. directions [in] [n_frames][BANDS]; two recordings of a word by one
 * person stay below 0.95, a piece that comes twice is above 0.99 unless noise covers it. */
static double repeats(const vx_spectrogram *s, const float *directions)
{
    double best = NAN;
    size_t spoken = 0;
    const size_t n = s->n_frames;
    for (size_t apart = APART; apart + PIECE < n; apart += 1) {
        double run = 0;
        spoken = 0;
        /* The sum over a piece slides along: each pair of frames is multiplied once. */
        for (size_t i = 0; i + apart < n; i += 1) {
            double alike = 0;
            if (s->speech[i] && s->speech[i + apart]) {
                const float *a = directions + i * BANDS, *b = directions + (i + apart) * BANDS;
                float dot = 0;
                for (int k = 0; k < BANDS; k++)
                    dot += a[k] * b[k];
                alike = (double)dot;
                spoken++;
            } else {
                spoken = 0;
                run = 0;
                continue;
            }
            run += alike;
            if (spoken > PIECE) {
                const float *a = directions + (i - PIECE) * BANDS, *b = directions + (i - PIECE + apart) * BANDS;
                float dot = 0;
                for (int k = 0; k < BANDS; k++)
                    dot += a[k] * b[k];
                run -= (double)dot;
            }
            if (spoken >= PIECE)
                best = isnan(best) ? run / PIECE : fmax(best, run / PIECE);
        }
    }
    return best;
}

vx_err vx_joints_measure(const vx_spectrogram *spectrogram, const vx_pitch *pitch, vx_joints *ret, vx_errinfo *info)
{
    const size_t n = spectrogram->n_frames;
    if (spectrogram->n_speech < MIN_SPEECH)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "less than half a second of speech");
    float *bands = malloc(2 * n * BANDS * sizeof *bands);
    if (!bands)
        return VX_ERR_NOMEM;
    bands_of(spectrogram, bands);
    direct(bands, n, bands + n * BANDS);
    vx_joints j = {.flux_peak = NAN, .flux_kurtosis = NAN, .stillness = NAN};
    measure_flux(spectrogram, bands, &j);
    j.floor_jump_db = floor_jump(spectrogram, bands);
    j.pitch_jump_oct = pitch_jump(pitch);
    j.repeat = repeats(spectrogram, bands + n * BANDS);
    free(bands);
    *ret = j;
    return VX_OK;
}
