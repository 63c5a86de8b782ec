/* plugin_alsa.c - microphones of ALSA, for machines without a sound server.
 * Owns:   one device, its format, recovery from overruns and sleep. Does not: mix, or say what is playing.
 * A shared object of its own, which links nothing of voxlock.
 */
#include <alsa/asoundlib.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/capture/capture_private.h"

enum {
    WANTED_RATE = 48000, /* of what the device does natively, the nearest */
    PERIOD_US = 20000,
    BUFFER_US = 2000000, /* how far a reader may fall back before sound is lost */
    BLOCK_FRAMES = 2048,
    NAME_CAP = 256,
};

typedef struct {
    snd_pcm_t *pcm;
    snd_pcm_format_t format;
    unsigned rate, channels;
    char name[NAME_CAP];
    void *raw;      /* [BLOCK_FRAMES, channels] as the device has it */
    float *samples; /* the same as floats */
    bool gap;
} alsa;

/* alsa-lib would write its own lines to standard error. */
static void be_silent(const char *file, int line, const char *function, int err, const char *fmt, ...)
{
    (void)file, (void)line, (void)function, (void)err, (void)fmt;
}

static vx_err told(int code, const char *name, vx_errinfo *info)
{
    const vx_err err = code == -ENOMEM                     ? VX_ERR_NOMEM
                       : code == -EACCES || code == -EPERM ? VX_ERR_PERMISSION
                       : code == -EINVAL                   ? VX_ERR_UNSUPPORTED
                                                           : VX_ERR_NOT_FOUND;
    if (info != NULL && info->code == VX_OK) {
        info->code = err;
        snprintf(info->text, sizeof info->text, "%.100s: %s", name, snd_strerror(code));
    }
    return err;
}

static size_t sample_bytes(const alsa *a)
{
    return a->format == SND_PCM_FORMAT_S16 ? 2 : 4;
}

static void close_alsa(void *self)
{
    alsa *a = self;
    if (a->pcm != NULL)
        snd_pcm_close(a->pcm);
    /* Not in place of a memset that the compiler may drop: through volatile. */
    volatile unsigned char *raw = a->raw, *samples = (void *)a->samples;
    const size_t n = (size_t)BLOCK_FRAMES * a->channels;
    for (size_t i = 0; raw != NULL && i < n * sample_bytes(a); i++)
        raw[i] = 0;
    for (size_t i = 0; samples != NULL && i < n * sizeof(float); i++)
        samples[i] = 0;
    free(a->raw);
    free(a->samples);
    free(a);
}

/* The device's own rate and channels: alsa-lib's resampler is linear. */
static int choose_format(alsa *a, snd_pcm_hw_params_t *hw)
{
    static const snd_pcm_format_t formats[] = {SND_PCM_FORMAT_FLOAT, SND_PCM_FORMAT_S32, SND_PCM_FORMAT_S16};
    unsigned period_us = PERIOD_US, buffer_us = BUFFER_US;
    int code = snd_pcm_hw_params_any(a->pcm, hw);
    if (code >= 0)
        code = snd_pcm_hw_params_set_rate_resample(a->pcm, hw, 0);
    if (code >= 0)
        code = snd_pcm_hw_params_set_access(a->pcm, hw, SND_PCM_ACCESS_RW_INTERLEAVED);
    size_t i = 0;
    while (i < sizeof formats / sizeof *formats && code >= 0 &&
           snd_pcm_hw_params_set_format(a->pcm, hw, formats[i]) < 0)
        i++;
    if (code >= 0 && i == sizeof formats / sizeof *formats)
        code = -EINVAL;
    if (code < 0)
        return code;
    a->format = formats[i];
    a->rate = WANTED_RATE;
    a->channels = 1;
    code = snd_pcm_hw_params_set_channels_near(a->pcm, hw, &a->channels);
    if (code >= 0)
        code = snd_pcm_hw_params_set_rate_near(a->pcm, hw, &a->rate, NULL);
    if (code >= 0)
        code = snd_pcm_hw_params_set_buffer_time_near(a->pcm, hw, &buffer_us, NULL);
    if (code >= 0)
        code = snd_pcm_hw_params_set_period_time_near(a->pcm, hw, &period_us, NULL);
    if (code >= 0)
        code = snd_pcm_hw_params(a->pcm, hw);
    return code >= 0 && (a->channels < 1 || a->channels > VX_CAPTURE_MAX_CHANNELS) ? -EINVAL : code;
}

static int start(alsa *a)
{
    snd_pcm_hw_params_t *hw = NULL;
    int code = snd_pcm_open(&a->pcm, a->name, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK);
    if (code >= 0)
        code = snd_pcm_hw_params_malloc(&hw);
    if (code >= 0)
        code = choose_format(a, hw);
    if (hw != NULL)
        snd_pcm_hw_params_free(hw);
    if (code < 0)
        return code;
    const size_t n = (size_t)BLOCK_FRAMES * a->channels;
    a->raw = calloc(n, sample_bytes(a));
    a->samples = calloc(n, sizeof *a->samples);
    if (a->raw == NULL || a->samples == NULL)
        return -ENOMEM;
    return snd_pcm_start(a->pcm);
}

static vx_err open_alsa(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    alsa *a = calloc(1, sizeof *a);
    if (a == NULL)
        return VX_ERR_NOMEM;
    snd_lib_error_set_handler(be_silent);
    snprintf(a->name, sizeof a->name, "%s", wish->device != NULL ? wish->device : "default");
    const int code = start(a);
    if (code < 0) {
        const vx_err err = told(code, a->name, info);
        close_alsa(a);
        return err;
    }
    *ret_self = a;
    return VX_OK;
}

/* After an overrun, or when the machine has slept. */
static int recover(alsa *a, int code)
{
    if (code != -EPIPE && code != -ESTRPIPE)
        return code;
    a->gap = true;
    code = snd_pcm_recover(a->pcm, code, 1);
    return code < 0 ? code : snd_pcm_start(a->pcm);
}

static void to_float(alsa *a, size_t n)
{
    const int16_t *narrow = a->raw;
    const int32_t *wide = a->raw;
    switch (a->format) {
    case SND_PCM_FORMAT_S16:
        for (size_t i = 0; i < n; i++)
            a->samples[i] = (float)narrow[i] * 0x1p-15f;
        break;
    case SND_PCM_FORMAT_S32:
        for (size_t i = 0; i < n; i++)
            a->samples[i] = (float)wide[i] * 0x1p-31f;
        break;
    default: memcpy(a->samples, a->raw, n * sizeof *a->samples); break;
    }
}

static vx_err read_alsa(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    alsa *a = self;
    snd_pcm_sframes_t got = snd_pcm_readi(a->pcm, a->raw, BLOCK_FRAMES);
    if (got == -EAGAIN && timeout_ms > 0) {
        const int woken = snd_pcm_wait(a->pcm, timeout_ms);
        got = woken > 0 ? snd_pcm_readi(a->pcm, a->raw, BLOCK_FRAMES) : woken == 0 ? -EAGAIN : woken;
    }
    if (got < 0 && got != -EAGAIN) {
        const int code = recover(a, (int)got);
        if (code < 0)
            return told(code, a->name, info);
        got = 0;
    }
    const size_t n = got > 0 ? (size_t)got : 0;
    to_float(a, n * a->channels);
    *ret_block = (vx_capture_block){
        .rate = (int)a->rate,
        .channels = (int)a->channels,
        .device = a->name,
        .samples = a->samples,
        .n_frames = n,
        .gap = a->gap,
    };
    a->gap = false;
    return VX_OK;
}

static vx_err list_devices(vx_capture_device_fn *fn, void *arg, vx_errinfo *info)
{
    void **hints = NULL;
    vx_err err = VX_OK;
    snd_lib_error_set_handler(be_silent);
    const int code = snd_device_name_hint(-1, "pcm", &hints);
    if (code < 0)
        return told(code, "its devices", info);
    for (void **hint = hints; *hint != NULL && err == VX_OK; hint++) {
        char *name = snd_device_name_get_hint(*hint, "NAME"), *way = snd_device_name_get_hint(*hint, "IOID");
        /* No way is both. "null" is a device that hears nothing. */
        if (name != NULL && (way == NULL || strcmp(way, "Input") == 0) && strcmp(name, "null") != 0)
            err = fn(arg, "alsa", name, strcmp(name, "default") == 0);
        free(name);
        free(way);
    }
    snd_device_name_free_hint(hints);
    return err;
}

VX_CAPTURE_PLUGIN_EXPORT = {
    .abi = VX_CAPTURE_ABI,
    .name = "alsa",
    .live = true,
    .settle_ms = 1000,
    .open = open_alsa,
    .close = close_alsa,
    .read = read_alsa,
    .devices = list_devices,
};
