/* timeouts.c - base, circumstances, and what experience says. */
#include "shared/resilience/timeouts.h"

#include <limits.h>
#include <math.h>

#define WARM_AFTER     3
#define RECOVERY_AFTER 3
#define COLD           2.0
#define RECOVERY       1.5
#define CLOUD          1.3
#define MOST           3.0
#define OF_AVERAGE     1.8
#define NEW_SHARE      0.2

/* 1 while half of the memory is free, 2 when none is; a pressure that nobody knows counts as the worst. */
static double load_factor(double pressure)
{
    if (!isfinite(pressure))
        pressure = 1;
    return 1 + fmin(fmax(2 * pressure - 1, 0), 1);
}

double vx_timeout_ms(const vx_timeouts *timeouts, double pressure, bool cloud)
{
    const bool warm = timeouts->n_succeeded >= WARM_AFTER, recovering = timeouts->failures_in_row >= RECOVERY_AFTER;
    const double factor = (warm ? 1 : COLD) * (recovering ? RECOVERY : 1) * load_factor(pressure) * (cloud ? CLOUD : 1);
    const double most = timeouts->base_ms * fmin(factor, MOST);
    if (!warm || recovering)
        return most;
    return fmin(fmax(OF_AVERAGE * timeouts->average_ms, timeouts->floor_ms), most);
}

void vx_timeout_learn(vx_timeouts *timeouts, bool succeeded, double elapsed_ms)
{
    if (!succeeded) {
        timeouts->failures_in_row += timeouts->failures_in_row < INT_MAX;
        return;
    }
    timeouts->failures_in_row = 0;
    if (!isfinite(elapsed_ms) || elapsed_ms < 0)
        return;
    const double share = timeouts->n_succeeded == 0 ? 1 : NEW_SHARE;
    timeouts->average_ms += share * (elapsed_ms - timeouts->average_ms);
    timeouts->n_succeeded += timeouts->n_succeeded < INT_MAX;
}
