/* trials.h - embeddings of recordings, the trials between them, and how far chance moves a rate over them.
 * Owns:   reading both, the numbering of speakers and sources, the bootstrap. Does not: compare or count (scores.h).
 *
 * EMBEDDINGS are the lines of `voxlock embed --json`, or of tests/tools/utterances, which add speech_s and snr_db.
 * TRIALS has a heading line and the columns same (1 or 0), source, enroll, test, separated by tabs; enroll is one file,
 * or several of one speaker separated by commas. The speaker is the folder that a recording lies in.
 *
 * Every function that can fail says on standard error why, and returns false.
 */
#ifndef VX_TESTS_TRIALS_H
#define VX_TESTS_TRIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/engine/embedding.h"
#include "shared/measure/scores.h"

enum { TRIALS_MAX_SOURCES = 32, TRIALS_REPLICATES = 1000 };

typedef struct {
    char *file;
    size_t speaker;
    vx_embedding embedding;
    double speech_s, snr_db; /* 1 and 20 where the line does not say */
} recording;

typedef struct {
    bool is_target;
    size_t source;
    size_t exemplars, n_exemplars; /* in the set's list: indexes of recordings of one speaker */
    size_t test;                   /* index of a recording */
    size_t enrolled, speaking;     /* speakers */
} trial;

typedef struct {
    recording *recordings; /* by file name */
    size_t n_recordings, n_speakers;
    trial *trials;
    size_t n_trials;
    size_t *exemplars;
    size_t n_exemplars;
    char *sources[TRIALS_MAX_SOURCES];
    size_t n_sources;
} trial_set;

/* embeddings [in] a path, "-" for standard input. All-zero is an empty set; trials_done in any case. */
bool trials_read(const char *embeddings, const char *trials, trial_set *set);
void trials_done(trial_set *set);

/* A trial with its score, as a bootstrap over speakers sees it. */
typedef struct {
    vx_scored_trial scored;
    size_t enrolled, speaking;
} spoken_trial;

/* Into rising order of score. */
void trials_sort(spoken_trial *trials, size_t n);

/* What is counted: n_values numbers of trials in rising order of score; false where they cannot be counted. */
typedef bool trials_statistic(const vx_scored_trial *trials, size_t n, void *ctx, double *ret_values);

enum { TRIALS_MAX_VALUES = 8 };
typedef struct {
    double value, low, high; /* low and high: 95 % of the draws lie between */
} estimate;

/* A statistic of all trials and its intervals: a bootstrap over speakers, not over trials. Trials of one speaker are not
 * independent, and drawing them as if they were makes intervals several times too narrow.
 * trials         [in]     in rising order of score
 * seed           [in,out] of stats_random
 * ret_estimates  [out]    [n_values] */
bool trials_estimate(const spoken_trial *trials, size_t n, size_t n_speakers, trials_statistic *statistic, void *ctx,
                     size_t n_values, uint64_t *seed, estimate *ret_estimates);
/* How many speakers there are in them. */
size_t trials_count_speakers(const spoken_trial *trials, size_t n, size_t n_speakers);

#endif
