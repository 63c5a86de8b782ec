/* test_pava_modulation.c - envelopes of which rate, depth and likeness are known.
 * Owns:   spectrograms written down and noise that swells. Does not: say how people modulate.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/modulation.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, FRAMES = 450, N = FRAMES * VX_PAVA_HOP, BANDS = 8 };
#define SEED 1414u

static const double PI = 3.14159265358979323846;

static float sound[N];

/* ---- spectrograms written down ----------------------------------------------------------------------------------- */

/* One frequency of modulation: the level of each band goes up and down by depth_db, each band's phase `turn` later than
 * that of the band below; bands from `silent` on hold nothing. */
typedef struct {
    double hz, depth_db, turn;
    int silent;
    size_t n_frames;
} plan;

typedef struct {
    float power[FRAMES * VX_PAVA_BINS], level[FRAMES];
    bool speech[FRAMES];
    vx_spectrogram s;
} page;

/* The edges of modulation.c. */
static int band_of(int bin)
{
    static const int EDGES[BANDS] = {12, 22, 36, 58, 96, 140, 190, 254};
    int b = 0;
    while (b < BANDS - 1 && bin >= EDGES[b])
        b++;
    return b;
}

static const vx_spectrogram *write_down(const plan *p)
{
    static page g;
    for (size_t i = 0; i < p->n_frames; i++) {
        g.level[i] = 1;
        g.speech[i] = true;
        for (int k = 0; k < VX_PAVA_BINS; k++) {
            const int b = band_of(k);
            const double db = 0.5 * p->depth_db * sin(2 * PI * (p->hz * (double)i / 100 - b * p->turn));
            g.power[i * VX_PAVA_BINS + (size_t)k] = b < p->silent ? (float)pow(10, db / 10) : 0;
        }
    }
    g.s = (vx_spectrogram){p->n_frames, g.power, g.level, g.speech, p->n_frames, 1e-3f, 1};
    return &g.s;
}

static vx_modulation measure_page(const plan *p)
{
    vx_modulation m;
    assert_int_equal(vx_modulation_measure(write_down(p), &m, NULL), VX_OK);
    return m;
}

static void rates_and_depths_are_read(void **state)
{
    (void)state;
    static const struct {
        double hz, depth_db, syllabic_db, fast_db; /* +1: far above 0, -1: far below; 0: whatever rounding leaves */
    } rows[] = {{3, 20, 1, -1},  {4, 30, 1, -1}, {4.5, 20, 1, -1}, {6, 40, 1, -1},
                {11, 20, -1, 0}, {25, 30, 0, 1}, {35, 20, 0, 1}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t n = 150; n <= FRAMES; n += 150) {
            const vx_modulation m = measure_page(&(plan){rows[r].hz, rows[r].depth_db, 0, BANDS, n});
            /* A sine is above 0.951 of its height a tenth of the time. */
            if (fabs(m.depth_db - 0.951 * rows[r].depth_db) > 0.05 * rows[r].depth_db)
                fail_msg("%g Hz: depth %g dB", rows[r].hz, m.depth_db);
            if (m.syllabic_db * rows[r].syllabic_db < 20 && rows[r].syllabic_db * rows[r].syllabic_db > 0)
                fail_msg("%g Hz: syllabic %g dB", rows[r].hz, m.syllabic_db);
            if (m.fast_db * rows[r].fast_db < 20 && rows[r].fast_db * rows[r].fast_db > 0)
                fail_msg("%g Hz: fast %g dB", rows[r].hz, m.fast_db);
            assert_true(m.coherence > 0.999 && m.coherence_high > 0.999);
        }
}

/* Two rates at once: their ratio is that of their powers. */
static void ratios_are_of_powers(void **state)
{
    (void)state;
    plan p = {4, 20, 0, BANDS, FRAMES};
    const vx_spectrogram *s = write_down(&p);
    for (size_t i = 0; i < FRAMES; i++)
        for (size_t k = 0; k < VX_PAVA_BINS; k++)
            s->power[i * VX_PAVA_BINS + k] *= (float)pow(10, 0.1 * sin(2 * PI * 12 * (double)i / 100));
    vx_modulation m;
    assert_int_equal(vx_modulation_measure(s, &m, NULL), VX_OK);
    assert_true(fabs(m.syllabic_db - 20) < 0.1); /* 10 dB against 1 dB */
}

static void likeness_is_the_cosine_of_the_turn(void **state)
{
    (void)state;
    static const double TURNS[] = {0, 0.1, 0.25, 0.5};
    for (size_t i = 0; i < sizeof TURNS / sizeof *TURNS; i++) {
        const vx_modulation m = measure_page(&(plan){4, 30, TURNS[i], BANDS, 400});
        assert_true(fabs(m.coherence - cos(2 * PI * TURNS[i])) < 0.02);
        assert_true(fabs(m.coherence_high - m.coherence) < 0.02);
    }
}

/* What a telephone has no room for says nothing. */
static void bands_without_speech_are_left_out(void **state)
{
    (void)state;
    const vx_modulation whole = measure_page(&(plan){4, 30, 0.1, BANDS, 400});
    const vx_modulation telephone = measure_page(&(plan){4, 30, 0.1, 6, 400});
    assert_true(fabs(whole.depth_db - telephone.depth_db) < 0.5 && fabs(whole.syllabic_db - telephone.syllabic_db) < 1);
    assert_true(fabs(whole.coherence - telephone.coherence) < 1e-3);
    assert_true(isfinite(whole.coherence_high) && isnan(telephone.coherence_high));
    const vx_modulation one = measure_page(&(plan){4, 30, 0.1, 1, 400});
    assert_true(isnan(one.coherence) && isfinite(one.depth_db));
}

static void too_little_is_said(void **state)
{
    (void)state;
    static const struct {
        plan p;
        const char *why; /* NULL: it is enough */
    } rows[] = {
        {{4, 30, 0, BANDS, 100}, NULL},
        {{4, 30, 0, BANDS, 99}, "less than a second"},
        {{4, 30, 0, BANDS, 0}, "less than a second"},
        {{4, 7, 0, BANDS, 400}, "no band"},
        {{4, 9, 0, BANDS, 400}, NULL},
        {{4, 30, 0, 0, 400}, "no band"},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        vx_modulation m = {.depth_db = 77};
        vx_errinfo info = {0};
        const vx_err err = vx_modulation_measure(write_down(&rows[r].p), &m, &info);
        assert_int_equal(err, rows[r].why == NULL ? VX_OK : VX_ERR_NOT_FOUND);
        if (rows[r].why != NULL) {
            assert_non_null(strstr(info.text, rows[r].why));
            assert_true(m.depth_db > 76);
        }
    }
}

/* ---- noise that swells ------------------------------------------------------------------------------------------- */

static vx_err analyse(const float *samples, size_t n, vx_modulation *ret)
{
    vx_spectrogram s;
    const vx_err err = vx_spectrogram_compute(samples, n, &s);
    if (err != VX_OK)
        return err;
    const vx_err measured = vx_modulation_measure(&s, ret, NULL);
    vx_spectrogram_done(&s);
    return measured;
}

static void noise_that_swells_is_measured(void **state)
{
    (void)state;
    static const struct {
        double hz, depth_db;
    } rows[] = {{3, 25}, {5, 25}, {5, 40}, {11, 25}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        uint64_t random = SEED;
        vx_modulation m;
        for (size_t i = 0; i < N; i++) {
            const double db = 0.5 * rows[r].depth_db * sin(2 * PI * rows[r].hz * (double)i / RATE) - 30;
            sound[i] = (float)(pow(10, db / 20) * synth_normal(&random));
        }
        assert_int_equal(analyse(sound, N, &m), VX_OK);
        print_message("# %g Hz, %g dB: depth %.1f, syllabic %.1f, fast %.1f dB, coherence %.2f %.2f\n", rows[r].hz,
                      rows[r].depth_db, m.depth_db, m.syllabic_db, m.fast_db, m.coherence, m.coherence_high);
        /* The noise's own ups and downs come on top; the window takes off a little of what is fast. */
        assert_true(fabs(m.depth_db - 0.951 * rows[r].depth_db) < 2);
        assert_true(rows[r].hz < 8 ? m.syllabic_db > 20 && m.fast_db < -15 : m.syllabic_db < -20);
        assert_true(m.coherence > 0.9 && m.coherence_high > 0.95);
    }
}

/* Even where all of it is taken for speech. */
static void steady_noise_has_no_envelope(void **state)
{
    (void)state;
    uint64_t random = SEED;
    vx_spectrogram s;
    vx_modulation m;
    vx_errinfo info = {0};
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(0.1 * synth_normal(&random));
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    for (size_t i = 0; i < s.n_frames; i++)
        s.speech[i] = true;
    assert_int_equal(vx_modulation_measure(&s, &m, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "no band"));
    vx_spectrogram_done(&s);
}

static void gain_does_not_matter(void **state)
{
    (void)state;
    static const float GAINS[] = {1, 0.3f, 0.05f};
    vx_audio clip = clip_audio("reader3_b.flac");
    vx_modulation loud = {0}, m;
    float *scaled = calloc(clip.n, sizeof *scaled);
    assert_non_null(scaled);
    for (size_t g = 0; g < sizeof GAINS / sizeof *GAINS; g++) {
        for (size_t i = 0; i < clip.n; i++)
            scaled[i] = GAINS[g] * clip.samples[i];
        assert_int_equal(analyse(scaled, clip.n, &m), VX_OK);
        loud = g == 0 ? m : loud;
        for (size_t k = 0; k < sizeof m / sizeof(double); k++)
            assert_true(fabs((&m.syllabic_db)[k] - (&loud.syllabic_db)[k]) < 1e-3);
    }
    free(scaled);
    vx_audio_done(&clip);
}

static void readers_have_syllables(void **state)
{
    (void)state;
    static const char *const CLIPS[] = {"reader1_a.flac", "reader2_b.flac", "reader3_a.flac", "reader4_a.flac",
                                        "reader1_a_8k_ulaw.wav"};
    for (size_t i = 0; i < sizeof CLIPS / sizeof *CLIPS; i++) {
        vx_audio clip = clip_audio(CLIPS[i]);
        vx_modulation m;
        assert_int_equal(analyse(clip.samples, clip.n, &m), VX_OK);
        print_message("# %s: depth %.1f, syllabic %.1f, fast %.1f dB, coherence %.2f %.2f\n", CLIPS[i], m.depth_db,
                      m.syllabic_db, m.fast_db, m.coherence, m.coherence_high);
        assert_true(m.syllabic_db > 5 && m.syllabic_db < 15 && m.fast_db < -8 && m.fast_db > -18);
        assert_true(m.depth_db > 15 && m.depth_db < 45 && m.coherence > 0.5 && m.coherence < 0.95);
        vx_audio_done(&clip);
    }
}

static double tone(size_t i, uint64_t *random)
{
    (void)random;
    return 0.5 * sin(2 * PI * 440 * (double)i / RATE);
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
    static double (*const SOUNDS[])(size_t, uint64_t *) = {tone, direct, silence, noise, broken};
    uint64_t random = SEED;
    for (size_t k = 0; k < sizeof SOUNDS / sizeof *SOUNDS; k++) {
        vx_modulation m = {.depth_db = 77};
        for (size_t i = 0; i < N; i++)
            sound[i] = (float)SOUNDS[k](i, &random);
        assert_int_not_equal(analyse(sound, N, &m), VX_OK);
        assert_true(m.depth_db > 76);
    }
}

/* A clipped voice, one of 0.3 s, clicks: numbers or NAN where that is promised. */
static void odd_sounds_are_survived(void **state)
{
    (void)state;
    vx_audio clip = clip_audio("reader1_a.flac");
    static const size_t LENGTHS[] = {N, 20000, 4800, 400};
    for (int kind = 0; kind < 2; kind++)
        for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
            vx_modulation m;
            const size_t n = LENGTHS[l] < clip.n ? LENGTHS[l] : clip.n;
            for (size_t i = 0; i < n; i++)
                sound[i] = kind == 0 ? fmaxf(-1, fminf(1, 100 * clip.samples[i])) : i % 5000 == 0 ? 1 : 0;
            if (analyse(sound, n, &m) == VX_OK)
                assert_true(isfinite(m.syllabic_db) && isfinite(m.fast_db) && isfinite(m.depth_db) &&
                            !isinf(m.coherence) && !isinf(m.coherence_high));
        }
    vx_audio_done(&clip);
}

static vx_err measure_once(void *ctx)
{
    vx_modulation m = {.depth_db = 77};
    const vx_err err = vx_modulation_measure(ctx, &m, NULL);
    assert_true(err == VX_OK || m.depth_db > 76);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    vx_spectrogram s = *write_down(&(plan){4, 30, 0, BANDS, 200});
    vx_alloc_fail_each(measure_once, &s);
}

int main(void)
{
    print_message("# seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_and_depths_are_read),
        cmocka_unit_test(ratios_are_of_powers),
        cmocka_unit_test(likeness_is_the_cosine_of_the_turn),
        cmocka_unit_test(bands_without_speech_are_left_out),
        cmocka_unit_test(too_little_is_said),
        cmocka_unit_test(noise_that_swells_is_measured),
        cmocka_unit_test(steady_noise_has_no_envelope),
        cmocka_unit_test(gain_does_not_matter),
        cmocka_unit_test(readers_have_syllables),
        cmocka_unit_test(what_is_no_speech_is_not_measured),
        cmocka_unit_test(odd_sounds_are_survived),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
