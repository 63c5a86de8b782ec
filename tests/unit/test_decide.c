/* test_decide.c - the verdict: the table it was designed by, each rule at its edge, and what is said of it.
 * What holds for any evidence is in test_decide_safety.c.
 */
#include "edge/decide/decide.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/decide/decide_private.h"
#include "shared/base/json.h"
#include "tests/support/alloc_fail.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Instead of a score. */
#define NONE         (-1.0) /* unavailable */
#define UNSURE       (-2.0) /* inconclusive */
#define NEUTRAL      (-3.0)

#define NO           VX_ANOMALY_NONE
#define DIS          VX_ANOMALY_DISAGREEMENT
#define CON          VX_ANOMALY_CONTRADICTION
#define GOOD         VX_ANOMALY_TOO_GOOD
#define BAD          VX_ANOMALY_TOO_BAD

/* Options as they are by default. */
#define USUAL                                                                                                          \
    {                                                                                                                  \
        .prior = 0                                                                                                     \
    }

typedef double scores[VX_N_SOURCES];

static void make_evidence(const scores given, vx_evidence ret[VX_N_SOURCES])
{
    for (int i = 0; i < VX_N_SOURCES; i++) {
        const double x = given[i];
        ret[i] = (vx_evidence){.confidence = x < 0 ? NAN : x, .elapsed_ms = 1.5 * i, .reason = "a reason"};
        ret[i].status = x == NONE      ? VX_EVIDENCE_UNAVAILABLE
                        : x == UNSURE  ? VX_EVIDENCE_INCONCLUSIVE
                        : x == NEUTRAL ? VX_EVIDENCE_NEUTRAL
                                       : VX_EVIDENCE_VALID;
    }
}

static vx_decision decide(const scores given, const vx_decide_options *options)
{
    const vx_decide_options usual = vx_decide_options_default();
    vx_evidence evidence[VX_N_SOURCES];
    vx_decision d;
    make_evidence(given, evidence);
    vx_decide(evidence, options ? options : &usual, &d);
    return d;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static void the_table_of_cases(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        scores given;
        double p; /* to two decimals */
        vx_verdict verdict;
        double threshold;
        vx_anomaly anomaly;
        bool changed, degraded;
        const char *says;
    } cases[] = {
        {"usual", {0.92, 0.88, 0.95, 0.90}, 0.91, VX_AUTHENTICATE, 0.85, NO, false, false, "It is you"},
        {"hoarse",
         {0.68, 0.92, 0.96, 0.90},
         0.82,
         VX_AUTHENTICATE,
         0.80,
         NO,
         true,
         false,
         "your voice sounds different today"},
        {"new microphone", {0.72, 0.45, 0.94, 0.90}, 0.67, VX_CHALLENGE, 0.85, NO, false, false, "new microphone"},
        {"replayed", {0.89, 0.12, 0.94, 0.90}, 0.49, VX_ESCALATE, 0.85, CON, false, false, "looks like a recording"},
        {"network down", {NONE, 0.88, 0.95, 0.90}, 0.91, VX_CHALLENGE, 0.75, NO, false, true, "could not be compared"},
        {"3 a.m.", {0.92, 0.90, 0.45, 0.70}, 0.77, VX_CHALLENGE, 0.85, NO, false, false, "not when or how"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const vx_decision d = decide(cases[i].given, NULL);
        if (d.verdict != cases[i].verdict || round(d.p * 100) != round(cases[i].p * 100) || d.p != d.pooled ||
            d.threshold != cases[i].threshold || d.anomaly != cases[i].anomaly || d.voice_changed != cases[i].changed ||
            d.degraded != cases[i].degraded || d.alert != (d.verdict == VX_ESCALATE) ||
            !strstr(d.sentence, cases[i].says))
            fail_msg("%s: %s, P %.4f, threshold %.3f, %s, changed %d, degraded %d: %s", cases[i].what,
                     vx_verdict_name(d.verdict), d.p, d.threshold, vx_anomaly_name(d.anomaly), d.voice_changed,
                     d.degraded, d.sentence);
    }
    assert_true(fabs(decide(cases[4].given, NULL).p - 0.906) < 0.0005);
}

/* ---- fusion ----------------------------------------------------------------------------------------------------- */

static void weights_are_shared_by_who_is_there(void **state)
{
    (void)state;
    static const struct {
        scores given, used, weight;
    } cases[] = {
        {{0.9, 0.8, 0.7, 0.6}, {0.9, 0.8, 0.7, 0.6}, {0.4, 0.3, 0.2, 0.1}},
        {{NONE, 0.8, 0.7, 0.6}, {0, 0.8, 0.7, 0.6}, {0, 0.5, 1 / 3.0, 1 / 6.0}},
        {{0.9, UNSURE, 0.7, 0.6}, {0.9, 0, 0.7, 0.6}, {4 / 7.0, 0, 2 / 7.0, 1 / 7.0}},
        {{0.9, NEUTRAL, NEUTRAL, NEUTRAL}, {0.9, 0, 0.7, 0.7}, {4 / 7.0, 0, 2 / 7.0, 1 / 7.0}},
        {{0.9, 0.8, NONE, UNSURE}, {0.9, 0.8, 0.7, 0.7}, {0.4, 0.3, 0.2, 0.1}},
        {{0.0, 1.0, 0.00005, 0.99995}, {0.0001, 0.9999, 0.0001, 0.9999}, {0.4, 0.3, 0.2, 0.1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const vx_decision d = decide(cases[i].given, NULL);
        double product = 1;
        for (int k = 0; k < VX_N_SOURCES; k++) {
            assert_true(d.used[k] == cases[i].used[k]);
            assert_true(fabs(d.weight[k] - cases[i].weight[k]) < 1e-12);
            product *= d.weight[k] > 0 ? pow(d.used[k], d.weight[k]) : 1;
        }
        assert_true(fabs(d.pooled - product) < 1e-9);
    }
}

static void the_prior_moves_odds(void **state)
{
    (void)state;
    static const struct {
        double prior, p; /* of evidence that alone gives 0.80 */
    } cases[] = {
        {0.85, 0.80},
        {0.95, (4 * 19 / (17 / 3.0)) / (1 + 4 * 19 / (17 / 3.0))},
        {0.05, (4 / 19.0 / (17 / 3.0)) / (1 + 4 / 19.0 / (17 / 3.0))},
        {0.50, (4 / (17 / 3.0)) / (1 + 4 / (17 / 3.0))},
        /* What was never a prior is the unlearned one. */
        {NAN, 0.80},
        {0.96, 0.80},
        {0.04, 0.80},
        {INFINITY, 0.80},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_decide_options options = vx_decide_options_default();
        options.prior = cases[i].prior;
        const vx_decision d = decide((scores){0.8, 0.8, 0.8, 0.8}, &options);
        assert_true(d.pooled == 0.80);
        assert_true(fabs(d.p - cases[i].p) < 1e-9);
    }
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

/* Options of a case that are not the usual ones; 0 keeps the usual. */
typedef struct {
    double authenticate, reject, prior;
    int min_sources;
    bool allow_degraded;
    double weights[VX_N_SOURCES]; /* all 0: the usual */
} changes;

static vx_decide_options changed(const changes *c)
{
    vx_decide_options o = vx_decide_options_default();
    o.authenticate = c->authenticate > 0 ? c->authenticate : o.authenticate;
    o.reject = c->reject > 0 ? c->reject : o.reject;
    o.prior = c->prior > 0 ? c->prior : o.prior;
    o.min_sources = c->min_sources > 0 ? c->min_sources : o.min_sources;
    o.allow_degraded = c->allow_degraded;
    if (c->weights[0] + c->weights[1] + c->weights[2] + c->weights[3] > 0)
        memcpy(o.weights, c->weights, sizeof o.weights);
    return o;
}

typedef struct {
    const char *what;
    scores given;
    vx_verdict verdict;
    vx_anomaly anomaly;
    const char *says;
    changes with;
} rule_case;

static void check_rules(const rule_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const vx_decide_options options = changed(&cases[i].with);
        const vx_decision d = decide(cases[i].given, &options);
        if (d.verdict != cases[i].verdict || d.anomaly != cases[i].anomaly || !strstr(d.sentence, cases[i].says))
            fail_msg("%s: %s, P %.10f, threshold %.3f, %s: %s", cases[i].what, vx_verdict_name(d.verdict), d.p,
                     d.threshold, vx_anomaly_name(d.anomaly), d.sentence);
    }
}

static void thresholds_count_themselves_in(void **state)
{
    (void)state;
    static const rule_case cases[] = {
        {"0.85 is enough", {0.85, 0.85, 0.85, 0.85}, VX_AUTHENTICATE, NO, "It is you", USUAL},
        {"0.849999 is not", {0.849999, 0.849999, 0.849999, 0.849999}, VX_CHALLENGE, NO, "like yours", USUAL},
        {"0.40 is a challenge", {0.4, 0.4, 0.4, 0.4}, VX_CHALLENGE, NO, "", USUAL},
        {"0.399999 is not", {0.399999, 0.399999, 0.399999, 0.399999}, VX_REJECT, NO, "not sound like you", USUAL},
        {"a stricter one", {0.9, 0.88, 0.88, 0.88}, VX_CHALLENGE, NO, "", {.authenticate = 0.9}},
        {"a milder one", {0.7, 0.7, 0.7, 0.7}, VX_AUTHENTICATE, NO, "", {.authenticate = 0.7}},
        {"a stricter rejection", {0.6, 0.6, 0.6, 0.6}, VX_REJECT, NO, "", {.reject = 0.61}},
        {"little belief", {0.9, 0.9, 0.9, 0.9}, VX_REJECT, NO, "", {.prior = 0.05}},
    };
    check_rules(cases, COUNT(cases));
}

static void anomalies(void **state)
{
    (void)state;
    static const rule_case cases[] = {
        {"half apart", {0.85, 0.85, 0.85, 0.35}, VX_CHALLENGE, NO, "", USUAL},
        {"more than half", {0.85, 0.85, 0.85, 0.349999}, VX_ESCALATE, DIS, "the place says no (0.35)", USUAL},
        {"half apart, on paper only", {0.7, 0.7, 0.8, 0.3}, VX_CHALLENGE, NO, "", USUAL},
        {"below the cap", {0.7, 0.7, 0.8, 0.299999}, VX_ESCALATE, DIS, "the time and manner says yes (0.80)", USUAL},
        {"above the cap", {0.99, 0.99, 0.99, 0.35}, VX_AUTHENTICATE, NO, "", USUAL},
        {"neutral does not disagree", {0.15, 0.15, NEUTRAL, NEUTRAL}, VX_REJECT, NO, "", USUAL},
        {"nor what dropped out", {0.15, NONE, 0.6, 0.6}, VX_REJECT, NO, "", USUAL},
        {"without ML", {NONE, 0.2, 0.9, 0.9}, VX_ESCALATE, DIS, "living voice says no", USUAL},
        {"contradiction", {0.80, 0.30, 0.6, 0.6}, VX_ESCALATE, CON, "recording", USUAL},
        {"not quite the voice", {0.799999, 0.30, 0.6, 0.6}, VX_CHALLENGE, NO, "", USUAL},
        {"not quite fake", {0.80, 0.300001, 0.6, 0.6}, VX_CHALLENGE, NO, "", USUAL},
        {"a low P does not save it", {0.80, 0.30, 0.6, 0.6}, VX_ESCALATE, CON, "", {.prior = 0.05}},
        {"too good", {0.990001, 0.995, 0.999, 1}, VX_ESCALATE, GOOD, "better than it ever does", USUAL},
        {"two are enough", {0.995, 0.995, NEUTRAL, NONE}, VX_ESCALATE, GOOD, "", USUAL},
        {"one is not", {0.995, NONE, NEUTRAL, NEUTRAL}, VX_CHALLENGE, NO, "", USUAL},
        {"just not too good", {0.99, 1, 1, 1}, VX_AUTHENTICATE, NO, "", USUAL},
        {"too bad", {0.009999, 0.005, 0.001, 0}, VX_ESCALATE, BAD, "Nothing fits", USUAL},
        {"two are enough", {NONE, 0.005, NEUTRAL, 0.005}, VX_ESCALATE, BAD, "", USUAL},
        {"one is not", {0.005, NONE, NEUTRAL, NEUTRAL}, VX_REJECT, NO, "", USUAL},
        {"just not too bad", {0.01, 0, 0, 0}, VX_REJECT, NO, "", USUAL},
    };
    check_rules(cases, COUNT(cases));
}

static void what_authenticate_wants_besides(void **state)
{
    (void)state;
    static const rule_case cases[] = {
        {"no physics", {0.95, UNSURE, 0.95, 0.95}, VX_CHALLENGE, NO, "The voice matches, but nothing shows", USUAL},
        {"nor the voice", {0.75, NONE, 0.95, 0.95}, VX_CHALLENGE, NO, "nor is it clearly yours", USUAL},
        {"not with degraded either", {0.95, NONE, 0.95, 0.95}, VX_CHALLENGE, NO, "", {.allow_degraded = true}},
        {"no ML", {NONE, 0.95, 0.95, 0.95}, VX_CHALLENGE, NO, "without it nothing is unlocked", USUAL},
        {"no ML, allowed", {NONE, 0.75, 0.75, 0.75}, VX_AUTHENTICATE, NO, "DEGRADED", {.allow_degraded = true}},
        {"allowed, not enough", {NONE, 0.749999, 0.75, 0.74}, VX_CHALLENGE, NO, "", {.allow_degraded = true}},
        {"no ML and not enough", {NONE, 0.6, 0.6, 0.6}, VX_CHALLENGE, NO, "all else is not enough", USUAL},
        {"no ML and nothing", {NONE, 0.3, 0.3, 0.3}, VX_REJECT, NO, "living voice", USUAL},
        {"neither", {NONE, UNSURE, 0.95, 0.95}, VX_NO_EVIDENCE, NO, "nothing was decided", {.allow_degraded = true}},
        {"nor an anomaly then", {NONE, UNSURE, 0.95, 0.1}, VX_NO_EVIDENCE, NO, "nothing was decided", USUAL},
        {"two sources", {0.95, 0.95, NEUTRAL, NEUTRAL}, VX_AUTHENTICATE, NO, "", USUAL},
        {"of three", {0.95, 0.95, NEUTRAL, NONE}, VX_CHALLENGE, NO, "MIN_SOURCES", {.min_sources = 3}},
        {"of four", {0.95, 0.95, 0.95, NEUTRAL}, VX_CHALLENGE, NO, "MIN_SOURCES", {.min_sources = 4}},
        {"four", {0.95, 0.95, 0.95, 0.95}, VX_AUTHENTICATE, NO, "", {.min_sources = 4}},
        /* Without the voice the hour must speak for the owner. */
        {"no habits", {NONE, 0.95, NEUTRAL, 0.95}, VX_CHALLENGE, NO, "could not be compared", {.allow_degraded = true}},
        {"of three",
         {NONE, 0.95, 0.95, NEUTRAL},
         VX_CHALLENGE,
         NO,
         "MIN_SOURCES",
         {.allow_degraded = true, .min_sources = 3}},
        /* What disagreement would forbid at a higher score stays forbidden. */
        {"one low score", {0.84, 0.84, 0.84, 0.349999}, VX_CHALLENGE, NO, "not the place", {.prior = 0.95}},
        {"one less low", {0.84, 0.84, 0.84, 0.35}, VX_AUTHENTICATE, NO, "", {.prior = 0.95}},
        {"no history", {0.9, 0.9, NEUTRAL, NEUTRAL}, VX_CHALLENGE, NO, "Too little is known", USUAL},
        {"habits",
         {0.9, 0.9, NEUTRAL, NEUTRAL},
         VX_REJECT,
         NO,
         "Too little speaks for you",
         {.authenticate = 0.99, .reject = 0.9, .weights = {0.01, 0.01, 1, 1}}},
    };
    check_rules(cases, COUNT(cases));
}

static void a_changed_voice(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        scores given;
        double authenticate, threshold;
        vx_verdict verdict;
        bool changed, said;
    } cases[] = {
        {"all there", {0.6, 1, 1, 1}, 0.85, 0.80, VX_AUTHENTICATE, true, true},
        {"voice too strange", {0.599999, 1, 1, 1}, 0.85, 0.85, VX_CHALLENGE, false, false},
        {"not alive enough", {0.68, 0.899999, 1, 1}, 0.85, 0.85, VX_CHALLENGE, false, false},
        {"alive enough", {0.68, 0.90, 1, 1}, 0.85, 0.80, VX_AUTHENTICATE, true, true},
        {"an odd hour", {0.68, 1, 0.899999, 1}, 0.85, 0.85, VX_CHALLENGE, false, false},
        {"a usual hour", {0.68, 1, 0.90, 1}, 0.85, 0.80, VX_AUTHENTICATE, true, true},
        {"no habits", {0.9, 0.9, NEUTRAL, NEUTRAL}, 0.85, 0.85, VX_CHALLENGE, false, false},
        {"not enough all the same", {0.60, 0.9, 0.9, 0.9}, 0.85, 0.80, VX_CHALLENGE, false, false},
        {"not needed", {0.9, 0.9, 0.9, 0.9}, 0.85, 0.80, VX_AUTHENTICATE, false, false},
        {"the voice as ever", {0.85, 0.9, 0.9, 0.4}, 0.85, 0.80, VX_AUTHENTICATE, true, false},
        {"a stricter owner", {0.8, 1, 1, 1}, 0.95, 0.90, VX_AUTHENTICATE, true, true},
        {"a stricter owner", {0.7, 1, 1, 1}, 0.95, 0.90, VX_CHALLENGE, false, false},
        {"a milder owner", {0.6, 0.9, 0.9, 0.45}, 0.7, 0.70, VX_AUTHENTICATE, false, false},
        {"no voice", {NONE, 1, 1, 0.9}, 0.85, 0.75, VX_CHALLENGE, false, false},
        {"no voice, strict", {NONE, 1, 1, 0.9}, 0.95, 0.85, VX_CHALLENGE, false, false},
        {"no voice, mild", {NONE, 1, 1, 0.9}, 0.60, 0.75, VX_CHALLENGE, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_decide_options options = vx_decide_options_default();
        options.authenticate = cases[i].authenticate;
        const vx_decision d = decide(cases[i].given, &options);
        if (d.verdict != cases[i].verdict || d.threshold != cases[i].threshold || d.voice_changed != cases[i].changed ||
            (strstr(d.sentence, "different today") != NULL) != cases[i].said)
            fail_msg("%s: %s, P %.4f, threshold %.17g, changed %d: %s", cases[i].what, vx_verdict_name(d.verdict), d.p,
                     d.threshold, d.voice_changed, d.sentence);
    }
    /* The lowered threshold does not overrule what is a rejection. */
    vx_decide_options options = vx_decide_options_default();
    options.reject = 0.83;
    assert_int_equal(decide((scores){0.68, 0.92, 0.96, 0.90}, &options).verdict, VX_REJECT);
}

static void weight_only_where_nothing_is(void **state)
{
    (void)state;
    vx_decide_options options = vx_decide_options_default();
    memcpy(options.weights, (double[]){1, 0, 0, 0}, sizeof options.weights);
    const vx_decision d = decide((scores){NONE, 0.9, 0.9, 0.9}, &options);
    assert_int_equal(d.verdict, VX_NO_EVIDENCE);
    assert_true(d.p == 0 && d.pooled == 0 && !d.degraded);
    assert_non_null(strstr(d.sentence, "BAYESIAN_"));
    assert_int_equal(decide((scores){NONE, 0.1, 0.9, 0.9}, &options).verdict, VX_NO_EVIDENCE);
    /* A source without weight still may veto. */
    assert_int_equal(decide((scores){0.9, NONE, 0.9, 0.9}, &options).verdict, VX_CHALLENGE);
    assert_int_equal(decide((scores){0.9, 0.2, 0.9, 0.9}, &options).verdict, VX_ESCALATE);
    assert_int_equal(decide((scores){0.9, 0.9, 0.9, 0.9}, &options).verdict, VX_AUTHENTICATE);
}

static void what_is_no_number_is_unavailable(void **state)
{
    (void)state;
    static const double odd[] = {NAN, INFINITY, -INFINITY, -0.000001, 1.000001, 1e300, -1e300};
    const vx_decide_options options = vx_decide_options_default();
    for (int source = 0; source < VX_N_SOURCES; source++) {
        for (size_t i = 0; i < COUNT(odd); i++) {
            vx_evidence evidence[VX_N_SOURCES];
            vx_decision d, missing;
            make_evidence((scores){0.95, 0.95, 0.95, 0.95}, evidence);
            evidence[source].status = VX_EVIDENCE_UNAVAILABLE;
            vx_decide(evidence, &options, &missing);
            evidence[source].status = VX_EVIDENCE_VALID;
            evidence[source].confidence = odd[i];
            vx_decide(evidence, &options, &d);
            assert_int_equal(d.verdict, missing.verdict);
            assert_true(d.p == missing.p && d.threshold == missing.threshold && d.degraded == missing.degraded);
            assert_memory_equal(d.used, missing.used, sizeof d.used);
            assert_string_equal(d.sentence, missing.sentence);
            json_t *root = vx_decision_json(evidence, &d);
            const json_t *said = json_array_get(json_object_get(root, "evidence"), (size_t)source);
            assert_string_equal(json_string_value(json_object_get(said, "status")), "unavailable");
            assert_true(json_is_null(json_object_get(said, "confidence")));
            json_decref(root);
        }
    }
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

static vx_err load(const char *const environment[], vx_decide_options *ret, vx_errinfo *info)
{
    const char *operands[1];
    int n_operands;
    vx_options *settings = NULL;
    assert_int_equal(
        vx_options_load(VX_FOR_EDGE, (char *const *)environment, 0, NULL, NULL, operands, &n_operands, &settings, NULL),
        VX_OK);
    vx_err err = vx_decide_settings(settings, ret, info);
    vx_options_destroy(settings);
    return err;
}

static void settings_become_options(void **state)
{
    (void)state;
    const vx_decide_options usual = vx_decide_options_default();
    vx_decide_options options;
    vx_errinfo info = {0};
    memset(&options, 0x55, sizeof options);
    assert_int_equal(load((const char *[]){NULL}, &options, &info), VX_OK);
    for (int i = 0; i < VX_N_SOURCES; i++)
        assert_true(options.weights[i] == usual.weights[i]);
    assert_true(options.authenticate == usual.authenticate && options.reject == usual.reject);
    assert_true(options.prior == usual.prior && !options.allow_degraded);
    assert_int_equal(options.min_sources, usual.min_sources);

    assert_int_equal(
        load((const char *[]){"BAYESIAN_ML_WEIGHT=0.1", "BAYESIAN_PHYSICS_WEIGHT=0.2", "BAYESIAN_BEHAVIORAL_WEIGHT=0.3",
                              "BAYESIAN_CONTEXT_WEIGHT=0.5", "BAYESIAN_AUTH_THRESHOLD=0.9",
                              "BAYESIAN_REJECT_THRESHOLD=0.3", "BAYESIAN_MIN_SOURCES=3",
                              "VOXLOCK_ALLOW_DEGRADED_UNLOCK=true", "BAYESIAN_PRIOR_AUTHENTIC=0.6", NULL},
             &options, &info),
        VX_OK);
    assert_memory_equal(options.weights, ((double[]){0.1, 0.2, 0.3, 0.5}), sizeof options.weights);
    assert_true(options.authenticate == 0.9 && options.reject == 0.3 && options.prior == 0.6);
    assert_true(options.min_sources == 3 && options.allow_degraded);
}

static void settings_that_contradict_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *environment[5], *says;
    } cases[] = {
        {{"BAYESIAN_ML_WEIGHT=0", "BAYESIAN_PHYSICS_WEIGHT=0", "BAYESIAN_BEHAVIORAL_WEIGHT=0",
          "BAYESIAN_CONTEXT_WEIGHT=0"},
         "WEIGHT"},
        {{"BAYESIAN_ML_WEIGHT=0"}, "WEIGHT"},
        {{"BAYESIAN_PHYSICS_WEIGHT=0"}, "WEIGHT"},
        {{"BAYESIAN_REJECT_THRESHOLD=0.86"}, "BAYESIAN_REJECT_THRESHOLD (0.86)"},
        {{"BAYESIAN_REJECT_THRESHOLD=0.85"}, "BAYESIAN_AUTH_THRESHOLD (0.85)"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_decide_options options, untouched;
        vx_errinfo info = {0};
        memset(&options, 0x55, sizeof options);
        memset(&untouched, 0x55, sizeof untouched);
        assert_int_equal(load(cases[i].environment, &options, &info), VX_ERR_OPTION_VALUE);
        assert_non_null(strstr(info.text, cases[i].says));
        assert_memory_equal(&options, &untouched, sizeof options);
    }
}

/* ---- table and JSON --------------------------------------------------------------------------------------------- */

static void the_table_is_readable(void **state)
{
    (void)state;
    vx_evidence evidence[VX_N_SOURCES];
    const vx_decide_options options = vx_decide_options_default();
    vx_decision d;
    vx_buf out = {0};
    make_evidence((scores){0.92, UNSURE, 0.95, NEUTRAL}, evidence);
    (void)snprintf(evidence[2].reason, VX_REASON_CAP, "a\x1b[2Jb\x7f\xc2\x9b\n");
    vx_decide(evidence, &options, &d);
    assert_int_equal(vx_decision_show(evidence, &d, &out), VX_OK);
    assert_string_equal((const char *)out.data,
                        "  source    status        measured  used  weight  reason\n"
                        "  ml        valid             0.92  0.92    0.57  a reason\n"
                        "  physics   inconclusive         -     -       -  a reason\n"
                        "  behavior  valid             0.95  0.95    0.29  a?[2Jb????\n"
                        "  context   neutral              -  0.70    0.14  a reason\n"
                        "\n"
                        "  probability 0.893, threshold 0.85\n"
                        "CHALLENGE: The voice matches, but nothing shows that it is a living voice: say the digits you "
                        "are asked for.\n");
    vx_buf_done(&out);

    make_evidence((scores){NONE, 0.1, 0.9, 0.9}, evidence);
    vx_decide(evidence, &options, &d);
    assert_int_equal(vx_decision_show(evidence, &d, &out), VX_OK);
    assert_non_null(strstr((const char *)out.data, ", anomaly: disagreement, degraded: without the voice\n"));
    vx_buf_done(&out);

    /* Where nothing was decided, no number looks like a match. */
    make_evidence((scores){NONE, NONE, 0.9, 0.9}, evidence);
    vx_decide(evidence, &options, &d);
    assert_true(d.p == 0 && d.pooled == 0 && !d.degraded);
    assert_int_equal(vx_decision_show(evidence, &d, &out), VX_OK);
    assert_null(strstr((const char *)out.data, "probability"));
    assert_non_null(strstr((const char *)out.data, "UNAVAILABLE: "));
    vx_buf_done(&out);
}

static void json_tells_the_same(void **state)
{
    (void)state;
    vx_evidence evidence[VX_N_SOURCES];
    const vx_decide_options options = vx_decide_options_default();
    vx_decision d;
    vx_buf out = {0};
    make_evidence((scores){0.92, UNSURE, 0.95, NEUTRAL}, evidence);
    (void)snprintf(evidence[3].reason, VX_REASON_CAP, "\xff");
    evidence[3].elapsed_ms = NAN;
    vx_decide(evidence, &options, &d);
    json_t *root = vx_decision_json(evidence, &d);
    assert_int_equal(vx_json_write(root, &out), VX_OK);
    assert_int_equal(vx_buf_append(&out, "", 1), VX_OK);
    json_decref(root);
    assert_string_equal(
        (const char *)out.data,
        "{\"verdict\":\"CHALLENGE\",\"probability\":0.892922557,\"pooled\":0.892922557,\"threshold\":0.85,"
        "\"anomaly\":\"none\",\"degraded\":false,\"voice_changed\":false,\"alert\":false,\"sentence\":\"The voice "
        "matches, but nothing shows that it is a living voice: say the digits you are asked for.\",\"evidence\":["
        "{\"source\":\"ml\",\"status\":\"valid\",\"confidence\":0.92,\"used\":0.92,\"weight\":0.571428571,"
        "\"elapsed_ms\":0.0,\"reason\":\"a reason\"},"
        "{\"source\":\"physics\",\"status\":\"inconclusive\",\"confidence\":null,\"used\":null,\"weight\":0.0,"
        "\"elapsed_ms\":1.5,\"reason\":\"a reason\"},"
        "{\"source\":\"behavior\",\"status\":\"valid\",\"confidence\":0.95,\"used\":0.95,\"weight\":0.285714286,"
        "\"elapsed_ms\":3.0,\"reason\":\"a reason\"},"
        "{\"source\":\"context\",\"status\":\"neutral\",\"confidence\":null,\"used\":0.7,\"weight\":0.142857143,"
        "\"elapsed_ms\":null,\"reason\":\"(not UTF-8)\"}]}");
    vx_buf_done(&out);

    make_evidence((scores){NONE, NONE, 0.9, 0.9}, evidence);
    vx_decide(evidence, &options, &d);
    root = vx_decision_json(evidence, &d);
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "UNAVAILABLE");
    assert_true(json_is_null(json_object_get(root, "probability")));
    assert_true(json_is_null(json_object_get(root, "pooled")));
    json_decref(root);
}

static vx_err show_once(void *ctx)
{
    const vx_decide_options options = vx_decide_options_default();
    vx_evidence evidence[VX_N_SOURCES];
    vx_decision d;
    vx_buf out = {0};
    (void)ctx;
    make_evidence((scores){0.92, NONE, 0.95, 0.3}, evidence);
    vx_decide(evidence, &options, &d);
    vx_err err = vx_decision_show(evidence, &d, &out);
    vx_buf_done(&out);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(show_once, NULL);
}

/* Whole, or nothing. The reason alone may come out as "(not UTF-8)": vx_json_shown tries again. */
static void json_without_memory_is_none(void **state)
{
    (void)state;
    const vx_decide_options options = vx_decide_options_default();
    vx_evidence evidence[VX_N_SOURCES];
    vx_decision d;
    if (!vx_alloc_fail_works())
        skip();
    json_malloc_t old_malloc;
    json_free_t old_free;
    json_get_alloc_funcs(&old_malloc, &old_free);
    json_set_alloc_funcs(malloc, free);
    make_evidence((scores){0.92, NONE, 0.95, 0.3}, evidence);
    vx_decide(evidence, &options, &d);
    size_t refused = 0;
    bool failed = true;
    for (size_t k = 1; failed; k++) {
        vx_alloc_fail_at(k);
        json_t *root = vx_decision_json(evidence, &d);
        failed = vx_alloc_count() >= k;
        vx_alloc_fail_at(0);
        refused += !root;
        if (root) {
            assert_int_equal(json_object_size(root), 10);
            for (size_t i = 0; i < VX_N_SOURCES; i++)
                assert_int_equal(json_object_size(json_array_get(json_object_get(root, "evidence"), i)), 7);
        } else {
            assert_true(failed);
        }
        json_decref(root);
    }
    json_set_alloc_funcs(old_malloc, old_free);
    assert_true(refused > 50);
}

static void names(void **state)
{
    (void)state;
    static const char *const want[] = {"none", "disagreement", "contradiction", "too_good", "too_bad"};
    for (int i = 0; i < (int)COUNT(want); i++)
        assert_string_equal(vx_anomaly_name((vx_anomaly)i), want[i]);
    assert_string_equal(vx_anomaly_name((vx_anomaly)COUNT(want)), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_cases),
        cmocka_unit_test(weights_are_shared_by_who_is_there),
        cmocka_unit_test(the_prior_moves_odds),
        cmocka_unit_test(thresholds_count_themselves_in),
        cmocka_unit_test(anomalies),
        cmocka_unit_test(what_authenticate_wants_besides),
        cmocka_unit_test(a_changed_voice),
        cmocka_unit_test(weight_only_where_nothing_is),
        cmocka_unit_test(what_is_no_number_is_unavailable),
        cmocka_unit_test(settings_become_options),
        cmocka_unit_test(settings_that_contradict_are_refused),
        cmocka_unit_test(the_table_is_readable),
        cmocka_unit_test(json_tells_the_same),
        cmocka_unit_test(failed_allocations_are_reported),
        cmocka_unit_test(json_without_memory_is_none),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
