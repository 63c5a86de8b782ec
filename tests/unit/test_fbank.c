/* test_fbank.c - log-mel features against SpeechBrain's own and against a double-precision oracle.
 * Owns:   accuracy on every instruction set of this machine, every kind of front end, bounds of reads and writes,
 *         refusals. The transform alone is test_fft.c's.
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

#include "shared/audio/fbank.h"
#include "shared/audio/fbank_kernel.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/guard.h"
#include "tests/support/npy.h"

#define RATE 16000
#define SEED 90210u

static const double PI = 3.14159265358979323846;

/* Uniform in [-1, 1). */
static float noise(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 2147483648.0f;
}

/* The first instruction set from isa on that this machine runs. */
static vx_isa next_isa(int isa)
{
    while (isa <= VX_ISA_AVX512 && !vx_isa_available((vx_isa)isa))
        isa++;
    return (vx_isa)isa;
}
#define FOR_EACH_ISA(isa)                                                                                              \
    for (vx_isa isa = next_isa(VX_ISA_SCALAR); (int)isa <= VX_ISA_AVX512; isa = next_isa((int)isa + 1))

static vx_fbank *create(const vx_fbank_params *params, vx_isa isa)
{
    vx_fbank *fbank = NULL;
    vx_errinfo info = {0};
    if (vx_fbank_create(params, isa, &fbank, &info) != VX_OK)
        fail_msg("%s", info.text);
    return fbank;
}

static void *allocate(size_t count, size_t size)
{
    void *data = calloc(count, size);
    assert_non_null(data);
    return data;
}

/* ---- oracle: the definition, in double, with the error that float arithmetic may make of each value -------------- */

typedef struct {
    double *feat;  /* [n_frames, n_bands] */
    double *bound; /* same shape: how far a correct float implementation may be off */
    size_t n_frames;
} oracle;

/* Power spectrum of frame t, and in ret_norm the 2-norm of the whole spectrum. */
static void oracle_power(const vx_fbank_params *p, const double *roots, const float *pcm, size_t n, size_t t,
                         double *ret_power, double *ret_norm)
{
    const int n_fft = p->n_fft;
    double frame[4096], energy = 0;
    for (int i = 0; i < n_fft; i++) {
        const long at = (long)t * p->hop + i - n_fft / 2;
        const double shape = p->window == VX_WINDOW_HAMMING ? 0.54 - 0.46 * roots[2 * i] : 0.5 - 0.5 * roots[2 * i];
        frame[i] = at >= 0 && at < (long)n ? shape * (double)pcm[at] : 0;
        energy += frame[i] * frame[i];
    }
    for (int k = 0; k <= n_fft / 2; k++) {
        double re = 0, im = 0;
        for (int i = 0, at = 0; i < n_fft; i++, at = (at + k) % n_fft) {
            re += frame[i] * roots[2 * at];
            im -= frame[i] * roots[2 * at + 1];
        }
        ret_power[k] = re * re + im * im;
    }
    *ret_norm = sqrt(energy * n_fft);
}

/* Band b of one frame. An error of norm d in the spectrum changes the band's sum S by at most
 * 2 d sqrt(sum w^2 |X|^2) + d^2 (Cauchy-Schwarz); d is fft.h's bound and one rounding for the window. Weights, products
 * and sums add (count + 4) roundings of S. */
static void oracle_band(const vx_fbank_params *p, int b, const double *power, double norm, double *ret_feat,
                        double *ret_bound)
{
    const double low = 2595 * log10(1 + p->f_min / 700), high = 2595 * log10(1 + p->f_max / 700);
    double hz[2], sum = 0, cross = 0, eps = (double)FLT_EPSILON;
    int count = 4;
    for (int i = 0; i < 2; i++)
        hz[i] = 700 * (pow(10, (low + (high - low) * (b + i) / (p->n_bands + 1)) / 2595) - 1);
    for (int k = 0; k <= p->n_fft / 2; k++) {
        const double slope = ((double)k * RATE / p->n_fft - hz[1]) / (hz[1] - hz[0]);
        const double weight = fmax(0, fmin(slope + 1, 1 - slope));
        sum += weight * power[k];
        cross += weight * weight * power[k];
        count += weight > 0;
    }
    const double d = (4 * log2(p->n_fft) + 1) * eps * norm;
    const double change = 2 * d * sqrt(cross) + d * d + count * eps * sum;
    const double scale = p->log_kind == VX_LOG_DB ? 10 : log(10);
    *ret_feat = scale * log10(fmax(sum, p->floor));
    const double up = scale * log10(fmax(sum + change, p->floor)) - *ret_feat;
    const double down = *ret_feat - scale * log10(fmax(sum - change, p->floor));
    *ret_bound = fmax(up, down) + 3e-6 + 2 * eps * fabs(*ret_feat); /* the logarithm's own share */
}

static void oracle_finish(const vx_fbank_params *p, oracle *o)
{
    const size_t n_bands = (size_t)p->n_bands, n_values = o->n_frames * n_bands;
    double max = -DBL_MAX, worst = 0;
    for (size_t i = 0; i < n_values; i++) {
        max = fmax(max, o->feat[i]);
        worst = fmax(worst, o->bound[i]);
    }
    for (size_t i = 0; i < n_values && p->top_db > 0; i++)
        if (o->feat[i] < max - p->top_db + worst) { /* may be at the clip level, which moves with the maximum */
            o->feat[i] = fmax(o->feat[i], max - p->top_db);
            o->bound[i] = worst;
        }
    for (size_t b = 0; b < n_bands && p->subtract_mean; b++) {
        double mean = 0, mean_bound = 0;
        for (size_t t = 0; t < o->n_frames; t++) {
            mean += o->feat[t * n_bands + b] / (double)o->n_frames;
            mean_bound += o->bound[t * n_bands + b] / (double)o->n_frames;
        }
        for (size_t t = 0; t < o->n_frames; t++) {
            o->feat[t * n_bands + b] -= mean;
            o->bound[t * n_bands + b] += mean_bound;
        }
    }
}

static oracle oracle_run(const vx_fbank_params *p, const float *pcm, size_t n)
{
    const size_t n_bands = (size_t)p->n_bands;
    oracle o = {.n_frames = 1 + n / (size_t)p->hop};
    double *roots = allocate(2 * (size_t)p->n_fft, sizeof *roots), power[2049], norm;
    o.feat = allocate(o.n_frames * n_bands, sizeof *o.feat);
    o.bound = allocate(o.n_frames * n_bands, sizeof *o.bound);
    for (int i = 0; i < p->n_fft; i++) {
        roots[2 * i] = cos(2 * PI * i / p->n_fft);
        roots[2 * i + 1] = sin(2 * PI * i / p->n_fft);
    }
    for (size_t t = 0; t < o.n_frames; t++) {
        oracle_power(p, roots, pcm, n, t, power, &norm);
        for (size_t b = 0; b < n_bands; b++)
            oracle_band(p, (int)b, power, norm, &o.feat[t * n_bands + b], &o.bound[t * n_bands + b]);
    }
    oracle_finish(p, &o);
    free(roots);
    return o;
}

static void oracle_done(oracle *o)
{
    free(o->feat);
    free(o->bound);
}

/* feat: [n_bands, ld] */
static void check_against(const oracle *o, const vx_fbank_params *p, vx_isa isa, size_t n, const float *feat, size_t ld)
{
    for (size_t t = 0; t < o->n_frames; t++)
        for (size_t b = 0; b < (size_t)p->n_bands; b++) {
            const size_t at = t * (size_t)p->n_bands + b;
            const double got = (double)feat[b * ld + t];
            if (!(fabs(got - o->feat[at]) <= o->bound[at]))
                fail_msg("%s, n %zu, frame %zu, band %zu: %.7g, exact %.7g, bound %.2g", vx_isa_name(isa), n, t, b, got,
                         o->feat[at], o->bound[at]);
        }
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

/* 16-bit mono WAV with the plain 44-byte header, as the golden clips are. */
static float *read_clip(const char *path, size_t *ret_n)
{
    enum { CAP = 200000, HEADER = 44 };
    int16_t *raw = allocate(CAP, sizeof *raw);
    float *samples = allocate(CAP, sizeof *samples);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, HEADER, SEEK_SET), 0);
    *ret_n = fread(raw, sizeof *raw, CAP, file);
    fclose(file);
    for (size_t i = 0; i < *ret_n; i++)
        samples[i] = (float)raw[i] / 32768.0f;
    free(raw);
    return samples;
}

/* SpeechBrain computes in float too: 5e-3 dB covers its own rounding in bands far below the frame's peak. */
static void test_golden(void **state)
{
    (void)state;
    const vx_fbank_params params = vx_fbank_params_default();
    for (const char *clip = "abc"; *clip != '\0'; clip++) {
        char path[64];
        npy want = {0};
        size_t n;
        snprintf(path, sizeof path, "tests/data/golden/%c.wav", *clip);
        float *samples = read_clip(path, &n);
        snprintf(path, sizeof path, "tests/data/golden/%c.features.npy", *clip);
        assert_true(npy_load(path, &want));
        oracle exact = oracle_run(&params, samples, n);
        FOR_EACH_ISA(isa)
        {
            vx_fbank *fbank = create(&params, isa);
            const size_t n_frames = vx_fbank_frames(fbank, n);
            float *feat = allocate(80 * n_frames, sizeof *feat);
            assert_int_equal(want.n_dims, 2);
            assert_int_equal(want.shape[0], n_frames);
            assert_int_equal(want.shape[1], vx_fbank_bands(fbank));
            assert_int_equal(vx_fbank_compute(fbank, samples, n, feat, n_frames), VX_OK);
            double worst = 0, worst_exact = 0;
            for (size_t i = 0; i < want.n_values; i++) {
                const double got = (double)feat[i % 80 * n_frames + i / 80];
                worst = fmax(worst, fabs(got - (double)want.data[i]));
                worst_exact = fmax(worst_exact, fabs(got - exact.feat[i]));
            }
            print_message("# %c %s: within %.2g dB of SpeechBrain, %.2g dB of exact\n", *clip, vx_isa_name(isa), worst,
                          worst_exact);
            assert_true(worst < 5e-3);
            check_against(&exact, &params, isa, n, feat, n_frames);
            free(feat);
            vx_fbank_destroy(fbank);
        }
        oracle_done(&exact);
        npy_done(&want);
        free(samples);
    }
}

/* n_fft, hop, window, bands, f_min, f_max, log, floor, top_db, mean */
static const vx_fbank_params fronts[] = {
    {400, 160, 400, VX_WINDOW_HAMMING, 80, 0, 8000, VX_LOG_DB, 1e-10, 80, 1},
    {400, 160, 400, VX_WINDOW_HAMMING, 80, 0, 8000, VX_LOG_DB, 1e-10, 20, 1}, /* much is clipped */
    {400, 160, 400, VX_WINDOW_HAMMING, 80, 0, 8000, VX_LOG_DB, 1e-10, 0, 0},
    {512, 160, 512, VX_WINDOW_HANN, 40, 20, 7600, VX_LOG_NATURAL, 1e-6, 0, 0},
    {480, 240, 480, VX_WINDOW_HANN, 64, 50, 8000, VX_LOG_NATURAL, 1e-10, 0, 1},
    {64, 1, 64, VX_WINDOW_HAMMING, 1, 0, 8000, VX_LOG_DB, 1e-10, 80, 1},
    {90, 90, 90, VX_WINDOW_HANN, 12, 0, 4000, VX_LOG_DB, 1e-4, 60, 1}, /* no multiple of any vector, odd half */
    {250, 100, 250, VX_WINDOW_HAMMING, 23, 300, 3400, VX_LOG_DB, 1e-10, 80, 1},
    {1024, 256, 1024, VX_WINDOW_HANN, 256, 0, 8000, VX_LOG_NATURAL, 1e-10, 0, 1}, /* bands without a bin */
    {4096, 1000, 4096, VX_WINDOW_HAMMING, 80, 0, 8000, VX_LOG_DB, 1, 80, 0},
};

/* A tone over noise, so that bands differ by 60 dB and their weak ones are held to the bound too. */
static void test_front_ends(void **state)
{
    (void)state;
    enum { N = 5003 };
    uint32_t seed = SEED;
    float pcm[N];
    print_message("# seed %u\n", SEED);
    for (size_t i = 0; i < N; i++)
        pcm[i] = 0.5f * sinf(0.3f * (float)i) + 1e-3f * noise(&seed);
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
        const size_t n = fronts[i].hop == 1 ? 200 : N;
        oracle exact = oracle_run(&fronts[i], pcm, n);
        FOR_EACH_ISA(isa)
        {
            vx_fbank *fbank = create(&fronts[i], isa);
            const size_t ld = vx_fbank_frames(fbank, n) + i % 3, n_bands = (size_t)vx_fbank_bands(fbank);
            float *feat = allocate(n_bands * ld, sizeof *feat);
            for (size_t at = 0; at < n_bands * ld; at++)
                feat[at] = 12345.0f;
            assert_int_equal(vx_fbank_compute(fbank, pcm, n, feat, ld), VX_OK);
            check_against(&exact, &fronts[i], isa, n, feat, ld);
            for (size_t at = 0; at < n_bands * ld; at++)
                assert_true(at % ld < exact.n_frames || feat[at] == 12345.0f); /* columns beyond are left alone */
            free(feat);
            vx_fbank_destroy(fbank);
        }
        oracle_done(&exact);
    }
}

/* Every length up to 2,000, with signal and features ending where memory ends: all numbers of tail lanes, edge
 * frames on both sides at once, every alignment. */
static void check_lengths(const vx_fbank_params *params, size_t step)
{
    enum { N = 2000 };
    uint32_t seed = SEED;
    float pcm[N];
    for (size_t i = 0; i < N; i++)
        pcm[i] = noise(&seed);
    for (size_t n = 1; n <= N; n += step) {
        oracle exact = oracle_run(params, pcm, n);
        guard in = guard_alloc(n * sizeof(float));
        guard out = guard_alloc((size_t)params->n_bands * exact.n_frames * sizeof(float));
        memcpy(in.data, pcm, n * sizeof(float));
        FOR_EACH_ISA(isa)
        {
            vx_fbank *fbank = create(params, isa);
            assert_int_equal(vx_fbank_frames(fbank, n), exact.n_frames);
            assert_int_equal(vx_fbank_compute(fbank, in.data, n, out.data, exact.n_frames), VX_OK);
            check_against(&exact, params, isa, n, out.data, exact.n_frames);
            vx_fbank_destroy(fbank);
        }
        guard_free(&in);
        guard_free(&out);
        oracle_done(&exact);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    vx_fbank_params small = vx_fbank_params_default();
    small.window_len = small.n_fft = 90;
    small.hop = 37;
    small.n_bands = 5;
    print_message("# seed %u\n", SEED);
    check_lengths(&small, 1);
    const vx_fbank_params usual = vx_fbank_params_default();
    check_lengths(&usual, 61);
}

/* One object, many clips: nothing of a long one shows in a short one after it. */
static void test_reuse(void **state)
{
    (void)state;
    enum { N = 3000 };
    uint32_t seed = SEED;
    float pcm[N], first[80 * 4], again[80 * 4], other[80 * (1 + N / 160)];
    for (size_t i = 0; i < N; i++)
        pcm[i] = noise(&seed);
    const vx_fbank_params params = vx_fbank_params_default();
    FOR_EACH_ISA(isa)
    {
        vx_fbank *fbank = create(&params, isa);
        assert_int_equal(vx_fbank_compute(fbank, pcm, 500, first, 4), VX_OK);
        assert_int_equal(vx_fbank_compute(fbank, pcm + 7, N - 7, other, 1 + N / 160), VX_OK);
        assert_int_equal(vx_fbank_compute(fbank, pcm, 500, again, 4), VX_OK);
        assert_memory_equal(first, again, sizeof first);
        vx_fbank_destroy(fbank);
    }
}

static void test_silence(void **state)
{
    (void)state;
    enum { N = 4000, FRAMES = 26 };
    static const float pcm[N];
    float feat[80 * FRAMES];
    vx_fbank_params params = vx_fbank_params_default();
    for (params.subtract_mean = 0; params.subtract_mean <= 1; params.subtract_mean++)
        FOR_EACH_ISA(isa)
        {
            vx_fbank *fbank = create(&params, isa);
            assert_int_equal(vx_fbank_compute(fbank, pcm, N, feat, FRAMES), VX_OK);
            for (size_t i = 0; i < sizeof feat / sizeof *feat; i++)
                assert_true(fabsf(feat[i] - (params.subtract_mean ? 0.0f : -100.0f)) < 2e-5f); /* 10 log10(1e-10) */
            vx_fbank_destroy(fbank);
        }
}

/* The least and the largest that is accepted still gives numbers. */
static void test_extremes(void **state)
{
    (void)state;
    enum { N = 5000 };
    static const float levels[] = {1e-45f, 1e-38f, 1e-20f, 1.0f, VX_FBANK_PEAK_MAX};
    static float pcm[N], feat[256 * (1 + N / 64)];
    for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++)
        for (size_t level = 0; level < sizeof levels / sizeof *levels; level++)
            FOR_EACH_ISA(isa)
            {
                vx_fbank *fbank = create(&fronts[i], isa);
                const size_t n = fronts[i].hop < 64 ? 78 : N, n_frames = vx_fbank_frames(fbank, n);
                for (size_t at = 0; at < n; at++)
                    pcm[at] = at / 8 % 2 == 0 ? levels[level] : -levels[level];
                assert_int_equal(vx_fbank_compute(fbank, pcm, n, feat, n_frames), VX_OK);
                for (size_t at = 0; at < n_frames * (size_t)fronts[i].n_bands; at++)
                    assert_true(isfinite(feat[at]));
                vx_fbank_destroy(fbank);
            }
}

static void test_refused_audio(void **state)
{
    (void)state;
    enum { N = 333, FRAMES = 3 };
    const struct {
        float value;
        vx_err err;
    } cases[] = {
        {NAN, VX_ERR_AUDIO_NOT_FINITE},
        {-NAN, VX_ERR_AUDIO_NOT_FINITE},
        {INFINITY, VX_ERR_AUDIO_NOT_FINITE},
        {-INFINITY, VX_ERR_AUDIO_NOT_FINITE},
        {1.001f * VX_FBANK_PEAK_MAX, VX_ERR_AUDIO_SCALE},
        {-FLT_MAX, VX_ERR_AUDIO_SCALE},
    };
    const vx_fbank_params params = vx_fbank_params_default();
    FOR_EACH_ISA(isa)
    {
        vx_fbank *fbank = create(&params, isa);
        float pcm[N] = {0}, feat[80 * FRAMES], before[80 * FRAMES];
        memset(feat, 0x5a, sizeof feat);
        memcpy(before, feat, sizeof feat);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (size_t at = 0; at < N; at++) {
                pcm[at] = cases[i].value;
                assert_int_equal(vx_fbank_compute(fbank, pcm, N, feat, FRAMES), cases[i].err);
                pcm[at] = 0;
            }
        assert_int_equal(vx_fbank_compute(fbank, pcm, 0, feat, FRAMES), VX_ERR_AUDIO_EMPTY);
        assert_int_equal(vx_fbank_compute(fbank, pcm, N, feat, FRAMES - 1), VX_ERR_ARG);
        assert_memory_equal(feat, before, sizeof feat);
        vx_fbank_destroy(fbank);
    }
}

static void test_refused_params(void **state)
{
    (void)state;
    static const struct {
        vx_fbank_params params;
        const char *names; /* what the message must name */
    } cases[] = {
        {{400, 160, 512, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "window_len"},
        {{62, 10, 62, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{60, 10, 60, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{4320, 160, 4320, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{405, 160, 405, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{448, 160, 448, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{-400, 160, -400, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "n_fft"},
        {{400, 0, 400, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "hop"},
        {{400, 401, 400, 0, 80, 0, 8000, 0, 1e-10, 80, 1}, "hop"},
        {{400, 160, 400, (vx_window)2, 80, 0, 8000, 0, 1e-10, 80, 1}, "window"},
        {{400, 160, 400, 0, 0, 0, 8000, 0, 1e-10, 80, 1}, "n_bands"},
        {{400, 160, 400, 0, 257, 0, 8000, 0, 1e-10, 80, 1}, "n_bands"},
        {{400, 160, 400, 0, 80, -1, 8000, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, NAN, 8000, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, 0, NAN, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, 0, 8001, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, 4000, 4000, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, 4000, 300, 0, 1e-10, 80, 1}, "bands from"},
        {{400, 160, 400, 0, 80, 0, 8000, (vx_log_kind)2, 1e-10, 80, 1}, "log_kind"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, 0, 80, 1}, "floor"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, 1e-40, 80, 1}, "floor"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, NAN, 80, 1}, "floor"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, INFINITY, 80, 1}, "floor"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, 1e-10, -1, 1}, "top_db"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, 1e-10, NAN, 1}, "top_db"},
        {{400, 160, 400, 0, 80, 0, 8000, 0, 1e-10, INFINITY, 1}, "top_db"},
        {{400, 160, 400, 0, 80, 0, 8000, VX_LOG_NATURAL, 1e-10, 80, 1}, "top_db"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_fbank *fbank = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_fbank_create(&cases[i].params, VX_ISA_SCALAR, &fbank, &info), VX_ERR_RANGE);
        assert_null(fbank);
        assert_int_equal(info.code, VX_ERR_RANGE);
        if (strncmp(info.text, cases[i].names, strlen(cases[i].names)) != 0)
            fail_msg("case %zu: '%s' does not begin with '%s'", i, info.text, cases[i].names);
        assert_int_equal(vx_fbank_create(&cases[i].params, VX_ISA_SCALAR, &fbank, NULL), VX_ERR_RANGE);
    }
}

static void test_unavailable_isa(void **state)
{
    (void)state;
    const vx_fbank_params params = vx_fbank_params_default();
    int n_refused = 0;
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_AVX512 + 1; isa++) {
        vx_fbank *fbank = NULL;
        vx_errinfo info = {0};
        if (vx_isa_available((vx_isa)isa))
            continue;
        assert_int_equal(vx_fbank_create(&params, (vx_isa)isa, &fbank, &info), VX_ERR_UNSUPPORTED);
        assert_null(fbank);
        n_refused++;
    }
    assert_true(n_refused >= 2); /* no machine has both NEON and AVX2, and the last is no instruction set */
    vx_fbank_destroy(NULL);
}

/* Mantissas of one octave around 1, then the exponents of all normal floats; the bound is the one in fbank_kernel.h. */
static void test_log2(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    float *values = allocate(N, sizeof *values), *logs = allocate(N, sizeof *logs);
    for (int sweep = 0; sweep < 2; sweep++) {
        for (uint32_t i = 0; i < N; i++) {
            const uint32_t bits =
                sweep == 0 ? 0x3f000000u + i * 16 + i % 13 : 0x00800000u + i % 254 * 0x00800000u + i * 8;
            memcpy(&values[i], &bits, sizeof bits);
        }
        FOR_EACH_ISA(isa)
        {
            double worst = 0;
            memcpy(logs, values, N * sizeof *logs);
            vx_fbank_kernel_for(isa)->log2(logs, N);
            for (size_t i = 0; i < N; i++) {
                const double exact = log2((double)values[i]);
                const double error = fabs((double)logs[i] - exact) - (double)FLT_EPSILON / 2 * fabs(exact);
                worst = error > worst ? error : worst;
            }
            print_message("# log2 %s: %.2g beyond half a unit\n", vx_isa_name(isa), worst);
            assert_true(worst < 2.5e-7);
        }
    }
    free(values);
    free(logs);
}

static vx_err attempt_create(void *ctx)
{
    vx_fbank *fbank = NULL;
    vx_err err = vx_fbank_create(ctx, vx_isa_best(), &fbank, NULL);
    vx_fbank_destroy(fbank);
    return err;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    vx_fbank_params params = vx_fbank_params_default();
    vx_alloc_fail_each(attempt_create, &params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_front_ends),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_refused_audio),
        cmocka_unit_test(test_refused_params),
        cmocka_unit_test(test_unavailable_isa),
        cmocka_unit_test(test_log2),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
