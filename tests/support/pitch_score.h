/* pitch_score.h - how far a pitch track is from the true one.
 * Owns:   counting. Does not: make voices (synth_voice.h).
 */
#ifndef VX_TESTS_PITCH_SCORE_H
#define VX_TESTS_PITCH_SCORE_H

#include <stddef.h>

#include "edge/pava/pitch.h"

typedef struct {
    size_t n, both, gross;   /* frames; voiced in both; of those more than 20 % off */
    size_t missed, invented; /* voiced in the reference only, in the track only */
    double *cents;           /* [both - gross] distances; owned */
    size_t cap;
    double trusted[10], right[10]; /* frames by the tenth their probability lies in, and those that were voiced */
} pitch_score;

/* reference [in] as many frames as the track has, 0 without voice. Adds to the score; all-zero is empty. */
void pitch_score_add(pitch_score *score, const vx_pitch *track, const float *reference);
double pitch_score_gross(const pitch_score *score);            /* share of the frames voiced in both */
double pitch_score_voice(const pitch_score *score);            /* share of all frames whose voicing is wrong */
double pitch_score_cents(pitch_score *score, double quantile); /* of what is no gross error */
void pitch_score_done(pitch_score *score);

#endif
