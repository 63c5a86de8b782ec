/* vocoder_world.c - smooth envelopes, impulses and noise through filters of least delay.
 * Owns:   one response a glottal cycle. Does not: find cycles or shares of noise (voice.h), or envelopes (envelope.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* A response may ring for 40 ms. UNVOICED_F0: resolution of the envelope where nothing repeats. */
enum { N = 1024, BINS = N / 2 + 1, UNVOICED_F0 = 160 };

typedef struct {
    const voice *v;
    dft d;
    float log_power[BINS], part[BINS], response[2 * BINS], row[N], bins[2 * BINS];
} world;

/* The envelope around a sample, of power 1 for white noise of variance 1. */
static void look(world *w, double at, double f0)
{
    const double window = fmin(3 * LAB_RATE / f0, N);
    dft_frame(&w->d, w->v->samples, w->v->n, window, lround(at), w->bins);
    for (int k = 0; k < BINS; k++)
        w->log_power[k] = (float)(bin_power(w->bins + 2 * k) / (0.375 * window));
    envelope_smooth(&w->d, f0, w->log_power);
}

/* The filter of the share of the envelope that repeats, or of the one that does not. */
static void filter_for(world *w, double at, bool repeating)
{
    for (int k = 0; k < BINS; k++) {
        const double share = voice_harmonic(w->v, at, (double)k * LAB_RATE / N);
        w->part[k] = w->log_power[k] + (float)log(fmax(1e-6, repeating ? share : 1 - share));
    }
    envelope_minimum_phase(&w->d, w->part, w->response);
}

/* Adds row through the filter, its first sample at `at`. */
static void add(world *w, double at, float *ret)
{
    const double fraction = at - floor(at);
    dft_forward(&w->d, w->row, 1, w->bins);
    for (int k = 0; k < BINS; k++) {
        const double angle = -2 * LAB_PI * k * fraction / N, c = cos(angle), s = sin(angle);
        const double hr = (double)w->response[2 * k], hi = (double)w->response[2 * k + 1];
        const double fr = hr * c - hi * s, fi = hr * s + hi * c;
        const double re = (double)w->bins[2 * k], im = (double)w->bins[2 * k + 1];
        w->bins[2 * k] = (float)(re * fr - im * fi);
        w->bins[2 * k + 1] = (float)(re * fi + im * fr);
    }
    dft_inverse(&w->d, w->bins, 1, w->row);
    const size_t first = (size_t)at, n = w->v->n;
    for (size_t i = 0; i < N && first + i < n; i++)
        ret[first + i] += w->row[i];
}

void vocode_world(const voice *v, uint64_t *state, float *ret)
{
    world *w = lab_alloc(1, sizeof *w);
    w->v = v;
    w->d = dft_make(N);
    memset(ret, 0, v->n * sizeof *ret);
    for (double at = 0; at < (double)v->n;) {
        const double f0 = voice_f0(v, at), period = f0 > 0 ? LAB_RATE / f0 : VOICE_UNVOICED;
        look(w, at, f0 > 0 ? f0 : UNVOICED_F0);
        if (f0 > 0) {
            filter_for(w, at, true);
            memset(w->row, 0, sizeof w->row);
            w->row[0] = (float)sqrt(period);
            add(w, at, ret);
        }
        filter_for(w, at, false);
        memset(w->row, 0, sizeof w->row);
        /* As many samples of noise as there are up to the next cycle's. */
        const size_t fresh = (size_t)(at + period) - (size_t)at;
        for (size_t i = 0; i < fresh; i++)
            w->row[i] = (float)lab_gauss(state);
        add(w, floor(at), ret);
        at += period;
    }
    dft_done(&w->d);
    free(w);
}
