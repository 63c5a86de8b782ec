/* timeouts.h - how long to wait for something whose usual time is learned while it runs.
 * Owns:   the formula of the specification. Does not: read a clock or memory, cancel anything.
 *
 * base x cold start 2.0 (first 3) x recovery 1.5 (after 3 failures in a row) x load 1.0 to 2.0 (memory) x cloud 1.3, at
 * most 3 x base. After 3 successes: 1.8 x the observed average, within [floor, the former].
 */
#ifndef VX_RESILIENCE_TIMEOUTS_H
#define VX_RESILIENCE_TIMEOUTS_H

#include <stdbool.h>

typedef struct {
    double base_ms, floor_ms;
    /* learned; zero at first. Guarded by whoever owns the struct. */
    int n_succeeded, failures_in_row;
    double average_ms; /* exponential, a fifth of each new time */
} vx_timeouts;

/* pressure [in] share of memory in use: 1.0 up to 0.5, rising to 2.0 at 1.0; not finite counts as 1 */
double vx_timeout_ms(const vx_timeouts *timeouts, double pressure, bool cloud);
/* One outcome; elapsed_ms of a failure is ignored. */
void vx_timeout_learn(vx_timeouts *timeouts, bool succeeded, double elapsed_ms);

#endif
