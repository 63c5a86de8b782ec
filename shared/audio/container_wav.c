/* container_wav.c - RIFF, RIFX and RF64 WAVE files: finds fmt and data, and checks that the data is all there.
 * Owns:   the chunk walk and the conventions for sizes that the writer did not know. Does not: decode.
 * libsndfile shortens a data chunk that runs past the end of the file without a word, and takes a size of 0 for an
 * empty recording; hence this walk. It gets a header with these two chunks and nothing else.
 */
#include <string.h>

#include "shared/audio/container.h"

#define FMT_MIN      16
#define FMT_MAX      512
/* Writers to a pipe cannot go back and fill in the size: sox leaves 0x7FFFF000, arecord 0x80000000, ffmpeg 0xFFFFFFFF.
 * No recording within the limits is that long, so any such size means "to the end of the file". */
#define SIZE_UNKNOWN 0x7FFFF000u
/* Room for 60 s of 8 channels at 192 kHz as doubles, and below what the 32-bit sizes of the new header can say. */
#define DATA_MAX     0x40000000u

typedef struct {
    const uint8_t *data;
    size_t n;
    int big_endian;
    const uint8_t *fmt;
    size_t fmt_len;
    uint64_t ds64_data; /* RF64: size of the data chunk; 0 unknown */
    size_t data_at;     /* first byte of sound */
    size_t data_len;
} walk;

static uint32_t get(const walk *w, const uint8_t *p, int n_bytes)
{
    uint32_t value = 0;
    for (int i = 0; i < n_bytes; i++)
        value |= (uint32_t)p[i] << 8 * (w->big_endian ? n_bytes - 1 - i : i);
    return value;
}

static void put32(const walk *w, uint8_t *p, size_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * (w->big_endian ? 3 - i : i));
}

/* The data chunk whose body begins at `at` and claims `size` bytes. */
static vx_err take_data(walk *w, size_t at, uint32_t size, vx_errinfo *info)
{
    uint64_t riff_end = (uint64_t)get(w, w->data + 4, 4) + 8;
    size_t room = w->n - at;
    uint64_t declared = size;
    if (size == UINT32_MAX && w->ds64_data > 0)
        declared = w->ds64_data;
    /* A size of 0 is an empty recording only if the file, by its RIFF size, was closed with something behind it. */
    if (declared >= SIZE_UNKNOWN || (size == 0 && riff_end <= at))
        declared = room;
    if (declared > room)
        return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)w->n, 0,
                                 "the WAV file is cut off: its data chunk declares %llu bytes and %zu are there",
                                 (unsigned long long)declared, room);
    if (declared > DATA_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_LONG, "the WAV file holds more than %u bytes of sound", DATA_MAX);
    w->data_at = at;
    w->data_len = (size_t)declared;
    return VX_OK;
}

/* The codecs that are samples or close to it: GSM or MP3 inside WAV exist, and are no reason to open more parsers. */
static vx_err check_fmt(const walk *w, vx_errinfo *info)
{
    static const uint16_t tags[] = {1, 2, 3, 6, 7, 0x11}; /* PCM, MS ADPCM, float, A-law, mu-law, IMA ADPCM */
    if (w->fmt_len < FMT_MIN || w->fmt_len > FMT_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV file's fmt chunk has %zu bytes", w->fmt_len);
    uint32_t tag = get(w, w->fmt, 2);
    if (tag == 0xFFFE && w->fmt_len >= 26)
        tag = get(w, w->fmt + 24, 2); /* WAVE_FORMAT_EXTENSIBLE: the GUID begins with the tag */
    size_t i = 0;
    while (i < sizeof tags / sizeof *tags && tags[i] != tag)
        i++;
    if (i == sizeof tags / sizeof *tags)
        return vx_errinfo_set(info, VX_ERR_AUDIO_FORMAT,
                              "WAV with codec 0x%04x is not decoded; send PCM, float, A-law, mu-law or ADPCM", tag);
    uint32_t rate = get(w, w->fmt + 4, 4);
    if (rate < VX_AUDIO_RATE_MIN || rate > VX_AUDIO_RATE_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_RATE, "the WAV file's rate is %u Hz; %d to %d Hz are accepted", rate,
                              VX_AUDIO_RATE_MIN, VX_AUDIO_RATE_MAX);
    if (get(w, w->fmt + 2, 2) == 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV file claims 0 channels");
    return VX_OK;
}

static vx_err find_chunks(walk *w, vx_errinfo *info)
{
    for (size_t at = 12; w->n - at >= 8;) {
        const uint8_t *chunk = w->data + at;
        uint32_t size = get(w, chunk + 4, 4);
        at += 8;
        if (memcmp(chunk, "data", 4) == 0) {
            if (!w->fmt)
                return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the WAV file has no fmt chunk before its data");
            return take_data(w, at, size, info);
        }
        if (w->n - at < size)
            break;
        if (memcmp(chunk, "fmt ", 4) == 0 && !w->fmt) {
            w->fmt = chunk + 8;
            w->fmt_len = size;
            vx_err err = check_fmt(w, info);
            if (err != VX_OK)
                return err;
        } else if (memcmp(chunk, "ds64", 4) == 0 && size >= 16) {
            w->ds64_data = get(w, chunk + 16, 4) | (uint64_t)get(w, chunk + 20, 4) << 32;
        }
        at += size;
        at += at < w->n && (size & 1); /* chunks begin at even offsets */
    }
    return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)w->n, 0,
                             "the WAV file ends before its data chunk");
}

vx_err vx_container_wav(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info)
{
    walk w = {.data = data, .n = n, .big_endian = memcmp(data, "RIFX", 4) == 0};
    vx_err err = find_chunks(&w, info);
    if (err != VX_OK)
        return err;
    size_t fmt_room = w.fmt_len + (w.fmt_len & 1);
    vx_container view = {.head_len = 12 + 8 + fmt_room + 8, .body = data + w.data_at, .body_len = w.data_len};
    uint8_t *p = view.head;
    memcpy(p, w.big_endian ? "RIFX" : "RIFF", 4);
    put32(&w, p + 4, view.head_len - 8 + view.body_len);
    memcpy(p + 8, "WAVEfmt ", 8);
    put32(&w, p + 16, w.fmt_len);
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): find_chunks succeeds only past a fmt chunk */
    memcpy(p + 20, w.fmt, w.fmt_len);
    memcpy(p + 20 + fmt_room, "data", 4);
    put32(&w, p + 24 + fmt_room, view.body_len);
    *ret = view;
    return VX_OK;
}
