/* sample_clock.c - the earliest arrival of each second.
 * A block that waited for its reader says that sound is younger than it is; the earliest of many did not wait. A second's
 * earliest replaces the estimate, so that a device whose clock is slow (100 ppm, 0.4 s in an hour) is followed.
 */
#include "edge/capture/sample_clock.h"

#define NS_PER_S      1000000000u
#define NS_PER_SAMPLE 62500 /* of 16 kHz */
#define MISSING_NS    100000000
#define STEADY_S      3

bool vx_sample_clock_observe(vx_sample_clock *clock, uint64_t sample, uint64_t at_ns, uint64_t now_ns)
{
    const int64_t origin = (int64_t)at_ns - (int64_t)sample * NS_PER_SAMPLE;
    if (!clock->known) {
        *clock = (vx_sample_clock){
            .known = true, .origin_ns = origin, .lowest_ns = origin, .second_end_ns = now_ns + NS_PER_S};
        return false;
    }
    bool missing = false;
    if (now_ns >= clock->second_end_ns) {
        const bool later = clock->lowest_ns - clock->origin_ns > MISSING_NS;
        missing = later && clock->n_steady >= STEADY_S;
        clock->n_steady = later ? 0 : clock->n_steady + (clock->n_steady < STEADY_S);
        clock->origin_ns = clock->lowest_ns;
        clock->lowest_ns = origin;
        clock->second_end_ns = now_ns + NS_PER_S;
    }
    if (origin < clock->lowest_ns)
        clock->lowest_ns = origin;
    if (origin < clock->origin_ns)
        clock->origin_ns = origin;
    return missing;
}

uint64_t vx_sample_clock_at(const vx_sample_clock *clock, uint64_t sample)
{
    const int64_t at = clock->origin_ns + (int64_t)sample * NS_PER_SAMPLE;
    return clock->known && at > 0 ? (uint64_t)at : 0;
}
