/* test_calibration.c - the logistic fit: it finds the optimum of what it says it minimises, moves little by little data,
 * and refuses what cannot be fitted.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/engine/calibration.h"
#include "tests/support/stats.h"

enum { F = VX_SCORE_FEATURES, MANY = 20000 };

static const vx_calibration start = {.weights = {-5.4, 11.7, 0, 0, 0}, .n_same = 9, .n_other = 9, .threshold = 0.6};

/* ---- trials ---- */

typedef struct {
    double *features;
    bool *same;
    size_t n;
} trials;

static trials make(size_t n)
{
    trials t = {calloc(n * F, sizeof(double)), calloc(n, sizeof(bool)), n};
    assert_true(t.features && t.same);
    return t;
}

static void done(trials *t)
{
    free(t->features);
    free(t->same);
}

static double uniform(uint64_t *seed)
{
    return (double)(stats_random(seed) >> 11) / 9007199254740992.0;
}

static void put(trials *t, size_t i, bool same, double score, double enrolled, double utterance, double snr)
{
    const double x[F] = {1, score, enrolled, utterance, snr};
    memcpy(t->features + i * F, x, sizeof x);
    t->same[i] = same;
}

/* Trials whose answers were drawn with these very odds. */
static trials drawn(size_t n, const double truth[F], uint64_t seed)
{
    trials t = make(n);
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < n; i++) {
        put(&t, i, false, 2 * uniform(&seed) - 0.6, 2 * uniform(&seed), 2 * uniform(&seed), 3 * uniform(&seed));
        double llr = 0;
        for (int k = 0; k < F; k++)
            llr += truth[k] * t.features[i * F + (size_t)k];
        t.same[i] = uniform(&seed) < 1 / (1 + exp(-llr));
    }
    return t;
}

/* ---- what is minimised, written down once more and plainly ---- */

static double objective(const trials *t, const vx_calibration *from, const double w[F])
{
    double n[2] = {0, 0}, sum = 0, ridge = 0;
    for (size_t i = 0; i < t->n; i++)
        n[t->same[i]]++;
    const double rarer = fmin(n[0], n[1]);
    for (size_t i = 0; i < t->n; i++) {
        const double *x = t->features + i * F;
        double llr = 0, moved = 0;
        for (int k = 0; k < F; k++) {
            llr += w[k] * x[k];
            moved += (w[k] - from->weights[k]) * x[k];
        }
        const double weight = rarer / n[t->same[i]];
        sum -= weight * log(1 / (1 + exp(t->same[i] ? -llr : llr)));
        ridge += weight / (2 * rarer) * moved * moved;
    }
    return sum + ridge * VX_CALIBRATION_RIDGE / 4 / 2;
}

static void test_finds_the_optimum(void **state)
{
    const double truth[F] = {-2, 4, 0.5, -0.7, 0.3};
    const vx_calibration from = {.weights = {-1, 3, 0.1, 0.1, 0.1}, .threshold = 0.5};
    vx_calibration fitted;
    (void)state;
    trials t = drawn(400, truth, 11);
    assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, &from, &fitted, NULL), VX_OK);
    const double least = objective(&t, &from, fitted.weights);
    for (int k = 0; k < F; k++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            vx_calibration moved = fitted;
            moved.weights[k] += sign * 1e-4;
            assert_true(objective(&t, &from, moved.weights) > least);
        }
    }
    done(&t);
}

/* Standard errors at this number of trials are below 0.1, and the intercept carries the logarithm of the two numbers. */
static void test_recovers_the_truth(void **state)
{
    const double truth[F] = {-2, 4, 0.5, -0.7, 0.3};
    const vx_calibration from = {.weights = {0, 0, 1e-9, 1e-9, 1e-9}, .threshold = 0.5};
    vx_calibration fitted;
    (void)state;
    trials t = drawn(MANY, truth, 12);
    assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, &from, &fitted, NULL), VX_OK);
    const double odds = log((double)fitted.n_same / fitted.n_other);
    assert_int_equal(fitted.n_same + fitted.n_other, MANY);
    assert_true(fabs(fitted.weights[0] - (truth[0] - odds)) < 0.3);
    for (int k = 1; k < F; k++)
        assert_true(fabs(fitted.weights[k] - truth[k]) < 0.3);
    done(&t);
}

/* Three copies of every trial of the more frequent kind change nothing: a likelihood ratio knows no mixture. */
static void test_mixture_does_not_matter(void **state)
{
    const double truth[F] = {-2, 4, 0, 0, 0};
    vx_calibration once, thrice;
    size_t n = 0, n_same = 0;
    (void)state;
    trials t = drawn(300, truth, 13), more = make(900);
    for (size_t i = 0; i < t.n; i++)
        n_same += t.same[i];
    const bool frequent = n_same * 2 > t.n;
    for (size_t i = 0; i < t.n; i++) {
        for (int copy = 0; copy < (t.same[i] == frequent ? 3 : 1); copy++) {
            memcpy(more.features + n * F, t.features + i * F, F * sizeof(double));
            more.same[n++] = t.same[i];
        }
    }
    assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, &start, &once, NULL), VX_OK);
    assert_int_equal(vx_calibration_fit(more.features, more.same, n, &start, &thrice, NULL), VX_OK);
    for (int k = 0; k < F; k++)
        assert_true(fabs(once.weights[k] - thrice.weights[k]) < 1e-6);
    done(&t);
    done(&more);
}

/* Where the same trials say that 0.2 is as likely one as the other, which is far from the start's 0.46. */
static void test_little_data_moves_little(void **state)
{
    static const struct {
        size_t n;
        double at_least, at_most; /* of the way to what the trials say */
    } cases[] = {{6, 0, 0.3}, {200, 0.5, 1}, {20000, 0.9, 1.01}};
    double before = 0;
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_calibration fitted;
        uint64_t seed = 14;
        trials t = make(cases[c].n);
        for (size_t i = 0; i < t.n; i++)
            put(&t, i, i % 2 == 0, (i % 2 == 0 ? 0.3 : 0.1) + 0.3 * (uniform(&seed) - 0.5), 1, 1, 1);
        assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, &start, &fitted, NULL), VX_OK);
        const double from = -start.weights[0] / start.weights[1], to = -fitted.weights[0] / fitted.weights[1];
        const double way = (from - to) / (from - 0.2);
        print_message("# %zu trials: %.2f of the way\n", t.n, way);
        assert_true(way >= cases[c].at_least && way <= cases[c].at_most && way > before);
        before = way;
        done(&t);
    }
}

static void test_weights_of_0_stay_0(void **state)
{
    const double truth[F] = {-2, 4, 1, -1, 1};
    const vx_calibration from = {.weights = {-1, 3, 0, 0.1, 0}, .threshold = 0.25};
    vx_calibration fitted;
    (void)state;
    trials t = drawn(2000, truth, 15);
    assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, &from, &fitted, NULL), VX_OK);
    assert_true(fitted.weights[VX_FEATURE_ENROLLED] == 0 && fitted.weights[VX_FEATURE_SNR] == 0);
    assert_true(fitted.weights[VX_FEATURE_UTTERANCE] < -0.5);
    assert_true(fitted.threshold == 0.25);
    assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, NULL, &fitted, NULL), VX_OK);
    for (int k = VX_FEATURE_ENROLLED; k < F; k++)
        assert_true(fitted.weights[k] == 0);
    assert_true(fitted.weights[VX_FEATURE_SCORE] > 1 && fitted.threshold == 0.5);
    done(&t);
}

/* Without the ridge there would be no optimum. */
static void test_clear_trials_converge(void **state)
{
    static const size_t sizes[] = {2, 10, 1000};
    (void)state;
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        for (int with_start = 0; with_start < 2; with_start++) {
            vx_calibration fitted;
            trials t = make(sizes[c]);
            for (size_t i = 0; i < t.n; i++)
                put(&t, i, i % 2 == 0, i % 2 == 0 ? 0.9 : 0.1, 0, 0, 0);
            assert_int_equal(vx_calibration_fit(t.features, t.same, t.n, with_start ? &start : NULL, &fitted, NULL),
                             VX_OK);
            for (int k = 0; k < F; k++)
                assert_true(isfinite(fitted.weights[k]));
            assert_true(fitted.weights[VX_FEATURE_SCORE] > 0);
            done(&t);
        }
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *what;
        size_t n;
        double same, other; /* scores */
        bool one_kind;
        vx_err expected;
    } cases[] = {
        {"nothing", 0, 0.9, 0.1, false, VX_ERR_ARG},
        {"one kind only", 10, 0.9, 0.1, true, VX_ERR_ARG},
        {"NaN", 10, NAN, 0.1, false, VX_ERR_RANGE},
        {"infinity", 10, 0.9, -INFINITY, false, VX_ERR_RANGE},
        {"the wrong way round", 2000, 0.1, 0.9, false, VX_ERR_RANGE},
        {"no difference at all", 10, 0.5, 0.5, false, VX_ERR_RANGE},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        vx_calibration fitted = {.n_same = 77};
        vx_errinfo info = {0};
        trials t = make(2000);
        for (size_t i = 0; i < cases[c].n; i++) {
            const bool same = cases[c].one_kind || i % 2 == 0;
            put(&t, i, same, same ? cases[c].same : cases[c].other, 0, 0, 0);
        }
        print_message("# %s\n", cases[c].what);
        assert_int_equal(vx_calibration_fit(t.features, t.same, cases[c].n, NULL, &fitted, &info), cases[c].expected);
        assert_int_equal(fitted.n_same, 77);
        assert_true(info.text[0] != '\0');
        done(&t);
    }
}

static void test_probability(void **state)
{
    const double x[F] = {1, 0.5, 2, 3, 4};
    const vx_calibration c = {.weights = {-1, 2, 0.25, 0.5, -0.125}};
    (void)state;
    assert_true(vx_calibration_llr(&c, x) == -1 + 1 + 0.5 + 1.5 - 0.5);
    assert_true(vx_calibration_probability(0) == 0.5);
    assert_true(fabs(vx_calibration_probability(log(3)) - 0.75) < 1e-15);
    assert_true(vx_calibration_probability(1e6) == 1 && vx_calibration_probability(-1e6) == 0);
    for (double llr = -50; llr < 50; llr += 0.37)
        assert_true(vx_calibration_probability(llr) <= vx_calibration_probability(llr + 0.37));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_optimum),
        cmocka_unit_test(test_recovers_the_truth),
        cmocka_unit_test(test_mixture_does_not_matter),
        cmocka_unit_test(test_little_data_moves_little),
        cmocka_unit_test(test_weights_of_0_stay_0),
        cmocka_unit_test(test_clear_trials_converge),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_probability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
