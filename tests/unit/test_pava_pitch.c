/* test_pava_pitch.c - the pitch track against voices whose pitch is known, and against itself on people.
 * Owns:   gross and fine errors, voicing, what noise and a telephone take, sounds that are no voice. tests/bench/bench_pitch.c
 *         prints the whole table.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/pitch.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/pitch_score.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 3 * RATE, VOICES = 3 };
#define SEED 90210u

static const double PI = 3.14159265358979323846;

static float sound[60 * RATE];

static vx_pitch track(const float *samples, size_t n)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    if (vx_spectrogram_compute(samples, n, &s) != VX_OK || vx_pitch_track(samples, n, &s, &p) != VX_OK)
        fail_msg("%zu samples cannot be tracked", n);
    vx_spectrogram_done(&s);
    return p;
}

/* What holds of every track, whatever was recorded. */
static void check_shape(const vx_pitch *p, size_t n)
{
    size_t n_voiced = 0;
    assert_int_equal(p->n_frames, n / VX_PAVA_HOP);
    for (size_t i = 0; i < p->n_frames; i++) {
        const double hz = (double)p->f0_hz[i], voiced = (double)p->voiced[i];
        if (!(voiced >= 0 && voiced <= 1) || (hz > 0) != (voiced >= 0.5))
            fail_msg("frame %zu: %g Hz with probability %g", i, hz, voiced);
        if (hz != 0 && !(hz >= VX_PITCH_MIN_HZ * 0.9999 && hz <= VX_PITCH_MAX_HZ * 1.0001))
            fail_msg("frame %zu: %g Hz", i, hz);
        n_voiced += hz > 0;
    }
    assert_int_equal(p->n_voiced, n_voiced);
}

typedef struct {
    const char *name;
    synth_params voice;
    double gross, cents, wrong; /* at most: share of frames, median, share of frames */
} row;

/* Natural jitter alone spreads the pitch of a frame: 0.5 % are 9 cents. Bounds are the measured values and half again. */
#define PLAIN .jitter = 0.005, .shimmer = 0.02
#define TALK  .jitter = 0.01, .shimmer = 0.03, .words = true
#define NOISE .noisy = true, .snr_db = 10
static const row ROWS[] = {
    {"glide 70 to 400", {SYNTH_RISE, 70, 400, PLAIN}, 0.005, 10, 0.02},
    {"glide 400 to 70", {SYNTH_RISE, 400, 70, PLAIN}, 0.005, 13, 0.02},
    {"glide, noise", {SYNTH_RISE, 70, 400, PLAIN, NOISE}, 0.005, 12, 0.02},
    {"glide, telephone", {SYNTH_RISE, 70, 400, PLAIN, .telephone = true}, 0.005, 12, 0.02},
    {"vibrato", {SYNTH_VIBRATO, 200, 0, PLAIN}, 0.005, 13, 0.02},
    {"vibrato, noise", {SYNTH_VIBRATO, 200, 0, PLAIN, NOISE}, 0.005, 15, 0.02},
    {"lowest", {SYNTH_FLAT, 63, 0, PLAIN}, 0.005, 13, 0.04},
    {"highest", {SYNTH_FLAT, 430, 0, PLAIN}, 0.005, 13, 0.03},
    {"creak", {SYNTH_FLAT, 75, 0, .jitter = 0.05, .shimmer = 0.1}, 0.01, 80, 0.03},
    {"creak, telephone", {SYNTH_FLAT, 75, 0, .jitter = 0.05, .shimmer = 0.1, .telephone = true}, 0.02, 80, 0.04},
    {"man", {SYNTH_SPOKEN, 110, 0, TALK}, 0.005, 22, 0.05},
    {"man, noise", {SYNTH_SPOKEN, 110, 0, TALK, NOISE}, 0.005, 22, 0.06},
    {"man, telephone", {SYNTH_SPOKEN, 110, 0, TALK, .telephone = true}, 0.01, 25, 0.06},
    {"man, telephone, noise", {SYNTH_SPOKEN, 110, 0, TALK, NOISE, .telephone = true}, 0.005, 25, 0.08},
    {"woman", {SYNTH_SPOKEN, 210, 0, TALK}, 0.005, 19, 0.05},
    {"woman, noise", {SYNTH_SPOKEN, 210, 0, TALK, NOISE}, 0.005, 20, 0.06},
    {"woman, telephone", {SYNTH_SPOKEN, 210, 0, TALK, .telephone = true}, 0.005, 21, 0.05},
    {"woman, telephone, noise", {SYNTH_SPOKEN, 210, 0, TALK, NOISE, .telephone = true}, 0.005, 22, 0.13},
    {"high", {SYNTH_SPOKEN, 300, 0, TALK}, 0.005, 17, 0.06},
};

static void known_pitch_is_found(void **state)
{
    (void)state;
    static float f0[N / SYNTH_HOP];
    print_message("# seed %u\n", SEED);
    for (size_t r = 0; r < sizeof ROWS / sizeof *ROWS; r++) {
        pitch_score score = {0};
        for (uint64_t v = 0; v < VOICES; v++) {
            synth_params params = ROWS[r].voice;
            params.seed = SEED + v;
            synth_voice(&params, N, sound, f0, NULL);
            vx_pitch p = track(sound, N);
            check_shape(&p, N);
            pitch_score_add(&score, &p, f0);
            vx_pitch_done(&p);
        }
        const double gross = pitch_score_gross(&score), wrong = pitch_score_voice(&score);
        const double cents = pitch_score_cents(&score, 0.5);
        print_message("# %-24s gross %5.2f %%  fine %5.1f cents  voicing %5.2f %%\n", ROWS[r].name, 100 * gross, cents,
                      100 * wrong);
        if (gross > ROWS[r].gross || cents > ROWS[r].cents || wrong > ROWS[r].wrong)
            fail_msg("%s", ROWS[r].name);
        pitch_score_done(&score);
    }
}

/* A perfectly even voice leaves only the tracker's own error: a fifth of a sample of 8 kHz at 400 Hz are 17 cents. */
static void an_even_voice_is_found_finely(void **state)
{
    (void)state;
    static float f0[N / SYNTH_HOP];
    for (double hz = 65; hz < 440; hz *= 1.17) {
        const synth_params params = {.contour = SYNTH_FLAT, .hz = hz, .still = true, .seed = SEED};
        pitch_score score = {0};
        synth_voice(&params, N, sound, f0, NULL);
        vx_pitch p = track(sound, N);
        pitch_score_add(&score, &p, f0);
        if (score.gross > 0 || pitch_score_cents(&score, 0.5) > 3)
            fail_msg("%g Hz: %zu gross errors, %g cents", hz, score.gross, pitch_score_cents(&score, 0.5));
        vx_pitch_done(&p);
        pitch_score_done(&score);
    }
}

/* People, without a true track: what is heard clean must be heard again over a telephone and with noise. */
static void people_sound_the_same_over_a_telephone(void **state)
{
    (void)state;
    static const char *const CLIPS[] = {"reader1_a.flac", "reader2_a.flac", "reader3_a.flac", "reader4_a.flac"};
    for (size_t c = 0; c < sizeof CLIPS / sizeof *CLIPS; c++)
        for (int noisy = 0; noisy < 2; noisy++) {
            vx_audio audio = clip_audio(CLIPS[c]);
            vx_pitch clean = track(audio.samples, audio.n);
            uint64_t random = SEED;
            double power = 0;
            for (size_t i = 0; i < audio.n; i++)
                power += (double)(audio.samples[i] * audio.samples[i]) / (double)audio.n;
            for (size_t i = 0; i < audio.n && noisy; i++)
                audio.samples[i] += (float)(sqrt(power / 10) * synth_normal(&random));
            synth_telephone(audio.samples, audio.n);
            vx_pitch again = track(audio.samples, audio.n);
            pitch_score score = {0};
            pitch_score_add(&score, &again, clean.f0_hz);
            const double gross = pitch_score_gross(&score);
            print_message("# %s%s: voiced %.0f %%, gross %.2f %%, voicing %.1f %%\n", CLIPS[c], noisy ? ", noise" : "",
                          100.0 * (double)clean.n_voiced / (double)clean.n_frames, 100 * gross,
                          100 * pitch_score_voice(&score));
            if (gross > 0.04 || pitch_score_voice(&score) > (noisy ? 0.25 : 0.15) ||
                clean.n_voiced < clean.n_frames / 4)
                fail_msg("%s", CLIPS[c]);
            pitch_score_done(&score);
            vx_pitch_done(&clean);
            vx_pitch_done(&again);
            vx_audio_done(&audio);
        }
}

typedef struct {
    void (*fill)(float *samples, size_t n);
    const char *name;
    double voiced; /* share of frames at most */
} sound_row;

static void fill_zero(float *samples, size_t n)
{
    memset(samples, 0, n * sizeof *samples);
}
static void fill_dc(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = 1;
}
static void fill_white(float *samples, size_t n)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(0.1 * synth_normal(&random));
}
/* Noise in bursts: pauses that set a floor, then friction. */
static void fill_bursts(float *samples, size_t n)
{
    fill_white(samples, n);
    for (size_t i = 0; i < n; i++)
        samples[i] *= i / 4000 % 2 == 0 ? 0.01f : 1;
}
static void fill_dither(float *samples, size_t n)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(synth_uniform(&random) > 0) / 32768;
}
/* Hum of the mains, and noise of words over it 20 dB louder. */
static void fill_hum(float *samples, size_t n)
{
    fill_white(samples, n);
    for (size_t i = 0; i < n; i++)
        samples[i] =
            samples[i] * (i / 8000 % 2 == 0 ? 0.001f : 1) + 0.01f * (float)sin(2 * PI * 100 * (double)i / RATE);
}
/* The last bit, swinging. */
static void fill_last_bit(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(i / 64 % 2) / 32768;
}
static void fill_tone(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)sin(2 * PI * 1000 * (double)i / RATE);
}
static void fill_clipped(float *samples, size_t n)
{
    fill_white(samples, n);
    for (size_t i = 0; i < n; i++)
        samples[i] = copysignf(1, samples[i]);
}
static void fill_loud(float *samples, size_t n)
{
    fill_white(samples, n);
    for (size_t i = 0; i < n; i++)
        samples[i] *= 1e15f;
}
static void fill_tiny(float *samples, size_t n)
{
    fill_white(samples, n);
    for (size_t i = 0; i < n; i++)
        samples[i] *= 1e-38f;
}

static void what_is_no_voice_has_no_pitch(void **state)
{
    (void)state;
    static const sound_row rows[] = {
        {fill_zero, "silence", 0},       {fill_dc, "offset", 0},      {fill_white, "white noise", 0.01},
        {fill_bursts, "bursts", 0.01},   {fill_dither, "dither", 0},  {fill_last_bit, "the last bit", 0},
        {fill_hum, "hum", 0.02},         {fill_tone, "1 kHz", 1},     {fill_clipped, "clipped noise", 0.01},
        {fill_loud, "loud noise", 0.01}, {fill_tiny, "denormals", 0},
    };
    static const size_t lengths[] = {400, 4800, N, 60 * RATE};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            if (rows[r].fill == fill_hum && lengths[l] < N)
                continue; /* told from a voice by its pauses, so it must have some */
            rows[r].fill(sound, lengths[l]);
            vx_pitch p = track(sound, lengths[l]);
            check_shape(&p, lengths[l]);
            if ((double)p.n_voiced > rows[r].voiced * (double)p.n_frames)
                fail_msg("%s, %zu samples: %zu of %zu frames are voiced", rows[r].name, lengths[l], p.n_voiced,
                         p.n_frames);
            vx_pitch_done(&p);
        }
}

static vx_err track_once(void *ctx)
{
    vx_pitch p = {0};
    vx_err err = vx_pitch_track(sound, N, ctx, &p);
    vx_pitch_done(&p);
    return err;
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    fill_white(sound, N);
    vx_spectrogram s = {0};
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    vx_alloc_fail_each(track_once, &s);
    vx_spectrogram_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_pitch_is_found),
        cmocka_unit_test(an_even_voice_is_found_finely),
        cmocka_unit_test(people_sound_the_same_over_a_telephone),
        cmocka_unit_test(what_is_no_voice_has_no_pitch),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
