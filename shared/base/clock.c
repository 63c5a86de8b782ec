/* clock.c - the operating system's clocks. */
#include "shared/base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts = {0};
    clock_gettime(id, &ts); /* cannot fail for the clocks below on Linux and macOS */
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t vx_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t vx_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void vx_timestamp(char ret_text[VX_TIMESTAMP_CAP])
{
    uint64_t now_ns = read_ns(CLOCK_REALTIME);
    time_t seconds = (time_t)(now_ns / 1000000000u);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, VX_TIMESTAMP_CAP, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + n, VX_TIMESTAMP_CAP - n, ".%03uZ", (unsigned)(now_ns / 1000000u % 1000u));
}

static uint64_t monotonic_ns(void *ctx)
{
    (void)ctx;
    return vx_now_ns();
}

vx_clock vx_clock_monotonic(void)
{
    return (vx_clock){.now_ns = monotonic_ns, .ctx = NULL};
}
