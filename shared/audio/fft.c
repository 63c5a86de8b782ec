/* fft.c - plans for the batched real DFT.
 * Owns:   factors and twiddle tables. Does not: transform; the kernels in fft_simd.h do.
 */
#include "shared/audio/fft.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

static const double PI = 3.14159265358979323846;

/* Radix of the next pass, 0 if n has none of the factors. 4 comes before 2: one radix-4 pass does the work of two
 * radix-2 passes with half the memory traffic. */
static int next_radix(int n)
{
    static const int radices[] = {4, 2, 3, 5};
    for (size_t i = 0; i < sizeof radices / sizeof *radices; i++)
        if (n % radices[i] == 0)
            return radices[i];
    return 0;
}

bool vx_fft_length_ok(int n)
{
    if (n < 2 || n > VX_FFT_MAX || n % 2 != 0)
        return false;
    for (n /= 2; next_radix(n) != 0; n /= next_radix(n))
        ;
    return n == 1;
}

/* exp(-2 pi i k / n) * scale, computed in double and rounded once. */
static float *put_root(float *at, int k, int n, double scale)
{
    double angle = -2.0 * PI * k / n;
    *at++ = (float)(scale * cos(angle));
    *at++ = (float)(scale * sin(angle));
    return at;
}

vx_err vx_fft_create(int n, vx_fft **ret_fft)
{
    if (!vx_fft_length_ok(n))
        return VX_ERR_RANGE;
    /* A pass over len points has len / r groups of r - 1 roots, which is len - len / r: the sum telescopes. */
    size_t n_roots = ((size_t)n / 2 - 1) + ((size_t)n / 4 + 1);
    vx_fft *fft = calloc(1, sizeof *fft + 2 * n_roots * sizeof(float));
    if (fft == NULL)
        return VX_ERR_NOMEM;
    float *table = (float *)(fft + 1);
    fft->n = n;
    int stride = 1;
    for (int len = n / 2; len > 1;) {
        int radix = next_radix(len), groups = len / radix;
        fft->passes[fft->n_passes++] = (vx_fft_pass){radix, groups, stride, table};
        for (int p = 0; p < groups; p++)
            for (int j = 1; j < radix; j++)
                table = put_root(table, j * p, len, 1.0);
        stride *= radix;
        len = groups;
    }
    fft->split = table;
    for (int k = 0; k <= n / 4; k++)
        table = put_root(table, k, n, 0.5);
    *ret_fft = fft;
    return VX_OK;
}

void vx_fft_destroy(vx_fft *fft)
{
    free(fft);
}

const vx_fft_kernel *vx_fft_kernel_for(vx_isa isa)
{
    static const vx_fft_kernel *const kernels[] = {
        &vx_fft_scalar,
#if defined(__x86_64__)
        &vx_fft_avx2,
        &vx_fft_avx512,
#elif defined(__aarch64__)
        &vx_fft_neon,
#endif
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (kernels[i]->isa == vx_isa_base(isa))
            return kernels[i];
    return NULL;
}
