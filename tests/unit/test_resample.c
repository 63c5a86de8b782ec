/* test_resample.c - resampling measured: gain, aliases and images, length, cuts of the input. */
#include "shared/audio/resample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/audio/audio.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/encode.h"

#define TWO_PI 6.283185307179586

static const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000};
#define N_RATES (sizeof rates / sizeof *rates)

/* xorshift: the same numbers everywhere. */
static uint32_t next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Resamples x, cut in pieces of `piece` samples (0: of random size below 500), and returns the samples. */
static float *convert(int rate, const float *x, size_t n, size_t piece, uint32_t seed, size_t *ret_n)
{
    vx_resampler *r = NULL;
    assert_int_equal(vx_resampler_create(rate, &r), VX_OK);
    float *out = malloc((n * 2 + 16) * sizeof *out);
    assert_non_null(out);
    size_t total = 0;
    for (size_t at = 0, got; at < n; total += got) {
        size_t want = piece ? piece : 1 + next(&seed) % 499;
        if (want > n - at)
            want = n - at;
        assert_int_equal(vx_resampler_process(r, x + at, want, out + total, vx_resampler_cap(r, want), &got), VX_OK);
        at += want;
    }
    size_t got = 0;
    assert_int_equal(vx_resampler_process(r, NULL, 0, out + total, vx_resampler_cap(r, 0), &got), VX_OK);
    vx_resampler_destroy(r);
    *ret_n = total + got;
    return out;
}

/* Fits a cos + b sin of frequency hz to the middle half of x.
 * Returns amplitude; ret_rest: RMS of what is left; ret_phase: of the sine at sample 0, radians */
static double fit(const float *x, size_t n, double hz, double *ret_rest, double *ret_phase)
{
    const double w = TWO_PI * hz / VX_AUDIO_RATE;
    double cc = 0, cs = 0, ss = 0, xc = 0, xs = 0;
    size_t from = n / 4, to = n - n / 4;
    for (size_t i = from; i < to; i++) {
        double c = cos(w * (double)i), s = sin(w * (double)i), v = (double)x[i];
        cc += c * c, cs += c * s, ss += s * s, xc += v * c, xs += v * s;
    }
    double det = cc * ss - cs * cs, a = (xc * ss - xs * cs) / det, b = (xs * cc - xc * cs) / det, rest = 0;
    for (size_t i = from; i < to; i++) {
        double e = (double)x[i] - a * cos(w * (double)i) - b * sin(w * (double)i);
        rest += e * e;
    }
    *ret_rest = sqrt(rest / (double)(to - from));
    *ret_phase = atan2(a, b);
    return sqrt(a * a + b * b);
}

/* Tones in the pass band keep level and place, and nothing is added: images of 8 kHz input included. */
static void passband_is_flat_and_clean(void **state)
{
    (void)state;
    static const double tones[] = {60, 300, 1000, 2500, 3400, 4300, 5500, 6500, 7200};
    for (size_t r = 0; r < N_RATES; r++) {
        for (size_t t = 0; t < sizeof tones / sizeof *tones; t++) {
            if (tones[t] > 0.45 * rates[r])
                continue;
            size_t n = (size_t)rates[r] / 2, n_out;
            float *x = encode_tone(n, rates[r], 1, tones[t], 0.5);
            assert_non_null(x);
            float *y = convert(rates[r], x, n, 4096, 0, &n_out);
            double rest, phase, gain = 20 * log10(fit(y, n_out, tones[t], &rest, &phase) / 0.5);
            double noise = 20 * log10(rest / 0.5 + 1e-12);
            if (fabs(gain) > 0.1 || noise > -90 || fabs(phase) > 1e-3)
                fail_msg("%d Hz, tone %.0f Hz: gain %.3f dB, rest %.1f dB, phase %.5f", rates[r], tones[t], gain, noise,
                         phase);
            free(x);
            free(y);
        }
    }
}

/* Tones above 8 kHz must not come back below it. */
static void aliases_are_gone(void **state)
{
    (void)state;
    static const double tones[] = {8050, 8300, 9000, 10000, 12000, 15900, 16100, 20000, 23000, 40000, 90000};
    for (size_t r = 0; r < N_RATES; r++) {
        for (size_t t = 0; t < sizeof tones / sizeof *tones; t++) {
            if (tones[t] >= 0.49 * rates[r])
                continue;
            size_t n = (size_t)rates[r] / 2, n_out;
            float *x = encode_tone(n, rates[r], 1, tones[t], 0.5);
            assert_non_null(x);
            float *y = convert(rates[r], x, n, 4096, 0, &n_out);
            double level = vx_audio_level_dbfs(y + n_out / 4, n_out / 2) - 20 * log10(0.5 / sqrt(2));
            if (level > -90)
                fail_msg("%d Hz, tone %.0f Hz: comes back at %.1f dB", rates[r], tones[t], level);
            free(x);
            free(y);
        }
    }
}

static void length_is_that_of_the_input(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 2, 159, 1000, 2400, 4097, 13230, 48000};
    static float x[48000];
    for (size_t i = 0; i < 48000; i++)
        x[i] = 0.1f;
    for (size_t r = 0; r < N_RATES; r++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            size_t n_out, due = (size_t)llround((double)lengths[l] * VX_AUDIO_RATE / rates[r]);
            float *y = convert(rates[r], x, lengths[l], 1000, 0, &n_out);
            if (n_out != due)
                fail_msg("%zu samples at %d Hz: %zu out instead of %zu", lengths[l], rates[r], n_out, due);
            assert_true(vx_audio_is_finite(y, n_out));
            free(y);
        }
    }
}

static void cuts_change_nothing(void **state)
{
    (void)state;
    uint32_t seed = 20260131;
    print_message("# seed %u\n", seed);
    static float x[6000];
    for (size_t i = 0; i < 6000; i++)
        x[i] = (float)(int32_t)next(&seed) / 2147483648.0f;
    for (size_t r = 0; r < N_RATES; r++) {
        size_t n_whole, n;
        float *whole = convert(rates[r], x, 6000, 6000, 0, &n_whole);
        for (size_t piece = 0; piece < 3; piece++) { /* random, single samples, pairs */
            float *y = convert(rates[r], x, 6000, piece, seed + (uint32_t)r, &n);
            assert_int_equal(n, n_whole);
            if (memcmp(y, whole, n * sizeof *y) != 0)
                fail_msg("%d Hz: pieces of %zu change the output", rates[r], piece);
            free(y);
        }
        free(whole);
    }
}

static void contract_is_kept(void **state)
{
    (void)state;
    static const int bad[] = {-1, 0, 1, 7999, 192001, 2147483647};
    float x[64] = {0}, y[65];
    size_t n = 77;
    vx_resampler *r = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vx_resampler_create(bad[i], &r), VX_ERR_AUDIO_RATE);
        assert_null(r);
    }
    vx_resampler_destroy(NULL);
    assert_int_equal(vx_resampler_create(8000, &r), VX_OK);
    assert_int_equal(vx_resampler_cap(r, 32), 65);
    assert_int_equal(vx_resampler_process(r, x, 32, y, 64, &n), VX_ERR_INTERNAL); /* no room */
    assert_int_equal(n, 77);
    assert_int_equal(vx_resampler_process(r, x, 32, y, 65, &n), VX_OK);
    assert_true(n <= 64);
    assert_int_equal(vx_resampler_cap(r, 0), 64 - n); /* what is delayed is still due */
    assert_int_equal(vx_resampler_process(r, NULL, 0, y, 64, &n), VX_OK);
    assert_int_equal(vx_resampler_process(r, x, 32, y, 65, &n), VX_ERR_INTERNAL); /* input after its end */
    vx_resampler_destroy(r);
}

static vx_err attempt(void *ctx)
{
    (void)ctx;
    vx_resampler *r = NULL;
    vx_err err = vx_resampler_create(44100, &r);
    vx_resampler_destroy(r);
    return err;
}

static void create_survives_lack_of_memory(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(attempt, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passband_is_flat_and_clean),
        cmocka_unit_test(aliases_are_gone),
        cmocka_unit_test(length_is_that_of_the_input),
        cmocka_unit_test(cuts_change_nothing),
        cmocka_unit_test(contract_is_kept),
        cmocka_unit_test(create_survives_lack_of_memory),
    };
    return cmocka_run_group_tests_name("resample", tests, NULL, NULL);
}
