/* test_pava_countermeasure.c - the countermeasure: its network against PyTorch, its rows against sums in double and against
 * sounds whose pulses are known, and what it says of recordings that nobody can judge. How well it tells attacks from
 * voices is not measured here: docs/pava.md.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/countermeasure.h"
#include "edge/pava/countermeasure_features.h"
#include "shared/audio/audio.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/guard.h"
#include "tests/support/npy.h"
#include "tests/support/stats.h"

enum { RATE = VX_AUDIO_RATE, FIRST_PULSES = VX_TRACE_BANDS, FIRST_TOGETHER = VX_TRACE_BANDS + VX_TRACE_PULSES };
#define SEED 11u

static const double PI = 3.14159265358979323846;

/* ---- sound and what is measured of it -------------------------------------------------------------------------------- */

typedef struct {
    vx_spectrogram spectrogram;
    vx_trace_stretch stretch;
    float *rows; /* [VX_TRACE_ROWS, stretch.n] */
} measured;

static measured measure(const float *samples, size_t n)
{
    measured m = {0};
    assert_int_equal(vx_spectrogram_compute(samples, n, &m.spectrogram), VX_OK);
    assert_int_equal(vx_trace_choose(&m.spectrogram, &m.stretch), VX_OK);
    m.rows = calloc(m.stretch.n, VX_TRACE_ROWS * sizeof *m.rows);
    assert_non_null(m.rows);
    assert_int_equal(vx_trace_measure(samples, n, &m.spectrogram, &m.stretch, m.rows, m.stretch.n), VX_OK);
    return m;
}

static void measured_done(measured *m)
{
    vx_spectrogram_done(&m->spectrogram);
    free(m->rows);
}

static vx_err run(const float *samples, size_t n, double ret_logits[VX_N_TRACES])
{
    vx_spectrogram spectrogram = {0};
    vx_err err = vx_spectrogram_compute(samples, n, &spectrogram);
    if (err == VX_OK)
        err = vx_countermeasure_run(samples, n, &spectrogram, ret_logits);
    vx_spectrogram_done(&spectrogram);
    return err;
}

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-52 - 1;
}

/* Second i of a sound with pauses: on for 0.7 s, then 0.3 s of nearly nothing, so that there is a floor to stand out of. */
static double gate(size_t i)
{
    return i % RATE < RATE * 7 / 10 ? 1 : 1e-4;
}

/* ---- the network ----------------------------------------------------------------------------------------------------- */

/* One short, one longer than VX_TRACE_FRAMES_MAX. The largest difference seen is 2e-4: features at half precision there. */
static void network_is_the_trained_one(void **state)
{
    (void)state;
    static const char *const clips[] = {"reader1_a.flac", "reader2_b.flac", "reader3_a.flac", "../golden/b.wav",
                                        "../golden/c.wav"};
    npy golden;
    assert_true(npy_load("tests/data/countermeasure/logits.npy", &golden));
    assert_int_equal(golden.n_values, VX_N_TRACES * sizeof clips / sizeof *clips);
    double worst = 0;
    for (size_t i = 0; i < sizeof clips / sizeof *clips; i++) {
        vx_audio audio = clip_audio(clips[i]);
        double logits[VX_N_TRACES];
        assert_int_equal(run(audio.samples, audio.n, logits), VX_OK);
        for (size_t k = 0; k < VX_N_TRACES; k++)
            worst = fmax(worst, fabs(logits[k] - (double)golden.data[i * VX_N_TRACES + k]));
        vx_audio_done(&audio);
    }
    if (!(worst <= 2e-3))
        fail_msg("off by %g", worst);
    npy_done(&golden);
}

/* Not lower: the spectrogram calls nothing speech that is below -80 dBFS. */
static void level_changes_nothing(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader1_b.flac");
    double usual[VX_N_TRACES], logits[VX_N_TRACES];
    assert_int_equal(run(audio.samples, audio.n, usual), VX_OK);
    for (int db = -20; db <= 10; db += 10) {
        vx_audio other = clip_audio("reader1_b.flac");
        for (size_t i = 0; i < other.n; i++)
            other.samples[i] *= (float)pow(10, db / 20.0);
        assert_int_equal(run(other.samples, other.n, logits), VX_OK);
        for (size_t k = 0; k < VX_N_TRACES; k++)
            if (!(fabs(logits[k] - usual[k]) < 1e-3))
                fail_msg("%+d dB: trace %zu at %g, not %g", db, k, logits[k], usual[k]);
        vx_audio_done(&other);
    }
    vx_audio_done(&audio);
}

/* ---- where it looks -------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *title;
    size_t n_frames, speech[4]; /* begin, end, begin, end */
    vx_err err;
    size_t first, n, n_speech;
} stretch_case;

static void looks_where_the_words_are(void **state)
{
    (void)state;
    static const stretch_case cases[] = {
        {"one frame short of enough", 300, {100, 149, 0, 0}, VX_ERR_RANGE, 0, 0, 0},
        {"just enough", 300, {100, 150, 0, 0}, VX_OK, 80, 100, 50},
        {"at both ends", 120, {0, 30, 90, 120}, VX_OK, 0, 120, 60},
        {"near both ends", 200, {15, 80, 120, 175}, VX_OK, 0, 200, 120},
        {"silence around", 1000, {300, 500, 0, 0}, VX_OK, 280, 250, 200},
        {"as long as may be", 2000, {100, 400, 450, 650}, VX_OK, 80, 600, 500},
        {"the fuller part of what is longer", 3000, {100, 300, 1500, 2000}, VX_OK, 1400, 600, 500},
        {"the first of equal parts", 3000, {100, 300, 2000, 2200}, VX_OK, 80, 600, 200},
        {"too thin everywhere", 5000, {100, 130, 4000, 4030}, VX_ERR_RANGE, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const stretch_case *c = &cases[i];
        bool *speech = calloc(c->n_frames, sizeof *speech);
        assert_non_null(speech);
        vx_spectrogram s = {.n_frames = c->n_frames, .speech = speech};
        for (int k = 0; k < 4; k += 2)
            for (size_t t = c->speech[k]; t < c->speech[k + 1]; t++, s.n_speech++)
                speech[t] = true;
        vx_trace_stretch stretch = {.first = 12345};
        const vx_err err = vx_trace_choose(&s, &stretch);
        if (err != c->err || (err == VX_OK && (stretch.first != c->first || stretch.n != c->n)) ||
            (err == VX_OK && stretch.n_speech != c->n_speech) || (err != VX_OK && stretch.first != 12345))
            fail_msg("%s: error %d, %zu frames from %zu, %zu of speech", c->title, (int)err, stretch.n, stretch.first,
                     stretch.n_speech);
        free(speech);
    }
}

/* ---- what it is shown ------------------------------------------------------------------------------------------------ */

/* Amplitude in one of the pulse bands at one step, by a sum in double; level: of speech. */
static double amplitude(const float *samples, size_t n, ptrdiff_t middle, int band, double level)
{
    double re = 0, im = 0, energy = 0;
    for (int i = 0; i < 64; i++) {
        const ptrdiff_t at = middle - 32 + i;
        const double w = pow(sin(PI * (i + 0.5) / 64), 2), x = at < 0 || (size_t)at >= n ? 0 : (double)samples[at];
        re += w * x * cos(2 * PI * (250 + 500 * band) * i / RATE);
        im += w * x * sin(2 * PI * (250 + 500 * band) * i / RATE);
        energy += w * w;
    }
    return sqrt((re * re + im * im) / energy / level + 1e-6);
}

/* Logarithm of mean over geometric mean of the power around a frame, and the correlation with the band below. */
static void pulses_of(const float *samples, size_t n, size_t frame, int band, double level, double *ret_pulses,
                      double *ret_together)
{
    double a[24], b[24], power = 0, logs = 0, mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < 24; i++) {
        const ptrdiff_t middle = (ptrdiff_t)(frame * 160 + 80) + (i - 12) * 16 + 8;
        a[i] = amplitude(samples, n, middle, band, level);
        b[i] = band > 0 ? amplitude(samples, n, middle, band - 1, level) : 0;
        power += a[i] * a[i] / 24;
        logs += 2 * log(a[i]) / 24;
        mean_a += a[i] / 24;
        mean_b += b[i] / 24;
    }
    for (int i = 0; i < 24; i++) {
        aa += (a[i] - mean_a) * (a[i] - mean_a);
        bb += (b[i] - mean_b) * (b[i] - mean_b);
        ab += (a[i] - mean_a) * (b[i] - mean_b);
    }
    *ret_pulses = log(power) - logs;
    *ret_together = ab / (sqrt(aa * bb) + 1e-6);
}

static void rows_are_what_they_say(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader2_a.flac");
    measured m = measure(audio.samples, audio.n);
    const vx_spectrogram *s = &m.spectrogram;
    double level = 0;
    for (size_t t = 0; t < m.stretch.n; t++)
        level +=
            s->speech[m.stretch.first + t] ? (double)s->level[m.stretch.first + t] / (double)m.stretch.n_speech : 0;
    for (size_t t = 0; t < m.stretch.n; t += t + 1 < m.stretch.n && t + 7 >= m.stretch.n ? m.stretch.n - 1 - t : 7) {
        const size_t frame = m.stretch.first + t;
        for (int band = 0; band < VX_TRACE_BANDS; band++) {
            double sum = 0;
            const int begin = band == 0 ? 3 : 4 * band + 1, end = 4 * band + 5;
            for (int k = begin; k < end; k++)
                sum += (double)s->power[frame * VX_PAVA_BINS + (size_t)k] / (end - begin);
            assert_true(fabs((double)m.rows[(size_t)band * m.stretch.n + t] - log(sum / level + 1e-6) / 2) < 1e-4);
        }
        for (int band = 0; band < VX_TRACE_PULSES; band++) {
            double pulses, together;
            pulses_of(audio.samples, audio.n, frame, band, level, &pulses, &together);
            const double is = (double)m.rows[(size_t)(FIRST_PULSES + band) * m.stretch.n + t];
            if (!(fabs(is - pulses) < 2e-3))
                fail_msg("frame %zu, band %d: pulses %g, not %g", frame, band, is, pulses);
            const double correlated =
                band > 0 ? (double)m.rows[(size_t)(FIRST_TOGETHER + band - 1) * m.stretch.n + t] : together;
            if (!(fabs(correlated - together) < 2e-3))
                fail_msg("frame %zu, band %d: together %g, not %g", frame, band, correlated, together);
        }
    }
    measured_done(&m);
    vx_audio_done(&audio);
}

/* Harmonics of 100 Hz up to 7 kHz, alike in power. */
typedef enum { PULSES, SCATTERED, NOISE } excitation;

static double mean_of_rows(const measured *m, size_t first, size_t end)
{
    double sum = 0;
    size_t count = 0;
    for (size_t row = first; row < end; row++)
        for (size_t t = 0; t < m->stretch.n; t++)
            if (m->spectrogram.speech[m->stretch.first + t]) {
                sum += (double)m->rows[row * m->stretch.n + t];
                count++;
            }
    return sum / (double)count;
}

/* The three have the same spectrum in 125 Hz bands, so this is what the bands cannot tell. */
static void pulses_are_told_from_scattered_phases(void **state)
{
    (void)state;
    enum { N = 3 * RATE, HARMONICS = 70 };
    static float samples[N];
    double pulses[3], together[3], phase[HARMONICS];
    for (int kind = PULSES; kind <= NOISE; kind++) {
        uint64_t seed = SEED;
        for (int h = 0; h < HARMONICS; h++)
            phase[h] = kind == SCATTERED ? PI * uniform(&seed) : 0;
        for (size_t i = 0; i < N; i++) {
            double sum = kind == NOISE ? 6 * uniform(&seed) : 0;
            for (int h = 1; h <= HARMONICS && kind != NOISE; h++)
                sum += cos(2 * PI * 100 * h * (double)i / RATE + phase[h - 1]);
            samples[i] = (float)(0.01 * gate(i) * sum);
        }
        measured m = measure(samples, N);
        pulses[kind] = mean_of_rows(&m, FIRST_PULSES, FIRST_PULSES + 13);
        together[kind] = mean_of_rows(&m, FIRST_TOGETHER, FIRST_TOGETHER + 12);
        measured_done(&m);
    }
    print_message("# pulses %.2f scattered %.2f noise %.2f; together %.2f %.2f %.2f\n", pulses[PULSES],
                  pulses[SCATTERED], pulses[NOISE], together[PULSES], together[SCATTERED], together[NOISE]);
    assert_true(pulses[PULSES] > 2 * pulses[SCATTERED] && pulses[PULSES] > 2 * pulses[NOISE]);
    assert_true(together[PULSES] > 0.9 && together[SCATTERED] < 0.6 && together[NOISE] < 0.6);
}

static void levelled_bands_have_no_mean(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader4_a.flac");
    measured m = measure(audio.samples, audio.n);
    const float pulses = m.rows[FIRST_PULSES * m.stretch.n];
    vx_trace_level_bands(&m.spectrogram, &m.stretch, m.rows, m.stretch.n);
    for (size_t band = 0; band < VX_TRACE_BANDS; band++)
        assert_true(fabs(mean_of_rows(&m, band, band + 1)) < 1e-5);
    assert_true(memcmp(&pulses, &m.rows[FIRST_PULSES * m.stretch.n], sizeof pulses) == 0);
    measured_done(&m);
    vx_audio_done(&audio);
}

/* ---- what nobody can judge ------------------------------------------------------------------------------------------- */

typedef enum { ZEROS, CONSTANT, TONE, HISS, BEEPS, CLICKS, SQUARE, N_SOUNDS } sound;
static const char *const SOUNDS[N_SOUNDS] = {"zeros", "a constant", "a tone", "hiss", "beeps", "clicks", "square"};

static float sample_of(sound what, size_t i, uint64_t *state)
{
    const double t = (double)i / RATE;
    switch (what) {
    case CONSTANT: return 0.5F;
    case TONE: return (float)(0.1 * sin(2 * PI * 1000 * t));
    case HISS: return 0.02F * (float)uniform(state);
    case BEEPS: return i % RATE < 10000 ? (float)sin(2 * PI * 440 * t) : 0;
    case CLICKS: return i % 4000 == 0 ? 0.9F : 0;
    case SQUARE: return gate(i) > 0.5 && i / 80 % 2 != 0 ? 1.0F : -1.0F;
    default: return 0;
    }
}

/* Every length at which it might begin to judge, and 60 s. Samples end where memory ends. */
static void anything_is_refused_or_judged_in_numbers(void **state)
{
    (void)state;
    static const double seconds[] = {0.025, 0.3, 0.5, 0.51, 1.0, 3.0, 60.0};
    print_message("# seed %u\n", SEED);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        const size_t n = (size_t)(seconds[i] * RATE);
        guard g = guard_alloc(n * sizeof(float));
        float *samples = g.data;
        for (int kind = 0; kind < N_SOUNDS; kind++) {
            uint64_t seed = SEED;
            for (size_t k = 0; k < n; k++)
                samples[k] = sample_of((sound)kind, k, &seed);
            double logits[VX_N_TRACES] = {7, 7, 7, 7};
            const vx_err err = run(samples, n, logits);
            if (err != VX_OK && err != VX_ERR_RANGE)
                fail_msg("%g s of %s: error %d", seconds[i], SOUNDS[kind], (int)err);
            for (size_t k = 0; k < VX_N_TRACES; k++)
                if (err == VX_OK ? !(fabs(logits[k]) < 100) : logits[k] < 7 || logits[k] > 7)
                    fail_msg("%g s of %s: error %d, logit %g", seconds[i], SOUNDS[kind], (int)err, logits[k]);
            if (kind <= HISS || seconds[i] < 0.5)
                assert_int_equal(err, VX_ERR_RANGE);
        }
        guard_free(&g);
    }
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    const vx_audio *audio;
    const vx_spectrogram *spectrogram;
} scene;

static vx_err attempt(void *ctx)
{
    const scene *s = ctx;
    double logits[VX_N_TRACES] = {7, 7, 7, 7};
    const vx_err err = vx_countermeasure_run(s->audio->samples, s->audio->n, s->spectrogram, logits);
    assert_true(err == VX_OK || (logits[0] >= 7 && logits[VX_N_TRACES - 1] >= 7));
    return err;
}

static void out_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_audio audio = clip_audio("reader1_c.flac");
    vx_spectrogram spectrogram;
    assert_int_equal(vx_spectrogram_compute(audio.samples, audio.n, &spectrogram), VX_OK);
    scene s = {&audio, &spectrogram};
    vx_alloc_fail_each(attempt, &s);
    vx_spectrogram_done(&spectrogram);
    vx_audio_done(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(network_is_the_trained_one),
        cmocka_unit_test(level_changes_nothing),
        cmocka_unit_test(looks_where_the_words_are),
        cmocka_unit_test(rows_are_what_they_say),
        cmocka_unit_test(pulses_are_told_from_scattered_phases),
        cmocka_unit_test(levelled_bands_have_no_mean),
        cmocka_unit_test(anything_is_refused_or_judged_in_numbers),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
