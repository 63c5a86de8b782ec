/* countermeasure_features.c - rows over time from spectrum, envelopes and samples.
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
    LOWEST_BIN = 3, /* as the levels of the spectrogram: below lie rumble and hum */
    BINS_A_BAND = 4,
    BINS_A_COMB = 16,
    BEFORE = 20, /* frames before the first speech */
    AFTER = 30,  /* and after the last */

    ENVELOPES = VX_TRACE_ENVELOPES,
    /* Of 4 ms told less: converted voices of kinds never trained on by 22 % instead of 18 %, at equal errors. */
    WINDOW = 32, /* samples */
    STEP = 16,
    STEPS_A_FRAME = VX_PAVA_HOP / STEP,
    AROUND = 24, /* steps around a frame's middle that are looked at: two cycles of 83 Hz */
    MARGIN = (AROUND - STEPS_A_FRAME) / 2,
};
static const float FLOOR = 1e-7F; /* of the level of speech: a power */
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
static double level_of_speech(const vx_spectrogram *s, const vx_trace_stretch *stretch)
{
    double sum = 0;
    for (size_t t = stretch->first; t < stretch->first + stretch->n; t++)
        sum += s->speech[t] ? (double)s->level[t] : 0;
    return sum / (double)stretch->n_speech;
}

/* ---- spectrum -------------------------------------------------------------------------------------------------------- */

static void measure_power(const float *power, float level, float ret[VX_TRACE_BANDS])
{
    for (int band = 0; band < VX_TRACE_BANDS; band++) {
        const int end = (band + 1) * BINS_A_BAND + 1, begin = band == 0 ? LOWEST_BIN : end - BINS_A_BAND;
        float sum = 0;
        for (int k = begin; k < end; k++)
            sum += power[k];
        ret[band] = 0.5F * logf(sum / ((float)(end - begin) * level) + FLOOR);
    }
}

/* Arithmetic over geometric mean, of a power over the bins. A product of 16 numbers of 1e-7 to 1e6 (a frame is at most as
 * many times the level of speech as there are frames) is far from the ends of a double, and one logarithm is enough. */
static void measure_comb(const float *power, float level, float ret[ENVELOPES])
{
    for (int band = 0; band < ENVELOPES; band++) {
        const int end = (band + 1) * BINS_A_COMB + 1, begin = band == 0 ? LOWEST_BIN : end - BINS_A_COMB;
        double sum = 0, product = 1;
        for (int k = begin; k < end; k++) {
            const double x = (double)(power[k] / level + FLOOR);
            sum += x;
            product *= x;
        }
        ret[band] = (float)(log(sum / (end - begin)) - log(product) / (end - begin));
    }
}

/* ---- envelopes ------------------------------------------------------------------------------------------------------- */

typedef float step[ENVELOPES]; /* amplitudes of one window, over that of speech */

typedef struct {
    vx_fft *fft;
    const vx_fft_kernel *kernel;
    float *data, *work; /* the transform's buffers; one block */
    size_t bytes;       /* of that block */
    float window[WINDOW];
    float offset; /* of the samples: so short a window does not keep it out of its lowest band */
    step *steps;  /* [n_steps] the first is MARGIN before the stretch */
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
static vx_err envelopes_init(envelopes *e, const float *samples, size_t n, size_t n_frames)
{
    double sum = 0;
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < n; i++)
        sum += (double)samples[i];
    e->offset = (float)(sum / (double)n);
    e->kernel = vx_fft_kernel_for(vx_isa_best());
    const size_t floats = VX_FFT_BUFFER_FLOATS(WINDOW, e->kernel->lanes);
    const size_t bytes = (floats * sizeof(float) + VX_FFT_ALIGN - 1) / VX_FFT_ALIGN * VX_FFT_ALIGN;
    e->n_steps = n_frames * STEPS_A_FRAME + 2 * MARGIN;
    e->steps = calloc(e->n_steps, sizeof *e->steps);
    e->data = aligned_alloc(VX_FFT_ALIGN, 2 * bytes);
    if (e->steps == NULL || e->data == NULL)
        return VX_ERR_NOMEM;
    e->bytes = 2 * bytes;
    e->work = e->data + bytes / sizeof(float);

    double energy = 0;
    for (int i = 0; i < WINDOW; i++)
        energy += pow(sin(PI * (i + 0.5) / WINDOW), 4);
    for (int i = 0; i < WINDOW; i++)
        e->window[i] = (float)(pow(sin(PI * (i + 0.5) / WINDOW), 2) / sqrt(energy));
    return vx_fft_create(WINDOW, &e->fft);
}

/* Steps `index` to index + lanes - 1, or to the last. start: sample at which step 0 begins; there may be none. */
static void compute_batch(envelopes *e, const float *samples, size_t n, ptrdiff_t start, float level, size_t index)
{
    const size_t lanes = (size_t)e->kernel->lanes;
    const size_t count = e->n_steps - index < lanes ? e->n_steps - index : lanes;
    memset(e->data, 0, WINDOW * lanes * sizeof(float));
    for (size_t lane = 0; lane < count; lane++) {
        const ptrdiff_t at = start + (ptrdiff_t)((index + lane) * STEP) - (WINDOW - STEP) / 2, end = (ptrdiff_t)n - at;
        for (ptrdiff_t i = at < 0 ? -at : 0; i < WINDOW && i < end; i++)
            e->data[(size_t)i * lanes + lane] = e->window[i] * (samples[at + i] - e->offset);
    }
    const float *spectrum = e->kernel->forward(e->fft, e->data, e->work);
    for (size_t lane = 0; lane < count; lane++)
        for (size_t band = 0; band < ENVELOPES; band++) {
            const float *bin = spectrum + 2 * (band + 1) * lanes + lane; /* 500 Hz, 1,000 Hz, ... 8,000 Hz */
            const float power = bin[0] * bin[0] + bin[lanes] * bin[lanes];
            e->steps[index + lane][band] = sqrtf(power / level + FLOOR);
        }
}

/* Of `count` steps: what differs from the mean, mean square and skewness of that. Loops run over bands here and below, so
 * that a compiler may make vectors of them. */
static void centre(step *steps, int count, float ret_square[ENVELOPES], float ret_skewness[ENVELOPES])
{
    float mean[ENVELOPES] = {0}, square[ENVELOPES] = {0}, cube[ENVELOPES] = {0};
    for (int i = 0; i < count; i++)
        for (int b = 0; b < ENVELOPES; b++)
            mean[b] += steps[i][b] / (float)count;
    for (int i = 0; i < count; i++)
        for (int b = 0; b < ENVELOPES; b++) {
            const float d = steps[i][b] -= mean[b];
            square[b] += d * d / (float)count;
            cube[b] += d * d * d / (float)count;
        }
    /* Where there is only the floor nothing varies, and the skewness of nothing is 0. */
    const float least = FLOOR * sqrtf(FLOOR);
    for (int b = 0; b < ENVELOPES; b++) {
        ret_square[b] = square[b];
        ret_skewness[b] = cube[b] / (square[b] * sqrtf(square[b]) + least);
    }
}

/* The rows of one frame that come from envelopes, in the order of the header. */
static void measure_envelopes(const step *around, float *ret)
{
    step level[AROUND], slope[AROUND - 1];
    float power[ENVELOPES] = {0}, varies[ENVELOPES], ignored[ENVELOPES], with[ENVELOPES] = {0}, before[ENVELOPES] = {0};
    double product[ENVELOPES];
    for (int b = 0; b < ENVELOPES; b++)
        product[b] = 1;
    memcpy(level, around, sizeof level);
    for (int i = 0; i < AROUND; i++)
        for (int b = 0; b < ENVELOPES; b++) {
            power[b] += level[i][b] * level[i][b] / AROUND;
            product[b] *= (double)level[i][b]; /* at least 1e-84: see measure_comb */
        }
    for (int i = 0; i + 1 < AROUND; i++)
        for (int b = 0; b < ENVELOPES; b++)
            slope[i][b] = level[i + 1][b] - level[i][b];
    for (int b = 0; b < ENVELOPES; b++)
        ret[VX_TRACE_PULSES + b] = logf(power[b]) - (float)(log(product[b]) * 2 / AROUND);
    centre(slope, AROUND - 1, ignored, ret + VX_TRACE_ATTACKS);
    centre(level, AROUND, varies, ret + VX_TRACE_PEAKS);

    for (int i = 0; i < AROUND; i++)
        for (int b = 0; b + 1 < ENVELOPES; b++)
            with[b] += level[i][b] * level[i][b + 1] / AROUND;
    for (int i = 1; i + 1 < AROUND; i++)
        for (int b = 0; b + 1 < ENVELOPES; b++)
            before[b] += level[i][b] * (level[i + 1][b + 1] - level[i - 1][b + 1]) / AROUND;
    for (int b = 0; b + 1 < ENVELOPES; b++) {
        const float both = sqrtf(varies[b] * varies[b + 1]) + FLOOR;
        ret[VX_TRACE_TOGETHER + b] = with[b] / both;
        ret[VX_TRACE_LEAD + b] = before[b] / both;
    }
}

/* ---- samples --------------------------------------------------------------------------------------------------------- */

/* Unsigned, because a microphone may be wired either way. sums: of x, x^2, x^3. */
static float skewness(const double sums[3], double count, double level)
{
    const double mean = sums[0] / count, square = sums[1] / count - mean * mean;
    const double cube = sums[2] / count - 3 * mean * sums[1] / count + 2 * mean * mean * mean;
    const double least = (double)FLOOR * level;
    return square > least ? (float)(fabs(cube) / (square * sqrt(square))) : 0;
}

/* Glottal pulses point one way; even harmonics of a loudspeaker add to that, and echoes take from it. */
static void measure_skew(const float *samples, size_t n, size_t frame, double level, float ret[2])
{
    const size_t middle = frame * VX_PAVA_HOP + VX_PAVA_HOP / 2;
    const size_t begin = middle > VX_PAVA_WINDOW / 2 ? middle - VX_PAVA_WINDOW / 2 : 1;
    const size_t end = middle + VX_PAVA_WINDOW / 2 < n ? middle + VX_PAVA_WINDOW / 2 : n;
    double plain[3] = {0}, steps[3] = {0};
    for (size_t i = begin; i < end; i++) {
        const double x = (double)samples[i], d = x - 0.95 * (double)samples[i - 1];
        plain[0] += x;
        plain[1] += x * x;
        plain[2] += x * x * x;
        steps[0] += d;
        steps[1] += d * d;
        steps[2] += d * d * d;
    }
    ret[0] = skewness(plain, (double)(end - begin), level);
    ret[1] = skewness(steps, (double)(end - begin), level);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

vx_err vx_trace_measure(const float *samples, size_t n, const vx_spectrogram *s, const vx_trace_stretch *stretch,
                        float *ret_rows, size_t ld)
{
    const double level = level_of_speech(s, stretch);
    const ptrdiff_t start = (ptrdiff_t)(stretch->first * VX_PAVA_HOP) - MARGIN * STEP;
    envelopes e;
    const vx_err err = envelopes_init(&e, samples, n, stretch->n);
    if (err != VX_OK)
        goto out;
    for (size_t i = 0; i < e.n_steps; i += (size_t)e.kernel->lanes)
        compute_batch(&e, samples, n, start, (float)level, i);
    for (size_t t = 0; t < stretch->n; t++) {
        const size_t frame = stretch->first + t;
        const float *power = s->power + frame * VX_PAVA_BINS;
        float column[VX_TRACE_ROWS];
        measure_power(power, (float)level, column + VX_TRACE_POWER);
        measure_comb(power, (float)level, column + VX_TRACE_COMB);
        measure_envelopes(e.steps + t * STEPS_A_FRAME, column);
        measure_skew(samples, n, frame, level, column + VX_TRACE_SKEW);
        for (size_t row = 0; row < VX_TRACE_ROWS; row++)
            ret_rows[row * ld + t] = column[row];
    }
out:
    envelopes_done(&e);
    return err;
}

void vx_trace_level_bands(const vx_spectrogram *s, const vx_trace_stretch *stretch, float *rows, size_t ld)
{
    const bool *speech = s->speech + stretch->first;
    for (size_t band = 0; band < VX_TRACE_BANDS; band++) {
        float *row = rows + (VX_TRACE_POWER + band) * ld;
        double sum = 0;
        for (size_t t = 0; t < stretch->n; t++)
            sum += speech[t] ? (double)row[t] : 0;
        const float mean = (float)(sum / (double)stretch->n_speech);
        for (size_t t = 0; t < stretch->n; t++)
            row[t] -= mean;
    }
}
