/* test_quality.c - measures of recordings whose measures are known, the bounds, and what a person is told.
 * How the bounds were chosen is in docs/vad.md, how true the measures are on much speech in tests/bench/bench_quality.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/capture/quality.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/speech_mix.h"
#include "tests/support/stats.h"

enum { RATE = 16000 };
#define SEED 11u

static const char *const CLIPS[] = {"reader1_a.flac", "reader1_b.flac", "reader2_a.flac", "reader2_b.flac",
                                    "reader3_a.flac", "reader3_b.flac", "reader4_a.flac", "reader4_b.flac"};
enum { N_CLIPS = sizeof CLIPS / sizeof *CLIPS };

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-52 - 1;
}

static vx_quality measure(const float *samples, size_t n, vx_span *ret_span)
{
    vx_quality quality = {0};
    vx_span span;
    assert_int_equal(vx_quality_measure(samples, n, &span, &quality), VX_OK);
    assert_true(span.begin <= span.end && span.end <= n);
    assert_true(quality.score >= 0 && quality.score <= 1);
    assert_true(quality.speech_share >= 0 && quality.speech_share <= 1);
    if (ret_span != NULL)
        *ret_span = span;
    return quality;
}

/* Mean power of the frames that the rule of docs/vad.md calls speech. */
static double speech_power(const vx_audio *audio, size_t *ret_n_speech)
{
    const size_t n_frames = audio->n / MIX_FRAME;
    double *powers = calloc(n_frames, sizeof *powers), sum = 0;
    bool *speech = calloc(n_frames, sizeof *speech);
    assert_true(powers != NULL && speech != NULL);
    mix_powers(audio->samples, n_frames, powers);
    mix_label(powers, n_frames, speech);
    size_t n = 0;
    for (size_t t = 0; t < n_frames; t++)
        if (speech[t]) {
            sum += powers[t];
            n++;
        }
    free(powers);
    free(speech);
    *ret_n_speech = n;
    return sum / (double)n;
}

/* A recording with a second of silence at both ends, at a level, in white noise. Freed by the caller. */
static float *noisy(const vx_audio *audio, double gain_db, double noise_power, size_t *ret_n)
{
    uint64_t state = SEED;
    const size_t n = audio->n + 2 * RATE;
    float *samples = calloc(n, sizeof *samples);
    assert_non_null(samples);
    const double peak = sqrt(3 * noise_power); /* of uniform noise */
    for (size_t i = 0; i < n; i++) {
        const double voice = i >= RATE && i < RATE + audio->n ? (double)audio->samples[i - RATE] : 0;
        samples[i] = (float)(pow(10, gain_db / 20) * voice + peak * uniform(&state));
    }
    *ret_n = n;
    return samples;
}

static void readers_are_good_enough(void **state)
{
    (void)state;
    for (size_t c = 0; c < N_CLIPS; c++) {
        vx_audio audio = clip_audio(CLIPS[c]);
        size_t n_speech;
        const double level = 10 * log10(speech_power(&audio, &n_speech));
        vx_span span;
        const vx_quality q = measure(audio.samples, audio.n, &span);
        vx_errinfo info = {0};
        for (int use = 0; use < 2; use++)
            if (vx_quality_judge(&q, (vx_quality_use)use, &info) != VX_OK)
                fail_msg("%s: %s", CLIPS[c], info.text);
        if (fabs(q.speech_s - (double)n_speech / 100) > 0.25 * q.speech_s || fabs(q.speech_dbfs - level) > 1.5)
            fail_msg("%s: %.2f s of speech at %.1f dBFS, expected %.2f s at %.1f dBFS", CLIPS[c], q.speech_s,
                     q.speech_dbfs, (double)n_speech / 100, level);
        assert_true(fabs(q.seconds - audio.seconds) < 1e-9);
        assert_true(q.clipped_share <= 0 && q.snr_db > 15 && q.noise_dbfs < q.speech_dbfs - 15);
        assert_true((double)(span.end - span.begin) / RATE > q.speech_s);
        vx_audio_done(&audio);
    }
}

static void the_utterance_is_found(void **state)
{
    (void)state;
    vx_audio audio = clip_audio(CLIPS[1]);
    size_t n;
    float *samples = noisy(&audio, 0, 1e-4, &n);
    vx_span alone, within;
    const vx_quality of_alone = measure(audio.samples, audio.n, &alone);
    const vx_quality q = measure(samples, n, &within);
    /* A second later than in the recording alone, where its own edges are what limits the padding. */
    assert_true(llabs((long long)within.begin - (long long)alone.begin - RATE) <= RATE / 4);
    assert_true(llabs((long long)within.end - (long long)alone.end - RATE) <= RATE / 4);
    assert_true(fabs(q.noise_dbfs + 40) < 0.5);
    /* From first to last word, whatever lies around. */
    assert_true(fabs(q.speech_share - of_alone.speech_share) < 0.1);
    free(samples);
    vx_audio_done(&audio);
}

/* A word that is missed takes from the speech and adds to the background, so that one recording may be off by more than
 * most are. */
static void snr_is_measured(void **state)
{
    (void)state;
    static const double snrs_db[] = {20, 15, 10, 5, 0};
    for (size_t i = 0; i < sizeof snrs_db / sizeof *snrs_db; i++) {
        double off[N_CLIPS];
        for (size_t c = 0; c < N_CLIPS; c++) {
            vx_audio audio = clip_audio(CLIPS[c]);
            size_t n_speech, n;
            const double power = speech_power(&audio, &n_speech);
            /* What is added comes on top of the room that the reader sat in. */
            const double room = pow(10, -measure(audio.samples, audio.n, NULL).snr_db / 10);
            const double expected = -10 * log10(pow(10, -snrs_db[i] / 10) + room);
            float *samples = noisy(&audio, 0, power * pow(10, -snrs_db[i] / 10), &n);
            const double measured = measure(samples, n, NULL).snr_db;
            off[c] = fabs(measured - expected);
            if (off[c] > 5)
                fail_msg("%s at %.1f dB: measured %.1f dB", CLIPS[c], expected, measured);
            free(samples);
            vx_audio_done(&audio);
        }
        const double median = stats_spread(off, N_CLIPS).median;
        if (median > 2)
            fail_msg("at %.0f dB: median error %.1f dB", snrs_db[i], median);
    }
}

/* ---- recordings that are refused, for what is wrong with them -------------------------------------------------------- */

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    vx_audio audio = clip_audio(CLIPS[0]);
    size_t n_speech, n;
    const double power = speech_power(&audio, &n_speech);
    static const struct {
        const char *what;
        double gain_db, snr_db, from_s, to_s; /* of the recording with its second of silence */
        float clip;                           /* peak */
        vx_err err;
        const char *hint;
    } cases[] = {
        {"nothing wrong", 0, 30, 0, 5, 1, VX_OK, ""},
        {"noise alone", -200, 30, 0, 5, 1, VX_ERR_AUDIO_NO_SPEECH, "microphone"},
        {"one syllable", 0, 30, 0, 1.75, 1, VX_ERR_AUDIO_SHORT, "longer"},
        {"far away", -45, 30, 0, 5, 1, VX_ERR_AUDIO_QUIET, "closer"},
        {"overdriven", 30, 30, 0, 5, 1, VX_ERR_AUDIO_CLIPPED, "down"},
        {"in noise", 0, -1, 0, 5, 1, VX_ERR_AUDIO_NOISY, "quieter"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double loud = power * pow(10, fmax(cases[i].gain_db, -60) / 10);
        float *samples = noisy(&audio, cases[i].gain_db, loud * pow(10, -cases[i].snr_db / 10), &n);
        for (size_t k = 0; k < n; k++)
            samples[k] = fmaxf(-cases[i].clip, fminf(cases[i].clip, samples[k]));
        const size_t from = (size_t)(cases[i].from_s * RATE), to = (size_t)(cases[i].to_s * RATE);
        vx_span span;
        const vx_quality q = measure(samples + from, (to < n ? to : n) - from, &span);
        for (int use = 0; use < 2; use++) {
            vx_errinfo info = {0};
            const vx_err err = vx_quality_judge(&q, (vx_quality_use)use, &info);
            if (err != cases[i].err || strstr(info.text, cases[i].hint) == NULL)
                fail_msg("%s: %s: %s (%.2f s, %.1f dBFS, %.1f dB, %.3f clipped)", cases[i].what, vx_err_code(err),
                         info.text, q.speech_s, q.speech_dbfs, q.snr_db, q.clipped_share);
        }
        if (cases[i].err == VX_ERR_AUDIO_NO_SPEECH)
            assert_true(span.begin == 0 && span.end == (to < n ? to : n) - from && q.speech_s <= 0 && q.score <= 0);
        free(samples);
    }
    vx_audio_done(&audio);
}

static void each_bound_holds(void **state)
{
    (void)state;
    static const vx_quality good = {.seconds = 3,
                                    .speech_s = 2,
                                    .speech_share = 0.8,
                                    .speech_dbfs = -25,
                                    .noise_dbfs = -60,
                                    .snr_db = 35,
                                    .clipped_share = 0,
                                    .score = 0.6};
    static const struct {
        double speech_s, speech_dbfs, clipped_share, snr_db;
        vx_err enrolment, comparison;
    } cases[] = {
        {2, -25, 0, 35, VX_OK, VX_OK},
        {0, -25, 0, 35, VX_ERR_AUDIO_NO_SPEECH, VX_ERR_AUDIO_NO_SPEECH},
        {1.0, -25, 0, 35, VX_OK, VX_OK},
        {0.99, -25, 0, 35, VX_ERR_AUDIO_SHORT, VX_OK},
        {0.4, -25, 0, 35, VX_ERR_AUDIO_SHORT, VX_OK},
        {0.39, -25, 0, 35, VX_ERR_AUDIO_SHORT, VX_ERR_AUDIO_SHORT},
        {2, -50, 0, 35, VX_OK, VX_OK},
        {2, -50.1, 0, 35, VX_ERR_AUDIO_QUIET, VX_OK},
        {2, -60.1, 0, 35, VX_ERR_AUDIO_QUIET, VX_ERR_AUDIO_QUIET},
        {2, -25, 0.01, 35, VX_OK, VX_OK},
        {2, -25, 0.011, 35, VX_ERR_AUDIO_CLIPPED, VX_OK},
        {2, -25, 0.051, 35, VX_ERR_AUDIO_CLIPPED, VX_ERR_AUDIO_CLIPPED},
        {2, -25, 0, 10, VX_OK, VX_OK},
        {2, -25, 0, 9.9, VX_ERR_AUDIO_NOISY, VX_OK},
        {2, -25, 0, 2.9, VX_ERR_AUDIO_NOISY, VX_ERR_AUDIO_NOISY},
        {NAN, -25, 0, 35, VX_ERR_AUDIO_NO_SPEECH, VX_ERR_AUDIO_NO_SPEECH},
        {2, NAN, 0, 35, VX_ERR_AUDIO_QUIET, VX_ERR_AUDIO_QUIET},
        {2, -25, NAN, 35, VX_ERR_AUDIO_CLIPPED, VX_ERR_AUDIO_CLIPPED},
        {2, -25, 0, NAN, VX_ERR_AUDIO_NOISY, VX_ERR_AUDIO_NOISY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_quality q = good;
        q.speech_s = cases[i].speech_s;
        q.speech_dbfs = cases[i].speech_dbfs;
        q.clipped_share = cases[i].clipped_share;
        q.snr_db = cases[i].snr_db;
        vx_errinfo info = {0};
        if (vx_quality_judge(&q, VX_FOR_ENROLMENT, &info) != cases[i].enrolment ||
            vx_quality_judge(&q, VX_FOR_COMPARISON, NULL) != cases[i].comparison)
            fail_msg("case %zu", i);
        assert_int_equal(info.code, cases[i].enrolment);
        assert_int_equal(info.text[0] != '\0', cases[i].enrolment != VX_OK);
    }
}

static void score_prefers_the_better(void **state)
{
    (void)state;
    vx_audio audio = clip_audio(CLIPS[3]);
    size_t n_speech, n;
    const double power = speech_power(&audio, &n_speech);
    const vx_quality whole = measure(audio.samples, audio.n, NULL);
    const vx_quality half = measure(audio.samples, audio.n / 2, NULL);
    float *samples = noisy(&audio, 0, power / 30, &n);
    const vx_quality in_noise = measure(samples, n, NULL);
    /* Beyond full scale, but not cut off there: everything else stays as it was. */
    for (size_t i = 0; i < n; i++)
        samples[i] *= 4;
    const vx_quality overdriven = measure(samples, n, NULL);
    assert_true(overdriven.clipped_share > 0.005 && fabs(overdriven.snr_db - in_noise.snr_db) < 1);
    assert_true(whole.score > half.score && half.score > 0);
    assert_true(0.8 * whole.score > in_noise.score && 0.97 * in_noise.score > overdriven.score);
    free(samples);
    vx_audio_done(&audio);
}

/* What is too short to begin an utterance is no speech at all. */
static void a_fragment_is_no_speech(void **state)
{
    (void)state;
    vx_audio audio = clip_audio(CLIPS[0]);
    size_t n_none = 0;
    for (int ms = 10; ms <= 300; ms += 10) {
        float samples[2 * RATE] = {0};
        memcpy(samples + RATE, audio.samples + (size_t)(1.5 * RATE), (size_t)ms * 16 * sizeof *samples);
        const vx_quality q = measure(samples, 2 * RATE, NULL);
        assert_true(q.speech_s <= 0 || q.speech_s > 0.095);
        n_none += q.speech_s <= 0;
    }
    assert_true(n_none > 3 && n_none < 30);
    vx_audio_done(&audio);
}

/* Lengths at which frames, the look-ahead and the window begin to exist. */
static void every_length_is_taken(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 159, 160, 161, 399, 400, 401, 1599, 1600, 1601, 4800};
    vx_audio audio = clip_audio(CLIPS[0]);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        vx_span span;
        const vx_quality q = measure(audio.samples, lengths[i], &span);
        assert_true(isfinite(q.snr_db) && isfinite(q.speech_dbfs) && isfinite(q.noise_dbfs) && isfinite(q.score));
    }
    vx_audio_done(&audio);
    float *samples = calloc(VX_AUDIO_MAX_SAMPLES + 1, sizeof *samples);
    assert_non_null(samples);
    const vx_quality silence = measure(samples, VX_AUDIO_MAX_SAMPLES, NULL);
    assert_true(silence.seconds > 59.9 && silence.speech_s <= 0 && silence.noise_dbfs < -119.9);
    vx_span span = {7, 8};
    vx_quality q = {.seconds = 9};
    assert_int_equal(vx_quality_measure(samples, VX_AUDIO_MAX_SAMPLES + 1, &span, &q), VX_ERR_RANGE);
    assert_true(span.begin == 7 && span.end == 8 && q.seconds > 8);
    free(samples);
}

static vx_err measure_once(void *ctx)
{
    const vx_audio *audio = ctx;
    vx_span span = {7, 8};
    vx_quality quality = {.seconds = 9};
    const vx_err err = vx_quality_measure(audio->samples, audio->n, &span, &quality);
    if (err != VX_OK)
        assert_true(span.begin == 7 && span.end == 8 && quality.seconds > 8);
    return err;
}

static void measure_survives_failed_allocations(void **state)
{
    (void)state;
    vx_audio audio = clip_audio(CLIPS[0]);
    vx_alloc_fail_each(measure_once, &audio);
    vx_audio_done(&audio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_are_good_enough),
        cmocka_unit_test(the_utterance_is_found),
        cmocka_unit_test(snr_is_measured),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(each_bound_holds),
        cmocka_unit_test(score_prefers_the_better),
        cmocka_unit_test(a_fragment_is_no_speech),
        cmocka_unit_test(every_length_is_taken),
        cmocka_unit_test(measure_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
