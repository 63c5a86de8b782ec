/* fft_simd.h - the batched real DFT on generic vectors.
 * Owns:   butterflies and passes. Does not: make tables (fft.c).
 *
 * Included once by each fft_<isa>.c, after LANES. n real samples are taken as n / 2 complex points, transformed by
 * Stockham's algorithm (each pass reads one buffer and writes the other in the order the next one wants, so there is no
 * bit reversal), and one last step separates the spectra of even and odd samples.
 * Source: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992, sections 1.7, 2.4 and 4.3.
 */
#include <stddef.h>

#include "shared/audio/fft.h"
#include "shared/base/lanes.h"

enum { ROW = 2 * LANES, MAX_RADIX = 5 }; /* floats of one complex row: LANES real parts, then LANES imaginary */

typedef struct {
    vf re, im;
} vc;

INLINE vc get(const float *row)
{
    return (vc){load(row), load(row + LANES)};
}
INLINE void put(float *row, vc a)
{
    store(row, a.re);
    store(row + LANES, a.im);
}
INLINE vc add(vc a, vc b)
{
    return (vc){a.re + b.re, a.im + b.im};
}
INLINE vc sub(vc a, vc b)
{
    return (vc){a.re - b.re, a.im - b.im};
}
INLINE vc times(vc a, float s)
{
    return (vc){a.re * s, a.im * s};
}
INLINE vc sub_i(vc a, vc b)
{
    return (vc){a.re + b.im, a.im - b.re};
} /* a - i b */
INLINE vc add_i(vc a, vc b)
{
    return (vc){a.re - b.im, a.im + b.re};
} /* a + i b */
INLINE vc turn(vc a, const float w[2])
{
    return (vc){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

INLINE void dft2(vc a[2])
{
    vc b = sub(a[0], a[1]);
    a[0] = add(a[0], a[1]);
    a[1] = b;
}

INLINE void dft3(vc a[3])
{
    vc sum = add(a[1], a[2]), diff = times(sub(a[1], a[2]), 0.866025403784f); /* sin 60 degrees */
    vc mid = sub(a[0], times(sum, 0.5f));
    a[0] = add(a[0], sum);
    a[1] = sub_i(mid, diff);
    a[2] = add_i(mid, diff);
}

INLINE void dft4(vc a[4])
{
    vc even = add(a[0], a[2]), even_diff = sub(a[0], a[2]);
    vc odd = add(a[1], a[3]), odd_diff = sub(a[1], a[3]);
    a[0] = add(even, odd);
    a[1] = sub_i(even_diff, odd_diff);
    a[2] = sub(even, odd);
    a[3] = add_i(even_diff, odd_diff);
}

INLINE void dft5(vc a[5])
{
    const float cos1 = 0.309016994375f, sin1 = 0.951056516295f;  /* 72 degrees */
    const float cos2 = -0.809016994375f, sin2 = 0.587785252292f; /* 144 degrees */
    vc s1 = add(a[1], a[4]), d1 = sub(a[1], a[4]);
    vc s2 = add(a[2], a[3]), d2 = sub(a[2], a[3]);
    vc mid1 = add(add(a[0], times(s1, cos1)), times(s2, cos2));
    vc mid2 = add(add(a[0], times(s1, cos2)), times(s2, cos1));
    vc side1 = add(times(d1, sin1), times(d2, sin2));
    vc side2 = sub(times(d1, sin2), times(d2, sin1));
    a[0] = add(a[0], add(s1, s2));
    a[1] = sub_i(mid1, side1);
    a[2] = sub_i(mid2, side2);
    a[3] = add_i(mid2, side2);
    a[4] = add_i(mid1, side1);
}

/* The butterflies of one group, which share their roots w. radix and trivial (all roots are 1) are compile-time
 * constants at every call. in: floats between inputs, out: between outputs. */
INLINE void run_group(int radix, int trivial, int stride, size_t in, size_t out, const float *w, const float *x,
                      float *y)
{
    for (int q = 0; q < stride; q++, x += ROW, y += ROW) {
        vc a[MAX_RADIX];
#pragma GCC unroll 5
        for (int j = 0; j < radix; j++)
            a[j] = get(x + (size_t)j * in);
        if (radix == 2)
            dft2(a);
        else if (radix == 3)
            dft3(a);
        else if (radix == 4)
            dft4(a);
        else
            dft5(a);
        put(y, a[0]);
#pragma GCC unroll 4
        for (int j = 1; j < radix; j++)
            put(y + (size_t)j * out, trivial ? a[j] : turn(a[j], w + 2 * (j - 1)));
    }
}

/* The first group needs no multiplication, and in the last pass it is the only group. */
INLINE void run_radix(int radix, const vx_fft_pass *pass, const float *x, float *y)
{
    const size_t out = (size_t)pass->stride * ROW, in = out * (size_t)pass->groups;
    const float *w = pass->twiddles;
    run_group(radix, 1, pass->stride, in, out, w, x, y);
    for (int p = 1; p < pass->groups; p++) {
        x += out;
        y += out * (size_t)radix;
        w += 2 * (radix - 1);
        run_group(radix, 0, pass->stride, in, out, w, x, y);
    }
}

static void run_pass(const vx_fft_pass *pass, const float *x, float *y)
{
    switch (pass->radix) {
    case 2: run_radix(2, pass, x, y); break;
    case 3: run_radix(3, pass, x, y); break;
    case 4: run_radix(4, pass, x, y); break;
    default: run_radix(5, pass, x, y); break;
    }
}

/* Z of n / 2 complex points to the n / 2 + 1 bins of the real signal, in place, two bins at a time:
 * X[k] = (Z[k] + conj Z[m-k]) / 2 - i exp(-2 pi i k / n) (Z[k] - conj Z[m-k]) / 2 with m = n / 2. */
static void split_real(const vx_fft *fft, float *z)
{
    const size_t m = (size_t)fft->n / 2;
    const float *w = fft->split;
    vc dc = get(z);
    put(z, (vc){dc.re + dc.im, splat(0)});
    put(z + m * ROW, (vc){dc.re - dc.im, splat(0)});
    for (size_t k = 1; k <= m / 2; k++) {
        w += 2;
        vc low = get(z + k * ROW), high = get(z + (m - k) * ROW);
        vc even = {0.5f * (low.re + high.re), 0.5f * (low.im - high.im)};
        vc odd = turn((vc){low.im + high.im, high.re - low.re}, w);
        put(z + k * ROW, add(even, odd));
        put(z + (m - k) * ROW, (vc){even.re - odd.re, odd.im - even.im});
    }
}

static float *forward(const vx_fft *fft, float *data, float *work)
{
    for (int i = 0; i < fft->n_passes; i++) {
        run_pass(&fft->passes[i], data, work);
        float *done = work;
        work = data;
        data = done;
    }
    split_real(fft, data);
    return data;
}
