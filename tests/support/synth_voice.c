/* synth_voice.c - source and filter: pulses placed to a fraction of a sample, five moving resonances. */
#include "tests/support/synth_voice.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/stats.h"

enum { FORMANTS = 5, VOWELS = 5, MAX_WORDS = 512, TRAIL = 8 };
static const double PI = 3.14159265358979323846;

/* G. Peterson, H. Barney: Control methods used in a study of the vowels, 1952 (men); F4 and F5 of a tube of 17 cm. */
static const double VOWEL_HZ[VOWELS][FORMANTS] = {
    {730, 1090, 2440, 3500, 4500}, {270, 2290, 3010, 3600, 4600}, {300, 870, 2240, 3400, 4400},
    {530, 1840, 2480, 3500, 4500}, {570, 840, 2410, 3400, 4500},
};
static const double BANDWIDTH_HZ[FORMANTS] = {80, 100, 150, 220, 300};

typedef struct {
    double begin, end; /* seconds */
    bool friction;     /* noise behind it, up to the next */
} word;

typedef struct {
    const synth_params *p;
    size_t n;
    double seconds;
    uint64_t state;
    word words[MAX_WORDS];
    size_t n_words;
    double *sound;             /* [n] */
    double *periods, *heights; /* [cap] of the cycles within one word */
    size_t cap;
} synth;

double synth_uniform(uint64_t *state)
{
    return (double)(int64_t)stats_random(state) / 9223372036854775808.0;
}

double synth_normal(uint64_t *state)
{
    const double u = 0.5 * (synth_uniform(state) + 1) + 1e-17, v = synth_uniform(state);
    return sqrt(-2 * log(u)) * cos(PI * v);
}

/* ---- what is said --------------------------------------------------------------------------------------------------------- */

static void plan_words(synth *s)
{
    const double last = s->seconds - 0.2;
    if (!s->p->words) {
        s->words[s->n_words++] = (word){0.2, last, false};
        return;
    }
    double at = 0.25;
    while (s->n_words < MAX_WORDS) {
        const double length = 0.3 + 0.12 * synth_uniform(&s->state), pause = 0.13 + 0.07 * synth_uniform(&s->state);
        if (at + length > last)
            break;
        s->words[s->n_words] = (word){at, at + length, s->n_words % 2 == 1};
        s->n_words++;
        at += length + pause;
    }
}

static double pitch_at(const synth *s, double time)
{
    const synth_params *p = s->p;
    const double share = time / s->seconds;
    switch (p->contour) {
    case SYNTH_FLAT: return p->hz;
    case SYNTH_RISE: return p->hz * pow(p->end_hz / p->hz, fmin(1, fmax(0, (time - 0.2) / (s->seconds - 0.4))));
    case SYNTH_VIBRATO: return p->hz * exp2(sin(2 * PI * 5.5 * time) / 12);
    case SYNTH_SPOKEN: break;
    }
    return p->hz * (1.15 - 0.3 * share) * exp2(0.2 * sin(2 * PI * 2.2 * time) + 0.05 * sin(2 * PI * 7.1 * time));
}

/* ---- source ------------------------------------------------------------------------------------------------------------------ */

/* Flow through the glottis (A. Rosenberg, 1971, shape C): opens over 40 % of a period, closes over 16 %. */
static double flow(double phase)
{
    if (phase <= 0 || phase >= 0.56)
        return 0;
    return phase < 0.4 ? 0.5 - 0.5 * cos(PI * phase / 0.4) : cos(PI / 2 * (phase - 0.4) / 0.16);
}

/* The shape follows the contour, not the perturbed period: closures are then as far apart as the pulses. What is above the
 * band is filtered out (Hann, two samples wide): folded down it would beat with the pulses, 0.6 % of their energy. */
static void add_pulse(synth *s, double begin, double period, double height)
{
    enum { FINE = 8 };
    const double step = 1.0 / (FINE * SYNTH_RATE);
    const size_t first = (size_t)(begin * SYNTH_RATE), end = (size_t)((begin + 0.56 * period) * SYNTH_RATE) + 3;
    for (size_t i = first; i < end && i < s->n; i++) {
        const double middle = (double)i / SYNTH_RATE - begin;
        double before = flow((middle - (FINE - 0.5) * step) / period), sum = 0;
        for (int k = 1 - FINE; k < FINE; k++) {
            const double now = flow((middle + (k + 0.5) * step) / period);
            sum += (0.5 + 0.5 * cos(PI * k / FINE)) * (now - before);
            before = now;
        }
        s->sound[i] += height * sum * period * 400;
    }
}

static double difference(const double *values, size_t n, size_t neighbours)
{
    double sum = 0, mean = 0;
    const size_t half = neighbours / 2;
    for (size_t i = 0; i < n; i++)
        mean += values[i] / (double)n;
    if (neighbours == 1) {
        for (size_t i = 0; i + 1 < n; i++)
            sum += fabs(values[i] - values[i + 1]) / (double)(n - 1);
        return sum / mean;
    }
    for (size_t i = half; i + half < n; i++) {
        double around = 0;
        for (size_t j = i - half; j <= i + half; j++)
            around += values[j] / (double)neighbours;
        sum += fabs(values[i] - around) / (double)(n - 2 * half);
    }
    return sum / mean;
}

/* Pulses of one word. */
static void voice_word(synth *s, const word *w, synth_truth *truth)
{
    /* Neighbours of independent normal values differ by 2 / sqrt(pi) of their deviation in the mean. */
    const double deviation = sqrt(PI) / 2;
    size_t n = 0;
    for (double at = w->begin; at < w->end && n < s->cap; n++) {
        const double period = 1 / pitch_at(s, at);
        const double edge = s->p->words ? fmin(1, fmin(at - w->begin, w->end - at) / 0.02) : 1;
        const double height = 1 + s->p->shimmer * deviation * synth_normal(&s->state);
        add_pulse(s, at, period, height * (0.1 + 0.9 * edge));
        s->periods[n] = period * (1 + s->p->jitter * deviation * synth_normal(&s->state));
        s->heights[n] = height;
        at += s->periods[n];
    }
    if (n < TRAIL || truth == NULL)
        return;
    const double share = (double)n / (double)(truth->n_cycles + n);
    truth->jitter += share * (difference(s->periods, n, 1) - truth->jitter);
    truth->jitter_rap += share * (difference(s->periods, n, 3) - truth->jitter_rap);
    truth->shimmer += share * (difference(s->heights, n, 1) - truth->shimmer);
    truth->shimmer_apq += share * (difference(s->heights, n, 5) - truth->shimmer_apq);
    truth->n_cycles += n;
}

/* ---- filters ------------------------------------------------------------------------------------------------------------------ */

static double vowel_at(const synth *s, int formant, double time)
{
    if (s->p->still)
        return VOWEL_HZ[0][formant];
    const double place = time / 0.16;
    const int vowel = (int)place;
    const double blend = 0.5 - 0.5 * cos(PI * (place - vowel));
    return VOWEL_HZ[vowel % VOWELS][formant] * (1 - blend) + VOWEL_HZ[(vowel + 1) % VOWELS][formant] * blend;
}

static double formant_at(const synth *s, int formant, double time)
{
    const double hz = vowel_at(s, formant, time);
    return formant == 0 ? fmax(hz, 1.05 * pitch_at(s, time)) : hz;
}

static void shape(synth *s)
{
    for (int f = 0; f < FORMANTS; f++) {
        const double radius = exp(-PI * BANDWIDTH_HZ[f] / SYNTH_RATE);
        double y1 = 0, y2 = 0;
        for (size_t i = 0; i < s->n; i++) {
            const double angle = 2 * PI * formant_at(s, f, (double)i / SYNTH_RATE) / SYNTH_RATE;
            const double b = 2 * radius * cos(angle), c = -radius * radius;
            const double y = (1 - b - c) * s->sound[i] + b * y1 + c * y2;
            y2 = y1;
            s->sound[i] = y1 = y;
        }
    }
}

/* Noise of a fricative, 3 kHz and up, 20 dB below the voice. */
static void add_friction(synth *s, double begin, double end)
{
    double before = 0, before2 = 0;
    for (size_t i = (size_t)(begin * SYNTH_RATE); i < (size_t)(end * SYNTH_RATE) && i < s->n; i++) {
        const double x = synth_normal(&s->state);
        s->sound[i] += 0.003 * (x - 2 * before + before2);
        before2 = before;
        before = x;
    }
}

/* One section of a Butterworth filter of fourth order; q is that of its pole pair. */
static void section(float *samples, size_t n, double hz, double q, bool high)
{
    const double w = 2 * PI * hz / SYNTH_RATE, alpha = sin(w) / (2 * q), a0 = 1 + alpha;
    const double b1 = high ? -(1 + cos(w)) : 1 - cos(w), b0 = fabs(b1) / 2;
    double x1 = 0, x2 = 0, y1 = 0, y2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)samples[i];
        const double y = (b0 * x + b1 * x1 + b0 * x2 + 2 * cos(w) * y1 - (1 - alpha) * y2) / a0;
        x2 = x1, x1 = x;
        y2 = y1, y1 = y;
        samples[i] = (float)y;
    }
}

void synth_telephone(float *samples, size_t n)
{
    static const double q[2] = {0.5412, 1.3066};
    for (int i = 0; i < 2; i++) {
        section(samples, n, 300, q[i], true);
        section(samples, n, 3400, q[i], false);
    }
}

static double power_of_words(const synth *s)
{
    double sum = 0;
    size_t count = 0;
    for (size_t w = 0; w < s->n_words; w++)
        for (size_t i = (size_t)(s->words[w].begin * SYNTH_RATE); i < (size_t)(s->words[w].end * SYNTH_RATE); i++) {
            sum += s->sound[i] * s->sound[i];
            count++;
        }
    return sum / (double)count;
}

static void add_noise(synth *s)
{
    const double amplitude = sqrt(power_of_words(s) / pow(10, s->p->snr_db / 10));
    for (size_t i = 0; i < s->n; i++)
        s->sound[i] += amplitude * synth_normal(&s->state);
}

static void fill_reference(const synth *s, float *ret_f0)
{
    for (size_t i = 0; i < s->n / SYNTH_HOP; i++) {
        const double time = ((double)i + 0.5) * SYNTH_HOP / SYNTH_RATE;
        ret_f0[i] = 0;
        for (size_t w = 0; w < s->n_words; w++)
            if (time >= s->words[w].begin && time < s->words[w].end)
                ret_f0[i] = (float)pitch_at(s, time);
    }
}

void synth_voice(const synth_params *params, size_t n, float *ret_samples, float *ret_f0, synth_truth *ret_truth)
{
    synth s = {.p = params, .n = n, .seconds = (double)n / SYNTH_RATE, .state = params->seed};
    s.cap = n / 16;
    s.sound = calloc(n, sizeof *s.sound);
    s.periods = calloc(s.cap, sizeof *s.periods);
    s.heights = calloc(s.cap, sizeof *s.heights);
    if (s.sound == NULL || s.periods == NULL || s.heights == NULL)
        fail_msg("out of memory");
    if (ret_truth != NULL)
        *ret_truth = (synth_truth){0};
    plan_words(&s);
    for (size_t w = 0; w < s.n_words; w++)
        voice_word(&s, &s.words[w], ret_truth);
    if (!params->bare)
        shape(&s);
    const double gain = 0.1 / sqrt(power_of_words(&s)); /* -20 dB: room for the peaks */
    for (size_t i = 0; i < n; i++)
        s.sound[i] *= gain;
    for (size_t w = 0; w < s.n_words; w++)
        if (s.words[w].friction)
            add_friction(&s, s.words[w].end, s.words[w].end + 0.08);
    if (params->noisy)
        add_noise(&s);
    for (size_t i = 0; i < n; i++)
        ret_samples[i] = (float)s.sound[i];
    if (params->telephone)
        synth_telephone(ret_samples, n);
    fill_reference(&s, ret_f0);
    free(s.sound);
    free(s.periods);
    free(s.heights);
}
