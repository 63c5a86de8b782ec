/* test_listen_alsa.c - a microphone through alsa-lib, without a sound card: its plugin that reads a file, and the one that
 * hears nothing, with a configuration of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/capture/capture_private.h"
#include "edge/capture/stream_resample.h"
#include "shared/base/clock.h"
#include "shared/base/plugin.h"
#include "tests/support/clip.h"
#include "tests/support/scratch.h"

#define NS_PER_S 1000000000u
enum { RATE = 16000, N = 48000, PATIENCE_S = 20 };

static scratch home;
static char why_not[300];
static float sound[N]; /* a second at 48 kHz */

static int begin(void **state)
{
    (void)state;
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    char path[100], text[400];
    home = scratch_make();
    vx_audio audio = clip_audio("reader1_a.flac");
    memcpy(sound, audio.samples + RATE, N / 2 * sizeof *sound); /* speech, too fast; then zeros */
    vx_audio_done(&audio);
    scratch_write(&home, "voice.raw", sound, sizeof sound);
    const int n =
        snprintf(text, sizeof text,
                 "pcm.voice { type file slave.pcm \"nothing\" file \"/dev/null\" infile \"%s/voice.raw\" format "
                 "raw }\npcm.nothing { type null }\n",
                 home.path);
    scratch_write(&home, "asound.conf", text, (size_t)n);
    setenv("ALSA_CONFIG_PATH", scratch_path(&home, "asound.conf", path, sizeof path), 1);
    if (vx_plugin_load("vx_capture_alsa", VX_CAPTURE_PLUGIN_SYMBOL, &symbol, &cause) != VX_OK)
        snprintf(why_not, sizeof why_not, "%s", cause.text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_done(&home);
    return 0;
}

static void need_plugin(void)
{
    if (why_not[0] != '\0') {
        print_message("# %s\n", why_not);
        skip();
    }
}

static vx_capture *open_alsa(const char *device)
{
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "alsa", .device = device};
    if (vx_capture_open(&options, &capture, &info) != VX_OK)
        fail_msg("%s", info.text);
    return capture;
}

static void samples_are_those_of_the_file(void **state)
{
    (void)state;
    need_plugin();
    enum { ENOUGH = RATE / 2 };
    static float want[RATE], heard[ENOUGH];
    vx_stream_resampler *r = NULL;
    size_t took = 0, gave = 0, n_want = 0, n = 0;
    assert_int_equal(vx_stream_resampler_create(48000, &r), VX_OK);
    for (size_t at = 0; at < N; at += took, n_want += gave)
        assert_int_equal(vx_stream_resampler_process(r, sound + at, N - at, want + n_want, RATE - n_want, &took, &gave),
                         VX_OK);
    vx_stream_resampler_destroy(r);
    vx_capture *capture = open_alsa("voice");
    assert_int_equal(vx_capture_read(capture, heard, ENOUGH, vx_now_ns() + PATIENCE_S * (uint64_t)NS_PER_S, &n, NULL),
                     VX_OK);
    assert_int_equal(n, ENOUGH);
    assert_true(n_want >= ENOUGH);
    assert_memory_equal(heard, want, sizeof heard);
    vx_capture_state s;
    vx_capture_get_state(capture, &s);
    assert_string_equal(s.source, "alsa");
    assert_int_equal(s.native_rate, 48000);
    assert_false(s.has_playback);
    vx_capture_close(capture);
}

static void a_device_that_hears_nothing_is_told(void **state)
{
    (void)state;
    need_plugin();
    static float samples[2 * RATE];
    size_t n = 0;
    vx_capture_state s;
    vx_capture *capture = open_alsa("nothing");
    assert_int_equal(
        vx_capture_read(capture, samples, 2 * RATE, vx_now_ns() + PATIENCE_S * (uint64_t)NS_PER_S, &n, NULL), VX_OK);
    vx_capture_get_state(capture, &s);
    assert_true(s.forced_silence);
    assert_non_null(strstr(s.advice, "nothing gives nothing but zeros"));
    vx_capture_close(capture);
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    need_plugin();
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "alsa", .device = "nobody"};
    assert_int_equal(vx_capture_open(&options, &capture, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "nobody"));
    assert_null(capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_those_of_the_file),
        cmocka_unit_test(a_device_that_hears_nothing_is_told),
        cmocka_unit_test(what_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
