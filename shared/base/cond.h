/* cond.h - condition variables that wait until a monotonic time.
 * POSIX waits by the wall clock, which operators and NTP set; Linux can be told to use the monotonic clock, macOS
 * waits by a duration. This is the one place that knows.
 */
#ifndef VX_BASE_COND_H
#define VX_BASE_COND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* False when the system is out of resources. Done with pthread_cond_destroy. */
bool vx_cond_init(pthread_cond_t *cond);
/* Waits until woken or until vx_now_ns() reaches due_ns (UINT64_MAX: for ever); false when the time is over. May wake
 * without cause, like every condition variable: callers loop on their own predicate. */
bool vx_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t due_ns);

#endif
