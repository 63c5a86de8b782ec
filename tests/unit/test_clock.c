/* test_clock.c - that the clocks run forward and the timestamp is RFC 3339 in UTC. */
#include "shared/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

static void monotonic_never_goes_back(void **state)
{
    (void)state;
    uint64_t last = vx_now_ns(), first = last;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = vx_now_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > first);
    assert_true(vx_ms_since(first) * 1e6 >= (double)(last - first));
    vx_clock clock = vx_clock_monotonic();
    assert_true(clock.now_ns(clock.ctx) >= last);
}

/* A wait uses wall time and no CPU time; the two clocks must not be the same one. */
static void cpu_time_stands_still_while_waiting(void **state)
{
    (void)state;
    uint64_t wall = vx_now_ns(), cpu = vx_cpu_ns();
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_true(vx_now_ns() - wall >= 100000000u);
    assert_true(vx_cpu_ns() - cpu < 50000000u);
}

static void timestamp_is_now_in_utc(void **state)
{
    (void)state;
    char text[VX_TIMESTAMP_CAP];
    struct timespec before, after; /* time() would not do: it may lag this clock by a tick */
    clock_gettime(CLOCK_REALTIME, &before);
    vx_timestamp(text);
    clock_gettime(CLOCK_REALTIME, &after);

    struct tm tm = {0};
    int ms = -1, used = 0;
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                            &tm.tm_min, &tm.tm_sec, &ms, &used),
                     7);
    assert_int_equal(used, strlen("2026-01-31T12:34:56.789Z"));
    assert_int_equal(strlen(text), used);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t said = timegm(&tm);
    assert_true(said >= before.tv_sec && said <= after.tv_sec);
    assert_in_range(ms, 0, 999);
}

int main(void)
{
    /* A zone far from UTC, so that local time would be seen. */
    setenv("TZ", "Pacific/Kiritimati", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_never_goes_back),
        cmocka_unit_test(cpu_time_stands_still_while_waiting),
        cmocka_unit_test(timestamp_is_now_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
