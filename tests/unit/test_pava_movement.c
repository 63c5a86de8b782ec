/* test_pava_movement.c - a head that moves in a room, and the one measure that can see it. What that measure is worth is
 * measured by tests/bench/bench_movement.c, and stands in edge/pava/movement.h.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/movement.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"

#define SEED 21u
#define RATE 16000

static const double PI = 3.14159265358979323846;

#define assert_near(value, wanted, within) assert_near_at(value, wanted, within, __LINE__)
static void assert_near_at(double value, double wanted, double within, int line)
{
    if (!(fabs(value - wanted) <= within))
        fail_msg("line %d: %g, not %g to within %g", line, value, wanted, within);
}

static double power_db(const float *a, const float *b, size_t n)
{
    double difference = 0, power = 1e-30;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        power += (double)b[i] * (double)b[i];
    }
    return 10 * log10(difference / power + 1e-30);
}

static float *copy_of(const vx_audio *audio)
{
    float *copy = malloc(audio->n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, audio->samples, audio->n * sizeof *copy);
    return copy;
}

/* ---- the truth ------------------------------------------------------------------------------------------------------- */

static void a_head_that_stands_still_is_the_room(void **state)
{
    (void)state;
    uint64_t random = SEED;
    const room_plan plan = room_draw(0.4, 0.6, &random);
    const room_motion still = {0}, slight = {0.01, 0.5, SEED};
    vx_audio audio = clip_audio("reader1_a.flac");
    float *moved = copy_of(&audio), *played = copy_of(&audio), *sways = copy_of(&audio);
    size_t m;
    float *response = room_response(&plan, &m);
    assert_non_null(response);
    assert_true(room_convolve(played, audio.n, response, m, played));
    assert_true(room_move(moved, audio.n, &plan, &still, moved));
    assert_true(room_move(sways, audio.n, &plan, &slight, sways));
    assert_true(power_db(moved, played, audio.n) < -60);
    assert_true(power_db(sways, played, audio.n) > -30);
    free(moved);
    free(played);
    free(sways);
    free(response);
    vx_audio_done(&audio);
}

/* A tone of 1 kHz from a head that sways by 2 cm at 1 Hz, in a room that swallows nearly all: the phase follows the
 * distance, and its largest speed is that of the Doppler shift, v / c. */
static void a_moving_head_shifts_frequencies(void **state)
{
    (void)state;
    const double hz = 1000, sway_m = 0.02;
    enum { N = 6 * RATE, STEP = 160 };
    const room_plan plan = {{20, 20, 10}, {10.5, 10, 5}, {10, 10, 5}, {0.05, 0.05, 0.05}, 0, SEED};
    const room_motion motion = {sway_m, 1, SEED};
    float *samples = malloc(N * sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < N; i++)
        samples[i] = (float)sin(2 * PI * hz * (double)i / RATE);
    assert_true(room_move(samples, N, &plan, &motion, samples));
    double last = 0, squares = 0, mean = 0, fastest = 0;
    size_t count = 0;
    for (size_t at = RATE; at + STEP < N; at += STEP, count++) {
        double re = 0, im = 0;
        for (size_t i = at; i < at + STEP; i++) {
            re += (double)samples[i] * cos(2 * PI * hz * (double)i / RATE);
            im -= (double)samples[i] * sin(2 * PI * hz * (double)i / RATE);
        }
        const double path_m = atan2(im, re) / (2 * PI) * 343 / hz; /* within half a wave, 17 cm */
        if (count > 0)
            fastest = fmax(fastest, fabs(path_m - last) * RATE / STEP);
        last = path_m;
        mean += path_m;
        squares += path_m * path_m;
    }
    mean /= (double)count;
    const double spread_m = sqrt(squares / (double)count - mean * mean);
    print_message("# path wanders by %.1f mm (rms), at most %.0f mm/s: a Doppler shift of %.1e\n", 1000 * spread_m,
                  1000 * fastest, fastest / 343);
    assert_in_range((int)(1000 * spread_m), 15, 30);
    assert_in_range((int)(1000 * fastest), 100, 400);
    free(samples);
}

/* ---- the measure ----------------------------------------------------------------------------------------------------- */

static vx_err measure(const float *samples, size_t n, vx_movement *ret, vx_errinfo *info)
{
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
    const vx_err err = vx_movement_measure(&spectrogram, ret, info);
    vx_spectrogram_done(&spectrogram);
    return err;
}

static void movement_raises_the_drift(void **state)
{
    (void)state;
    static const char *const clips[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac",
                                        "reader3_a.flac", "reader3_b.flac", "reader4_a.flac", "reader4_b.flac"};
    const double n_clips = sizeof clips / sizeof *clips;
    uint64_t random = SEED;
    print_message("# seed %u\n", SEED);
    double sum[2] = {0};
    for (size_t c = 0; c < sizeof clips / sizeof *clips; c++) {
        const room_plan plan = room_draw(0.2, 0.5, &random);
        const room_motion motion[2] = {{0}, {0.015, 0.5, stats_random(&random)}};
        for (int moves = 0; moves < 2; moves++) {
            vx_audio audio = clip_audio(clips[c]);
            vx_movement v;
            assert_true(room_move(audio.samples, audio.n, &plan, &motion[moves], audio.samples));
            assert_int_equal(measure(audio.samples, audio.n, &v, NULL), VX_OK);
            assert_true(isfinite(v.comb_drift) && v.n_pieces >= 3);
            sum[moves] += v.comb_drift;
            vx_audio_done(&audio);
        }
    }
    print_message("# comb drift, mean: still %.2f, moving %.2f\n", sum[0] / n_clips, sum[1] / n_clips);
    assert_true(sum[1] / n_clips > sum[0] / n_clips + 0.2);
}

/* Noise with one echo, whose delay changes every 0.4 s or does not; every frame counts as speech. */
static double drift_of_comb(double from_ms, double to_ms)
{
    enum { N = 8 * RATE };
    uint64_t random = SEED;
    float *dry = malloc(N * sizeof *dry), *samples = malloc(N * sizeof *samples);
    assert_true(dry != NULL && samples != NULL);
    for (size_t i = 0; i < N; i++) {
        dry[i] = (float)(stats_random(&random) >> 40) / (1 << 24) - 0.5F;
        const double ms = i / 6400 % 2 ? from_ms : to_ms;
        const size_t delay = (size_t)(ms * RATE / 1000);
        samples[i] = dry[i] + (i >= delay ? 0.7F * dry[i - delay] : 0);
    }
    vx_spectrogram spectrogram;
    vx_movement v;
    assert_int_equal(vx_spectrogram_compute(samples, N, &spectrogram), VX_OK);
    for (size_t i = 0; i < spectrogram.n_frames; i++)
        spectrogram.speech[i] = true;
    spectrogram.n_speech = spectrogram.n_frames;
    assert_int_equal(vx_movement_measure(&spectrogram, &v, NULL), VX_OK);
    assert_int_equal(v.n_pieces, 20);
    vx_spectrogram_done(&spectrogram);
    free(dry);
    free(samples);
    return v.comb_drift;
}

static void only_combs_of_2_to_4_ms_count(void **state)
{
    (void)state;
    const double still = drift_of_comb(3, 3), drifts = drift_of_comb(2.5, 3.5), finer = drift_of_comb(6, 9);
    print_message("# comb that stays %.2f, that moves %.2f, that moves elsewhere %.2f\n", still, drifts, finer);
    assert_near(still, 0.3, 0.3); /* neighbouring frames overlap by half: their means scatter a little more */
    assert_true(drifts > still + 2);
    assert_near(finer, still, 0.3);
}

static void level_does_not_matter(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_movement loud, soft;
    assert_int_equal(measure(audio.samples, audio.n, &loud, NULL), VX_OK);
    for (size_t i = 0; i < audio.n; i++)
        audio.samples[i] *= 0.25F;
    assert_int_equal(measure(audio.samples, audio.n, &soft, NULL), VX_OK);
    assert_near(loud.comb_drift, soft.comb_drift, 0.02);
    assert_int_equal(loud.n_pieces, soft.n_pieces);
    vx_audio_done(&audio);
}

static void too_little_speech(void **state)
{
    (void)state;
    static const double amplitudes[] = {0, 0.5};
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_movement v = {.comb_drift = -99};
    vx_errinfo info = {0};
    assert_int_equal(measure(audio.samples, RATE, &v, &info), VX_ERR_NOT_FOUND);
    assert_true(info.text[0] != 0);
    for (size_t c = 0; c < sizeof amplitudes / sizeof *amplitudes; c++) { /* silence, a tone */
        for (size_t i = 0; i < audio.n; i++)
            audio.samples[i] = (float)(amplitudes[c] * sin(0.3 * (double)i));
        assert_int_equal(measure(audio.samples, audio.n, &v, NULL), VX_ERR_NOT_FOUND);
    }
    assert_true(v.comb_drift == -99);
    vx_audio_done(&audio);
}

static vx_err attempt(void *spectrogram)
{
    vx_movement v;
    return vx_movement_measure(spectrogram, &v, NULL);
}

static void out_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_audio audio = clip_audio("reader1_a.flac");
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(audio.samples, audio.n, &spectrogram), VX_OK);
    vx_alloc_fail_each(attempt, &spectrogram);
    vx_spectrogram_done(&spectrogram);
    vx_audio_done(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_that_stands_still_is_the_room),
        cmocka_unit_test(a_moving_head_shifts_frequencies),
        cmocka_unit_test(movement_raises_the_drift),
        cmocka_unit_test(only_combs_of_2_to_4_ms_count),
        cmocka_unit_test(level_does_not_matter),
        cmocka_unit_test(too_little_speech),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
