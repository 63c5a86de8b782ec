/* test_report.c - rates of presentation attacks against counts done by hand, and plots that a browser would take. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/report/rates.h"
#include "edge/report/svg.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/stats.h"

enum { SPEAKERS = 20, EACH = 50 };

/* Two normal distributions `apart` spreads from each other. */
static void draw(vx_presented *p, size_t n, double apart, uint64_t *state)
{
    for (size_t i = 0; i < n; i++) {
        double sum = -6;
        for (int k = 0; k < 12; k++)
            sum += (double)(stats_random(state) >> 11) / 9007199254740992.0;
        p[i] = (vx_presented){sum + (i % 2 ? apart : 0), i % 2 != 0, (int)(i % (2 * SPEAKERS)) / 2};
    }
}

static void rates_are_those_counted_by_hand(void **state)
{
    (void)state;
    /* Living 0.9, 0.8, 0.7, 0.3; attacks 0.75, 0.2, 0.1, 0.1: at a threshold above 0.3 one of four of each is wrong. */
    static const vx_presented p[] = {{0.9, true, 0},   {0.8, true, 0},  {0.7, true, 1},  {0.3, true, 1},
                                     {0.75, false, 0}, {0.2, false, 0}, {0.1, false, 1}, {0.1, false, 1}};
    vx_attack_rates rates;
    assert_true(vx_attack_rates_of(p, 8, 2, 1, &rates));
    assert_int_equal(rates.n_living, 4);
    assert_int_equal(rates.n_attacks, 4);
    assert_true(fabs(rates.eer.value - 0.25) <= 1e-12);
    /* No living voice may be refused: the threshold is below 0.3, and 0.75 passes. */
    assert_true(fabs(rates.apcer_1.value - 0.25) <= 1e-12);
    assert_true(fabs(rates.apcer_5.value - 0.25) <= 1e-12);
    assert_true(rates.eer.low <= rates.eer.value && rates.eer.value <= rates.eer.high);
}

static void equal_scores_are_accepted_or_refused_together(void **state)
{
    (void)state;
    static const vx_presented p[] = {{0.5, true, 0}, {0.5, true, 1}, {0.5, false, 0}, {0.5, false, 1}};
    vx_attack_rates rates;
    assert_true(vx_attack_rates_of(p, 4, 2, 1, &rates));
    assert_true(fabs(rates.apcer_5.value - 1) <= 0);
    assert_true(fabs(rates.eer.value - 0.5) <= 0);
}

static void normal_scores_have_the_rates_of_theory(void **state)
{
    (void)state;
    enum { N = 40000 };
    uint64_t seed = 7;
    vx_presented *p = malloc(N * sizeof *p);
    vx_attack_rates rates;
    assert_non_null(p);
    draw(p, N, 2, &seed);
    assert_true(vx_attack_rates_of(p, N, SPEAKERS, 1, &rates));
    assert_true(fabs(rates.eer.value - 0.5 * erfc(1 / sqrt(2))) <= 0.006);                  /* 15.9 % */
    assert_true(fabs(rates.apcer_5.value - (0.5 * erfc((2 - 1.6449) / sqrt(2)))) <= 0.015); /* 36.1 % */
    assert_true(rates.eer.low > 0.14 && rates.eer.high < 0.18);
    free(p);
}

static void intervals_are_as_wide_as_speakers_differ(void **state)
{
    (void)state;
    /* Every recording of a speaker alike: twenty draws, however many recordings. */
    enum { N = 2 * SPEAKERS * EACH };
    vx_presented p[N];
    vx_attack_rates wide, narrow;
    uint64_t seed = 3;
    draw(p, N, 1.5, &seed);
    assert_true(vx_attack_rates_of(p, N, SPEAKERS, 1, &narrow));
    for (int i = 2 * SPEAKERS; i < N; i++)
        p[i].score = p[i % (2 * SPEAKERS)].score, p[i].living = p[i % (2 * SPEAKERS)].living;
    assert_true(vx_attack_rates_of(p, N, SPEAKERS, 1, &wide));
    assert_true(wide.eer.high - wide.eer.low > 2 * (narrow.eer.high - narrow.eer.low));
}

static void the_same_seed_draws_the_same(void **state)
{
    (void)state;
    vx_presented p[200];
    vx_attack_rates a, b;
    uint64_t seed = 5;
    draw(p, 200, 1, &seed);
    assert_true(vx_attack_rates_of(p, 200, SPEAKERS, 9, &a));
    assert_true(vx_attack_rates_of(p, 200, SPEAKERS, 9, &b));
    assert_memory_equal(&a, &b, sizeof a);
}

static void answers_are_counted_by_hand(void **state)
{
    (void)state;
    static const vx_answered a[] = {{VX_ANSWER_LIVING, 0}, {VX_ANSWER_LIVING, 0}, {VX_NO_ANSWER, 1},
                                    {VX_ANSWER_ATTACK, 1}, {VX_ANSWER_LIVING, 2}, {VX_NO_ANSWER, 2},
                                    {VX_ANSWER_LIVING, 3}, {VX_ANSWER_LIVING, 3}};
    static const size_t counts[VX_N_ANSWERS] = {[VX_ANSWER_LIVING] = 5, [VX_ANSWER_ATTACK] = 1, [VX_NO_ANSWER] = 2};
    vx_answer_rates rates, again;
    assert_true(vx_answer_rates_of(a, 8, 4, 1, &rates));
    assert_true(vx_answer_rates_of(a, 8, 4, 1, &again));
    assert_memory_equal(&rates, &again, sizeof rates);
    assert_int_equal(rates.n, 8);
    for (int k = 0; k < VX_N_ANSWERS; k++) {
        const vx_estimate *share = &rates.shares[k];
        assert_int_equal(rates.counts[k], counts[k]);
        assert_true(fabs(share->value - (double)counts[k] / 8) <= 1e-12);
        assert_true(0 <= share->low && share->low <= share->value && share->value <= share->high && share->high <= 1);
    }
}

/* Of what was never seen no draw of speakers holds any: the interval is that of a table of Wilson's. */
static void what_was_never_seen_may_still_happen(void **state)
{
    (void)state;
    enum { N = 100 };
    vx_answered a[N];
    vx_answer_rates rates;
    for (int i = 0; i < N; i++)
        a[i] = (vx_answered){VX_ANSWER_ATTACK, i % SPEAKERS};
    assert_true(vx_answer_rates_of(a, N, SPEAKERS, 1, &rates));
    assert_true(rates.shares[VX_ANSWER_LIVING].low <= 0 && rates.shares[VX_ANSWER_ATTACK].high >= 1);
    assert_true(fabs(rates.shares[VX_ANSWER_LIVING].high - 0.03699) <= 1e-4);
    assert_true(fabs(rates.shares[VX_ANSWER_ATTACK].low - 0.96301) <= 1e-4);
    for (int i = 0; i < 10; i++)
        a[10 * i].answer = VX_NO_ANSWER; /* of ten speakers, evenly: 10 of 100 */
    assert_true(vx_answer_rates_of(a, N, SPEAKERS, 1, &rates));
    assert_true(rates.shares[VX_NO_ANSWER].low <= 0.0553 && rates.shares[VX_NO_ANSWER].high >= 0.1743);
}

static void answers_scatter_as_speakers_do(void **state)
{
    (void)state;
    enum { N = SPEAKERS * EACH };
    vx_answered a[N];
    vx_answer_rates by_speaker, by_recording;
    uint64_t seed = 13;
    for (int i = 0; i < N; i++)
        a[i] = (vx_answered){i / EACH % 2 ? VX_NO_ANSWER : VX_ANSWER_LIVING, i / EACH};
    assert_true(vx_answer_rates_of(a, N, SPEAKERS, 1, &by_speaker));
    for (int i = 0; i < N; i++)
        a[i].answer = stats_random(&seed) % 2 ? VX_NO_ANSWER : VX_ANSWER_LIVING;
    assert_true(vx_answer_rates_of(a, N, SPEAKERS, 1, &by_recording));
    const vx_estimate *wide = &by_speaker.shares[VX_NO_ANSWER], *narrow = &by_recording.shares[VX_NO_ANSWER];
    assert_true(wide->high - wide->low > 3 * (narrow->high - narrow->low));
}

static void of_one_speaker_or_none_little_is_known(void **state)
{
    (void)state;
    static const vx_answered a[] = {{VX_ANSWER_LIVING, 0}, {VX_NO_ANSWER, 0}};
    vx_answer_rates rates = {.n = 77};
    assert_false(vx_answer_rates_of(a, 0, 1, 1, &rates));
    assert_int_equal(rates.n, 77);
    assert_true(vx_answer_rates_of(a, 2, 1, 1, &rates));
    assert_true(rates.shares[VX_NO_ANSWER].low <= 0 && rates.shares[VX_NO_ANSWER].high >= 1);
}

/* Where no room is left to draw in, the interval is everything: that is what memory was out for. */
static vx_err rate_both(void *unused)
{
    enum { N = 80, SOME = 8 };
    vx_answered a[N];
    vx_presented p[N];
    vx_answer_rates answers;
    vx_attack_rates attacks;
    (void)unused;
    for (int i = 0; i < N; i++) {
        a[i] = (vx_answered){i / SOME % 2 ? VX_NO_ANSWER : VX_ANSWER_LIVING, i % SOME};
        p[i] = (vx_presented){i / SOME % 2, i / SOME % 2 != 0, i % SOME};
    }
    if (!vx_answer_rates_of(a, N, SOME, 1, &answers) || !vx_attack_rates_of(p, N, SOME, 1, &attacks))
        return VX_ERR_NOMEM;
    assert_true(answers.counts[VX_NO_ANSWER] == N / 2 && attacks.n_attacks == N / 2);
    assert_true(fabs(answers.shares[VX_NO_ANSWER].value - 0.5) <= 0 && attacks.eer.value <= 0);
    return answers.shares[VX_NO_ANSWER].high < 1 && attacks.eer.high < 1 ? VX_OK : VX_ERR_NOMEM;
}

static void without_memory_there_are_no_rates(void **state)
{
    (void)state;
    vx_alloc_fail_each(rate_both, NULL);
}

static void one_kind_alone_has_no_rates(void **state)
{
    (void)state;
    vx_presented p[] = {{0.1, true, 0}, {0.2, true, 1}};
    vx_attack_rates rates = {.n_living = 77};
    vx_det_point point;
    assert_false(vx_attack_rates_of(p, 2, 2, 1, &rates));
    assert_int_equal(rates.n_living, 77);
    assert_int_equal(vx_det_curve(p, 2, &point, 1), 0);
    assert_false(vx_attack_rates_of(p, 0, 2, 1, &rates));
}

static void a_curve_goes_from_refusing_all_to_refusing_none(void **state)
{
    (void)state;
    vx_presented p[400];
    vx_det_point points[64];
    uint64_t seed = 11;
    draw(p, 400, 1, &seed);
    const size_t n = vx_det_curve(p, 400, points, 64);
    assert_int_equal(n, 64);
    assert_true(points[0].bpcer == 1 && points[0].apcer == 0);
    assert_true(points[n - 1].bpcer == 0 && points[n - 1].apcer == 1);
    for (size_t i = 1; i < n; i++)
        assert_true(points[i].bpcer <= points[i - 1].bpcer && points[i].apcer >= points[i - 1].apcer);
}

/* ---- plots ---------------------------------------------------------------------------------------------------------- */

static char *text_of(vx_buf *out)
{
    assert_int_equal(vx_buf_append(out, "", 1), VX_OK);
    return (char *)out->data;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p++)
        n++;
    return n;
}

static void a_plot_is_one_document_with_its_curves(void **state)
{
    (void)state;
    static const vx_det_point points[] = {{0, 1}, {0.01, 0.2}, {0.1, 0.05}, {1, 0}};
    const vx_svg_curve curves[] = {{"replay", points, 4}, {"a <b> & c", points, 3}};
    vx_buf out = {0};
    assert_int_equal(vx_svg_det("Living & not", curves, 2, &out), VX_OK);
    char *text = text_of(&out);
    assert_int_equal(count(text, "<polyline"), 2);
    assert_int_equal(count(text, "<svg"), 1);
    assert_true(strcmp(text + strlen(text) - 7, "</svg>\n") == 0);
    assert_non_null(strstr(text, "Living &amp; not"));
    assert_non_null(strstr(text, "a &lt;b&gt; &amp; c"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    vx_buf_done(&out);
}

static void a_histogram_counts_what_lies_outside_and_what_is_no_number(void **state)
{
    (void)state;
    static const double values[] = {0.5, -1, 2, NAN};
    const vx_svg_series series[] = {{"one", values, 4}, {"none", values, 0}};
    vx_buf out = {0};
    assert_int_equal(vx_svg_histogram("t", "x", 0, 1, series, 2, &out), VX_OK);
    char *text = text_of(&out);
    assert_non_null(strstr(text, "one (1 not judged)"));
    assert_null(strstr(text, "nan"));
    vx_buf_done(&out);
    assert_int_equal(vx_svg_histogram("t", "x", 1, 1, series, 2, &out), VX_ERR_RANGE);
    assert_int_equal(vx_svg_histogram("t", "x", 0, 1, series, 13, &out), VX_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_counted_by_hand),
        cmocka_unit_test(equal_scores_are_accepted_or_refused_together),
        cmocka_unit_test(normal_scores_have_the_rates_of_theory),
        cmocka_unit_test(intervals_are_as_wide_as_speakers_differ),
        cmocka_unit_test(the_same_seed_draws_the_same),
        cmocka_unit_test(answers_are_counted_by_hand),
        cmocka_unit_test(what_was_never_seen_may_still_happen),
        cmocka_unit_test(answers_scatter_as_speakers_do),
        cmocka_unit_test(of_one_speaker_or_none_little_is_known),
        cmocka_unit_test(without_memory_there_are_no_rates),
        cmocka_unit_test(one_kind_alone_has_no_rates),
        cmocka_unit_test(a_curve_goes_from_refusing_all_to_refusing_none),
        cmocka_unit_test(a_plot_is_one_document_with_its_curves),
        cmocka_unit_test(a_histogram_counts_what_lies_outside_and_what_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
