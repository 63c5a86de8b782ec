/* test_pava_joints.c - recordings put together at known places, and voices that stand still.
 * Owns:   joints, repetitions and jumps that we made. Does not: say how often people make them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/joints.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 4 * RATE };
#define SEED 1732u

static const double PI = 3.14159265358979323846;

static float sound[N], reference[N / SYNTH_HOP];

static vx_err analyse(const float *samples, size_t n, vx_joints *ret, vx_errinfo *info)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    vx_err err = vx_spectrogram_compute(samples, n, &s);
    if (err == VX_OK)
        err = vx_pitch_track(samples, n, &s, &p);
    if (err == VX_OK)
        err = vx_joints_measure(&s, &p, ret, info);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    return err;
}

static vx_joints measure(const char *name, const float *samples, size_t n)
{
    vx_joints j;
    assert_int_equal(analyse(samples, n, &j, NULL), VX_OK);
    print_message("# %s: flux %.1f, kurtosis %.1f, floor %.1f dB, pitch %.3f oct, repeat %.3f, stillness %.2f\n", name,
                  j.flux_peak, j.flux_kurtosis, j.floor_jump_db, j.pitch_jump_oct, j.repeat, j.stillness);
    return j;
}

/* Three seconds, and one of nothing. */
static void say(const synth_params *params)
{
    memset(sound, 0, sizeof sound);
    synth_voice(params, 3 * RATE, sound, reference, NULL);
}

static const synth_params TALK = {
    .contour = SYNTH_SPOKEN, .hz = 120, .jitter = 0.01, .shimmer = 0.03, .words = true, .seed = SEED};

/* ---- background -------------------------------------------------------------------------------------------------- */

/* White noise, and from the first word of the second half on another: louder, or sharper at the same level. */
static void add_floors(double louder_db, bool sharper)
{
    uint64_t random = SEED;
    size_t change = 3 * RATE / 2;
    while (reference[change / SYNTH_HOP] <= 0)
        change += SYNTH_HOP;
    double before = 0;
    for (size_t i = 0; i < N; i++) {
        const double white = synth_normal(&random), sharp = sqrt(0.5) * (white - before);
        before = white;
        sound[i] += (float)(i < change ? 1e-3 * white : 1e-3 * pow(10, louder_db / 20) * (sharper ? sharp : white));
    }
}

/* A difference of neighbouring samples, of the same power: mean change of the bands of joints.c, in dB. */
static double sharpness(void)
{
    double sum = 0;
    for (int b = 0; b < 18; b++) {
        double power = 0;
        for (int k = 2 + 14 * b; k < 16 + 14 * b; k++)
            power += 2 * sin(PI * k / 512) * sin(PI * k / 512) / 14;
        sum += fabs(10 * log10(power)) / 18;
    }
    return sum;
}

static void another_background_is_found(void **state)
{
    (void)state;
    const struct {
        double louder_db;
        bool sharper;
        double jump_db;
    } rows[] = {{0, false, 0}, {3, false, 3}, {5, false, 5}, {-10, false, 10}, {0, true, sharpness()}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        say(&TALK);
        add_floors(rows[r].louder_db, rows[r].sharper);
        const vx_joints j = measure("two backgrounds", sound, N);
        /* Means of the logarithm of noise over 80 ms and more, and the ends of words, which are no pauses yet. */
        if (fabs(j.floor_jump_db - rows[r].jump_db) > 1)
            fail_msg("row %zu: %.1f, not %.1f dB", r, j.floor_jump_db, rows[r].jump_db);
    }
}

/* ---- repetition -------------------------------------------------------------------------------------------------- */

/* The first sample of 300 ms that are speech throughout. */
static size_t find_piece(const float *samples, size_t n)
{
    vx_spectrogram s;
    size_t run = 0, i = 0;
    assert_int_equal(vx_spectrogram_compute(samples, n, &s), VX_OK);
    for (; i < s.n_frames && run < 30; i++)
        run = s.speech[i] ? run + 1 : 0;
    vx_spectrogram_done(&s);
    assert_int_equal(run, 30);
    return (i - 30) * VX_PAVA_HOP;
}

/* 300 ms of a reader, said again later on: after a whole number of frames, after half a frame more, under noise. */
static void a_piece_that_comes_twice_is_found(void **state)
{
    (void)state;
    enum { PIECE = 4800 };
    static const char *const CLIPS[] = {"reader1_b.flac", "reader2_a.flac", "reader3_b.flac", "reader4_a.flac"};
    static const struct {
        size_t later;
        double noise, least;
    } rows[] = {{16000, 0, 0.99}, {16080, 0, 0.9}, {16000, 1e-3, 0.9}};
    for (size_t c = 0; c < sizeof CLIPS / sizeof *CLIPS; c++) {
        vx_audio clip = clip_audio(CLIPS[c]);
        const size_t n = clip.n < N ? clip.n : N, from = find_piece(clip.samples, n);
        const vx_joints once = measure(CLIPS[c], clip.samples, n);
        assert_true(once.repeat > 0.3 && once.repeat < 0.85);
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            uint64_t random = SEED;
            memcpy(sound, clip.samples, n * sizeof *sound);
            assert_true(from + rows[r].later + PIECE <= n);
            memcpy(sound + from + rows[r].later, sound + from, PIECE * sizeof *sound);
            for (size_t i = 0; i < n; i++)
                sound[i] += (float)(rows[r].noise * synth_normal(&random));
            assert_true(measure("twice", sound, n).repeat > rows[r].least);
        }
        vx_audio_done(&clip);
    }
}

/* ---- jumps ------------------------------------------------------------------------------------------------------- */

/* Noise over a floor of the same color, so that its beginning is no jump: dull, and sharp from `change` on. */
static void hiss(size_t change)
{
    uint64_t random = SEED;
    double before = 0, dull = 0;
    for (size_t i = 0; i < N; i++) {
        const double white = synth_normal(&random), gain = i > RATE && i < 3 * RATE ? 0.1 : 1e-3;
        dull += 0.1 * (white - dull);
        sound[i] = (float)(gain * (i < change ? 4 * dull : white - before));
        before = white;
    }
}

static void a_cut_within_a_sound_is_a_jump(void **state)
{
    (void)state;
    hiss(N);
    const vx_joints whole = measure("one sound", sound, N);
    hiss(2 * RATE);
    const vx_joints cut = measure("two sounds", sound, N);
    assert_true(whole.flux_peak < 2 && cut.flux_peak > 1.5 * whole.flux_peak);
    assert_true(whole.flux_kurtosis > 2 && whole.flux_kurtosis < 4 && cut.flux_kurtosis > 2 * whole.flux_kurtosis);
}

static void steps_of_pitch_are_measured(void **state)
{
    (void)state;
    /* A semitone up and down 5.5 times a second is steepest at 2 pi 5.5 / 12 octaves a second, and nearly so for a
     * tenth of the time. */
    static const struct {
        synth_contour contour;
        double hz, end_hz, step_oct;
    } rows[] = {{SYNTH_FLAT, 120, 0, 0},
                {SYNTH_RISE, 100, 200, 0.01 / 2.6},
                {SYNTH_RISE, 80, 320, 0.02 / 2.6},
                {SYNTH_VIBRATO, 150, 0, 0.01 * 2 * 3.14159 * 5.5 / 12}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        say(&(synth_params){.contour = rows[r].contour,
                            .hz = rows[r].hz,
                            .end_hz = rows[r].end_hz,
                            .noisy = true,
                            .snr_db = 40,
                            .still = true,
                            .seed = SEED});
        const vx_joints j = measure("contour", sound, N);
        if (fabs(j.pitch_jump_oct - rows[r].step_oct) > 0.15 * rows[r].step_oct + 0.002)
            fail_msg("row %zu: %.4f, not %.4f octaves", r, j.pitch_jump_oct, rows[r].step_oct);
    }
}

/* A machine that holds each frame for 50 ms, and a voice that does not. */
static void held_frames_stand_still(void **state)
{
    (void)state;
    vx_audio clip = clip_audio("reader2_a.flac");
    vx_spectrogram s;
    vx_pitch p;
    vx_joints moving, held;
    assert_int_equal(vx_spectrogram_compute(clip.samples, clip.n, &s), VX_OK);
    assert_int_equal(vx_pitch_track(clip.samples, clip.n, &s, &p), VX_OK);
    assert_int_equal(vx_joints_measure(&s, &p, &moving, NULL), VX_OK);
    size_t n_held = 0, n = 0;
    for (size_t i = 1; i < s.n_frames; i++) {
        if (i % 5 != 0)
            memcpy(s.power + i * VX_PAVA_BINS, s.power + (i - 1) * VX_PAVA_BINS, VX_PAVA_BINS * sizeof(float));
        const bool voiced = s.speech[i] && s.speech[i - 1] && p.f0_hz[i] > 0 && p.f0_hz[i - 1] > 0;
        n += voiced;
        n_held += voiced && i % 5 != 0;
    }
    assert_int_equal(vx_joints_measure(&s, &p, &held, NULL), VX_OK);
    assert_true(moving.stillness > 0.01 && moving.stillness < 0.5);
    assert_true(held.stillness >= (double)n_held / (double)n && held.stillness < 0.9);
    /* Most jumps are none, and there is no median to hold the others against. */
    assert_true(isnan(held.flux_peak) && isnan(held.flux_kurtosis));
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    vx_audio_done(&clip);
}

/* What a telephone has no room for holds rounding noise, which is neither still nor like itself. */
static void bands_without_speech_are_left_out(void **state)
{
    (void)state;
    vx_audio clip = clip_audio("reader4_a.flac");
    vx_spectrogram s;
    vx_pitch p;
    vx_joints empty, noisy;
    uint64_t random = SEED;
    assert_int_equal(vx_spectrogram_compute(clip.samples, clip.n, &s), VX_OK);
    assert_int_equal(vx_pitch_track(clip.samples, clip.n, &s, &p), VX_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < s.n_frames; i++)
            for (size_t k = 128; k < VX_PAVA_BINS; k++)
                s.power[i * VX_PAVA_BINS + k] =
                    pass == 0 ? 0 : (float)(3e-7 * (double)s.peak_level * (1 + synth_uniform(&random)));
        assert_int_equal(vx_joints_measure(&s, &p, pass == 0 ? &empty : &noisy, NULL), VX_OK);
    }
    assert_memory_equal(&empty, &noisy, sizeof empty);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    vx_audio_done(&clip);
}

/* ---- what does not matter, and what cannot be measured ----------------------------------------------------------- */

static void gain_does_not_matter(void **state)
{
    (void)state;
    static const float GAINS[] = {1, 0.3f, 0.05f};
    vx_audio clip = clip_audio("reader2_b.flac");
    vx_joints loud = {0}, j;
    float *scaled = calloc(clip.n, sizeof *scaled);
    assert_non_null(scaled);
    for (size_t g = 0; g < sizeof GAINS / sizeof *GAINS; g++) {
        for (size_t i = 0; i < clip.n; i++)
            scaled[i] = GAINS[g] * clip.samples[i];
        assert_int_equal(analyse(scaled, clip.n, &j, NULL), VX_OK);
        loud = g == 0 ? j : loud;
        for (size_t k = 0; k < sizeof j / sizeof(double); k++)
            if (fabs((&j.flux_peak)[k] - (&loud.flux_peak)[k]) > 1e-2)
                fail_msg("measure %zu at gain %g: %g, not %g", k, (double)GAINS[g], (&j.flux_peak)[k],
                         (&loud.flux_peak)[k]);
    }
    free(scaled);
    vx_audio_done(&clip);
}

static void without_pauses_or_voice_there_is_no_number(void **state)
{
    (void)state;
    uint64_t random = SEED;
    vx_spectrogram s;
    vx_pitch p;
    vx_joints j;
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(0.1 * synth_normal(&random));
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    for (size_t i = 0; i < s.n_frames; i++)
        s.speech[i] = true;
    s.n_speech = s.n_frames;
    assert_int_equal(vx_joints_measure(&s, &p, &j, NULL), VX_OK);
    assert_true(isnan(j.floor_jump_db) && isnan(j.pitch_jump_oct) && isnan(j.stillness));
    assert_true(j.flux_peak > 1 && j.flux_peak < 3 && j.repeat > 0 && j.repeat < 0.6);
    /* Nineteen frames of voice, one fewer than a share rests on. */
    for (size_t i = 100; i < 120; i++)
        p.f0_hz[i] = 120;
    assert_int_equal(vx_joints_measure(&s, &p, &j, NULL), VX_OK);
    assert_true(isnan(j.stillness) && isnan(j.pitch_jump_oct));
    /* One frame fewer than two pieces of 200 ms that are 400 ms apart. */
    s.n_frames = p.n_frames = 59, s.n_speech = 59;
    assert_int_equal(vx_joints_measure(&s, &p, &j, NULL), VX_OK);
    assert_true(isnan(j.repeat));
    /* Something in the three lowest bands only. */
    vx_errinfo info = {0};
    for (size_t i = 0; i < s.n_frames; i++)
        memset(s.power + i * VX_PAVA_BINS + 44, 0, (VX_PAVA_BINS - 44) * sizeof(float));
    assert_int_equal(vx_joints_measure(&s, &p, &j, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "tone"));
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
}

static double tone(size_t i, uint64_t *random)
{
    (void)random;
    return i / 8000 % 2 ? 0.5 * sin(2 * PI * 440 * (double)i / RATE) : 0;
}
static double treble(size_t i, uint64_t *random)
{
    (void)random;
    return i / 8000 % 2 ? (i % 2 ? 0.5 : -0.5) : 0;
}
static double direct(size_t i, uint64_t *random)
{
    (void)i, (void)random;
    return 0.5;
}
static double silence(size_t i, uint64_t *random)
{
    (void)i, (void)random;
    return 0;
}
static double noise(size_t i, uint64_t *random)
{
    (void)i;
    return 0.1 * synth_normal(random);
}
static double broken(size_t i, uint64_t *random)
{
    (void)random;
    return i == N / 2 ? (double)NAN : 0.1;
}

static void what_is_no_speech_is_not_measured(void **state)
{
    (void)state;
    static double (*const SOUNDS[])(size_t, uint64_t *) = {direct, silence, noise, broken};
    uint64_t random = SEED;
    for (size_t k = 0; k < sizeof SOUNDS / sizeof *SOUNDS; k++) {
        vx_joints j = {.repeat = 77};
        for (size_t i = 0; i < N; i++)
            sound[i] = (float)SOUNDS[k](i, &random);
        assert_int_not_equal(analyse(sound, N, &j, NULL), VX_OK);
        assert_true(j.repeat > 76);
    }
}

/* Clipped voices, beeps, clicks, of any length: numbers or NAN. */
static void odd_sounds_are_survived(void **state)
{
    (void)state;
    vx_audio clip = clip_audio("reader1_a.flac");
    static const size_t LENGTHS[] = {N, 20000, 4800, 400};
    uint64_t random = SEED;
    for (int kind = 0; kind < 5; kind++)
        for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
            vx_joints j;
            const size_t n = LENGTHS[l] < clip.n ? LENGTHS[l] : clip.n;
            for (size_t i = 0; i < n; i++)
                sound[i] = kind == 0   ? fmaxf(-1, fminf(1, 100 * clip.samples[i]))
                           : kind == 1 ? (float)tone(i, &random)
                           : kind == 2 ? (float)treble(i, &random)
                           : kind == 3 ? 1e-3f * clip.samples[i]
                                       : (float)(i % 5000 == 0);
            if (analyse(sound, n, &j, NULL) == VX_OK)
                for (size_t k = 0; k < sizeof j / sizeof(double); k++)
                    assert_true(isfinite((&j.flux_peak)[k]) || isnan((&j.flux_peak)[k]));
        }
    vx_audio_done(&clip);
}

/* So little speech that the level a fiftieth lies above is that of nothing at all. */
static void one_word_in_half_a_minute_is_survived(void **state)
{
    (void)state;
    enum { LONG = 30 * RATE };
    static float quiet[LONG];
    uint64_t random = SEED;
    vx_joints m;
    for (size_t i = 0; i < LONG; i++)
        quiet[i] = i / (11 * RATE / 20) == 4 ? (float)(0.1 * synth_normal(&random)) : 0;
    assert_int_equal(analyse(quiet, LONG, &m, NULL), VX_OK);
    for (size_t k = 0; k < sizeof m / sizeof(double); k++)
        assert_true(isfinite((&m.flux_peak)[k]) || isnan((&m.flux_peak)[k]));
    assert_true(fabs(m.floor_jump_db) <= 0);
}

typedef struct {
    vx_spectrogram s;
    vx_pitch p;
} analysed;

static vx_err measure_once(void *ctx)
{
    const analysed *a = ctx;
    vx_joints j = {.repeat = 77};
    const vx_err err = vx_joints_measure(&a->s, &a->p, &j, NULL);
    assert_true(err == VX_OK || j.repeat > 76);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    analysed a;
    say(&TALK);
    assert_int_equal(vx_spectrogram_compute(sound, N, &a.s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &a.s, &a.p), VX_OK);
    vx_alloc_fail_each(measure_once, &a);
    vx_pitch_done(&a.p);
    vx_spectrogram_done(&a.s);
}

int main(void)
{
    print_message("# seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_background_is_found),
        cmocka_unit_test(a_piece_that_comes_twice_is_found),
        cmocka_unit_test(a_cut_within_a_sound_is_a_jump),
        cmocka_unit_test(steps_of_pitch_are_measured),
        cmocka_unit_test(held_frames_stand_still),
        cmocka_unit_test(bands_without_speech_are_left_out),
        cmocka_unit_test(gain_does_not_matter),
        cmocka_unit_test(without_pauses_or_voice_there_is_no_number),
        cmocka_unit_test(what_is_no_speech_is_not_measured),
        cmocka_unit_test(odd_sounds_are_survived),
        cmocka_unit_test(one_word_in_half_a_minute_is_survived),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
