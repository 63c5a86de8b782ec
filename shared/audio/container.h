/* container.h - private to shared/audio: recordings as files, seen from outside the codecs.
 * Owns:   recognising WAV, FLAC, Ogg and MP3, finding damage that the codecs pass over in silence, and cutting away all
 *         that is not sound (tags, pictures, cue lists), so that the codec library's parsers never see it.
 *         Does not: decode.
 */
#ifndef VX_AUDIO_CONTAINER_H
#define VX_AUDIO_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "shared/audio/decode.h"
#include "shared/base/err.h"

/* For a WAV header with a fmt chunk of up to 512 bytes, or a tag of 32 bytes and an MP3 frame of up to 576. */
#define VX_CONTAINER_HEAD_CAP 640

/* The file that the codec library gets to see: a few bytes made here, then a part of the input. All-zero is empty. */
typedef struct {
    uint8_t head[VX_CONTAINER_HEAD_CAP];
    size_t head_len;
    const uint8_t *body; /* borrowed from the input */
    size_t body_len;
    size_t slack_frames; /* frames that the container may announce too many without being cut off */
} vx_container;

/* What the first bytes say.
 * ret_name [out] "WAV", "MP3", ... also of formats that this project does not decode ("WebM"); NULL if unknown
 * Returns  VX_FORMAT_WAV, _FLAC, _OGG or _MP3; VX_FORMAT_AUTO for anything else */
vx_audio_format vx_container_sniff(const uint8_t *data, size_t n, const char **ret_name);

/* Checks a whole file of a format that sniff has found, and says what to decode.
 * ret   [out] untouched on failure
 * Errors AUDIO_FORMAT (a codec this project does not decode), AUDIO_RATE, AUDIO_LONG, AUDIO_CORRUPT; info: offset */
VX_MUST_CHECK vx_err vx_container_wav(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_container_flac(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_container_ogg(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_container_mp3(const uint8_t *data, size_t n, vx_container *ret, vx_errinfo *info);

/* Bytes of ID3v2 tags at the front, and of zeros that some writers pad them with; n at most. */
size_t vx_container_id3_len(const uint8_t *data, size_t n);
/* Length in bytes of the MPEG Layer III frame whose header is at data; 0 if n < 4 or there is no valid header. */
size_t vx_container_mp3_frame_len(const uint8_t *data, size_t n);

#endif
