/* test_listen_pulse.c - a microphone through a real PulseAudio: a daemon of the test's own, whose null sinks play recordings
 * into their monitors. Samples are those of the file at every rate; changes, losses, zeros and playback are noticed.
 * Nothing of the user's sound system is touched: daemon, socket, cookie and state lie in a folder of the test.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/capture/capture_private.h"
#include "edge/capture/listen.h"
#include "edge/capture/stream_resample.h"
#include "shared/base/clock.h"
#include "shared/base/plugin.h"
#include "tests/support/child.h"
#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/scratch.h"

#define NS_PER_MS    1000000u
#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { RATE = 16000, PATIENCE_MS = 20000, SETTLE_MS = 2500, MODULE_CAP = 16, TRIES = 3 };

static struct {
    scratch home;
    child daemon;
    int n_sinks;       /* loaded */
    char why_not[300]; /* nothing is tested, because of this */
} here;

/* ---- the daemon ------------------------------------------------------------------------------------------------- */

/* Runs a client of PulseAudio; its first line into ret_line[MODULE_CAP], which may be NULL. */
static bool client(char *const argv[], char *ret_line)
{
    child c = {0};
    const char *line = NULL;
    if (!child_start(argv, CHILD_STDOUT, &c))
        return false;
    if (ret_line != NULL) {
        ret_line[0] = '\0';
        if (child_hear(&c, PATIENCE_MS, &line))
            snprintf(ret_line, MODULE_CAP, "%s", line);
    }
    return child_end(&c, PATIENCE_MS) == 0;
}

#define PACTL(...) client((char *const[]){"pactl", __VA_ARGS__, NULL}, NULL)

static bool daemon_start(void)
{
    char load[200];
    snprintf(load, sizeof load, "--load=module-native-protocol-unix auth-anonymous=1 socket=%s/native", here.home.path);
    char *const argv[] = {"pulseaudio",
                          "-n",
                          "--daemonize=no",
                          "--use-pid-file=no",
                          "--exit-idle-time=-1",
                          "--disallow-module-loading=no",
                          "--log-target=newfile:/dev/null",
                          load,
                          NULL};
    if (!child_start(argv, CHILD_STDOUT, &here.daemon))
        return false;
    for (int i = 0; i < 100; i++) {
        char path[100];
        if (access(scratch_path(&here.home, "native", path, sizeof path), R_OK) == 0 &&
            PACTL("list", "short", "modules"))
            return true;
        usleep(50000);
    }
    return false;
}

static void daemon_end(void)
{
    if (here.daemon.pid > 0)
        kill(here.daemon.pid, SIGTERM);
    (void)child_end(&here.daemon, 5000);
}

/* A loudspeaker whose monitor is a microphone; its module. */
static void load_sink(const char *name, int rate, int channels, char ret_module[MODULE_CAP])
{
    char sink[64], rated[32], wide[32], described[80];
    snprintf(sink, sizeof sink, "sink_name=%s", name);
    snprintf(rated, sizeof rated, "rate=%d", rate);
    snprintf(wide, sizeof wide, "channels=%d", channels);
    snprintf(described, sizeof described, "sink_properties=device.description=%s", name);
    char *const argv[] = {"pactl", "load-module", "module-null-sink", sink, "format=s16le",
                          rated,   wide,          described,          NULL};
    assert_true(client(argv, ret_module));
    here.n_sinks++;
}

static void unload(char module[MODULE_CAP])
{
    assert_true(PACTL("unload-module", module));
    here.n_sinks--;
}

static int begin(void **state)
{
    (void)state;
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    char path[100], server[120];
    here.home = scratch_make();
    static const char *const folders[] = {"HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH",
                                          "PULSE_STATE_PATH"};
    for (size_t i = 0; i < COUNT(folders); i++)
        setenv(folders[i], here.home.path, 1);
    setenv("PULSE_COOKIE", scratch_path(&here.home, "cookie", path, sizeof path), 1);
    snprintf(server, sizeof server, "unix:%s/native", here.home.path);
    setenv("PULSE_SERVER", server, 1);
    unsetenv("DBUS_SESSION_BUS_ADDRESS");
    unsetenv("DISPLAY");
    if (vx_plugin_load("vx_capture_pulse", VX_CAPTURE_PLUGIN_SYMBOL, &symbol, &cause) != VX_OK)
        snprintf(here.why_not, sizeof here.why_not, "%s", cause.text);
    else if (!daemon_start())
        snprintf(here.why_not, sizeof here.why_not, "pulseaudio or pactl cannot be started: are they installed?");
    return 0;
}

static int end(void **state)
{
    (void)state;
    daemon_end();
    scratch_done(&here.home);
    return 0;
}

static void need_daemon(void)
{
    if (here.why_not[0] != '\0') {
        print_message("# %s\n", here.why_not);
        skip();
    }
    if (here.n_sinks > 0) /* what a test before left behind when it failed */
        (void)PACTL("unload-module", "module-null-sink");
    here.n_sinks = 0;
}

/* ---- listening -------------------------------------------------------------------------------------------------- */

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * NS_PER_MS;
}

static vx_capture *open_pulse(const char *device)
{
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    const vx_capture_options options = {.source = "pulse", .device = device};
    if (vx_capture_open(&options, &capture, &info) != VX_OK)
        fail_msg("%s", info.text);
    return capture;
}

static vx_capture_state state_of(vx_capture *capture)
{
    vx_capture_state state;
    vx_capture_get_state(capture, &state);
    return state;
}

/* Reads n samples at most, within a time; how many came. */
static size_t hear(vx_capture *capture, float *samples, size_t n, uint64_t ms)
{
    size_t at = 0, got;
    const uint64_t due = in_ms(ms);
    while (at < n && vx_now_ns() < due) {
        got = 0;
        if (vx_capture_read(capture, samples + at, n - at, due, &got, NULL) == VX_ERR_CLOSED)
            break;
        at += got;
    }
    return at;
}

/* Reads until the state is as it should be. */
static bool until(vx_capture *capture, bool (*is_so)(const vx_capture_state *state, int arg), int arg)
{
    float samples[RATE / 20];
    for (const uint64_t due = in_ms(PATIENCE_MS); vx_now_ns() < due;) {
        (void)hear(capture, samples, COUNT(samples), 50);
        const vx_capture_state s = state_of(capture);
        if (is_so(&s, arg))
            return true;
    }
    return false;
}

/* Begins to play a file of the folder into a sink. */
static child play(const char *name, char *sink)
{
    child c = {0};
    char path[100], device[40];
    snprintf(device, sizeof device, "--device=%s", sink);
    snprintf(path, sizeof path, "%s/%s", here.home.path, name);
    char *const argv[] = {"paplay", device, path, NULL};
    assert_true(child_start(argv, CHILD_STDOUT, &c));
    return c;
}

/* Half a second of silence goes before it: what a null sink had rendered ahead when a player came is lost. */
static void write_wav(const char *name, const float *samples, size_t n, int rate)
{
    vx_buf file = {0};
    const size_t lead = (size_t)rate / 2;
    float *all = calloc(lead + n, sizeof *all);
    assert_non_null(all);
    memcpy(all + lead, samples, n * sizeof *all);
    assert_int_equal(encode_audio(ENCODE_WAV16, all, lead + n, rate, 1, &file), 0);
    scratch_write(&here.home, name, file.data, file.len);
    vx_buf_done(&file);
    free(all);
}

/* ---- every rate --------------------------------------------------------------------------------------------------- */

/* Speech at a rate: a second and a half of a recording, as 16 bits hold it. Freed by the caller. */
static float *speech_at(int rate, size_t *ret_n)
{
    vx_audio audio = clip_audio("reader1_a.flac");
    const size_t n = (size_t)(1.5 * rate);
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    /* Linear between samples, which makes images at high rates: they test the filter too. */
    for (size_t i = 0; i < n; i++) {
        const double at = (double)i * RATE / rate + 1.2 * RATE;
        const size_t k = (size_t)at;
        const double y =
            (double)audio.samples[k] + (at - (double)k) * (double)(audio.samples[k + 1] - audio.samples[k]);
        x[i] = (float)(round(y * 32768) / 32768);
    }
    vx_audio_done(&audio);
    *ret_n = n;
    return x;
}

/* `lead` zeros and x as 16 kHz, into out, which has room. */
static size_t as_16_khz(int rate, size_t lead, const float *x, size_t n, float *out, size_t cap)
{
    static const float zeros[512];
    vx_stream_resampler *r = NULL;
    size_t got = 0, took = 0, gave = 0;
    assert_int_equal(vx_stream_resampler_create(rate, &r), VX_OK);
    if (lead > 0) {
        assert_int_equal(vx_stream_resampler_process(r, zeros, lead, out, cap, &took, &gave), VX_OK);
        got = gave;
    }
    for (size_t at = 0; at < n; at += took) {
        assert_int_equal(vx_stream_resampler_process(r, x + at, n - at, out + got, cap - got, &took, &gave), VX_OK);
        got += gave;
        assert_true(took > 0 || gave > 0);
    }
    do {
        assert_int_equal(vx_stream_resampler_process(r, NULL, 0, out + got, cap - got, &took, &gave), VX_OK);
        got += gave;
    } while (gave > 0);
    vx_stream_resampler_destroy(r);
    return got;
}

static double snr_db(const float *a, const float *b, size_t n)
{
    double power = 0, error = 0;
    for (size_t i = 0; i < n; i++) {
        const double e = (double)a[i] - (double)b[i];
        power += (double)a[i] * (double)a[i];
        error += e * e;
    }
    return 10 * log10(power / (error + 1e-20));
}

/* How well n_heard samples hold the file: the best over all places, between samples too. The file began at some sample of
 * the device's, so there are rate / gcd(rate, 16000) places between two of ours. */
static double best_snr(int rate, const float *x, size_t n, const float *heard, size_t n_heard)
{
    enum { CAP = 3 * RATE, WINDOW = RATE, MARGIN = 200 };
    static float want[CAP];
    int a = rate, b = RATE;
    while (b != 0) {
        const int rest = a % b;
        a = b;
        b = rest;
    }
    size_t onset = 0;
    while (onset < n_heard && fabsf(heard[onset]) < 1e-4f)
        onset++;
    double best = -100;
    size_t around = onset > MARGIN ? onset - MARGIN : 0, span = 2 * MARGIN;
    for (int lead = 0; lead < rate / a; lead++) {
        (void)as_16_khz(rate, (size_t)lead, x, n, want, CAP);
        size_t best_at = around;
        double here_best = -100;
        for (size_t at = around; at < around + span && at + MARGIN + WINDOW < n_heard; at++) {
            const double snr = snr_db(want + MARGIN, heard + at + MARGIN, lead == 0 ? WINDOW / 4 : WINDOW);
            if (snr > here_best) {
                here_best = snr;
                best_at = at;
            }
        }
        if (lead == 0) { /* later ones move it by less than 512 samples of the device's to the left */
            const size_t back = (size_t)(rate / a) * RATE / (size_t)rate + 3;
            around = best_at > back ? best_at - back : 0;
            span = back + 3;
            here_best = snr_db(want + MARGIN, heard + best_at + MARGIN, WINDOW);
        }
        best = fmax(best, here_best);
    }
    return best;
}

static void samples_are_those_of_the_file_at_every_rate(void **state)
{
    (void)state;
    need_daemon();
    static const struct {
        int rate, channels;
    } cases[] = {{48000, 2}, {44100, 1}, {24000, 1}, {16000, 1}, {8000, 2}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char module[MODULE_CAP];
        size_t n = 0;
        static float heard[5 * RATE];
        float *x = speech_at(cases[i].rate, &n);
        write_wav("speech.wav", x, n, cases[i].rate);
        load_sink("out", cases[i].rate, cases[i].channels, module);
        double snr = -100;
        /* A machine that is busy may let the daemon lose a block; not three times. */
        for (int tries = 0; tries < TRIES && snr < 60; tries++) {
            vx_capture *capture = open_pulse("out.monitor");
            /* A null sink begins by rendering two seconds ahead. */
            (void)hear(capture, heard, COUNT(heard), SETTLE_MS);
            child player = play("speech.wav", "out");
            const size_t n_heard = hear(capture, heard, 4 * RATE, PATIENCE_MS);
            assert_int_equal(child_end(&player, PATIENCE_MS), 0);
            const vx_capture_state s = state_of(capture);
            assert_int_equal(s.native_rate, cases[i].rate);
            assert_int_equal(s.native_channels, cases[i].channels);
            snr = best_snr(cases[i].rate, x, n, heard, n_heard);
            print_message("# %5d Hz, %d channels: %.0f dB, %d gaps\n", cases[i].rate, cases[i].channels, snr, s.n_gaps);
            vx_capture_close(capture);
        }
        assert_true(snr >= 60);
        unload(module);
        free(x);
    }
}

/* ---- what happens to a device ------------------------------------------------------------------------------------- */

static bool has_rate(const vx_capture_state *s, int rate)
{
    return s->native_rate == rate;
}

static bool has_channels(const vx_capture_state *s, int channels)
{
    return s->native_channels == channels;
}

static bool is_forced_silent(const vx_capture_state *s, int is)
{
    return s->forced_silence == (is != 0);
}

static bool says(const vx_capture_state *s, int muted)
{
    return (strstr(s->advice, "unmute") != NULL) == (muted != 0);
}

static bool plays(const vx_capture_state *s, int is)
{
    return s->has_playback && s->playback == (is != 0);
}

static bool has_gaps(const vx_capture_state *s, int n)
{
    return s->n_gaps >= n;
}

static bool is_heard(const vx_capture_state *s, int unused)
{
    (void)unused;
    return s->advice[0] == '\0' || s->forced_silence;
}

static void the_default_device_is_followed(void **state)
{
    (void)state;
    need_daemon();
    char first[MODULE_CAP], second[MODULE_CAP];
    load_sink("first", 48000, 2, first);
    vx_capture *capture = open_pulse(NULL);
    assert_true(until(capture, has_channels, 2));
    assert_non_null(strstr(state_of(capture).device, "first"));
    /* A headset. Its rate is not looked at: the server gives a null sink that nobody uses the rate of the stream that moves
     * there. */
    load_sink("second", 16000, 1, second);
    assert_true(PACTL("set-default-source", "second.monitor"));
    assert_true(until(capture, has_channels, 1));
    vx_capture_state s = state_of(capture);
    assert_non_null(strstr(s.device, "second"));
    assert_true(s.n_changes >= 1 && s.n_changes <= 2);
    /* It is unplugged: the built-in microphone goes on. */
    unload(second);
    assert_true(until(capture, has_channels, 2));
    s = state_of(capture);
    assert_non_null(strstr(s.device, "first"));
    assert_true(s.n_changes >= 2 && s.n_changes <= 4);
    print_message("# %d changes, %d gaps\n", s.n_changes, s.n_gaps);
    vx_capture_close(capture);
    unload(first);
}

static void a_device_that_disappears_comes_back(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    float samples[RATE];
    size_t n = 0;
    static const char *const names[] = {"out.monitor", NULL};
    for (size_t i = 0; i < COUNT(names); i++) {
        load_sink("out", 44100, 1, module);
        vx_capture *capture = open_pulse(names[i]);
        assert_true(hear(capture, samples, RATE / 10, PATIENCE_MS) == RATE / 10);
        unload(module);
        assert_true(until(capture, has_gaps, 1));
        (void)hear(capture, samples, RATE, 100); /* the last of it */
        assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(100), &n, NULL), VX_ERR_DEADLINE);
        if (i == 0) { /* told after 5 s, once */
            vx_errinfo info = {0};
            vx_err err = VX_ERR_DEADLINE;
            for (const uint64_t due = in_ms(PATIENCE_MS); err == VX_ERR_DEADLINE && vx_now_ns() < due;)
                err = vx_capture_read(capture, samples, 1, in_ms(500), &n, &info);
            assert_int_equal(err, VX_ERR_NOT_FOUND);
            assert_int_equal(vx_capture_read(capture, samples, 1, in_ms(100), &n, NULL), VX_ERR_DEADLINE);
        }
        load_sink("out", 24000, 2, module);
        assert_true(until(capture, has_rate, 24000));
        assert_true(until(capture, is_heard, 0));
        assert_true(hear(capture, samples, RATE / 10, PATIENCE_MS) == RATE / 10);
        assert_int_equal(state_of(capture).n_gaps, 1);
        vx_capture_close(capture);
        unload(module);
    }
}

static void a_server_that_dies_is_found_again(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    float samples[RATE / 10];
    load_sink("out", 48000, 1, module);
    vx_capture *capture = open_pulse("out.monitor");
    assert_int_equal(hear(capture, samples, COUNT(samples), PATIENCE_MS), COUNT(samples));
    daemon_end();
    assert_true(until(capture, has_gaps, 1));
    assert_true(daemon_start());
    here.n_sinks = 0;
    load_sink("out", 48000, 1, module);
    assert_true(until(capture, is_heard, 0));
    assert_int_equal(hear(capture, samples, COUNT(samples), PATIENCE_MS), COUNT(samples));
    vx_capture_close(capture);
    unload(module);
}

static void zeros_mute_and_playback_are_told(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    size_t n = 0;
    float *x = speech_at(48000, &n);
    write_wav("speech.wav", x, n, 48000);
    load_sink("out", 48000, 1, module);
    vx_capture *capture = open_pulse("out.monitor");
    assert_true(until(capture, is_forced_silent, 1));
    assert_non_null(strstr(state_of(capture).advice, "nothing but zeros"));
    assert_true(until(capture, plays, 0));
    assert_true(PACTL("set-source-mute", "out.monitor", "1"));
    assert_true(until(capture, says, 1));
    assert_true(PACTL("set-source-mute", "out.monitor", "0"));
    assert_true(until(capture, says, 0));
    child player = play("speech.wav", "out");
    assert_true(until(capture, plays, 1));
    assert_true(until(capture, is_forced_silent, 0));
    assert_true(until(capture, plays, 0));
    assert_int_equal(child_end(&player, PATIENCE_MS), 0);
    vx_capture_close(capture);
    unload(module);
    free(x);
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    vx_capture *capture = NULL;
    vx_errinfo info = {0};
    vx_capture_options options = {.source = "pulse"};
    assert_int_equal(vx_capture_open(&options, &capture, &info), VX_ERR_NOT_FOUND); /* no device at all */
    load_sink("out", 48000, 1, module);
    options.device = "nobody";
    info = (vx_errinfo){0};
    assert_int_equal(vx_capture_open(&options, &capture, &info), VX_ERR_NOT_FOUND);
    assert_string_equal(info.text, "there is no such device");
    /* By its description, and as what `auto` finds first. */
    options = (vx_capture_options){.device = "Monitor of out"};
    assert_int_equal(vx_capture_open(&options, &capture, &info), VX_OK);
    assert_string_equal(state_of(capture).source, "pulse");
    vx_capture_close(capture);
    unload(module);
    capture = NULL;
    setenv("PULSE_SERVER", "unix:/nonexistent", 1);
    assert_int_equal(vx_capture_open(&(vx_capture_options){.source = "pulse"}, &capture, NULL), VX_ERR_NOT_FOUND);
    assert_null(capture);
    char server[120];
    snprintf(server, sizeof server, "unix:%s/native", here.home.path);
    setenv("PULSE_SERVER", server, 1);
}

static vx_err count_device(void *arg, const char *source, const char *device, bool is_default)
{
    (void)is_default;
    assert_string_equal(source, "pulse");
    assert_non_null(device);
    ++*(int *)arg;
    return VX_OK;
}

static void monitors_are_no_microphones(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP], remap[MODULE_CAP];
    int n = 0;
    load_sink("out", 48000, 1, module);
    assert_int_equal(vx_capture_devices(count_device, &n, NULL), VX_OK);
    assert_int_equal(n, 0);
    char *const argv[] = {"pactl", "load-module", "module-remap-source", "master=out.monitor", "source_name=mic", NULL};
    assert_true(client(argv, remap));
    assert_int_equal(vx_capture_devices(count_device, &n, NULL), VX_OK);
    assert_int_equal(n, 1);
    assert_true(PACTL("unload-module", remap));
    unload(module);
}

/* ---- an utterance, and the command -------------------------------------------------------------------------------- */

static void an_utterance_comes_through(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    vx_vad *vad = NULL;
    vx_heard heard = {0};
    const vx_vad_params params = vx_vad_params_default();
    const vx_listen_options options = {.wait_s = 10, .most_s = 10, .before_s = 0.3};
    size_t n = 0;
    float *x = speech_at(48000, &n);
    write_wav("speech.wav", x, n, 48000);
    load_sink("out", 48000, 1, module);
    vx_capture *capture = open_pulse("out.monitor");
    assert_int_equal(vx_vad_create(&params, &vad), VX_OK);
    child player = play("speech.wav", "out");
    assert_int_equal(vx_hear(capture, vad, &options, &heard, NULL), VX_OK);
    const uint64_t now = vx_now_ns();
    const double length = (double)(heard.end - heard.begin) / RATE;
    print_message("# %.2f s heard, told %.0f ms after the speaker fell silent\n", length,
                  (double)(now - heard.ended_ns) / NS_PER_MS);
    assert_true(length > 1.3 && length < 2.2);
    /* Half a second of pause, and the detector's tenth, lie between; the rest is the sound system's. */
    assert_true(now - heard.ended_ns > 500 * (uint64_t)NS_PER_MS);
    assert_int_equal(child_end(&player, PATIENCE_MS), 0);
    vx_heard_done(&heard);
    vx_vad_destroy(vad);
    vx_capture_close(capture);
    unload(module);
    free(x);
}

static void the_command_tells_and_ends_on_a_signal(void **state)
{
    (void)state;
    need_daemon();
    char module[MODULE_CAP];
    child c = {0};
    const char *line = NULL;
    size_t n = 0;
    bool started = false, ended = false, closed = false;
    float *x = speech_at(48000, &n);
    write_wav("speech.wav", x, n, 48000);
    load_sink("out", 48000, 1, module);
    char *const argv[] = {VX_BUILD_DIR "/voxlock", "listen", "--json", "--source", "pulse", "--device",
                          "out.monitor",           NULL};
    assert_true(child_start(argv, CHILD_STDOUT, &c));
    assert_true(child_hear(&c, PATIENCE_MS, &line));
    assert_non_null(strstr(line, "\"event\":\"open\""));
    assert_non_null(strstr(line, "\"sample_rate\":48000"));
    child player = play("speech.wav", "out");
    while (!ended && child_hear(&c, PATIENCE_MS, &line)) {
        started |= strstr(line, "\"event\":\"start\"") != NULL;
        ended = strstr(line, "\"event\":\"end\"") != NULL;
    }
    assert_true(started && ended);
    kill(c.pid, SIGINT);
    while (!closed && child_hear(&c, PATIENCE_MS, &line))
        closed = strstr(line, "\"event\":\"closed\"") != NULL;
    assert_true(closed);
    assert_int_equal(child_end(&c, PATIENCE_MS), 0);
    assert_int_equal(child_end(&player, PATIENCE_MS), 0);
    unload(module);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(samples_are_those_of_the_file_at_every_rate),
        cmocka_unit_test(the_default_device_is_followed),
        cmocka_unit_test(a_device_that_disappears_comes_back),
        cmocka_unit_test(a_server_that_dies_is_found_again),
        cmocka_unit_test(zeros_mute_and_playback_are_told),
        cmocka_unit_test(monitors_are_no_microphones),
        cmocka_unit_test(an_utterance_comes_through),
        cmocka_unit_test(the_command_tells_and_ends_on_a_signal),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
