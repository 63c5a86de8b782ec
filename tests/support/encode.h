/* encode.h - test recordings: float samples to a file in memory, through libsndfile.
 * Owns:   the formats that the decoder accepts. Does not: belong to the product, which never encodes.
 */
#ifndef VX_TESTS_ENCODE_H
#define VX_TESTS_ENCODE_H

#include <stddef.h>

#include "shared/base/bytes.h"

typedef enum {
    ENCODE_WAV16,
    ENCODE_WAV24,
    ENCODE_WAV_FLOAT,
    ENCODE_WAV_ULAW,
    ENCODE_WAV_ADPCM, /* IMA */
    ENCODE_RIFX16,
    ENCODE_RF64,
    ENCODE_FLAC16,
    ENCODE_FLAC24,
    ENCODE_VORBIS,
    ENCODE_OPUS, /* 8, 12, 16, 24 and 48 kHz only */
    ENCODE_MP3,  /* one or two channels; 8 to 48 kHz */
    ENCODE_COUNT
} encode_format;

/* "wav16", "opus", ... */
const char *encode_name(encode_format format);
/* Whether the codec has this rate and number of channels. */
int encode_supports(encode_format format, int rate, int channels);

/* Encodes n_frames of interleaved samples, full scale 1.0.
 * ret_file [out] all-zero before; freed with vx_buf_done
 * Returns  0, or -1 when the codec refuses */
int encode_audio(encode_format format, const float *samples, size_t n_frames, int rate, int channels, vx_buf *ret_file);
/* The same, compressed from 0 (best) to 1 (smallest): Vorbis, Opus and MP3. Below 0: as the codec likes it. */
int encode_audio_at(encode_format format, const float *samples, size_t n_frames, int rate, int channels,
                    double compression, vx_buf *ret_file);

/* A signal to encode: a tone of `hz` and amplitude `level` on every channel; [n_frames * channels], caller frees. */
float *encode_tone(size_t n_frames, int rate, int channels, double hz, double level);

#endif
