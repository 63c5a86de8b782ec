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
#include "shared/base/clock.h"
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

/* ---- what is missing ------------------------------------------------------------------------------------------------- */

/* Measures with meaning, as many as the layer has names for. */
static void draw_meaning(uint64_t *state, vx_pava_weights *w)
{
    for (int l = 0; l < VX_N_LAYERS; l++) {
        w->layers[l].bias = uniform(state, -3, 1);
        for (int m = 0; vx_pava_measure_names((vx_pava_layer)l)[m]; m++)
            w->layers[l].measures[m] = (vx_measure_weights){
                .centre = uniform(state, -2, 2),
                .spread = stats_random(state) % 8 ? uniform(state, 0.1, 2) : 0,
                .linear = stats_random(state) % 4 ? uniform(state, -0.7, 0.7) : 0,
                .square = stats_random(state) % 2 ? uniform(state, -0.1, 0.1) : 0,
            };
    }
}

/* share [in] of the measures that are not given */
static void draw_measures(uint64_t *state, double share, double ret[VX_PAVA_MEASURES])
{
    for (int m = 0; m < VX_PAVA_MEASURES; m++)
        ret[m] = uniform(state, 0, 1) < share ? NAN : uniform(state, -12, 12);
}

/* Draws again until the result is of use: mostly living voices, of whom there is an acceptance to lose. */
static void draw_recording(uint64_t *state, vx_pava_weights *w, vx_layer_finding f[VX_N_LAYERS])
{
    vx_evidence e;
    for (int tries = 0; tries < 8; tries++) {
        draw_weights(state, w);
        draw_meaning(state, w);
        const double share = stats_random(state) % 3 ? 0 : 0.05;
        memset(f, 0, VX_N_LAYERS * sizeof *f);
        for (int l = 0; l < VX_N_LAYERS; l++) {
            f[l].status = VX_EVIDENCE_VALID;
            draw_measures(state, share, f[l].measures);
            f[l].llr = vx_layer_llr(&w->layers[l], f[l].measures);
        }
        (void)vx_pava_conclude(w, f, false, &e);
        if (e.status == VX_EVIDENCE_VALID && e.confidence > 0.7)
            return;
    }
}

/* Of one layer, of one measure in twenty, or all; and now and then a whole layer. */
static void take_away(uint64_t *state, const vx_pava_weights *w, vx_layer_finding f[VX_N_LAYERS])
{
    const uint64_t one = stats_random(state) % (2 * VX_N_LAYERS);
    for (size_t l = 0; l < VX_N_LAYERS; l++) {
        if (one < VX_N_LAYERS && one != l)
            continue;
        const double share = one < VX_N_LAYERS ? uniform(state, 0, 1.2) : 0.05;
        for (int m = 0; m < VX_PAVA_MEASURES; m++)
            if (uniform(state, 0, 1) < share)
                f[l].measures[m] = stats_random(state) % 2 ? NAN : -INFINITY;
        f[l].llr = vx_layer_llr(&w->layers[l], f[l].measures);
        if (stats_random(state) % 16 == 0)
            f[l].status = stats_random(state) % 2 ? VX_EVIDENCE_INCONCLUSIVE : VX_EVIDENCE_UNAVAILABLE;
    }
}

/* What may open, as a number. */
static double acceptance(const vx_evidence *e)
{
    return e->status == VX_EVIDENCE_VALID && e->confidence >= 1 - VX_PAVA_ACCUSED ? e->confidence : 0;
}

static void no_missing_measure_raises_acceptance(void **state)
{
    static const double ROUNDING = 1e-12; /* of seven sums of twelve numbers below a hundred */
    (void)state;
    uint64_t seed = 20261122;
    size_t n_accepted = 0, n_kept = 0;
    for (int i = 0; i < 100000; i++) {
        vx_pava_weights w;
        vx_layer_finding f[VX_N_LAYERS];
        vx_evidence with, without;
        draw_recording(&seed, &w, f);
        const double before = vx_pava_conclude(&w, f, false, &with);
        take_away(&seed, &w, f);
        const double after = vx_pava_conclude(&w, f, false, &without);
        const uint64_t others = stats_random(&seed);
        const bool accepted = verdict_with(&with, others) == VX_AUTHENTICATE;
        const bool kept = verdict_with(&without, others) == VX_AUTHENTICATE;
        n_accepted += accepted;
        n_kept += kept;
        if (acceptance(&without) > acceptance(&with) + ROUNDING || (kept && !accepted))
            fail_msg("recording %d: risk %.4f (%s) with, %.4f (%s) without", i, before,
                     vx_evidence_status_name(with.status), after, vx_evidence_status_name(without.status));
    }
    assert_true(n_accepted > 10000);
    assert_true(n_kept > n_accepted / 20); /* and it does not end all acceptance */
}

static void what_is_missing_accuses_nobody(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    size_t n_accused = 0, n_undecided = 0;
    for (int i = 0; i < 100000; i++) {
        vx_pava_weights w, never;
        vx_layer_finding f[VX_N_LAYERS];
        vx_evidence e, as_if_never;
        draw_recording(&seed, &w, f);
        take_away(&seed, &w, f);
        never = w; /* layers that never had these measures */
        for (int l = 0; l < VX_N_LAYERS; l++)
            for (int m = 0; m < VX_PAVA_MEASURES; m++)
                if (!isfinite(f[l].measures[m]))
                    never.layers[l].measures[m].spread = 0;
        const double risk = vx_pava_conclude(&w, f, false, &e);
        const double risk_never = vx_pava_conclude(&never, f, false, &as_if_never);
        const bool accused = e.status == VX_EVIDENCE_VALID && e.confidence < 1 - VX_PAVA_ACCUSED;
        assert_true(accused == (as_if_never.status == VX_EVIDENCE_VALID && risk_never > VX_PAVA_ACCUSED));
        assert_true(risk >= risk_never && risk <= fmax(risk_never, VX_PAVA_ACCUSED));
        n_accused += accused;
        if (e.status == VX_EVIDENCE_INCONCLUSIVE && as_if_never.status == VX_EVIDENCE_VALID) {
            n_undecided++;
            assert_non_null(strstr(e.reason, "lacks"));
        }
    }
    assert_true(n_accused > 1000 && n_undecided > 1000);
}

/* By trying every value. */
static void what_is_missing_is_bounded_by_the_worst_it_could_have_said(void **state)
{
    (void)state;
    uint64_t seed = 20261124;
    for (int i = 0; i < 2000; i++) {
        vx_layer_weights w = {.measures = {{uniform(&seed, -3, 3), uniform(&seed, 0.1, 3), uniform(&seed, -1, 1),
                                            uniform(&seed, -0.3, 0.3)}}};
        double m[VX_PAVA_MEASURES] = {NAN}, most = -INFINITY;
        const double missing = vx_layer_missing(&w, m);
        for (int k = -2000; k <= 2000; k++) {
            m[0] = w.measures[0].centre + w.measures[0].spread * k / 400;
            most = fmax(most, vx_layer_llr(&w, m));
        }
        assert_true(missing >= 0 && missing >= most - 1e-9 && missing - most <= 1e-4);
        assert_true(vx_layer_missing(&w, m) <= 0);
        m[0] = NAN, w.measures[0].spread = 0; /* of no meaning: nothing is missed */
        assert_true(vx_layer_missing(&w, m) <= 0);
    }
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

/* Rounded to so many bits, as a quiet recording of few bits is. */
static float rounded(float x, int bits)
{
    return (float)ldexp(rint(ldexp((double)x, bits - 1)), 1 - bits);
}

/* The logarithmic steps of a telephone (G.711, mu-law), 8 bits. */
static float telephoned(float x)
{
    const double y = copysign(log1p(255 * fabs((double)x)) / log(256), (double)x), steps = rint(127 * y) / 127;
    return (float)copysign((pow(256, fabs(steps)) - 1) / 255, steps);
}

static void clipping_is_seen_after_it_was_turned_down_and_nothing_else_is(void **state)
{
    static const struct {
        double gain, ceiling, then; /* 1 is the recording's own peak; ceiling: of clipping; then: turned down by */
        int bits;                   /* 0: a telephone's */
        bool clipped;
    } cases[] = {{1, 0.15, 1, 16, true},   {1, 0.15, 0.5, 16, true}, {1, 0.15, 0.05, 16, true},
                 {1, 0.15, 0.5, 24, true}, {0.9, 1, 1, 16, false},   {0.1, 1, 1, 16, false},
                 {0.01, 1, 1, 16, false},  {0.9, 1, 1, 8, false},    {0.2, 1, 1, 8, false},
                 {0.05, 1, 1, 8, false},   {0.9, 1, 1, 0, false},    {0.1, 1, 1, 0, false},
                 {0.9, 1, 0.5, 24, false}, {0.002, 1, 1, 16, false}};
    static const char *const clips[] = {"reader1_a.wav", "reader2_a.flac", "reader2_b.flac"};
    (void)state;
    for (size_t k = 0; k < COUNT(clips); k++)
        for (size_t c = 0; c < COUNT(cases); c++) {
            vx_audio speech = clip_audio(clips[k]);
            vx_pava_report report;
            vx_evidence e;
            float peak = 0;
            for (size_t i = 0; i < speech.n; i++)
                peak = fmaxf(peak, fabsf(speech.samples[i]));
            for (size_t i = 0; i < speech.n; i++) {
                const double x = cases[c].gain * (double)(speech.samples[i] / peak), top = cases[c].ceiling;
                const float y = (float)(cases[c].then * fmin(fmax(x, -top), top));
                speech.samples[i] = cases[c].bits ? rounded(y, cases[c].bits) : telephoned(y);
            }
            judge(speech.samples, speech.n, &report, &e);
            const bool says = strstr(e.reason, "is clipped") != NULL;
            if (says != cases[c].clipped)
                fail_msg("%s, case %zu is%s clipped: %s", clips[k], c, says ? "" : " not", e.reason);
            vx_pava_report_done(&report);
            vx_audio_done(&speech);
        }
    /* Silence of one step, up and down. */
    static float silence_of_one_bit[3 * RATE];
    vx_pava_report report;
    vx_evidence e;
    for (size_t i = 0; i < COUNT(silence_of_one_bit); i++)
        silence_of_one_bit[i] = rounded(hiss(i) / 8192, 16);
    judge(silence_of_one_bit, COUNT(silence_of_one_bit), &report, &e);
    assert_null(strstr(e.reason, "clipped"));
    vx_pava_report_done(&report);
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
            n_known += isfinite(f->measures[m]) ? 1 : 0;
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

/* What was measured of the speaker must not move with what the owner set as a bound, be it strict or lax. */
static void the_bounds_of_the_settings_are_remarked_on_and_decide_nothing(void **state)
{
    static const double TRACTS_CM[] = {0.1, 0.5, 1, 2, 4, 8}, SLOPES[] = {0.05, 0.2, 0.4, 0.7, 1};
    (void)state;
    vx_audio speech = clip_audio("reader1_a.flac");
    vx_pava_report report, first;
    vx_evidence e, usual;
    vx_pava_known known = {.baseline = {.n_tract = 3, .tract_cm = 12.5, .tract_spread_cm = 0.5}};
    size_t n_tracts = 0, n_slopes = 0;
    vx_pava_judge(speech.samples, speech.n, &known, 0, &first, &usual);
    const vx_layer_finding *before = &first.layers[VX_LAYER_PHYSICS], *f = &report.layers[VX_LAYER_PHYSICS];
    assert_true(isfinite(before->measures[0]) && isfinite(before->measures[6]));
    for (size_t t = 0; t < COUNT(TRACTS_CM); t++)
        for (size_t d = 0; d < COUNT(SLOPES); d++) {
            known.tract_threshold_cm = TRACTS_CM[t], known.double_reverb_threshold = SLOPES[d];
            vx_pava_judge(speech.samples, speech.n, &known, 0, &report, &e);
            assert_memory_equal(f->measures, before->measures, sizeof f->measures);
            assert_true(report.risk == first.risk && e.status == usual.status && e.confidence == usual.confidence);
            const bool tract = strstr(f->reason, "tract") != NULL, slopes = strstr(f->reason, "two slopes") != NULL;
            assert_true(tract == (fabs(f->measures[0]) > TRACTS_CM[t]));
            assert_true(slopes == (f->measures[6] > SLOPES[d]));
            n_tracts += tract, n_slopes += slopes;
            vx_pava_report_done(&report);
        }
    assert_in_range(n_tracts, 1, COUNT(TRACTS_CM) * COUNT(SLOPES) - 1);
    assert_in_range(n_slopes, 1, COUNT(TRACTS_CM) * COUNT(SLOPES) - 1);
    vx_pava_report_done(&first);
    vx_audio_done(&speech);
}

static void what_tells_nothing_has_no_weight(void **state)
{
    static const struct {
        vx_pava_layer layer;
        const char *measure;
    } cases[] = {
        {VX_LAYER_PHYSICS, "double_slope"}, {VX_LAYER_PHYSICS, "comb_drift"}, {VX_LAYER_LIVENESS, "breaths_per_s"}};
    (void)state;
    for (size_t c = 0; c < COUNT(cases); c++) {
        const char *const *names = vx_pava_measure_names(cases[c].layer);
        int m = 0;
        while (names[m] && strcmp(names[m], cases[c].measure) != 0)
            m++;
        assert_non_null(names[m]);
        assert_true(vx_pava_fitted.layers[cases[c].layer].measures[m].spread <= 0);
    }
}

static void a_deadline_that_has_passed_leaves_layers_unheard(void **state)
{
    (void)state;
    vx_audio speech = clip_audio("reader1_a.flac");
    static const vx_pava_known nothing;
    vx_pava_report report;
    vx_evidence e;
    vx_pava_judge(speech.samples, speech.n, &nothing, 1, &report, &e);
    for (int l = 0; l < VX_N_LAYERS; l++) {
        assert_int_equal(report.layers[l].status, VX_EVIDENCE_UNAVAILABLE);
        assert_non_null(strstr(report.layers[l].reason, "too long"));
    }
    vx_pava_report_done(&report);
    vx_audio_done(&speech);
}

/* At whatever analysis the time is over, the voice is never nearer to being taken for a living one. */
static void lateness_never_raises_acceptance(void **state)
{
    (void)state;
    static const char *const names[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac"};
    enum { N = COUNT(names), DEADLINES = 24 };
    vx_audio speech[N];
    vx_pava_report first[N];
    vx_fingerprint heard[N];
    size_t n_late = 0;
    vx_evidence e;
    for (size_t i = 0; i < N; i++) {
        speech[i] = clip_audio(names[i]);
        judge(speech[i].samples, speech[i].n, &first[i], &e);
        heard[i] = first[i].fingerprint;
    }
    for (size_t i = 0; i < N; i++)
        for (int repeated = 0; repeated < 2; repeated++) {
            vx_pava_known known = {.heard = repeated ? heard : heard + (i < 2 ? 2 : 0), .n_heard = repeated ? N : 2};
            for (size_t k = 0; k < N; k++)
                if (k != i)
                    vx_pava_baseline_learn(&known.baseline, &first[k]);
            vx_pava_report report;
            vx_evidence in_time;
            vx_pava_judge(speech[i].samples, speech[i].n, &known, 0, &report, &in_time);
            const double all_ns = 1e6 * report.elapsed_ms;
            vx_pava_report_done(&report);
            for (int d = 0; d <= DEADLINES; d++) {
                const uint64_t deadline_ns = vx_now_ns() + (uint64_t)(all_ns * d / DEADLINES);
                vx_pava_judge(speech[i].samples, speech[i].n, &known, deadline_ns, &report, &e);
                assert_true(acceptance(&e) <= acceptance(&in_time));
                n_late += report.layers[VX_LAYER_PHYSICS].status == VX_EVIDENCE_UNAVAILABLE;
                vx_pava_report_done(&report);
            }
        }
    assert_true(n_late >= 2 * N); /* the first deadline at least, of each */
    for (size_t i = 0; i < N; i++) {
        vx_pava_report_done(&first[i]);
        vx_audio_done(&speech[i]);
    }
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
        cmocka_unit_test(no_missing_measure_raises_acceptance),
        cmocka_unit_test(what_is_missing_accuses_nobody),
        cmocka_unit_test(what_is_missing_is_bounded_by_the_worst_it_could_have_said),
        cmocka_unit_test(what_is_no_speech_is_inconclusive),
        cmocka_unit_test(speech_too_short_too_long_or_clipped_is_inconclusive),
        cmocka_unit_test(clipping_is_seen_after_it_was_turned_down_and_nothing_else_is),
        cmocka_unit_test(speech_is_measured_by_every_layer_or_it_says_why_not),
        cmocka_unit_test(the_same_recording_is_known_again),
        cmocka_unit_test(the_bounds_of_the_settings_are_remarked_on_and_decide_nothing),
        cmocka_unit_test(what_tells_nothing_has_no_weight),
        cmocka_unit_test(a_deadline_that_has_passed_leaves_layers_unheard),
        cmocka_unit_test(lateness_never_raises_acceptance),
        cmocka_unit_test(without_memory_it_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
