/* flight.h - how many requests have arrived and are not answered yet, and waiting for there to be none. */
#ifndef VX_CLOUD_FLIGHT_H
#define VX_CLOUD_FLIGHT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/metrics.h"

typedef struct {
    pthread_mutex_t lock; /* guards the rest; taken last, for a moment */
    pthread_cond_t none;  /* count became 0 */
    size_t count;
    bool draining;
    vx_metric *gauge; /* shows count; may be NULL */
} vx_flight;

/* Errors: INTERNAL (the system is out of resources). */
VX_MUST_CHECK vx_err vx_flight_init(vx_flight *flight, vx_metric *gauge);
void vx_flight_done(vx_flight *flight);
void vx_flight_arrive(vx_flight *flight);
void vx_flight_leave(vx_flight *flight);
/* Asks for the end: from now on vx_flight_draining is true. Returns when the count is 0 or vx_now_ns() reaches
 * until_ns. */
void vx_flight_drain(vx_flight *flight, uint64_t until_ns);
bool vx_flight_draining(vx_flight *flight);

#endif
