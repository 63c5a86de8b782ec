/* test_pava_tract.c - tubes get their length back, people one of people, and what cannot be known has a name.
 * tests/bench/bench_tract.c measures the same on many people.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/tract.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"
#include "tests/support/tube.h"

enum { MAX_FRAMES = 200 };
#define SEED 9u

static const tube_vowel UNIFORM[] = {TUBE_UNIFORM}, ALL[] = {TUBE_A, TUBE_I, TUBE_U, TUBE_AE, TUBE_E, TUBE_UNIFORM};

/* Tracks of n frames, all with the same formants, but for a scatter of `wide` (of the logarithm, uniform). */
typedef struct {
    float hz[MAX_FRAMES][VX_FORMANTS], bandwidth[MAX_FRAMES][VX_FORMANTS];
    vx_formants formants;
} told;

static vx_formants *tell(told *t, size_t n, const double hz[VX_FORMANTS], double wide)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < n; i++)
        for (int f = 0; f < VX_FORMANTS; f++) {
            const double off = wide * ((double)(stats_random(&random) >> 11) * 0x1p-52 - 1);
            t->hz[i][f] = (float)(hz[f] * exp(off));
            t->bandwidth[i][f] = 100;
        }
    t->formants = (vx_formants){n, t->hz, t->bandwidth, n, hz[3] > 0 ? 4 : 3, 3};
    return &t->formants;
}

static void tell_tube(double length_cm, double ret_hz[VX_FORMANTS])
{
    for (int f = 0; f < VX_FORMANTS; f++)
        ret_hz[f] = (2 * f + 1) * TUBE_C / (4 * length_cm);
}

static vx_err measure_voice(const float *samples, size_t n, const vx_pitch *own_pitch, vx_tract *ret, vx_errinfo *info)
{
    vx_spectrogram spectrogram;
    vx_pitch pitch = {0};
    vx_formants formants;
    assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
    if (own_pitch == NULL)
        assert_int_equal(vx_pitch_track(samples, n, &spectrogram, &pitch), VX_OK);
    assert_int_equal(vx_formants_track(&spectrogram, own_pitch != NULL ? own_pitch : &pitch, &formants), VX_OK);
    const vx_err err = vx_tract_measure(&formants, ret, info);
    vx_formants_done(&formants);
    vx_pitch_done(&pitch);
    vx_spectrogram_done(&spectrogram);
    return err;
}

static double length_of_tube(const tube_params *params)
{
    tube_voice voice;
    vx_tract tract;
    vx_errinfo info = {0};
    assert_true(tube_speak(params, &voice));
    float *always = calloc(voice.n_frames, sizeof *always);
    assert_non_null(always);
    for (size_t i = 0; i < voice.n_frames; i++)
        always[i] = 1;
    const vx_pitch pitch = {voice.n_frames, voice.f0_hz, always, voice.n_frames};
    if (measure_voice(voice.samples, voice.n, &pitch, &tract, &info) != VX_OK)
        fail_msg("tube of %.1f cm at %.0f Hz: %s", params->length_cm, params->f0_hz, info.text);
    assert_true(tract.spread_cm > 0.3 && tract.spread_cm < 1);
    assert_true(tract.n_frames > 30 && tract.n_frames <= voice.n_frames);
    free(always);
    tube_voice_done(&voice);
    return tract.length_cm;
}

/* The whole range of adults; 0.3 cm from its ends, since an error may not lead out of it. */
static void tubes_get_their_length(void **state)
{
    (void)state;
    static const double PITCHES[] = {90, 140, 190, 250};
    double worst[2] = {0};
    for (int running = 0; running < 2; running++)
        for (double length = 12.3; length < 20; length += 1.48)
            for (size_t j = 0; j < 4; j++) {
                const tube_params params = {
                    running ? ALL : UNIFORM, running ? 6 : 1, length, PITCHES[j], {0, 8000}, running ? 2 : 1, SEED};
                const double off = length_of_tube(&params) - length;
                worst[running] = fmax(worst[running], fabs(off));
                if (!(fabs(off) < 0.5))
                    fail_msg("%s of %.1f cm at %.0f Hz: off by %.2f cm", running ? "vowels" : "tube", length,
                             PITCHES[j], off);
            }
    print_message("# worst error: uniform tubes %.2f cm, six vowels %.2f cm\n", worst[0], worst[1]);
}

/* F3 lies within the band, and what comes in at its upper end is not taken for it. */
static void tubes_at_the_telephone(void **state)
{
    (void)state;
    for (double length = 14; length < 17.5; length++) {
        const tube_params params = {UNIFORM, 1, length, 120, {300, 3400}, 1, SEED};
        const double off = length_of_tube(&params) - length;
        if (!(fabs(off) < 0.5))
            fail_msg("telephone, tube of %.1f cm: off by %.2f cm", length, off);
    }
}

static void formants_of_a_tube_are_its_length(void **state)
{
    (void)state;
    static told t;
    for (double length = 12.1; length < 20; length += 0.7)
        for (int n_formants = 3; n_formants <= 4; n_formants++) {
            double hz[VX_FORMANTS];
            vx_tract tract;
            tell_tube(length, hz);
            hz[3] = n_formants == 4 ? hz[3] : 0;
            assert_int_equal(vx_tract_measure(tell(&t, 100, hz, 0), &tract, NULL), VX_OK);
            assert_true(fabs(tract.length_cm - length) < 1e-4);
            assert_int_equal(tract.n_frames, 100);
            for (int f = 0; f < VX_FORMANTS; f++)
                assert_true(fabs(tract.formant_hz[f] - hz[f]) < 1e-3);
        }
}

/* A third of the frames are of another pole, as where a door squeaks along. */
static void outliers_hardly_count(void **state)
{
    (void)state;
    static told t;
    double hz[VX_FORMANTS];
    vx_tract clean, tract;
    tell_tube(16, hz);
    vx_formants *formants = tell(&t, 150, hz, 0.03);
    assert_int_equal(vx_tract_measure(formants, &clean, NULL), VX_OK);
    for (size_t i = 0; i < 150; i += 3)
        for (int f = 0; f < VX_FORMANTS; f++)
            t.hz[i][f] *= 1.4f;
    assert_int_equal(vx_tract_measure(formants, &tract, NULL), VX_OK);
    assert_true(fabs(clean.length_cm - 16) < 0.1);
    assert_true(fabs(tract.length_cm - 16) < 0.6); /* the mean would be off by 1.7 */
}

static void spread_tells_how_much_was_heard(void **state)
{
    (void)state;
    static told t;
    double hz[VX_FORMANTS], before = INFINITY;
    vx_tract tract, wide;
    tell_tube(16, hz);
    for (size_t n = 30; n <= 200; n += 34) {
        assert_int_equal(vx_tract_measure(tell(&t, n, hz, 0.05), &tract, NULL), VX_OK);
        assert_true(tract.spread_cm < before && tract.spread_cm > 0.4);
        before = tract.spread_cm;
    }
    assert_int_equal(vx_tract_measure(tell(&t, 200, hz, 0.4), &wide, NULL), VX_OK);
    assert_true(wide.spread_cm > tract.spread_cm);
}

static void what_cannot_be_known_has_a_name(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double length_cm, margin;
        const char *text;
    } cases[] = {
        {0, 16, 3, "0 frames"},    {29, 16, 3, "29 frames"},  {100, 16, 0.1, "two lengths"},
        {100, 11.5, 3, "11.5 cm"}, {100, 9, 3, "9.0 cm"},     {100, 20.5, 3, "20.5 cm"},
        {100, 1e-20, 3, "0.0 cm"}, {100, 400, 3, "400.0 cm"}, {100, 16, NAN, "two lengths"},
    };
    static told t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double hz[VX_FORMANTS];
        vx_tract tract = {.n_frames = 77};
        vx_errinfo info = {0};
        tell_tube(cases[i].length_cm, hz);
        vx_formants *formants = tell(&t, cases[i].n, hz, 0);
        formants->margin = cases[i].margin;
        assert_int_equal(vx_tract_measure(formants, &tract, &info), VX_ERR_NOT_FOUND);
        if (strstr(info.text, cases[i].text) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", info.text, cases[i].text);
        assert_int_equal(tract.n_frames, 77);
    }
}

/* Frames without F1, F2 or F3 say nothing. */
static void half_a_frame_is_none(void **state)
{
    (void)state;
    double length = 7;
    assert_false(vx_tract_of_frame((const float[]){500, 1500, 0, 3500}, &length));
    assert_false(vx_tract_of_frame((const float[]){0, 1500, 2500, 3500}, &length));
    assert_true(length > 6);
    assert_true(vx_tract_of_frame((const float[]){500, 1500, 2500, 0}, &length));
    assert_true(fabs(exp(length) - 17.15) < 1e-4);
}

/* The same person twice. One of the utterances of reader 2 has its formants named as a shorter tract's, by 3 cm: what a
 * recording says of a tract is one measure among others. */
static void readers_have_tracts(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        double apart_cm;
    } pairs[] = {
        {"reader1_a.flac", "reader1_b.flac", 1.2}, {"reader1_c.flac", "reader1_d.flac", 1.2},
        {"reader2_b.flac", "reader2_d.flac", 1.2}, {"reader3_a.flac", "reader3_b.flac", 1.2},
        {"reader4_a.flac", "reader4_b.flac", 1.2}, {"reader1_a.flac", "reader1_a.opus", 0.5},
        {"reader1_a.flac", "reader1_a.mp3", 0.5},  {"reader1_a.flac", "reader1_a_8k_ulaw.wav", 1.2},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        vx_audio a = clip_audio(pairs[i].a), b = clip_audio(pairs[i].b);
        vx_tract x, y;
        vx_errinfo info = {0};
        if (measure_voice(a.samples, a.n, NULL, &x, &info) != VX_OK ||
            measure_voice(b.samples, b.n, NULL, &y, &info) != VX_OK)
            fail_msg("%s, %s: %s", pairs[i].a, pairs[i].b, info.text);
        if (!(fabs(x.length_cm - y.length_cm) < pairs[i].apart_cm))
            fail_msg("%s: %.1f cm, %s: %.1f cm", pairs[i].a, x.length_cm, pairs[i].b, y.length_cm);
        vx_audio_done(&a);
        vx_audio_done(&b);
    }
}

static vx_err measure_once(void *ctx)
{
    vx_tract tract = {.n_frames = 77};
    const vx_err err = vx_tract_measure(ctx, &tract, NULL);
    if (err != VX_OK)
        assert_int_equal(tract.n_frames, 77);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    static told t;
    double hz[VX_FORMANTS];
    tell_tube(16, hz);
    vx_alloc_fail_each(measure_once, tell(&t, 100, hz, 0.05));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tubes_get_their_length),
        cmocka_unit_test(tubes_at_the_telephone),
        cmocka_unit_test(formants_of_a_tube_are_its_length),
        cmocka_unit_test(outliers_hardly_count),
        cmocka_unit_test(spread_tells_how_much_was_heard),
        cmocka_unit_test(what_cannot_be_known_has_a_name),
        cmocka_unit_test(half_a_frame_is_none),
        cmocka_unit_test(readers_have_tracts),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
