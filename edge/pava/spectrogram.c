/* spectrogram.c - short-time power spectra, the level of each frame, and which frames hold speech.
 * Owns:   batching frames into the lanes of the transform, the rule for speech. Does not: transform (shared/audio/fft.h).
 */
#include "edge/pava/spectrogram.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fft.h"
#include "shared/base/bytes.h"

enum {
    /* Of a frame's window, before its first own sample: both have one middle. */
    LEAD = (VX_PAVA_WINDOW - VX_PAVA_HOP) / 2,
    LOWEST_BIN = 3, /* 78 Hz and up: below are rumble, hum of 50 Hz and what a hand does to a microphone */
};

/* Speech. A tenth of any recording of words is pauses or closures, so that share shows the floor; a fiftieth is 60 ms of
 * 3 s, more than the clicks of a key or a switch. Frames of steady noise scatter by some 1.5 dB around their mean: 6 dB are
 * four deviations. 35 dB below the peak lie weak fricatives, not yet what a room leaves of a vowel. */
#define FLOOR_QUANTILE 0.10
#define PEAK_QUANTILE  0.98
#define OVER_FLOOR     4.0f
#define UNDER_PEAK     3.2e-4f
#define LEAST_LEVEL    1e-8f

static const double PI = 3.14159265358979323846;

typedef struct {
    vx_fft *fft;
    const vx_fft_kernel *kernel;
    float *data, *work; /* the transform's buffers; one block */
    size_t bytes;       /* of that block */
    float window[VX_PAVA_WINDOW];
} transform;

static vx_err transform_init(transform *t)
{
    memset(t, 0, sizeof *t);
    t->kernel = vx_fft_kernel_for(vx_isa_best());
    const size_t floats = VX_FFT_BUFFER_FLOATS(VX_PAVA_FFT, t->kernel->lanes);
    const size_t bytes = (floats * sizeof(float) + VX_FFT_ALIGN - 1) / VX_FFT_ALIGN * VX_FFT_ALIGN;
    t->data = aligned_alloc(VX_FFT_ALIGN, 2 * bytes);
    if (t->data == NULL)
        return VX_ERR_NOMEM;
    t->bytes = 2 * bytes;
    t->work = t->data + bytes / sizeof(float);

    double energy = 0;
    for (int i = 0; i < VX_PAVA_WINDOW; i++) {
        const double s = sin(PI * (i + 0.5) / VX_PAVA_WINDOW);
        t->window[i] = (float)(s * s);
        energy += s * s * s * s;
    }
    for (int i = 0; i < VX_PAVA_WINDOW; i++)
        t->window[i] *= (float)(1 / sqrt(energy));
    return vx_fft_create(VX_PAVA_FFT, &t->fft);
}

static void transform_done(transform *t)
{
    if (t->data != NULL)
        vx_wipe(t->data, t->bytes);
    free(t->data);
    vx_fft_destroy(t->fft);
}

/* Frame `index`, windowed, into one lane; what the signal does not have is zero. */
static void load_frame(const transform *t, const float *samples, size_t n, size_t index, int lane)
{
    const size_t lanes = (size_t)t->kernel->lanes, at = index * VX_PAVA_HOP;
    const size_t first = at < LEAD ? LEAD - at : 0;
    const size_t rest = n + LEAD - at, end = rest < VX_PAVA_WINDOW ? rest : VX_PAVA_WINDOW;
    float *to = t->data + lane;
    for (size_t i = first; i < end; i++)
        to[i * lanes] = t->window[i] * samples[at + i - LEAD];
}

/* Power and level of frames `index` to index + lanes - 1, or to the last. */
static void compute_batch(const transform *t, const float *samples, size_t n, size_t index, vx_spectrogram *s)
{
    const int lanes = t->kernel->lanes;
    const size_t row = (size_t)lanes;
    memset(t->data, 0, VX_PAVA_FFT * row * sizeof(float));
    for (int lane = 0; lane < lanes && index + (size_t)lane < s->n_frames; lane++)
        load_frame(t, samples, n, index + (size_t)lane, lane);
    const float *spectrum = t->kernel->forward(t->fft, t->data, t->work);

    for (size_t lane = 0; lane < row && index + lane < s->n_frames; lane++) {
        float *power = s->power + (index + lane) * VX_PAVA_BINS;
        float sum = 0;
        for (size_t k = 0; k < VX_PAVA_BINS; k++) {
            const float re = spectrum[2 * k * row + lane], im = spectrum[(2 * k + 1) * row + lane];
            power[k] = re * re + im * im;
            sum += k >= LOWEST_BIN ? power[k] : 0;
        }
        /* Parseval: every bin but the last stands for two of the circle. */
        s->level[index + lane] = (2 * sum - power[VX_PAVA_BINS - 1]) / VX_PAVA_FFT;
    }
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Fills the fields of the speech rule. sorted: room for n_frames. */
static void find_speech(vx_spectrogram *s, float *sorted)
{
    memcpy(sorted, s->level, s->n_frames * sizeof *sorted);
    qsort(sorted, s->n_frames, sizeof *sorted, by_value);
    s->floor_level = sorted[(size_t)(FLOOR_QUANTILE * (double)(s->n_frames - 1))];
    s->peak_level = sorted[(size_t)(PEAK_QUANTILE * (double)(s->n_frames - 1) + 0.5)];
    const float threshold = fmaxf(fmaxf(OVER_FLOOR * s->floor_level, UNDER_PEAK * s->peak_level), LEAST_LEVEL);
    for (size_t i = 0; i < s->n_frames; i++) {
        s->speech[i] = s->level[i] > threshold;
        s->n_speech += s->speech[i];
    }
}

static bool levels_are_finite(const vx_spectrogram *s)
{
    for (size_t i = 0; i < s->n_frames; i++)
        if (!(s->level[i] <= FLT_MAX))
            return false;
    return true;
}

vx_err vx_spectrogram_compute(const float *samples, size_t n, vx_spectrogram *ret)
{
    if (n < VX_PAVA_WINDOW)
        return VX_ERR_RANGE;
    vx_spectrogram s = {.n_frames = n / VX_PAVA_HOP};
    transform t;
    vx_err err = transform_init(&t);
    s.power = calloc(s.n_frames, VX_PAVA_BINS * sizeof *s.power);
    s.level = calloc(s.n_frames, sizeof *s.level);
    s.speech = calloc(s.n_frames, sizeof *s.speech);
    float *sorted = calloc(s.n_frames, sizeof *sorted);
    if (err == VX_OK && (s.power == NULL || s.level == NULL || s.speech == NULL || sorted == NULL))
        err = VX_ERR_NOMEM;
    if (err != VX_OK)
        goto out;

    for (size_t i = 0; i < s.n_frames; i += (size_t)t.kernel->lanes)
        compute_batch(&t, samples, n, i, &s);
    if (!levels_are_finite(&s)) {
        err = VX_ERR_RANGE;
        goto out;
    }
    find_speech(&s, sorted);
    *ret = s;
    s = (vx_spectrogram){0};
out:
    free(sorted);
    transform_done(&t);
    vx_spectrogram_done(&s);
    return err;
}

void vx_spectrogram_done(vx_spectrogram *s)
{
    if (s->power != NULL)
        vx_wipe(s->power, s->n_frames * VX_PAVA_BINS * sizeof *s->power);
    if (s->level != NULL)
        vx_wipe(s->level, s->n_frames * sizeof *s->level);
    if (s->speech != NULL)
        vx_wipe(s->speech, s->n_frames * sizeof *s->speech);
    free(s->power);
    free(s->level);
    free(s->speech);
    *s = (vx_spectrogram){0};
}
