/* timeouts.h - how long to wait for something whose usual time is learned while it runs.
 * Owns:   the formula of the specification. Does not: read a clock or memory, cancel anything.
 *
 * At first: base x cold start 2.0 (until 3 successes) x recovery 1.5 (after 3 failures in a row) x load 1.0 to 2.0
 * (memory) x cloud 1.3, at most 3 x base. After 3 successes: 1.8 x the observed average, within [floor, the former]. In
 * recovery the average is not believed: failures teach no time, so that something that has become slower than 1.8 x its
 * past would otherwise fail for ever.
 *
 * A caller who promises a hard limit of its own (the cloud's 3 s) takes the lesser of the two.
 */
#ifndef VX_RESILIENCE_TIMEOUTS_H
#define VX_RESILIENCE_TIMEOUTS_H

#include <stdbool.h>

/* The bases of the edge, in ms. Two more are settings: the voice within one attempt (VBI_FAST_VERIFY_TIMEOUT, 3 s) and
 * the cloud (VOXLOCK_CLOUD_TIMEOUT_MS, 3 s). */
enum {
    VX_TIMEOUT_UNLOCK_MS = 35000, /* from the end of speech to the open screen */
    VX_TIMEOUT_TRANSCRIPTION_MS = 20000,
    VX_TIMEOUT_SPEAKER_MS = 15000,   /* the voice, with a model yet to be loaded */
    VX_TIMEOUT_BIOMETRIC_MS = 15000, /* the signs of life */
};

typedef struct {
    double base_ms, floor_ms; /* 0 < floor <= base */
    /* learned; zero at first. Guarded by whoever owns the struct. */
    int n_succeeded, failures_in_row;
    double average_ms; /* exponential, a fifth of each new time */
} vx_timeouts;

/* pressure [in] share of memory in use: 1.0 up to 0.5, rising to 2.0 at 1.0; not finite counts as 1 */
double vx_timeout_ms(const vx_timeouts *timeouts, double pressure, bool cloud);
/* One outcome. elapsed_ms of a failure is ignored; a success whose elapsed_ms is negative or not finite only ends a row
 * of failures. */
void vx_timeout_learn(vx_timeouts *timeouts, bool succeeded, double elapsed_ms);

#endif
