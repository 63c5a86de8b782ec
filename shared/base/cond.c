/* cond.c - monotonic waits. */
#include "shared/base/cond.h"

#include <time.h>

#include "shared/base/clock.h"

#define NS_PER_S 1000000000u

bool vx_cond_init(pthread_cond_t *cond)
{
#ifdef __APPLE__
    return pthread_cond_init(cond, NULL) == 0;
#else
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return false;
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(cond, &attr) == 0;
    pthread_condattr_destroy(&attr);
    return ok;
#endif
}

bool vx_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t due_ns)
{
    if (due_ns == UINT64_MAX) {
        pthread_cond_wait(cond, mutex);
        return true;
    }
    uint64_t now = vx_now_ns();
    if (now >= due_ns)
        return false;
    uint64_t left = due_ns - now;
#ifdef __APPLE__
    struct timespec span = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
    return pthread_cond_timedwait_relative_np(cond, mutex, &span) == 0;
#else
    /* vx_now_ns() promises no particular epoch, so the remaining time is laid onto the clock that cond uses. */
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + left;
    at.tv_sec += (time_t)(ns / NS_PER_S);
    at.tv_nsec = (long)(ns % NS_PER_S);
    return pthread_cond_timedwait(cond, mutex, &at) == 0;
#endif
}
