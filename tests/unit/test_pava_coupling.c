/* test_pava_coupling.c - pitch and formants that were put together on purpose, and those of people. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/coupling.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"

enum { N = 200, STRETCH = 50 /* frames of voice, and of silence after it, in turns of 60 */ };

static const double PI = 3.14159265358979323846;

typedef struct {
    float f0[N], voiced[N], hz[N][VX_FORMANTS], bandwidth[N][VX_FORMANTS];
    vx_pitch pitch;
    vx_formants formants;
} voice;

/* How a voice moves: sines over the frames, in shares of its mean. */
typedef struct {
    double f0_hz, length_cm;
    double f0_moves, moves[3]; /* negative: against F0 */
} plan;

static voice *speak(const plan *p)
{
    static voice v;
    memset(&v, 0, sizeof v);
    size_t n = 0;
    for (size_t t = 0; t < N; t++) {
        if (t % (STRETCH + 10) >= STRETCH)
            continue;
        const double sway = sin(2 * PI * (double)t / 37);
        v.f0[t] = (float)(p->f0_hz * exp(p->f0_moves * sway));
        v.voiced[t] = 1;
        for (int f = 0; f < VX_FORMANTS; f++) {
            const double still = (2 * f + 1) * 34300 / (4 * p->length_cm);
            v.hz[t][f] = (float)(still * exp((f < 3 ? p->moves[f] : 0) * sway));
            v.bandwidth[t][f] = (float)(100 * (f + 1));
        }
        n++;
    }
    v.pitch = (vx_pitch){N, v.f0, v.voiced, n};
    v.formants = (vx_formants){N, v.hz, v.bandwidth, n, 4, 3};
    return &v;
}

static void check_finite(const vx_coupling *c)
{
    const double *numbers = &c->pitch_excess;
    for (size_t i = 0; i < sizeof *c / sizeof(double); i++)
        assert_true(isfinite(numbers[i]));
    assert_true(c->bent >= 0 && c->bent <= 1 && c->tracked >= 0 && c->tracked <= 1);
    for (int f = 0; f < 3; f++)
        assert_true(c->follow[f] >= -1 && c->follow[f] <= 1);
}

static vx_coupling measure(const voice *v)
{
    vx_coupling c;
    assert_int_equal(vx_coupling_measure(&v->pitch, &v->formants, &c, NULL), VX_OK);
    check_finite(&c);
    return c;
}

static void pitch_is_held_against_the_tract(void **state)
{
    (void)state;
    const double man = measure(speak(&(plan){110, 17, 0.1, {0}})).pitch_excess;
    const double woman = measure(speak(&(plan){200, 14.3, 0.1, {0}})).pitch_excess;
    const double up = measure(speak(&(plan){220, 17, 0.1, {0}})).pitch_excess;
    const double small = measure(speak(&(plan){110, 17 / 1.15, 0.1, {0}})).pitch_excess;
    assert_true(fabs(man) < 0.42 && fabs(woman) < 0.42); /* two deviations */
    assert_true(fabs(up - man - log(2)) < 1e-3);
    assert_true(fabs(small - man + 2.6 * log(1.15)) < 1e-3);
}

static void movements_are_told_apart(void **state)
{
    (void)state;
    const vx_coupling c = measure(speak(&(plan){120, 16, 0.1, {0.1, -0.05, 0}}));
    assert_true(c.follow[0] > 0.999 && c.follow[1] < -0.999);
    assert_true(fabs(c.follow[2]) <= 0); /* what stands still follows nothing */
    const vx_coupling flat = measure(speak(&(plan){120, 16, 0, {0.1, 0.1, 0.1}}));
    assert_true(fabs(flat.follow[0]) <= 0 && flat.pitch_range < 1e-6);
    assert_true(flat.unsteady > c.unsteady && c.unsteady > 0);
    assert_true(measure(speak(&(plan){120, 16, 0, {0}})).unsteady < 1e-6);
    assert_true(c.pitch_range > 0.05 && c.pitch_range < 0.15);
}

static void bandwidths_are_read_off(void **state)
{
    (void)state;
    voice *v = speak(&(plan){120, 16, 0.1, {0}});
    vx_coupling c = measure(v);
    for (int f = 0; f < 3; f++)
        assert_true(fabs(c.bandwidth_hz[f] - 100 * (f + 1)) < 1e-3);
    assert_true(c.bandwidth_spread < 1e-6);
    for (size_t t = 0; t < N; t += 2)
        v->bandwidth[t][0] *= 4;
    assert_true(fabs(measure(v).bandwidth_spread - 2.0 / 3) < 1e-6); /* two octaves, in one of three */
    for (size_t t = 0; t < N; t++)
        v->bandwidth[t][2] = 0; /* of a pure tone */
    assert_true(fabs(measure(v).bandwidth_hz[2] - 1) < 1e-6);
}

static void bent_frames_are_counted(void **state)
{
    (void)state;
    static const struct {
        float hz[3];
        bool bent;
    } cases[] = {
        {{500, 1500, 2500}, false}, {{500, 690, 1400}, true},   {{500, 710, 1400}, false},
        {{200, 1750, 2500}, true},  {{200, 1650, 2500}, false}, {{500, 2300, 2500}, true},
        {{500, 2200, 2500}, false}, {{500, 790, 2500}, true},   {{500, 820, 2500}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        voice *v = speak(&(plan){120, 16, 0.1, {0}});
        assert_true(measure(v).bent <= 0 && measure(v).tracked >= 1);
        size_t n = 0;
        for (size_t t = 0; t < N; t += 2)
            if (v->f0[t] > 0) {
                memcpy(v->hz[t], cases[i].hz, sizeof cases[i].hz);
                n++;
            }
        const double share = cases[i].bent ? (double)n / (double)v->formants.n_tracked : 0;
        if (!(fabs(measure(v).bent - share) < 1e-9))
            fail_msg("case %zu", i);
    }
}

static void too_little_is_said(void **state)
{
    (void)state;
    vx_coupling c = {.bent = 77};
    vx_errinfo info = {0};
    voice *v = speak(&(plan){120, 16, 0.1, {0}});
    v->pitch.n_frames = v->formants.n_frames = 29; /* of which the last 5 begin no movement */
    assert_int_equal(vx_coupling_measure(&v->pitch, &v->formants, &c, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "24 movements"));
    assert_true(c.bent > 76);
    v->pitch.n_frames = v->formants.n_frames = 30;
    assert_int_equal(vx_coupling_measure(&v->pitch, &v->formants, &c, NULL), VX_OK);
    v = speak(&(plan){120, 16, 0.1, {0}});
    for (size_t t = 0; t < N; t++)
        v->hz[t][2] = 0;
    assert_int_equal(vx_coupling_measure(&v->pitch, &v->formants, &c, NULL), VX_ERR_NOT_FOUND);
    v->pitch.n_frames = v->formants.n_frames = 0;
    assert_int_equal(vx_coupling_measure(&v->pitch, &v->formants, &c, NULL), VX_ERR_NOT_FOUND);
}

/* A step of F0 or a formant across a pause is no movement. */
static void pauses_are_not_moved_over(void **state)
{
    (void)state;
    voice *v = speak(&(plan){120, 16, 0, {0}});
    for (size_t t = 0; t < N; t++)
        if (t / (STRETCH + 10) % 2 == 1)
            v->f0[t] *= 2, v->hz[t][0] *= 1.5f;
    const vx_coupling c = measure(v);
    assert_true(fabs(c.follow[0]) <= 0 && c.unsteady < 1e-6);
}

static void readers_are_people(void **state)
{
    (void)state;
    static const char *const CLIPS[] = {"reader1_a.flac", "reader2_b.flac",        "reader3_a.flac",
                                        "reader4_a.flac", "reader1_a_8k_ulaw.wav", "reader1_a.opus"};
    for (size_t i = 0; i < sizeof CLIPS / sizeof *CLIPS; i++) {
        vx_audio audio = clip_audio(CLIPS[i]);
        vx_spectrogram spectrogram;
        vx_pitch pitch;
        vx_formants formants;
        vx_coupling c;
        assert_int_equal(vx_spectrogram_compute(audio.samples, audio.n, &spectrogram), VX_OK);
        assert_int_equal(vx_pitch_track(audio.samples, audio.n, &spectrogram, &pitch), VX_OK);
        assert_int_equal(vx_formants_track(&spectrogram, &pitch, &formants), VX_OK);
        assert_int_equal(vx_coupling_measure(&pitch, &formants, &c, NULL), VX_OK);
        check_finite(&c);
        if (!(fabs(c.pitch_excess) < 0.63 && c.bent < 0.15 && c.unsteady < 0.1 && c.tracked > 0.4))
            fail_msg("%s: excess %.2f, bent %.2f, unsteady %.3f, tracked %.2f", CLIPS[i], c.pitch_excess, c.bent,
                     c.unsteady, c.tracked);
        vx_formants_done(&formants);
        vx_pitch_done(&pitch);
        vx_spectrogram_done(&spectrogram);
        vx_audio_done(&audio);
    }
}

static vx_err measure_once(void *ctx)
{
    const voice *v = ctx;
    vx_coupling c = {.bent = 77};
    const vx_err err = vx_coupling_measure(&v->pitch, &v->formants, &c, NULL);
    if (err != VX_OK)
        assert_true(c.bent > 76);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    vx_alloc_fail_each(measure_once, speak(&(plan){120, 16, 0.1, {0.1, 0, 0}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pitch_is_held_against_the_tract),
        cmocka_unit_test(movements_are_told_apart),
        cmocka_unit_test(bandwidths_are_read_off),
        cmocka_unit_test(bent_frames_are_counted),
        cmocka_unit_test(too_little_is_said),
        cmocka_unit_test(pauses_are_not_moved_over),
        cmocka_unit_test(readers_are_people),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
