/* test_pava_reverb.c - rooms that are made, and decay times read from speech in them. How exact the reading is over many
 * speakers is measured by tests/bench/bench_reverb.c, not here.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/reverb.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"

#define SEED 11u
#define RATE 16000
enum { N_CLIPS = 8 };

static const double PI = 3.14159265358979323846;
static const char *const CLIPS[N_CLIPS] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac",
                                           "reader3_a.flac", "reader3_b.flac", "reader4_a.flac", "reader4_b.flac"};

#define assert_near(value, wanted, within) assert_near_at(value, wanted, within, __LINE__)
static void assert_near_at(double value, double wanted, double within, int line)
{
    if (!(fabs(value - wanted) <= within))
        fail_msg("line %d: %g, not %g to within %g", line, value, wanted, within);
}

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-53;
}

static float white(uint64_t *state)
{
    return (float)(2 * uniform(state) - 1);
}

static float *zeros(size_t n)
{
    float *samples = calloc(n, sizeof *samples);
    assert_non_null(samples);
    return samples;
}

static float *make_room(double rt60_s, double distance_m, uint64_t *state, size_t *ret_m)
{
    const room_plan plan = room_draw(rt60_s, distance_m, state);
    float *response = room_response(&plan, ret_m);
    assert_non_null(response);
    return response;
}

static vx_err measure(const float *samples, size_t n, vx_reverb *ret, vx_errinfo *info)
{
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
    const vx_err err = vx_reverb_measure(&spectrogram, ret, info);
    vx_spectrogram_done(&spectrogram);
    return err;
}

/* ---- the rooms ------------------------------------------------------------------------------------------------------- */

/* Noise whose level falls in a straight line has a decay time that nobody needs to measure. */
static void decay_times_of_known_decays(void **state)
{
    (void)state;
    uint64_t random = SEED;
    for (double rt60_s = 0.2; rt60_s < 1.2; rt60_s += 0.3) {
        const size_t m = (size_t)(rt60_s * RATE);
        float *response = zeros(m);
        for (size_t i = 0; i < m; i++)
            response[i] = white(&random) * (float)pow(10, -3 * (double)i / RATE / rt60_s);
        for (int band = ROOM_BASS; band <= ROOM_ALL; band++) {
            assert_near(room_rt60(response, m, band, -5, -35) / rt60_s, 1, band == ROOM_BASS ? 0.2 : 0.1);
            assert_near(room_rt60(response, m, band, -5, -25) / rt60_s, 1, band == ROOM_BASS ? 0.3 : 0.12);
        }
        free(response);
    }
    float flat[400] = {1};
    assert_true(isnan(room_rt60(flat, 400, ROOM_ALL, -5, -35)));
    assert_true(isnan(room_rt60(flat + 1, 399, ROOM_ALL, -5, -35)));
    assert_true(isnan(room_rt60(flat, 0, ROOM_ALL, -5, -35)));
}

static void rooms_decay_as_wanted(void **state)
{
    (void)state;
    uint64_t random = SEED;
    for (double rt60_s = 0.2; rt60_s < 1.05; rt60_s += 0.1)
        for (double distance_m = 0.3; distance_m < 3; distance_m *= 2) {
            const room_plan plan = room_draw(rt60_s, distance_m, &random);
            size_t m = 0;
            float *response = room_response(&plan, &m);
            assert_non_null(response);
            assert_in_range(m, 1, ROOM_MAX);
            assert_near(room_rt60(response, m, ROOM_MID, -5, -35) / rt60_s, 1, 0.1);
            assert_near(room_rt60(response, m, ROOM_TREBLE, -5, -35) / plan.rt60_s[ROOM_TREBLE], 1, 0.15);
            free(response);
        }
}

/* The direct sound comes first, after distance / c, as strong as 1 / distance; it drowns as one walks away. */
static void direct_sound(void **state)
{
    (void)state;
    double before = INFINITY;
    for (double distance_m = 0.25; distance_m < 3; distance_m *= 2) {
        uint64_t random = SEED;
        const room_plan plan = room_draw(0.3, distance_m, &random);
        size_t m = 0, first = 0;
        float *response = room_response(&plan, &m);
        assert_non_null(response);
        while (fabsf(response[first]) < 0.5F / (float)distance_m)
            first++;
        assert_near((double)first, distance_m / 343 * RATE, 1.5);
        const double ratio_db = room_direct_to_reverberant_db(response, m);
        assert_true(ratio_db < before);
        before = ratio_db;
        free(response);
    }
}

static void seeds_fix_rooms(void **state)
{
    (void)state;
    uint64_t random[3] = {SEED, SEED, SEED + 1};
    float *response[3];
    size_t m[3];
    for (int i = 0; i < 3; i++)
        response[i] = make_room(0.5, 1, &random[i], &m[i]);
    assert_int_equal(m[0], m[1]);
    assert_memory_equal(response[0], response[1], m[0] * sizeof(float));
    const size_t shorter = m[0] < m[2] ? m[0] : m[2];
    assert_memory_not_equal(response[0], response[2], shorter * sizeof(float));
    for (int i = 0; i < 3; i++)
        free(response[i]);
}

/* Against the sum that a convolution is, in place, for lengths on both sides of a block. */
static void convolution_is_a_sum(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 127, 512, 513, 5000};
    enum { N = 9000 };
    uint64_t random = SEED;
    float *samples = zeros(N), *wet = zeros(N), response[5000];
    for (size_t i = 0; i < N; i++)
        samples[i] = white(&random);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        const size_t m = lengths[k];
        double size = 0;
        for (size_t i = 0; i < m; i++) {
            response[i] = white(&random);
            size += fabs((double)response[i]);
        }
        memcpy(wet, samples, N * sizeof *wet);
        assert_true(room_convolve(wet, N, response, m, wet));
        for (size_t i = 0; i < N; i += 37) {
            double sum = 0;
            for (size_t j = 0; j < m && j <= i; j++)
                sum += (double)response[j] * (double)samples[i - j];
            assert_near((double)wet[i], sum, 1e-5 * size);
        }
    }
    assert_false(room_convolve(samples, N, response, 0, wet));
    assert_false(room_convolve(samples, N, response, 40000, wet));
    free(samples);
    free(wet);
}

/* ---- reading decay times --------------------------------------------------------------------------------------------- */

/* A recording in a room, silence behind it for the room to fade in. */
static float *speech_in(const char *name, const float *response, size_t m, size_t *ret_n)
{
    vx_audio audio = clip_audio(name);
    *ret_n = audio.n + RATE / 2;
    float *samples = zeros(*ret_n);
    memcpy(samples, audio.samples, audio.n * sizeof *samples);
    vx_audio_done(&audio);
    assert_true(response == NULL || room_convolve(samples, *ret_n, response, m, samples));
    return samples;
}

/* Four readers, rooms of image sources; and rooms that are nothing but noise that fades, which the map was not fitted on. */
static void decay_time_of_speech(void **state)
{
    (void)state;
    uint64_t random = SEED;
    print_message("# seed %u\n", SEED);
    for (int plain = 0; plain < 2; plain++)
        for (double rt60_s = 0.3; rt60_s < 1; rt60_s += 0.2) {
            double errors[N_CLIPS];
            for (int c = 0; c < N_CLIPS; c++) {
                size_t n, m;
                float *response = make_room(rt60_s, 1, &random, &m);
                for (size_t i = 0; i < m && plain; i++)
                    response[i] = white(&random) * (float)pow(10, -3 * (double)i / RATE / rt60_s);
                float *wet = speech_in(CLIPS[c], response, m, &n);
                vx_reverb v;
                assert_int_equal(measure(wet, n, &v, NULL), VX_OK);
                errors[c] = fabs(v.rt60_s - rt60_s) / rt60_s;
                assert_true(v.n_decays >= 5 && v.early_s > 0 && v.rt60_spread > 0 && v.late_early > 0);
                assert_in_range((int)(1000 * v.double_slope), 0, 1000);
                assert_true(v.fall_db_s[0] < v.fall_db_s[1] && v.fall_db_s[1] < v.fall_db_s[2]);
                free(response);
                free(wet);
            }
            stats_sort(errors, N_CLIPS);
            print_message("# %s, RT60 %.1f s: median error %.0f %%, largest %.0f %%\n", plain ? "fading noise" : "room",
                          rt60_s, 100 * stats_quantile(errors, N_CLIPS, 0.5), 100 * errors[N_CLIPS - 1]);
            assert_true(stats_quantile(errors, N_CLIPS, 0.5) < (plain ? 0.3 : 0.2));
        }
}

static void level_does_not_matter(void **state)
{
    (void)state;
    uint64_t random = SEED;
    size_t n, m;
    float *response = make_room(0.5, 1, &random, &m), *wet = speech_in(CLIPS[0], response, m, &n);
    vx_reverb loud, soft;
    assert_int_equal(measure(wet, n, &loud, NULL), VX_OK);
    for (size_t i = 0; i < n; i++)
        wet[i] *= 0.05F;
    assert_int_equal(measure(wet, n, &soft, NULL), VX_OK);
    assert_near(loud.rt60_s, soft.rt60_s, 0.01);
    assert_near(loud.late_early, soft.late_early, 0.01);
    free(response);
    free(wet);
}

/* Bursts of noise that fall at one speed, and from 12 dB on at another. */
static void slopes_of_known_decays(void **state)
{
    (void)state;
    static const struct {
        double first_db_s, then_db_s, late_early, gain_from, gain_to, early_s;
    } cases[] = {{100, 100, 1, 0, 0.2, 0.30},
                 {300, 75, 0.25, 0.3, 1, 0.24},
                 {200, 50, 0.25, 0.3, 1, 0.27},
                 {70, 210, 3, 0.2, 1, 0.22}};
    uint64_t random = SEED;
    const size_t n = 8 * RATE;
    float *samples = zeros(n);
    double gains[sizeof cases / sizeof *cases];
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (size_t i = 0; i < n; i++) {
            const double since = fmod((double)i / RATE, 0.8) - 0.3, knee = 12 / cases[c].first_db_s;
            const double fall = since < 0      ? 0
                                : since < knee ? since * cases[c].first_db_s
                                               : 12 + (since - knee) * cases[c].then_db_s;
            samples[i] = 0.3F * white(&random) * (float)pow(10, -fmin(fall, 45) / 20);
        }
        vx_reverb v;
        vx_spectrogram spectrogram;
        assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
        assert_int_equal(vx_reverb_measure(&spectrogram, &v, NULL), VX_OK);
        vx_spectrogram_done(&spectrogram);
        print_message(
            "# %3.0f then %3.0f dB/s: late_early %.2f, double_slope %.2f, early %.2f s, falls %.0f %.0f %.0f dB/s\n",
            cases[c].first_db_s, cases[c].then_db_s, v.late_early, v.double_slope, v.early_s, v.fall_db_s[0],
            v.fall_db_s[1], v.fall_db_s[2]);
        assert_near(log(v.late_early), log(cases[c].late_early), 0.5);
        gains[c] = v.double_slope;
        assert_near(v.early_s, cases[c].early_s, 0.03);
        assert_true(v.double_slope >= cases[c].gain_from && v.double_slope <= cases[c].gain_to);
    }
    assert_true(gains[1] > gains[0] && gains[2] > gains[0]);
    free(samples);
}

/* Behind a second room speech rarely falls fast at once: the mean over the readers shows it, one recording does not. */
static void a_room_in_a_room(void **state)
{
    (void)state;
    double sum[2] = {0};
    for (int two = 0; two < 2; two++) {
        uint64_t random = SEED;
        for (int c = 0; c < N_CLIPS; c++) {
            size_t n, m[2];
            float *here = make_room(0.4, 0.6, &random, &m[0]), *there = make_room(0.4, 0.6, &random, &m[1]);
            float *wet = speech_in(CLIPS[c], here, m[0], &n);
            assert_true(!two || room_convolve(wet, n, there, m[1], wet));
            vx_reverb v;
            assert_int_equal(measure(wet, n, &v, NULL), VX_OK);
            sum[two] += v.early_s / N_CLIPS;
            free(here);
            free(there);
            free(wet);
        }
    }
    print_message("# early decay: one room %.3f s, two rooms %.3f s\n", sum[0], sum[1]);
    assert_true(sum[1] > 1.05 * sum[0]);
}

/* ---- what is no room ------------------------------------------------------------------------------------------------- */

typedef float make_sample(size_t i, uint64_t *random);
static float silence(size_t i, uint64_t *random)
{
    (void)i, (void)random;
    return 0;
}
static float constant(size_t i, uint64_t *random)
{
    (void)i, (void)random;
    return 0.5F;
}
static float noise(size_t i, uint64_t *random)
{
    (void)i;
    return 0.1F * white(random);
}
static float overdriven(size_t i, uint64_t *random)
{
    (void)i;
    return white(random) > 0 ? 1 : -1;
}
static float tone(size_t i, uint64_t *random)
{
    (void)random;
    return 0.5F * (float)sin(2 * PI * 1000 * (double)i / RATE);
}
static float gated_tone(size_t i, uint64_t *random)
{
    return i / 4000 % 2 ? tone(i, random) : 0;
}
static float gated_noise(size_t i, uint64_t *random)
{
    return i / 4000 % 2 ? noise(i, random) : 0;
}
static float clicks(size_t i, uint64_t *random)
{
    (void)random;
    return i % 3000 == 0 ? 1 : 0;
}
static float one_click(size_t i, uint64_t *random)
{
    (void)random;
    return i == 8000 ? 1 : 0;
}

static void what_is_no_room_is_not_found(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        make_sample *make;
        double seconds;
    } cases[] = {{"silence", silence, 3},
                 {"a constant", constant, 3},
                 {"noise", noise, 3},
                 {"overdriven", overdriven, 3},
                 {"a tone", tone, 3},
                 {"a gated tone", gated_tone, 3},
                 {"gated noise", gated_noise, 3},
                 {"clicks", clicks, 3},
                 {"one click", one_click, 3},
                 {"0.3 s of noise", noise, 0.3},
                 {"60 s of silence", silence, 60},
                 {"one window", noise, 0.025}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const size_t n = (size_t)(cases[c].seconds * RATE);
        uint64_t random = SEED;
        float *samples = zeros(n);
        for (size_t i = 0; i < n; i++)
            samples[i] = cases[c].make(i, &random);
        vx_reverb v = {.rt60_s = -1};
        vx_errinfo info = {0};
        const vx_err err = measure(samples, n, &v, &info);
        print_message("# %s: %s\n", cases[c].name, err == VX_OK ? "found" : info.text);
        if (err == VX_OK)
            print_message("#   %.3f s from %zu decays\n", v.rt60_s, v.n_decays);
        assert_int_equal(err, VX_ERR_NOT_FOUND);
        assert_true(info.code == VX_ERR_NOT_FOUND && info.text[0] != 0 && v.rt60_s == -1);
        free(samples);
    }
}

/* Words drowned in noise, and less of them than a room needs to show. */
static void too_few_decays(void **state)
{
    (void)state;
    uint64_t random = SEED;
    size_t n;
    float *samples = speech_in(CLIPS[0], NULL, 0, &n);
    vx_reverb v = {.rt60_s = -1};
    vx_errinfo info = {0};
    assert_int_equal(measure(samples + RATE, (size_t)(0.3 * RATE), &v, &info), VX_ERR_NOT_FOUND);
    for (size_t i = 0; i < n; i++)
        samples[i] += 0.5F * white(&random);
    memset(&info, 0, sizeof info);
    assert_int_equal(measure(samples, n, &v, &info), VX_ERR_NOT_FOUND);
    assert_true(v.rt60_s == -1 && info.text[0] != 0);
    free(samples);
}

/* Joined to a minute: no crash, and the answer of its parts. */
static void a_minute(void **state)
{
    (void)state;
    uint64_t random = SEED;
    const size_t n = 60 * RATE;
    float *samples = zeros(n);
    size_t at = 0, m, part_n;
    float *response = make_room(0.6, 1, &random, &m);
    for (int c = 0; at < n; c = (c + 1) % N_CLIPS) {
        float *part = speech_in(CLIPS[c], response, m, &part_n);
        for (size_t i = 0; i < part_n && at < n; i++)
            samples[at++] = part[i];
        free(part);
    }
    vx_reverb v;
    assert_int_equal(measure(samples, n, &v, NULL), VX_OK);
    assert_near(v.rt60_s / 0.6, 1, 0.2);
    free(response);
    free(samples);
}

/* One fade shows in every band and is still one: 0.17 s hold too few pieces to speak of their distribution. */
static void one_short_fade(void **state)
{
    (void)state;
    enum { N = 17 * VX_PAVA_HOP };
    uint64_t random = SEED;
    float samples[N];
    for (size_t i = 0; i < N; i++)
        samples[i] = white(&random) * (float)pow(10, -300.0 / 20 * (double)i / RATE);
    vx_reverb v;
    vx_errinfo info = {0};
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(samples, N, &spectrogram), VX_OK);
    assert_true(spectrogram.n_speech > 0);
    assert_int_equal(vx_reverb_measure(&spectrogram, &v, &info), VX_ERR_NOT_FOUND);
    print_message("# %s\n", info.text);
    vx_spectrogram_done(&spectrogram);
}

static vx_err attempt(void *spectrogram)
{
    vx_reverb v;
    return vx_reverb_measure(spectrogram, &v, NULL);
}

static void out_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    uint64_t random = SEED;
    size_t n, m;
    float *response = make_room(0.4, 1, &random, &m), *wet = speech_in(CLIPS[0], response, m, &n);
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(wet, n, &spectrogram), VX_OK);
    vx_alloc_fail_each(attempt, &spectrogram);
    vx_spectrogram_done(&spectrogram);
    free(response);
    free(wet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decay_times_of_known_decays),
        cmocka_unit_test(rooms_decay_as_wanted),
        cmocka_unit_test(direct_sound),
        cmocka_unit_test(seeds_fix_rooms),
        cmocka_unit_test(convolution_is_a_sum),
        cmocka_unit_test(decay_time_of_speech),
        cmocka_unit_test(level_does_not_matter),
        cmocka_unit_test(slopes_of_known_decays),
        cmocka_unit_test(a_room_in_a_room),
        cmocka_unit_test(what_is_no_room_is_not_found),
        cmocka_unit_test(too_few_decays),
        cmocka_unit_test(a_minute),
        cmocka_unit_test(one_short_fade),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
