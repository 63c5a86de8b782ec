/* test_pava_spectrogram.c - power spectra against their definition, levels, and which frames are speech.
 * Owns:   accuracy, scale, ends of the recording, the speech rule, refusals. The transform alone is test_fft.c's.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/spectrogram.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/guard.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 3 * RATE };
#define SEED 4711u

static const double PI = 3.14159265358979323846;

static float sound[N];

static void fill_noise(float *samples, size_t n, double deviation)
{
    uint64_t state = SEED;
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(deviation * synth_normal(&state));
}

static void fill_tone(float *samples, size_t n, double hz, double amplitude)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(amplitude * sin(2 * PI * hz * (double)i / RATE));
}

static vx_spectrogram compute(const float *samples, size_t n)
{
    vx_spectrogram s = {0};
    if (vx_spectrogram_compute(samples, n, &s) != VX_OK)
        fail_msg("%zu samples are refused", n);
    return s;
}

/* |X|^2 of one bin of one frame in double, over the window's energy; and the frame's 2-norm, which bounds the error. */
static double oracle(const float *samples, size_t n, size_t frame, int bin, double *ret_norm)
{
    double re = 0, im = 0, window_energy = 0, energy = 0;
    for (int i = 0; i < VX_PAVA_WINDOW; i++) {
        const double w = 0.5 - 0.5 * cos(2 * PI * (i + 0.5) / VX_PAVA_WINDOW);
        const long at = (long)frame * VX_PAVA_HOP + VX_PAVA_HOP / 2 - VX_PAVA_WINDOW / 2 + i;
        const double x = at >= 0 && at < (long)n ? w * (double)samples[at] : 0;
        re += x * cos(2 * PI * bin * i / VX_PAVA_FFT);
        im -= x * sin(2 * PI * bin * i / VX_PAVA_FFT);
        window_energy += w * w;
        energy += x * x;
    }
    *ret_norm = sqrt(energy * VX_PAVA_FFT / window_energy);
    return (re * re + im * im) / window_energy;
}

/* Every bin of frames within and at both ends. fft.h: the spectrum is off by 4 log2(n) eps of its norm at most, and the
 * window's rounding adds one eps; power is off by twice that times the amplitude, and its square. */
static void power_is_its_definition(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = {400, 401, 479, 480, 2559, 2560, 2600, 2720, 5000};
    for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
        const size_t n = LENGTHS[l];
        guard g = guard_alloc(n * sizeof(float));
        fill_noise(g.data, n, 0.3);
        vx_spectrogram s = compute(g.data, n);
        assert_int_equal(s.n_frames, n / VX_PAVA_HOP);
        for (size_t frame = 0; frame < s.n_frames; frame += frame < 3 || frame + 4 > s.n_frames ? 1 : 5)
            for (int bin = 0; bin < VX_PAVA_BINS; bin++) {
                double norm;
                const double should = oracle(g.data, n, frame, bin, &norm);
                const double d = (4 * 9 + 2) * (double)FLT_EPSILON * norm;
                const double is = (double)s.power[frame * VX_PAVA_BINS + (size_t)bin];
                if (!(fabs(is - should) <= 2 * d * sqrt(should) + d * d + 4 * (double)FLT_EPSILON * should))
                    fail_msg("n %zu, frame %zu, bin %d: %g for %g", n, frame, bin, is, should);
            }
        vx_spectrogram_done(&s);
        guard_free(&g);
    }
}

/* White noise of variance 1: 298 frames of some 90 independent values each scatter by less than 1 % in their mean. */
static void scale_is_that_of_the_signal(void **state)
{
    (void)state;
    print_message("# seed %u\n", SEED);
    fill_noise(sound, N, 1);
    vx_spectrogram s = compute(sound, N);
    double mean = 0, level = 0;
    for (size_t i = 1; i + 1 < s.n_frames; i++) {
        for (size_t k = 1; k + 1 < VX_PAVA_BINS; k++)
            mean += (double)s.power[i * VX_PAVA_BINS + k] / (double)(VX_PAVA_BINS - 2) / (double)(s.n_frames - 2);
        level += (double)s.level[i] / (double)(s.n_frames - 2);
    }
    assert_true(fabs(mean - 1) < 0.02);
    assert_true(fabs(level - (VX_PAVA_BINS - 3) / (double)(VX_PAVA_BINS - 1)) < 0.02);
    vx_spectrogram_done(&s);

    static const struct {
        double hz, dc, level;
    } tones[] = {{1000, 0, 0.125}, {440, 0.5, 0.125}, {0, 0.9, 0}, {30, 0, 0}, {7900, 0, 0.125}};
    for (size_t t = 0; t < sizeof tones / sizeof *tones; t++) {
        fill_tone(sound, N, tones[t].hz, 0.5);
        for (size_t i = 0; i < N; i++)
            sound[i] += (float)tones[t].dc;
        s = compute(sound, N);
        for (size_t i = 2; i + 2 < s.n_frames; i++)
            if (fabs((double)s.level[i] - tones[t].level) > 0.002)
                fail_msg("%g Hz, frame %zu: level %g", tones[t].hz, i, (double)s.level[i]);
        vx_spectrogram_done(&s);
    }
}

static void words_are_speech_and_their_pauses_are_not(void **state)
{
    (void)state;
    static const struct {
        bool noisy;
        double snr_db, wrong;
    } rows[] = {{false, 0, 0.08}, {true, 30, 0.08}, {true, 20, 0.08}, {true, 10, 0.15}};
    static float f0[N / SYNTH_HOP];
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        size_t wrong = 0, n = 0;
        for (uint64_t seed = 1; seed <= 4; seed++) {
            const synth_params params = {.contour = SYNTH_SPOKEN,
                                         .hz = 130,
                                         .jitter = 0.01,
                                         .shimmer = 0.03,
                                         .words = true,
                                         .still = true,
                                         .noisy = rows[r].noisy,
                                         .snr_db = rows[r].snr_db,
                                         .seed = SEED + seed};
            synth_voice(&params, N, sound, f0, NULL);
            vx_spectrogram s = compute(sound, N);
            for (size_t i = 0; i < s.n_frames; i++) {
                wrong += f0[i] > 0 && !s.speech[i];
                /* Behind every other word comes friction, which is speech. */
                wrong += f0[i] <= 0 && s.speech[i] && (i < 9 || f0[i - 9] <= 0);
            }
            n += s.n_frames;
            vx_spectrogram_done(&s);
        }
        print_message("# %s %g dB: %.1f %% of frames wrong\n", rows[r].noisy ? "noise at" : "clean", rows[r].snr_db,
                      100.0 * (double)wrong / (double)n);
        if ((double)wrong > rows[r].wrong * (double)n)
            fail_msg("%zu of %zu frames are wrong", wrong, n);
    }
}

/* Bursts of 0.25 s in digital silence, each so far below the loudest. */
static void what_is_far_below_the_loud_is_no_speech(void **state)
{
    (void)state;
    static const struct {
        double db;
        bool speech;
    } rows[] = {{0, true}, {-25, true}, {-32, true}, {-38, false}, {-50, false}};
    uint64_t random = SEED;
    memset(sound, 0, sizeof sound);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t i = 0; i < 4000; i++)
            sound[r * 8000 + i] = (float)(0.1 * pow(10, rows[r].db / 20) * synth_normal(&random));
    vx_spectrogram s = compute(sound, N);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t i = r * 50 + 2; i < r * 50 + 23; i++)
            if (s.speech[i] != rows[r].speech)
                fail_msg("%g dB is %sspeech", rows[r].db, s.speech[i] ? "" : "no ");
    vx_spectrogram_done(&s);
}

static void fill_silence(void)
{
    memset(sound, 0, sizeof sound);
}
static void fill_dc(void)
{
    for (size_t i = 0; i < N; i++)
        sound[i] = 0.7f;
}
static void fill_dither(void)
{
    uint64_t state = SEED;
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(synth_uniform(&state) > 0) / 32768;
}
static void fill_white(void)
{
    fill_noise(sound, N, 0.1);
}
static void fill_hum(void)
{
    fill_tone(sound, N, 150, 0.3);
}
static void fill_square(void)
{
    fill_tone(sound, N, 220, 1);
    for (size_t i = 0; i < N; i++)
        sound[i] = copysignf(1, sound[i]);
}

static void what_never_pauses_is_no_speech(void **state)
{
    (void)state;
    static void (*const fills[])(void) = {fill_silence, fill_dc, fill_dither, fill_white, fill_hum, fill_square};
    for (size_t f = 0; f < sizeof fills / sizeof *fills; f++)
        for (size_t n = 400; n <= N; n = n < 4800 ? 4800 : 10 * n) {
            fills[f]();
            vx_spectrogram s = compute(sound, n);
            if (s.n_speech > 2) /* the ends of the recording are steps, where it has an offset */
                fail_msg("sound %zu, %zu samples: %zu frames of speech", f, n, s.n_speech);
            assert_true(isfinite(s.floor_level) && s.floor_level >= 0 && s.peak_level >= s.floor_level);
            vx_spectrogram_done(&s);
        }
}

static void what_cannot_be_measured_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        float value;
        bool ok;
    } rows[] = {{0, 0, false},
                {399, 0, false},
                {400, 0, true},
                {4000, NAN, false},
                {4000, INFINITY, false},
                {4000, -1e30f, false},
                {4000, FLT_MIN / 4, true},
                {4000, 1e10f, true}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        fill_noise(sound, 4000, 0.1);
        if (rows[r].n > 1000)
            sound[777] = rows[r].value;
        vx_spectrogram s = {.n_frames = 12345};
        const vx_err err = vx_spectrogram_compute(sound, rows[r].n, &s);
        if (err != (rows[r].ok ? VX_OK : VX_ERR_RANGE))
            fail_msg("row %zu: %s", r, vx_err_code(err));
        if (rows[r].ok)
            vx_spectrogram_done(&s);
        else
            assert_true(s.n_frames == 12345 && s.power == NULL);
    }
}

static vx_err compute_once(void *ctx)
{
    (void)ctx;
    vx_spectrogram s = {0};
    vx_err err = vx_spectrogram_compute(sound, 4000, &s);
    vx_spectrogram_done(&s);
    return err;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    fill_white();
    vx_alloc_fail_each(compute_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_is_its_definition),
        cmocka_unit_test(scale_is_that_of_the_signal),
        cmocka_unit_test(words_are_speech_and_their_pauses_are_not),
        cmocka_unit_test(what_is_far_below_the_loud_is_no_speech),
        cmocka_unit_test(what_never_pauses_is_no_speech),
        cmocka_unit_test(what_cannot_be_measured_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
