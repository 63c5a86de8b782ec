/* test_pava_formants.c - formants of tubes whose resonances are known, of people, and of what is no voice.
 * Frame i of all tracks lies around samples 160 i to 160 i + 159, half a frame behind shape i of the tube.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/formants.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"
#include "tests/support/tube.h"

enum { RATE = 16000, MAX_FRAMES = 6000 };
#define SEED 3u

static const double WIDE[2] = {0, 8000}, TELEPHONE[2] = {300, 3400};

static const double TENTH[VX_FORMANTS] = {0.1, 0.1, 0.1, 0.1};

static float always[MAX_FRAMES];

static int make_always(void **state)
{
    (void)state;
    for (size_t i = 0; i < MAX_FRAMES; i++)
        always[i] = 1;
    return 0;
}

/* Every track keeps what the header says of it, whatever the sound was. */
static void check(const vx_formants *f)
{
    size_t n_tracked = 0;
    assert_true(f->n_sought == 3 || f->n_sought == 4);
    assert_true(f->margin >= 0 && f->margin <= 3);
    for (size_t t = 0; t < f->n_frames; t++) {
        float before = 0;
        for (int k = 0; k < VX_FORMANTS; k++) {
            const float hz = f->hz[t][k], bandwidth = f->bandwidth[t][k];
            assert_true(isfinite(hz) && isfinite(bandwidth));
            if (!(hz > 0)) {
                assert_true(fabsf(hz) + fabsf(bandwidth) <= 0);
                continue;
            }
            assert_true(k < f->n_sought && hz > before && hz > 150 && hz < 5000);
            assert_true(bandwidth > -1 && bandwidth < 700);
            before = hz;
        }
        n_tracked += f->hz[t][0] > 0 && f->hz[t][1] > 0 && f->hz[t][2] > 0;
    }
    assert_int_equal(n_tracked, f->n_tracked);
}

static vx_formants track(const float *samples, size_t n, const vx_pitch *pitch)
{
    vx_spectrogram spectrogram;
    vx_formants formants;
    assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
    assert_int_equal(spectrogram.n_frames, pitch->n_frames);
    assert_int_equal(vx_formants_track(&spectrogram, pitch, &formants), VX_OK);
    check(&formants);
    vx_spectrogram_done(&spectrogram);
    return formants;
}

static vx_formants track_tube(const tube_params *params, tube_voice *ret_voice)
{
    assert_true(tube_speak(params, ret_voice));
    const vx_pitch pitch = {ret_voice->n_frames, ret_voice->f0_hz, always, ret_voice->n_frames};
    return track(ret_voice->samples, ret_voice->n, &pitch);
}

typedef struct {
    double found, right; /* share of the frames; of these, the share that is `off` at most from the truth */
} hits;

/* off [in] of the natural logarithm */
static void compare(const vx_formants *f, const tube_voice *voice, const double off[VX_FORMANTS], hits ret[VX_FORMANTS])
{
    double n = 0;
    memset(ret, 0, VX_FORMANTS * sizeof *ret);
    for (size_t t = 2; t + 2 < f->n_frames; t++, n++) {
        const tube shape = tube_between(&voice->shapes[t], &voice->shapes[t + 1], 0.5);
        double hz[VX_FORMANTS];
        tube_resonances(&shape, VX_FORMANTS, hz);
        for (int k = 0; k < VX_FORMANTS; k++) {
            ret[k].found += f->hz[t][k] > 0;
            ret[k].right += f->hz[t][k] > 0 && fabs(log((double)f->hz[t][k] / hz[k])) < off[k];
        }
    }
    for (int k = 0; k < VX_FORMANTS; k++) {
        ret[k].right /= fmax(1, ret[k].found);
        ret[k].found /= n;
    }
}

/* One vowel: what linear prediction errs by is the harmonics' grid, half the pitch at most for F1, and for others,
 * which more harmonics outline, 5 %. An F1 between the first two harmonics is not to be had; and
 * nothing but [u], whose F2 is where other vowels have F1, is named as a shorter tract's, so it is only heard in turn with
 * others, below. */
static void vowels_have_their_formants(void **state)
{
    (void)state;
    static const double LENGTHS[] = {13.5, 15.5, 17.5}, PITCHES[] = {100, 200};
    static const tube_vowel VOWELS[] = {TUBE_UNIFORM, TUBE_A, TUBE_AE, TUBE_I, TUBE_E};
    for (size_t vowel = 0; vowel < sizeof VOWELS / sizeof *VOWELS; vowel++)
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 2; j++) {
                const tube_vowel one[] = {VOWELS[vowel]};
                const tube_params params = {one, 1, LENGTHS[i], PITCHES[j], {0, 8000}, 0.5, SEED};
                tube_voice voice;
                vx_formants f = track_tube(&params, &voice);
                double hz[VX_FORMANTS], off[VX_FORMANTS];
                hits h[VX_FORMANTS];
                tube_resonances(&voice.shapes[0], VX_FORMANTS, hz);
                for (int k = 0; k < VX_FORMANTS; k++)
                    off[k] = fmax(0.05, PITCHES[j] / 2 / hz[k]);
                compare(&f, &voice, off, h);
                assert_int_equal(f.n_sought, 4);
                for (int k = hz[0] < 1.6 * PITCHES[j] ? 1 : 0; k < VX_FORMANTS; k++)
                    if (!(h[k].right > 0.9 && h[k].found > 0.8))
                        fail_msg("vowel %zu of %.1f cm at %.0f Hz: F%d, %.0f Hz, found in %.2f, right in %.2f of those",
                                 vowel, LENGTHS[i], PITCHES[j], k + 1, hz[k], h[k].found, h[k].right);
                vx_formants_done(&f);
                tube_voice_done(&voice);
            }
}

static void formants_are_followed_between_vowels(void **state)
{
    (void)state;
    static const tube_vowel ALL[] = {TUBE_A, TUBE_I, TUBE_U, TUBE_AE, TUBE_E, TUBE_UNIFORM};
    for (double length = 12.5; length < 20; length += 2) {
        const tube_params params = {ALL, 6, length, 120, {0, 8000}, 2, SEED};
        tube_voice voice;
        hits h[VX_FORMANTS];
        vx_formants f = track_tube(&params, &voice);
        compare(&f, &voice, TENTH, h);
        for (int k = 1; k < VX_FORMANTS; k++)
            if (!(h[k].right > 0.9 && h[k].found > 0.8))
                fail_msg("%.1f cm: F%d found in %.2f, right in %.2f of those", length, k + 1, h[k].found, h[k].right);
        vx_formants_done(&f);
        tube_voice_done(&voice);
    }
}

static void a_telephone_has_three(void **state)
{
    (void)state;
    static const tube_vowel ALL[] = {TUBE_A, TUBE_I, TUBE_AE, TUBE_E, TUBE_UNIFORM};
    for (double length = 15; length < 18; length++) {
        const tube_params params = {ALL, 5, length, 120, {TELEPHONE[0], TELEPHONE[1]}, 2, SEED};
        tube_voice voice;
        hits h[VX_FORMANTS];
        vx_formants f = track_tube(&params, &voice);
        assert_int_equal(f.n_sought, 3);
        compare(&f, &voice, TENTH, h);
        for (int k = 1; k < 3; k++)
            if (!(h[k].right > 0.85 && h[k].found > 0.8))
                fail_msg("%.1f cm: F%d found in %.2f, right in %.2f of those", length, k + 1, h[k].found, h[k].right);
        vx_formants_done(&f);
        tube_voice_done(&voice);
    }
}

static vx_formants track_with_own_pitch(const float *samples, size_t n, size_t *ret_n_voiced)
{
    vx_spectrogram spectrogram;
    vx_pitch pitch;
    vx_formants formants;
    assert_int_equal(vx_spectrogram_compute(samples, n, &spectrogram), VX_OK);
    assert_int_equal(vx_pitch_track(samples, n, &spectrogram, &pitch), VX_OK);
    assert_int_equal(vx_formants_track(&spectrogram, &pitch, &formants), VX_OK);
    check(&formants);
    for (size_t t = 0; t < pitch.n_frames; t++)
        if (!(pitch.f0_hz[t] > 0))
            assert_true(fabsf(formants.hz[t][0]) + fabsf(formants.hz[t][3]) <= 0);
    *ret_n_voiced = pitch.n_voiced;
    vx_pitch_done(&pitch);
    vx_spectrogram_done(&spectrogram);
    return formants;
}

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Means over a recording that phonetics finds in adults (Hillenbrand et al., 1995, with room for read speech). */
static void readers_have_formants(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int n_sought;
    } clips[] = {{"reader1_a.flac", 4},        {"reader2_a.flac", 4}, {"reader3_a.flac", 4}, {"reader4_a.flac", 4},
                 {"reader1_a_8k_ulaw.wav", 3}, {"reader1_a.mp3", 4},  {"reader1_a.opus", 4}};
    static const float LOW[VX_FORMANTS] = {350, 1200, 2200, 3100}, HIGH[VX_FORMANTS] = {750, 2200, 3400, 4700};
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
        vx_audio audio = clip_audio(clips[i].name);
        size_t n_voiced;
        vx_formants f = track_with_own_pitch(audio.samples, audio.n, &n_voiced);
        assert_int_equal(f.n_sought, clips[i].n_sought);
        assert_true(f.n_tracked > 40 && f.n_tracked * 10 > n_voiced * 5);
        for (int k = 0; k < f.n_sought; k++) {
            float *hz = calloc(f.n_frames, sizeof *hz);
            size_t n = 0;
            assert_non_null(hz);
            for (size_t t = 0; t < f.n_frames; t++)
                if (f.hz[t][k] > 0)
                    hz[n++] = f.hz[t][k];
            qsort(hz, n, sizeof *hz, rising);
            if (!(hz[n / 2] > LOW[k] && hz[n / 2] < HIGH[k]))
                fail_msg("%s: F%d at %.0f Hz", clips[i].name, k + 1, (double)hz[n / 2]);
            free(hz);
        }
        vx_formants_done(&f);
        vx_audio_done(&audio);
    }
}

typedef enum { SILENCE, DC, TONE, NOISE, CLIPPED, LOUD, PULSE, N_SOUNDS } sound;

static void make_sound(sound kind, float *samples, size_t n)
{
    uint64_t random = SEED;
    for (size_t i = 0; i < n; i++) {
        const double noise = (double)(stats_random(&random) >> 11) * 0x1p-52 - 1, tone = sin(0.05 * (double)i);
        samples[i] = (float)(kind == DC        ? 0.5
                             : kind == TONE    ? 0.5 * tone
                             : kind == NOISE   ? 0.5 * noise
                             : kind == CLIPPED ? (tone > 0 ? 1 : -1)
                             : kind == LOUD    ? 1e15 * noise
                             : kind == PULSE   ? (i == n / 2)
                                               : 0);
    }
}

/* check() in track() is the test: nothing else can be said of formants where no voice is, though told that one is. */
static void what_is_no_voice(void **state)
{
    (void)state;
    static const size_t LENGTHS[] = {400, 1600, 4800, 960000};
    float *samples = calloc(LENGTHS[3], sizeof *samples), *f0 = calloc(MAX_FRAMES, sizeof *f0);
    assert_true(samples != NULL && f0 != NULL);
    for (size_t i = 0; i < 4; i++)
        for (int kind = 0; kind < (LENGTHS[i] > 100000 ? 1 : N_SOUNDS); kind++) {
            const size_t n_frames = LENGTHS[i] / VX_PAVA_HOP;
            make_sound((sound)kind, samples, LENGTHS[i]);
            for (size_t t = 0; t < n_frames; t++)
                f0[t] = t % 7 == 6 ? 0 : 120;
            const vx_pitch told = {n_frames, f0, always, n_frames - n_frames / 7};
            vx_formants f = track(samples, LENGTHS[i], &told);
            if (kind == SILENCE)
                assert_int_equal(f.n_tracked, 0);
            vx_formants_done(&f);
        }
    free(samples);
    free(f0);
}

static void without_voice_there_are_none(void **state)
{
    (void)state;
    float *samples = calloc(RATE, sizeof *samples);
    assert_non_null(samples);
    for (int kind = 0; kind < N_SOUNDS; kind++) {
        size_t n_voiced;
        make_sound((sound)kind, samples, kind == LOUD ? 0 : RATE);
        vx_formants f = track_with_own_pitch(samples, RATE, &n_voiced);
        if (n_voiced == 0)
            assert_true(f.n_tracked == 0 && f.n_frames == 100 && fabs(f.margin) <= 0);
        vx_formants_done(&f);
        vx_formants_done(&f);
    }
    free(samples);
}

/* A minute of voice, the longest there is. */
static void a_minute_is_taken(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader1_a.flac");
    const size_t n = 960000;
    float *samples = calloc(n, sizeof *samples);
    assert_non_null(samples);
    for (size_t i = 0; i < n; i++)
        samples[i] = audio.samples[i % audio.n];
    size_t n_voiced;
    vx_formants f = track_with_own_pitch(samples, n, &n_voiced);
    assert_int_equal(f.n_frames, 6000);
    assert_true(n_voiced > 1000 && f.n_tracked > 1000);
    vx_formants_done(&f);
    free(samples);
    vx_audio_done(&audio);
}

typedef struct {
    const vx_spectrogram *spectrogram;
    const vx_pitch *pitch;
} scene;

static vx_err track_once(void *ctx)
{
    const scene *s = ctx;
    vx_formants formants = {.n_sought = 77};
    const vx_err err = vx_formants_track(s->spectrogram, s->pitch, &formants);
    if (err == VX_OK)
        vx_formants_done(&formants);
    else
        assert_true(formants.n_sought == 77 && formants.hz == NULL);
    return err;
}

static void tracking_survives_failed_allocations(void **state)
{
    (void)state;
    static const tube_vowel one[] = {TUBE_A};
    const tube_params params = {one, 1, 16, 120, {WIDE[0], WIDE[1]}, 0.3, SEED};
    tube_voice voice;
    vx_spectrogram spectrogram;
    assert_true(tube_speak(&params, &voice));
    assert_int_equal(vx_spectrogram_compute(voice.samples, voice.n, &spectrogram), VX_OK);
    const vx_pitch pitch = {voice.n_frames, voice.f0_hz, always, voice.n_frames};
    scene s = {&spectrogram, &pitch};
    vx_alloc_fail_each(track_once, &s);
    vx_spectrogram_done(&spectrogram);
    tube_voice_done(&voice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vowels_have_their_formants), cmocka_unit_test(formants_are_followed_between_vowels),
        cmocka_unit_test(a_telephone_has_three),      cmocka_unit_test(readers_have_formants),
        cmocka_unit_test(what_is_no_voice),           cmocka_unit_test(without_voice_there_are_none),
        cmocka_unit_test(a_minute_is_taken),          cmocka_unit_test(tracking_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, make_always, NULL);
}
