/* test_backoff.c - how long rejections in a row keep the next attempt waiting. */
#include "edge/decide/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_ROW = 12, S = 1000, MINUTE = 60 * S };

static void waits(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int n;
        int64_t rejected_ms[MAX_ROW], now_ms, wait_ms;
    } cases[] = {
        {"nothing", 0, {0}, 0, 0},
        {"one", 1, {0}, 0, 0},
        {"two", 2, {0, 1}, 2, 0},
        {"three at once", 3, {7, 7, 7}, 7, 30 * S},
        {"three in two minutes", 3, {0, MINUTE, 2 * MINUTE}, 2 * MINUTE, 30 * S},
        {"a millisecond more", 3, {0, MINUTE, 2 * MINUTE + 1}, 2 * MINUTE + 1, 0},
        {"half waited", 3, {0, 1, 2}, 15 * S + 2, 15 * S},
        {"almost waited", 3, {0, 1, 2}, 30 * S + 1, 1},
        {"waited", 3, {0, 1, 2}, 30 * S + 2, 0},
        {"long ago", 3, {0, 1, 2}, INT64_MAX, 0},
        {"the first is too old", 4, {0, 2 * MINUTE, 3 * MINUTE, 4 * MINUTE}, 4 * MINUTE, 30 * S},
        {"the fourth doubles", 4, {0, 1, 2, 31 * S}, 31 * S, 60 * S},
        {"also a day later", 4, {0, 1, 2, 1440 * MINUTE}, 1440 * MINUTE, 60 * S},
        {"the fifth", 5, {0, 1, 2, 3, 4}, 4, 120 * S},
        {"the seventh", 7, {0, 1, 2, 3, 4, 5, 6}, 6, 480 * S},
        {"the eighth is capped", 8, {0, 1, 2, 3, 4, 5, 6, 7}, 7, 15 * MINUTE},
        {"and stays so", 12, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 11, 15 * MINUTE},
        {"never three in two minutes", 4, {0, 61 * S, 122 * S, 183 * S}, 183 * S, 0},
        /* A clock that was set back opens nothing, and one that runs backwards between two is no time passed. */
        {"all in the future", 3, {10 * MINUTE, 20 * MINUTE, 30 * MINUTE}, 0, 30 * S},
        {"the last in the future", 3, {0, 1, 90 * MINUTE}, 2, 30 * S},
        {"and long past the second", 3, {0, 1, 90 * MINUTE}, 3 * MINUTE, 0},
        {"set back between", 3, {60 * MINUTE, 50 * MINUTE, 40 * MINUTE}, 40 * MINUTE, 30 * S},
        {"set back and gone on", 3, {60 * MINUTE, 50 * MINUTE, 40 * MINUTE}, 40 * MINUTE + 10 * S, 20 * S},
        {"before 1970", 3, {-3, -2, -1}, 0, 30 * S - 1},
        /* Any times there are. */
        {"the ends of time", 3, {INT64_MIN, 0, INT64_MAX}, INT64_MAX, 0},
        {"the end", 3, {INT64_MAX, INT64_MAX, INT64_MAX}, INT64_MIN, 30 * S},
        {"the beginning", 3, {INT64_MIN, INT64_MIN, INT64_MIN}, INT64_MAX, 0},
        {"the beginning, then", 3, {INT64_MIN, INT64_MIN, INT64_MIN}, INT64_MIN, 30 * S},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int64_t wait_ms = vx_backoff_wait_ms(cases[i].rejected_ms, (size_t)cases[i].n, cases[i].now_ms);
        if (wait_ms != cases[i].wait_ms)
            fail_msg("%s: waits %lld ms, not %lld", cases[i].what, (long long)wait_ms, (long long)cases[i].wait_ms);
    }
    assert_int_equal(vx_backoff_wait_ms(NULL, 0, 5), 0);
}

/* The rule as it is written down. */
static int64_t ref_wait(const int64_t *rejected_ms, int n, int64_t now_ms)
{
    int64_t seen_ms[MAX_ROW];
    for (int i = 0; i < n; i++)
        seen_ms[i] = rejected_ms[i] > now_ms ? now_ms : rejected_ms[i];
    for (int i = 2; i < n; i++) {
        if (seen_ms[i] - seen_ms[i - 2] > 2 * MINUTE)
            continue;
        static const int64_t waits_s[] = {30, 60, 120, 240, 480, 900};
        const int further = n - 1 - i;
        const int64_t until_ms = seen_ms[n - 1] + S * waits_s[further < 5 ? further : 5];
        return until_ms > now_ms ? until_ms - now_ms : 0;
    }
    return 0;
}

/* Every row of up to six rejections at these times, in any order, seen from each of them. */
static void every_small_row(void **state)
{
    (void)state;
    static const int64_t times_ms[] = {0, 1, 30 * S, 59 * S, 2 * MINUTE, 2 * MINUTE + 1, 4 * MINUTE, 20 * MINUTE};
    enum { N_TIMES = COUNT(times_ms), LONGEST = 6 };
    int n_waiting = 0;
    for (int n = 0, rows = 1; n <= LONGEST; n++, rows *= N_TIMES) {
        for (int row = 0; row < rows; row++) {
            int64_t rejected_ms[LONGEST] = {0};
            for (int i = 0, digits = row; i < n; i++, digits /= N_TIMES)
                rejected_ms[i] = times_ms[digits % N_TIMES];
            for (int now = 0; now < N_TIMES; now++) {
                const int64_t wait_ms = vx_backoff_wait_ms(rejected_ms, (size_t)n, times_ms[now]);
                if (wait_ms != ref_wait(rejected_ms, n, times_ms[now]))
                    fail_msg("%d rejections, row %d, now %d: waits %lld ms", n, row, now, (long long)wait_ms);
                n_waiting += wait_ms > 0;
            }
        }
    }
    assert_true(n_waiting > 100000);
}

/* A row that goes on for ever: no shift wraps round, no wait is longer than a quarter of an hour. */
static void a_long_row(void **state)
{
    (void)state;
    static int64_t rejected_ms[5000];
    for (size_t n = 1; n <= COUNT(rejected_ms); n++) {
        rejected_ms[n - 1] = (int64_t)n * 16 * MINUTE;
        const int64_t wait_ms = vx_backoff_wait_ms(rejected_ms, n, rejected_ms[n - 1]);
        assert_int_equal(wait_ms, 0); /* too slow to be a row */
    }
    for (size_t n = 1; n <= COUNT(rejected_ms); n++) {
        rejected_ms[n - 1] = (int64_t)n;
        const int64_t wait_ms = vx_backoff_wait_ms(rejected_ms, n, rejected_ms[n - 1]);
        assert_true(n < 8 ? wait_ms < 15 * MINUTE : wait_ms == 15 * MINUTE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits),
        cmocka_unit_test(every_small_row),
        cmocka_unit_test(a_long_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
