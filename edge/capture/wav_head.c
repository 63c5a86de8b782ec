/* wav_head.c - chunk by chunk up to the data. */
#include "edge/capture/wav_head.h"

#include <string.h>

#include "edge/capture/capture_private.h"
#include "shared/audio/audio.h"
#include "shared/base/bytes.h"

enum {
    RIFF_BYTES = 12,
    CHUNK_BYTES = 8,
    FMT_BYTES = 16, /* that every format has */
    FMT_LONG = 26,  /* with the tag behind an extension */
    TAG_PCM = 1,
    TAG_FLOAT = 3,
    TAG_EXTENSIBLE = 0xfffe,
};
/* Nobody puts a picture before a voice in a pipe; a number that large is damage. */
#define SKIP_MAX     ((uint32_t)1 << 20)
/* Who writes to a pipe cannot go back and fill in the size: sox leaves 0x7ffff000, arecord 0x80000000, ffmpeg 0xffffffff,
 * others 0. */
#define SIZE_UNKNOWN 0x7ffff000u

size_t vx_pcm_width(vx_pcm pcm)
{
    static const uint8_t widths[] = {
        [VX_PCM_S16] = 2, [VX_PCM_S24] = 3, [VX_PCM_S32] = 4, [VX_PCM_F32] = 4, [VX_PCM_U8] = 1};
    return widths[pcm];
}

static float to_float(vx_pcm pcm, const uint8_t *p)
{
    float x;
    uint32_t bits;
    switch (pcm) {
    case VX_PCM_U8: return (float)(p[0] - 128) * 0x1p-7f;
    case VX_PCM_S16: return (float)(int16_t)vx_le16(p) * 0x1p-15f;
    case VX_PCM_S24:
        return (float)(int32_t)((uint32_t)p[0] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 24) * 0x1p-31f;
    case VX_PCM_S32: return (float)(int32_t)vx_le32(p) * 0x1p-31f;
    default:
        bits = vx_le32(p);
        memcpy(&x, &bits, sizeof x);
        return x;
    }
}

void vx_pcm_to_float(vx_pcm pcm, const uint8_t *bytes, size_t n, float *ret_samples)
{
    const size_t width = vx_pcm_width(pcm);
    for (size_t i = 0; i < n; i++)
        ret_samples[i] = to_float(pcm, bytes + i * width);
}

static vx_err take_fmt(vx_wav_head *head, vx_errinfo *info)
{
    const uint8_t *p = head->bytes;
    unsigned tag = vx_le16(p), channels = vx_le16(p + 2), bits = vx_le16(p + 14);
    const uint32_t rate = vx_le32(p + 4);
    if (tag == TAG_EXTENSIBLE && head->n >= FMT_LONG)
        tag = vx_le16(p + 24);
    static const struct {
        unsigned tag, bits;
        vx_pcm pcm;
    } known[] = {{TAG_PCM, 16, VX_PCM_S16},
                 {TAG_PCM, 24, VX_PCM_S24},
                 {TAG_PCM, 32, VX_PCM_S32},
                 {TAG_PCM, 8, VX_PCM_U8},
                 {TAG_FLOAT, 32, VX_PCM_F32}};
    size_t i = 0;
    while (i < sizeof known / sizeof *known && (known[i].tag != tag || known[i].bits != bits))
        i++;
    if (i == sizeof known / sizeof *known)
        return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                              "a WAV stream of codec 0x%04x with %u bits is not read; send PCM or 32-bit float", tag,
                              bits);
    if (rate < VX_AUDIO_RATE_MIN || rate > VX_AUDIO_RATE_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_RATE, "the WAV stream's rate is %u Hz; %d to %d Hz are accepted", rate,
                              VX_AUDIO_RATE_MIN, VX_AUDIO_RATE_MAX);
    if (channels < 1 || channels > VX_CAPTURE_MAX_CHANNELS)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV stream claims %u channels", channels);
    head->pcm = known[i].pcm;
    head->rate = (int)rate;
    head->channels = (int)channels;
    head->has_fmt = true;
    return VX_OK;
}

/* The head of a chunk. */
static vx_err take_chunk(vx_wav_head *head, vx_errinfo *info)
{
    const uint32_t size = vx_le32(head->bytes + 4);
    if (memcmp(head->bytes, "data", 4) == 0) {
        if (!head->has_fmt)
            return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV stream has no fmt chunk before its data");
        head->n_bytes = size == 0 || size >= SIZE_UNKNOWN ? UINT64_MAX : size;
        head->part = VX_WAV_DATA;
        return VX_OK;
    }
    if (size > SKIP_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV stream has a chunk of %u bytes before its data",
                              size);
    head->skip = size + (size & 1); /* chunks begin at even offsets */
    if (memcmp(head->bytes, "fmt ", 4) != 0 || head->has_fmt)
        return VX_OK;
    if (size < FMT_BYTES)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV stream's fmt chunk has %u bytes", size);
    head->part = VX_WAV_FMT;
    head->fmt_bytes = size < FMT_LONG ? FMT_BYTES : FMT_LONG;
    return VX_OK;
}

/* All the bytes of a part are there. */
static vx_err take(vx_wav_head *head, vx_errinfo *info)
{
    vx_err err = VX_OK;
    switch (head->part) {
    case VX_WAV_RIFF:
        if (memcmp(head->bytes, "RIFF", 4) != 0 || memcmp(head->bytes + 8, "WAVE", 4) != 0)
            err = vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT, "the stream is no RIFF WAVE");
        head->part = VX_WAV_CHUNK;
        break;
    case VX_WAV_FMT:
        err = take_fmt(head, info);
        head->skip -= (uint32_t)head->fmt_bytes;
        head->part = VX_WAV_CHUNK;
        break;
    default: err = take_chunk(head, info); break;
    }
    head->n = 0;
    return err;
}

vx_err vx_wav_head_push(vx_wav_head *head, const uint8_t *bytes, size_t n, size_t *ret_took, bool *ret_done,
                        vx_errinfo *info)
{
    size_t at = 0;
    vx_err err = VX_OK;
    while (err == VX_OK && head->part != VX_WAV_DATA && at < n) {
        /* What is skipped of a fmt chunk lies behind the bytes that are held of it. */
        const bool skips = head->skip > 0 && head->part == VX_WAV_CHUNK && head->n == 0;
        const size_t want = head->part == VX_WAV_RIFF  ? RIFF_BYTES
                            : head->part == VX_WAV_FMT ? head->fmt_bytes
                                                       : CHUNK_BYTES;
        const size_t need = skips ? head->skip : want - head->n, m = n - at < need ? n - at : need;
        if (skips) {
            head->skip -= (uint32_t)m;
        } else {
            memcpy(head->bytes + head->n, bytes + at, m);
            head->n += m;
        }
        at += m;
        if (!skips && head->n == want)
            err = take(head, info);
    }
    if (err != VX_OK)
        return err;
    *ret_took = at;
    *ret_done = head->part == VX_WAV_DATA;
    return VX_OK;
}
