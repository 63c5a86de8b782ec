/* capture.c - blocks of a source, as one stream of 16 kHz mono.
 * Owns:   the way from a device's samples to a reader's: down-mix, resampling, following changes, waiting for a device that
 *         is gone, telling zeros from silence, time. Does not: speak to a sound system (source_*.c, plugin_*.c).
 */
#include "edge/capture/capture.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "edge/capture/capture_private.h"
#include "edge/capture/sample_clock.h"
#include "edge/capture/stream_resample.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/utf8.h"

#define NS_PER_MS 1000000u
#define NS_PER_S  1000000000u
enum {
    MONO_CAP = 480,   /* frames that are down-mixed at a time: 10 ms of 48 kHz */
    READY_CAP = 4096, /* samples; the most that the end of a stream at 8 kHz brings is 1,800 */
    SLICE_MS = 50,    /* so long a stop may go unnoticed */
    RETRY_MS = 250,   /* between two looks for a device that is gone */
};

struct vx_capture {
    const vx_capture_source *source;
    vx_capture_options wish; /* its texts are the two below */
    char *device, *path;
    atomic_bool stopped;

    void *self;             /* the source's; NULL while the device is gone */
    vx_capture_block block; /* the last one read */
    size_t n_taken;         /* frames of it */
    int rate, channels;     /* of the stream under way; 0: none */
    vx_stream_resampler *resampler;
    vx_err end; /* why the source gave no more, told when all is read; VX_OK: it goes on */
    vx_errinfo end_info;

    float mono[MONO_CAP], ready[READY_CAP];
    size_t mono_at, n_mono, ready_at, n_ready;
    uint64_t n_made;    /* samples of 16 kHz since open */
    uint64_t n_before;  /* of them, made before the stream under way */
    uint64_t n_frames;  /* of the stream under way */
    uint64_t n_zeros;   /* frames of nothing but zeros, up to now */
    uint64_t opened_ns; /* a file in real time began to sound */
    vx_sample_clock clock;
    uint64_t lost_ns, told_ns, retry_ns; /* since when it is gone, when that was told, when to look again */

    pthread_mutex_t lock; /* of state, which others ask for */
    vx_capture_state state;
};

/* ---- open and close --------------------------------------------------------------------------------------------- */

/* "" is none. */
static vx_err keep_text(const char *text, char **ret_copy)
{
    if (text == NULL || *text == '\0')
        return VX_OK;
    *ret_copy = strdup(text);
    return *ret_copy != NULL ? VX_OK : VX_ERR_NOMEM;
}

static void close_source(vx_capture *c)
{
    if (c->self != NULL)
        c->source->close(c->self);
    c->self = NULL;
    c->block = (vx_capture_block){0};
    c->n_taken = 0;
}

void vx_capture_close(vx_capture *capture)
{
    if (capture == NULL)
        return;
    close_source(capture);
    vx_stream_resampler_destroy(capture->resampler);
    free(capture->device);
    free(capture->path);
    pthread_mutex_destroy(&capture->lock);
    vx_wipe(capture, sizeof *capture);
    free(capture);
}

static vx_err take_block(vx_capture *c, int timeout_ms, vx_errinfo *info);

/* Until the source has told what it gives: that there is a device is known only then. */
static vx_err settle(vx_capture *c, vx_errinfo *info)
{
    const uint64_t due = vx_now_ns() + (uint64_t)c->source->settle_ms * NS_PER_MS;
    while (c->source->settle_ms > 0 && c->block.rate == 0) {
        const vx_err err = take_block(c, SLICE_MS, info);
        if (err != VX_OK)
            return err;
        if (c->block.rate == 0 && vx_now_ns() >= due)
            return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the sound system gives no sound");
    }
    return VX_OK;
}

vx_err vx_capture_open_on(const vx_capture_source *source, const vx_capture_options *options, vx_capture **ret_capture,
                          vx_errinfo *info)
{
    vx_capture *c = calloc(1, sizeof *c);
    if (c == NULL)
        return VX_ERR_NOMEM;
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        free(c);
        return VX_ERR_NOMEM;
    }
    c->source = source;
    c->state.source = source->name;
    c->opened_ns = vx_now_ns();
    vx_err err = keep_text(options->device, &c->device);
    if (err == VX_OK)
        err = keep_text(options->path, &c->path);
    c->wish = (vx_capture_options){.device = c->device, .path = c->path, .real_time = options->real_time};
    if (err == VX_OK)
        err = source->open(&c->wish, &c->self, info);
    if (err == VX_OK)
        err = settle(c, info);
    if (err == VX_OK) {
        *ret_capture = c;
        c = NULL;
    }
    vx_capture_close(c);
    return err;
}

static vx_err open_named(const char *name, const vx_capture_options *options, vx_capture **ret_capture,
                         vx_errinfo *info)
{
    const vx_capture_source *source = NULL;
    vx_err err = vx_capture_find_source(name, &source, info);
    if (err != VX_OK)
        return err;
    if (source == &vx_capture_file) {
        if (options->path == NULL || *options->path == '\0')
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "the source 'file' wants a file, or - for standard input");
        if (strcmp(options->path, "-") == 0)
            source = &vx_capture_stdin;
    }
    return vx_capture_open_on(source, options, ret_capture, info);
}

/* What the user must mend first is told: a permission, or else that nothing answers. */
static vx_err open_automatic(const vx_capture_options *options, vx_capture **ret_capture, vx_errinfo *info)
{
    char tried[200] = "";
    vx_err worst = VX_ERR_UNSUPPORTED;
    for (size_t i = 0; vx_capture_auto_name(i) != NULL; i++) {
        vx_errinfo cause = {0};
        const vx_err err = open_named(vx_capture_auto_name(i), options, ret_capture, &cause);
        if (err == VX_OK || err == VX_ERR_NOMEM)
            return err;
        if (err == VX_ERR_PERMISSION || worst == VX_ERR_UNSUPPORTED)
            worst = err;
        const size_t len = strlen(tried);
        snprintf(tried + len, sizeof tried - len, "%s%s: %.120s", len > 0 ? "; " : "", vx_capture_auto_name(i),
                 vx_errinfo_text(&cause, err));
    }
    return vx_errinfo_set(info, worst, "no microphone can be had; %s", tried);
}

vx_err vx_capture_open(const vx_capture_options *options, vx_capture **ret_capture, vx_errinfo *info)
{
    const char *name = options->source;
    if (name == NULL || strcmp(name, "auto") == 0)
        return open_automatic(options, ret_capture, info);
    return open_named(name, options, ret_capture, info);
}

void vx_capture_stop(vx_capture *capture)
{
    atomic_store(&capture->stopped, true);
}

/* ---- state ------------------------------------------------------------------------------------------------------ */

/* A device says what it is called, so that may be anything: it ends up on terminals. Cut between characters. */
static void copy_name(const char *name, char ret_name[VX_MICROPHONE_CAP])
{
    size_t at = 0;
    const uint8_t *p = (const uint8_t *)name;
    for (size_t left = strlen(name), len; left > 0; p += len, left -= len) {
        uint32_t code;
        len = vx_utf8_next(p, left, &code);
        const bool shows = len > 0 && code >= 0x20 && (code < 0x7f || code > 0x9f);
        len = len > 0 ? len : 1;
        if (at + (shows ? len : 1) >= VX_MICROPHONE_CAP)
            break;
        if (shows)
            memcpy(ret_name + at, p, len);
        else
            ret_name[at] = '?';
        at += shows ? len : 1;
    }
    ret_name[at] = '\0';
}

/* Whether the sound comes from another device than before. */
static bool take_name(vx_capture *c)
{
    char name[VX_MICROPHONE_CAP] = "";
    if (c->block.device != NULL)
        copy_name(c->block.device, name);
    if (name[0] == '\0' || strcmp(name, c->state.device) == 0)
        return false;
    const bool other = c->state.device[0] != '\0';
    pthread_mutex_lock(&c->lock);
    memcpy(c->state.device, name, sizeof name);
    pthread_mutex_unlock(&c->lock);
    return other;
}

static void tell_state(vx_capture *c)
{
    const vx_capture_block *b = &c->block;
    vx_capture_state *s = &c->state;
    pthread_mutex_lock(&c->lock);
    if (b->rate > 0) {
        s->native_rate = b->native_rate > 0 ? b->native_rate : b->rate;
        s->native_channels = b->native_channels > 0 ? b->native_channels : b->channels;
        s->playback = b->playback;
        s->has_playback = b->has_playback;
    }
    s->forced_silence = c->rate > 0 && c->n_zeros >= (uint64_t)c->rate;
    vx_capture_advise(s, c->source->live, c->lost_ns != 0, b->muted, b->program, s->advice, sizeof s->advice);
    pthread_mutex_unlock(&c->lock);
}

static void count(vx_capture *c, int changes, int gaps)
{
    pthread_mutex_lock(&c->lock);
    c->state.n_changes += changes;
    c->state.n_gaps += gaps;
    pthread_mutex_unlock(&c->lock);
}

void vx_capture_get_state(vx_capture *capture, vx_capture_state *ret_state)
{
    pthread_mutex_lock(&capture->lock);
    *ret_state = capture->state;
    pthread_mutex_unlock(&capture->lock);
}

uint64_t vx_capture_time_ns(const vx_capture *capture, uint64_t sample)
{
    return vx_sample_clock_at(&capture->clock, sample);
}

/* ---- streams ---------------------------------------------------------------------------------------------------- */

/* Its last samples are made, and the next one may have any format. */
static vx_err end_stream(vx_capture *c)
{
    size_t took, gave = 1;
    vx_err err = VX_OK;
    while (c->resampler != NULL && gave > 0 && c->n_ready < READY_CAP && err == VX_OK) {
        err = vx_stream_resampler_process(c->resampler, NULL, 0, c->ready + c->n_ready, READY_CAP - c->n_ready, &took,
                                          &gave);
        if (err == VX_OK) {
            c->n_ready += gave;
            c->n_made += gave;
        }
    }
    vx_stream_resampler_destroy(c->resampler);
    c->resampler = NULL;
    c->rate = c->channels = 0;
    return err;
}

static vx_err begin_stream(vx_capture *c, vx_errinfo *info)
{
    const vx_capture_block *b = &c->block;
    if (b->channels < 1 || b->channels > VX_CAPTURE_MAX_CHANNELS)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "it has %d channels; at most %d are taken", b->channels,
                              VX_CAPTURE_MAX_CHANNELS);
    vx_err err = vx_stream_resampler_create(b->rate, &c->resampler);
    if (err == VX_ERR_AUDIO_RATE)
        return vx_errinfo_set(info, err, "its rate is %d Hz; %d to %d are taken", b->rate, VX_AUDIO_RATE_MIN,
                              VX_AUDIO_RATE_MAX);
    if (err != VX_OK)
        return err;
    c->rate = b->rate;
    c->channels = b->channels;
    c->n_before = c->n_made;
    c->n_frames = c->n_zeros = 0;
    c->clock.known = false;
    return VX_OK;
}

/* Samples of 16 kHz, counted since open, that frames of the stream under way come to. */
static uint64_t sample_of(const vx_capture *c, uint64_t frame)
{
    return c->n_before + frame * VX_AUDIO_RATE / (uint64_t)c->rate;
}

/* The block that came in, against the stream under way. */
static vx_err follow(vx_capture *c, vx_errinfo *info)
{
    const vx_capture_block *b = &c->block;
    if (b->gap) {
        count(c, 0, 1);
        c->clock.known = false;
    }
    bool changed = b->rate > 0 && take_name(c);
    if (b->rate > 0 && (b->rate != c->rate || b->channels != c->channels)) {
        changed |= c->rate > 0;
        vx_err err = end_stream(c);
        if (err == VX_OK)
            err = begin_stream(c, info);
        if (err != VX_OK)
            return err;
        c->lost_ns = 0;
    }
    if (changed)
        count(c, 1, 0);
    if (c->source->live && b->n_frames > 0) {
        const uint64_t now = vx_now_ns(), lasts = b->n_frames * NS_PER_S / (uint64_t)b->rate;
        const uint64_t age = b->age_ns > lasts ? b->age_ns : lasts;
        if (vx_sample_clock_observe(&c->clock, sample_of(c, c->n_frames), now > age ? now - age : 0, now))
            count(c, 0, 1);
    }
    return VX_OK;
}

/* The next one. All that came in the format before is made by then: the caller sees to that. */
static vx_err take_block(vx_capture *c, int timeout_ms, vx_errinfo *info)
{
    vx_capture_block block = {0};
    vx_err err = c->source->read(c->self, timeout_ms, &block, info);
    if (err != VX_OK)
        return err;
    c->block = block;
    c->n_taken = 0;
    err = follow(c, info);
    if (err != VX_OK) /* there is nothing to take it into */
        c->n_taken = block.n_frames;
    tell_state(c);
    return err;
}

/* Mean of the channels; what is no sound (NaN, 1e30) is silence. */
static void downmix(vx_capture *c)
{
    const vx_capture_block *b = &c->block;
    const size_t left = b->n_frames - c->n_taken, n = left < MONO_CAP ? left : MONO_CAP;
    const float *in = b->samples + c->n_taken * (size_t)b->channels;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (int k = 0; k < b->channels; k++)
            sum += *in++;
        if (b->channels > 1)
            sum /= (float)b->channels;
        c->mono[i] = fabsf(sum) <= VX_AUDIO_PEAK_MAX ? sum : 0;
        c->n_zeros = c->mono[i] == 0 ? c->n_zeros + 1 : 0;
    }
    c->mono_at = 0;
    c->n_mono = n;
    c->n_taken += n;
    c->n_frames += n;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------- */

static int ms_until(uint64_t due_ns)
{
    const uint64_t now = vx_now_ns();
    if (now >= due_ns)
        return 0;
    const uint64_t ms = (due_ns - now - 1) / NS_PER_MS + 1;
    return ms < SLICE_MS ? (int)ms : SLICE_MS;
}

static void rest(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * (long)NS_PER_MS}, NULL);
}

/* The device is gone, or does not come: what was heard of it is made, and it is looked for. */
static vx_err lose(vx_capture *c)
{
    const uint64_t now = vx_now_ns();
    const vx_err err = end_stream(c);
    close_source(c);
    if (c->lost_ns == 0) {
        c->lost_ns = c->told_ns = now;
        count(c, 0, 1);
    }
    c->retry_ns = now + RETRY_MS * (uint64_t)NS_PER_MS;
    tell_state(c);
    return err;
}

static vx_err look_again(vx_capture *c, uint64_t deadline_ns)
{
    const uint64_t now = vx_now_ns();
    if (now >= c->retry_ns) {
        const vx_err err = c->source->open(&c->wish, &c->self, NULL);
        c->retry_ns = now + RETRY_MS * (uint64_t)NS_PER_MS;
        if (err == VX_OK || err == VX_ERR_NOMEM)
            return err;
    }
    rest(ms_until(deadline_ns < c->retry_ns ? deadline_ns : c->retry_ns));
    return VX_OK;
}

/* A file in real time: a sample is there once it would have been spoken. False: not yet. */
static bool is_due(vx_capture *c, uint64_t deadline_ns)
{
    if (c->source->live)
        return true;
    const size_t left = c->block.n_frames - c->n_taken, n = left < MONO_CAP ? left : MONO_CAP;
    const uint64_t begin = sample_of(c, c->n_frames), end = sample_of(c, c->n_frames + n);
    if (c->wish.real_time) {
        const uint64_t due = c->opened_ns + end * (NS_PER_S / VX_AUDIO_RATE);
        if (vx_now_ns() < due) {
            rest(ms_until(due < deadline_ns ? due : deadline_ns));
            return false;
        }
    }
    const uint64_t now = vx_now_ns(), lasts = (end - begin) * (NS_PER_S / VX_AUDIO_RATE);
    (void)vx_sample_clock_observe(&c->clock, begin, now > lasts ? now - lasts : 0, now);
    return true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static vx_err resample(vx_capture *c)
{
    size_t took = 0, gave = 0;
    const vx_err err = vx_stream_resampler_process(c->resampler, c->mono + c->mono_at, c->n_mono - c->mono_at, c->ready,
                                                   READY_CAP, &took, &gave);
    if (err != VX_OK)
        return err;
    c->mono_at += took;
    c->n_ready = gave;
    c->n_made += gave;
    return took > 0 || gave > 0 ? VX_OK : VX_ERR_INTERNAL;
}

/* Of a device every end is one that may pass, but for a lack of memory or of permission. */
static vx_err end_source(vx_capture *c, vx_err err, const vx_errinfo *info)
{
    if (err == VX_ERR_NOMEM)
        return err;
    if (c->source->live && err != VX_ERR_PERMISSION)
        return lose(c);
    c->end = err;
    c->end_info = *info;
    return end_stream(c);
}

/* Nothing could be done: go on waiting, or not. */
static vx_err wait_on(const vx_capture *c, uint64_t deadline_ns)
{
    const uint64_t now = vx_now_ns();
    if (c->lost_ns != 0 && now - c->told_ns >= VX_CAPTURE_LOST_MS * (uint64_t)NS_PER_MS)
        return VX_ERR_NOT_FOUND;
    return now >= deadline_ns ? VX_ERR_DEADLINE : VX_OK;
}

/* One step towards more samples. VX_OK: there may be some now, or later. */
static vx_err step(vx_capture *c, uint64_t deadline_ns)
{
    if (c->end != VX_OK)
        return c->end;
    if (c->mono_at < c->n_mono)
        return resample(c);
    if (c->n_taken < c->block.n_frames) {
        if (!is_due(c, deadline_ns))
            return wait_on(c, deadline_ns);
        downmix(c);
        return VX_OK;
    }
    if (c->self == NULL) {
        const vx_err err = look_again(c, deadline_ns);
        return err != VX_OK || c->self != NULL ? err : wait_on(c, deadline_ns);
    }
    vx_errinfo cause = {0};
    const vx_err err = take_block(c, ms_until(deadline_ns), &cause);
    if (err != VX_OK)
        return end_source(c, err, &cause);
    return c->block.n_frames > 0 ? VX_OK : wait_on(c, deadline_ns);
}

/* More samples, or why there are none. */
static vx_err refill(vx_capture *c, uint64_t deadline_ns)
{
    vx_err err = VX_OK;
    c->ready_at = c->n_ready = 0;
    while (err == VX_OK && c->n_ready == 0)
        err = atomic_load(&c->stopped) ? VX_ERR_CLOSED : step(c, deadline_ns);
    return err;
}

static vx_err explain(vx_capture *c, vx_err err, vx_errinfo *info)
{
    switch (err) {
    case VX_ERR_NOT_FOUND:
        if (c->source->live) {
            c->told_ns = vx_now_ns();
            return vx_errinfo_set(info, err, "%s", c->state.advice);
        }
        break;
    case VX_ERR_CLOSED: return vx_errinfo_set(info, err, "there is no more to hear");
    case VX_ERR_DEADLINE: return vx_errinfo_set(info, err, "no sound came in time");
    default: break;
    }
    return c->end == err ? vx_errinfo_set(info, err, "%s", vx_errinfo_text(&c->end_info, err)) : err;
}

vx_err vx_capture_read(vx_capture *capture, float *ret_samples, size_t n, uint64_t deadline_ns, size_t *ret_n,
                       vx_errinfo *info)
{
    size_t got = 0;
    vx_err err = VX_OK;
    while (got < n && err == VX_OK) {
        if (capture->ready_at == capture->n_ready) {
            err = refill(capture, deadline_ns);
            continue;
        }
        const size_t there = capture->n_ready - capture->ready_at, m = there < n - got ? there : n - got;
        memcpy(ret_samples + got, capture->ready + capture->ready_at, m * sizeof *ret_samples);
        capture->ready_at += m;
        got += m;
    }
    if (got == 0)
        return n > 0 ? explain(capture, err, info) : VX_ERR_ARG;
    pthread_mutex_lock(&capture->lock);
    capture->state.n_samples += got;
    pthread_mutex_unlock(&capture->lock);
    *ret_n = got;
    return VX_OK;
}
