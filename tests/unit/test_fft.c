/* test_fft.c - the batched DFT against the definition in double precision, on every instruction set of this machine.
 * Owns:   accuracy, lengths, and that lanes do not touch each other. Features are test_fbank.c's.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/audio/fft.h"
#include "tests/support/alloc_fail.h"

#define MAX_LANES 16
#define SEED      20240917u

static const double PI = 3.14159265358979323846;

/* Uniform in [-1, 1). */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

/* Bin k of the DFT of x, by definition; roots holds cos and sin of 2 pi i / n. */
static void dft_bin(const float *x, int n, const double *roots, int k, double ret_bin[2])
{
    ret_bin[0] = ret_bin[1] = 0;
    for (int i = 0; i < n; i++) {
        const double *root = roots + 2 * ((size_t)i * (size_t)k % (size_t)n);
        ret_bin[0] += (double)x[i] * root[0];
        ret_bin[1] -= (double)x[i] * root[1];
    }
}

/* Exact spectra of all signals, [signal][bin][re, im]. */
static double *spectra_of(const float *signals, int n_signals, int n)
{
    const size_t n_bins = (size_t)n / 2 + 1;
    double *roots = malloc(2 * (size_t)n * sizeof *roots);
    double *spectra = malloc(2 * (size_t)n_signals * n_bins * sizeof *spectra);
    assert_non_null(roots);
    assert_non_null(spectra);
    for (int i = 0; i < n; i++) {
        roots[2 * i] = cos(2 * PI * i / n);
        roots[2 * i + 1] = sin(2 * PI * i / n);
    }
    for (size_t s = 0; s < (size_t)n_signals; s++)
        for (size_t k = 0; k < n_bins; k++)
            dft_bin(signals + s * (size_t)n, n, roots, (int)k, spectra + 2 * (s * n_bins + k));
    free(roots);
    return spectra;
}

/* Fails if the error's 2-norm is over the bound that fft.h states. Bins but the first and last count twice: their
 * mirror images are not stored. */
static void check_lane(const float *got, int lanes, int lane, const double *want, int n)
{
    double error = 0, norm = 0;
    for (int k = 0; k <= n / 2; k++) {
        const double weight = k == 0 || k == n / 2 ? 1 : 2;
        for (int part = 0; part < 2; part++) {
            const double value = want[2 * k + part];
            const double diff = (double)got[(2 * k + part) * lanes + lane] - value;
            assert_true(isfinite(diff));
            error += weight * diff * diff;
            norm += weight * value * value;
        }
    }
    const double bound = 4 * log2(n) * (double)FLT_EPSILON * sqrt(norm);
    if (sqrt(error) > bound)
        fail_msg("n %d, lane %d of %d: error %.3g, bound %.3g", n, lane, lanes, sqrt(error), bound);
}

/* Lane i carries signal i modulo n_signals. */
static void check_kernel(const vx_fft_kernel *kernel, const vx_fft *fft, const float *signals, int n_signals,
                         const double *spectra)
{
    const int n = fft->n, lanes = kernel->lanes;
    const size_t bytes =
        (VX_FFT_BUFFER_FLOATS(n, lanes) * sizeof(float) + VX_FFT_ALIGN - 1) / VX_FFT_ALIGN * VX_FFT_ALIGN;
    float *data = aligned_alloc(VX_FFT_ALIGN, bytes), *work = aligned_alloc(VX_FFT_ALIGN, bytes);
    assert_non_null(data);
    assert_non_null(work);
    for (int i = 0; i < n; i++)
        for (int lane = 0; lane < lanes; lane++)
            data[i * lanes + lane] = signals[lane % n_signals * n + i];
    const float *spectrum = kernel->forward(fft, data, work);
    assert_true(spectrum == data || spectrum == work);
    for (int lane = 0; lane < lanes; lane++)
        check_lane(spectrum, lanes, lane, spectra + (size_t)(lane % n_signals) * ((size_t)n + 2), n);
    free(data);
    free(work);
}

static void check_length(int n, uint32_t *state)
{
    const int n_signals = n <= 600 ? MAX_LANES : 2; /* the definition costs n^2 a signal */
    float *signals = calloc((size_t)n_signals * (size_t)n, sizeof *signals);
    assert_non_null(signals);
    for (int i = 0; i < n; i++)
        signals[i] = 1;     /* constant: one bin */
    signals[2 * n - 1] = 1; /* impulse: every bin, all of the same magnitude */
    for (int i = 2 * n; i < n_signals * n; i++)
        signals[i] = noise(state);
    if (n_signals == 2)
        for (int i = n; i < 2 * n; i++)
            signals[i] = noise(state);

    double *spectra = spectra_of(signals, n_signals, n);
    vx_fft *fft = NULL;
    assert_int_equal(vx_fft_create(n, &fft), VX_OK);
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++) {
        const vx_fft_kernel *kernel = vx_fft_kernel_for((vx_isa)isa);
        if (vx_isa_available((vx_isa)isa)) {
            assert_non_null(kernel);
            assert_int_equal(kernel->isa, vx_isa_base((vx_isa)isa));
            check_kernel(kernel, fft, signals, n_signals, spectra);
        }
    }
    vx_fft_destroy(fft);
    free(spectra);
    free(signals);
}

/* Every radix alone, first, last and in the middle; an odd and an even number of passes; the front ends' lengths. */
static void test_matches_definition(void **state)
{
    (void)state;
    static const int lengths[] = {2,   4,   6,   8,   10,  12,  16,  18,  20,  24,  30,  32,  36,   40,   50,   54,
                                  60,  64,  80,  90,  96,  100, 120, 128, 144, 150, 160, 162, 200,  240,  250,  256,
                                  300, 320, 360, 400, 432, 480, 486, 500, 512, 540, 600, 750, 1000, 1024, 1280, 2250};
    uint32_t seed = SEED;
    print_message("# seed %u\n", SEED);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_length(lengths[i], &seed);
    check_length(4096, &seed);
}

static void test_lengths(void **state)
{
    (void)state;
    static const int refused[] = {INT32_MIN, -400, -2, 0, 1, 3, 5, 7, 14, 22, 401, 402, 2 * 3 * 5 * 7, VX_FFT_MAX + 2};
    vx_fft *fft = NULL;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(vx_fft_length_ok(refused[i]));
        assert_int_equal(vx_fft_create(refused[i], &fft), VX_ERR_RANGE);
        assert_null(fft);
    }
    for (int n = 2; n <= VX_FFT_MAX; n += 2) {
        int rest = n;
        while (rest % 2 == 0)
            rest /= 2;
        while (rest % 3 == 0)
            rest /= 3;
        while (rest % 5 == 0)
            rest /= 5;
        assert_int_equal(vx_fft_length_ok(n), rest == 1);
        if (rest != 1)
            continue;
        assert_int_equal(vx_fft_create(n, &fft), VX_OK); /* under ASan: the table is as large as it is filled */
        assert_in_range(fft->n_passes, 0, VX_FFT_MAX_PASSES);
        vx_fft_destroy(fft);
        fft = NULL;
    }
    vx_fft_destroy(NULL);
}

static vx_err attempt_create(void *ctx)
{
    (void)ctx;
    vx_fft *fft = NULL;
    vx_err err = vx_fft_create(400, &fft);
    vx_fft_destroy(fft);
    return err;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    vx_alloc_fail_each(attempt_create, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_definition),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
