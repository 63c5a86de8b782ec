/* stretch.c - slower and faster speech at the same pitch.
 * Owns:   overlap-add where waveforms fit, and a phase vocoder. Does not: resample.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"
#include "tests/bench/spoof/stft.h"

size_t stretched_length(size_t n, double factor)
{
    return (size_t)((double)n * factor);
}

/* ---- where waveforms fit --------------------------------------------------------------------------------------------- */

enum { STEP = 240, REACH = 160 };

static float sample_at(const float *samples, size_t n, long at)
{
    return at >= 0 && at < (long)n ? samples[at] : 0;
}

/* The place at most REACH from `wanted` whose samples are most like those at `natural`, how the last piece goes on. */
static long best_fit(const float *samples, size_t n, long natural, long wanted)
{
    long best = wanted;
    double most = -2;
    for (long at = wanted - REACH; at <= wanted + REACH; at++) {
        double ab = 0, bb = 1e-9;
        for (long i = -STEP; i < STEP; i++) {
            const double a = (double)sample_at(samples, n, natural + i), b = (double)sample_at(samples, n, at + i);
            ab += a * b;
            bb += b * b;
        }
        if (ab / sqrt(bb) > most) {
            most = ab / sqrt(bb);
            best = at;
        }
    }
    return best;
}

void stretch_waveform(const float *samples, size_t n, double factor, float *ret)
{
    const size_t n_out = stretched_length(n, factor);
    memset(ret, 0, n_out * sizeof *ret);
    long from = 0;
    for (long to = 0; to < (long)n_out + STEP; to += STEP) {
        if (to > 0)
            from = best_fit(samples, n, from + STEP, lround((double)to / factor));
        for (long i = -STEP; i < STEP; i++)
            if (to + i >= 0 && to + i < (long)n_out)
                ret[to + i] += (float)(0.5 + 0.5 * cos(LAB_PI * (double)i / STEP)) * sample_at(samples, n, from + i);
    }
}

/* ---- phase vocoder --------------------------------------------------------------------------------------------------- */

enum { N = 1024, HOP = N / 4, BINS = N / 2 + 1 };

/* Bins between two valleys of the spectrum turn together, as their peak has to: by the angle from `before`, what the
 * input was one hop earlier, to `last`, what was put out for it. */
static void turn(const float *before, const float *last, float *now)
{
    for (int low = 0, high; low < BINS; low = high) {
        int peak = low;
        while (peak + 1 < BINS && bin_power(now + 2 * (peak + 1)) >= bin_power(now + 2 * peak))
            peak++;
        for (high = peak + 1; high < BINS && bin_power(now + 2 * high) < bin_power(now + 2 * (high - 1)); high++)
            ;
        const float *b = before + 2 * peak, *l = last + 2 * peak;
        const float re = l[0] * b[0] + l[1] * b[1], im = l[1] * b[0] - l[0] * b[1], size = hypotf(re, im);
        for (int k = low; k < high && size > 0; k++) {
            const float x = now[2 * k], y = now[2 * k + 1];
            now[2 * k] = (x * re - y * im) / size;
            now[2 * k + 1] = (x * im + y * re) / size;
        }
    }
}

void stretch_phases(const float *samples, size_t n, double factor, float *ret)
{
    const size_t n_out = stretched_length(n, factor);
    memset(ret, 0, n_out * sizeof *ret);
    stft out = stft_of(ret, n_out, N, N, HOP); /* for its shape */
    float *before = lab_alloc(2 * BINS, sizeof *before);
    for (size_t t = 0; t < out.n_frames; t++) {
        const long at = lround((double)(t * HOP) / factor);
        dft_frame(&out.d, samples, n, N, at, stft_frame(&out, t));
        if (t == 0)
            continue;
        dft_frame(&out.d, samples, n, N, at - HOP, before);
        turn(before, stft_frame(&out, t - 1), stft_frame(&out, t));
    }
    /* From phases seen from the middle to those of stft.h, seen from the first sample. */
    for (size_t t = 0; t < out.n_frames; t++)
        for (size_t k = 1; k < BINS; k += 2) {
            stft_frame(&out, t)[2 * k] *= -1;
            stft_frame(&out, t)[2 * k + 1] *= -1;
        }
    stft_invert(&out, n_out, ret);
    free(before);
    stft_done(&out);
}
