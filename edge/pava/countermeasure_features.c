/* countermeasure_features.c - rows over time from spectrum and envelopes.
 * Owns:   see the header. Does not: transform (shared/audio/fft.h). models/train_countermeasure.py trains on what this code
 *         measures, by way of tests/tools/countermeasure_features.c: there is no second implementation.
 */
#include "edge/pava/countermeasure_features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/fft.h"
#include "shared/base/bytes.h"

enum {
    BINS_A_BAND = 4,
    LOWEST_BIN = 3, /* as the levels of the spectrogram: below lie rumble and hum */
    BEFORE = 20,    /* frames before the first speech */
    AFTER = 30,     /* and after the last */

    /* Envelopes: short enough to show single pulses of a voice of 250 Hz, at the price of bands of 500 Hz. */
    WINDOW = 64, /* samples */
    STEP = 16,
    STEPS_A_FRAME = VX_PAVA_HOP / STEP,
    AROUND = 24, /* steps around a frame's middle that are looked at: two cycles of 83 Hz */
    MARGIN = (AROUND - STEPS_A_FRAME) / 2,
};
static const float FLOOR = 1e-6F; /* of the level of speech */
static const double PI = 3.14159265358979323846;

/* ---- where to look --------------------------------------------------------------------------------------------------- */

static vx_trace_stretch most_speech(const vx_spectrogram *s, const vx_trace_stretch *whole)
{
    vx_trace_stretch here = {.first = whole->first, .n = VX_TRACE_FRAMES_MAX};
    for (size_t i = 0; i < here.n; i++)
        here.n_speech += s->speech[here.first + i];
    vx_trace_stretch best = here;
    while (here.first + here.n < whole->first + whole->n) {
        here.n_speech += s->speech[here.first + here.n];
        here.n_speech -= s->speech[here.first++];
        if (here.n_speech > best.n_speech)
            best = here;
    }
    return best;
}

vx_err vx_trace_choose(const vx_spectrogram *s, vx_trace_stretch *ret_stretch)
{
    if (s->n_speech < VX_TRACE_SPEECH_MIN)
        return VX_ERR_RANGE;
    size_t first = 0, last = s->n_frames - 1;
    while (!s->speech[first])
        first++;
    while (!s->speech[last])
        last--;
    first = first > BEFORE ? first - BEFORE : 0;
    last = last + AFTER < s->n_frames ? last + AFTER : s->n_frames - 1;
    vx_trace_stretch stretch = {.first = first, .n = last - first + 1, .n_speech = s->n_speech};
    if (stretch.n > VX_TRACE_FRAMES_MAX)
        stretch = most_speech(s, &stretch);
    if (stretch.n_speech < VX_TRACE_SPEECH_MIN)
        return VX_ERR_RANGE;
    *ret_stretch = stretch;
    return VX_OK;
}

/* Mean square of the frames with speech; speech is never silent. */
static float level_of_speech(const vx_spectrogram *s, const vx_trace_stretch *stretch)
{
    double sum = 0;
    for (size_t t = stretch->first; t < stretch->first + stretch->n; t++)
        sum += s->speech[t] ? (double)s->level[t] : 0;
    return (float)(sum / (double)stretch->n_speech);
}

/* ---- bands ----------------------------------------------------------------------------------------------------------- */

static void measure_bands(const vx_spectrogram *s, const vx_trace_stretch *stretch, float level, float *rows, size_t ld)
{
    for (size_t t = 0; t < stretch->n; t++) {
        const float *power = s->power + (stretch->first + t) * VX_PAVA_BINS;
        for (size_t band = 0; band < VX_TRACE_BANDS; band++) {
            const size_t end = (band + 1) * BINS_A_BAND + 1, begin = band == 0 ? LOWEST_BIN : end - BINS_A_BAND;
            float sum = 0;
            for (size_t k = begin; k < end; k++)
                sum += power[k];
            rows[band * ld + t] = 0.5F * logf(sum / ((float)(end - begin) * level) + FLOOR);
        }
    }
}

/* ---- envelopes ------------------------------------------------------------------------------------------------------- */

/* One step: what 16 bands hold. */
typedef struct {
    float amplitude[VX_TRACE_PULSES], log_power[VX_TRACE_PULSES];
} step;

typedef struct {
    vx_fft *fft;
    const vx_fft_kernel *kernel;
    float *data, *work; /* the transform's buffers; one block */
    size_t bytes;       /* of that block */
    float window[WINDOW];
    step *steps; /* [n_steps] the first is MARGIN before the stretch */
    size_t n_steps;
} envelopes;

static void envelopes_done(envelopes *e)
{
    if (e->data != NULL)
        vx_wipe(e->data, e->bytes);
    if (e->steps != NULL)
        vx_wipe(e->steps, e->n_steps * sizeof *e->steps);
    free(e->data);
    free(e->steps);
    vx_fft_destroy(e->fft);
}

/* After a failure too, e is for envelopes_done. */
static vx_err envelopes_init(envelopes *e, size_t n_frames)
{
    memset(e, 0, sizeof *e);
    e->kernel = vx_fft_kernel_for(vx_isa_best());
    const size_t floats = VX_FFT_BUFFER_FLOATS(WINDOW, e->kernel->lanes);
    const size_t bytes = (floats * sizeof(float) + VX_FFT_ALIGN - 1) / VX_FFT_ALIGN * VX_FFT_ALIGN;
    e->data = aligned_alloc(VX_FFT_ALIGN, 2 * bytes);
    e->n_steps = n_frames * STEPS_A_FRAME + 2 * MARGIN;
    e->steps = calloc(e->n_steps, sizeof *e->steps);
    if (e->data == NULL || e->steps == NULL) {
        e->bytes = e->data == NULL ? 0 : 2 * bytes;
        return VX_ERR_NOMEM;
    }
    e->bytes = 2 * bytes;
    e->work = e->data + bytes / sizeof(float);

    double energy = 0;
    for (int i = 0; i < WINDOW; i++)
        energy += pow(sin(PI * (i + 0.5) / WINDOW), 4);
    for (int i = 0; i < WINDOW; i++)
        e->window[i] = (float)(pow(sin(PI * (i + 0.5) / WINDOW), 2) / sqrt(energy));
    return vx_fft_create(WINDOW, &e->fft);
}

/* Steps `index` to index + lanes - 1, or to the last. start: sample at which step 0 begins, as far as there are any. */
static void compute_batch(envelopes *e, const float *samples, size_t n, ptrdiff_t start, float level, size_t index)
{
    const size_t lanes = (size_t)e->kernel->lanes;
    const size_t count = e->n_steps - index < lanes ? e->n_steps - index : lanes;
    memset(e->data, 0, WINDOW * lanes * sizeof(float));
    for (size_t lane = 0; lane < count; lane++) {
        const ptrdiff_t at = start + (ptrdiff_t)((index + lane) * STEP) - (WINDOW - STEP) / 2, end = (ptrdiff_t)n - at;
        for (ptrdiff_t i = at < 0 ? -at : 0; i < WINDOW && i < end; i++)
            e->data[(size_t)i * lanes + lane] = e->window[i] * samples[at + i];
    }
    const float *spectrum = e->kernel->forward(e->fft, e->data, e->work);
    for (size_t lane = 0; lane < count; lane++)
        for (size_t band = 0; band < VX_TRACE_PULSES; band++) {
            const float *bin = spectrum + 2 * (2 * band + 1) * lanes + lane; /* 250 Hz, 750 Hz, ... */
            const float power = (bin[0] * bin[0] + bin[lanes] * bin[lanes]) / level + FLOOR;
            e->steps[index + lane].amplitude[band] = sqrtf(power);
            e->steps[index + lane].log_power[band] = logf(power);
        }
}

/* ret [out] of one frame: VX_TRACE_PULSES logarithms of the mean over the geometric mean of the power, then the correlations
 * of the amplitudes of neighbouring bands. Loops run over bands, so that a compiler may make vectors of them. */
static void compare(const step *around, float ret[2 * VX_TRACE_PULSES - 1])
{
    float mean[VX_TRACE_PULSES] = {0}, power[VX_TRACE_PULSES] = {0}, logs[VX_TRACE_PULSES] = {0};
    float varies[VX_TRACE_PULSES] = {0}, both[VX_TRACE_PULSES] = {0}; /* both[0] stays 0: it has no lower neighbour */
    for (int i = 0; i < AROUND; i++)
        for (int b = 0; b < VX_TRACE_PULSES; b++) {
            const float a = around[i].amplitude[b];
            mean[b] += a / AROUND;
            power[b] += a * a / AROUND;
            logs[b] += around[i].log_power[b] / AROUND;
        }
    for (int i = 0; i < AROUND; i++) {
        float d[VX_TRACE_PULSES];
        for (int b = 0; b < VX_TRACE_PULSES; b++)
            d[b] = around[i].amplitude[b] - mean[b];
        for (int b = 0; b < VX_TRACE_PULSES; b++)
            varies[b] += d[b] * d[b];
        for (int b = 1; b < VX_TRACE_PULSES; b++)
            both[b] += d[b] * d[b - 1];
    }
    for (int b = 0; b < VX_TRACE_PULSES; b++)
        ret[b] = logf(power[b]) - logs[b];
    /* Where there is only the floor nothing varies, and nothing does so together. */
    for (int b = 1; b < VX_TRACE_PULSES; b++)
        ret[VX_TRACE_PULSES - 1 + b] = both[b] / (sqrtf(varies[b] * varies[b - 1]) + FLOOR);
}

vx_err vx_trace_measure(const float *samples, size_t n, const vx_spectrogram *s, const vx_trace_stretch *stretch,
                        float *ret_rows, size_t ld)
{
    const float level = level_of_speech(s, stretch);
    const ptrdiff_t start = (ptrdiff_t)(stretch->first * VX_PAVA_HOP) - MARGIN * STEP;
    envelopes e;
    const vx_err err = envelopes_init(&e, stretch->n);
    if (err != VX_OK)
        goto out;
    measure_bands(s, stretch, level, ret_rows, ld);
    for (size_t i = 0; i < e.n_steps; i += (size_t)e.kernel->lanes)
        compute_batch(&e, samples, n, start, level, i);
    for (size_t t = 0; t < stretch->n; t++) {
        float column[VX_TRACE_ROWS - VX_TRACE_BANDS];
        compare(e.steps + t * STEPS_A_FRAME, column);
        for (size_t row = VX_TRACE_BANDS; row < VX_TRACE_ROWS; row++)
            ret_rows[row * ld + t] = column[row - VX_TRACE_BANDS];
    }
out:
    envelopes_done(&e);
    return err;
}

void vx_trace_level_bands(const vx_spectrogram *s, const vx_trace_stretch *stretch, float *rows, size_t ld)
{
    const bool *speech = s->speech + stretch->first;
    for (size_t band = 0; band < VX_TRACE_BANDS; band++) {
        float *row = rows + band * ld;
        double sum = 0;
        for (size_t t = 0; t < stretch->n; t++)
            sum += speech[t] ? (double)row[t] : 0;
        const float mean = (float)(sum / (double)stretch->n_speech);
        for (size_t t = 0; t < stretch->n; t++)
            row[t] -= mean;
    }
}
