/* sample_clock.h - when was a sample heard? Blocks arrive late by turns, never early, and clocks of devices drift.
 * Owns:   the estimate, and telling that sound is missing. Does not: read a clock.
 */
#ifndef VX_EDGE_CAPTURE_SAMPLE_CLOCK_H
#define VX_EDGE_CAPTURE_SAMPLE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All-zero: nothing was observed. Times at which sample 0 would have been heard, as arrivals have it. */
typedef struct {
    bool known;
    int64_t origin_ns; /* the estimate */
    int64_t lowest_ns; /* of the second under way */
    uint64_t second_end_ns;
    int n_steady; /* seconds without a break so far */
} vx_sample_clock;

/* Sample number `sample` of 16 kHz was heard at at_ns, or before.
 * now_ns  [in] time of the observation
 * Returns whether sound went missing: for a whole second every sample has come more than 0.1 s later than those before. Not
 *         within the first seconds of a stream: servers begin with what they have, or have made, ahead. */
bool vx_sample_clock_observe(vx_sample_clock *clock, uint64_t sample, uint64_t at_ns, uint64_t now_ns);
/* 0 when nothing was observed. */
uint64_t vx_sample_clock_at(const vx_sample_clock *clock, uint64_t sample);

#endif
