/* tube.c - see tube.h. */
#include "tests/support/tube.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/stats.h"

enum { RATE = 16000, MAX_HARMONICS = 128, N = TUBE_SECTIONS };

static const double PI = 3.14159265358979323846;

/* Areas in cm^2 along the tract, in sixteenths of its length. */
static const double AREAS[TUBE_VOWELS][N] = {
    [TUBE_UNIFORM] = {5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5},
    [TUBE_A] = {1, 1, 1, 1, 1, 1, 1, 1, 7, 7, 7, 7, 7, 7, 7, 7},
    [TUBE_AE] = {1, 1, 1, 1, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8},
    [TUBE_I] = {8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 1, 1, 1, 1, 1, 1},
    [TUBE_U] = {6, 6, 6, 6, 6, 6, 1, 1, 1, 6, 6, 6, 6, 6, 1, 1},
    [TUBE_E] = {3, 3, 5, 7, 7, 7, 7, 6, 5, 4, 3, 3, 3, 3, 4, 4},
};

/* The steps of the tubes are rounded over three sections, 2 to 4 cm: flesh has none, and what a step does to F4 is that of
 * no throat (the mean length over these vowels comes out 0.6 cm too long with steps, 0.1 without). */
tube tube_of(tube_vowel vowel, double length_cm)
{
    tube t = {.length_cm = length_cm};
    const double *area = AREAS[vowel];
    for (int i = 0; i < N; i++) {
        const double before = area[i > 0 ? i - 1 : 0], after = area[i < N - 1 ? i + 1 : N - 1];
        t.area_cm2[i] = pow(before * area[i] * area[i] * after, 0.25);
    }
    return t;
}

tube tube_between(const tube *a, const tube *b, double way)
{
    tube t = {.length_cm = a->length_cm + way * (b->length_cm - a->length_cm)};
    for (int i = 0; i < N; i++)
        t.area_cm2[i] = a->area_cm2[i] * pow(b->area_cm2[i] / a->area_cm2[i], way);
    return t;
}

/* Volume velocity at the lips over that at the glottis. Losses of walls, friction and radiation are one attenuation that
 * gives the bandwidths found in people: 50 Hz for low formants, 150 Hz at 3.5 kHz. */
static double complex transfer(const tube *t, double hz)
{
    const double bandwidth = 50 + 100 * (hz / 3500) * (hz / 3500);
    const double complex way = (PI * bandwidth + I * 2 * PI * hz) / TUBE_C * (t->length_cm / N);
    const double complex c = ccosh(way), s = csinh(way);
    /* From the lips back: pressure and flow before a section of impedance 1 / area. */
    double complex pressure = 0, flow = 1;
    for (int i = N - 1; i >= 0; i--) {
        const double complex p = c * pressure + s / t->area_cm2[i] * flow;
        flow = s * t->area_cm2[i] * pressure + c * flow;
        pressure = p;
    }
    return 1 / flow;
}

void tube_resonances(const tube *t, int n, double *ret_hz)
{
    double before = 0, here = cabs(transfer(t, 2));
    int found = 0;
    for (double hz = 4; hz < RATE && found < n; hz += 2) {
        const double next = cabs(transfer(t, hz));
        if (here > before && here >= next)
            ret_hz[found++] = hz - 2;
        before = here;
        here = next;
    }
    while (found < n)
        ret_hz[found++] = 0;
}

/* What each harmonic of f0 is like at the lips. */
static void harmonics(const tube *t, double f0, const double band[2], double complex ret[MAX_HARMONICS])
{
    for (int h = 1; h <= MAX_HARMONICS; h++) {
        const double hz = h * f0;
        const bool heard = hz > band[0] && hz < band[1] && hz < RATE / 2.0;
        ret[h - 1] = heard ? transfer(t, hz) / h : 0;
    }
}

static void fill_shapes(const tube_params *p, tube_voice *v)
{
    enum { PERIOD = 33, STILL = 20 }; /* frames of a vowel, and without the way to the next */
    for (size_t i = 0; i <= v->n_frames; i++) {
        const size_t at = i / PERIOD, gone = i % PERIOD;
        const tube here = tube_of(p->vowels[at % p->n_vowels], p->length_cm);
        const tube next = tube_of(p->vowels[(at + 1) % p->n_vowels], p->length_cm);
        v->shapes[i] = tube_between(&here, &next, gone < STILL ? 0 : (double)(gone - STILL) / (PERIOD - STILL));
        v->f0_hz[i] = (float)(p->f0_hz * (1 + 0.08 * sin(2 * PI * 1.1 * (double)i * TUBE_HOP / RATE)));
    }
}

static double sound(const tube_params *p, tube_voice *v)
{
    double complex now[MAX_HARMONICS], next[MAX_HARMONICS];
    double phase = 0, peak = 0;
    harmonics(&v->shapes[0], (double)v->f0_hz[0], p->band, next);
    for (size_t i = 0; i < v->n; i++) {
        const size_t frame = i / TUBE_HOP;
        const double f0 = (double)v->f0_hz[frame], f0_next = (double)v->f0_hz[frame + 1];
        if (i % TUBE_HOP == 0) {
            memcpy(now, next, sizeof now);
            harmonics(&v->shapes[frame + 1], f0_next, p->band, next);
        }
        const double way = (double)(i % TUBE_HOP) / TUBE_HOP;
        phase += 2 * PI * (f0 + way * (f0_next - f0)) / RATE;
        const double complex turn = cexp(I * phase);
        double complex at = 1;
        double sum = 0;
        for (int h = 0; h < MAX_HARMONICS; h++) {
            at *= turn;
            sum += creal((now[h] + way * (next[h] - now[h])) * at);
        }
        v->samples[i] = (float)sum;
        peak = fmax(peak, fabs(sum));
    }
    return peak;
}

bool tube_speak(const tube_params *params, tube_voice *ret)
{
    tube_voice v = {.n_frames = (size_t)(params->seconds * RATE) / TUBE_HOP};
    v.n = v.n_frames * TUBE_HOP;
    v.shapes = calloc(v.n_frames + 1, sizeof *v.shapes);
    v.f0_hz = calloc(v.n_frames + 1, sizeof *v.f0_hz);
    v.samples = calloc(v.n + 1, sizeof *v.samples);
    if (v.shapes == NULL || v.f0_hz == NULL || v.samples == NULL) {
        tube_voice_done(&v);
        return false;
    }
    fill_shapes(params, &v);
    const double peak = sound(params, &v);
    uint64_t state = params->seed;
    for (size_t i = 0; i < v.n; i++) {
        const double noise = (double)(stats_random(&state) >> 11) * 0x1p-52 - 1;
        v.samples[i] = (float)(0.5 * ((double)v.samples[i] / peak + 0.00316 * noise));
    }
    *ret = v;
    return true;
}

void tube_voice_done(tube_voice *voice)
{
    free(voice->shapes);
    free(voice->f0_hz);
    free(voice->samples);
    *voice = (tube_voice){0};
}
