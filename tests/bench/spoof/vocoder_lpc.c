/* vocoder_lpc.c - linear prediction, excited by impulses and noise.
 * Owns:   excitation and all-pole synthesis. Does not: predict (envelope.h).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/lpc.h"
#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

/* SETTLE: a resonance of 50 Hz bandwidth has fallen by 27 dB after it. */
enum { WINDOW = 480, HOP = 160, SETTLE = 320 };

/* Of power 1 everywhere: an impulse a cycle and noise where there is a voice, noise elsewhere. */
static float *excite(const voice *v, double breath, uint64_t *state)
{
    float *e = lab_alloc(v->n, sizeof *e);
    for (size_t i = 0; i < v->n; i++) {
        const double share = voice_f0(v, (double)i) > 0 ? breath : 1;
        e[i] = (float)(sqrt(share) * lab_gauss(state));
    }
    for (double at = 0; at < (double)v->n;) {
        const double f0 = voice_f0(v, at), period = f0 > 0 ? LAB_RATE / f0 : VOICE_UNVOICED;
        if (f0 > 0)
            voice_pulse(e, v->n, at, sqrt((1 - breath) * period));
        at += period;
    }
    return e;
}

/* Adds the excitation through the filter of one frame, faded in and out over a hop each. */
static void add_frame(const float *e, size_t n, long middle, const double *a, int order, double gain, float *ret)
{
    double past[VX_LPC_MAX] = {0}; /* latest first */
    for (long i = middle - HOP - SETTLE; i < middle + HOP; i++) {
        double y = i >= 0 && i < (long)n ? gain * (double)e[i] : 0;
        for (int j = 0; j < order; j++)
            y -= a[j + 1] * past[j];
        memmove(past + 1, past, (VX_LPC_MAX - 1) * sizeof *past);
        past[0] = y;
        const double fade = 1 - fabs((double)(i - middle)) / HOP;
        if (fade > 0 && i >= 0 && i < (long)n)
            ret[i] += (float)(fade * y);
    }
}

void vocode_lpc(const voice *v, int order, double breath, uint64_t *state, float *ret)
{
    stft s = stft_of(v->samples, v->n, WINDOW, 512, HOP);
    float *e = excite(v, breath, state);
    memset(ret, 0, v->n * sizeof *ret);
    for (size_t t = 0; t < s.n_frames; t++) {
        double a[VX_LPC_MAX + 1], gain;
        if (envelope_predict(&s.d, WINDOW, stft_frame(&s, t), order, a, &gain))
            add_frame(e, v->n, (long)t * HOP, a, order, gain, ret);
    }
    double last = 0;
    for (size_t i = 0; i < v->n; i++)
        ret[i] = (float)(last = (double)ret[i] + ENVELOPE_EMPHASIS * last);
    free(e);
    stft_done(&s);
}
