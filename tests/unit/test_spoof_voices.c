/* test_spoof_voices.c - what the laboratory's vocoders, converters, stretchers and splices do to voices of which all is
 * known: a synthetic vowel with a glide and four formants, and recorded readers by their embeddings.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/pava/lpc.h"
#include "shared/engine/engine.h"
#include "tests/bench/spoof/envelope.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/methods.h"
#include "tests/support/clip.h"
#include "tests/support/stats.h"

enum { N = 24000, N_FORMANTS = 4, ORDER = 18 };
#define SEED 20240607

static const double FORMANTS[N_FORMANTS] = {700, 1220, 2600, 3500}, BANDWIDTHS[N_FORMANTS] = {70, 90, 130, 180};

/* ---- a voice of which all is known ------------------------------------------------------------------------------------- */

/* Impulses that glide from 110 to 130 Hz, through the tilt of a glottis and four resonances; silence around them. */
static float *vowel(void)
{
    float *x = lab_alloc(N, sizeof *x);
    double at = 3200;
    while (at < N - 3200) {
        voice_pulse(x, N, at, 1);
        at += LAB_RATE / (110 + 20 * at / N);
    }
    double last = 0;
    for (size_t i = 0; i < N; i++)
        x[i] = (float)(last = (double)x[i] + 0.95 * last);
    for (int f = 0; f < N_FORMANTS; f++) {
        const double radius = exp(-LAB_PI * BANDWIDTHS[f] / LAB_RATE), turn = 2 * LAB_PI * FORMANTS[f] / LAB_RATE;
        double y1 = 0, y2 = 0;
        for (size_t i = 0; i < N; i++) {
            const double y = (double)x[i] + 2 * radius * cos(turn) * y1 - radius * radius * y2;
            y2 = y1;
            y1 = y;
            x[i] = (float)y;
        }
    }
    lab_scale(x, N, 0.5 / (double)lab_peak(x, N));
    return x;
}

/* The sharp resonance of linear prediction nearest to each of hz, means over the frames of the middle half. */
static void formants_near(const float *x, const double hz[N_FORMANTS], double ret_hz[N_FORMANTS])
{
    stft s = stft_of(x, N, 480, 512, 160);
    double counts = 0;
    memset(ret_hz, 0, N_FORMANTS * sizeof *ret_hz);
    for (size_t t = s.n_frames / 4; t < s.n_frames * 3 / 4; t++) {
        double a[ORDER + 1], gain, re[ORDER / 2], im[ORDER / 2];
        assert_true(envelope_predict(&s.d, 480, stft_frame(&s, t), ORDER, a, &gain));
        const int n_poles = vx_lpc_poles(a, ORDER, re, im);
        for (int f = 0; f < N_FORMANTS; f++) {
            double nearest = 0;
            for (int i = 0; i < n_poles; i++) {
                const double pole = atan2(im[i], re[i]) / (2 * LAB_PI) * LAB_RATE;
                if (hypot(re[i], im[i]) > 0.9 && fabs(pole - hz[f]) < fabs(nearest - hz[f]))
                    nearest = pole;
            }
            ret_hz[f] += nearest;
        }
        counts++;
    }
    for (int f = 0; f < N_FORMANTS; f++)
        ret_hz[f] /= counts;
    stft_done(&s);
}

static void assert_ratio(double is, double reference, double wanted, double tolerance)
{
    if (!(fabs(is / reference / wanted - 1) <= tolerance))
        fail_msg("%g is not %g times %g, to %g %%", is, wanted, reference, 100 * tolerance);
}

/* The melody of y over that of x, where time in y runs `slower`: median over the middle half of the frames, in nearly all
 * of which the tracker must find a voice in both. */
static void assert_melody(const float *x, size_t n, const float *y, size_t n_y, double slower, double wanted,
                          double tolerance)
{
    voice v, w;
    assert_true(voice_of(x, n, &v) && voice_of(y, n_y, &w));
    double *ratios = lab_alloc(v.n_frames, sizeof *ratios);
    size_t found = 0;
    for (size_t t = v.n_frames / 4; t < v.n_frames * 3 / 4; t++) {
        const double at = (double)t * VOICE_HOP + VOICE_HOP / 2.0, was = voice_f0(&v, at),
                     is = voice_f0(&w, at * slower);
        if (was > 0 && is > 0)
            ratios[found++] = is / was;
    }
    assert_true(found > 9 * v.n_frames / 20);
    assert_ratio(stats_spread(ratios, found).median, 1, wanted, tolerance);
    free(ratios);
    voice_done(&v);
    voice_done(&w);
}

/* What becomes of a formant. */
static double times(double factor, double hz)
{
    return factor * hz;
}
static double bent(double alpha, double hz)
{
    const double angle = 2 * LAB_PI * hz / LAB_RATE;
    return hz + 2 * atan(alpha * sin(angle) / (1 - alpha * cos(angle))) / (2 * LAB_PI) * LAB_RATE;
}

/* Formants of y are where those of the vowel x moved to. Linear prediction sees harmonics, not the envelope between them:
 * it is off by up to a quarter of their distance, which is 170 Hz at most here. */
static void assert_formants(const float *x, const float *y, double (*moved)(double setting, double hz), double setting)
{
    double wanted[N_FORMANTS], is[N_FORMANTS];
    formants_near(x, FORMANTS, wanted);
    for (int f = 0; f < N_FORMANTS; f++)
        wanted[f] = moved(setting, wanted[f]);
    formants_near(y, wanted, is);
    for (int f = 0; f < N_FORMANTS; f++)
        if (!(fabs(is[f] - wanted[f]) < 170.0 / 4 + 0.015 * wanted[f]))
            fail_msg("F%d is at %.0f Hz, not at %.0f", f + 1, is[f], wanted[f]);
}

/* ---- transforms --------------------------------------------------------------------------------------------------------- */

static double relative_error(const float *x, const float *reference, size_t n)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        error += pow((double)x[i] - (double)reference[i], 2);
        size += pow((double)reference[i], 2);
    }
    return sqrt(error / size);
}

static void spectra_go_back_to_signals(void **state)
{
    (void)state;
    static const int sizes[] = {2, 6, 16, 480, 512, 640, 1024};
    uint64_t seed = SEED;
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        enum { ROWS = 7 };
        const size_t n = (size_t)sizes[s];
        dft d = dft_make(sizes[s]);
        float *rows = lab_alloc(ROWS * n, sizeof *rows), *back = lab_alloc(ROWS * n, sizeof *back),
              *bins = lab_alloc(ROWS * (n + 2), sizeof *bins);
        for (size_t i = 0; i < ROWS * n; i++)
            rows[i] = (float)lab_gauss(&seed);
        dft_forward(&d, rows, ROWS, bins);
        dft_inverse(&d, bins, ROWS, back);
        /* fft.h bounds each of the two transforms. */
        assert_true(relative_error(back, rows, ROWS * n) < 8 * (log2((double)n) + 1) * (double)FLT_EPSILON);
        free(rows);
        free(back);
        free(bins);
        dft_done(&d);
    }
}

static void overlapping_frames_add_up(void **state)
{
    (void)state;
    static const int shapes[][3] = {{480, 512, 120}, {480, 480, 240}, {512, 1024, 100}};
    float *x = vowel(), *y = lab_alloc(N, sizeof *y);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        stft s = stft_of(x, N, shapes[i][0], shapes[i][1], shapes[i][2]);
        stft_invert(&s, N, y);
        assert_true(relative_error(y, x, N) < 1e-5);
        stft_done(&s);
    }
    free(x);
    free(y);
}

/* ---- conversion --------------------------------------------------------------------------------------------------------- */

static void grains_in_their_places_are_the_voice(void **state)
{
    (void)state;
    float *x = vowel(), *y = lab_alloc(N, sizeof *y);
    voice v;
    assert_true(voice_of(x, N, &v));
    shift_pitch(&v, 1, y);
    assert_true(relative_error(y + 400, x + 400, N - 800) < 1e-4);
    voice_done(&v);
    free(x);
    free(y);
}

static void melody_moves_by_semitones(void **state)
{
    (void)state;
    static const double semitones[] = {-6, -2, 0, 3, 6};
    float *x = vowel(), *y = lab_alloc(N, sizeof *y);
    voice v;
    assert_true(voice_of(x, N, &v));
    for (size_t i = 0; i < sizeof semitones / sizeof *semitones; i++) {
        const double factor = exp2(semitones[i] / 12);
        shift_pitch(&v, factor, y);
        assert_melody(x, N, y, N, 1, factor, 0.01);
        assert_formants(x, y, times, 1);
        shift_all(x, N, factor, y);
        assert_melody(x, N, y, N, 1, factor, 0.01);
        assert_formants(x, y, times, factor);
    }
    voice_done(&v);
    free(x);
    free(y);
}

static void formants_move_and_the_melody_does_not(void **state)
{
    (void)state;
    static const double factors[] = {0.83, 0.92, 1, 1.08, 1.2}, alphas[] = {-0.09, -0.04, 0, 0.04, 0.09};
    float *x = vowel(), *y = lab_alloc(N, sizeof *y);
    voice v;
    assert_true(voice_of(x, N, &v));
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        warp_formants(x, N, factors[i], y);
        assert_melody(x, N, y, N, 1, 1, 0.005);
        assert_formants(x, y, times, factors[i]);
        warp_cycles(&v, alphas[i], y);
        assert_melody(x, N, y, N, 1, 1, 0.005);
        assert_formants(x, y, bent, alphas[i]);
    }
    voice_done(&v);
    free(x);
    free(y);
}

static void time_goes_slower_at_the_same_pitch(void **state)
{
    (void)state;
    static const double factors[] = {0.8, 0.9, 1.1, 1.25};
    float *x = vowel();
    voice v;
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        for (int way = 0; way < 2; way++) {
            const size_t n = stretched_length(N, factors[i]);
            float *y = lab_alloc(n, sizeof *y);
            (way == 0 ? stretch_waveform : stretch_phases)(x, N, factors[i], y);
            assert_melody(x, N, y, n, factors[i], 1, 0.01);
            /* The silence around the vowel became longer too. */
            assert_true(voice_of(y, n, &v));
            double voiced = 0;
            for (size_t t = 0; t < v.n_frames; t++)
                voiced += v.f0[t] > 0;
            assert_ratio(voiced * VOICE_HOP, N - 6400, factors[i], 0.06);
            voice_done(&v);
            free(y);
        }
    free(x);
}

/* Size of a tone in samples, over a window that lets through nothing 60 Hz away. */
static double tone_in(const float *x, size_t n, double hz)
{
    double re = 0, im = 0, weight = 0;
    for (size_t i = 0; i < n; i++) {
        const double w = 0.5 - 0.5 * cos(2 * LAB_PI * (double)i / (double)n),
                     angle = 2 * LAB_PI * hz * (double)i / LAB_RATE;
        re += w * (double)x[i] * cos(angle);
        im += w * (double)x[i] * sin(angle);
        weight += w;
    }
    return 2 * sqrt(re * re + im * im) / weight;
}

/* Where phases of neighbouring frames do not fit, tones cancel or spread. */
static void tones_go_on_for_longer(void **state)
{
    (void)state;
    static const double factors[] = {0.8, 1, 1.19, 1.25}, tones[] = {200, 400, 1000, 3000};
    enum { TONES = sizeof tones / sizeof *tones };
    float *x = lab_alloc(N, sizeof *x);
    for (size_t i = 0; i < N; i++)
        for (int k = 0; k < TONES; k++)
            x[i] += (float)(0.2 * sin(2 * LAB_PI * tones[k] * (double)i / LAB_RATE));
    for (size_t f = 0; f < sizeof factors / sizeof *factors; f++)
        for (int way = 0; way < 2; way++) {
            const size_t n = stretched_length(N, factors[f]);
            float *y = lab_alloc(n, sizeof *y);
            (way == 0 ? stretch_waveform : stretch_phases)(x, N, factors[f], y);
            for (int k = 0; k < TONES; k++)
                assert_ratio(tone_in(y + 2000, n - 4000, tones[k]), 0.2, 1, 0.05);
            free(y);
        }
    free(x);
}

/* ---- vocoders ----------------------------------------------------------------------------------------------------------- */

/* Harmonics of a constant pitch are what the analysis assumes, so nothing but arithmetic is in the way: 40 dB. */
static void steady_harmonics_are_found_again(void **state)
{
    (void)state;
    static const double pitches[] = {82.4, 150, 233.3, 400};
    enum { HARMONICS = 12 };
    for (size_t p = 0; p < sizeof pitches / sizeof *pitches; p++) {
        float *x = lab_alloc(N, sizeof *x), *y = lab_alloc(N, sizeof *y);
        for (size_t i = 0; i < N; i++)
            for (int k = 1; k <= HARMONICS; k++)
                x[i] += (float)(0.2 / k * cos(2 * LAB_PI * k * pitches[p] * (double)i / LAB_RATE + k * k));
        voice v;
        assert_true(voice_of(x, N, &v));
        for (size_t t = 0; t < v.n_frames; t++)
            v.f0[t] = (float)pitches[p]; /* the tracker's own errors are not in question here */
        vocode_harmonics(&v, (HARMONICS + 0.5) * pitches[p], y);
        const double snr_db = -20 * log10(relative_error(y + 2000, x + 2000, N - 4000));
        if (snr_db < 40)
            fail_msg("%g Hz: %.1f dB", pitches[p], snr_db);
        voice_done(&v);
        free(x);
        free(y);
    }
}

/* How far the magnitudes of y are from those of x, as Griffin and Lim measure it, dB. */
static double convergence_db(const float *x, const float *y, size_t n, int window)
{
    stft a = stft_of(x, n, window, window, window / 4), b = stft_of(y, n, window, window, window / 4);
    double error = 0, size = 0;
    for (size_t i = 0; i < a.n_frames * stft_n_bins(&a); i++) {
        const double was = sqrt(bin_power(a.bins + 2 * i)), is = sqrt(bin_power(b.bins + 2 * i));
        error += (is - was) * (is - was);
        size += was * was;
    }
    stft_done(&a);
    stft_done(&b);
    return 10 * log10(error / size);
}

static void made_up_phases_give_the_magnitudes(void **state)
{
    (void)state;
    vx_audio reader = clip_audio("reader1_a.flac");
    const size_t n = 2 * LAB_RATE;
    float *y = lab_alloc(n, sizeof *y);
    static const int windows[] = {512, 800};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        double last = 0;
        for (int rounds = 0; rounds <= 32; rounds = 4 * rounds + 8) {
            uint64_t seed = SEED;
            vocode_griffin_lim(reader.samples, n, windows[i], 0, rounds, &seed, y);
            const double now = convergence_db(reader.samples, y, n, windows[i]);
            assert_true(now < last);
            last = now;
        }
        /* From -3.5 dB; 40 rounds give -11 to -15 on this reader, up to -20 on others. Still the waveform is another. */
        if (last > -10)
            fail_msg("window %d: %.1f dB", windows[i], last);
        assert_true(relative_error(y, reader.samples, n) > 0.5);
    }
    free(y);
    vx_audio_done(&reader);
}

typedef enum { LPC, HNM_OWN, HNM_MODEL, WORLD, N_VOCODERS } vocoder;
static void vocode(vocoder which, const voice *v, uint64_t *seed, float *ret)
{
    switch (which) {
    case LPC: vocode_lpc(v, 18, 0.1, seed, ret); break;
    case HNM_OWN: vocode_hnm(v, true, seed, ret); break;
    case HNM_MODEL: vocode_hnm(v, false, seed, ret); break;
    default: vocode_world(v, seed, ret); break;
    }
}

static void vocoders_keep_melody_formants_and_level(void **state)
{
    (void)state;
    float *x = vowel(), *y = lab_alloc(N, sizeof *y);
    voice v;
    assert_true(voice_of(x, N, &v));
    for (vocoder which = 0; which < N_VOCODERS; which++) {
        uint64_t seed = SEED;
        vocode(which, &v, &seed, y);
        assert_melody(x, N, y, N, 1, 1, 0.01);
        assert_formants(x, y, times, 1);
        /* Excitations have power 1 and filters that of the voice: levels need no mending, to 2 dB. */
        double before = 0, after = 0;
        for (size_t i = 0; i < N; i++) {
            before += (double)x[i] * (double)x[i];
            after += (double)y[i] * (double)y[i];
        }
        assert_ratio(sqrt(after), sqrt(before), 1, 0.25);
    }
    voice_done(&v);
    free(x);
    free(y);
}

/* ---- readers ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_engine *engine;
    vx_audio one, two;         /* two readers */
    voice v_one, v_two;        /* of them */
    float other_one[CLIP_DIM]; /* embeddings of further recordings of the same */
    float other_two[CLIP_DIM];
} readers;

static void embed(const readers *r, const float *samples, size_t n, float ret[CLIP_DIM])
{
    vx_embedding embedding;
    assert_int_equal(vx_engine_embed(r->engine, samples, n, &embedding, NULL, NULL), VX_OK);
    memcpy(ret, embedding.values, CLIP_DIM * sizeof *ret);
}

static readers readers_open(void)
{
    readers r = {.one = clip_audio("reader1_a.flac"), .two = clip_audio("reader2_a.flac")};
    const vx_engine_options options = vx_engine_options_default();
    assert_int_equal(vx_engine_open("models/starter", &options, &r.engine, NULL), VX_OK);
    assert_true(voice_of(r.one.samples, r.one.n, &r.v_one) && voice_of(r.two.samples, r.two.n, &r.v_two));
    vx_audio more = clip_audio("reader1_b.flac");
    embed(&r, more.samples, more.n, r.other_one);
    vx_audio_done(&more);
    more = clip_audio("reader2_b.flac");
    embed(&r, more.samples, more.n, r.other_two);
    vx_audio_done(&more);
    return r;
}

static void readers_close(readers *r)
{
    vx_engine_close(r->engine);
    voice_done(&r->v_one);
    voice_done(&r->v_two);
    vx_audio_done(&r->one);
    vx_audio_done(&r->two);
}

static void vocoded_speech_is_the_same_person(void **state)
{
    (void)state;
    readers r = readers_open();
    float *y = lab_alloc(r.one.n, sizeof *y), e[CLIP_DIM];
    embed(&r, r.one.samples, r.one.n, e);
    const double original = clip_cosine(e, r.other_one);
    for (vocoder which = 0; which < N_VOCODERS; which++) {
        uint64_t seed = SEED;
        vocode(which, &r.v_one, &seed, y);
        embed(&r, y, r.one.n, e);
        assert_true(clip_cosine(e, r.other_one) > original - 0.15);
        assert_true(clip_cosine(e, r.other_one) > clip_cosine(e, r.other_two) + 0.3);
    }
    free(y);
    readers_close(&r);
}

/* How far apart two mean spectra are, dB: bands of 250 Hz, levels aside. */
static double spectra_apart(const float *x, size_t n, const float *y, size_t n_y)
{
    enum { BANDS = 32, PER_BAND = 8 };
    stft a = stft_of(x, n, 480, 512, 240), b = stft_of(y, n_y, 480, 512, 240);
    double db[BANDS], mean = 0, square = 0;
    for (int band = 0; band < BANDS; band++) {
        double of_x = 0, of_y = 0;
        for (int k = band * PER_BAND; k < (band + 1) * PER_BAND; k++) {
            for (size_t t = 0; t < a.n_frames; t++)
                of_x += bin_power(stft_frame(&a, t) + 2 * k) / (double)a.n_frames;
            for (size_t t = 0; t < b.n_frames; t++)
                of_y += bin_power(stft_frame(&b, t) + 2 * k) / (double)b.n_frames;
        }
        db[band] = 10 * log10(of_x / of_y);
        mean += db[band] / BANDS;
    }
    for (int band = 0; band < BANDS; band++)
        square += pow(db[band] - mean, 2) / BANDS;
    stft_done(&a);
    stft_done(&b);
    return sqrt(square);
}

static void conversion_moves_towards_the_other_person(void **state)
{
    (void)state;
    readers r = readers_open();
    float *y = lab_alloc(r.one.n, sizeof *y), e[CLIP_DIM];
    embed(&r, r.one.samples, r.one.n, e);
    const double own = clip_cosine(e, r.other_one), other = clip_cosine(e, r.other_two);
    convert_voice(&r.v_one, &r.v_two, 1, y);
    embed(&r, y, r.one.n, e);
    assert_true(clip_cosine(e, r.other_one) < own - 0.1);
    assert_true(clip_cosine(e, r.other_two) > other + 0.1);
    /* From a woman to a man: an octave and more lower, and a fifth longer in the tract. */
    voice v;
    assert_true(voice_of(y, r.one.n, &v));
    assert_ratio(voice_mean_f0(&v), fmax(voice_mean_f0(&r.v_two), voice_mean_f0(&r.v_one) / 2), 1, 0.15);
    assert_true(formant_ratio(&r.v_one, &r.v_two) < 0.85 && formant_ratio(&v, &r.v_two) > 0.93);
    assert_true(spectra_apart(y, r.one.n, r.two.samples, r.two.n) <
                0.6 * spectra_apart(r.one.samples, r.one.n, r.two.samples, r.two.n));
    voice_done(&v);
    convert_voice(&r.v_one, &r.v_two, 0, y);
    embed(&r, y, r.one.n, e);
    assert_true(fabs(clip_cosine(e, r.other_one) - own) < 0.05);
    free(y);
    readers_close(&r);
}

/* ---- splices ------------------------------------------------------------------------------------------------------------- */

/* Recordings whose samples are their own places, the second's negative: every joint can be seen. */
static void splices_change_the_order_of_both(void **state)
{
    (void)state;
    const size_t n = 6 * LAB_RATE;
    float *first = lab_alloc(n, sizeof *first), *second = lab_alloc(n, sizeof *second), *y = lab_alloc(n, sizeof *y);
    for (size_t i = 0; i < n; i++) {
        first[i] = (float)(i + 1);
        second[i] = -(float)(i + 1);
    }
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t draws = seed;
        size_t joints = 0, seen = 0, of_second = 0;
        assert_int_equal(splice_pieces(first, n, second, n, false, 0, &draws, y, &joints), n);
        for (size_t i = 0; i < n; i++) {
            assert_true(y[i] != 0);
            of_second += y[i] < 0;
            seen += i > 0 && fabsf(fabsf(y[i]) - fabsf(y[i - 1]) - 1) > 0;
        }
        assert_int_equal(seen, joints);
        assert_in_range(joints, 5, 24);
        assert_in_range(of_second, n / 10, n - n / 10);

        enum { FADE = 80 }; /* nothing but joints is faded: what goes on as it was said goes up by ones */
        size_t steps = 0;
        const size_t n_out = splice_pieces(first, n, NULL, 0, false, FADE, &draws, y, &joints);
        for (size_t i = 1; i < n_out; i++)
            steps += fabsf(y[i] - y[i - 1] - 1) > 0;
        assert_int_equal(steps, joints * (FADE + 1));
    }
    free(first);
    free(second);
    free(y);
}

/* Tone, a tenth of a second of silence, and so on: joints lie in the silence, and a fade leaves no step. */
static void splices_are_made_where_it_is_quiet(void **state)
{
    (void)state;
    const size_t tone = 6000, gap = 1600, n = 12 * (tone + gap);
    float *x = lab_alloc(n, sizeof *x), *y = lab_alloc(n, sizeof *y);
    for (size_t i = 0; i < n; i++)
        x[i] = i % (tone + gap) < tone ? (float)(0.5 * sin(2 * LAB_PI * 200 * (double)i / LAB_RATE)) : 0;
    uint64_t seed = SEED;
    size_t joints = 0;
    const size_t n_out = splice_pieces(x, n, NULL, 0, true, 80, &seed, y, &joints);
    assert_true(joints >= 5 && n_out <= n && n_out > n / 2);
    /* Runs of sound are whole: each is `tone` samples long, but the ones at the ends. */
    size_t begin = 0, whole = 0, broken = 0;
    for (size_t i = 1; i < n_out; i++) {
        size_t ahead = 0;
        while (i + ahead < n_out && ahead < 100 && !(fabsf(y[i + ahead]) > 0.001F))
            ahead++;
        if (ahead < 100)
            continue;
        if (i - begin > 200 && begin > 0) {
            whole += labs((long)(i - begin) - (long)tone) < 200;
            broken += labs((long)(i - begin) - (long)tone) >= 200;
        }
        while (i < n_out && !(fabsf(y[i]) > 0.001F))
            i++;
        begin = i;
    }
    assert_int_equal(broken, 0);
    assert_true(whole >= 5);
    free(x);
    free(y);
}

/* ---- kinds ---------------------------------------------------------------------------------------------------------------- */

/* Every kind that needs nothing installed, from readers: a clip that is speech still, fixed by its seed. */
static void kinds_make_speech(void **state)
{
    (void)state;
    static const lab_kind *const tables[] = {lab_vocoder_kinds, lab_conversion_kinds, lab_splice_kinds};
    vx_audio one = clip_audio("reader1_a.flac"), again = clip_audio("reader1_b.flac"),
             two = clip_audio("reader2_a.flac");
    lab_original original = {.seed = SEED,
                             .voice = {"one", "test", "1", one.samples, 5 * LAB_RATE / 2},
                             .again = {"again", "test", "1", again.samples, again.n},
                             .another = {"two", "test", "2", two.samples, two.n}};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const lab_kind *kind = tables[t]; kind->kind != NULL; kind++) {
            lab_clip clip = {0}, same = {0};
            assert_true(kind->spoof && lab_make(kind, &original, &clip) && lab_make(kind, &original, &same));
            assert_int_equal(clip.n, same.n);
            assert_memory_equal(clip.samples, same.samples, clip.n * sizeof *clip.samples);
            assert_string_equal(clip.parameters, same.parameters);
            assert_non_null(strstr(clip.parameters, "delivery="));
            assert_true(clip.n > LAB_RATE && vx_audio_is_finite(clip.samples, clip.n));
            assert_true(lab_speech_db(clip.samples, clip.n) > -40);
            lab_clip_done(&clip);
            lab_clip_done(&same);
        }
    vx_audio_done(&one);
    vx_audio_done(&again);
    vx_audio_done(&two);
}

/* Silence has no voice to take apart, and one short recording no order to change. */
static void what_holds_no_voice_makes_no_clip(void **state)
{
    (void)state;
    static const char *const kinds[] = {"vocoder_lpc",  "vocoder_hnm",     "vocoder_world",
                                        "convert_warp", "convert_speaker", "splice_words"};
    float *silence = lab_alloc(LAB_RATE, sizeof *silence);
    const lab_original original = {.seed = SEED, .voice = {"silence", "test", "1", silence, LAB_RATE / 2}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lab_clip clip = {0};
        assert_non_null(lab_kind_named(kinds[i]));
        assert_false(lab_make(lab_kind_named(kinds[i]), &original, &clip));
        assert_null(clip.samples);
    }
    free(silence);
}

static void programs_speak(void **state)
{
    (void)state;
    static const char *const kinds[] = {"tts_espeak", "tts_klatt", "tts_flite"};
    float *silence = lab_alloc(LAB_LONGEST + 2 * LAB_MARGIN, sizeof *silence);
    const lab_original original = {.seed = SEED, .voice = {"", "test", "1", silence, LAB_LONGEST + 2 * LAB_MARGIN}};
    int made = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const lab_kind *kind = lab_kind_named(kinds[i]);
        char why[LAB_PARAMETERS] = "";
        assert_non_null(kind);
        if (!kind->ready(why)) {
            print_message("# %s: %s\n", kinds[i], why);
            assert_non_null(strstr(why, "not installed"));
            continue;
        }
        lab_clip clip = {0};
        assert_true(lab_make(kind, &original, &clip));
        assert_int_equal(clip.n, LAB_LONGEST); /* as the longest of those that are cut out of recordings */
        voice v;
        assert_true(voice_of(clip.samples, clip.n, &v));
        voice_done(&v);
        lab_clip_done(&clip);
        made++;
    }
    free(silence);
    if (made == 0)
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spectra_go_back_to_signals),
        cmocka_unit_test(overlapping_frames_add_up),
        cmocka_unit_test(grains_in_their_places_are_the_voice),
        cmocka_unit_test(melody_moves_by_semitones),
        cmocka_unit_test(formants_move_and_the_melody_does_not),
        cmocka_unit_test(time_goes_slower_at_the_same_pitch),
        cmocka_unit_test(tones_go_on_for_longer),
        cmocka_unit_test(steady_harmonics_are_found_again),
        cmocka_unit_test(made_up_phases_give_the_magnitudes),
        cmocka_unit_test(vocoders_keep_melody_formants_and_level),
        cmocka_unit_test(vocoded_speech_is_the_same_person),
        cmocka_unit_test(conversion_moves_towards_the_other_person),
        cmocka_unit_test(splices_change_the_order_of_both),
        cmocka_unit_test(splices_are_made_where_it_is_quiet),
        cmocka_unit_test(kinds_make_speech),
        cmocka_unit_test(what_holds_no_voice_makes_no_clip),
        cmocka_unit_test(programs_speak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
