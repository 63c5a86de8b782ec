/* test_timeouts.c - the formula row by row, what is learned, and that nobody is locked out by what was learned. */
#include "shared/resilience/timeouts.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_circumstance_has_its_factor(void **state)
{
    (void)state;
    static const struct {
        int n_succeeded, failures_in_row;
        double pressure;
        bool cloud;
        double average_ms, want_ms; /* of a base of 1000 with a floor of 100 */
    } rows[] = {
        {0, 0, 0.0, false, 0, 2000},        /* cold */
        {2, 0, 0.5, false, 900, 2000},      /* still */
        {2, 0, 0.0, true, 900, 2600},       /* and far away */
        {0, 3, 0.0, false, 0, 3000},        /* cold x recovery */
        {0, 3, 1.0, true, 0, 3000},         /* 7.8 is cut at 3 */
        {0, 0, 0.75, false, 0, 3000},       /* load 1.5 */
        {3, 0, 0.0, false, 200, 360},       /* warm: 1.8 x average */
        {3, 2, 0.0, false, 200, 360},       /* two failures are no row */
        {3, 0, 0.0, false, 20, 100},        /* floor */
        {3, 0, 0.0, false, 5000, 1000},     /* base */
        {3, 0, 0.8, false, 5000, 1600},     /* base x load */
        {3, 0, 0.8, true, 5000, 2080},      /* x cloud */
        {3, 3, 0.0, false, 200, 1500},      /* recovery: not what was usual */
        {3, INT_MAX, 1.0, true, 200, 3000}, /* 3.9 is cut */
        {3, 0, -0.3, false, 5000, 1000},    /* pressures nobody can have */
        {3, 0, 7.0, false, 5000, 2000},     {3, 0, NAN, false, 5000, 2000}, {3, 0, INFINITY, false, 5000, 2000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const vx_timeouts t = {.base_ms = 1000,
                               .floor_ms = 100,
                               .n_succeeded = rows[i].n_succeeded,
                               .failures_in_row = rows[i].failures_in_row,
                               .average_ms = rows[i].average_ms};
        const double got = vx_timeout_ms(&t, rows[i].pressure, rows[i].cloud);
        if (!(fabs(got - rows[i].want_ms) < 1e-6))
            fail_msg("row %zu: %.9g ms, want %g", i, got, rows[i].want_ms);
    }
}

static void the_average_is_that_of_the_last_few(void **state)
{
    (void)state;
    vx_timeouts t = {.base_ms = 1000, .floor_ms = 10};
    vx_timeout_learn(&t, true, 100);
    assert_true(t.average_ms == 100);
    vx_timeout_learn(&t, true, 200);
    assert_true(fabs(t.average_ms - 120) < 1e-9);
    vx_timeout_learn(&t, false, 9999);
    assert_true(fabs(t.average_ms - 120) < 1e-9);
    vx_timeout_learn(&t, true, 120);
    assert_int_equal(t.n_succeeded, 3);
    assert_true(fabs(vx_timeout_ms(&t, 0, false) - 216) < 1e-9);
    for (int i = 0; i < 50; i++)
        vx_timeout_learn(&t, true, 400);
    assert_true(fabs(t.average_ms - 400) < 0.01);
}

static void a_senseless_time_only_ends_the_row_of_failures(void **state)
{
    (void)state;
    static const double times[] = {-1, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        vx_timeouts t = {.base_ms = 1000, .floor_ms = 10, .n_succeeded = 4, .failures_in_row = 7, .average_ms = 50};
        vx_timeout_learn(&t, true, times[i]);
        assert_int_equal(t.failures_in_row, 0);
        assert_int_equal(t.n_succeeded, 4);
        assert_true(t.average_ms == 50);
    }
}

static void counts_do_not_overflow(void **state)
{
    (void)state;
    vx_timeouts t = {.base_ms = 1000, .floor_ms = 10, .n_succeeded = INT_MAX, .failures_in_row = INT_MAX};
    vx_timeout_learn(&t, false, 0);
    assert_int_equal(t.failures_in_row, INT_MAX);
    vx_timeout_learn(&t, true, 10);
    assert_int_equal(t.n_succeeded, INT_MAX);
}

/* A service that took 100 ms answers in `slow_ms` from now on; each request waits as long as the formula says. */
static int attempts_until_it_answers_again(double slow_ms)
{
    vx_timeouts t = {.base_ms = 3000, .floor_ms = 50};
    for (int i = 0; i < 20; i++)
        vx_timeout_learn(&t, true, 100);
    for (int attempt = 1; attempt <= 20; attempt++) {
        const bool in_time = slow_ms <= vx_timeout_ms(&t, 0.3, false);
        vx_timeout_learn(&t, in_time, slow_ms);
        if (in_time)
            return attempt;
    }
    return -1;
}

static void whatever_became_slower_is_waited_for_again(void **state)
{
    (void)state;
    assert_int_equal(attempts_until_it_answers_again(150), 1);
    assert_int_equal(attempts_until_it_answers_again(1000), 4);
    assert_int_equal(attempts_until_it_answers_again(4400), 4);
    assert_int_equal(attempts_until_it_answers_again(4600), -1); /* beyond 1.5 x base nobody should wait */
}

/* Whatever was learned: between floor and three times the base, and never shorter under more pressure. */
static void it_stays_within_its_bounds(void **state)
{
    (void)state;
    uint32_t seed = 20260105;
    print_message("# seed %u\n", seed);
    vx_timeouts t = {.base_ms = 800, .floor_ms = 40};
    for (int i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        vx_timeout_learn(&t, seed >> 31, (seed >> 8) % 100000);
        double last = 0;
        for (double pressure = 0; pressure <= 1; pressure += 0.125) {
            const double ms = vx_timeout_ms(&t, pressure, i % 2);
            if (!(ms >= 40 && ms <= 2400 && ms >= last))
                fail_msg("step %d, pressure %g: %g ms after %g", i, pressure, ms, last);
            last = ms;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_circumstance_has_its_factor),
        cmocka_unit_test(the_average_is_that_of_the_last_few),
        cmocka_unit_test(a_senseless_time_only_ends_the_row_of_failures),
        cmocka_unit_test(counts_do_not_overflow),
        cmocka_unit_test(whatever_became_slower_is_waited_for_again),
        cmocka_unit_test(it_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
