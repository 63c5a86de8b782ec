/* test_pava_cycles.c - jitter, shimmer and harmonics to noise against voices made with known ones.
 * Owns:   accuracy of the measures, what they say of too little voice and of no voice.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/cycles.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/guard.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 5 * RATE };
#define SEED 31337u

static float sound[N], f0[N / SYNTH_HOP];

static vx_cycles measure(const float *samples, size_t n)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    vx_cycles c = {0};
    if (vx_spectrogram_compute(samples, n, &s) != VX_OK || vx_pitch_track(samples, n, &s, &p) != VX_OK ||
        vx_cycles_measure(samples, n, &p, &c) != VX_OK)
        fail_msg("%zu samples cannot be measured", n);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    return c;
}

static bool near(double is, double should, double share, double absolute)
{
    return fabs(is - should) <= share * should + absolute;
}

typedef struct {
    bool bare;
    double hz, most_jitter, periods, amplitudes; /* how far the measures may be off, relative */
} voice_row;

/* Truth is that of the pulses. A formant rings on into the next cycle, so that a perturbed cycle perturbs its neighbour's
 * shape too; how much depends on where it lies between the harmonics. That is what a microphone hears: no error of marking,
 * which the bare pulses show. Amplitudes are 10 % too
 * even: the window of a cycle holds a little of its neighbours. The parabola through the match of bare pulses, the sharpest
 * there are, misses its peak by 0.08 samples. */
static const voice_row VOICES[] = {
    {true, 90, 0.03, 0.03, 0.15},  {true, 120, 0.03, 0.03, 0.15}, {true, 300, 0.03, 0.03, 0.15},
    {false, 90, 0.02, 0.15, 0.15}, {false, 120, 0.02, 0.3, 0.15}, {false, 210, 0.02, 0.15, 0.25},
};

static void jitter_and_shimmer_are_those_of_the_pulses(void **state)
{
    (void)state;
    static const double SIZE[] = {0, 0.002, 0.005, 0.01, 0.02, 0.03};
    print_message("# seed %u\n", SEED);
    for (size_t v = 0; v < sizeof VOICES / sizeof *VOICES; v++)
        for (size_t s = 0; s < sizeof SIZE / sizeof *SIZE && SIZE[s] <= VOICES[v].most_jitter; s++) {
            const voice_row *r = &VOICES[v];
            const double shift = 0.08 * r->hz / RATE;
            const synth_params params = {.contour = SYNTH_FLAT,
                                         .hz = r->hz,
                                         .jitter = SIZE[s],
                                         .shimmer = 2 * SIZE[s],
                                         .still = true,
                                         .bare = r->bare,
                                         .seed = SEED};
            synth_truth t;
            synth_voice(&params, N, sound, f0, &t);
            const vx_cycles c = measure(sound, N);
            print_message(
                "# %s %.0f Hz, %zu of %zu: jitter %.2f for %.2f %%, rap %.2f for %.2f, shimmer %.2f for %.2f, "
                "apq %.2f for %.2f\n",
                r->bare ? "pulses" : "vowel", r->hz, c.n_cycles, t.n_cycles, 100 * c.jitter, 100 * t.jitter,
                100 * c.jitter_rap, 100 * t.jitter_rap, 100 * c.shimmer, 100 * t.shimmer, 100 * c.shimmer_apq,
                100 * t.shimmer_apq);
            if ((double)c.n_cycles < 0.95 * (double)t.n_cycles || c.n_cycles > t.n_cycles ||
                !near(c.jitter, t.jitter, r->periods, shift) || !near(c.jitter_rap, t.jitter_rap, r->periods, shift) ||
                !near(c.shimmer, t.shimmer, r->amplitudes, 4e-3) ||
                !near(c.shimmer_apq, t.shimmer_apq, r->amplitudes, 4e-3))
                fail_msg("%s, %g Hz, %g", r->bare ? "pulses" : "vowel", r->hz, SIZE[s]);
        }
}

static void noise_is_measured_against_harmonics(void **state)
{
    (void)state;
    static const double HZ[] = {100, 210, 300};
    for (size_t h = 0; h < sizeof HZ / sizeof *HZ; h++)
        for (double snr = 5; snr <= 30; snr += 5) {
            const synth_params params = {
                .contour = SYNTH_FLAT, .hz = HZ[h], .still = true, .noisy = true, .snr_db = snr, .seed = SEED};
            synth_voice(&params, N, sound, f0, NULL);
            const vx_cycles c = measure(sound, N);
            print_message("# %.0f Hz: %.1f for %.0f dB\n", HZ[h], c.hnr_db, snr);
            if (fabs(c.hnr_db - snr) > 1)
                fail_msg("%g Hz: %g for %g dB", HZ[h], c.hnr_db, snr);
        }
}

/* The melody of speech is no perturbation: local jitter holds it by definition, rap nearly not. */
static void melody_is_no_perturbation(void **state)
{
    (void)state;
    synth_truth truth;
    synth_params params = {.contour = SYNTH_SPOKEN, .hz = 130, .words = true, .seed = SEED};
    synth_voice(&params, N, sound, f0, &truth);
    vx_cycles c = measure(sound, N);
    print_message("# spoken evenly: jitter %.2f for %.2f %%, rap %.2f for %.2f, hnr %.1f dB\n", 100 * c.jitter,
                  100 * truth.jitter, 100 * c.jitter_rap, 100 * truth.jitter_rap, c.hnr_db);
    assert_true(near(c.jitter, truth.jitter, 0.1, 1e-3));
    assert_true(c.jitter_rap < 0.003);
    params.jitter = 0.01;
    synth_voice(&params, N, sound, f0, &truth);
    c = measure(sound, N);
    assert_true(near(c.jitter_rap, truth.jitter_rap, 0.2, 0));
}

/* Nor is growing louder, by 20 dB over the recording. */
static void a_swell_is_no_perturbation(void **state)
{
    (void)state;
    const synth_params params = {.contour = SYNTH_FLAT, .hz = 125, .still = true, .seed = SEED};
    synth_truth truth;
    synth_voice(&params, N, sound, f0, &truth);
    for (size_t i = 0; i < N; i++)
        sound[i] *= powf(10, (float)i / N - 1);
    const vx_cycles c = measure(sound, N);
    print_message("# swell: shimmer %.2f %%, apq %.2f %%\n", 100 * c.shimmer, 100 * c.shimmer_apq);
    assert_true(near(c.shimmer, log(10) / (5.0 * 125), 0.1, 0)); /* 5 s */
    assert_true(c.shimmer_apq < 0.001);
}

static void too_little_voice_is_no_measure(void **state)
{
    (void)state;
    static const struct {
        double hz, seconds;
        bool enough;
    } rows[] = {{100, 0.55, false}, {100, 0.8, true}, {200, 0.46, false}, {200, 0.7, true}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) { /* 0.2 s of silence at either end */
        const size_t n = (size_t)(rows[r].seconds * RATE);
        const synth_params params = {.contour = SYNTH_FLAT, .hz = rows[r].hz, .still = true, .seed = SEED};
        synth_voice(&params, n, sound, f0, NULL);
        const vx_cycles c = measure(sound, n);
        const bool all = isfinite(c.jitter) && isfinite(c.jitter_rap) && isfinite(c.shimmer) &&
                         isfinite(c.shimmer_apq) && isfinite(c.hnr_db);
        const bool none =
            isnan(c.jitter) && isnan(c.jitter_rap) && isnan(c.shimmer) && isnan(c.shimmer_apq) && isnan(c.hnr_db);
        if (!(rows[r].enough ? all && c.n_cycles >= 20 : none && c.n_cycles < 20))
            fail_msg("row %zu: %zu cycles, jitter %g", r, c.n_cycles, c.jitter);
    }
}

/* A pitch track that has nothing to do with the sound: marks stay inside it, numbers stay numbers. */
static void a_wrong_track_does_no_harm(void **state)
{
    (void)state;
    uint64_t random = SEED;
    enum { FRAMES = 300 };
    static float hz[FRAMES], voiced[FRAMES];
    guard g = guard_alloc((size_t)FRAMES * VX_PAVA_HOP * sizeof(float));
    float *samples = g.data;
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < (size_t)FRAMES * VX_PAVA_HOP; i++)
            samples[i] = (float)(synth_normal(&random) * (round % 4 == 0 ? 0 : round % 4 == 1 ? 1e15 : 0.1));
        const double level = 255 + 170 * synth_uniform(&random);
        for (size_t i = 0; i < FRAMES; i++)
            hz[i] = synth_uniform(&random) > -0.9 ? (float)(level + 20 * synth_uniform(&random)) : 0;
        const vx_pitch p = {.n_frames = FRAMES, .f0_hz = hz, .voiced = voiced};
        vx_cycles c = {0};
        assert_int_equal(vx_cycles_measure(samples, (size_t)FRAMES * VX_PAVA_HOP, &p, &c), VX_OK);
        if (c.n_cycles < 20 ? !isnan(c.jitter) : !(isfinite(c.jitter) && isfinite(c.shimmer) && isfinite(c.hnr_db)))
            fail_msg("round %d: %zu cycles, jitter %g", round, c.n_cycles, c.jitter);
    }
    guard_free(&g);
}

static vx_err measure_once(void *ctx)
{
    vx_cycles c;
    return vx_cycles_measure(sound, N, ctx, &c);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const synth_params params = {.contour = SYNTH_FLAT, .hz = 120, .seed = SEED};
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    synth_voice(&params, N, sound, f0, NULL);
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    vx_alloc_fail_each(measure_once, &p);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jitter_and_shimmer_are_those_of_the_pulses),
        cmocka_unit_test(noise_is_measured_against_harmonics),
        cmocka_unit_test(melody_is_no_perturbation),
        cmocka_unit_test(a_swell_is_no_perturbation),
        cmocka_unit_test(too_little_voice_is_no_measure),
        cmocka_unit_test(a_wrong_track_does_no_harm),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
