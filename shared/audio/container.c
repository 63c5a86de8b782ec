/* container.c - recognises a recording by its first bytes.
 * Owns:   the signatures, ID3v2 tags, FLAC's metadata. WAV, Ogg and MP3 have files of their own.
 */
#include "shared/audio/container.h"

#include <string.h>

#include "shared/base/bytes.h"

#define ID3_HEADER  10
#define FLAC_HEADER 42 /* "fLaC", block header, STREAMINFO of 34 bytes */

/* Formats that clients send although nothing here decodes them: naming them spares a round of guessing. Only
 * signatures of four bytes and more, as raw samples must not be taken for a file. */
static const struct {
    size_t at;
    const char *magic;
    const char *name;
} foreign[] = {
    {0, "\x1a\x45\xdf\xa3", "WebM or Matroska"},
    {4, "ftyp", "MP4 or M4A"},
    {0, "FORM", "AIFF"},
    {0, "caff", "Core Audio (CAF)"},
    {0, ".snd", "AU"},
    {0, "#!AMR", "AMR"},
    {0, "\x30\x26\xb2\x75", "Windows Media"},
};

static int has(const uint8_t *data, size_t n, size_t at, const char *magic)
{
    size_t len = strlen(magic);
    return n >= at + len && memcmp(data + at, magic, len) == 0;
}

size_t vx_container_id3_len(const uint8_t *data, size_t n)
{
    size_t at = 0;
    while (n - at >= ID3_HEADER && has(data + at, n - at, 0, "ID3")) {
        const uint8_t *tag = data + at;
        /* The length is 28 bits in four bytes whose top bits are clear; a footer repeats the header. */
        if (tag[3] < 2 || tag[3] > 4 || ((tag[6] | tag[7] | tag[8] | tag[9]) & 0x80))
            break;
        size_t len = ((size_t)tag[6] << 21) | ((size_t)tag[7] << 14) | ((size_t)tag[8] << 7) | tag[9];
        len += (tag[5] & 0x10) ? 2 * ID3_HEADER : ID3_HEADER;
        if (len > n - at)
            return n;
        at += len;
        while (at < n && data[at] == 0)
            at++;
    }
    return at;
}

/* A frame header alone is 11 set bits and a few that must not be: raw samples look like it often. So the next header
 * must be where this one says, unless the file ends there. */
static int is_mp3(const uint8_t *data, size_t n)
{
    size_t len = vx_container_mp3_frame_len(data, n);
    return len > 0 && (len == n || (len < n && vx_container_mp3_frame_len(data + len, n - len) > 0));
}

vx_audio_format vx_container_sniff(const uint8_t *data, size_t n, const char **ret_name)
{
    *ret_name = NULL;
    if ((has(data, n, 0, "RIFF") || has(data, n, 0, "RIFX") || has(data, n, 0, "RF64")) && has(data, n, 8, "WAVE")) {
        *ret_name = "WAV";
        return VX_FORMAT_WAV;
    }
    size_t tag = vx_container_id3_len(data, n);
    if (has(data + tag, n - tag, 0, "fLaC")) {
        *ret_name = "FLAC";
        return VX_FORMAT_FLAC;
    }
    if (has(data, n, 0, "OggS")) {
        *ret_name = "Ogg";
        return VX_FORMAT_OGG;
    }
    if (tag > 0 || is_mp3(data, n)) {
        *ret_name = "MP3";
        return VX_FORMAT_MP3;
    }
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (has(data, n, foreign[i].at, foreign[i].magic))
            *ret_name = foreign[i].name;
    return VX_FORMAT_AUTO;
}

/* Keeps STREAMINFO and the frames; comments, pictures and seek tables go. Of damage, libFLAC finds what its CRC-8 of
 * each frame header and CRC-16 of each frame cover, and decode.c compares the length with the announced one. A flipped
 * bit in STREAMINFO that leaves the stream decodable is not found (its MD5 covers the samples, and libsndfile does not
 * check it), nor a missing tail where the encoder did not know the length and wrote 0. */
vx_err vx_container_flac(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info)
{
    size_t start = vx_container_id3_len(data, n);
    const uint8_t *flac = data + start;
    size_t len = n - start;
    if (len < FLAC_HEADER || (flac[4] & 0x7f) != 0 || flac[5] != 0 || flac[6] != 0 || flac[7] != 34)
        return vx_errinfo_set_at(info, VX_ERR_AUDIO_CORRUPT, NULL, (int64_t)start, 0,
                                 "the FLAC file does not begin with a whole STREAMINFO block");
    int rate = (flac[18] << 12) | (flac[19] << 4) | (flac[20] >> 4);
    if (rate < VX_AUDIO_RATE_MIN || rate > VX_AUDIO_RATE_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_RATE, "the FLAC file's rate is %d Hz; %d to %d Hz are accepted", rate,
                              VX_AUDIO_RATE_MIN, VX_AUDIO_RATE_MAX);
    size_t at = FLAC_HEADER;
    for (int last = flac[4] & 0x80; !last;) {
        if (len - at < 4)
            return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the FLAC file ends inside its metadata");
        size_t block = ((size_t)flac[at + 1] << 16) | ((size_t)flac[at + 2] << 8) | flac[at + 3];
        last = flac[at] & 0x80;
        if (len - at - 4 < block)
            return vx_errinfo_set(info, VX_ERR_AUDIO_CORRUPT, "the FLAC file ends inside its metadata");
        at += 4 + block;
    }
    vx_container view = {.head_len = FLAC_HEADER, .body = flac + at, .body_len = len - at};
    memcpy(view.head, flac, FLAC_HEADER);
    view.head[4] = 0x80;
    *ret = view;
    return VX_OK;
}
