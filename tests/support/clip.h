/* clip.h - the recordings of tests/data/audio as request bodies, and the embeddings they must give.
 * Owns:   reading, base64, raw samples, the expected vectors. Does not: send anything.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_CLIP_H
#define VX_TESTS_CLIP_H

#include <jansson.h>
#include <stddef.h>

#include "shared/audio/audio.h"
#include "shared/base/bytes.h"

#define CLIP_DIM 192 /* of the starter model */

/* A file of tests/data/audio. */
vx_buf clip_file(const char *name);
/* The same decoded: 16 kHz mono. */
vx_audio clip_audio(const char *name);
/* Samples as raw little-endian int16 (exact for what came from 16 bits) and float32. */
vx_buf clip_s16(const float *samples, size_t n);
vx_buf clip_f32(const float *samples, size_t n);

/* Freed by the caller. */
char *clip_base64(const void *data, size_t len);
/* {"audio_data": "...base64..."<more>}; more starts with a comma, or is "". Freed by the caller. */
char *clip_json(const void *data, size_t len, const char *more);
char *clip_file_json(const char *name, const char *more);
/* pattern with every % replaced. Freed by the caller. */
char *clip_fill(const char *pattern, const char *replacement);
/* A clip of n_frames at 16 kHz as FLAC, of noise that differs by its seed and has few bits, so
 * that the file stays small. Work of a known length for a worker. */
vx_buf clip_noise_flac(size_t n_frames, unsigned seed);

/* The embedding computed in this process, on one core as a worker of the service does. */
void clip_expected(const vx_audio *audio, float ret_values[CLIP_DIM]);
/* A JSON array of CLIP_DIM numbers, each the shortest way or longer to write a float32. */
void clip_values(const json_t *array, float ret_values[CLIP_DIM]);
double clip_cosine(const float a[CLIP_DIM], const float b[CLIP_DIM]);

#endif
