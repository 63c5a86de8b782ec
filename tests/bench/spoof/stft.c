/* stft.c - see stft.h. */
#include "tests/bench/spoof/stft.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"

enum { LANES = 4 }; /* of vx_fft_scalar */

dft dft_make(int n)
{
    dft d = {.n = n,
             .data = lab_alloc(VX_FFT_BUFFER_FLOATS(n, LANES), sizeof(float)),
             .work = lab_alloc(VX_FFT_BUFFER_FLOATS(n, LANES), sizeof(float))};
    if (vx_fft_create(n, &d.plan) != VX_OK)
        abort();
    return d;
}

void dft_done(dft *d)
{
    vx_fft_destroy(d->plan);
    free(d->data);
    free(d->work);
    *d = (dft){0};
}

void dft_forward(const dft *d, const float *rows, size_t n_rows, float *ret_bins)
{
    const size_t n = (size_t)d->n, values = n + 2;
    for (size_t row = 0; row < n_rows; row += LANES) {
        const size_t lanes = n_rows - row < LANES ? n_rows - row : LANES;
        memset(d->data, 0, n * LANES * sizeof *d->data);
        for (size_t lane = 0; lane < lanes; lane++)
            for (size_t i = 0; i < n; i++)
                d->data[i * LANES + lane] = rows[(row + lane) * n + i];
        const float *out = vx_fft_scalar.forward(d->plan, d->data, d->work);
        for (size_t lane = 0; lane < lanes; lane++)
            for (size_t i = 0; i < values; i++)
                ret_bins[(row + lane) * values + i] = out[i * LANES + lane];
    }
}

/* With X = A + iB, A is even and B odd around the circle, so the transform of the real sequence A + B is
 * sum(A cos) - i sum(B sin): its two parts together are the signal, and their difference the signal backwards. */
void dft_inverse(const dft *d, const float *bins, size_t n_rows, float *ret_rows)
{
    const size_t n = (size_t)d->n, values = n + 2;
    float *folded = lab_alloc(n, sizeof(float)), *turned = lab_alloc(values, sizeof(float));
    for (size_t row = 0; row < n_rows; row++) {
        const float *x = bins + row * values;
        float *signal = ret_rows + row * n;
        folded[0] = x[0];
        folded[n / 2] = x[n];
        for (size_t k = 1; k < n / 2; k++) {
            folded[k] = x[2 * k] + x[2 * k + 1];
            folded[n - k] = x[2 * k] - x[2 * k + 1];
        }
        dft_forward(d, folded, 1, turned);
        const float scale = 1.0F / (float)n;
        signal[0] = turned[0] * scale;
        signal[n / 2] = turned[n] * scale;
        for (size_t i = 1; i < n / 2; i++) {
            signal[i] = (turned[2 * i] + turned[2 * i + 1]) * scale;
            signal[n - i] = (turned[2 * i] - turned[2 * i + 1]) * scale;
        }
    }
    free(folded);
    free(turned);
}

void dft_frame(const dft *d, const float *samples, size_t n_samples, double window, long middle, float *ret_bins)
{
    float *row = lab_alloc((size_t)d->n, sizeof *row);
    const long half = (long)fmin(ceil(window / 2), 0.5 * d->n);
    for (long i = -half; i < half; i++) {
        const bool inside = middle + i >= 0 && middle + i < (long)n_samples && fabs((double)i) < window / 2;
        /* Turned so that the middle is the first sample: the phases are those at the middle. */
        row[i < 0 ? i + d->n : i] =
            inside ? (float)(0.5 + 0.5 * cos(2 * LAB_PI * (double)i / window)) * samples[middle + i] : 0;
    }
    dft_forward(d, row, 1, ret_bins);
    free(row);
}

static float *hann(int window)
{
    float *w = lab_alloc((size_t)window, sizeof(float));
    for (int i = 0; i < window; i++)
        w[i] = (float)(0.5 - 0.5 * cos(2 * LAB_PI * (i + 0.5) / window));
    return w;
}

stft stft_of(const float *samples, size_t n_samples, int window, int n, int hop)
{
    stft s = {.d = dft_make(n), .window = window, .hop = hop, .n_frames = n_samples / (size_t)hop + 1};
    s.bins = lab_alloc(s.n_frames * ((size_t)n + 2), sizeof(float));
    float *w = hann(window), *rows = lab_alloc(LANES * (size_t)n, sizeof(float));
    for (size_t t = 0; t < s.n_frames; t += LANES) {
        const size_t lanes = s.n_frames - t < LANES ? s.n_frames - t : LANES;
        for (size_t lane = 0; lane < lanes; lane++)
            for (long i = 0; i < window; i++) {
                const long at = (long)(t + lane) * hop - window / 2 + i;
                const bool inside = at >= 0 && at < (long)n_samples;
                rows[lane * (size_t)n + (size_t)i] = inside ? w[i] * samples[at] : 0;
            }
        dft_forward(&s.d, rows, lanes, stft_frame(&s, t));
    }
    free(w);
    free(rows);
    return s;
}

void stft_done(stft *s)
{
    dft_done(&s->d);
    free(s->bins);
    *s = (stft){0};
}

void stft_invert(const stft *s, size_t n_samples, float *ret_samples)
{
    float *w = hann(s->window), *row = lab_alloc((size_t)s->d.n, sizeof(float)),
          *weight = lab_alloc(n_samples, sizeof(float));
    memset(ret_samples, 0, n_samples * sizeof *ret_samples);
    for (size_t t = 0; t < s->n_frames; t++) {
        dft_inverse(&s->d, stft_frame(s, t), 1, row);
        for (long i = 0; i < s->window; i++) {
            const long at = (long)t * s->hop - s->window / 2 + i;
            if (at < 0 || at >= (long)n_samples)
                continue;
            ret_samples[at] += w[i] * row[i];
            weight[at] += w[i] * w[i];
        }
    }
    for (size_t i = 0; i < n_samples; i++)
        ret_samples[i] /= fmaxf(weight[i], 1e-4F);
    free(w);
    free(row);
    free(weight);
}
