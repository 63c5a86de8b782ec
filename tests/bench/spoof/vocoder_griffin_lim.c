/* vocoder_griffin_lim.c - phases made up for a spectrogram.
 * Owns:   the iteration, and the reduction to mel bands. Does not: use anything of the recording but its magnitudes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"

static double mel(double hz)
{
    return 2595 * log10(1 + hz / 700);
}

/* Mean power in triangles a mel band wide, and lines drawn between those means: what is left of a spectrum that went
 * through a mel spectrogram. */
static void through_mel(float *magnitude, size_t n_bins, int n_bands)
{
    const size_t n = (size_t)n_bands;
    double *sum = lab_alloc(n, sizeof *sum), *weight = lab_alloc(n, sizeof *weight);
    float *mean = lab_alloc(n, sizeof *mean);
    const double top = mel(LAB_RATE / 2.0);
    for (size_t k = 0; k < n_bins; k++) {
        const double at = mel((double)k * LAB_RATE / 2 / (double)(n_bins - 1)) / top * (n_bands - 1);
        const size_t band = (size_t)fmin(at, n_bands - 2);
        const double part = at - (double)band, power = (double)magnitude[k] * (double)magnitude[k];
        sum[band] += (1 - part) * power;
        weight[band] += 1 - part;
        sum[band + 1] += part * power;
        weight[band + 1] += part;
    }
    /* Low bands may be narrower than a bin and hold none; they take their neighbour's. */
    for (size_t b = 0; b < n; b++)
        mean[b] = weight[b] > 1e-9 ? (float)sqrt(sum[b] / weight[b]) : (b > 0 ? mean[b - 1] : 0);
    for (size_t k = 0; k < n_bins; k++) {
        const double at = mel((double)k * LAB_RATE / 2 / (double)(n_bins - 1)) / top * (n_bands - 1);
        magnitude[k] = (float)envelope_read(mean, n, at);
    }
    free(sum);
    free(weight);
    free(mean);
}

void vocode_griffin_lim(const float *samples, size_t n, int window, int bands, int rounds, uint64_t *state, float *ret)
{
    stft s = stft_of(samples, n, window, window, window / 4);
    const size_t n_bins = stft_n_bins(&s), all = n_bins * s.n_frames;
    float *magnitude = lab_alloc(all, sizeof *magnitude);
    for (size_t i = 0; i < all; i++)
        magnitude[i] = (float)sqrt(bin_power(s.bins + 2 * i));
    for (size_t t = 0; t < s.n_frames && bands > 0; t++)
        through_mel(magnitude + t * n_bins, n_bins, bands);
    for (size_t i = 0; i < all; i++) {
        const double angle = lab_uniform(state, -LAB_PI, LAB_PI);
        s.bins[2 * i] = (float)((double)magnitude[i] * cos(angle));
        s.bins[2 * i + 1] = (float)((double)magnitude[i] * sin(angle));
    }
    for (int round = 0; round < rounds; round++) {
        stft_invert(&s, n, ret);
        stft next = stft_of(ret, n, window, window, window / 4);
        for (size_t i = 0; i < all; i++) {
            const float size = (float)sqrt(bin_power(next.bins + 2 * i)), gain = magnitude[i] / fmaxf(size, 1e-12F);
            s.bins[2 * i] = next.bins[2 * i] * gain;
            s.bins[2 * i + 1] = next.bins[2 * i + 1] * gain;
        }
        stft_done(&next);
    }
    stft_invert(&s, n, ret);
    free(magnitude);
    stft_done(&s);
}
