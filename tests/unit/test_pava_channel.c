/* test_pava_channel.c - words of noise through filters, over floors and through nonlinearities of which all is known.
 * Owns:   what the measures must be, from the formulas of the filters. Does not: say how loudspeakers are.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/channel.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/synth_voice.h"

enum { RATE = 16000, N = 4 * RATE };
#define SEED 1618u

static const double PI = 3.14159265358979323846;

static float sound[N];

/* ---- filters ----------------------------------------------------------------------------------------------------- */

typedef struct {
    double b[3], a[2];
} section;

static void run(const section *s, double *x, size_t n)
{
    double z1 = 0, z2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double y = s->b[0] * x[i] + z1;
        z1 = s->b[1] * x[i] - s->a[0] * y + z2;
        z2 = s->b[2] * x[i] - s->a[1] * y;
        x[i] = y;
    }
}

static double gain_db(const section *s, double hz)
{
    const double w = 2 * PI * hz / RATE;
    const double top_re = s->b[0] + s->b[1] * cos(w) + s->b[2] * cos(2 * w),
                 top_im = s->b[1] * sin(w) + s->b[2] * sin(2 * w);
    const double low_re = 1 + s->a[0] * cos(w) + s->a[1] * cos(2 * w), low_im = s->a[0] * sin(w) + s->a[1] * sin(2 * w);
    return 10 * log10((top_re * top_re + top_im * top_im) / (low_re * low_re + low_im * low_im));
}

/* R. Bristow-Johnson's high pass, and his peak. */
static section high_pass(double hz, double q)
{
    const double w = 2 * PI * hz / RATE, alpha = sin(w) / (2 * q), a0 = 1 + alpha, c = cos(w);
    return (section){{(1 + c) / 2 / a0, -(1 + c) / a0, (1 + c) / 2 / a0}, {-2 * c / a0, (1 - alpha) / a0}};
}
static section peak(double hz, double q, double db)
{
    const double w = 2 * PI * hz / RATE, gain = pow(10, db / 40), alpha = sin(w) / (2 * q), a0 = 1 + alpha / gain;
    return (section){{(1 + alpha * gain) / a0, -2 * cos(w) / a0, (1 - alpha * gain) / a0},
                     {-2 * cos(w) / a0, (1 - alpha / gain) / a0}};
}
/* One pole: 6 dB an octave above some 50 Hz. */
static section slope(void)
{
    return (section){{1, 0, 0}, {-0.98, 0}};
}

/* Nothing above hz, by a windowed sinc: 220 Hz from all to nothing. */
static void cut_above(double hz, double *x)
{
    enum { HALF = 200 };
    static double copy[HALF + N + HALF];
    double taps[2 * HALF + 1];
    for (int t = -HALF; t <= HALF; t++) {
        const double window = 0.42 + 0.5 * cos(PI * t / HALF) + 0.08 * cos(2 * PI * t / HALF);
        taps[HALF + t] = window * (t == 0 ? 2 * hz / RATE : sin(2 * PI * hz * t / RATE) / (PI * t));
    }
    memcpy(copy + HALF, x, N * sizeof *x);
    for (size_t i = 0; i < N; i++) {
        x[i] = 0;
        for (size_t t = 0; t <= 2 * HALF; t++)
            x[i] += taps[t] * copy[i + t];
    }
}

/* ---- what is said ------------------------------------------------------------------------------------------------ */

typedef struct {
    const section *sections; /* n, of the voice */
    size_t n;
    double cut_hz;        /* 0: none */
    double floor;         /* RMS */
    const section *shape; /* of the floor; NULL: white */
} plan;

/* Words of white noise, 0.1 RMS, 300 ms every 500, filtered; then the floor. */
static void say(const plan *p)
{
    static double x[N], y[N];
    uint64_t random = SEED;
    for (size_t i = 0; i < N; i++) {
        x[i] = i % 8000 >= 3200 ? 0.1 * synth_normal(&random) : 0;
        y[i] = p->floor * synth_normal(&random);
    }
    for (size_t k = 0; k < p->n; k++)
        run(&p->sections[k], x, N);
    if (p->cut_hz > 0)
        cut_above(p->cut_hz, x);
    if (p->shape != NULL)
        run(p->shape, y, N);
    for (size_t i = 0; i < N; i++)
        sound[i] = (float)(x[i] + y[i]);
}

static vx_err analyse(const float *samples, size_t n, vx_channel *ret, vx_errinfo *info)
{
    vx_spectrogram s = {0};
    vx_pitch p = {0};
    vx_err err = vx_spectrogram_compute(samples, n, &s);
    if (err == VX_OK)
        err = vx_pitch_track(samples, n, &s, &p);
    if (err == VX_OK)
        err = vx_channel_measure(&s, &p, ret, info);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
    return err;
}

static vx_channel measure(const plan *p)
{
    vx_channel c;
    say(p);
    assert_int_equal(analyse(sound, N, &c, NULL), VX_OK);
    print_message("# edges %.0f %.0f Hz, slopes %.1f %.1f, ripple %.2f; floor %.1f, %.2f, %.1f, %.2f dB\n",
                  c.low_edge_hz, c.high_edge_hz, c.low_slope_db, c.tilt_db, c.ripple_db, c.floor_slope_db,
                  c.floor_ripple_db, c.floor_depth_db, c.floor_change_db);
    return c;
}

/* ---- edges and slopes -------------------------------------------------------------------------------------------- */

static double all_db(const section *s, size_t n, double hz)
{
    double db = 0;
    for (size_t k = 0; k < n; k++)
        db += gain_db(&s[k], hz);
    return db;
}

/* Where the filters have 20 dB less than on average at 300 to 1,000 Hz. */
static double true_edge(const section *s, size_t n)
{
    double level = 0, hz = 300;
    for (int f = 300; f <= 1000; f++)
        level += pow(10, all_db(s, n, f) / 10) / 701;
    while (hz > 1 && all_db(s, n, hz) > 10 * log10(level) - 20)
        hz--;
    return hz;
}

/* Of the line through the filters' gain at the middles of the thirds from 63 Hz to an octave above the edge. */
static double true_slope(const section *s, size_t n, double edge)
{
    const int last = (int)round(3 * log2(edge / 62.5)) + 3;
    double xy = 0, xx = 0;
    for (int i = 0; i <= last; i++) {
        const double x = (i - last / 2.0) / 3;
        xy += x * all_db(s, n, 62.5 * exp2(i / 3.0));
        xx += x * x;
    }
    return xy / xx;
}

static void low_edges_and_slopes_are_those_of_the_filter(void **state)
{
    (void)state;
    static const struct {
        double hz;
        size_t sections;
        double floor;
    } rows[] = {{200, 1, 1e-5}, {400, 1, 1e-5}, {700, 1, 1e-5}, {200, 2, 1e-5},   {300, 2, 1e-5},
                {400, 2, 1e-5}, {400, 2, 1e-3}, {250, 2, 3e-3}, {400, 2, 1.5e-2}, {300, 2, 1.5e-2}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        /* Butterworth's of two and four poles. */
        const section of_two[] = {high_pass(rows[r].hz, sqrt(0.5))};
        const section of_four[] = {high_pass(rows[r].hz, 0.5412), high_pass(rows[r].hz, 1.3066)};
        const section *s = rows[r].sections == 1 ? of_two : of_four;
        const vx_channel c = measure(&(plan){s, rows[r].sections, 0, rows[r].floor, NULL});
        const double edge = true_edge(s, rows[r].sections);
        if (fabs(log2(c.low_edge_hz / edge)) > 1.0 / 3 && fabs(c.low_edge_hz - edge) > 31.25)
            fail_msg("row %zu: %.0f, not %.0f Hz", r, c.low_edge_hz, edge);
        /* A window of 25 ms fills the foot of the slope by a few dB; a floor hides it. */
        const double wanted = true_slope(s, rows[r].sections, edge);
        if (rows[r].floor < 1e-4 && edge > 80 && !(c.low_slope_db > 0.7 * wanted && c.low_slope_db < wanted))
            fail_msg("row %zu: %.1f, not %.1f dB an octave", r, c.low_slope_db, wanted);
        assert_true(c.high_edge_hz > 7900 && fabs(c.tilt_db) < 1.5);
    }
}

static void high_edges_are_those_of_the_filter(void **state)
{
    (void)state;
    static const double EDGES[] = {2000, 3400, 5500, 7000};
    for (size_t r = 0; r < sizeof EDGES / sizeof *EDGES; r++)
        for (int noisy = 0; noisy < 2; noisy++) {
            const vx_channel c = measure(&(plan){NULL, 0, EDGES[r], noisy ? 3e-3 : 1e-4, NULL});
            assert_true(c.high_edge_hz > EDGES[r] - 100 && c.high_edge_hz < EDGES[r] + 300);
            assert_true(fabs(c.tilt_db) < 1.5 && c.low_edge_hz < 40);
        }
}

static void tilt_is_that_of_the_filter(void **state)
{
    (void)state;
    const section s = slope();
    /* What is left of 6 dB an octave near 8 kHz is less; the cut leaves the straight part. */
    const double wanted = (gain_db(&s, 4000) - gain_db(&s, 500)) / 3;
    const vx_channel c = measure(&(plan){&s, 1, 4000, 1e-3, NULL});
    assert_true(fabs(c.tilt_db - wanted) < 0.5 && wanted < -5);
}

static void ripple_grows_with_resonances(void **state)
{
    (void)state;
    static const double HEIGHTS_DB[] = {0, 3, 6, 12};
    double before = 0;
    for (size_t r = 0; r < sizeof HEIGHTS_DB / sizeof *HEIGHTS_DB; r++) {
        const section s[] = {peak(800, 5, HEIGHTS_DB[r]), peak(2500, 5, -HEIGHTS_DB[r]), peak(5000, 5, HEIGHTS_DB[r])};
        const vx_channel c = measure(&(plan){s, 3, 0, 1e-5, NULL});
        /* A peak as narrow as its third stands 2/3 over the mean of three thirds, and each neighbour 1/3 under it;
         * three such among some 18. */
        const double wanted = HEIGHTS_DB[r] * sqrt(3 * (4.0 / 9 + 2.0 / 9) / 18);
        assert_true(c.ripple_db > before && c.ripple_db < 0.6 + wanted && c.ripple_db > 0.4 * wanted);
        before = c.ripple_db;
    }
}

/* ---- floors ------------------------------------------------------------------------------------------------------ */

static void floors_are_measured(void **state)
{
    (void)state;
    static const double LEVELS[] = {3e-2, 1e-2, 1e-3, 1e-4};
    for (size_t r = 0; r < sizeof LEVELS / sizeof *LEVELS; r++) {
        const vx_channel c = measure(&(plan){NULL, 0, 0, LEVELS[r], NULL});
        assert_true(fabs(c.floor_depth_db - 10 * log10(1 + 0.01 / (LEVELS[r] * LEVELS[r]))) < 0.5);
        assert_true(fabs(c.floor_slope_db) < 0.5 && c.floor_change_db < 0.6 && c.floor_ripple_db < 0.5);
    }
    const section falling = slope(), boom = peak(500, 5, 12);
    const vx_channel pink = measure(&(plan){NULL, 0, 0, 1e-4, &falling});
    assert_true(fabs(pink.floor_slope_db - (gain_db(&falling, 4000) - gain_db(&falling, 125)) / 5) < 0.7);
    const vx_channel booming = measure(&(plan){NULL, 0, 0, 1e-4, &boom});
    assert_true(booming.floor_ripple_db > 1);
}

/* The floor of every other pause is 4 dB up. */
static void floors_that_change_are_told(void **state)
{
    (void)state;
    vx_channel c;
    uint64_t random = SEED;
    say(&(plan){NULL, 0, 0, 1e-5, NULL});
    for (size_t i = 0; i < N; i++)
        sound[i] += (float)(1e-3 * (i / 8000 % 2 ? pow(10, 0.2) : 1) * synth_normal(&random));
    assert_int_equal(analyse(sound, N, &c, NULL), VX_OK);
    assert_true(fabs(c.floor_change_db - 2) < 0.4);
}

/* ---- distortion -------------------------------------------------------------------------------------------------- */

typedef enum { SQUARE, CUBE } bend;

/* A sine at full scale gets a second or third harmonic of `share` of its amplitude. */
static double bent(bend which, double share, double x)
{
    return which == SQUARE ? x + 2 * share * x * x : x - 4 * share * x * x * x;
}

/* Down by 14 dB and up again, once a second. */
static double swell(size_t i)
{
    return pow(10, 0.35 * (cos(2 * PI * (double)i / RATE) - 1));
}

/* A voice of which only 300 to 900 Hz are left, so that it is known where nothing should be; loud and soft in turns. */
static void distortion_rises_with_its_cause(void **state)
{
    (void)state;
    static const double SHARES[] = {0, 0.01, 0.03, 0.1, 0.2};
    static const double PITCHES[] = {120, 210};
    static float voice[N], reference[N / SYNTH_HOP];
    static double x[N];
    const section low = high_pass(300, sqrt(0.5));
    for (size_t k = 0; k < 2 * sizeof PITCHES / sizeof *PITCHES; k++) {
        const bend which = k % 2 == 0 ? SQUARE : CUBE;
        double before = -INFINITY, clean = 0;
        uint64_t random = SEED;
        /* One vowel of three seconds: loud and soft differ in nothing else. */
        synth_voice(&(synth_params){.contour = SYNTH_FLAT, .hz = PITCHES[k / 2], .still = true, .seed = SEED}, 3 * RATE,
                    voice, reference, NULL);
        for (size_t i = 0; i < N; i++)
            x[i] = (double)voice[i];
        run(&low, x, N);
        cut_above(900, x);
        double full = 0;
        for (size_t i = 0; i < N; i++)
            full = fmax(full, fabs(x[i]));
        vx_channel c;
        for (size_t i = 0; i < N; i++)
            sound[i] = (float)(x[i] / full * swell(i));
        assert_int_equal(analyse(sound, N, &c, NULL), VX_OK);
        assert_true(fabs(c.distortion_db) < 1); /* loud is like soft */
        for (size_t r = 0; r < sizeof SHARES / sizeof *SHARES; r++) {
            for (size_t i = 0; i < N; i++)
                sound[i] = (float)(bent(which, SHARES[r], x[i] / full * swell(i)) + 3e-5 * synth_normal(&random));
            assert_int_equal(analyse(sound, N, &c, NULL), VX_OK);
            print_message("# %.0f Hz, %s, %.0f %%: %.2f dB\n", PITCHES[k / 2], which == SQUARE ? "square" : "cube",
                          100 * SHARES[r], c.distortion_db);
            assert_true(c.distortion_db > before);
            before = c.distortion_db;
            clean = r == 0 ? before : clean;
        }
        assert_true(before > clean + 4);
    }
}

/* ---- what does not matter, and what cannot be measured ----------------------------------------------------------- */

static void gain_does_not_matter(void **state)
{
    (void)state;
    static const float GAINS[] = {1, 0.3f, 0.05f};
    vx_audio clip = clip_audio("reader3_a.flac");
    vx_channel loud = {0}, c;
    float *scaled = calloc(clip.n, sizeof *scaled);
    assert_non_null(scaled);
    for (size_t g = 0; g < sizeof GAINS / sizeof *GAINS; g++) {
        for (size_t i = 0; i < clip.n; i++)
            scaled[i] = GAINS[g] * clip.samples[i];
        assert_int_equal(analyse(scaled, clip.n, &c, NULL), VX_OK);
        loud = g == 0 ? c : loud;
        for (size_t k = 0; k < sizeof c / sizeof(double); k++)
            if (fabs((&c.low_edge_hz)[k] - (&loud.low_edge_hz)[k]) > 1e-2)
                fail_msg("measure %zu at gain %g: %g, not %g", k, (double)GAINS[g], (&c.low_edge_hz)[k],
                         (&loud.low_edge_hz)[k]);
    }
    free(scaled);
    vx_audio_done(&clip);
}

static void readers_came_through_their_channels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double high_hz[2];
    } rows[] = {{"reader1_a.flac", {5000, 8000}},
                {"reader2_b.flac", {5000, 8000}},
                {"reader4_a.flac", {5000, 8000}},
                {"reader1_a_8k_ulaw.wav", {3300, 4400}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_audio clip = clip_audio(rows[i].name);
        vx_channel c;
        assert_int_equal(analyse(clip.samples, clip.n, &c, NULL), VX_OK);
        print_message("# %s: edges %.0f %.0f Hz, tilt %.1f, ripple %.1f, distortion %.1f dB\n", rows[i].name,
                      c.low_edge_hz, c.high_edge_hz, c.tilt_db, c.ripple_db, c.distortion_db);
        assert_true(c.high_edge_hz >= rows[i].high_hz[0] && c.high_edge_hz <= rows[i].high_hz[1]);
        assert_true(c.low_edge_hz < 250 && c.tilt_db < -2 && c.tilt_db > -20);
        vx_audio_done(&clip);
    }
}

static void without_pauses_or_voice_there_is_no_number(void **state)
{
    (void)state;
    vx_spectrogram s;
    vx_pitch p;
    vx_channel c;
    say(&(plan){NULL, 0, 5500, 1e-3, NULL});
    assert_int_equal(vx_spectrogram_compute(sound, N, &s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &s, &p), VX_OK);
    for (size_t i = 0; i < s.n_frames; i++)
        s.speech[i] = true;
    s.n_speech = s.n_frames;
    assert_int_equal(vx_channel_measure(&s, &p, &c, NULL), VX_OK);
    assert_true(isnan(c.floor_slope_db) && isnan(c.floor_ripple_db) && isnan(c.floor_depth_db));
    assert_true(isnan(c.floor_change_db) && isnan(c.distortion_db));
    assert_true(fabs(c.high_edge_hz - 5500) < 150);
    vx_errinfo info = {0};
    s.n_speech = 51;
    c.tilt_db = 77;
    assert_int_equal(vx_channel_measure(&s, &p, &c, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "half a second"));
    assert_true(c.tilt_db > 76);
    vx_pitch_done(&p);
    vx_spectrogram_done(&s);
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
        vx_channel c = {.tilt_db = 77};
        for (size_t i = 0; i < N; i++)
            sound[i] = (float)SOUNDS[k](i, &random);
        assert_int_not_equal(analyse(sound, N, &c, NULL), VX_OK);
        assert_true(c.tilt_db > 76);
    }
}

/* Clipped voices, beeps, clicks over nothing at all, of any length: numbers or NAN. */
static void odd_sounds_are_survived(void **state)
{
    (void)state;
    vx_audio clip = clip_audio("reader1_a.flac");
    static const size_t LENGTHS[] = {N, 20000, 4800, 400};
    uint64_t random = SEED;
    for (int kind = 0; kind < 4; kind++)
        for (size_t l = 0; l < sizeof LENGTHS / sizeof *LENGTHS; l++) {
            vx_channel c;
            const size_t n = LENGTHS[l] < clip.n ? LENGTHS[l] : clip.n;
            for (size_t i = 0; i < n; i++)
                sound[i] = kind == 0   ? fmaxf(-1, fminf(1, 100 * clip.samples[i]))
                           : kind == 1 ? (i / 8000 % 2 ? (float)tone(i, &random) : 0)
                           : kind == 2 ? 1e-3f * clip.samples[i]
                                       : (float)(i % 1000 == 0);
            if (analyse(sound, n, &c, NULL) == VX_OK)
                for (size_t k = 0; k < sizeof c / sizeof(double); k++)
                    assert_true(isfinite((&c.low_edge_hz)[k]) || isnan((&c.low_edge_hz)[k]));
        }
    vx_audio_done(&clip);
}

/* So little speech that the level a fiftieth lies above is that of nothing at all. */
static void one_word_in_half_a_minute_is_survived(void **state)
{
    (void)state;
    enum { LONG = 30 * RATE };
    static float quiet[LONG];
    uint64_t random = SEED;
    vx_channel m;
    for (size_t i = 0; i < LONG; i++)
        quiet[i] = i / (11 * RATE / 20) == 4 ? (float)(0.1 * synth_normal(&random)) : 0;
    assert_int_equal(analyse(quiet, LONG, &m, NULL), VX_OK);
    for (size_t k = 0; k < sizeof m / sizeof(double); k++)
        assert_true(isfinite((&m.low_edge_hz)[k]) || isnan((&m.low_edge_hz)[k]));
}

typedef struct {
    vx_spectrogram s;
    vx_pitch p;
} analysed;

static vx_err measure_once(void *ctx)
{
    const analysed *a = ctx;
    vx_channel c = {.tilt_db = 77};
    const vx_err err = vx_channel_measure(&a->s, &a->p, &c, NULL);
    assert_true(err == VX_OK || c.tilt_db > 76);
    return err;
}

static void measuring_survives_failed_allocations(void **state)
{
    (void)state;
    analysed a;
    say(&(plan){NULL, 0, 0, 1e-3, NULL});
    assert_int_equal(vx_spectrogram_compute(sound, N, &a.s), VX_OK);
    assert_int_equal(vx_pitch_track(sound, N, &a.s, &a.p), VX_OK);
    vx_alloc_fail_each(measure_once, &a);
    vx_pitch_done(&a.p);
    vx_spectrogram_done(&a.s);
}

int main(void)
{
    print_message("# seed %u\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_edges_and_slopes_are_those_of_the_filter),
        cmocka_unit_test(high_edges_are_those_of_the_filter),
        cmocka_unit_test(tilt_is_that_of_the_filter),
        cmocka_unit_test(ripple_grows_with_resonances),
        cmocka_unit_test(floors_are_measured),
        cmocka_unit_test(floors_that_change_are_told),
        cmocka_unit_test(distortion_rises_with_its_cause),
        cmocka_unit_test(gain_does_not_matter),
        cmocka_unit_test(readers_came_through_their_channels),
        cmocka_unit_test(without_pauses_or_voice_there_is_no_number),
        cmocka_unit_test(what_is_no_speech_is_not_measured),
        cmocka_unit_test(odd_sounds_are_survived),
        cmocka_unit_test(one_word_in_half_a_minute_is_survived),
        cmocka_unit_test(measuring_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
