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

int64_t vx_wall_ms(void)
{
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u);
}

void vx_timestamp_of(int64_t wall_ms, char ret_text[VX_TIMESTAMP_CAP])
{
    int64_t ms = wall_ms % 1000;
    ms += ms < 0 ? 1000 : 0;
    time_t seconds = (time_t)((wall_ms - ms) / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, VX_TIMESTAMP_CAP, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + n, VX_TIMESTAMP_CAP - n, ".%03dZ", (int)ms);
}

void vx_timestamp(char ret_text[VX_TIMESTAMP_CAP])
{
    vx_timestamp_of(vx_wall_ms(), ret_text);
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
