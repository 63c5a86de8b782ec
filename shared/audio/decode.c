/* decode.c - bytes of a recording to canonical audio, in one pass over small blocks.
 * Owns:   formats by name, the decoding loop, judgement of samples, down-mix, limits. Does not: know containers
 *         (container.h) or filters (resample.h).
 * Order of judgement: format, rate, empty, corrupt, not finite or out of scale, short, long, silent; the loop stops at
 * the first sample past 60 s, so that damage behind it is not looked for.
 */
#include "shared/audio/decode.h"

#include <math.h>
#include <pthread.h>
#include <sndfile.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/container.h"
#include "shared/audio/resample.h"
#include "shared/base/bytes.h"

#define BLOCK_FRAMES       4096
#define BLOCK_SAMPLES      65536 /* a file of 1024 channels is read 64 frames at a time */
/* 60 s of 8 channels at 192 kHz. A Vorbis header may claim 255 channels, which a few bytes a packet keep silent: without
 * this bound a small file would keep a CPU busy for minutes. */
#define SOURCE_SAMPLES_MAX ((uint64_t)8 * 60 * VX_AUDIO_RATE_MAX)

/* Bits of |x| as float; for magnitudes, integer order is numeric order, with Inf and NaN above all. */
#define BITS_SIGN          0x80000000u
#define BITS_INF           0x7f800000u
#define BITS_CLIP          0x3f7ffe00u /* 32767/32768 */

/* One recording on its way to 16 kHz mono. All-zero is valid and empty. */
typedef struct {
    int rate, channels;
    vx_resampler *resampler; /* NULL at 16 kHz */
    float *mono;             /* [BLOCK_FRAMES], only with a resampler */
    float *out;              /* [cap] */
    size_t n, cap;
    uint64_t n_frames, max_frames; /* of the source */
    uint64_t n_clipped;
} stream;

vx_err vx_audio_format_parse(const char *name, vx_audio_format *ret_format, vx_errinfo *info)
{
    static const struct {
        const char *name;
        vx_audio_format format;
    } names[] = {
        {"auto", VX_FORMAT_AUTO},       {"wav", VX_FORMAT_WAV},       {"flac", VX_FORMAT_FLAC},
        {"ogg", VX_FORMAT_OGG},         {"mp3", VX_FORMAT_MP3},       {"int16", VX_FORMAT_S16LE},
        {"pcm_s16le", VX_FORMAT_S16LE}, {"float32", VX_FORMAT_F32LE}, {"pcm_f32le", VX_FORMAT_F32LE},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i].name) == 0) {
            *ret_format = names[i].format;
            return VX_OK;
        }
    }
    return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                          "the format must be auto, wav, flac, ogg, mp3, int16 (pcm_s16le) or float32 (pcm_f32le)");
}

/* ---- the stream ---- */

static void stream_done(stream *s)
{
    vx_resampler_destroy(s->resampler);
    if (s->mono)
        vx_wipe(s->mono, BLOCK_FRAMES * sizeof *s->mono);
    free(s->mono);
    vx_wipe(s->out, s->n * sizeof *s->out);
    free(s->out);
    *s = (stream){0};
}

static vx_err check_rate(int rate, vx_errinfo *info)
{
    if (rate >= VX_AUDIO_RATE_MIN && rate <= VX_AUDIO_RATE_MAX)
        return VX_OK;
    return vx_errinfo_set(info, VX_ERR_AUDIO_RATE, "the sample rate is %d Hz; %d to %d Hz are accepted", rate,
                          VX_AUDIO_RATE_MIN, VX_AUDIO_RATE_MAX);
}

/* claimed: frames that the source says it has; only a bound, so that room is never more than 60 s. */
static vx_err stream_open(stream *s, int rate, int channels, uint64_t claimed, vx_errinfo *info)
{
    vx_err err = check_rate(rate, info);
    if (err != VX_OK)
        return err;
    s->rate = rate;
    s->channels = channels;
    s->max_frames = (uint64_t)(VX_AUDIO_MAX_S * rate);
    if (s->max_frames > SOURCE_SAMPLES_MAX / (uint64_t)channels)
        s->max_frames = SOURCE_SAMPLES_MAX / (uint64_t)channels;
    /* All the room at once rather than growing: pages not written cost nothing, and no block that held audio is left
     * behind by realloc. */
    uint64_t frames = claimed < s->max_frames ? claimed : s->max_frames;
    s->cap = (size_t)(frames * VX_AUDIO_RATE / (uint64_t)rate + 2); /* rounded, and vx_resampler_cap */
    s->out = malloc(s->cap * sizeof *s->out);
    if (!s->out)
        return VX_ERR_NOMEM;
    if (rate == VX_AUDIO_RATE)
        return VX_OK;
    s->mono = malloc(BLOCK_FRAMES * sizeof *s->mono);
    if (!s->mono)
        return VX_ERR_NOMEM;
    return vx_resampler_create(rate, &s->resampler);
}

static uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & ~BITS_SIGN;
}

/* Counts clipped samples and refuses what is not audio at full scale 1.0. */
static vx_err judge(stream *s, const float *x, size_t n, vx_errinfo *info)
{
    uint32_t peak = 0, clipped = 0; /* n is at most BLOCK_SAMPLES */
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        peak = bits > peak ? bits : peak;
        clipped += bits >= BITS_CLIP;
    }
    if (peak > magnitude_bits(VX_AUDIO_PEAK_MAX)) {
        size_t i = 0;
        while (magnitude_bits(x[i]) != peak)
            i++;
        unsigned long long frame = s->n_frames + i / (size_t)s->channels;
        if (peak >= BITS_INF)
            return vx_errinfo_set(info, VX_ERR_AUDIO_NOT_FINITE, "sample %llu is %s", frame,
                                  peak == BITS_INF ? "infinite" : "not a number");
        return vx_errinfo_set(info, VX_ERR_AUDIO_SCALE,
                              "sample %llu is %g, but full scale is 1.0; were integers sent as floats?", frame,
                              (double)x[i]);
    }
    s->n_clipped += clipped;
    return VX_OK;
}

static void downmix(const float *in, size_t n_frames, int channels, float *ret_out)
{
    if (channels == 1) {
        memcpy(ret_out, in, n_frames * sizeof *in);
        return;
    }
    for (size_t i = 0; i < n_frames; i++) {
        float sum = 0;
        for (int c = 0; c < channels; c++)
            sum += *in++;
        ret_out[i] = sum / (float)channels;
    }
}

/* Takes n_frames (at most BLOCK_FRAMES) of interleaved samples. */
static vx_err stream_push(stream *s, const float *in, size_t n_frames, vx_errinfo *info)
{
    vx_err err = judge(s, in, n_frames * (size_t)s->channels, info);
    if (err != VX_OK)
        return err;
    if (n_frames > s->max_frames - s->n_frames)
        return vx_errinfo_set(info, VX_ERR_AUDIO_LONG, "the recording goes on after %.1f seconds; at most %.0f%s",
                              (double)s->max_frames / s->rate, VX_AUDIO_MAX_S,
                              s->max_frames < (uint64_t)(VX_AUDIO_MAX_S * s->rate)
                                  ? " are accepted, less with very many channels"
                                  : " are accepted");
    s->n_frames += n_frames;
    if (!s->resampler) {
        if (n_frames > s->cap - s->n)
            return VX_ERR_INTERNAL;
        downmix(in, n_frames, s->channels, s->out + s->n);
        s->n += n_frames;
        return VX_OK;
    }
    size_t n_out;
    downmix(in, n_frames, s->channels, s->mono);
    err = vx_resampler_process(s->resampler, s->mono, n_frames, s->out + s->n, s->cap - s->n, &n_out);
    if (err == VX_OK)
        s->n += n_out;
    return err;
}

/* Ends the input and moves the samples into ret_audio. */
static vx_err stream_finish(stream *s, const char *format, vx_audio *ret_audio, vx_errinfo *info)
{
    if (s->n_frames == 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_EMPTY, "the recording holds no samples");
    if ((double)s->n_frames < VX_AUDIO_MIN_S * s->rate)
        return vx_errinfo_set(info, VX_ERR_AUDIO_SHORT, "the recording lasts %.3f seconds; at least %.1f are needed",
                              (double)s->n_frames / s->rate, VX_AUDIO_MIN_S);
    if (s->resampler) {
        size_t n_out;
        vx_err err = vx_resampler_process(s->resampler, NULL, 0, s->out + s->n, s->cap - s->n, &n_out);
        if (err != VX_OK)
            return err;
        s->n += n_out;
    }
    double level = vx_audio_level_dbfs(s->out, s->n);
    if (level < VX_AUDIO_SILENT_DBFS)
        return vx_errinfo_set(info, VX_ERR_AUDIO_SILENT, "the level is %.0f dBFS; is the microphone muted?", level);
    *ret_audio = (vx_audio){
        .samples = s->out,
        .n = s->n,
        .source_rate = s->rate,
        .source_channels = s->channels,
        .format = format,
        .seconds = (double)s->n / VX_AUDIO_RATE,
        .level_dbfs = level,
        .clipped_share = (double)s->n_clipped / ((double)s->n_frames * s->channels),
    };
    s->out = NULL;
    s->n = 0;
    return VX_OK;
}

/* ---- raw samples ---- */

static vx_err decode_raw(const uint8_t *data, size_t n, vx_audio_format format, int rate, vx_audio *ret_audio,
                         vx_errinfo *info)
{
    const int is_float = format == VX_FORMAT_F32LE;
    const size_t width = is_float ? 4 : 2;
    stream s = {0};
    float block[BLOCK_FRAMES];
    vx_err err = check_rate(rate, info);
    if (err != VX_OK)
        return err;
    if (n == 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_EMPTY, "there are no bytes of audio");
    if (n % width != 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "%zu bytes are no whole number of raw %s samples", n,
                              is_float ? "float32" : "int16");
    size_t n_frames = n / width;
    err = stream_open(&s, rate, 1, n_frames, info);
    for (size_t at = 0; err == VX_OK && at < n_frames;) {
        size_t count = n_frames - at < BLOCK_FRAMES ? n_frames - at : BLOCK_FRAMES;
        const uint8_t *p = data + at * width;
        if (is_float) {
            for (size_t i = 0; i < count; i++) {
                uint32_t bits = vx_le32(p + 4 * i);
                memcpy(&block[i], &bits, sizeof bits);
            }
        } else {
            for (size_t i = 0; i < count; i++)
                block[i] = (float)(int16_t)vx_le16(p + 2 * i) * (1.0f / 32768);
        }
        err = stream_push(&s, block, count, info);
        at += count;
    }
    if (err == VX_OK)
        err = stream_finish(&s, is_float ? "pcm_f32le" : "pcm_s16le", ret_audio, info);
    vx_wipe(block, sizeof block);
    stream_done(&s);
    return err;
}

/* ---- containers, through libsndfile ---- */

/* A container as libsndfile reads it: head and body one behind the other. */
typedef struct {
    const vx_container *container;
    sf_count_t at;
} file;

static sf_count_t file_len(void *ctx)
{
    const file *f = ctx;
    return (sf_count_t)(f->container->head_len + f->container->body_len);
}

static sf_count_t file_seek(sf_count_t offset, int whence, void *ctx)
{
    file *f = ctx;
    sf_count_t len = file_len(ctx), base = whence == SEEK_CUR ? f->at : whence == SEEK_END ? len : 0;
    if (offset < -base || offset > len - base)
        return -1;
    f->at = base + offset;
    return f->at;
}

static sf_count_t file_read(void *ret, sf_count_t count, void *ctx)
{
    file *f = ctx;
    const vx_container *c = f->container;
    uint8_t *out = ret;
    size_t at = (size_t)f->at, want = count > 0 ? (size_t)count : 0, got = 0;
    if (at < c->head_len) {
        got = want < c->head_len - at ? want : c->head_len - at;
        memcpy(out, c->head + at, got);
        at += got;
    }
    size_t body_at = at - c->head_len;
    if (got < want && body_at < c->body_len) {
        size_t rest = want - got < c->body_len - body_at ? want - got : c->body_len - body_at;
        memcpy(out + got, c->body + body_at, rest);
        got += rest;
    }
    f->at += (sf_count_t)got;
    return (sf_count_t)got;
}

static sf_count_t file_tell(void *ctx)
{
    return ((const file *)ctx)->at;
}

/* libsndfile keeps the error of an open that failed, and a random seed, in globals. Its handles share nothing else. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;

static vx_err open_sndfile(file *f, SNDFILE **ret, SF_INFO *ret_info, vx_errinfo *info)
{
    SF_VIRTUAL_IO io = {.get_filelen = file_len, .seek = file_seek, .read = file_read, .tell = file_tell};
    pthread_mutex_lock(&open_lock);
    SNDFILE *snd = sf_open_virtual(&io, SFM_READ, ret_info, f);
    int code = snd ? 0 : sf_error(NULL);
    pthread_mutex_unlock(&open_lock);
    if (snd) {
        *ret = snd;
        return VX_OK;
    }
    const char *text = sf_error_number(code); /* static text; sf_strerror(NULL) would read the globals again */
    if (strstr(text, "malloc"))               /* the code for it is not in the public header */
        return VX_ERR_NOMEM;
    vx_err err = code == SF_ERR_UNSUPPORTED_ENCODING || code == SF_ERR_UNRECOGNISED_FORMAT ? VX_ERR_AUDIO_FORMAT
                                                                                           : VX_ERR_AUDIO_CORRUPT;
    return vx_errinfo_set(info, err, "the audio file cannot be opened: %s", text);
}

/* Reads until the end, or until something is wrong. */
static vx_err pump(SNDFILE *snd, const SF_INFO *sf, size_t slack_frames, float *block, size_t block_frames, stream *s,
                   vx_errinfo *info)
{
    for (;;) {
        sf_count_t got = sf_readf_float(snd, block, (sf_count_t)block_frames);
        /* Before the samples are used: libFLAC hands out silence for a frame whose CRC is wrong. */
        if (sf_error(snd) != SF_ERR_NO_ERROR)
            return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the audio is damaged after %.2f seconds: %s",
                                  (double)s->n_frames / s->rate, sf_error_number(sf_error(snd)));
        if (got <= 0)
            break;
        vx_err err = stream_push(s, block, (size_t)got, info);
        if (err != VX_OK)
            return err;
    }
    /* A container that does not know its length claims the largest number there is. */
    if (sf->frames < SF_COUNT_MAX && s->n_frames + slack_frames < (uint64_t)sf->frames)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT,
                              "the audio is cut off: the file announces %.2f seconds and holds %.2f",
                              (double)sf->frames / s->rate, (double)s->n_frames / s->rate);
    return VX_OK;
}

static vx_err decode_container(const vx_container *container, const char *format, vx_audio *ret_audio, vx_errinfo *info)
{
    file f = {.container = container};
    SNDFILE *snd = NULL;
    SF_INFO sf = {0};
    stream s = {0};
    float *block = NULL;
    size_t block_frames = 0;
    vx_err err = open_sndfile(&f, &snd, &sf, info);
    if (err != VX_OK)
        goto out;
    err = stream_open(&s, sf.samplerate, sf.channels, (uint64_t)sf.frames, info);
    if (err != VX_OK)
        goto out;
    block_frames = BLOCK_SAMPLES / (size_t)sf.channels;
    if (block_frames > BLOCK_FRAMES)
        block_frames = BLOCK_FRAMES;
    block = malloc(block_frames * (size_t)sf.channels * sizeof *block);
    err = VX_ERR_NOMEM;
    if (!block)
        goto out;
    err = pump(snd, &sf, container->slack_frames, block, block_frames, &s, info);
    if (err == VX_OK)
        err = stream_finish(&s, format, ret_audio, info);
out:
    if (block)
        vx_wipe(block, block_frames * (size_t)sf.channels * sizeof *block);
    free(block);
    stream_done(&s);
    if (snd)
        sf_close(snd);
    return err;
}

/* ---- the way in ---- */

static vx_err check_container(vx_audio_format format, const uint8_t *data, size_t n, vx_container *ret,
                              const char **ret_format, vx_errinfo *info)
{
    switch (format) {
    case VX_FORMAT_WAV: *ret_format = "wav"; return vx_container_wav(data, n, ret, info);
    case VX_FORMAT_FLAC: *ret_format = "flac"; return vx_container_flac(data, n, ret, info);
    case VX_FORMAT_OGG: *ret_format = "ogg"; return vx_container_ogg(data, n, ret, info);
    default: *ret_format = "mp3"; return vx_container_mp3(data, n, ret, info);
    }
}

vx_err vx_audio_decode(const void *data, size_t n, vx_audio_format format, int raw_rate, vx_audio *ret_audio,
                       vx_errinfo *info)
{
    if (format == VX_FORMAT_S16LE || format == VX_FORMAT_F32LE)
        return decode_raw(data, n, format, raw_rate, ret_audio, info);
    if (n == 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_EMPTY, "there are no bytes of audio");
    const char *name;
    vx_audio_format found = vx_container_sniff(data, n, &name);
    if (format == VX_FORMAT_DROP_IN && !name)
        return decode_raw(data, n, VX_FORMAT_F32LE, raw_rate, ret_audio, info);
    if (found == VX_FORMAT_AUTO)
        return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                              "%s; send WAV, FLAC, Ogg (Vorbis, Opus) or MP3, or name the format of raw samples",
                              name ? name : "the first bytes belong to no known format");
    if (format != VX_FORMAT_AUTO && format != VX_FORMAT_DROP_IN && format != found)
        return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT, "the format was declared otherwise, but the bytes are %s",
                              name);
    vx_container container;
    const char *format_name;
    vx_err err = check_container(found, data, n, &container, &format_name, info);
    return err != VX_OK ? err : decode_container(&container, format_name, ret_audio, info);
}
