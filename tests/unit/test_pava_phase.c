/* test_pava_phase.c - vowels whose harmonics have phases of our choice.
 * Owns:   pulses, even and random phases, rooms around them. Does not: tell how people's phases are.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/phase.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 3 * RATE, BEGIN = RATE / 2, END = N - RATE / 2 /* of the voice */ };
#define SEED 2718u

static const double PI = 3.14159265358979323846, EVEN_MS = 2.309; /* 8 / sqrt(12) */

typedef enum { PULSES, ZERO, RANDOM, RESTLESS } phases;

typedef struct {
    const char *name;
    phases phases;
    double f0_hz, gain;
    double rt60_s; /* 0: no room */
} plan;

static float sound[N];

/* Gain and phase of the mouth at a frequency: three resonances, as in "ah". */
static double mouth(double hz, double *ret_phase)
{
    static const double AT[3] = {700, 1200, 2600}, WIDTH[3] = {80, 100, 150};
    double gain = 1;
    *ret_phase = 0;
    for (int i = 0; i < 3; i++) {
        const double re = AT[i] * AT[i] - hz * hz, im = WIDTH[i] * hz;
        gain *= AT[i] * AT[i] / hypot(re, im);
        *ret_phase -= atan2(im, re);
    }
    return gain;
}

/* Harmonics of one voice that hardly moves, over a floor of -80 dBFS. RESTLESS draws its phases anew every 10 ms. */
static void speak(const plan *p)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(1e-4 * synth_normal(&random));
    for (double h = 1; h * p->f0_hz < 7600; h++) {
        double of_mouth, at = 2 * PI * synth_uniform(&random), turn = 0, to = at;
        const double gain = 0.01 * mouth(h * p->f0_hz, &of_mouth);
        const double start = p->phases == PULSES ? of_mouth : p->phases == ZERO ? 0 : at;
        for (size_t i = BEGIN; i < END; i++) {
            if (p->phases == RESTLESS && i % 160 == 0)
                at = to, to += synth_uniform(&random) * PI / 3;
            const double drift = p->phases == RESTLESS ? at + (to - at) * (double)(i % 160) / 160 : start;
            turn += 2 * PI * h * p->f0_hz * (1 + 0.01 * sin(2 * PI * 3 * (double)i / RATE)) / RATE;
            sound[i] += (float)(gain * cos(turn + drift));
        }
    }
    if (p->rt60_s > 0) {
        size_t m = 0;
        const room_plan room = room_draw(p->rt60_s, 1.5, &random);
        float *response = room_response(&room, &m);
        assert_non_null(response);
        assert_true(room_convolve(sound, N, response, m, sound));
        free(response);
    }
    for (size_t i = 0; i < N; i++)
        sound[i] *= (float)p->gain;
}

static vx_err analyse(const float *samples, size_t n, vx_phase *ret, vx_errinfo *info)
{
    vx_spectrogram s;
    vx_pitch p;
    assert_int_equal(vx_spectrogram_compute(samples, n, &s), VX_OK);
    assert_int_equal(vx_pitch_track(samples, n, &s, &p), VX_OK);
    const vx_err err = vx_phase_measure(samples, n, &p, ret, info);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    return err;
}

static vx_phase measure(const plan *p)
{
    vx_phase m;
    speak(p);
    assert_int_equal(analyse(sound, N, &m, NULL), VX_OK);
    print_message("# %-10s %3.0f Hz: spread %.2f ms, change %.3f ms, skewness %.2f, crest %.1f dB, coherence %.2f\n",
                  p->name, p->f0_hz, m.delay_spread_ms, m.delay_change_ms, m.skewness, m.crest_db, m.coherence);
    return m;
}

/* Of a pulse a cycle everything is one event; of phases at random there is none, whatever the pitch. */
static void phases_are_told_apart(void **state)
{
    (void)state;
    static const double PITCHES[] = {90, 130, 220};
    for (size_t i = 0; i < sizeof PITCHES / sizeof *PITCHES; i++) {
        const vx_phase pulses = measure(&(plan){"pulses", PULSES, PITCHES[i], 1, 0});
        const vx_phase zero = measure(&(plan){"zero", ZERO, PITCHES[i], 1, 0});
        const vx_phase random = measure(&(plan){"random", RANDOM, PITCHES[i], 1, 0});
        const vx_phase restless = measure(&(plan){"restless", RESTLESS, PITCHES[i], 1, 0});
        assert_true(pulses.delay_spread_ms < 0.5 * EVEN_MS && pulses.delay_change_ms < 0.1);
        assert_true(pulses.skewness > 2.5 && pulses.crest_db > 13.5 && pulses.coherence > 0.9);
        /* What the mouth does to phases is missing, and prediction does the opposite: one event a cycle, less sharp. */
        assert_true(zero.coherence > 0.9 && zero.delay_spread_ms < 0.6 * EVEN_MS &&
                    zero.crest_db < pulses.crest_db - 2);
        /* Every cycle is like the next; and there is no event. */
        assert_true(random.coherence > 0.9 && fabs(random.delay_spread_ms - EVEN_MS) < 0.3 * EVEN_MS);
        assert_true(random.skewness < pulses.skewness / 4 && random.crest_db < pulses.crest_db - 4);
        assert_true(fabs(restless.delay_spread_ms - EVEN_MS) < 0.1 * EVEN_MS && restless.delay_change_ms > 0.2);
        assert_true(restless.coherence < random.coherence - 0.02 && restless.skewness < 0.1);
    }
}

static void rooms_smear(void **state)
{
    (void)state;
    const vx_phase dry = measure(&(plan){"dry", PULSES, 130, 1, 0});
    vx_phase before = dry;
    static const double RT60_S[] = {0.15, 0.6};
    for (size_t i = 0; i < sizeof RT60_S / sizeof *RT60_S; i++) {
        const vx_phase wet = measure(&(plan){"room", PULSES, 130, 1, RT60_S[i]});
        assert_true(wet.delay_spread_ms > before.delay_spread_ms && wet.crest_db < before.crest_db);
        assert_true(wet.coherence < before.coherence && wet.skewness < before.skewness);
        before = wet;
    }
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-3 * (1 + fabs(b))))
        fail_msg("%.6f, not %.6f", a, b);
}

/* Nor does the way the microphone is wired matter. */
static void gain_does_not_matter(void **state)
{
    (void)state;
    static const double GAINS[] = {1, -1, 0.3, 0.05};
    vx_audio clip = clip_audio("reader2_a.flac");
    vx_phase loud = {0}, m;
    float *scaled = calloc(clip.n, sizeof *scaled);
    assert_non_null(scaled);
    for (size_t g = 0; g < sizeof GAINS / sizeof *GAINS; g++) {
        for (size_t i = 0; i < clip.n; i++)
            scaled[i] = (float)GAINS[g] * clip.samples[i];
        assert_int_equal(analyse(scaled, clip.n, &m, NULL), VX_OK);
        loud = g == 0 ? m : loud;
        for (size_t k = 0; k < sizeof m / sizeof(double); k++)
            assert_near((&m.delay_spread_ms)[k], (&loud.delay_spread_ms)[k]);
    }
    free(scaled);
    vx_audio_done(&clip);
}

static void readers_have_events(void **state)
{
    (void)state;
    static const char *const CLIPS[] = {"reader1_a.flac", "reader2_b.flac", "reader3_a.flac", "reader4_a.flac",
                                        "reader1_a_8k_ulaw.wav"};
    for (size_t i = 0; i < sizeof CLIPS / sizeof *CLIPS; i++) {
        vx_audio clip = clip_audio(CLIPS[i]);
        vx_phase m;
        assert_int_equal(analyse(clip.samples, clip.n, &m, NULL), VX_OK);
        print_message("# %s: spread %.2f, change %.3f, skewness %.2f, crest %.1f, coherence %.2f\n", CLIPS[i],
                      m.delay_spread_ms, m.delay_change_ms, m.skewness, m.crest_db, m.coherence);
        assert_true(m.delay_spread_ms > 1 && m.delay_spread_ms < 2.4 && m.delay_change_ms > 0.05 && m.skewness >= 0);
        assert_true(m.crest_db > 8 && m.crest_db < 16 && m.coherence > 0 && m.coherence < 0.9);
        vx_audio_done(&clip);
    }
}

/* ---- what cannot be measured ------------------------------------------------------------------------------------- */

static double tone(size_t i, uint64_t *random)
{
    (void)random;
    return 0.5 * sin(2 * PI * 200 * (double)i / RATE);
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
static double square(size_t i, uint64_t *random)
{
    (void)random;
    return i % 128 < 64 ? 1 : -1;
}
static double faint(size_t i, uint64_t *random)
{
    (void)random;
    return i % 128 == 0 ? 1e-30 : 0;
}

/* Between them there is nothing at all. */
static double clicks(size_t i, uint64_t *random)
{
    (void)random;
    return i % 640 == 0 ? 0.5 : 0;
}

static void what_is_no_voice_has_no_phase(void **state)
{
    (void)state;
    static double (*const SOUNDS[])(size_t, uint64_t *) = {tone, direct, silence, noise, faint};
    static const size_t LENGTHS[] = {N, 4800, 400};
    uint64_t random = SEED;
    vx_errinfo info = {0};
    vx_phase m = {.crest_db = 77};
    for (size_t k = 0; k < sizeof SOUNDS / sizeof *SOUNDS; k++) {
        for (size_t i = 0; i < N; i++)
            sound[i] = i >= BEGIN && i < END ? (float)SOUNDS[k](i, &random) : 0;
        for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++)
            assert_int_equal(analyse(sound, LENGTHS[l], &m, &info), VX_ERR_NOT_FOUND);
    }
    assert_true(m.crest_db > 76);
    assert_non_null(strstr(info.text, "frames hold a voice"));
}

/* A pitch track that says voice everywhere, against any sound: numbers or an error. */
static void any_sound_is_survived(void **state)
{
    (void)state;
    static double (*const SOUNDS[])(size_t, uint64_t *) = {tone, direct, silence, noise, square, faint, clicks};
    static float f0[N / VX_PAVA_HOP], voiced[N / VX_PAVA_HOP];
    static const float PITCHES[] = {60, 75, 76, 128, 450, 16000};
    uint64_t random = SEED;
    for (size_t k = 0; k < sizeof SOUNDS / sizeof *SOUNDS; k++)
        for (size_t p = 0; p < sizeof PITCHES / sizeof *PITCHES; p++) {
            vx_phase m = {0};
            for (size_t i = 0; i < N; i++)
                sound[i] = (float)SOUNDS[k](i, &random);
            for (size_t i = 0; i < N / VX_PAVA_HOP; i++)
                f0[i] = PITCHES[p], voiced[i] = 1;
            const vx_pitch pitch = {N / VX_PAVA_HOP, f0, voiced, N / VX_PAVA_HOP};
            if (vx_phase_measure(sound, N, &pitch, &m, NULL) == VX_OK)
                for (size_t i = 0; i < sizeof m / sizeof(double); i++)
                    assert_true(isfinite((&m.delay_spread_ms)[i]));
        }
}

static vx_err measure_once(void *ctx)
{
    vx_phase m = {.crest_db = 77};
    const vx_err err = vx_phase_measure(sound, N, ctx, &m, NULL);
    assert_true(err == VX_OK || m.crest_db > 76);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    vx_spectrogram s;
    vx_pitch p;
    speak(&(plan){"pulses", PULSES, 130, 1, 0});
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    vx_alloc_fail_each(measure_once, &p);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
}

int main(void)
{
    print_message("# seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_are_told_apart),
        cmocka_unit_test(rooms_smear),
        cmocka_unit_test(gain_does_not_matter),
        cmocka_unit_test(readers_have_events),
        cmocka_unit_test(what_is_no_voice_has_no_phase),
        cmocka_unit_test(any_sound_is_survived),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
