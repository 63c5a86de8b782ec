/* decode.h - bytes of a recording to canonical audio.
 * Owns:   recognising the container, decoding, down-mix, limits. Does not: trim silence or change the level.
 */
#ifndef VX_AUDIO_DECODE_H
#define VX_AUDIO_DECODE_H

#include <stddef.h>

#include "shared/audio/audio.h"
#include "shared/base/err.h"

typedef enum {
    VX_FORMAT_AUTO,    /* by the first bytes; not recognised is an error */
    VX_FORMAT_DROP_IN, /* by the first bytes; not recognised is raw float32: the older service's missing `format` */
    VX_FORMAT_WAV,
    VX_FORMAT_FLAC,
    VX_FORMAT_OGG, /* Vorbis or Opus */
    VX_FORMAT_MP3,
    VX_FORMAT_S16LE,
    VX_FORMAT_F32LE,
} vx_audio_format;

/* "auto", "wav", "flac", "ogg", "mp3", "int16", "pcm_s16le", "float32", "pcm_f32le". Errors: AUDIO_FORMAT. */
VX_MUST_CHECK vx_err vx_audio_format_parse(const char *name, vx_audio_format *ret_format, vx_errinfo *info);

/* Decodes a whole recording.
 * data      [in]  n bytes of a container file, or raw little-endian mono samples
 * format    [in]  a container format must be what the first bytes say; AUTO never means raw
 * raw_rate  [in]  Hz, used for raw samples only
 * ret_audio [out] owned by the caller, freed with vx_audio_done; untouched on failure
 * Samples   mono: mean of the channels; at another rate: resampled to 16 kHz; 16-bit input is x / 32768 exactly, so
 *           that one signal as WAV, FLAC and raw gives identical floats
 * Memory    bounded by the limits of audio.h whatever a header claims: decoding stops at 60 s, and at 92,160,000 source
 *           samples (60 s of 8 channels at 192 kHz), which only more than 8 channels reach earlier
 * Errors    AUDIO_FORMAT, AUDIO_CORRUPT, AUDIO_EMPTY, AUDIO_SHORT, AUDIO_LONG, AUDIO_SILENT, AUDIO_NOT_FINITE,
 *           AUDIO_SCALE, AUDIO_RATE, NOMEM; info says what was found
 * Threads   any; nothing is shared */
VX_MUST_CHECK vx_err vx_audio_decode(const void *data, size_t n, vx_audio_format format, int raw_rate,
                                     vx_audio *ret_audio, vx_errinfo *info);

#endif
