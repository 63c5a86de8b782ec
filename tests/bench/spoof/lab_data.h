/* lab_data.h - the recordings that a laboratory works with.
 * Owns:   reading both folders, choosing originals, cutting them. Does not: make clips.
 */
#ifndef VX_TESTS_BENCH_SPOOF_LAB_DATA_H
#define VX_TESTS_BENCH_SPOOF_LAB_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/spoof/lab.h"
#include "tests/support/recordings.h"

typedef struct {
    char *split;
    size_t name_at;    /* where in a path its folder ends */
    recordings speech; /* of the split, by path */
    lab_noise *noises; /* of the split: their fold 5 is for all but "train" */
    size_t n_noises;
} lab_data;

/* Path within the folder: the same wherever that lies. */
const char *lab_data_name(const lab_data *data, size_t row);

/* Reads the manifest and the noises.
 * speech [in] folder of tests/support/recordings.h
 * noise  [in] folder with KIND/FOLD-RECORDING-TAKE.flac
 * False, with a sentence on stderr, when something cannot be read. */
bool lab_data_read(const char *speech, const char *noise, const char *split, lab_data *ret_data);
void lab_data_done(lab_data *data);

/* Rows to work on, in an order fixed by seed.
 * per_speaker [in] so many of each speaker; 0: no limit
 * in_all      [in] so many, as even over sources, and within them over speakers, as can be; 0: no limit
 * Returns     indices, from lab_alloc */
size_t *lab_data_choose(const lab_data *data, size_t per_speaker, size_t in_all, uint64_t seed, size_t *ret_n);

/* Reads the recording of a row, cut to its loudest part with margins around it, and its companions. Silent when it fails
 * but for one sentence on stderr. lab_original_done frees what was read; names and noises stay data's. */
bool lab_original_read(const lab_data *data, size_t row, uint64_t seed, lab_original *ret_original);
/* From samples: cuts them in place, finds out whether they are a telephone's. Companions and noises are the caller's. */
void lab_original_cut(float *samples, size_t n, uint64_t seed, lab_original *original);
void lab_original_done(lab_original *original);

#endif
