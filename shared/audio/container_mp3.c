/* container_mp3.c - MP3 files: the chain of frames from the first to the last.
 * Owns:   frame headers, the Xing/Info frame count. Does not: decode.
 * A frame header says how long its frame is, so that a file is a chain that ends with it; a broken link is damage, and
 * so is an end inside a frame. A file without a frame count that was cut between two frames looks whole. The sound
 * inside a frame carries no check sum that encoders use: damage there is heard, not seen. libmpg123 remarks on it on
 * standard error, and libsndfile (1.2) has no way to tell it not to.
 */
#include <string.h>

#include "shared/audio/container.h"

#define SAMPLES_PER_FRAME_MAX 1152
#define INFO_FRAME_MAX        576 /* 64 kbit/s at 8 kHz */
/* An ID3v2.4 tag of 22 bytes of padding, in front of what the codec library sees: libsndfile then knows an MP3 at once.
 * Without a tag it first looks for a resource fork beside the (nameless) file, in the working directory; behind a tag
 * of less than 13 bytes in all, it loses its place. */
static const uint8_t empty_tag[32] = {'I', 'D', '3', 4, 0, 0, 0, 0, 0, 22};
_Static_assert(sizeof empty_tag + INFO_FRAME_MAX <= VX_CONTAINER_HEAD_CAP, "tag and information frame must fit");

typedef struct {
    int mpeg1; /* else MPEG 2 or 2.5, at half the rates and lower */
    int rate;
    int mono;
    size_t len;
    uint32_t kind; /* bits that are the same in all frames of a stream */
} frame;

static int frame_parse(const uint8_t *data, size_t n, frame *ret)
{
    static const short kbps[2][16] = {
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},      /* MPEG 2 and 2.5 */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0}}; /* MPEG 1 */
    static const int rates[4][3] = {
        {11025, 12000, 8000}, {0, 0, 0}, {22050, 24000, 16000}, {44100, 48000, 32000}}; /* 2.5, reserved, 2, 1 */
    if (n < 4 || data[0] != 0xff || (data[1] & 0xe6) != 0xe2) /* eleven bits of sync, layer III */
        return 0;
    int version = (data[1] >> 3) & 3, bitrate = data[2] >> 4, rate = (data[2] >> 2) & 3;
    frame f = {.mpeg1 = version == 3, .mono = data[3] >> 6 == 3};
    if (version == 1 || rate == 3 || kbps[f.mpeg1][bitrate] == 0)
        return 0;
    f.rate = rates[version][rate];
    f.len = (size_t)((f.mpeg1 ? 144000 : 72000) * kbps[f.mpeg1][bitrate] / f.rate) + ((data[2] >> 1) & 1);
    f.kind = (uint32_t)(version << 3 | rate << 1 | f.mono);
    *ret = f;
    return 1;
}

size_t vx_container_mp3_frame_len(const uint8_t *data, size_t n)
{
    frame f;
    return frame_parse(data, n, &f) ? f.len : 0;
}

/* Where the Xing or Info mark stands in a frame: behind header and side information. */
static size_t info_at(const frame *f)
{
    return 4 + (size_t)(f->mpeg1 ? (f->mono ? 17 : 32) : (f->mono ? 9 : 17));
}

/* The frames that an information frame announces, itself not counted; 0 if this is none, or it does not say. */
static uint32_t announced(const uint8_t *data, const frame *f)
{
    const uint8_t *p = data + info_at(f);
    if (f->len < info_at(f) + 12 || (memcmp(p, "Xing", 4) != 0 && memcmp(p, "Info", 4) != 0) || !(p[7] & 1))
        return 0;
    return (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
}

/* What may follow the last frame: an ID3v1, APE or Lyrics3 tag, or zeros. */
static int is_trailer(const uint8_t *data, size_t n)
{
    if ((n == 128 && memcmp(data, "TAG", 3) == 0) || (n > 8 && memcmp(data, "APETAGEX", 8) == 0) ||
        (n > 11 && memcmp(data, "LYRICSBEGIN", 11) == 0))
        return 1;
    for (size_t i = 0; i < n; i++)
        if (data[i] != 0)
            return 0;
    return 1;
}

/* Writes a frame that states the number of frames behind it, as encoders do. Where the encoder did not, libsndfile
 * would guess the length from the size of the first frame, and cut a recording of varying bit rate there. */
static size_t make_info(const uint8_t *first, const frame *f, size_t count, uint8_t *ret)
{
    uint8_t header[4] = {first[0], first[1] | 1, (uint8_t)((first[2] & 0x0c) | (f->mpeg1 ? 0x50 : 0x80)), first[3]};
    frame made;
    if (!frame_parse(header, sizeof header, &made) || made.len > INFO_FRAME_MAX) /* 64 kbit/s, no padding */
        return 0;
    uint8_t *p = ret + info_at(&made);
    memset(ret, 0, made.len);
    memcpy(ret, header, sizeof header);
    memcpy(p, "Info", 4);
    p[7] = 1; /* the only field is the frame count */
    for (int i = 0; i < 4; i++)
        p[8 + i] = (uint8_t)(count >> 8 * (3 - i));
    return made.len;
}

vx_err vx_container_mp3(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info)
{
    size_t start = vx_container_id3_len(data, n), at = start, count = 0;
    frame first = {0}, f;
    while (at < n && !is_trailer(data + at, n - at)) {
        if (!frame_parse(data + at, n - at, &f) || (count > 0 && f.kind != first.kind))
            return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)at, 0,
                                     "the MP3 file is damaged: there is no frame at byte %zu", at);
        if (f.len > n - at)
            return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)n, 0,
                                     "the MP3 file is cut off inside its last frame");
        if (count++ == 0)
            first = f;
        at += f.len;
    }
    if (count == 0)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the MP3 file ends before its first frame");
    /* Some encoders count the information frame too. */
    uint32_t claim = announced(data + start, &first);
    if (claim != 0 && claim != count - 1 && claim != count)
        return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the MP3 file announces %u frames and holds %zu", claim,
                              count - 1);
    vx_container view = {.head_len = sizeof empty_tag,
                         .body = data + start,
                         .body_len = at - start,
                         .slack_frames = SAMPLES_PER_FRAME_MAX};
    memcpy(view.head, empty_tag, sizeof empty_tag);
    if (claim == 0)
        view.head_len += make_info(data + start, &first, count, view.head + sizeof empty_tag);
    *ret = view;
    return VX_OK;
}
