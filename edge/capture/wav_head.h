/* wav_head.h - the head of a WAV stream, a few bytes at a time.
 * Owns:   finding the sound and its format in a stream that cannot be sought. Does not: read, convert samples.
 * shared/audio/container.h is the one for whole files, which can also be checked for their end.
 */
#ifndef VX_EDGE_CAPTURE_WAV_HEAD_H
#define VX_EDGE_CAPTURE_WAV_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef enum { VX_PCM_S16, VX_PCM_S24, VX_PCM_S32, VX_PCM_F32, VX_PCM_U8 } vx_pcm;
/* Bytes of a sample. */
size_t vx_pcm_width(vx_pcm pcm);
/* n little-endian samples to full scale 1.0. */
void vx_pcm_to_float(vx_pcm pcm, const uint8_t *bytes, size_t n, float *ret_samples);

enum { VX_WAV_HEAD_CAP = 26 };

/* What the next bytes are. */
typedef enum { VX_WAV_RIFF, VX_WAV_CHUNK, VX_WAV_FMT, VX_WAV_DATA } vx_wav_part;

/* All-zero is the start of a stream. */
typedef struct {
    vx_wav_part part;
    uint8_t bytes[VX_WAV_HEAD_CAP];
    size_t n, fmt_bytes; /* held; to be held of the fmt chunk */
    uint32_t skip;       /* bytes before the next part that say nothing of the sound */
    bool has_fmt;
    /* Known at the end: */
    vx_pcm pcm;
    int rate, channels;
    uint64_t n_bytes; /* of sound; UINT64_MAX: to the end of the stream */
} vx_wav_head;

/* Takes bytes of the head.
 * ret_took [out] of n bytes; the sound begins behind them when ret_done
 * Errors   AUDIO_FORMAT (no RIFF WAVE, or a codec), AUDIO_RATE, AUDIO_CORRUPT */
VX_MUST_CHECK vx_err vx_wav_head_push(vx_wav_head *head, const uint8_t *bytes, size_t n, size_t *ret_took,
                                      bool *ret_done, vx_errinfo *info);

#endif
