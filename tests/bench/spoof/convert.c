/* convert.c - the voice made another: its melody, its formants, its mean spectrum.
 * Owns:   those three, and all of them towards another speaker. Does not: move cycles (grains.h), stretch (stretch.c).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/grains.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

enum { WINDOW = 480, N = 512, HOP = 120, BINS = N / 2 + 1, ORDER = 18 };
#define HZ_PER_BIN ((double)LAB_RATE / N)

void shift_pitch(const voice *v, double factor, float *ret)
{
    grains_move(v, factor, NULL, NULL, ret);
}

void shift_all(const float *samples, size_t n, double factor, float *ret)
{
    const size_t n_long = stretched_length(n, factor);
    float *slow = lab_alloc(n_long, sizeof *slow);
    stretch_phases(samples, n, factor, slow);
    if (factor > 1)
        lab_cut_above(0.95 * LAB_RATE / 2 / factor, 12, slow, n_long);
    for (size_t i = 0; i < n; i++)
        ret[i] = (float)voice_read(slow, n_long, (double)i * factor);
    free(slow);
}

/* ---- formants -------------------------------------------------------------------------------------------------------- */

void warp_formants(const float *samples, size_t n, double factor, float *ret)
{
    stft s = stft_of(samples, n, WINDOW, N, HOP);
    float envelope[BINS];
    for (size_t t = 0; t < s.n_frames; t++) {
        float *bins = stft_frame(&s, t);
        double a[ORDER + 1], gain;
        if (!envelope_predict(&s.d, WINDOW, bins, ORDER, a, &gain))
            continue;
        envelope_of_predictor(&s.d, a, ORDER, envelope);
        for (int k = 0; k < BINS; k++) {
            /* At most 20 dB: where a peak moves into a valley, the valley's noise would come up with it. */
            const double lift = 0.5 * (envelope_read(envelope, BINS, k / factor) - (double)envelope[k]);
            const float times = (float)exp(fmax(-2.3, fmin(2.3, lift)));
            bins[2 * k] *= times;
            bins[2 * k + 1] *= times;
        }
    }
    stft_invert(&s, n, ret);
    stft_done(&s);
}

/* Mean over the voiced frames of ln of the envelope. */
static void mean_envelope(const voice *v, float ret[BINS])
{
    stft s = stft_of(v->samples, v->n, WINDOW, N, VOICE_HOP);
    float envelope[BINS];
    double sum[BINS] = {0}, n = 0;
    for (size_t t = 0; t < s.n_frames; t++) {
        double a[ORDER + 1], gain;
        if (!(voice_f0(v, (double)t * VOICE_HOP) > 0) ||
            !envelope_predict(&s.d, WINDOW, stft_frame(&s, t), ORDER, a, &gain))
            continue;
        envelope_of_predictor(&s.d, a, ORDER, envelope);
        for (int k = 0; k < BINS; k++)
            sum[k] += (double)envelope[k];
        n++;
    }
    for (int k = 0; k < BINS; k++)
        ret[k] = (float)(sum[k] / fmax(n, 1));
    stft_done(&s);
}

/* Correlation of one envelope, moved up by the ratio, with another where vowels have their formants. */
static double fit(const float *a, const float *b, double ratio)
{
    double n = 0, sa = 0, sb = 0, ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < 120; i++) { /* 300 to 3,200 Hz */
        const double hz = 300 * pow(1.02, i), x = envelope_read(a, BINS, hz / ratio / HZ_PER_BIN),
                     y = envelope_read(b, BINS, hz / HZ_PER_BIN);
        n++;
        sa += x;
        sb += y;
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    return (ab - sa * sb / n) / sqrt((aa - sa * sa / n) * (bb - sb * sb / n) + 1e-12);
}

double formant_ratio(const voice *v, const voice *other)
{
    float mine[BINS], theirs[BINS];
    mean_envelope(v, mine);
    mean_envelope(other, theirs);
    double best = 1, most = -2;
    for (int percent = 80; percent <= 125; percent++) {
        const double now = fit(mine, theirs, percent / 100.0);
        if (now > most) {
            most = now;
            best = percent / 100.0;
        }
    }
    return best;
}

/* ---- another speaker -------------------------------------------------------------------------------------------------- */

/* ln of the mean power, smoothed over 300 Hz. */
static void mean_spectrum(const stft *s, float ret[BINS])
{
    memset(ret, 0, BINS * sizeof *ret);
    for (size_t t = 0; t < s->n_frames; t++)
        for (int k = 0; k < BINS; k++)
            ret[k] += (float)(bin_power(stft_frame(s, t) + 2 * k) / (double)s->n_frames);
    envelope_smooth(&s->d, 300, ret);
}

static void move_spectrum(const float *like, size_t n_like, double share, float *samples, size_t n)
{
    stft mine = stft_of(samples, n, WINDOW, N, HOP), theirs = stft_of(like, n_like, WINDOW, N, HOP);
    float is[BINS], wanted[BINS];
    mean_spectrum(&mine, is);
    mean_spectrum(&theirs, wanted);
    double middle = 0; /* the level stays */
    for (int k = 0; k < BINS; k++)
        middle += (double)(wanted[k] - is[k]) / BINS;
    for (int k = 0; k < BINS; k++) {
        const double lift = 0.5 * share * ((double)(wanted[k] - is[k]) - middle);
        const float times = (float)exp(fmax(-1.4, fmin(1.4, lift))); /* 12 dB */
        for (size_t t = 0; t < mine.n_frames; t++) {
            stft_frame(&mine, t)[2 * k] *= times;
            stft_frame(&mine, t)[2 * k + 1] *= times;
        }
    }
    stft_invert(&mine, n, samples);
    stft_done(&mine);
    stft_done(&theirs);
}

void convert_voice(const voice *v, const voice *other, double share, float *ret)
{
    const double melody = pow(voice_mean_f0(other) / voice_mean_f0(v), share);
    float *pitched = lab_alloc(v->n, sizeof *pitched);
    shift_pitch(v, fmax(0.5, fmin(2, melody)), pitched);
    warp_formants(pitched, v->n, pow(formant_ratio(v, other), share), ret);
    move_spectrum(other->samples, other->n, share, ret, v->n);
    free(pitched);
}

/* ---- every cycle bent ------------------------------------------------------------------------------------------------- */

typedef struct {
    dft d;
    double alpha;
    float bins[GRAIN + 2], bent[GRAIN + 2];
} bend;

static void bend_grain(void *ctx, float grain[GRAIN])
{
    bend *b = ctx;
    dft_forward(&b->d, grain, 1, b->bins);
    for (int k = 1; k <= GRAIN / 2; k += 2) { /* as seen from the mark, so that neighbours differ little */
        b->bins[2 * k] *= -1;
        b->bins[2 * k + 1] *= -1;
    }
    for (int k = 0; k <= GRAIN / 2; k++) {
        const double angle = 2 * LAB_PI * k / GRAIN;
        const double from = angle - 2 * atan(b->alpha * sin(angle) / (1 + b->alpha * cos(angle)));
        const double at = from / (2 * LAB_PI) * GRAIN;
        const int i = (int)fmin(fmax(at, 0), GRAIN_MARK - 1);
        const float part = (float)(at - i), sign = k % 2 == 0 ? 1 : -1;
        for (int c = 0; c < 2; c++)
            b->bent[2 * k + c] = sign * ((1 - part) * b->bins[2 * i + c] + part * b->bins[2 * i + 2 + c]);
    }
    dft_inverse(&b->d, b->bent, 1, grain);
}

void warp_cycles(const voice *v, double alpha, float *ret)
{
    bend *b = lab_alloc(1, sizeof *b);
    b->d = dft_make(GRAIN);
    b->alpha = alpha;
    grains_move(v, 1, bend_grain, b, ret);
    dft_done(&b->d);
    free(b);
}
