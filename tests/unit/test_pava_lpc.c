/* test_pava_lpc.c - filters that are known come back, and their poles; what is no filter is refused. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/lpc.h"
#include "tests/support/stats.h"

enum { MOST = VX_LPC_MAX / 2, RANDOM_RUNS = 2000 };
#define SEED 5u

static const double PI = 3.14159265358979323846;

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-53;
}

typedef struct {
    double radius, angle; /* of a pair of zeros */
} pair;

/* Multiplies a polynomial of degree n by (1 - 2 r cos(angle) z^-1 + r^2 z^-2), or by (1 - real z^-1). */
static int multiply_pair(double *a, int n, pair p)
{
    const double b = -2 * p.radius * cos(p.angle), c = p.radius * p.radius;
    for (int i = n + 2; i >= 1; i--)
        a[i] = (i <= n ? a[i] : 0) + (i <= n + 1 ? b * a[i - 1] : 0) + (i >= 2 ? c * a[i - 2] : 0);
    return n + 2;
}

static int multiply_real(double *a, int n, double real)
{
    for (int i = n + 1; i >= 1; i--)
        a[i] = (i <= n ? a[i] : 0) - real * a[i - 1];
    return n + 1;
}

/* Autocorrelation of the response of 1 / a to a pulse, up to lag order. */
static void autocorrelation_of(const double *a, int order, double *ret_r)
{
    enum { LENGTH = 4000 };
    static double h[LENGTH];
    for (int t = 0; t < LENGTH; t++) {
        h[t] = t == 0;
        for (int i = 1; i <= order && i <= t; i++)
            h[t] -= a[i] * h[t - i];
    }
    for (int lag = 0; lag <= order; lag++) {
        ret_r[lag] = 0;
        for (int t = lag; t < LENGTH; t++)
            ret_r[lag] += h[t] * h[t - lag];
    }
}

static void a_filter_comes_back(void **state)
{
    (void)state;
    static const pair VOWEL[] = {{0.98, 0.15}, {0.97, 0.45}, {0.95, 0.9}, {0.94, 1.3}, {0.92, 2.2}, {0.6, 2.9}};
    for (int pairs = 1; pairs <= 6; pairs++) {
        double a[VX_LPC_MAX + 1] = {1}, r[VX_LPC_MAX + 1], solved[VX_LPC_MAX + 1], error;
        int n = 0;
        for (int i = 0; i < pairs; i++)
            n = multiply_pair(a, n, VOWEL[i]);
        autocorrelation_of(a, n, r);
        assert_true(vx_lpc_solve(r, n, solved, &error));
        for (int i = 0; i <= n; i++)
            assert_true(fabs(solved[i] - a[i]) < 1e-6 * (1 + fabs(a[i])));
        assert_true(fabs(error - 1 / r[0]) < 1e-6 / r[0]); /* what is left is the pulse */
    }
}

static void what_is_no_signal_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double r[5];
    } bad[] = {
        {"silence", {0, 0, 0, 0, 0}},
        {"DC", {1, 1, 1, 1, 1}},
        {"negative power", {-1, 0, 0, 0, 0}},
        {"NaN", {NAN, 0, 0, 0, 0}},
        {"NaN in a lag", {1, 0, NAN, 0, 0}},
        {"infinite", {INFINITY, 0, 0, 0, 0}},
        {"infinite lag", {1, 0, 0, -INFINITY, 0}},
        {"no autocorrelation", {1, 0.9, -0.9, 0.9, 0.9}},
        {"a tone", {1, 0.5, -0.5, -1, -0.5}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double a[5] = {7, 7, 7, 7, 7}, error = 7;
        if (vx_lpc_solve(bad[i].r, 4, a, &error))
            fail_msg("%s was predicted", bad[i].name);
        assert_true(a[0] > 6 && a[4] > 6 && error > 6);
    }
    const double r[5] = {1, 0.5, 0.2, 0.1, 0};
    double a[VX_LPC_MAX + 2], error;
    assert_false(vx_lpc_solve(r, 0, a, &error));
    assert_false(vx_lpc_solve(r, VX_LPC_MAX + 1, a, &error));
}

static void poles_that_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int n_pairs, n_reals;
        pair pairs[4];
        double reals[4];
        double tolerance;
    } cases[] = {
        {"one pair", 1, 0, {{0.9, 1}}, {0}, 1e-12},
        {"real ones only", 0, 3, {{0, 0}}, {0.5, -0.9, 0.1}, 1e-12},
        {"pairs and real ones", 2, 2, {{0.95, 0.2}, {0.8, 2.5}}, {0.99, -0.3}, 1e-12},
        {"zero itself", 1, 2, {{0.7, 1.5}}, {0, 0}, 1e-12},
        {"on the circle", 2, 0, {{1, 0.01}, {1, 3.13}}, {0}, 1e-9},
        {"all but touching", 2, 0, {{0.95, 1}, {0.95, 1.001}}, {0}, 1e-9},
        {"one twice", 2, 0, {{0.95, 1}, {0.95, 1}}, {0}, 1e-6}, /* the square root of the rounding is all there is */
        {"near the axis", 1, 1, {{0.9, 1e-3}}, {-0.5}, 1e-9},
        {"small", 2, 0, {{1e-3, 1}, {2e-3, 2}}, {0}, 1e-9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double a[VX_LPC_MAX + 1] = {1}, re[MOST], im[MOST];
        int n = 0;
        for (int k = 0; k < cases[i].n_pairs; k++)
            n = multiply_pair(a, n, cases[i].pairs[k]);
        for (int k = 0; k < cases[i].n_reals; k++)
            n = multiply_real(a, n, cases[i].reals[k]);
        const int found = vx_lpc_poles(a, n, re, im);
        if (found != cases[i].n_pairs)
            fail_msg("%s: %d poles of %d", cases[i].name, found, cases[i].n_pairs);
        for (int k = 0; k < found; k++) {
            const pair *p = &cases[i].pairs[k];
            const double off = hypot(re[k] - p->radius * cos(p->angle), im[k] - p->radius * sin(p->angle));
            if (!(off < cases[i].tolerance))
                fail_msg("%s: pole %d is off by %g", cases[i].name, k, off);
        }
    }
}

/* Pairs each in a sector of its own, so that the zeros are well conditioned. Of 100,000 such polynomials the worst zero was
 * off by 1.2e-11: the bound has a factor of 80 to spare. */
static void poles_of_random_filters(void **state)
{
    (void)state;
    uint64_t random = SEED;
    print_message("# seed %u\n", SEED);
    for (int run = 0; run < RANDOM_RUNS; run++) {
        const int pairs = 1 + (int)(uniform(&random) * MOST), reals = pairs < MOST ? (int)(uniform(&random) * 3) : 0;
        double a[VX_LPC_MAX + 1] = {1}, re[MOST], im[MOST];
        pair truth[MOST];
        int n = 0;
        for (int i = 0; i < pairs; i++) {
            truth[i] = (pair){1 - 0.3 * uniform(&random), PI * (i + 0.2 + 0.6 * uniform(&random)) / pairs};
            n = multiply_pair(a, n, truth[i]);
        }
        for (int i = 0; i < reals; i++)
            n = multiply_real(a, n, 0.5 * (2 * uniform(&random) - 1));
        assert_int_equal(vx_lpc_poles(a, n, re, im), pairs);
        for (int i = 0; i < pairs; i++)
            assert_true(hypot(re[i] - truth[i].radius * cos(truth[i].angle),
                              im[i] - truth[i].radius * sin(truth[i].angle)) < 1e-9);
    }
}

/* z^n = c has its zeros on a ring, and a search that starts in its middle has nowhere to go; a uniform tube of 15.5 cm came
 * near enough to lose the formants of half of its frames. */
static void poles_on_a_ring(void **state)
{
    (void)state;
    static const double NEARLY[13] = {1,     -0.1895, 0.0516, -0.0252, 0.0135,  -0.0065, 0.0033,
                                      -0.02, 0.0329,  0.6917, -0.0211, -0.0168, 0.0042};
    double re[MOST], im[MOST];
    assert_int_equal(vx_lpc_poles(NEARLY, 12, re, im), 5);
    for (int n = 2; n <= VX_LPC_MAX; n++)
        for (int sign = -1; sign <= 1; sign += 2) {
            double a[VX_LPC_MAX + 1] = {1};
            a[n] = 0.7 * sign; /* zeros at angles of 2 pi k / n, and half a step further where a[n] is positive */
            const int found = vx_lpc_poles(a, n, re, im);
            assert_int_equal(found, sign > 0 ? n / 2 : (n - 1) / 2);
            for (int k = 0; k < found; k++) {
                const double angle = PI * (2 * k + (sign > 0 ? 1 : 2)) / n, radius = pow(0.7, 1.0 / n);
                assert_true(hypot(re[k] - radius * cos(angle), im[k] - radius * sin(angle)) < 1e-12);
            }
        }
}

static void hostile_polynomials_end(void **state)
{
    (void)state;
    static const double bad[][5] = {
        {1, NAN, 0, 0, 0}, {1, 0, 0, INFINITY, 0}, {1, 1e308, -1e308, 1e308, 1e308}, {1, 1e-308, 1e-308, 0, 1e-308}};
    double re[MOST], im[MOST];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int n = vx_lpc_poles(bad[i], 4, re, im);
        assert_true(n >= -1 && n <= 2);
        for (int k = 0; k < n; k++)
            assert_true(isfinite(re[k]) && isfinite(im[k]));
    }
    assert_int_equal(vx_lpc_poles(bad[0], 4, re, im), -1);
    assert_int_equal(vx_lpc_poles(bad[0], 0, re, im), -1);
    assert_int_equal(vx_lpc_poles(bad[0], VX_LPC_MAX + 1, re, im), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_comes_back),  cmocka_unit_test(what_is_no_signal_is_refused),
        cmocka_unit_test(poles_that_are_known), cmocka_unit_test(poles_of_random_filters),
        cmocka_unit_test(poles_on_a_ring),      cmocka_unit_test(hostile_polynomials_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
