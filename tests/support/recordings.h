/* recordings.h - a folder of speech with a list of who says what, for benchmarks.
 * Owns:   reading the list and the files. Does not: mix, label, or judge.
 */
#ifndef VX_TESTS_RECORDINGS_H
#define VX_TESTS_RECORDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/audio/audio.h"

typedef struct {
    char *path, *source, *speaker;
} recording;

typedef struct {
    recording *rows;
    size_t n;
} recordings;

/* The rows of folder/manifest.tsv (a heading line with split, source, speaker, path among its columns) of one split, in
 * an order that the seed draws, at most per_source of each source (0: all). False, with a sentence on stderr, when it
 * cannot be read or holds none. */
bool recordings_read(const char *folder, const char *split, size_t per_source, uint64_t seed, recordings *ret);
void recordings_done(recordings *list);

/* False, with a sentence on stderr, when the file cannot be read. vx_audio_done. */
bool recording_load(const recording *row, vx_audio *ret_audio);

#endif
