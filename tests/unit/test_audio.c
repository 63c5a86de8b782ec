/* test_audio.c - level, finiteness and release of canonical audio. */
#include "shared/audio/audio.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/bytes.h"

static void level_of_known_signals(void **state)
{
    (void)state;
    static const struct {
        float value; /* n samples of it, signs alternating */
        size_t n;
        double dbfs;
    } cases[] = {
        {1.0f, 1, 0.0},           {1.0f, 4800, 0.0},      {0.5f, 4800, -6.020599913},
        {0.1f, 960000, -20.0},    {0.0f, 4800, -120.0},   {0.5f, 0, -120.0},
        {1e-5f, 960000, -100.0},  {1e-7f, 4800, -120.0},  {3.05e-5f, 16000, -90.31},
        {8.0f, 100, 18.06179974}, {1e-30f, 4800, -120.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *x = malloc((cases[i].n + 1) * sizeof *x);
        assert_non_null(x);
        for (size_t k = 0; k < cases[i].n; k++)
            x[k] = k & 1 ? -cases[i].value : cases[i].value;
        double got = vx_audio_level_dbfs(x, cases[i].n);
        if (fabs(got - cases[i].dbfs) > 0.005)
            fail_msg("case %zu: %.4f dBFS instead of %.4f", i, got, cases[i].dbfs);
        free(x);
    }
    assert_true(vx_audio_level_dbfs(NULL, 0) == -120.0);
}

/* Half a second of whisper in a minute of silence: the sum must not lose it, whatever the order. */
static void level_does_not_depend_on_order(void **state)
{
    (void)state;
    const size_t n = 960000;
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = i < 16 ? 1.0f : 1e-4f;
    double loud_first = vx_audio_level_dbfs(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] = i >= n - 16 ? 1.0f : 1e-4f;
    double loud_last = vx_audio_level_dbfs(x, n);
    const double exact = 10 * log10((16.0 + (double)(n - 16) * 1e-4f * 1e-4f) / (double)n);
    assert_true(fabs(loud_first - exact) < 1e-6 && fabs(loud_last - exact) < 1e-6);
    free(x);
}

static void finite_finds_each_kind_at_each_place(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f800001u, 0xffffffffu};
    static const uint32_t good[] = {0, 0x80000000u, 1, 0x7f7fffffu, 0xff7fffffu, 0x00800000u, 0x3f800000u};
    float x[37];
    assert_true(vx_audio_is_finite(NULL, 0));
    for (size_t n = 1; n <= 37; n++) {
        for (size_t i = 0; i < n; i++)
            memcpy(&x[i], &good[i % (sizeof good / sizeof *good)], sizeof *x);
        assert_true(vx_audio_is_finite(x, n));
        for (size_t i = 0; i < n; i++) {
            float saved = x[i];
            memcpy(&x[i], &bad[(i + n) % (sizeof bad / sizeof *bad)], sizeof *x);
            assert_false(vx_audio_is_finite(x, n));
            float other = x[0];
            memcpy(&x[0], &bad[n % (sizeof bad / sizeof *bad)], sizeof *x);
            assert_false(vx_audio_is_finite(x, n)); /* two do not make it good again */
            x[0] = other;
            x[i] = saved;
        }
    }
}

static void done_leaves_nothing(void **state)
{
    (void)state;
    static const vx_audio zero;
    vx_audio audio = {.samples = malloc(100 * sizeof(float)), .n = 100, .format = "wav", .seconds = 1};
    assert_non_null(audio.samples);
    vx_audio_done(&audio);
    assert_memory_equal(&audio, &zero, sizeof zero);
    vx_audio_done(&audio);
    vx_audio_done(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_of_known_signals),
        cmocka_unit_test(level_does_not_depend_on_order),
        cmocka_unit_test(finite_finds_each_kind_at_each_place),
        cmocka_unit_test(done_leaves_nothing),
    };
    return cmocka_run_group_tests_name("audio", tests, NULL, NULL);
}
