/* flight.c - the count of requests in flight. */
#include "cloud/flight.h"

#include "shared/base/cond.h"

vx_err vx_flight_init(vx_flight *flight, vx_metric *gauge)
{
    *flight = (vx_flight){.gauge = gauge};
    if (pthread_mutex_init(&flight->lock, NULL) != 0)
        return VX_ERR_INTERNAL;
    if (!vx_cond_init(&flight->none)) {
        pthread_mutex_destroy(&flight->lock);
        return VX_ERR_INTERNAL;
    }
    return VX_OK;
}

void vx_flight_done(vx_flight *flight)
{
    pthread_cond_destroy(&flight->none);
    pthread_mutex_destroy(&flight->lock);
}

static void set_count(vx_flight *flight, size_t count)
{
    flight->count = count;
    vx_metric_set(flight->gauge, (double)count);
}

void vx_flight_arrive(vx_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    set_count(flight, flight->count + 1);
    pthread_mutex_unlock(&flight->lock);
}

void vx_flight_leave(vx_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    set_count(flight, flight->count - 1);
    if (flight->count == 0)
        pthread_cond_broadcast(&flight->none);
    pthread_mutex_unlock(&flight->lock);
}

void vx_flight_drain(vx_flight *flight, uint64_t until_ns)
{
    pthread_mutex_lock(&flight->lock);
    flight->draining = true;
    while (flight->count > 0 && vx_cond_wait_until(&flight->none, &flight->lock, until_ns))
        ;
    pthread_mutex_unlock(&flight->lock);
}

bool vx_flight_draining(vx_flight *flight)
{
    pthread_mutex_lock(&flight->lock);
    bool draining = flight->draining;
    pthread_mutex_unlock(&flight->lock);
    return draining;
}
