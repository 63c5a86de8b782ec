/* fbank_simd.h - the feature kernels on generic vectors.
 * Owns:   windowed loading, band powers, the logarithm, clipping and the mean. Does not: transform (fft_simd.h).
 *
 * Included once by each fbank_<isa>.c, after LANES.
 */
#include <float.h>
#include <string.h>

#include "shared/audio/fbank_kernel.h"
#include "shared/base/lanes.h"

static uint32_t peak_bits(const float *pcm, size_t n)
{
    const int32_t magnitude = 0x7fffffff;
    vi peak = {0};
    int32_t result = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vi bits = (vi)load(pcm + i) & magnitude;
        vi larger = bits > peak;
        peak = (bits & larger) | (peak & ~larger);
    }
    for (int lane = 0; lane < LANES; lane++)
        result = peak[lane] > result ? peak[lane] : result;
    for (; i < n; i++) {
        int32_t bits;
        memcpy(&bits, pcm + i, sizeof bits);
        bits &= magnitude;
        result = bits > result ? bits : result;
    }
    return (uint32_t)result;
}

/* x = 2^e m with m in [sqrt 1/2, sqrt 2), and log2 m = 2 / ln 2 * atanh(t), t = (m - 1) / (m + 1), |t| < 0.1716. The
 * series is cut after t^7: what is left out is below 4.3e-8. It needs a division where a polynomial in m would not, but
 * every coefficient can be checked by eye, and 80 logarithms are a small part of a frame's work. */
INLINE vf vlog2(vf x)
{
    const int32_t one = 0x3f800000, sqrt_half = 0x3f3504f3, mantissa = 0x007fffff;
    const float scale = 2.885390082f; /* 2 / ln 2 */
    vi bits = (vi)x + (one - sqrt_half);
    vf e = __builtin_convertvector((bits >> 23) - 127, vf);
    vf m = (vf)((bits & mantissa) + sqrt_half);
    vf t = (m - 1.0f) / (m + 1.0f), t2 = t * t;
    return e + t * (scale + t2 * (scale / 3 + t2 * (scale / 5 + t2 * (scale / 7))));
}

static void log2_all(float *values, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        store(values + i, vlog2(load(values + i)));
}

/* Frames, times window, into rows of one sample of every frame. */
static void load_frames(const float *const *frame, const float *window, size_t n, float *data)
{
    size_t s = 0;
    for (; s + LANES <= n; s += LANES) {
        vf rows[LANES];
        const vf w = load(window + s);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            rows[i] = load(frame[i] + s) * w;
        transpose(rows);
#pragma GCC unroll 16
        for (size_t i = 0; i < LANES; i++)
            store(data + (s + i) * LANES, rows[i]);
    }
    for (; s < n; s++)
        for (size_t i = 0; i < LANES; i++)
            data[s * LANES + i] = frame[i][s] * window[s];
}

/* |X|^2 of the n / 2 + 1 bins, in place: a bin's power takes half the room of the bin, and never overtakes it. */
static void power_in_place(float *spectrum, size_t n_bins)
{
    for (size_t k = 0; k < n_bins; k++) {
        vf re = load(spectrum + 2 * k * LANES), im = load(spectrum + (2 * k + 1) * LANES);
        store(spectrum + k * LANES, re * re + im * im);
    }
}

static float frames(const vx_fbank_tables *tables, const float *const *frame, size_t n_frames, float *data, float *work,
                    float *ret_feat, size_t ld)
{
    const size_t n = (size_t)tables->fft->n;
    load_frames(frame, tables->window, n, data);
    float *power = tables->transform->forward(tables->fft, data, work);
    power_in_place(power, n / 2 + 1);

    float max = -FLT_MAX;
    vf lane_max = splat(-FLT_MAX);
    for (int b = 0; b < tables->n_bands; b++, ret_feat += ld) {
        const vx_fbank_filter *filter = &tables->filters[b];
        const float *bin = power + (size_t)filter->first * LANES;
        vf sum = {0};
        for (int i = 0; i < filter->count; i++, bin += LANES)
            sum += load(bin) * filter->weights[i];
        vf feat = vlog2(vmax(sum, splat(tables->floor))) * tables->log_scale;
        lane_max = vmax(feat, lane_max);
        if (n_frames == LANES)
            store(ret_feat, feat);
        else
            memcpy(ret_feat, &feat, n_frames * sizeof *ret_feat);
    }
    for (size_t i = 0; i < n_frames; i++)
        max = lane_max[i] > max ? lane_max[i] : max;
    return max;
}

/* The mean is summed in double: 6,000 frames (a minute) at some -50 dB would lose three digits of a float. */
static void finish(float *row, size_t n, float low, bool subtract_mean)
{
    double lane_sum[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf v = vmax(load(row + i), splat(low));
        store(row + i, v);
        for (int lane = 0; lane < LANES; lane++)
            lane_sum[lane] += (double)v[lane];
    }
    for (; i < n; i++) {
        row[i] = row[i] > low ? row[i] : low;
        sum += (double)row[i];
    }
    if (!subtract_mean)
        return;
    for (int lane = 0; lane < LANES; lane++)
        sum += lane_sum[lane];
    const float mean = (float)(sum / (double)n);
    for (i = 0; i + LANES <= n; i += LANES)
        store(row + i, load(row + i) - mean);
    for (; i < n; i++)
        row[i] -= mean;
}
