/* voice.c - see voice.h. */
#include "tests/bench/spoof/voice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/pitch.h"
#include "edge/pava/spectrogram.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/stft.h"

enum { TAPS = 16, SHORTEST = LAB_RATE / 10, MIDDLE = VOICE_HOP / 2 };

static const double EDGES[VOICE_BANDS + 1] = {0, 1000, 2000, 3000, 4000, 5000, 6500, 8000};

/* ---- between samples ------------------------------------------------------------------------------------------------- */

/* The weight of a sample `x` away. */
static double kernel(double x)
{
    if (fabs(x) < 1e-9)
        return 1;
    if (fabs(x) >= TAPS / 2.0)
        return 0;
    return sin(LAB_PI * x) / (LAB_PI * x) * (0.5 + 0.5 * cos(2 * LAB_PI * x / TAPS));
}

double voice_read(const float *samples, size_t n, double at)
{
    const long first = (long)floor(at) - TAPS / 2 + 1;
    double sum = 0;
    for (long i = first; i < first + TAPS; i++)
        if (i >= 0 && i < (long)n)
            sum += kernel(at - (double)i) * (double)samples[i];
    return sum;
}

void voice_pulse(float *samples, size_t n, double at, double height)
{
    const long first = (long)floor(at) - TAPS / 2 + 1;
    for (long i = first; i < first + TAPS; i++)
        if (i >= 0 && i < (long)n)
            samples[i] += (float)(height * kernel((double)i - at));
}

void voice_level(float *samples, const float *like, size_t n)
{
    double is = 0, wanted = 0;
    for (size_t i = 0; i < n; i++) {
        is += (double)samples[i] * (double)samples[i];
        wanted += (double)like[i] * (double)like[i];
    }
    lab_scale(samples, n, is > 0 ? sqrt(wanted / is) : 0);
}

/* ---- melody ---------------------------------------------------------------------------------------------------------- */

static bool track(voice *v)
{
    vx_spectrogram spectrogram = {0};
    vx_pitch pitch = {0};
    const bool ok = vx_spectrogram_compute(v->samples, v->n, &spectrogram) == VX_OK &&
                    vx_pitch_track(v->samples, v->n, &spectrogram, &pitch) == VX_OK && pitch.n_voiced > 0;
    if (ok) {
        v->n_frames = pitch.n_frames;
        v->f0 = lab_alloc(v->n_frames, sizeof *v->f0);
        memcpy(v->f0, pitch.f0_hz, v->n_frames * sizeof *v->f0);
    }
    vx_pitch_done(&pitch);
    vx_spectrogram_done(&spectrogram);
    return ok;
}

static size_t frame_at(const voice *v, double at)
{
    return at < 0 ? 0 : (size_t)fmin(at / VOICE_HOP, (double)(v->n_frames - 1));
}

double voice_f0(const voice *v, double at)
{
    const size_t t = frame_at(v, at);
    const double here = (double)v->f0[t], off = (at - MIDDLE) / VOICE_HOP - (double)t;
    const size_t beside = off < 0 ? (t > 0 ? t - 1 : t) : (t + 1 < v->n_frames ? t + 1 : t);
    const double there = (double)v->f0[beside];
    return here > 0 && there > 0 ? here + fmin(fabs(off), 1) * (there - here) : here;
}

double voice_mean_f0(const voice *v)
{
    double sum = 0, n = 0;
    for (size_t t = 0; t < v->n_frames; t++)
        if (v->f0[t] > 0) {
            sum += log((double)v->f0[t]);
            n++;
        }
    return exp(sum / n);
}

/* ---- marks ----------------------------------------------------------------------------------------------------------- */

/* How alike the cycles around two places are. */
static double likeness(const voice *v, long a, long b, long half)
{
    double ab = 0, aa = 1e-12, bb = 1e-12;
    for (long i = -half; i <= half; i++) {
        if (a + i < 0 || b + i < 0 || a + i >= (long)v->n || b + i >= (long)v->n)
            continue;
        const double x = (double)v->samples[a + i], y = (double)v->samples[b + i];
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return ab / sqrt(aa * bb);
}

/* The place one period from `at`, forwards or backwards, where the waveform is most like that around `at`. */
static double next_cycle(const voice *v, double at, int direction)
{
    const double period = LAB_RATE / voice_f0(v, at);
    const long from = lround(at), half = lround(period / 2), reach = lround(period * 0.15) + 1;
    long best = lround(period);
    double most = -2;
    for (long lag = lround(period) - reach; lag <= lround(period) + reach; lag++) {
        const double like = likeness(v, from, from + direction * lag, half);
        if (like > most) {
            most = like;
            best = lag;
        }
    }
    const double low = likeness(v, from, from + direction * (best - 1), half),
                 high = likeness(v, from, from + direction * (best + 1), half), bend = low - 2 * most + high;
    const double top = bend < -1e-12 ? fmax(-0.5, fmin(0.5, 0.5 * (low - high) / bend)) : 0;
    return at + direction * ((double)best + top);
}

/* Marks of the voiced samples [from, to): from the loudest on, both ways. Appends them by place. */
static void mark_cycles(voice *v, size_t from, size_t to)
{
    size_t loudest = from;
    for (size_t i = from; i < to; i++)
        if (fabsf(v->samples[i]) > fabsf(v->samples[loudest]))
            loudest = i;
    const size_t first = v->n_marks;
    double at = (double)loudest;
    while (at >= (double)from) {
        v->marks[v->n_marks++] = (voice_mark){.at = at, .voiced = true};
        at = next_cycle(v, at, -1);
    }
    for (size_t i = first, j = v->n_marks - 1; i < j; i++, j--) {
        const voice_mark swapped = v->marks[i];
        v->marks[i] = v->marks[j];
        v->marks[j] = swapped;
    }
    at = (double)loudest;
    while ((at = next_cycle(v, at, 1)) < (double)to)
        v->marks[v->n_marks++] = (voice_mark){.at = at, .voiced = true};
}

/* Marks between voices: even steps up to where the next mark is, or the recording ends. */
static void mark_gap(voice *v, double to)
{
    const double from = v->n_marks > 0 ? v->marks[v->n_marks - 1].at : -VOICE_UNVOICED;
    const long steps = lround((to - from) / VOICE_UNVOICED);
    for (long i = 1; i < steps; i++)
        v->marks[v->n_marks++] = (voice_mark){.at = from + (to - from) * (double)i / (double)steps};
}

static void mark(voice *v)
{
    /* Cycles are 30 samples at least, gap marks 60; runs of voice may each begin and end with one more. */
    v->marks = lab_alloc(v->n / 30 + 2 * v->n_frames + 2, sizeof *v->marks);
    for (size_t t = 0, end; t < v->n_frames; t = end) {
        for (end = t; end < v->n_frames && (v->f0[end] > 0) == (v->f0[t] > 0); end++)
            ;
        if (!(v->f0[t] > 0))
            continue;
        const size_t before = v->n_marks;
        mark_cycles(v, t * VOICE_HOP, end * VOICE_HOP);
        /* The gap comes before these, but they say where it ends: set them aside while it is filled. */
        const size_t cycles = v->n_marks - before;
        voice_mark *kept = lab_alloc(cycles, sizeof *kept);
        memcpy(kept, v->marks + before, cycles * sizeof *kept);
        v->n_marks = before;
        mark_gap(v, kept[0].at);
        memcpy(v->marks + v->n_marks, kept, cycles * sizeof *kept);
        v->n_marks += cycles;
        free(kept);
    }
    mark_gap(v, (double)v->n + VOICE_UNVOICED);
    for (size_t i = 0; i < v->n_marks; i++) {
        v->marks[i].left = i > 0 ? v->marks[i].at - v->marks[i - 1].at : VOICE_UNVOICED;
        v->marks[i].right = i + 1 < v->n_marks ? v->marks[i + 1].at - v->marks[i].at : VOICE_UNVOICED;
    }
}

size_t voice_mark_at(const voice *v, double at)
{
    size_t low = 0, high = v->n_marks - 1; /* the last mark not behind `at`, or the first of all */
    while (low < high) {
        const size_t middle = (low + high + 1) / 2;
        if (v->marks[middle].at <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return low + 1 < v->n_marks && v->marks[low + 1].at - at < at - v->marks[low].at ? low + 1 : low;
}

/* ---- what repeats ---------------------------------------------------------------------------------------------------- */

/* A band of the recording, and the same a quarter of a cycle later: together its analytic signal, whose correlation
 * has a size that fractions of a sample do not change, up to 8 kHz. */
static void band_signal(const stft *whole, int band, size_t n, float *ret_re, float *ret_im)
{
    const size_t n_bins = stft_n_bins(whole);
    stft part = *whole;
    part.bins = lab_alloc(2 * n_bins * whole->n_frames, sizeof(float));
    const double per_bin = (double)LAB_RATE / whole->d.n;
    for (size_t t = 0; t < whole->n_frames; t++)
        for (size_t k = 0; k < n_bins; k++)
            if ((double)k * per_bin >= EDGES[band] && (double)k * per_bin < EDGES[band + 1])
                memcpy(stft_frame(&part, t) + 2 * k, stft_frame(whole, t) + 2 * k, 2 * sizeof(float));
    stft_invert(&part, n, ret_re);
    for (size_t i = 0; i < n_bins * whole->n_frames; i++) {
        const float re = part.bins[2 * i];
        part.bins[2 * i] = part.bins[2 * i + 1];
        part.bins[2 * i + 1] = -re;
    }
    stft_invert(&part, n, ret_im);
    free(part.bins);
}

/* Size of the correlation of [from, from + 2 * lag) with what follows `lag` later, 0 to 1. */
static double repeats(const float *re, const float *im, size_t n, long from, long lag)
{
    double cos_sum = 0, sin_sum = 0, a = 1e-12, b = 1e-12;
    for (long i = from < 0 ? 0 : from; i < from + 2 * lag && i + lag < (long)n; i++) {
        const double ar = (double)re[i], ai = (double)im[i], br = (double)re[i + lag], bi = (double)im[i + lag];
        cos_sum += ar * br + ai * bi;
        sin_sum += ar * bi - ai * br;
        a += ar * ar + ai * ai;
        b += br * br + bi * bi;
    }
    return sqrt((cos_sum * cos_sum + sin_sum * sin_sum) / (a * b));
}

static void find_harmonics(voice *v)
{
    stft whole = stft_of(v->samples, v->n, 512, 512, 128);
    float *re = lab_alloc(v->n, sizeof *re), *im = lab_alloc(v->n, sizeof *im);
    v->harmonic = lab_alloc(v->n_frames, sizeof *v->harmonic);
    for (int band = 0; band < VOICE_BANDS; band++) {
        band_signal(&whole, band, v->n, re, im);
        for (size_t t = 0; t < v->n_frames; t++) {
            if (!(v->f0[t] > 0))
                continue;
            const long period = lround((double)(LAB_RATE / v->f0[t]));
            double most = 0;
            for (long lag = period - 1; lag <= period + 1; lag++)
                most = fmax(most, repeats(re, im, v->n, (long)t * VOICE_HOP + MIDDLE - 3 * lag / 2, lag));
            /* Two cycles of noise alone come to about 0.25 in bands this wide. */
            v->harmonic[t][band] = (float)fmax(0, (most - 0.25) / 0.75);
        }
    }
    free(re);
    free(im);
    stft_done(&whole);
}

double voice_harmonic(const voice *v, double at, double hz)
{
    const float *share = v->harmonic[frame_at(v, at)];
    int band = 0;
    while (band < VOICE_BANDS - 2 && hz > (EDGES[band + 1] + EDGES[band + 2]) / 2)
        band++;
    const double low = (EDGES[band] + EDGES[band + 1]) / 2, high = (EDGES[band + 1] + EDGES[band + 2]) / 2;
    const double part = fmax(0, fmin(1, (hz - low) / (high - low)));
    return (1 - part) * (double)share[band] + part * (double)share[band + 1];
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

bool voice_of(const float *samples, size_t n, voice *ret)
{
    voice v = {.samples = samples, .n = n};
    if (n < SHORTEST || !track(&v))
        return false;
    mark(&v);
    find_harmonics(&v);
    *ret = v;
    return true;
}

void voice_done(voice *v)
{
    free(v->f0);
    free(v->harmonic);
    free(v->marks);
    *v = (voice){0};
}
