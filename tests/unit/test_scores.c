/* test_scores.c - error rates and order statistics on cases worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/measure/scores.h"
#include "tests/support/stats.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-12)

enum { MAX_TRIALS = 12 };

/* Trials as text: "T" for a target and "n" for a non-target, in rising order of score 1, 2, ...; "=" gives the next
 * one the score of the one before. */
static const struct {
    const char *what, *trials;
    double eer, threshold, min_dcf, min_cllr;
} cases[] = {
    {"perfect separation", "nnnTTT", 0, 3, 0, 0},
    {"the wrong way round", "TTnn", 1, 2, 1, 1},
    /* At 2: misses 1/2, false alarms 1/2. At 3: misses 1/2, false alarms 0, so a cost of 1/2. */
    {"one of two on each side", "nTnT", 0.5, 2, 0.5, 0.5},
    /* At 4: misses 1/4, false alarms 1/4. At 5: misses 1/4, false alarms 0, so a cost of 1/4. */
    /* One block of 1/4 of the targets and 1/2 of the non-targets: (log2(3) / 4 + log2(3 / 2) / 2) / 2 bits. */
    {"a quarter each", "nnTnnTTT", 0.25, 4, 0.25, 0.344360937770433},
    /* At 3, both after the target: misses 1/3, false alarms 1/3. */
    {"a third each", "nTnnTT", 1.0 / 3, 3, 1.0 / 3, 0.459147917027245},
    /* No threshold lies between the twins at 2: (0, 1/2) below them, then misses 1/2 and false alarms 0. */
    {"twins of both kinds", "nT=nT", 0.25, 1, 0.5, 0.5},
    {"all scores equal", "n=T=n=T", 0.5, 1, 1, 1},
    {"one of each", "nT", 0, 1, 0, 0},
};

static size_t parse(const char *text, vx_scored_trial trials[MAX_TRIALS])
{
    size_t n = 0;
    double score = 1;
    for (const char *at = text; *at; at++) {
        if (*at == '=') {
            score--;
            continue;
        }
        assert_true(n < MAX_TRIALS);
        trials[n++] = (vx_scored_trial){.score = score, .is_target = *at == 'T', .weight = 1};
        score++;
    }
    return n;
}

static void test_rates_by_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_scored_trial trials[MAX_TRIALS];
        vx_score_rates rates;
        const size_t n = parse(cases[i].trials, trials);
        print_message("# %s\n", cases[i].what);
        assert_true(vx_scores_rates(trials, n, &rates));
        NEAR(rates.eer, cases[i].eer);
        NEAR(rates.threshold, cases[i].threshold);
        NEAR(rates.min_dcf, cases[i].min_dcf);
        NEAR(rates.targets + rates.nontargets, (double)n);
        double min_cllr;
        assert_true(vx_scores_min_cllr(trials, n, &min_cllr));
        NEAR(min_cllr, cases[i].min_cllr);
    }
}

/* Order of input must not matter, and a weight must count like that many copies. */
static void test_weights_are_copies(void **state)
{
    (void)state;
    const vx_scored_trial weighted[] = {
        {0.5, true, 3}, {0.1, false, 2}, {0.3, true, 1}, {0.4, false, 1}, {0.9, true, 0}};
    const vx_scored_trial copies[] = {{0.5, true, 1},  {0.4, false, 1}, {0.1, false, 1}, {0.5, true, 1},
                                      {0.1, false, 1}, {0.3, true, 1},  {0.5, true, 1}};
    vx_scored_trial a[5], b[7];
    vx_score_rates x, y;
    memcpy(a, weighted, sizeof a);
    memcpy(b, copies, sizeof b);
    vx_scores_sort(a, 5);
    vx_scores_sort(b, 7);
    assert_true(vx_scores_rates(a, 5, &x));
    assert_true(vx_scores_rates(b, 7, &y));
    NEAR(x.eer, y.eer);
    NEAR(x.threshold, y.threshold);
    NEAR(x.min_dcf, y.min_dcf);
    double p = 0, q = 0;
    assert_true(vx_scores_cllr(a, 5, &p) && vx_scores_cllr(b, 7, &q));
    NEAR(p, q);
    assert_true(vx_scores_min_cllr(a, 5, &p) && vx_scores_min_cllr(b, 7, &q));
    NEAR(p, q);
    const vx_score_errors e = vx_scores_errors_at(a, 5, 0.4), f = vx_scores_errors_at(b, 7, 0.4);
    NEAR(e.missed, 1.0 / 4);
    NEAR(e.false_alarms, 1.0 / 3);
    NEAR(f.missed, e.missed);
    NEAR(f.false_alarms, e.false_alarms);
    /* Misses 1 of 4, false alarms 1 of 3 at 0.3. */
    NEAR(x.eer, (1.0 / 4 + 1.0 / 3) / 2);
    NEAR(x.min_dcf, 0.25);
}

/* One false alarm in 200 costs 99 / 200, less than refusing the only target does. */
static void test_cheap_false_alarm(void **state)
{
    (void)state;
    const vx_scored_trial trials[] = {{1, false, 199}, {2, true, 1}, {3, false, 1}};
    vx_score_rates rates;
    assert_true(vx_scores_rates(trials, 3, &rates));
    NEAR(rates.min_dcf, 0.495);
}

static void test_cost_of_ratios(void **state)
{
    static const struct {
        const char *what;
        double target, nontarget, cllr;
    } ratios[] = {
        {"nothing said", 0, 0, 1},
        {"three to one, and right", 1.0986122886681098, -1.0986122886681098, 0.415037499278844},
        {"three to one, and wrong", -1.0986122886681098, 1.0986122886681098, 2},
        {"certain", 5000, -5000, 0},
        {"certain of one", 5000, 0, 0.5},
        {"certain and wrong: 1000 bits", -693.14718055994531, -5000, 500},
    };
    (void)state;
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        const vx_scored_trial trials[] = {{ratios[i].target, true, 2}, {ratios[i].nontarget, false, 3}};
        double cllr;
        print_message("# %s\n", ratios[i].what);
        assert_true(vx_scores_cllr(trials, 2, &cllr));
        NEAR(cllr, ratios[i].cllr);
    }
}

/* No rising function of a score costs less than the least; chance finds some that cost little more. */
static void test_least_cost_is_a_bound(void **state)
{
    uint64_t seed = 31;
    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 200; round++) {
        vx_scored_trial trials[40];
        double cllr, least;
        for (size_t i = 0; i < 40; i++) {
            const bool is_target = i < 15;
            const double noise = (double)(stats_random(&seed) % 1000) / 250;
            trials[i] =
                (vx_scored_trial){noise + (is_target ? 1.5 : 0), is_target, (double)(stats_random(&seed) % 3 + 1)};
        }
        vx_scores_sort(trials, 40);
        assert_true(vx_scores_min_cllr(trials, 40, &least));
        assert_true(least > 0 && least <= 1);
        const double slope = (double)(stats_random(&seed) % 1000) / 300,
                     offset = (double)(stats_random(&seed) % 600) / 100;
        for (size_t i = 0; i < 40; i++)
            trials[i].score = slope * trials[i].score - offset;
        assert_true(vx_scores_cllr(trials, 40, &cllr) && cllr >= least - 1e-12);
    }
}

static void test_nothing_to_compare(void **state)
{
    (void)state;
    const vx_scored_trial one_kind[] = {{0.1, true, 1}, {0.2, true, 1}},
                          no_weight[] = {{0.1, true, 1}, {0.2, false, 0}};
    vx_score_rates rates = {.eer = 7};
    assert_false(vx_scores_rates(one_kind, 2, &rates));
    assert_false(vx_scores_rates(no_weight, 2, &rates));
    assert_false(vx_scores_rates(NULL, 0, &rates));
    double cost = 7;
    assert_false(vx_scores_cllr(one_kind, 2, &cost) || vx_scores_cllr(no_weight, 2, &cost) ||
                 vx_scores_cllr(NULL, 0, &cost));
    assert_false(vx_scores_min_cllr(one_kind, 2, &cost) || vx_scores_min_cllr(NULL, 0, &cost));
    NEAR(cost, 7);
    const vx_score_errors e = vx_scores_errors_at(one_kind, 2, 0.15);
    NEAR(e.missed, 0.5);
    assert_true(isnan(e.false_alarms));
    NEAR(rates.eer, 7);
}

static void test_stats(void **state)
{
    (void)state;
    double values[] = {5, 1, 4, 2, 3};
    const spread s = stats_spread(values, 5);
    NEAR(s.median, 3);
    NEAR(s.p10, 1.4);
    NEAR(s.p90, 4.6);
    NEAR(stats_quantile(values, 5, 1), 5);
    NEAR(stats_quantile(values, 1, 0.9), 1);
    NEAR(stats_quantile(values, 0, 0.5), 0);
    const double line[] = {7, 9.5, 12, 14.5}, tent[] = {0, 1, 0};
    NEAR(stats_slope(line, 4), 2.5);
    NEAR(stats_slope(tent, 3), 0);
    NEAR(stats_slope(line, 1), 0);
    uint64_t seed = 0;
    /* First output of splitmix64 for seed 0, as its authors publish it. */
    assert_true(stats_random(&seed) == 0xe220a8397b1dcdafu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_by_hand),
        cmocka_unit_test(test_weights_are_copies),
        cmocka_unit_test(test_cheap_false_alarm),
        cmocka_unit_test(test_cost_of_ratios),
        cmocka_unit_test(test_least_cost_is_a_bound),
        cmocka_unit_test(test_nothing_to_compare),
        cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
