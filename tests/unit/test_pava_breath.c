/* test_pava_breath.c - breath and pops, put between words at known places.
 * Owns:   that they are found, measured, and not invented. Does not: say how often people breathe.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/breath.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 4 * RATE };
#define SEED 1618u

static const double PI = 3.14159265358979323846;

static float sound[N];

/* Two sentences of 1.5 s with a second between them, over a floor of -70 dBFS. */
static void say_two(double hz)
{
    const synth_params params = {.contour = SYNTH_SPOKEN, .hz = hz, .jitter = 0.01, .shimmer = 0.03, .seed = SEED};
    static float reference[N / SYNTH_HOP];
    uint64_t random = SEED;
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(3.2e-4 * synth_normal(&random));
    static float one[3 * RATE / 2];
    synth_voice(&params, sizeof one / sizeof *one, one, reference, NULL);
    for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
        sound[i] += one[i];
        sound[N - sizeof one / sizeof *one + i] += one[i];
    }
}

/* Noise from `begin` on: white, `db` over the floor, then through a filter of one pole. */
static void breathe(double begin, double seconds, double db, double low_pass)
{
    uint64_t random = SEED + 1;
    double y = 0;
    const double gain = 3.2e-4 * pow(10, db / 20);
    for (size_t i = (size_t)(begin * RATE); i < (size_t)((begin + seconds) * RATE) && i < N; i++) {
        y += (1 - low_pass) * (synth_normal(&random) - y);
        sound[i] += (float)(gain * y);
    }
}

/* What a street leaves of itself indoors: nearly all of the floor lies below 80 Hz. */
static void rumble(void)
{
    uint64_t random = SEED + 2;
    double y = 0;
    for (size_t i = 0; i < N; i++) {
        y += 0.02 * (synth_normal(&random) - y);
        sound[i] += (float)(0.05 * y);
    }
}

/* A gust: half a wave of 25 Hz. */
static void puff(double begin, double amplitude)
{
    for (size_t i = 0; i < RATE / 50; i++)
        sound[(size_t)(begin * RATE) + i] += (float)(amplitude * sin(PI * (double)i / (RATE / 50.0)));
}

static vx_err measure(vx_breath *ret, vx_errinfo *info)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    const vx_err err = vx_breath_measure(&s, &p, ret, info);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    return err;
}

static void breath_is_found_and_measured(void **state)
{
    (void)state;
    /* The pole at 0.9 falls by 5.5 dB an octave from 500 to 4000 Hz, by its formula over the same thirds of octaves. */
    static const struct {
        double seconds, db, low_pass; /* of the noise, its level over the floor where it is white, a pole */
        size_t found;
        double slope_db;
    } rows[] = {
        {0, 0, 0, 0, 0},     {0.3, 20, 0, 1, 0}, {0.5, 12, 0, 1, 0}, {0.3, 28, 0.9, 1, -5.5},
        {0.05, 20, 0, 0, 0}, {0.3, 3, 0, 0, 0},  {0.3, 60, 0, 0, 0},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (int high = 0; high < 2; high++) {
            vx_breath b = {0};
            say_two(high ? 210 : 110);
            breathe(1.75, rows[r].seconds, rows[r].db, rows[r].low_pass);
            assert_int_equal(measure(&b, NULL), VX_OK);
            print_message("# %.2f s at %.0f dB: %zu found, %.2f s, %.1f dB, %.1f dB an octave\n", rows[r].seconds,
                          rows[r].db, b.n_breaths, b.breath_s, b.breath_over_db, b.breath_slope_db);
            if (b.n_breaths != rows[r].found || fabs(b.breaths_per_s - (double)rows[r].found / 4) > 1e-9)
                fail_msg("row %zu: %zu breaths", r, b.n_breaths);
            if (rows[r].found == 0) {
                assert_true(isnan(b.breath_s) && isnan(b.breath_over_db) && isnan(b.breath_slope_db));
                continue;
            }
            if (fabs(b.breath_s - rows[r].seconds) > 0.04 || fabs(b.breath_slope_db - rows[r].slope_db) > 1)
                fail_msg("row %zu: %g s, %g dB an octave", r, b.breath_s, b.breath_slope_db);
            if (rows[r].low_pass == 0 && fabs(b.breath_over_db - rows[r].db) > 2)
                fail_msg("row %zu: %g dB", r, b.breath_over_db);
        }
}

static void pops_are_found_before_words(void **state)
{
    (void)state;
    static const struct {
        double begin[2], amplitude;
        bool rumble;
        size_t pops;
    } rows[] = {
        {{0, 0}, 0, false, 0},         /* none */
        {{0.16, 0}, 0.1, false, 1},    /* before the first sentence */
        {{0.16, 2.66}, 0.1, false, 2}, /* before both */
        {{1.9, 0}, 0.1, false, 0},     /* far from a word */
        {{0.16, 0}, 5e-4, false, 0},   /* less than what lies above 80 Hz */
        {{0, 0}, 0, true, 0},          /* the floor's own */
        {{0.16, 0}, 0.3, true, 1},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        vx_breath b = {0};
        say_two(110);
        if (rows[r].rumble)
            rumble();
        for (int i = 0; i < 2; i++)
            if (rows[r].begin[i] > 0)
                puff(rows[r].begin[i], rows[r].amplitude);
        assert_int_equal(measure(&b, NULL), VX_OK);
        print_message("# row %zu: %zu pops at %zu onsets, %.1f dB\n", r, b.n_pops, b.n_onsets, b.pop_over_db);
        if (b.n_onsets != 2 || b.n_pops != rows[r].pops || (b.n_pops > 0) != (b.pop_over_db > 20))
            fail_msg("row %zu: %zu pops at %zu onsets", r, b.n_pops, b.n_onsets);
    }
}

static void what_cannot_be_looked_at_has_a_name(void **state)
{
    (void)state;
    vx_breath b = {.n_breaths = 77};
    vx_errinfo info = {0};
    memset(sound, 0, sizeof sound);
    assert_int_equal(measure(&b, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "nobody speaks"));

    /* Level enough that all of it is speech, but for its first frames. */
    info = (vx_errinfo){0};
    uint64_t random = SEED;
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(synth_normal(&random) * 0.1 * (i / 4000 % 4 == 0 || i < 2000 ? 0.001 : 1));
    for (size_t i = 2000; i < N; i++)
        sound[i] = (float)(synth_normal(&random) * 0.1);
    memset(sound, 0, 1000 * sizeof *sound);
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    for (size_t i = 0; i < s.n_frames; i++)
        s.speech[i] = i > 15;
    s.n_speech = s.n_frames - 16;
    assert_int_equal(vx_breath_measure(&s, &p, &b, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "no pause"));
    assert_int_equal(b.n_breaths, 77);
    assert_int_equal(vx_breath_measure(&s, &p, &b, NULL), VX_ERR_NOT_FOUND);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
}

typedef struct {
    vx_spectrogram s;
    vx_pitch p;
} tracks;

static vx_err measure_once(void *ctx)
{
    const tracks *t = ctx;
    vx_breath b;
    return vx_breath_measure(&t->s, &t->p, &b, NULL);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    tracks t = {0};
    say_two(110);
    assert_int_equal(vx_spectrogram_compute(sound, N, &t.s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &t.s, &t.p), VX_OK);
    vx_alloc_fail_each(measure_once, &t);
    vx_pitch_done(&t.p);
    vx_spectrogram_done(&t.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breath_is_found_and_measured),
        cmocka_unit_test(pops_are_found_before_words),
        cmocka_unit_test(what_cannot_be_looked_at_has_a_name),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
