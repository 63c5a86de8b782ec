/* test_decide_safety.c - what holds for any evidence and any settings: the safety rules, on random cases.
 * Edges are over-represented: that is where rules meet. A case that fails prints itself, and the seed is printed first.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "edge/decide/decide_private.h"
#include "shared/base/clock.h"
#include "tests/support/stats.h"

#if defined(__SANITIZE_THREAD__)
enum { N_CASES = 50000 }; /* nothing here has threads */
#else
enum { N_CASES = 1000000 };
#endif
enum { N_RULES = 8 };
_Static_assert(VX_RULE_DISAGREEMENT << N_RULES == VX_RULES_END, "every rule is left out once");

typedef struct {
    vx_evidence evidence[VX_N_SOURCES];
    vx_decide_options options;
} trial;

/* ---- random cases ----------------------------------------------------------------------------------------------- */

static unsigned below(uint64_t *random, unsigned n)
{
    return (unsigned)(stats_random(random) >> 33) % n;
}

static double unit(uint64_t *random)
{
    return (double)(stats_random(random) >> 11) * 0x1p-53;
}

static double any_score(uint64_t *random)
{
    static const double edges[] = {0,    1e-5, 1e-4, 0.00999, 0.01, 0.30, 0.34, 0.35, 0.36,   0.40,   0.60,
                                   0.75, 0.80, 0.84, 0.85,    0.86, 0.90, 0.95, 0.99, 0.9901, 0.9999, 1};
    const double steps[] = {0, 0, 1e-9, -1e-9, 1e-17, -1e-17, 1e-6, -1e-6};
    switch (below(random, 4)) {
    case 0: return unit(random);
    case 1: return 0.8 + 0.2 * unit(random); /* where locks open */
    case 2: return round(unit(random) * 100) / 100;
    default: {
        const double x = edges[below(random, sizeof edges / sizeof *edges)] + steps[below(random, 8)];
        return fmin(fmax(x, 0), 1);
    }
    }
}

static double any_odd_number(uint64_t *random)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, -1, -1e-300, 1.0000000001, 85, 1e308};
    return odd[below(random, sizeof odd / sizeof *odd)];
}

static vx_evidence any_evidence(uint64_t *random)
{
    static const vx_evidence_status statuses[] = {VX_EVIDENCE_UNAVAILABLE, VX_EVIDENCE_INCONCLUSIVE,
                                                  VX_EVIDENCE_NEUTRAL};
    vx_evidence e = {.status = VX_EVIDENCE_VALID, .confidence = any_score(random)};
    if (below(random, 8) == 0)
        e.status = statuses[below(random, 3)]; /* with a number that must not count */
    else if (below(random, 50) == 0)
        e.confidence = any_odd_number(random);
    return e;
}

/* Half of them as by default, the others anything that vx_decide_settings lets through. */
static vx_decide_options any_options(uint64_t *random)
{
    static const double thresholds[] = {0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.999};
    vx_decide_options o = vx_decide_options_default();
    if (below(random, 2) == 0)
        return o;
    double total = 0;
    for (int i = 0; i < VX_N_SOURCES; i++)
        total += o.weights[i] = below(random, 4) == 0 ? 0 : pow(unit(random), 1 + below(random, 20));
    if (!(total > 0))
        o.weights[below(random, VX_N_SOURCES)] = 1;
    o.authenticate = below(random, 2) ? thresholds[below(random, 7)] : 0.5 + 0.499 * unit(random);
    o.reject = fmin(0.01 + 0.89 * unit(random), o.authenticate - 1e-9);
    o.min_sources = 1 + (int)below(random, 4);
    o.allow_degraded = below(random, 2) == 0;
    o.prior = 0.05 + 0.9 * unit(random);
    return o;
}

static trial any_trial(uint64_t *random)
{
    trial t = {.options = any_options(random)};
    for (int i = 0; i < VX_N_SOURCES; i++)
        t.evidence[i] = any_evidence(random);
    if (below(random, 3) == 0) /* a case in which the sources agree is rare by chance, and opens most */
        for (int i = 1; i < VX_N_SOURCES; i++)
            t.evidence[i].confidence = t.evidence[0].confidence;
    return t;
}

/* ---- judging ---------------------------------------------------------------------------------------------------- */

static vx_decision judge(const trial *t, unsigned without)
{
    const vx_scores scores = vx_scores_of(t->evidence);
    vx_decision d;
    (void)vx_judge(&scores, &t->options, without, &d);
    return d;
}

static bool opens(const vx_decision *d)
{
    return d->verdict == VX_AUTHENTICATE;
}

static void show(const char *what, const trial *t, const vx_decision *d)
{
    print_message("# %s: %s, P %.17g, threshold %.17g, anomaly %s\n", what, vx_verdict_name(d->verdict), d->p,
                  d->threshold, vx_anomaly_name(d->anomaly));
    for (int i = 0; i < VX_N_SOURCES; i++)
        print_message("#   %s %s %.17g weight %.17g\n", vx_source_name((vx_source)i),
                      vx_evidence_status_name(t->evidence[i].status), t->evidence[i].confidence, t->options.weights[i]);
    print_message("#   authenticate %.17g, reject %.17g, min_sources %d, allow_degraded %d, prior %.17g\n",
                  t->options.authenticate, t->options.reject, t->options.min_sources, t->options.allow_degraded,
                  t->options.prior);
}

#define REQUIRE(what, condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            show("before", t, d);                                                                                      \
            show("after", &u, &e);                                                                                     \
            fail_msg("%s: %s", what, #condition);                                                                      \
        }                                                                                                              \
    } while (0)

/* ---- the rules -------------------------------------------------------------------------------------------------- */

/* P rises with every score, and a lower score opens nothing, unless it leaves "every source above 0.99". */
static void check_raised_score(const trial *t, const vx_decision *d, uint64_t *random)
{
    trial u = *t;
    vx_evidence *raised = &u.evidence[below(random, VX_N_SOURCES)];
    if (vx_decide_status(raised) != VX_EVIDENCE_VALID)
        return;
    const double old = raised->confidence, other = any_score(random);
    raised->confidence = below(random, 2) ? fmin(1, old + pow(10, -1.0 - below(random, 17))) : fmax(old, other);
    const vx_decision e = judge(&u, 0);
    REQUIRE("P falls when a score rises", e.p >= d->p);
    REQUIRE("the threshold rises with a score", e.threshold <= d->threshold);
    REQUIRE("a lower score opens", !opens(d) || opens(&e) || e.anomaly == VX_ANOMALY_TOO_GOOD);
}

static void check_lost_source(const trial *t, const vx_decision *d, uint64_t *random)
{
    const vx_source lost = below(random, 2) ? VX_SOURCE_ML : VX_SOURCE_PHYSICS;
    trial u = *t;
    if (below(random, 2))
        u.evidence[lost].confidence = any_odd_number(random);
    else
        u.evidence[lost].status = (vx_evidence_status)below(random, VX_EVIDENCE_VALID);
    vx_decision e = judge(&u, 0);
    REQUIRE("opens without physics", lost != VX_SOURCE_PHYSICS || !opens(&e));
    REQUIRE("opens without ML", lost != VX_SOURCE_ML || t->options.allow_degraded || !opens(&e));
    /* Where the owner allows it, what is left still has to reach a threshold of its own, and it is said. */
    REQUIRE("opens quietly", !opens(&e) || (e.degraded && e.p >= 0.75 && e.p >= t->options.authenticate - 0.1 - 1e-9));
    u.evidence[lost == VX_SOURCE_ML ? VX_SOURCE_PHYSICS : VX_SOURCE_ML].status = VX_EVIDENCE_INCONCLUSIVE;
    e = judge(&u, 0);
    REQUIRE("decides on nothing", e.verdict == VX_NO_EVIDENCE);
}

/* Leaving a rule out never takes access away, so having it never gives any; an anomaly rule changes nothing but that it
 * escalates. */
static void check_rules_only_take(const trial *t, const vx_decision *d, uint64_t *random)
{
    const trial u = *t;
    const unsigned rule = (unsigned)VX_RULE_DISAGREEMENT << below(random, N_RULES);
    const vx_decision e = judge(t, rule);
    REQUIRE("a rule gives access", !opens(d) || opens(&e));
    REQUIRE("a rule moves P", e.p == d->p);
    REQUIRE("an anomaly rule does more than escalate",
            rule >= VX_RULE_VOICE || e.verdict == d->verdict || d->verdict == VX_ESCALATE);
}

static void check_verdict(const trial *t, const vx_decision *d)
{
    const trial u = *t;
    const vx_decision e = *d;
    const vx_scores s = vx_scores_of(t->evidence);
    const bool ml = s.valid[VX_SOURCE_ML], physics = s.valid[VX_SOURCE_PHYSICS];
    REQUIRE("opens below the threshold", !opens(d) || d->p >= d->threshold);
    REQUIRE("opens in a case for rejection", !opens(d) || d->p >= t->options.reject);
    REQUIRE("rejects above the threshold", d->verdict != VX_REJECT || d->p < t->options.reject);
    REQUIRE("challenges below it", d->verdict != VX_CHALLENGE || d->p >= t->options.reject);
    REQUIRE("opens on too few", !opens(d) || s.n >= t->options.min_sources);
    REQUIRE("opens with a low score", !opens(d) || s.lowest >= 0.35);
    REQUIRE("opens with an anomaly", (d->anomaly != VX_ANOMALY_NONE) == (d->verdict == VX_ESCALATE));
    REQUIRE("raises no alarm", d->alert == (d->verdict == VX_ESCALATE));
    REQUIRE("invents evidence", ml || physics || d->verdict == VX_NO_EVIDENCE);
    REQUIRE("lowers the threshold for nothing",
            d->threshold >=
                (ml ? fmin(t->options.authenticate, fmax(0.80, t->options.authenticate - 0.05 - 1e-9)) : 0.75));
    REQUIRE("calls a voice changed", !d->voice_changed || (opens(d) && d->p < t->options.authenticate));
    REQUIRE("a strange P", d->p >= 0 && d->p <= 1 && d->pooled >= 0 && d->pooled <= 1);
}

/* The formulas by the book, without billionths. */
static void check_probability(const trial *t, const vx_decision *d)
{
    const trial u = *t;
    const vx_decision e = *d;
    double product = 1, total = 0;
    if (d->verdict == VX_NO_EVIDENCE)
        return;
    for (int i = 0; i < VX_N_SOURCES; i++)
        total += d->used[i] > 0 ? t->options.weights[i] : 0;
    for (int i = 0; i < VX_N_SOURCES; i++)
        product *= d->used[i] > 0 ? pow(d->used[i], t->options.weights[i] / total) : 1;
    const double prior = t->options.prior, ratio = product / (1 - product) * prior / (1 - prior) * 0.15 / 0.85;
    REQUIRE("pooled by another formula", fabs(d->pooled - product) < 1e-9);
    REQUIRE("P by another formula", fabs(d->p - ratio / (1 + ratio)) < 3e-9);
}

/* What decide.h promises of its additional rule: usual settings never need it. */
static void check_low_score_rule(const trial *t)
{
    trial u = *t;
    u.options = vx_decide_options_default();
    u.options.allow_degraded = t->options.allow_degraded;
    const vx_decision e = judge(&u, VX_RULE_LOW_SCORE), f = judge(&u, 0), *d = &f;
    REQUIRE("the rule changes a usual verdict", e.verdict == f.verdict);
}

static void check_prior(const trial *t, const vx_decision *d, uint64_t *random)
{
    trial u = *t;
    u.options.prior = fmin(0.95, u.options.prior + 0.1 * unit(random));
    const vx_decision e = judge(&u, 0);
    REQUIRE("P falls when belief rises", e.p >= d->p);
}

static void the_safety_rules_hold(void **state)
{
    (void)state;
    const uint64_t seed = vx_now_ns();
    print_message("# seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    size_t n_of[VX_N_VERDICTS] = {0};
    for (int i = 0; i < N_CASES; i++) {
        const trial t = any_trial(&random);
        const vx_decision d = judge(&t, 0);
        n_of[d.verdict]++;
        check_verdict(&t, &d);
        check_raised_score(&t, &d, &random);
        check_lost_source(&t, &d, &random);
        check_rules_only_take(&t, &d, &random);
        check_low_score_rule(&t);
        if (i % 4 == 0) {
            check_probability(&t, &d);
            check_prior(&t, &d, &random);
        }
    }
    /* Cases that never open would prove nothing. */
    for (int v = VX_AUTHENTICATE; v <= VX_ESCALATE; v++) {
        print_message("# %s %zu\n", vx_verdict_name((vx_verdict)v), n_of[v]);
        assert_true(n_of[v] > N_CASES / 100);
    }
}

/* ---- every neighbour -------------------------------------------------------------------------------------------- */

/* P over scores that are next to each other, where only rounding could put them out of order. */
static void p_rises_from_double_to_double(void **state)
{
    (void)state;
    const vx_decide_options options = vx_decide_options_default();
    static const double starts[] = {0.0001, 0.35, 0.367879441, 0.5, 0.85, 0.9998};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        trial t = {.options = options};
        for (int i = 0; i < VX_N_SOURCES; i++)
            t.evidence[i] = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = starts[s]};
        double last = judge(&t, 0).p;
        for (int i = 0; i < 5000; i++) {
            double *x = &t.evidence[i % VX_N_SOURCES].confidence;
            *x = i % 5 == 0 ? *x + 1e-9 : nextafter(*x, 1);
            const double p = judge(&t, 0).p;
            assert_true(p >= last);
            last = p;
        }
        assert_true(last > starts[s]);
    }
}

/* Every pair of hundredths: the rule of disagreement and the bound on low scores fit together without a gap. */
static void disagreement_lies_below_the_low_score(void **state)
{
    (void)state;
    for (int high = 0; high <= 100; high++) {
        for (int low = 0; low <= high; low++) {
            trial t = {.options = vx_decide_options_default()};
            for (int i = 0; i < VX_N_SOURCES; i++)
                t.evidence[i] = (vx_evidence){.status = VX_EVIDENCE_VALID,
                                              .confidence = (i == VX_SOURCE_CONTEXT ? low : high) / 100.0};
            const vx_decision d = judge(&t, 0);
            const int capped = high < 85 ? high : 85;
            assert_int_equal(d.anomaly == VX_ANOMALY_DISAGREEMENT, capped - low > 50);
            assert_true(d.anomaly != VX_ANOMALY_DISAGREEMENT || low < 35);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_safety_rules_hold),
        cmocka_unit_test(p_rises_from_double_to_double),
        cmocka_unit_test(disagreement_lies_below_the_low_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
