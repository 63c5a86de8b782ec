/* clock.h - monotonic time, wall time as text, and a clock that tests can turn. */
#ifndef VX_BASE_CLOCK_H
#define VX_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since an arbitrary start; never goes back. */
uint64_t vx_now_ns(void);
static inline double vx_ms_since(uint64_t start_ns)
{
    return (double)(vx_now_ns() - start_ns) / 1e6;
}
/* CPU time used by the calling process, nanoseconds: tells whether a "one thread" run really used one. */
uint64_t vx_cpu_ns(void);

/* Milliseconds since 1970 by the system's clock, which somebody may set. */
int64_t vx_wall_ms(void);

#define VX_TIMESTAMP_CAP 32
/* A wall time as RFC 3339 with milliseconds, UTC. */
void vx_timestamp_of(int64_t wall_ms, char ret_text[VX_TIMESTAMP_CAP]);
/* UTC wall time as RFC 3339 with milliseconds ("2026-01-31T12:34:56.789Z"). */
void vx_timestamp(char ret_text[VX_TIMESTAMP_CAP]);

/* A clock as a value, so that code with time in it can be tested without sleeping. */
typedef struct {
    uint64_t (*now_ns)(void *ctx);
    void *ctx;
} vx_clock;
/* The real one: vx_now_ns. */
vx_clock vx_clock_monotonic(void);

#endif
