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

enum { RATE = VX_AUDIO_RATE };
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

static double row_at(const measured *m, int row, size_t t)
{
    return (double)m->rows[(size_t)row * m->stretch.n + t];
}

static void agree(const char *what, size_t t, int band, double is, double expected, double within)
{
    if (!(fabs(is - expected) <= within))
        fail_msg("%s of band %d at frame %zu: %g, not %g", what, band, t, is, expected);
}

/* Sums in double, as the header says it. */
static double amplitude(const float *samples, size_t n, double offset, ptrdiff_t middle, int band, double level)
{
    double re = 0, im = 0, energy = 0;
    for (int i = 0; i < 32; i++) {
        const ptrdiff_t at = middle - 16 + i;
        const double w = pow(sin(PI * (i + 0.5) / 32), 2),
                     x = at < 0 || (size_t)at >= n ? 0 : (double)samples[at] - offset;
        re += w * x * cos(2 * PI * 500 * (band + 1) * i / RATE);
        im += w * x * sin(2 * PI * 500 * (band + 1) * i / RATE);
        energy += w * w;
    }
    return sqrt((re * re + im * im) / energy / level + 1e-7);
}

static double mean_of(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] / n;
    return sum;
}

static double moment(const double *x, int n, int power)
{
    const double mean = mean_of(x, n);
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += pow(x[i] - mean, power) / n;
    return sum;
}

static double skewness_of(const double *x, int n)
{
    return moment(x, n, 3) / (pow(moment(x, n, 2), 1.5) + pow(1e-7, 1.5));
}

static void check_envelopes(const measured *m, size_t t, double steps[VX_TRACE_ENVELOPES][24])
{
    for (int band = 0; band < VX_TRACE_ENVELOPES; band++) {
        const double *a = steps[band];
        double slope[23], power = 0, logs = 0;
        for (int i = 0; i < 24; i++) {
            power += a[i] * a[i] / 24;
            logs += 2 * log(a[i]) / 24;
            if (i > 0)
                slope[i - 1] = a[i] - a[i - 1];
        }
        agree("pulses", t, band, row_at(m, VX_TRACE_PULSES + band, t), log(power) - logs, 2e-3);
        agree("peaks", t, band, row_at(m, VX_TRACE_PEAKS + band, t), skewness_of(a, 24), 2e-2);
        agree("attacks", t, band, row_at(m, VX_TRACE_ATTACKS + band, t), skewness_of(slope, 23), 2e-2);
        if (band + 1 == VX_TRACE_ENVELOPES)
            continue;
        const double *b = steps[band + 1], mean_a = mean_of(a, 24), mean_b = mean_of(b, 24);
        double together = 0, lead = 0;
        for (int i = 0; i < 24; i++) {
            together += (a[i] - mean_a) * (b[i] - mean_b) / 24;
            if (i > 0 && i < 23)
                lead += (a[i] - mean_a) * (b[i + 1] - b[i - 1]) / 24;
        }
        const double both = sqrt(moment(a, 24, 2) * moment(b, 24, 2)) + 1e-7;
        agree("together", t, band, row_at(m, VX_TRACE_TOGETHER + band, t), together / both, 5e-3);
        agree("lead", t, band, row_at(m, VX_TRACE_LEAD + band, t), lead / both, 5e-3);
    }
}

static void check_spectrum(const measured *m, size_t t, double level)
{
    const float *power = m->spectrogram.power + (m->stretch.first + t) * VX_PAVA_BINS;
    for (int band = 0; band < VX_TRACE_BANDS; band++) {
        const int begin = band == 0 ? 3 : 4 * band + 1, end = 4 * band + 5;
        double sum = 0;
        for (int k = begin; k < end; k++)
            sum += (double)power[k] / (end - begin);
        agree("power", t, band, row_at(m, VX_TRACE_POWER + band, t), log(sum / level + 1e-7) / 2, 1e-4);
    }
    for (int band = 0; band < VX_TRACE_ENVELOPES; band++) {
        const int begin = band == 0 ? 3 : 16 * band + 1, end = 16 * band + 17;
        double sum = 0, logs = 0;
        for (int k = begin; k < end; k++) {
            sum += ((double)power[k] / level + 1e-7) / (end - begin);
            logs += log((double)power[k] / level + 1e-7) / (end - begin);
        }
        agree("comb", t, band, row_at(m, VX_TRACE_COMB + band, t), log(sum) - logs, 1e-3);
    }
}

/* 400 samples around the frame's middle, and what each differs from 0.95 of the one before. */
static void check_skew(const measured *m, size_t t, const float *samples, size_t n)
{
    const ptrdiff_t middle = (ptrdiff_t)((m->stretch.first + t) * 160 + 80);
    double plain[400], steps[400];
    int count = 0;
    for (ptrdiff_t i = middle > 200 ? middle - 200 : 1; i < middle + 200 && i < (ptrdiff_t)n; i++, count++) {
        plain[count] = (double)samples[i];
        steps[count] = (double)samples[i] - 0.95 * (double)samples[i - 1];
    }
    agree("skew", t, 0, row_at(m, VX_TRACE_SKEW, t), fabs(moment(plain, count, 3) / pow(moment(plain, count, 2), 1.5)),
          1e-3);
    agree("skew", t, 1, row_at(m, VX_TRACE_SKEW + 1, t),
          fabs(moment(steps, count, 3) / pow(moment(steps, count, 2), 1.5)), 1e-3);
}

/* Every seventh frame, and the last: its window reaches beyond the recording. */
static void rows_are_what_they_say(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader2_a.flac");
    measured m = measure(audio.samples, audio.n);
    const vx_spectrogram *s = &m.spectrogram;
    double level = 0, offset = 0;
    for (size_t t = m.stretch.first; t < m.stretch.first + m.stretch.n; t++)
        level += s->speech[t] ? (double)s->level[t] / (double)m.stretch.n_speech : 0;
    for (size_t i = 0; i < audio.n; i++)
        offset += (double)audio.samples[i] / (double)audio.n;
    for (size_t i = 0; i <= m.stretch.n; i += 7) {
        const size_t t = i + 7 > m.stretch.n ? m.stretch.n - 1 : i;
        const ptrdiff_t middle = (ptrdiff_t)((m.stretch.first + t) * 160 + 80);
        double steps[VX_TRACE_ENVELOPES][24];
        for (int band = 0; band < VX_TRACE_ENVELOPES; band++)
            for (int k = 0; k < 24; k++)
                steps[band][k] = amplitude(audio.samples, audio.n, offset, middle + (k - 12) * 16 + 8, band, level);
        check_spectrum(&m, t, level);
        check_envelopes(&m, t, steps);
        check_skew(&m, t, audio.samples, audio.n);
    }
    measured_done(&m);
    vx_audio_done(&audio);
}

/* ---- what the rows are for ------------------------------------------------------------------------------------------- */

static double mean_of_rows(const measured *m, int first, int end)
{
    double sum = 0;
    size_t count = 0;
    for (int row = first; row < end; row++)
        for (size_t t = 0; t < m->stretch.n; t++)
            if (m->spectrogram.speech[m->stretch.first + t]) {
                sum += row_at(m, row, t);
                count++;
            }
    return sum / (double)count;
}

typedef enum { PULSES, SCATTERED, NOISE, N_EXCITATIONS } excitation;

/* Harmonics of 100 Hz up to 7 kHz, alike in power, in step or with any phase; or noise. */
static void excite(excitation kind, float *samples, size_t n)
{
    enum { HARMONICS = 70 };
    double phase[HARMONICS];
    uint64_t seed = SEED;
    for (int h = 0; h < HARMONICS; h++)
        phase[h] = kind == SCATTERED ? PI * uniform(&seed) : 0;
    for (size_t i = 0; i < n; i++) {
        double sum = kind == NOISE ? 6 * uniform(&seed) : 0;
        for (int h = 1; h <= HARMONICS && kind != NOISE; h++)
            sum += cos(2 * PI * 100 * h * (double)i / RATE + phase[h - 1]);
        samples[i] = (float)(0.01 * gate(i) * sum);
    }
}

/* In power over bands of 125 Hz the three are alike: these rows say what that cannot. */
static void pulses_are_told_from_scattered_phases(void **state)
{
    (void)state;
    enum { N = 2 * RATE };
    static float samples[N];
    double pulses[N_EXCITATIONS], together[N_EXCITATIONS], comb[N_EXCITATIONS], skew[N_EXCITATIONS];
    for (int kind = PULSES; kind < N_EXCITATIONS; kind++) {
        excite((excitation)kind, samples, N);
        measured m = measure(samples, N);
        pulses[kind] = mean_of_rows(&m, VX_TRACE_PULSES, VX_TRACE_PULSES + 13);
        together[kind] = mean_of_rows(&m, VX_TRACE_TOGETHER, VX_TRACE_TOGETHER + 12);
        comb[kind] = mean_of_rows(&m, VX_TRACE_COMB + 1, VX_TRACE_COMB + 13);
        skew[kind] = mean_of_rows(&m, VX_TRACE_SKEW + 1, VX_TRACE_SKEW + 2);
        measured_done(&m);
        print_message("# %d: pulses %.2f together %.2f comb %.2f skew %.2f\n", kind, pulses[kind], together[kind],
                      comb[kind], skew[kind]);
    }
    assert_true(pulses[PULSES] > 2 * pulses[SCATTERED] && pulses[PULSES] > 2 * pulses[NOISE]);
    assert_true(together[PULSES] > 0.9 && together[SCATTERED] < 0.6 && together[NOISE] < 0.6);
    assert_true(comb[PULSES] > 1.5 * comb[NOISE]);
    assert_true(skew[PULSES] > 2 * skew[SCATTERED] && skew[PULSES] > 2 * skew[NOISE]);
}

/* A formant that rings after each pulse, and the same played backwards. */
static void time_runs_forwards(void **state)
{
    (void)state;
    enum { N = 2 * RATE, CYCLE = 160 };
    static float samples[N];
    double attacks[2];
    for (int backwards = 0; backwards < 2; backwards++) {
        for (size_t i = 0; i < N; i++) {
            const double age = (double)(i % CYCLE) / RATE;
            const float x = (float)(0.3 * gate(i) * exp(-2 * PI * 150 * age) * sin(2 * PI * 1500 * age));
            samples[backwards != 0 ? N - 1 - i : i] = x;
        }
        measured m = measure(samples, N);
        attacks[backwards] = mean_of_rows(&m, VX_TRACE_ATTACKS + 2, VX_TRACE_ATTACKS + 3);
        measured_done(&m);
    }
    print_message("# attacks %.2f, backwards %.2f\n", attacks[0], attacks[1]);
    assert_true(attacks[0] > 0.5 && attacks[1] < -0.5);
}

static void levelled_bands_have_no_mean(void **state)
{
    (void)state;
    vx_audio audio = clip_audio("reader4_a.flac");
    measured m = measure(audio.samples, audio.n);
    const float comb = m.rows[VX_TRACE_COMB * m.stretch.n];
    vx_trace_level_bands(&m.spectrogram, &m.stretch, m.rows, m.stretch.n);
    for (int band = 0; band < VX_TRACE_BANDS; band++)
        assert_true(fabs(mean_of_rows(&m, band, band + 1)) < 1e-5);
    assert_true(memcmp(&comb, &m.rows[VX_TRACE_COMB * m.stretch.n], sizeof comb) == 0);
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
        cmocka_unit_test(time_runs_forwards),
        cmocka_unit_test(levelled_bands_have_no_mean),
        cmocka_unit_test(anything_is_refused_or_judged_in_numbers),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
