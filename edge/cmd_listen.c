/* cmd_listen.c - voxlock listen: what the microphone gives, what is taken for speech, and how loud both are.
 * Owns:   the meter, the lines. Does not: keep a sample longer than the 10 ms it belongs to.
 */
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/capture/capture.h"
#include "edge/capture/vad.h"
#include "edge/cmd.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

#define NS_PER_S     1000000000u
#define LONGEST_S    1e9
#define SILENT_DBFS  (-120.0)
#define METER_LOWEST (-60.0) /* dBFS, the left end */
enum {
    WAIT_MS = 200,     /* at most between two looks at the device */
    METER_FRAMES = 10, /* between two pictures of the meter: 10 a second */
    METER_CELLS = 30,
};
enum { FLAG_JSON, FLAG_DEVICES, FLAG_SOURCE, FLAG_DEVICE, FLAG_FILE, FLAG_SECONDS };

/* A signal's handler has no other way to know. */
static _Atomic(vx_capture *) heard_from;

static void on_signal(int number)
{
    (void)number;
    vx_capture *capture = atomic_load(&heard_from);
    if (capture != NULL)
        vx_capture_stop(capture);
}

typedef struct {
    bool json, meter;
    vx_capture *capture;
    vx_vad *vad;
    vx_capture_state state; /* as it was told last */
    size_t n_frames;        /* pushed */
    uint64_t n_most;        /* samples to hear; UINT64_MAX: no end */
    uint64_t n_heard;
    int n_utterances;
    double power; /* of the frames with speech in the utterance under way, summed */
    size_t n_loud;
    double noise_dbfs;
    vx_err err; /* of writing */
} session;

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* A line of JSON; takes event, NULL is out of memory. Told at once: whoever reads it waits for it. */
static void put_event(session *s, json_t *event)
{
    vx_buf line = {0};
    vx_err err = event != NULL ? vx_json_write(event, &line) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_buf_append(&line, "\n", 1);
    if (err == VX_OK && (fwrite(line.data, 1, line.len, stdout) != line.len || fflush(stdout) != 0))
        err = VX_ERR_IO;
    if (s->err == VX_OK)
        s->err = err;
    json_decref(event);
    vx_buf_done(&line);
}

static void clear_meter(const session *s)
{
    if (s->meter)
        dprintf(STDERR_FILENO, "\r\033[K");
}

/* Rounded, so that lines do not claim what nobody measured. */
static double tenth(double x)
{
    return round(x * 10) / 10;
}

static double seconds_of(size_t samples)
{
    return round((double)samples / VX_AUDIO_RATE * 1000) / 1000;
}

static void tell_device(session *s, const char *event)
{
    const vx_capture_state *now = &s->state;
    clear_meter(s);
    if (s->json)
        put_event(s, json_pack("{s:s, s:s, s:o, s:i, s:i, s:i, s:i, s:s}", "event", event, "source", now->source,
                               "device", vx_json_shown(now->device), "sample_rate", now->native_rate, "channels",
                               now->native_channels, "changes", now->n_changes, "gaps", now->n_gaps, "advice",
                               now->advice));
    else if (strcmp(event, "silence") == 0 || strcmp(event, "lost") == 0)
        dprintf(STDERR_FILENO, "voxlock: %s\n", now->advice);
    else if (strcmp(event, "gap") == 0)
        dprintf(STDERR_FILENO, "voxlock: sound was lost (%d times so far)\n", now->n_gaps);
    else
        dprintf(STDERR_FILENO, "voxlock: listening to %s (%s, %d Hz, %d channels); end with Ctrl-C\n", now->device,
                now->source, now->native_rate, now->native_channels);
}

/* What is new of the device since the last look. */
static void look(session *s)
{
    const vx_capture_state before = s->state;
    vx_capture_get_state(s->capture, &s->state);
    const bool first = before.native_rate == 0 && s->state.native_rate != 0;
    if (first || s->state.n_changes != before.n_changes)
        tell_device(s, first ? "open" : "change");
    const bool silent = s->state.forced_silence, was_silent = before.forced_silence;
    if (s->state.n_gaps != before.n_gaps)
        tell_device(s, s->state.advice[0] != '\0' && !silent ? "lost" : "gap");
    if (silent && !was_silent)
        tell_device(s, "silence");
}

static void tell_start(session *s, const vx_vad_frame *frame)
{
    s->power = 0;
    s->n_loud = 0;
    s->noise_dbfs = frame->noise_dbfs;
    if (s->json)
        put_event(s, json_pack("{s:s, s:f}", "event", "start", "begin_s", seconds_of(frame->begin)));
}

static void tell_end(session *s, const vx_vad_frame *frame)
{
    const double level = s->n_loud > 0 ? fmax(10 * log10(s->power / (double)s->n_loud), SILENT_DBFS) : SILENT_DBFS;
    const double length = seconds_of(frame->end - frame->begin);
    s->n_utterances++;
    if (s->json) {
        put_event(s, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "event", "end", "begin_s", seconds_of(frame->begin),
                               "end_s", seconds_of(frame->end), "seconds", length, "level_dbfs", tenth(level),
                               "noise_dbfs", tenth(s->noise_dbfs)));
        return;
    }
    clear_meter(s);
    printf("%8.2f s to %8.2f s: %5.2f s of speech at %.0f dBFS, noise at %.0f dBFS\n", seconds_of(frame->begin),
           seconds_of(frame->end), length, level, s->noise_dbfs);
    if (fflush(stdout) != 0)
        s->err = VX_ERR_IO;
}

static void show_meter(const vx_vad_frame *frame)
{
    char bar[METER_CELLS + 1];
    const double share = (frame->level_dbfs - METER_LOWEST) / -METER_LOWEST;
    const int full = (int)(fmin(fmax(share, 0), 1) * METER_CELLS);
    for (int i = 0; i < METER_CELLS; i++)
        bar[i] = i < full ? '#' : '.';
    bar[METER_CELLS] = '\0';
    dprintf(STDERR_FILENO, "\r%s %4.0f dBFS  %s\033[K", bar, frame->level_dbfs, frame->speech ? "speech" : "");
}

/* ---- listening -------------------------------------------------------------------------------------------------- */

static void judge(session *s, const float *samples)
{
    vx_vad_frame frame;
    vx_vad_push(s->vad, samples, &frame);
    s->n_frames++;
    if (frame.event == VX_VAD_START)
        tell_start(s, &frame);
    if (frame.event == VX_VAD_SPEECH && frame.level_dbfs > SILENT_DBFS && frame.probability >= 0.5) {
        s->power += pow(10, frame.level_dbfs / 10);
        s->n_loud++;
    }
    if (frame.event == VX_VAD_END)
        tell_end(s, &frame);
    if (s->meter && s->n_frames % METER_FRAMES == 0)
        show_meter(&frame);
}

/* What the detector holds back comes out with silence behind it; 12 s are more than its longest pause. */
static void drain(session *s)
{
    static const float silence[VX_VAD_FRAME];
    const int n_utterances = s->n_utterances;
    for (int i = 0; i < 1200 && s->n_utterances == n_utterances && s->err == VX_OK; i++)
        judge(s, silence);
}

/* Until the end of the file, of the time, or a signal. A device that is gone is waited for. */
static vx_err hear(session *s, vx_errinfo *info)
{
    float frame[VX_VAD_FRAME];
    size_t n_held = 0;
    const uint64_t end_ns =
        s->n_most == UINT64_MAX ? UINT64_MAX : vx_now_ns() + s->n_most * (NS_PER_S / VX_AUDIO_RATE) + NS_PER_S;
    vx_err err = VX_OK;
    while (s->err == VX_OK && s->n_heard < s->n_most && vx_now_ns() < end_ns) {
        size_t n = 0;
        vx_errinfo cause = {0};
        err = vx_capture_read(s->capture, frame + n_held, VX_VAD_FRAME - n_held,
                              vx_now_ns() + WAIT_MS * (uint64_t)1000000, &n, &cause);
        look(s);
        n_held += n;
        s->n_heard += n;
        if (err == VX_ERR_DEADLINE || (err == VX_ERR_NOT_FOUND && s->state.native_rate > 0))
            err = VX_OK;
        if (err != VX_OK) {
            if (err != VX_ERR_CLOSED && info != NULL)
                *info = cause;
            break;
        }
        if (n_held == VX_VAD_FRAME) {
            judge(s, frame);
            n_held = 0;
        }
    }
    vx_wipe(frame, sizeof frame);
    if (err == VX_OK || err == VX_ERR_CLOSED) {
        drain(s);
        err = s->err;
    }
    return err;
}

static int listen_to(session *s, const vx_capture_options *wish)
{
    vx_errinfo info = {0};
    const vx_vad_params params = vx_vad_params_default();
    vx_err err = vx_vad_create(&params, &s->vad);
    if (err == VX_OK)
        err = vx_capture_open(wish, &s->capture, &info);
    if (err == VX_OK) {
        struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}; /* a second one ends it */
        atomic_store(&heard_from, s->capture);
        sigaction(SIGINT, &act, NULL);
        sigaction(SIGTERM, &act, NULL);
        err = hear(s, &info);
        clear_meter(s);
        atomic_store(&heard_from, NULL);
    }
    if (err == VX_OK && s->json)
        put_event(s, json_pack("{s:s, s:f, s:i}", "event", "closed", "seconds", seconds_of(s->n_heard), "utterances",
                               s->n_utterances));
    vx_capture_close(s->capture);
    vx_vad_destroy(s->vad);
    err = err == VX_OK ? s->err : err;
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(wish->path, err, &info);
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

static vx_err add_device(void *arg, const char *source, const char *device, bool is_default)
{
    json_t *entry =
        json_pack("{s:s, s:o, s:b}", "source", source, "device", vx_json_shown(device), "default", (int)is_default);
    return json_array_append_new(arg, entry) == 0 ? VX_OK : VX_ERR_NOMEM;
}

static int list_devices(bool json)
{
    vx_errinfo info = {0};
    json_t *devices = json_array();
    const vx_err err = devices != NULL ? vx_capture_devices(add_device, devices, &info) : VX_ERR_NOMEM;
    if (err != VX_OK) {
        json_decref(devices);
        return vx_cmd_fail(NULL, err, &info);
    }
    return vx_cmd_print(json_pack("{s:o}", "devices", devices), json);
}

/* JSON's numbers know no locale, no NaN and no hexadecimal. 0 when it is none. */
static double parse_seconds(const char *text)
{
    json_t *number = NULL;
    double value = 0;
    if (vx_json_parse(text, strlen(text), (vx_json_limits){1, 1}, &number, NULL) == VX_OK)
        value = json_number_value(number);
    json_decref(number);
    return value;
}

static int run(const vx_cmd_call *call)
{
    session s = {
        .json = call->flags & 1u << FLAG_JSON,
        .meter = !(call->flags & 1u << FLAG_JSON) && isatty(STDERR_FILENO),
        .n_most = UINT64_MAX,
        .noise_dbfs = SILENT_DBFS,
    };
    if (call->flags & 1u << FLAG_DEVICES)
        return list_devices(s.json);
    if (call->values[FLAG_SECONDS] != NULL) {
        const double seconds = parse_seconds(call->values[FLAG_SECONDS]);
        if (!(seconds > 0 && seconds <= LONGEST_S))
            return vx_cmd_misused("--seconds takes a number above 0, not '%.40s'", call->values[FLAG_SECONDS]);
        s.n_most = (uint64_t)(seconds * VX_AUDIO_RATE);
    }
    const char *source = call->values[FLAG_SOURCE], *path = call->values[FLAG_FILE];
    if (path != NULL && source != NULL && strcmp(source, "file") != 0)
        return vx_cmd_misused("--file and --source %.40s do not go together", source);
    const vx_capture_options wish = {
        .source = path != NULL ? "file" : source,
        .device = call->values[FLAG_DEVICE],
        .path = path,
    };
    return listen_to(&s, &wish);
}

const vx_cmd vx_cmd_listen = {
    .name = "listen",
    .usage = "[--source NAME] [--device NAME | --file PATH] [--seconds N] [--json] | --devices [--json]",
    .help = "Show what the microphone gives: its level, and a line for each utterance. Nothing is stored.",
    .flags = {{"--json", "one JSON object a line for each event: open, start, end, change, gap, lost, silence, closed",
               NULL},
              {"--devices", "list the microphones instead", NULL},
              {"--source", "auto, pulse, alsa, coreaudio or file", "NAME"},
              {"--device", "a microphone other than the default one, as --devices calls it", "NAME"},
              {"--file", "a recording, or - for standard input (WAV, or raw int16 at 16 kHz)", "PATH"},
              {"--seconds", "end after so much sound", "N"}},
    .max_operands = 0,
    .run = run,
};
