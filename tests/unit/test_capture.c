/* test_capture.c - the way from a source's blocks to 16 kHz mono: files to the sample, rates by their noise, changes and
 * losses counted, deadlines kept, no memory taken while it runs.
 * Standard input is test_capture_stdin.c, real sound systems are tests/e2e/test_listen_pulse.c and test_listen_alsa.c.
 */
#include "edge/capture/capture.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/capture/handover.h"
#include "edge/capture/sample_clock.h"
#include "edge/capture/stream_resample.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/clip.h"
#include "tests/support/fake_source.h"
#include "tests/support/stats.h"

#define SEED         5u
#define NS_PER_MS    1000000u
#define LONG_MS      20000 /* of a deadline that is never reached */
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { RATE = 16000 };

static const double TWO_PI = 6.283185307179586;

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * NS_PER_MS;
}

static vx_capture *open_fake_script(const vx_capture_source *source, const fake_step *steps, size_t n, size_t piece)
{
    vx_capture *capture = NULL;
    const vx_capture_options none = {0};
    fake_play(steps, n, piece);
    assert_int_equal(vx_capture_open_on(source, &none, &capture, NULL), VX_OK);
    return capture;
}

static vx_capture_state state_of(vx_capture *capture)
{
    vx_capture_state state;
    vx_capture_get_state(capture, &state);
    return state;
}

/* Reads to the end in pieces of random size; the number of samples. Freed by the caller. */
static float *read_all(vx_capture *capture, size_t cap, size_t *ret_n)
{
    uint64_t random = SEED;
    float *samples = calloc(cap, sizeof *samples);
    assert_non_null(samples);
    size_t n = 0, got = 0;
    vx_err err;
    do {
        const size_t want = 1 + stats_random(&random) % 1000;
        assert_true(cap - n >= want);
        got = 0;
        err = vx_capture_read(capture, samples + n, want, in_ms(LONG_MS), &got, NULL);
        n += got;
    } while (err == VX_OK);
    assert_int_equal(err, VX_ERR_CLOSED);
    assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(LONG_MS), &got, NULL), VX_ERR_CLOSED);
    *ret_n = n;
    return samples;
}

/* ---- resampling --------------------------------------------------------------------------------------------------- */

static const int rates[] = {8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000, 192000};

/* Frequency hz at a rate, from sample `first` on. */
static float *tone(int rate, double hz, size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(0.5 * sin(TWO_PI * hz * (double)i / rate));
    return x;
}

/* Power of the tone over that of what else is in n samples, after a least-squares fit: dB. */
static double snr_of_tone(const float *x, size_t n, double hz)
{
    double cc = 0, cs = 0, ss = 0, xc = 0, xs = 0, rest = 0;
    for (size_t i = 0; i < n; i++) {
        const double c = cos(TWO_PI * hz * (double)i / RATE), s = sin(TWO_PI * hz * (double)i / RATE);
        cc += c * c, cs += c * s, ss += s * s, xc += (double)x[i] * c, xs += (double)x[i] * s;
    }
    const double det = cc * ss - cs * cs, a = (xc * ss - xs * cs) / det, b = (xs * cc - xc * cs) / det;
    for (size_t i = 0; i < n; i++) {
        const double w = TWO_PI * hz * (double)i / RATE, e = (double)x[i] - a * cos(w) - b * sin(w);
        rest += e * e;
    }
    return 10 * log10((a * a + b * b) / 2 * (double)n / (rest + 1e-30));
}

/* A tone in blocks of 10 ms comes out clean over all borders, whole, in its place, and soon. */
static void every_rate_is_resampled_without_a_glitch(void **state)
{
    (void)state;
    for (size_t r = 0; r < COUNT(rates); r++) {
        const int rate = rates[r];
        const double hz = 997;
        const size_t n = (size_t)rate * 2;
        float *x = tone(rate, hz, n);
        const fake_step steps[] = {{.rate = rate, .channels = 1, .device = "tone", .samples = x, .n_frames = n}};
        vx_capture *capture = open_fake_script(&fake_file, steps, 1, (size_t)rate / 100);
        size_t got = 0;
        float *y = read_all(capture, 2 * RATE + 2000, &got);
        assert_in_range(got, 2 * RATE - 1, 2 * RATE + 1);
        const double snr = snr_of_tone(y + RATE / 4, 3 * RATE / 2, hz);
        /* In place: what a delay of one sample would leave is at -8 dB. */
        double error = 0, power = 0;
        for (size_t i = RATE / 4; i < 7 * RATE / 4; i++) {
            const double want = 0.5 * sin(TWO_PI * hz * (double)i / RATE);
            error += ((double)y[i] - want) * ((double)y[i] - want);
            power += want * want;
        }
        print_message("# %6d Hz: tone over noise %.0f dB, error against the true tone %.0f dB\n", rate, snr,
                      10 * log10(error / power + 1e-30));
        assert_true(snr > 100);
        assert_true(error / power < 1e-6);
        assert_int_equal(state_of(capture).native_rate, rate);
        vx_capture_close(capture);
        free(x);
        free(y);
    }
}

static void resampling_is_late_by_little(void **state)
{
    (void)state;
    for (size_t r = 0; r < COUNT(rates); r++) {
        vx_stream_resampler *resampler = NULL;
        static float out[RATE];
        float *x = tone(rates[r], 500, (size_t)rates[r] / 100);
        double worst_ms = 0;
        size_t in = 0, given = 0;
        assert_int_equal(vx_stream_resampler_create(rates[r], &resampler), VX_OK);
        for (int block = 0; block < 200; block++) {
            size_t took = 0, n = 0;
            assert_int_equal(vx_stream_resampler_process(resampler, x, (size_t)rates[r] / 100, out, RATE, &took, &n),
                             VX_OK);
            in += took;
            given += n;
            worst_ms = fmax(worst_ms, 1000 * ((double)in / rates[r] - (double)given / RATE));
        }
        vx_stream_resampler_destroy(resampler);
        free(x);
        print_message("# %6d Hz: at most %.0f ms late\n", rates[r], worst_ms);
        assert_true(worst_ms < (rates[r] < RATE ? 110 : 60));
    }
    vx_stream_resampler *none = NULL;
    assert_int_equal(vx_stream_resampler_create(7999, &none), VX_ERR_AUDIO_RATE);
    assert_int_equal(vx_stream_resampler_create(192001, &none), VX_ERR_AUDIO_RATE);
    assert_null(none);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static vx_capture *open_path(const char *path, bool real_time)
{
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "file", .path = path, .real_time = real_time};
    if (vx_capture_open(&options, &capture, &info) != VX_OK)
        fail_msg("%s: %s", path, info.text);
    return capture;
}

static void a_file_is_what_the_decoder_says(void **state)
{
    (void)state;
    static const char *const names[] = {"reader1_a.flac", "reader1_a.wav", "reader2_b.flac", "reader1_a_8k_ulaw.wav",
                                        "reader1_a_44k_stereo.flac"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/data/audio/%s", names[i]);
        vx_audio audio = clip_audio(names[i]);
        vx_capture *capture = open_path(path, false);
        size_t n = 0;
        float *samples = read_all(capture, audio.n + 1000, &n);
        const vx_capture_state s = state_of(capture);
        assert_int_equal(n, audio.n);
        assert_memory_equal(samples, audio.samples, n * sizeof *samples);
        assert_int_equal(s.n_samples, n);
        assert_string_equal(s.source, "file");
        assert_int_equal(s.native_rate, audio.source_rate);
        assert_int_equal(s.native_channels, audio.source_channels);
        assert_int_equal(s.n_changes + s.n_gaps, 0);
        assert_false(s.has_playback);
        vx_capture_close(capture);
        vx_audio_done(&audio);
        free(samples);
    }
}

/* A sample is not there before it would have been spoken, and its time is known. */
static void a_file_in_real_time_takes_its_time(void **state)
{
    (void)state;
    float samples[RATE / 2];
    const uint64_t before = vx_now_ns();
    vx_capture *capture = open_path("tests/data/audio/reader1_a.flac", true);
    const uint64_t after = vx_now_ns();
    size_t n = 0;
    assert_int_equal(vx_capture_read(capture, samples, COUNT(samples), before + 100 * NS_PER_MS, &n, NULL), VX_OK);
    assert_true(n < COUNT(samples));
    size_t more = 0;
    assert_int_equal(vx_capture_read(capture, samples, COUNT(samples) - n, in_ms(LONG_MS), &more, NULL), VX_OK);
    assert_int_equal(n + more, COUNT(samples));
    assert_true(vx_now_ns() >= before + 500 * NS_PER_MS);
    /* Never earlier than it was spoken; later by what the machine kept the reader waiting. */
    assert_true(vx_capture_time_ns(capture, 0) >= before);
    assert_true(vx_capture_time_ns(capture, RATE / 4) - vx_capture_time_ns(capture, 0) == 250 * NS_PER_MS);
    print_message("# the time of sample 0 is known to %.1f ms\n",
                  ((double)vx_capture_time_ns(capture, 0) - (double)after) / NS_PER_MS);
    vx_capture_close(capture);
}

static void what_cannot_be_opened_says_why(void **state)
{
    (void)state;
    static const struct {
        vx_capture_options options;
        vx_err err;
        const char *word;
    } cases[] = {
        {{.source = "file", .path = "tests/data/audio/none.wav"}, VX_ERR_NOT_FOUND, ""},
        {{.source = "file", .path = "tests/data/audio/README.md"}, VX_ERR_AUDIO_FORMAT, ""},
        {{.source = "file"}, VX_ERR_OPTION_VALUE, "file"},
        {{.source = "jack"}, VX_ERR_OPTION_VALUE, "'jack'"},
#ifndef __APPLE__
        {{.source = "coreaudio"}, VX_ERR_UNSUPPORTED, "macOS"},
#endif
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_capture *capture = NULL;
        vx_errinfo info = {0};
        assert_int_equal(vx_capture_open(&cases[i].options, &capture, &info), cases[i].err);
        assert_null(capture);
        assert_non_null(strstr(info.text, cases[i].word));
    }
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

static float constant[3 * 48000 * 2], zeros[3 * 48000 * 2];

/* Reads n samples, which are there. */
static void take(vx_capture *capture, float *samples, size_t n)
{
    size_t got = 0;
    assert_int_equal(vx_capture_read(capture, samples, n, in_ms(LONG_MS), &got, NULL), VX_OK);
    assert_int_equal(got, n);
}

static void channels_are_averaged_and_nonsense_is_silence(void **state)
{
    (void)state;
    const float stereo[] = {0.5f, 0.25f, -1, 1, NAN, 0, INFINITY, 0, 1e30f, 0, 0.125f, 0.125f};
    const float want[] = {0.375f, 0, 0, 0, 0, 0.125f};
    const fake_step steps[] = {{.rate = RATE, .channels = 2, .device = "d", .samples = stereo, .n_frames = 6}};
    vx_capture *capture = open_fake_script(&fake_device, steps, 1, 0);
    float samples[6];
    take(capture, samples, 6);
    assert_memory_equal(samples, want, sizeof want);
    vx_capture_close(capture);
}

static void changes_of_format_and_device_are_followed(void **state)
{
    (void)state;
    const fake_step steps[] = {
        {.rate = 48000, .channels = 1, .device = "Built-in", .samples = constant, .n_frames = 48000},
        {.rate = 16000, .channels = 1, .device = "Built-in", .samples = constant, .n_frames = 16000},
        {.rate = 16000, .channels = 2, .device = "Headset", .samples = constant, .n_frames = 16000},
        {.rate = 16000, .channels = 2, .device = "Head\x1b[2J\xc3\xa9\xff", .samples = constant, .n_frames = 16000},
        {.rate = 8000, .channels = 1, .device = "Headset", .samples = constant, .n_frames = 8000, .playback = true},
        {.rate = 44100, .channels = 2, .device = "Headset", .samples = constant, .n_frames = 44100},
    };
    vx_capture *capture = open_fake_script(&fake_file, steps, COUNT(steps), 480);
    size_t n = 0;
    float *samples = calloc(7 * RATE, sizeof *samples);
    assert_non_null(samples);
    take(capture, samples, 7 * RATE / 2); /* into the second with the strange name */
    assert_string_equal(state_of(capture).device, "Head?[2J\xc3\xa9?");
    free(samples);
    samples = read_all(capture, 7 * RATE, &n);
    const vx_capture_state s = state_of(capture);
    assert_int_equal(s.n_changes, 5);
    assert_int_equal(s.n_gaps, 0);
    assert_int_equal(s.native_rate, 44100);
    assert_int_equal(s.native_channels, 2);
    assert_true(s.has_playback && !s.playback);
    /* No second is lost: every stream ends with what its filter still held. */
    assert_in_range(s.n_samples, 6 * RATE - 8, 6 * RATE + 8);
    vx_capture_close(capture);
    free(samples);
    assert_int_equal(fake_n_opened(), fake_n_closed());
}

static void zeros_are_told_from_silence(void **state)
{
    (void)state;
    float samples[RATE];
    const fake_step steps[] = {
        {.rate = 48000, .channels = 2, .device = "Mic", .samples = zeros, .n_frames = 48000 - 480},
        {.rate = 48000, .channels = 2, .device = "Mic", .samples = zeros, .n_frames = 4800, .muted = true},
        {.rate = 48000, .channels = 2, .device = "Mic", .samples = constant, .n_frames = 4800},
    };
    vx_capture *capture = open_fake_script(&fake_device, steps, COUNT(steps), 480);
    take(capture, samples, RATE * 9 / 10);
    assert_false(state_of(capture).forced_silence);
    assert_string_equal(state_of(capture).advice, "");
    take(capture, samples, RATE * 13 / 100);
    assert_true(state_of(capture).forced_silence);
    assert_non_null(strstr(state_of(capture).advice, "Mic is muted"));
    take(capture, samples, RATE * 9 / 100);
    assert_false(state_of(capture).forced_silence);
    assert_string_equal(state_of(capture).advice, "");
    vx_capture_close(capture);
}

static void advice_names_what_to_do(void **state)
{
    (void)state;
    static const struct {
        bool zeros, live, lost, muted;
        const char *program, *word;
    } cases[] = {
        {false, true, false, false, NULL, NULL},
        {true, true, false, false, NULL, "nothing but zeros"},
        {true, true, false, true, NULL, "unmute"},
        {true, true, false, false, "iTerm2", "'iTerm2' has no permission"},
        {true, false, false, false, NULL, "recording"},
        {false, true, true, false, NULL, "Mic is gone"},
        {false, true, false, true, "iTerm2", NULL}, /* muted, and yet it is heard: nothing to mend */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_capture_state s = {.device = "Mic", .forced_silence = cases[i].zeros};
        char advice[256] = "x";
        vx_capture_advise(&s, cases[i].live, cases[i].lost, cases[i].muted, cases[i].program, advice, sizeof advice);
        if (cases[i].word == NULL)
            assert_string_equal(advice, "");
        else
            assert_non_null(strstr(advice, cases[i].word));
    }
    /* The longest names leave the sentence whole. */
    vx_capture_state s = {.forced_silence = true};
    char advice[256], name[VX_MICROPHONE_CAP];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(s.device, name, sizeof name);
    vx_capture_advise(&s, true, false, false, name, advice, sizeof advice);
    assert_non_null(strstr(advice, "start it again"));
    vx_capture_advise(&s, true, false, false, NULL, advice, sizeof advice);
    assert_non_null(strstr(advice, "tries another"));
}

static void a_device_that_is_gone_comes_back(void **state)
{
    (void)state;
    float samples[RATE];
    size_t n = 0;
    const fake_step steps[] = {
        {.rate = 48000, .channels = 1, .device = "Mic", .samples = constant, .n_frames = 4800},
        {.err = VX_ERR_NOT_FOUND, .n_no_opening = 1},
        {.rate = 16000, .channels = 1, .device = "Other", .samples = constant, .n_frames = 1600},
        {.rate = 16000, .channels = 1, .device = "Other", .samples = constant, .n_frames = 1600, .gap = true},
        {.err = VX_ERR_IO},
        {.rate = 16000, .channels = 1, .device = "Other", .samples = constant, .n_frames = 1600},
    };
    vx_capture *capture = open_fake_script(&fake_device, steps, COUNT(steps), 480);
    take(capture, samples, 1600);
    /* While it is gone a deadline is a deadline. */
    vx_errinfo info = {0};
    assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(30), &n, &info), VX_ERR_DEADLINE);
    assert_non_null(strstr(state_of(capture).advice, "Mic is gone"));
    take(capture, samples, 1600);
    vx_capture_state s = state_of(capture);
    assert_string_equal(s.device, "Other");
    assert_string_equal(s.advice, "");
    assert_int_equal(s.n_gaps, 1);
    assert_int_equal(s.n_changes, 1);
    take(capture, samples, 3200);
    s = state_of(capture);
    assert_int_equal(s.n_gaps, 3);
    assert_int_equal(s.n_changes, 1);
    vx_capture_close(capture);
    assert_int_equal(fake_n_opened(), 3);
    assert_int_equal(fake_n_closed(), 3);
}

static void a_deadline_is_kept(void **state)
{
    (void)state;
    float samples[RATE];
    size_t n = 7;
    const fake_step steps[] = {{.rate = RATE, .channels = 1, .device = "d", .samples = constant, .n_frames = 1000}};
    vx_capture *capture = open_fake_script(&fake_device, steps, 1, 100);
    /* In the past: what is there, without waiting. */
    assert_int_equal(vx_capture_read(capture, samples, 300, 0, &n, NULL), VX_OK);
    assert_int_equal(n, 300);
    assert_int_equal(vx_capture_read(capture, samples, RATE, in_ms(20), &n, NULL), VX_OK);
    assert_int_equal(n, 700);
    n = 7;
    const uint64_t start = vx_now_ns();
    assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(80), &n, NULL), VX_ERR_DEADLINE);
    assert_true(vx_now_ns() - start >= 80 * NS_PER_MS);
    assert_int_equal(n, 7);
    assert_int_equal(vx_capture_read(capture, samples, 1, 0, &n, NULL), VX_ERR_DEADLINE);
    assert_int_equal(vx_capture_read(capture, samples, 0, in_ms(LONG_MS), &n, NULL), VX_ERR_ARG);
    vx_capture_close(capture);
}

static void *stop_soon(void *arg)
{
    usleep(20000);
    vx_capture_state s;
    vx_capture_get_state(arg, &s); /* others may ask at any time */
    vx_capture_stop(arg);
    return NULL;
}

static void a_reader_without_deadline_can_be_stopped(void **state)
{
    (void)state;
    float samples[RATE];
    size_t n = 0;
    pthread_t thread;
    const fake_step steps[] = {{.rate = RATE, .channels = 1, .device = "d", .samples = constant, .n_frames = 100},
                               {.err = VX_ERR_NOT_FOUND, .n_no_opening = 1000}};
    for (size_t lost = 0; lost < 2; lost++) { /* silent, and gone */
        vx_capture *capture = open_fake_script(&fake_device, steps, 1 + lost, 0);
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, capture), 0);
        assert_int_equal(vx_capture_read(capture, samples, RATE, UINT64_MAX, &n, NULL), VX_OK);
        assert_int_equal(n, 100);
        assert_int_equal(vx_capture_read(capture, samples, RATE, UINT64_MAX, &n, NULL), VX_ERR_CLOSED);
        pthread_join(thread, NULL);
        vx_capture_close(capture);
    }
    vx_capture_close(NULL);
}

static void strange_formats_of_a_file_end_it(void **state)
{
    (void)state;
    static const struct {
        int rate, channels;
        vx_err err;
    } cases[] = {{4000, 1, VX_ERR_AUDIO_RATE}, {384000, 1, VX_ERR_AUDIO_RATE}, {RATE, 65, VX_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        float sample;
        size_t n = 0;
        vx_errinfo info = {0};
        const fake_step steps[] = {
            {.rate = cases[i].rate, .channels = cases[i].channels, .device = "d", .samples = constant, .n_frames = 9}};
        vx_capture *capture = open_fake_script(&fake_file, steps, 1, 0);
        for (int again = 0; again < 2; again++)
            assert_int_equal(vx_capture_read(capture, &sample, 1, in_ms(LONG_MS), &n, &info), cases[i].err);
        assert_true(info.text[0] != '\0');
        vx_capture_close(capture);
    }
}

/* Ten minutes of sound: nothing of ours is allocated after the first second. */
static void an_endless_run_takes_no_memory(void **state)
{
    (void)state;
    enum { SECONDS = 600 };
    fake_step *steps = calloc(SECONDS, sizeof *steps);
    static float samples[RATE];
    assert_non_null(steps);
    for (size_t i = 0; i < SECONDS; i++)
        steps[i] = (fake_step){.rate = 48000, .channels = 2, .device = "d", .samples = constant, .n_frames = 48000};
    vx_capture *capture = open_fake_script(&fake_device, steps, SECONDS, 960);
    take(capture, samples, RATE);
    vx_alloc_fail_at(0);
    for (int i = 1; i < SECONDS - 1; i++)
        take(capture, samples, RATE);
    if (vx_alloc_fail_works())
        assert_int_equal(vx_alloc_count(), 0);
    assert_int_equal(state_of(capture).n_changes, 0);
    vx_capture_close(capture);
    free(steps);
}

/* ---- time ------------------------------------------------------------------------------------------------------- */

static void blocks_that_wait_do_not_move_the_clock(void **state)
{
    (void)state;
    const uint64_t start = 5000 * (uint64_t)NS_PER_MS;
    uint64_t random = SEED;
    vx_sample_clock clock = {0};
    assert_int_equal(vx_sample_clock_at(&clock, 0), 0);
    /* 60 s in blocks of 20 ms; each waits up to 30 ms for its reader, the device's clock is 100 ppm slow. */
    for (uint64_t i = 0; i < 3000; i++) {
        const uint64_t heard = start + i * 20 * NS_PER_MS + i * 2000;
        const uint64_t wait = i == 0 ? 30 * NS_PER_MS : stats_random(&random) % (30 * NS_PER_MS);
        assert_false(vx_sample_clock_observe(&clock, i * 320, heard + wait, heard + wait + 20 * NS_PER_MS));
        if (i > 20) {
            const double off_ms = ((double)vx_sample_clock_at(&clock, i * 320) - (double)heard) / NS_PER_MS;
            assert_true(off_ms > -0.3 && off_ms < 10);
        }
    }
    assert_true(vx_sample_clock_at(&clock, 320) - vx_sample_clock_at(&clock, 0) == 20 * NS_PER_MS);
}

static void sound_that_is_missing_is_noticed(void **state)
{
    (void)state;
    static const struct {
        uint64_t missing_ms;
        bool noticed;
    } cases[] = {{0, false}, {50, false}, {300, true}, {60000, true}};
    for (size_t k = 0; k < COUNT(cases); k++) {
        vx_sample_clock clock = {0};
        int n_noticed = 0;
        for (uint64_t i = 0; i < 600; i++) { /* also once within the first seconds, which does not count */
            const uint64_t at =
                (1000 + i * 20 + (i >= 50 ? cases[k].missing_ms : 0) + (i >= 400 ? cases[k].missing_ms : 0)) *
                NS_PER_MS;
            n_noticed += vx_sample_clock_observe(&clock, i * 320, at, at);
        }
        assert_int_equal(n_noticed, cases[k].noticed);
    }
    /* A reader that slept and catches up has lost nothing. */
    vx_sample_clock clock = {0};
    uint64_t now = 1000;
    for (uint64_t i = 0; i < 600; i++, now += 20) {
        const uint64_t read_at = i >= 200 && i < 400 ? 1000 + 400 * 20 : now;
        assert_false(vx_sample_clock_observe(&clock, i * 320, read_at * NS_PER_MS, read_at * NS_PER_MS));
    }
}

/* ---- between two threads ------------------------------------------------------------------------------------------ */

enum { RAMP_BLOCKS = 2000, RAMP_BLOCK = 96 };

typedef struct {
    vx_handover *handover;
    atomic_bool done;
} ramp;

static void *put_ramp(void *arg)
{
    ramp *r = arg;
    float block[RAMP_BLOCK];
    for (int i = 0; i < RAMP_BLOCKS; i++) {
        for (int k = 0; k < RAMP_BLOCK; k++)
            block[k] = (float)(i * RAMP_BLOCK + k);
        vx_handover_put(r->handover, block, RAMP_BLOCK);
        if (i % 50 == 0)
            vx_handover_wake(r->handover);
    }
    atomic_store(&r->done, true);
    vx_handover_wake(r->handover);
    return NULL;
}

/* What arrives is in order and in whole frames; what is lost is told. */
static void blocks_pass_from_thread_to_thread(void **state)
{
    (void)state;
    ramp r = {.done = false};
    pthread_t thread;
    float samples[70], last = -1;
    size_t n = 0, n_taken = 0;
    bool lost = false, ended = false;
    assert_int_equal(vx_handover_create(960, &r.handover), VX_OK);
    assert_int_equal(pthread_create(&thread, NULL, put_ramp, &r), 0);
    do {
        bool gap = false;
        ended = atomic_load(&r.done); /* before taking: what was put before it is then there */
        n = vx_handover_take(r.handover, samples, 70, 2, in_ms(50), &gap);
        assert_int_equal(n % 2, 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(samples[i] > last);
            last = samples[i];
        }
        n_taken += n;
        lost |= gap;
    } while (n > 0 || !ended);
    pthread_join(thread, NULL);
    assert_true(n_taken <= RAMP_BLOCKS * RAMP_BLOCK);
    assert_int_equal(n_taken < RAMP_BLOCKS * RAMP_BLOCK, lost);
    vx_handover_destroy(r.handover);
    vx_handover_destroy(NULL);
}

static void a_full_ring_loses_whole_blocks(void **state)
{
    (void)state;
    vx_handover *handover = NULL;
    float out[10];
    bool gap = true;
    const float one[] = {1, 2, 3}, two[] = {4, 5, 6};
    assert_int_equal(vx_handover_create(5, &handover), VX_OK);
    vx_handover_put(handover, one, 3);
    assert_int_equal(vx_handover_take(handover, out, 2, 1, 0, &gap), 2); /* so that the ring wraps */
    assert_false(gap);
    vx_handover_put(handover, two, 3);
    vx_handover_put(handover, one, 3);
    assert_int_equal(vx_handover_take(handover, out, 10, 1, 0, &gap), 4);
    assert_true(gap);
    assert_true(out[0] == 3 && out[1] == 4 && out[3] == 6);
    assert_int_equal(vx_handover_take(handover, out, 10, 1, 0, &gap), 0);
    assert_false(gap);
    vx_handover_wake(handover);
    assert_int_equal(vx_handover_take(handover, out, 10, 1, UINT64_MAX, &gap), 0); /* news end the waiting */
    vx_handover_destroy(handover);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static vx_err try_file(void *ctx)
{
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "file", .device = "x", .path = ctx};
    const vx_err err = vx_capture_open(&options, &capture, &info);
    vx_capture_close(capture);
    return err;
}

static vx_err try_resampler(void *ctx)
{
    vx_stream_resampler *resampler = NULL;
    const vx_err err = vx_stream_resampler_create(*(const int *)ctx, &resampler);
    vx_stream_resampler_destroy(resampler);
    return err;
}

static vx_err try_handover(void *ctx)
{
    vx_handover *handover = NULL;
    (void)ctx;
    const vx_err err = vx_handover_create(100, &handover);
    vx_handover_destroy(handover);
    return err;
}

/* The read that begins a stream makes the resampler. */
static vx_err try_device(void *ctx)
{
    vx_capture *capture = NULL;
    float sample;
    size_t n;
    const vx_capture_options options = {.device = "x"};
    const fake_step steps[] = {{.rate = 48000, .channels = 1, .device = "d", .samples = constant, .n_frames = 48000}};
    (void)ctx;
    fake_play(steps, 1, 0);
    vx_err err = vx_capture_open_on(&fake_device, &options, &capture, NULL);
    if (err == VX_OK)
        err = vx_capture_read(capture, &sample, 1, in_ms(LONG_MS), &n, NULL);
    vx_capture_close(capture);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static char path[] = "tests/data/audio/reader1_a.wav", standard_input[] = "-";
    int rate = 48000;
    vx_alloc_fail_each(try_file, path);
    vx_alloc_fail_each(try_file, standard_input);
    vx_alloc_fail_each(try_resampler, &rate);
    vx_alloc_fail_each(try_handover, NULL);
    vx_alloc_fail_each(try_device, NULL);
}

static int fill(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(constant); i++)
        constant[i] = 0.25f;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rate_is_resampled_without_a_glitch),
        cmocka_unit_test(resampling_is_late_by_little),
        cmocka_unit_test(a_file_is_what_the_decoder_says),
        cmocka_unit_test(a_file_in_real_time_takes_its_time),
        cmocka_unit_test(what_cannot_be_opened_says_why),
        cmocka_unit_test(channels_are_averaged_and_nonsense_is_silence),
        cmocka_unit_test(changes_of_format_and_device_are_followed),
        cmocka_unit_test(zeros_are_told_from_silence),
        cmocka_unit_test(advice_names_what_to_do),
        cmocka_unit_test(a_device_that_is_gone_comes_back),
        cmocka_unit_test(a_deadline_is_kept),
        cmocka_unit_test(a_reader_without_deadline_can_be_stopped),
        cmocka_unit_test(strange_formats_of_a_file_end_it),
        cmocka_unit_test(an_endless_run_takes_no_memory),
        cmocka_unit_test(blocks_that_wait_do_not_move_the_clock),
        cmocka_unit_test(sound_that_is_missing_is_noticed),
        cmocka_unit_test(blocks_pass_from_thread_to_thread),
        cmocka_unit_test(a_full_ring_loses_whole_blocks),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
