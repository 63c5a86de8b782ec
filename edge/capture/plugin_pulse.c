/* plugin_pulse.c - microphones of PulseAudio, and of PipeWire, which speaks its protocol.
 * Owns:   one connection, one stream, following the device it is laid on. Does not: wait for a server that is gone, or keep
 *         samples: they are read where libpulse has them.
 * A shared object of its own, which links nothing of voxlock.
 *
 * The simple main loop instead of the threaded one: everything happens inside read, so that nothing needs a lock, and a
 * reader's deadline is the poll's. What comes between two reads waits with the server, up to BEHIND_S.
 */
#include <pulse/pulseaudio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "edge/capture/capture_private.h"

#define US_PER_MS 1000
#define NS_PER_US 1000u
enum {
    FRAGMENT_MS = 60, /* how often the server sends; with 20 an agent that only waits takes 1.0 % of a core, so 0.6 % */
    BEHIND_S = 10,    /* how far a reader may fall back before sound is lost */
    LIST_MS = 3000,   /* for all that listing devices asks */
    NAME_CAP = 256,
};

typedef struct {
    pa_mainloop *loop;
    pa_context *context;
    pa_stream *stream; /* NULL: none yet */
    vx_err failed;     /* why it can go on no more */
    char why[160];

    char wish[NAME_CAP];         /* the device asked for, by name or description; "": the default one */
    char name[NAME_CAP];         /* the name of it, once it was found */
    pa_sample_spec spec;         /* of the stream */
    pa_sample_spec native;       /* of the device when the stream was laid on it; rate 0: not told yet */
    char device[NAME_CAP];       /* description */
    bool muted, playback, renew; /* renew: the device speaks otherwise now */
    bool counting, recount,
        heard_playing; /* a list of what plays is under way, is to be made once more, had one that plays */
    bool peeked;       /* a fragment is lent out */
} pulse;

static void fail(pulse *p, vx_err err, const char *what)
{
    if (p->failed != VX_OK)
        return;
    p->failed = err;
    snprintf(p->why, sizeof p->why, "%s", what);
}

static void fail_by_server(pulse *p)
{
    const int error = pa_context_errno(p->context);
    fail(p, error == PA_ERR_ACCESS ? VX_ERR_PERMISSION : VX_ERR_NOT_FOUND, pa_strerror(error));
}

static vx_err told(const pulse *p, vx_errinfo *info)
{
    if (info != NULL && info->code == VX_OK) {
        info->code = p->failed;
        snprintf(info->text, sizeof info->text, "%s", p->why);
    }
    return p->failed;
}

static void release(pa_operation *operation)
{
    if (operation != NULL)
        pa_operation_unref(operation);
}

/* ---- the device the stream is laid on ----------------------------------------------------------------------------- */

static void on_device(pa_context *context, const pa_source_info *device, int end, void *arg)
{
    pulse *p = arg;
    (void)context;
    if (end != 0 || device == NULL)
        return;
    snprintf(p->device, sizeof p->device, "%s", device->description != NULL ? device->description : device->name);
    p->muted = device->mute != 0;
    /* Compared with what the device was, not with the stream: a server that does not give the device's own format would
     * else be asked for it without end. */
    if (p->native.rate != 0 &&
        (device->sample_spec.rate != p->native.rate || device->sample_spec.channels != p->native.channels))
        p->renew = true;
    p->native = device->sample_spec;
}

static void ask_for_device(pulse *p)
{
    if (p->stream != NULL && pa_stream_get_state(p->stream) == PA_STREAM_READY)
        release(pa_context_get_source_info_by_index(p->context, pa_stream_get_device_index(p->stream), on_device, p));
}

static void on_stream_state(pa_stream *stream, void *arg)
{
    pulse *p = arg;
    switch (pa_stream_get_state(stream)) {
    case PA_STREAM_READY:
        p->spec = *pa_stream_get_sample_spec(stream);
        ask_for_device(p);
        break;
    case PA_STREAM_FAILED:
    case PA_STREAM_TERMINATED: fail_by_server(p); break;
    default: break;
    }
}

static void on_moved(pa_stream *stream, void *arg)
{
    (void)stream;
    ask_for_device(arg);
}

static void end_stream(pulse *p)
{
    if (p->stream == NULL)
        return;
    pa_stream_set_state_callback(p->stream, NULL, NULL);
    pa_stream_set_moved_callback(p->stream, NULL, NULL);
    if (p->peeked)
        pa_stream_drop(p->stream);
    pa_stream_disconnect(p->stream);
    pa_stream_unref(p->stream);
    p->stream = NULL;
    p->peeked = p->renew = false;
    p->native.rate = p->spec.rate = 0;
}

/* In the device's own rate and channels. A device that was asked for by name is not exchanged for another one; the default
 * one is, by the server. */
static void begin_stream(pulse *p)
{
    const pa_sample_spec spec = {.format = PA_SAMPLE_FLOAT32NE, .rate = 48000, .channels = 1};
    const pa_buffer_attr buffer = {
        .maxlength = (uint32_t)pa_usec_to_bytes(BEHIND_S * PA_USEC_PER_SEC, &spec),
        .fragsize = (uint32_t)pa_usec_to_bytes(FRAGMENT_MS * PA_USEC_PER_MSEC, &spec),
        .tlength = (uint32_t)-1,
        .prebuf = (uint32_t)-1,
        .minreq = (uint32_t)-1,
    };
    const pa_stream_flags_t flags = PA_STREAM_FIX_RATE | PA_STREAM_FIX_CHANNELS | PA_STREAM_ADJUST_LATENCY |
                                    PA_STREAM_AUTO_TIMING_UPDATE | PA_STREAM_INTERPOLATE_TIMING |
                                    (p->name[0] != '\0' ? PA_STREAM_DONT_MOVE : PA_STREAM_NOFLAGS);
    p->stream = pa_stream_new(p->context, "voice", &spec, NULL);
    if (p->stream == NULL) {
        fail_by_server(p);
        return;
    }
    pa_stream_set_state_callback(p->stream, on_stream_state, p);
    pa_stream_set_moved_callback(p->stream, on_moved, p);
    if (pa_stream_connect_record(p->stream, p->name[0] != '\0' ? p->name : NULL, &buffer, flags) < 0)
        fail_by_server(p);
}

/* ---- what is sounding ------------------------------------------------------------------------------------------- */

static void on_playing(pa_context *context, const pa_sink_input_info *playing, int end, void *arg);

static void count_playing(pulse *p)
{
    if (p->counting) {
        p->recount = true;
        return;
    }
    p->counting = true;
    p->recount = p->heard_playing = false;
    release(pa_context_get_sink_input_info_list(p->context, on_playing, p));
}

static void on_playing(pa_context *context, const pa_sink_input_info *playing, int end, void *arg)
{
    pulse *p = arg;
    (void)context;
    if (end == 0) {
        p->heard_playing |= !playing->corked && !playing->mute;
        return;
    }
    p->counting = false;
    p->playback = end > 0 && p->heard_playing;
    if (p->recount)
        count_playing(p);
}

/* ---- connection --------------------------------------------------------------------------------------------------- */

static void on_event(pa_context *context, pa_subscription_event_type_t event, uint32_t index, void *arg)
{
    pulse *p = arg;
    (void)context;
    (void)index;
    switch (event & PA_SUBSCRIPTION_EVENT_FACILITY_MASK) {
    case PA_SUBSCRIPTION_EVENT_SINK_INPUT: count_playing(p); break;
    default: ask_for_device(p); break;
    }
}

static void on_candidate(pa_context *context, const pa_source_info *device, int end, void *arg)
{
    pulse *p = arg;
    (void)context;
    if (end == 0 && p->name[0] == '\0' &&
        (strcmp(device->name, p->wish) == 0 || (device->description && strcmp(device->description, p->wish) == 0)))
        snprintf(p->name, sizeof p->name, "%s", device->name);
    if (end == 0)
        return;
    if (p->name[0] != '\0')
        begin_stream(p);
    else
        fail(p, VX_ERR_NOT_FOUND, "there is no such device");
}

static void on_context_state(pa_context *context, void *arg)
{
    pulse *p = arg;
    switch (pa_context_get_state(context)) {
    case PA_CONTEXT_READY:
        pa_context_set_subscribe_callback(context, on_event, p);
        release(
            pa_context_subscribe(context, PA_SUBSCRIPTION_MASK_SOURCE | PA_SUBSCRIPTION_MASK_SINK_INPUT, NULL, NULL));
        count_playing(p);
        if (p->wish[0] != '\0')
            release(pa_context_get_source_info_list(context, on_candidate, p));
        else
            begin_stream(p);
        break;
    case PA_CONTEXT_FAILED:
    case PA_CONTEXT_TERMINATED: fail_by_server(p); break;
    default: break;
    }
}

static void close_pulse(void *self)
{
    pulse *p = self;
    end_stream(p);
    if (p->context != NULL) {
        pa_context_set_state_callback(p->context, NULL, NULL);
        pa_context_set_subscribe_callback(p->context, NULL, NULL);
        pa_context_disconnect(p->context);
        pa_context_unref(p->context);
    }
    if (p->loop != NULL)
        pa_mainloop_free(p->loop);
    free(p);
}

/* NOAUTOSPAWN: who asks for a microphone starts no daemon. */
static vx_err connect_server(pulse *p, pa_context_notify_cb_t on_state, vx_errinfo *info)
{
    p->loop = pa_mainloop_new();
    p->context = p->loop != NULL ? pa_context_new(pa_mainloop_get_api(p->loop), "voxlock") : NULL;
    if (p->context == NULL)
        return VX_ERR_NOMEM;
    pa_context_set_state_callback(p->context, on_state, p);
    if (pa_context_connect(p->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0)
        fail_by_server(p);
    return p->failed != VX_OK ? told(p, info) : VX_OK;
}

static vx_err open_pulse(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    pulse *p = calloc(1, sizeof *p);
    if (p == NULL)
        return VX_ERR_NOMEM;
    if (wish->device != NULL)
        snprintf(p->wish, sizeof p->wish, "%s", wish->device);
    const vx_err err = connect_server(p, on_context_state, info);
    if (err != VX_OK) {
        close_pulse(p);
        return err;
    }
    *ret_self = p;
    return VX_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static int64_t now_us(void)
{
    struct timespec ts = {0};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Lets the main loop work, waiting up to wait_us for something to do. */
static void turn(pulse *p, int wait_us)
{
    if (pa_mainloop_prepare(p->loop, wait_us) < 0 || pa_mainloop_poll(p->loop) < 0 || pa_mainloop_dispatch(p->loop) < 0)
        fail(p, VX_ERR_IO, "its main loop failed");
}

/* How long ago the first sample that was not read yet was heard; 0 where that is not known. */
static uint64_t age_ns(const pulse *p)
{
    pa_usec_t age = 0;
    int negative = 0;
    if (pa_stream_get_latency(p->stream, &age, &negative) < 0 || negative)
        return 0;
    return age * NS_PER_US;
}

/* The next fragment, if there is one. A hole is what the server had no room for. */
static bool take_fragment(pulse *p, vx_capture_block *block)
{
    const void *data = NULL;
    size_t n = 0;
    if (p->stream == NULL || pa_stream_get_state(p->stream) != PA_STREAM_READY || p->spec.rate == 0)
        return false;
    const uint64_t age = pa_stream_readable_size(p->stream) > 0 ? age_ns(p) : 0;
    if (pa_stream_peek(p->stream, &data, &n) < 0) {
        fail_by_server(p);
        return false;
    }
    if (data == NULL) {
        block->gap |= n > 0;
        if (n > 0)
            pa_stream_drop(p->stream);
        return false;
    }
    p->peeked = true;
    block->samples = data;
    block->n_frames = n / pa_frame_size(&p->spec);
    block->age_ns = age;
    return true;
}

static vx_err read_pulse(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    pulse *p = self;
    vx_capture_block block = {0};
    const int64_t due = now_us() + (int64_t)timeout_ms * US_PER_MS;
    if (p->peeked)
        pa_stream_drop(p->stream);
    p->peeked = false;
    turn(p, 0);
    while (p->failed == VX_OK && !take_fragment(p, &block)) {
        const int64_t left = due - now_us();
        if (left <= 0)
            break;
        turn(p, (int)left);
        if (p->renew) {
            end_stream(p);
            begin_stream(p);
        }
    }
    if (p->failed != VX_OK)
        return told(p, info);
    block.rate = (int)p->spec.rate;
    block.channels = block.rate != 0 ? p->spec.channels : 0;
    block.device = p->device[0] != '\0' ? p->device : NULL;
    block.muted = p->muted;
    block.has_playback = true;
    block.playback = p->playback;
    *ret_block = block;
    return VX_OK;
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

typedef struct {
    pulse p; /* first: on_list_state gets it as one */
    vx_capture_device_fn *fn;
    void *arg;
    char first[NAME_CAP]; /* the default device's name */
    bool done;
    vx_err err;
} listing;

static void on_listed(pa_context *context, const pa_source_info *device, int end, void *arg)
{
    listing *l = arg;
    (void)context;
    if (end != 0) {
        l->done = true;
        return;
    }
    /* The monitor of a loudspeaker is no microphone. */
    if (l->err == VX_OK && device->monitor_of_sink == PA_INVALID_INDEX)
        l->err = l->fn(l->arg, "pulse", device->description != NULL ? device->description : device->name,
                       strcmp(device->name, l->first) == 0);
}

static void on_server(pa_context *context, const pa_server_info *server, void *arg)
{
    listing *l = arg;
    if (server != NULL && server->default_source_name != NULL)
        snprintf(l->first, sizeof l->first, "%s", server->default_source_name);
    release(pa_context_get_source_info_list(context, on_listed, l));
}

static void on_list_state(pa_context *context, void *arg)
{
    pulse *p = arg;
    switch (pa_context_get_state(context)) {
    case PA_CONTEXT_READY: release(pa_context_get_server_info(context, on_server, arg)); break;
    case PA_CONTEXT_FAILED:
    case PA_CONTEXT_TERMINATED: fail_by_server(p); break;
    default: break;
    }
}

static vx_err list_devices(vx_capture_device_fn *fn, void *arg, vx_errinfo *info)
{
    listing *l = calloc(1, sizeof *l);
    if (l == NULL)
        return VX_ERR_NOMEM;
    l->fn = fn;
    l->arg = arg;
    vx_err err = connect_server(&l->p, on_list_state, info);
    for (const int64_t due = now_us() + LIST_MS * US_PER_MS; err == VX_OK && !l->done;) {
        const int64_t left = due - now_us();
        if (left <= 0)
            fail(&l->p, VX_ERR_NOT_FOUND, "it does not answer");
        else
            turn(&l->p, (int)left);
        if (l->p.failed != VX_OK)
            err = told(&l->p, info);
    }
    if (err == VX_OK)
        err = l->err;
    close_pulse(l); /* p is its first */
    return err;
}

VX_CAPTURE_PLUGIN_EXPORT = {
    .abi = VX_CAPTURE_ABI,
    .name = "pulse",
    .live = true,
    .settle_ms = 3000,
    .open = open_pulse,
    .close = close_pulse,
    .read = read_pulse,
    .devices = list_devices,
};
