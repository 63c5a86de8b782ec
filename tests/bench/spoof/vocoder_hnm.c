/* vocoder_hnm.c - harmonics plus noise.
 * Owns:   amplitudes and phases of harmonics, their sum, the noise above them. Does not: find the melody (voice.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* Amplitudes every 5 ms; noise through windows of 20 ms. */
enum { HOP = 80, WINDOW = 320, N = 512, MOST = 160 };

typedef struct {
    double turn; /* radians a sample from one harmonic to the next */
    int n;
    double re[MOST], im[MOST]; /* at the middle of the frame; [k] is harmonic k + 1 */
} harmonics;

/* Projection on each harmonic through a Hann window of three cycles, in whose spectrum all other harmonics lie on zeros. */
static void analyse(const voice *v, long middle, double f0, double max_hz, harmonics *h)
{
    h->turn = 2 * LAB_PI * f0 / LAB_RATE;
    h->n = (int)fmin(MOST, fmin(max_hz, LAB_RATE / 2.0 - f0 / 2) / f0);
    const double window = 3 * LAB_RATE / f0;
    const long half = (long)(window / 2);
    double weight = 0;
    memset(h->re, 0, sizeof h->re);
    memset(h->im, 0, sizeof h->im);
    for (long i = -half; i <= half; i++) {
        const double w = 0.5 + 0.5 * cos(2 * LAB_PI * (double)i / window);
        weight += w;
        if (middle + i < 0 || middle + i >= (long)v->n)
            continue;
        const double x = w * (double)v->samples[middle + i], c = cos(h->turn * (double)i), s = sin(h->turn * (double)i);
        double re = x * c, im = -x * s;
        for (int k = 0; k < h->n; k++) {
            h->re[k] += re;
            h->im[k] += im;
            const double turned = re * c + im * s;
            im = im * c - re * s;
            re = turned;
        }
    }
    for (int k = 0; k < h->n; k++) {
        h->re[k] *= 2 / weight;
        h->im[k] *= 2 / weight;
    }
}

/* Gives the harmonics the phases of a tract of least delay, behind impulses at whole turns of `phase`. */
static void remodel(const dft *d, double phase, harmonics *h)
{
    float level[MOST], log_power[N / 2 + 1], bins[N + 2];
    for (int k = 0; k < h->n; k++)
        level[k] = (float)log(h->re[k] * h->re[k] + h->im[k] * h->im[k] + 1e-14);
    const double per_bin = 2 * LAB_PI / N / h->turn;
    for (int i = 0; i <= N / 2; i++)
        log_power[i] = (float)envelope_read(level, (size_t)h->n, i * per_bin - 1);
    envelope_minimum_phase(d, log_power, bins);
    for (int k = 0; k < h->n; k++) {
        const int bin = (int)lround((k + 1) / per_bin);
        const double angle = atan2((double)bins[2 * bin + 1], (double)bins[2 * bin]) + (k + 1) * phase;
        const double size = exp(0.5 * (double)level[k]);
        h->re[k] = size * cos(angle);
        h->im[k] = size * sin(angle);
    }
}

/* Adds the sum of the harmonics around the middle, faded in and out over a hop each. */
static void add(const harmonics *h, long middle, float *ret, size_t n)
{
    for (long i = 1 - HOP; i < HOP; i++) {
        if (middle + i < 0 || middle + i >= (long)n)
            continue;
        const double c = cos(h->turn * (double)i), s = sin(h->turn * (double)i);
        double re = c, im = s, sum = 0;
        for (int k = 0; k < h->n; k++) {
            sum += h->re[k] * re - h->im[k] * im;
            const double turned = re * c - im * s;
            im = im * c + re * s;
            re = turned;
        }
        ret[middle + i] += (float)((1 - fabs((double)i) / HOP) * sum);
    }
}

/* Below this the voice is harmonics: up to the first band most of whose power does not repeat, 1 kHz at least. */
static double boundary(const voice *v, double at)
{
    double hz = 1000;
    while (hz < 7500 && voice_harmonic(v, at, hz + 500) > 0.5)
        hz += 500;
    return hz;
}

/* fixed_hz: 0, or the boundary everywhere. */
static void sum_harmonics(const voice *v, double fixed_hz, bool own_phases, float *ret)
{
    const dft d = dft_make(N);
    double phase = 0;
    memset(ret, 0, v->n * sizeof *ret);
    for (long middle = 0; middle < (long)v->n + HOP; middle += HOP) {
        const double at = (double)middle, f0 = voice_f0(v, at);
        phase = f0 > 0 ? fmod(phase + HOP * 2 * LAB_PI * f0 / LAB_RATE, 2 * LAB_PI) : 0;
        if (!(f0 > 0))
            continue;
        harmonics h;
        analyse(v, middle, f0, fixed_hz > 0 ? fixed_hz : boundary(v, at), &h);
        if (!own_phases && h.n > 0)
            remodel(&d, phase, &h);
        add(&h, middle, ret, v->n);
    }
    dft done = d;
    dft_done(&done);
}

void vocode_harmonics(const voice *v, double max_hz, float *ret)
{
    sum_harmonics(v, max_hz, true, ret);
}

/* White noise given the envelope of the recording wherever that is not harmonics. */
static void add_noise(const voice *v, uint64_t *state, float *ret)
{
    float *noise = lab_alloc(v->n, sizeof *noise), power[N / 2 + 1];
    for (size_t i = 0; i < v->n; i++)
        noise[i] = (float)lab_gauss(state);
    const stft like = stft_of(v->samples, v->n, WINDOW, N, HOP), made = stft_of(noise, v->n, WINDOW, N, HOP);
    for (size_t t = 0; t < like.n_frames; t++) {
        const double at = (double)t * HOP, f0 = voice_f0(v, at);
        const double first = f0 > 0 ? boundary(v, at) * N / LAB_RATE : 0;
        float *from = stft_frame(&like, t), *to = stft_frame(&made, t);
        for (int k = 0; k <= N / 2; k++)
            power[k] = (float)(bin_power(from + 2 * k) / (0.375 * WINDOW));
        envelope_smooth(&like.d, f0 > 0 ? f0 : 200, power);
        for (int k = 0; k <= N / 2; k++) {
            const float gain = k >= first ? expf(0.5F * power[k]) : 0;
            to[2 * k] *= gain;
            to[2 * k + 1] *= gain;
        }
    }
    stft_invert(&made, v->n, noise);
    for (size_t i = 0; i < v->n; i++)
        ret[i] += noise[i];
    stft done[] = {like, made};
    stft_done(&done[0]);
    stft_done(&done[1]);
    free(noise);
}

void vocode_hnm(const voice *v, bool own_phases, uint64_t *state, float *ret)
{
    sum_harmonics(v, 0, own_phases, ret);
    add_noise(v, state, ret);
}
