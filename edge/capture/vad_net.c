/* vad_net.c - a small recurrent network over 24 bands of a spectrum.
 * Owns:   features (the same as in models/train_vad.py), arithmetic and state of the network.
 * Does not: train; vad_weights.inc is what models/train_vad.py wrote.
 *
 * The network sees nothing that a change of gain changes: the shape of the spectrum, each band over its own slowly rising
 * floor, the step of the mean and its depth under a slowly falling peak, all in nepers. 18 thousand parameters; a frame
 * costs less than its Fourier transform.
 */
#include "edge/capture/vad_net.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/audio/fft.h"
#include "shared/base/bytes.h"

#include "edge/capture/vad_weights.inc"

enum {
    BINS = VX_VAD_WINDOW / 2 + 1,
    FIRST_BIN = 2, /* 80 Hz: a Hann window keeps a constant within the bins 0 and 1 */
    FEATURES = 2 * BANDS + 2,
    GATES = 3, /* of a gated recurrent unit: reset, update, candidate */
    LANES = 4, /* of the scalar transform, which every machine has and which gives the same numbers on each */
};

static const double PI = 3.14159265358979323846;
static const double F_MIN = 80, F_MAX = 8000;
static const float POWER_FLOOR = 1e-13F;                  /* of a band: below the rounding noise of 16 bits */
static const float FLOOR_RISE = 0.01F, PEAK_FALL = 0.01F; /* nepers a frame: 9 dB in a second */

struct vx_vad_net {
    vx_fft *fft; /* owned */
    float shape[VX_VAD_WINDOW];
    uint8_t edge[BINS]; /* a bin lies between the centres of the bands edge - 1 and edge, */
    float part[BINS];   /* so far on its way to the second */

    float input[FEATURES * INPUT], first_x[INPUT * GATES * FIRST], first_h[FIRST * GATES * FIRST];
    float second_x[FIRST * GATES * SECOND], second_h[SECOND * GATES * SECOND];

    float buffer[2][VX_FFT_BUFFER_FLOATS(VX_VAD_WINDOW, LANES)];
    bool started;
    float floor[BANDS], peak, mean; /* of the frame before */
    float first[FIRST], second[SECOND];
};

static double mel(double hz)
{
    return 2595 * log10(1 + hz / 700);
}

static void make_tables(vx_vad_net *net)
{
    double sum = 0;
    for (int i = 0; i < VX_VAD_WINDOW; i++) {
        const double value = 0.5 - 0.5 * cos(2 * PI * i / VX_VAD_WINDOW);
        net->shape[i] = (float)value;
        sum += value * value;
    }
    /* So that the powers of the bins add up to a mean square. */
    const float scale = (float)sqrt(2 / (VX_VAD_WINDOW * sum));
    for (int i = 0; i < VX_VAD_WINDOW; i++)
        net->shape[i] *= scale;
    const double step = (mel(F_MAX) - mel(F_MIN)) / (BANDS + 1);
    for (int k = FIRST_BIN; k < BINS; k++) {
        const double at = (mel((double)k * VX_AUDIO_RATE / VX_VAD_WINDOW) - mel(F_MIN)) / step;
        const int edge = at < BANDS ? (int)at : BANDS;
        net->edge[k] = (uint8_t)edge;
        net->part[k] = (float)(at - edge);
    }
}

static void expand(const int8_t *values, const float *scales, int n_in, int n_out, float *ret_weights)
{
    for (int i = 0; i < n_in * n_out; i++)
        ret_weights[i] = (float)values[i] * scales[i % n_out];
}

static void make_weights(vx_vad_net *net)
{
    expand(input_weights, input_scales, FEATURES, INPUT, net->input);
    expand(first_x_weights, first_x_scales, INPUT, GATES * FIRST, net->first_x);
    expand(first_h_weights, first_h_scales, FIRST, GATES * FIRST, net->first_h);
    expand(second_x_weights, second_x_scales, FIRST, GATES * SECOND, net->second_x);
    expand(second_h_weights, second_h_scales, SECOND, GATES * SECOND, net->second_h);
}

vx_err vx_vad_net_create(vx_vad_net **ret_net)
{
    vx_vad_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return VX_ERR_NOMEM;
    const vx_err err = vx_fft_create(VX_VAD_WINDOW, &net->fft);
    if (err != VX_OK) {
        vx_vad_net_destroy(net);
        return err;
    }
    make_tables(net);
    make_weights(net);
    *ret_net = net;
    return VX_OK;
}

void vx_vad_net_destroy(vx_vad_net *net)
{
    if (net == NULL)
        return;
    vx_vad_net_reset(net);
    vx_fft_destroy(net->fft);
    free(net);
}

void vx_vad_net_reset(vx_vad_net *net)
{
    vx_wipe(net->buffer, sizeof net->buffer);
    vx_wipe(net->floor, sizeof net->floor);
    vx_wipe(net->first, sizeof net->first);
    vx_wipe(net->second, sizeof net->second);
    net->started = false;
    net->peak = net->mean = 0;
}

/* Logarithms of the band powers; returns the power of all bins. */
static float bands_of(vx_vad_net *net, const float *window, float ret_bands[BANDS])
{
    for (int i = 0; i < VX_VAD_WINDOW; i++)
        net->buffer[0][i * LANES] = window[i] * net->shape[i];
    const float *bins = vx_fft_scalar.forward(net->fft, net->buffer[0], net->buffer[1]);
    float bands[BANDS + 2] = {0}; /* one more at both ends, for the bins beyond the outermost centres */
    float power = 0;
    for (int k = FIRST_BIN; k < BINS; k++) {
        const float re = bins[(2 * k) * LANES], im = bins[(2 * k + 1) * LANES];
        const float of_bin = re * re + im * im;
        bands[net->edge[k]] += of_bin * (1 - net->part[k]);
        bands[net->edge[k] + 1] += of_bin * net->part[k];
        power += of_bin;
    }
    for (int b = 0; b < BANDS; b++)
        ret_bands[b] = logf(bands[b + 1] + POWER_FLOOR);
    return power;
}

static void features_of(vx_vad_net *net, const float bands[BANDS], float ret_features[FEATURES])
{
    float mean = 0;
    for (int b = 0; b < BANDS; b++)
        mean += bands[b] / BANDS;
    if (!net->started) {
        memcpy(net->floor, bands, sizeof net->floor);
        net->peak = net->mean = mean;
        net->started = true;
    }
    for (int b = 0; b < BANDS; b++) {
        net->floor[b] = fminf(net->floor[b] + FLOOR_RISE, bands[b]);
        ret_features[b] = (bands[b] - mean) / 2;
        ret_features[BANDS + b] = (bands[b] - net->floor[b]) / 4;
    }
    net->peak = fmaxf(net->peak - PEAK_FALL, mean);
    ret_features[2 * BANDS] = mean - net->mean;
    ret_features[2 * BANDS + 1] = (mean - net->peak) / 4;
    net->mean = mean;
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* Weights lie [n_in][n_out], so that the inner loop is over independent sums and a compiler may make vectors of it. */
static inline void add_product(const float *restrict weights, const float *restrict x, int n_in, int n_out,
                               float *restrict sums)
{
    for (int i = 0; i < n_in; i++)
        for (int o = 0; o < n_out; o++)
            sums[o] += x[i] * weights[i * n_out + o];
}

/* One step of a gated recurrent unit. of_x, of_h [in] 3 n sums with their biases: reset, update, candidate.
 * Source: K. Cho et al., Learning phrase representations using RNN encoder-decoder, 2014, in PyTorch's form. */
static inline void step(const float *restrict of_x, const float *restrict of_h, int n, float *restrict state)
{
    for (int i = 0; i < n; i++) {
        const float reset = sigmoid(of_x[i] + of_h[i]);
        const float update = sigmoid(of_x[n + i] + of_h[n + i]);
        const float candidate = tanhf(of_x[2 * n + i] + reset * of_h[2 * n + i]);
        state[i] = candidate + update * (state[i] - candidate);
    }
}

float vx_vad_net_push(vx_vad_net *net, const float *window, float *ret_power)
{
    float bands[BANDS], features[FEATURES], hidden[INPUT];
    float of_x[GATES * FIRST], of_h[GATES * FIRST], of_x2[GATES * SECOND], of_h2[GATES * SECOND];
    *ret_power = bands_of(net, window, bands);
    features_of(net, bands, features);

    memcpy(hidden, input_biases, sizeof hidden);
    add_product(net->input, features, FEATURES, INPUT, hidden);
    for (int i = 0; i < INPUT; i++)
        hidden[i] = tanhf(hidden[i]);
    memcpy(of_x, first_x_biases, sizeof of_x);
    memcpy(of_h, first_h_biases, sizeof of_h);
    add_product(net->first_x, hidden, INPUT, GATES * FIRST, of_x);
    add_product(net->first_h, net->first, FIRST, GATES * FIRST, of_h);
    step(of_x, of_h, FIRST, net->first);
    memcpy(of_x2, second_x_biases, sizeof of_x2);
    memcpy(of_h2, second_h_biases, sizeof of_h2);
    add_product(net->second_x, net->first, FIRST, GATES * SECOND, of_x2);
    add_product(net->second_h, net->second, SECOND, GATES * SECOND, of_h2);
    step(of_x2, of_h2, SECOND, net->second);

    float sum = output_bias;
    for (int i = 0; i < SECOND; i++)
        sum += output_weights[i] * net->second[i];
    return sigmoid(sum);
}
