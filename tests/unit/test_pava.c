/* test_pava.c - the layers together: what they may and may not say, of any recording and any weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/decide/decide.h"
#include "edge/pava/layer.h"
#include "edge/pava/likelihood.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(stats_random(state) >> 11) / 9007199254740992.0;
}

/* ---- weights -------------------------------------------------------------------------------------------------------- */

static void draw_weights(uint64_t *state, vx_pava_weights *w)
{
    memset(w, 0, sizeof *w);
    w->bias = uniform(state, -2, 2);
    for (int r = 0; r < VX_N_RISKS; r++)
        w->risks[r] = stats_random(state) % 4 ? uniform(state, 0, 2) : 0, w->usual[r] = uniform(state, -3, 1);
    for (int l = 0; l < VX_N_LAYERS; l++)
        w->layers[l].reliability = stats_random(state) % 4 ? uniform(state, 0.1, 1) : 0;
}

static void draw_findings(uint64_t *state, vx_layer_finding findings[VX_N_LAYERS])
{
    memset(findings, 0, VX_N_LAYERS * sizeof *findings);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        findings[l].llr = uniform(state, -8, 8);
        findings[l].spoof = 1 / (1 + exp(-findings[l].llr));
        findings[l].status = stats_random(state) % 5 ? VX_EVIDENCE_VALID : VX_EVIDENCE_INCONCLUSIVE;
    }
}

static vx_verdict verdict_with(const vx_evidence *physics, uint64_t seed)
{
    vx_decide_options options = vx_decide_options_default();
    vx_evidence evidence[VX_N_SOURCES] = {{0}};
    vx_decision decision;
    options.prior = uniform(&seed, 0.05, 0.95);
    for (int s = 0; s < VX_N_SOURCES; s++)
        evidence[s] = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = uniform(&seed, 0.7, 1)};
    evidence[VX_SOURCE_PHYSICS] = *physics;
    vx_decide(evidence, &options, &decision);
    return decision.verdict;
}

static void no_layers_absence_raises_acceptance(void **state)
{
    (void)state;
    uint64_t seed = 20261121;
    size_t n_accepted = 0;
    for (int i = 0; i < 200000; i++) {
        vx_pava_weights w;
        vx_layer_finding f[VX_N_LAYERS];
        vx_evidence all, without;
        draw_weights(&seed, &w);
        draw_findings(&seed, f);
        const uint64_t others = stats_random(&seed);
        const int l = (int)(stats_random(&seed) % VX_N_LAYERS);
        f[l].status = VX_EVIDENCE_VALID;
        (void)vx_pava_conclude(&w, f, false, &all);
        f[l].status = i % 2 ? VX_EVIDENCE_INCONCLUSIVE : VX_EVIDENCE_UNAVAILABLE;
        (void)vx_pava_conclude(&w, f, false, &without);
        const bool accepted = verdict_with(&all, others) == VX_AUTHENTICATE;
        n_accepted += accepted;
        if (!accepted)
            assert_int_not_equal(verdict_with(&without, others), VX_AUTHENTICATE);
        if (vx_layer_counts(&w, (vx_pava_layer)l))
            assert_int_not_equal(verdict_with(&without, others), VX_AUTHENTICATE);
    }
    assert_true(n_accepted > 1000);
}

static void a_layer_that_speaks_louder_never_lowers_the_risk(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (int i = 0; i < 100000; i++) {
        vx_pava_weights w;
        vx_layer_finding f[VX_N_LAYERS];
        draw_weights(&seed, &w);
        draw_findings(&seed, f);
        const double before = vx_pava_risk(&w, f);
        f[stats_random(&seed) % VX_N_LAYERS].llr += uniform(&seed, 0, 5);
        assert_true(vx_pava_risk(&w, f) >= before);
        assert_true(before >= 0 && before <= 1);
    }
}

static void own_loudspeaker_cannot_be_acquitted(void **state)
{
    (void)state;
    uint64_t seed = 6;
    size_t n_valid = 0;
    for (int i = 0; i < 20000; i++) {
        vx_pava_weights w;
        vx_layer_finding f[VX_N_LAYERS];
        vx_evidence quiet, playing;
        draw_weights(&seed, &w);
        draw_findings(&seed, f);
        (void)vx_pava_conclude(&w, f, false, &quiet);
        (void)vx_pava_conclude(&w, f, true, &playing);
        assert_int_not_equal(verdict_with(&playing, stats_random(&seed)), VX_AUTHENTICATE);
        n_valid += quiet.status == VX_EVIDENCE_VALID && quiet.confidence > 0.9;
    }
    assert_true(n_valid > 100);
}

static void without_weights_nobody_judges(void **state)
{
    (void)state;
    const vx_pava_weights none = {.bias = -5};
    uint64_t seed = 1;
    vx_layer_finding f[VX_N_LAYERS];
    vx_evidence e;
    draw_findings(&seed, f);
    (void)vx_pava_conclude(&none, f, false, &e);
    assert_int_equal(e.status, VX_EVIDENCE_INCONCLUSIVE);
}

static void measures_become_ratios_as_the_header_says(void **state)
{
    (void)state;
    vx_layer_weights w = {.bias = 0.25, .measures = {{10, 2, 1, 0.5}, {0, 1, 3, 0}, {5, 0, 9, 9}}};
    double m[VX_PAVA_MEASURES];
    for (int i = 0; i < VX_PAVA_MEASURES; i++)
        m[i] = NAN;
    assert_true(fabs(vx_layer_llr(&w, m) - 0.25) < 1e-12);
    m[0] = 13; /* z = 1.5 */
    assert_true(fabs(vx_layer_llr(&w, m) - (0.25 + 1.5 + 0.5 * 1.25)) < 1e-12);
    m[0] = 1000; /* z = 4 */
    assert_true(fabs(vx_layer_llr(&w, m) - (0.25 + 4 + 0.5 * 15)) < 1e-12);
    m[0] = NAN, m[1] = INFINITY, m[2] = 7;
    assert_true(fabs(vx_layer_llr(&w, m) - 0.25) < 1e-12);
    m[1] = 4;
    assert_true(fabs(vx_layer_llr(&w, m) - 12) < 1e-12);
    m[1] = -1e30;
    assert_true(fabs(vx_layer_llr(&w, m) + 11.75) < 1e-12);
}

/* ---- recordings that cannot be judged ------------------------------------------------------------------------------- */

enum { RATE = 16000 };

static float silence(size_t i)
{
    (void)i;
    return 0;
}
static float constant(size_t i)
{
    (void)i;
    return 0.5F;
}
static float tone(size_t i)
{
    return 0.3F * (float)sin(0.3 * (double)i);
}
static float beeps(size_t i)
{
    return i % 8000 < 4000 ? tone(i) : 1e-4F * (float)sin((double)(i * i % 997));
}
static float not_a_number(size_t i)
{
    return i == 12345 ? NAN : tone(i);
}
static float endless(size_t i)
{
    return i == 12345 ? INFINITY : tone(i);
}
static float hiss(size_t i)
{
    uint64_t state = i;
    return (float)uniform(&state, -0.3, 0.3);
}
static float tiny(size_t i)
{
    return 1e-30F * tone(i);
}
static float square(size_t i)
{
    return i / 40 % 2 ? 1.0F : -1.0F;
}
static float click(size_t i)
{
    return i == 20000 ? 1.0F : 0;
}

static void judge(const float *samples, size_t n, vx_pava_report *ret_report, vx_evidence *ret)
{
    static const vx_pava_known nothing;
    vx_pava_judge(samples, n, &nothing, 0, ret_report, ret);
}

static void what_is_no_speech_is_inconclusive(void **state)
{
    static const struct {
        const char *name;
        float (*sample)(size_t i);
        size_t n;
    } cases[] = {{"silence", silence, 3 * RATE},
                 {"constant", constant, 3 * RATE},
                 {"tone", tone, 3 * RATE},
                 {"beeps", beeps, 3 * RATE},
                 {"not a number", not_a_number, 3 * RATE},
                 {"infinite", endless, 3 * RATE},
                 {"hiss", hiss, 3 * RATE},
                 {"denormal", tiny, 3 * RATE},
                 {"square", square, 3 * RATE},
                 {"click", click, 3 * RATE},
                 {"minute of silence", silence, 60 * RATE},
                 {"minute of tone", tone, 60 * RATE},
                 {"minute of hiss", hiss, 60 * RATE},
                 {"nothing", silence, 0},
                 {"one sample", tone, 1},
                 {"half a window", tone, 200},
                 {"0.3 s", tone, 3 * RATE / 10}};
    (void)state;
    float *samples = malloc(60 * RATE * sizeof *samples);
    assert_non_null(samples);
    for (size_t c = 0; c < COUNT(cases); c++) {
        vx_pava_report report;
        vx_evidence e;
        for (size_t i = 0; i < cases[c].n; i++)
            samples[i] = cases[c].sample(i);
        judge(samples, cases[c].n, &report, &e);
        if (e.status != VX_EVIDENCE_INCONCLUSIVE)
            fail_msg("%s is %s: %s", cases[c].name, vx_evidence_status_name(e.status), e.reason);
        assert_true(strlen(e.reason) > 10);
        for (int l = 0; l < VX_N_LAYERS; l++)
            if (report.layers[l].status == VX_EVIDENCE_VALID)
                fail_msg("%s: layer %d judged", cases[c].name, l);
        vx_pava_report_done(&report);
    }
    vx_evidence e;
    vx_pava_report report;
    judge(NULL, 0, &report, &e);
    assert_int_equal(e.status, VX_EVIDENCE_INCONCLUSIVE);
    vx_pava_report_done(&report);
    free(samples);
}

static void speech_too_short_too_long_or_clipped_is_inconclusive(void **state)
{
    (void)state;
    vx_audio speech = clip_audio("reader1_a.wav");
    float *samples = malloc(60 * RATE * sizeof *samples);
    assert_non_null(samples);
    for (int c = 0; c < 3; c++) {
        const size_t n = c == 0 ? 3 * RATE / 10 : c == 1 ? 60 * RATE : speech.n;
        vx_pava_report report;
        vx_evidence e;
        for (size_t i = 0; i < n; i++)
            samples[i] = c == 2 ? fminf(fmaxf(30 * speech.samples[i], -1), 1) : speech.samples[(i + 8000) % speech.n];
        judge(samples, n, &report, &e);
        static const char *const says[] = {"less than", "longer than", "clipped"};
        assert_int_equal(e.status, VX_EVIDENCE_INCONCLUSIVE);
        assert_false(report.analysed);
        assert_non_null(strstr(e.reason, says[c]));
        vx_pava_report_done(&report);
    }
    free(samples);
    vx_audio_done(&speech);
}

/* ---- recordings that can ------------------------------------------------------------------------------------------- */

static void speech_is_measured_by_every_layer_or_it_says_why_not(void **state)
{
    (void)state;
    vx_audio speech = clip_audio("reader2_a.flac");
    vx_pava_report report;
    vx_evidence e;
    judge(speech.samples, speech.n, &report, &e);
    assert_true(report.analysed);
    assert_true(report.has_fingerprint && report.has_pitch);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        const vx_layer_finding *f = &report.layers[l];
        const char *const *names = vx_pava_measure_names((vx_pava_layer)l);
        size_t n_known = 0;
        for (int m = 0; m < VX_PAVA_MEASURES && names[m]; m++)
            n_known += isfinite(f->measures[m]);
        if (f->status == VX_EVIDENCE_VALID) {
            assert_true(n_known > 0 && isfinite(f->llr) && f->spoof >= 0 && f->spoof <= 1);
        } else {
            assert_true(strlen(f->reason) > 10);
            assert_true(f->spoof == 0.5);
        }
    }
    vx_pava_report_done(&report);
    vx_audio_done(&speech);
}

static void the_same_recording_is_known_again(void **state)
{
    (void)state;
    vx_audio speech = clip_audio("reader1_a.flac"), other = clip_audio("reader1_b.flac");
    vx_pava_report first, second, third;
    vx_evidence e;
    judge(speech.samples, speech.n, &first, &e);
    assert_true(first.has_fingerprint);
    const vx_pava_known known = {.heard = &first.fingerprint, .n_heard = 1};
    for (size_t i = 0; i < speech.n; i++)
        speech.samples[i] *= 0.4F;
    vx_pava_judge(speech.samples + 1234, speech.n - 1234, &known, 0, &second, &e);
    vx_pava_judge(other.samples, other.n, &known, 0, &third, &e);
    assert_int_equal(second.layers[VX_LAYER_REPLAY].status, VX_EVIDENCE_VALID);
    assert_true(second.layers[VX_LAYER_REPLAY].measures[0] >= VX_FINGERPRINT_SAME);
    assert_true(third.layers[VX_LAYER_REPLAY].measures[0] < VX_FINGERPRINT_SAME);
    vx_pava_report_done(&first);
    vx_pava_report_done(&second);
    vx_pava_report_done(&third);
    vx_audio_done(&speech);
    vx_audio_done(&other);
}

static void a_deadline_that_has_passed_leaves_layers_unheard(void **state)
{
    (void)state;
    vx_audio speech = clip_audio("reader1_a.flac");
    static const vx_pava_known nothing;
    vx_pava_report report;
    vx_evidence e;
    vx_pava_judge(speech.samples, speech.n, &nothing, 1, &report, &e);
    for (int l = 0; l < VX_N_LAYERS; l++)
        assert_int_not_equal(report.layers[l].status, VX_EVIDENCE_VALID);
    assert_non_null(strstr(report.layers[VX_LAYER_SYNTHETIC].reason, "too long"));
    vx_pava_report_done(&report);
    vx_audio_done(&speech);
}

typedef struct {
    vx_audio speech;
} recording;

static vx_err judge_one(void *ctx)
{
    recording *r = ctx;
    vx_pava_report report;
    vx_evidence e;
    judge(r->speech.samples, r->speech.n, &report, &e);
    vx_pava_report_done(&report);
    assert_false(e.status == VX_EVIDENCE_UNAVAILABLE && report.analysed);
    return e.status == VX_EVIDENCE_UNAVAILABLE ? VX_ERR_NOMEM : VX_OK;
}

static void without_memory_it_is_unavailable(void **state)
{
    (void)state;
    recording r = {.speech = clip_audio("reader1_a.flac")};
    vx_alloc_fail_each(judge_one, &r);
    vx_audio_done(&r.speech);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_layers_absence_raises_acceptance),
        cmocka_unit_test(a_layer_that_speaks_louder_never_lowers_the_risk),
        cmocka_unit_test(own_loudspeaker_cannot_be_acquitted),
        cmocka_unit_test(without_weights_nobody_judges),
        cmocka_unit_test(measures_become_ratios_as_the_header_says),
        cmocka_unit_test(what_is_no_speech_is_inconclusive),
        cmocka_unit_test(speech_too_short_too_long_or_clipped_is_inconclusive),
        cmocka_unit_test(speech_is_measured_by_every_layer_or_it_says_why_not),
        cmocka_unit_test(the_same_recording_is_known_again),
        cmocka_unit_test(a_deadline_that_has_passed_leaves_layers_unheard),
        cmocka_unit_test(without_memory_it_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
