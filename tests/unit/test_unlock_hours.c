/* test_unlock_hours.c - the habit's density and what it lets one expect, against sums made the long way round. */
#include "edge/evidence/unlock_hours.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MONDAY = 20458, TUESDAY, FRIDAY = 20462, SATURDAY, SUNDAY, DAY_S = 86400, WEEK_S = 604800 }; /* 2026-01-05 */

static vx_wall_time at(int32_t day, int hour, int minute)
{
    return (vx_wall_time){.day = day, .second = hour * 3600 + minute * 60};
}

/* Unlocks at about one time on each of so many days before `today` that are of its class. */
static void add_habit(vx_unlock_hours *hours, int32_t today, int days, vx_day_class day_class, int hour, int minute)
{
    for (int32_t day = today - days; day < today; day++)
        if (vx_day_class_of(day) == day_class)
            vx_unlock_hours_add(hours, at(day, hour, minute));
}

static unsigned random_below(uint32_t *seed, unsigned n)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)*seed * n) >> 32);
}

/* Some hundreds of moments of the last year, at any time, some of which are of the future. */
static vx_unlock_hours random_hours(uint32_t seed, int n, int32_t today)
{
    vx_unlock_hours hours = {0};
    for (int i = 0; i < n; i++)
        vx_unlock_hours_add(&hours, (vx_wall_time){.day = today + 3 - (int32_t)random_below(&seed, 400),
                                                   .second = (int32_t)random_below(&seed, DAY_S)});
    return hours;
}

/* ---- the long way round ------------------------------------------------------------------------------------------ */

static double ref_weight(int32_t day, int32_t today)
{
    if (day > today + 1 || day < today - 365)
        return 0;
    return day > today ? 1 : pow(0.5, (today - day) / 21.0);
}

static bool ref_is_weekend(int32_t day)
{
    const time_t seconds = (time_t)day * DAY_S;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return tm.tm_wday == 0 || tm.tm_wday == 6;
}

/* The kernel wrapped ten times round, which nobody needs. */
static double ref_density(const vx_unlock_hours *h, int32_t today, bool weekend, double hour)
{
    double sum = 2 / 24.0, total = 2;
    for (uint32_t i = 0; i < h->n; i++) {
        if (ref_is_weekend(h->moments[i].day) != weekend)
            continue;
        const double w = ref_weight(h->moments[i].day, today);
        total += w;
        for (int turn = -10; turn <= 10; turn++) {
            const double away = hour - h->moments[i].second / 3600.0 + 24 * turn;
            sum += w * exp(-away * away / (2 * 0.5 * 0.5)) / (0.5 * sqrt(2 * acos(-1.0)));
        }
    }
    return sum / total;
}

static double ref_per_day(const vx_unlock_hours *h, int32_t today, bool weekend)
{
    double unlocks = 0, days = 2;
    int32_t first = today;
    for (uint32_t i = 0; i < h->n; i++) {
        const double w = ref_weight(h->moments[i].day, today);
        if (ref_is_weekend(h->moments[i].day) == weekend)
            unlocks += w;
        if (w > 0 && h->moments[i].day < first)
            first = h->moments[i].day;
    }
    for (int32_t day = first; day <= today; day++)
        if (ref_is_weekend(day) == weekend)
            days += ref_weight(day, today);
    return unlocks / days;
}

/* The density added up minute by minute, by the midpoint of each: off by (1/60)^2/24 of its second derivative, which for
 * this kernel stays below 1 / 0.5^2 of its peak: 5e-5. */
static double ref_expect(const vx_unlock_hours *h, vx_wall_time now, int window_s)
{
    double sum = 0;
    for (int s = now.second; s < now.second + window_s; s += 60) {
        const int32_t day = now.day + s / DAY_S;
        const bool weekend = ref_is_weekend(day);
        sum += ref_per_day(h, now.day, weekend) * ref_density(h, now.day, weekend, (s % DAY_S + 30) / 3600.0) / 60;
    }
    return sum;
}

/* ---- calendar ---------------------------------------------------------------------------------------------------- */

static void local_time_becomes_a_day_and_a_second(void **state)
{
    (void)state;
    static const struct {
        struct tm tm;
        int32_t day, second;
    } rows[] = {
        {{.tm_year = 70, .tm_mon = 0, .tm_mday = 1}, 0, 0},
        {{.tm_year = 126, .tm_mon = 0, .tm_mday = 5, .tm_hour = 9, .tm_min = 30, .tm_sec = 1}, MONDAY, 34201},
        {{.tm_year = 124, .tm_mon = 1, .tm_mday = 29, .tm_hour = 23, .tm_min = 59, .tm_sec = 59}, 19782, 86399},
        {{.tm_year = 124, .tm_mon = 2, .tm_mday = 1}, 19783, 0},
        {{.tm_year = 100, .tm_mon = 1, .tm_mday = 29}, 11016, 0},
        {{.tm_year = 0, .tm_mon = 0, .tm_mday = 1}, -25567, 0},
        {{.tm_year = 116, .tm_mon = 11, .tm_mday = 31, .tm_hour = 23, .tm_min = 59, .tm_sec = 60}, 17166, 86399},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_wall_time got = {-1, -1};
        assert_true(vx_wall_time_of(&rows[i].tm, &got));
        if (got.day != rows[i].day || got.second != rows[i].second)
            fail_msg("row %zu: day %d, second %d", i, got.day, got.second);
    }
    /* Every day of 500 years as gmtime knows it. */
    for (int32_t day = -25567; day < 160000; day++) {
        const time_t seconds = (time_t)day * DAY_S + 86399;
        struct tm tm;
        vx_wall_time got;
        gmtime_r(&seconds, &tm);
        if (!vx_wall_time_of(&tm, &got) || got.day != day || got.second != 86399 ||
            vx_day_class_of(day) != (ref_is_weekend(day) ? VX_DAY_WEEKEND : VX_DAY_WORKING))
            fail_msg("day %d", day);
    }
}

static void impossible_dates_are_refused(void **state)
{
    (void)state;
    static const struct tm rows[] = {
        {.tm_year = 125, .tm_mon = 1, .tm_mday = 29},  {.tm_year = 200, .tm_mon = 1, .tm_mday = 29},
        {.tm_year = 125, .tm_mon = 3, .tm_mday = 31},  {.tm_year = 125, .tm_mon = 0, .tm_mday = 0},
        {.tm_year = 125, .tm_mon = 12, .tm_mday = 1},  {.tm_year = 125, .tm_mon = -1, .tm_mday = 1},
        {.tm_year = -1, .tm_mon = 0, .tm_mday = 1},    {.tm_year = 2000000000, .tm_mon = 0, .tm_mday = 1},
        {.tm_year = 125, .tm_mday = 1, .tm_hour = 24}, {.tm_year = 125, .tm_mday = 1, .tm_hour = -1},
        {.tm_year = 125, .tm_mday = 1, .tm_min = 60},  {.tm_year = 125, .tm_mday = 1, .tm_min = -1},
        {.tm_year = 125, .tm_mday = 1, .tm_sec = 61},  {.tm_year = 125, .tm_mday = 1, .tm_sec = -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_wall_time got = {7, 8};
        if (vx_wall_time_of(&rows[i], &got) || got.day != 7 || got.second != 8)
            fail_msg("row %zu", i);
    }
}

/* ---- history ----------------------------------------------------------------------------------------------------- */

static void a_full_history_forgets_what_came_first(void **state)
{
    (void)state;
    vx_unlock_hours hours = {0};
    for (int i = 0; i < VX_UNLOCK_HOURS_MAX + 5; i++)
        vx_unlock_hours_add(&hours, (vx_wall_time){.day = i, .second = i});
    assert_int_equal(hours.n, VX_UNLOCK_HOURS_MAX);
    assert_int_equal(hours.oldest, 5);
    assert_int_equal(hours.moments[4].day, VX_UNLOCK_HOURS_MAX + 4);
    assert_int_equal(hours.moments[5].day, 5);
    assert_true(vx_unlock_hours_is_sound(&hours));
}

static void what_a_store_gives_back_is_examined(void **state)
{
    (void)state;
    vx_unlock_hours good = {0}, bad;
    assert_true(vx_unlock_hours_is_sound(&good));
    vx_unlock_hours_add(&good, at(MONDAY, 9, 0));
    assert_true(vx_unlock_hours_is_sound(&good));
    bad = good, bad.n = VX_UNLOCK_HOURS_MAX + 1;
    assert_false(vx_unlock_hours_is_sound(&bad));
    bad = good, bad.oldest = 1; /* only a full ring begins elsewhere */
    assert_false(vx_unlock_hours_is_sound(&bad));
    bad = good, bad.n = VX_UNLOCK_HOURS_MAX, bad.oldest = VX_UNLOCK_HOURS_MAX;
    assert_false(vx_unlock_hours_is_sound(&bad));
    bad = good, bad.moments[0].second = DAY_S;
    assert_false(vx_unlock_hours_is_sound(&bad));
    bad = good, bad.moments[0].second = -1;
    assert_false(vx_unlock_hours_is_sound(&bad));
    /* No day is too far away to be counted out. */
    bad = good, bad.moments[0].day = INT32_MAX;
    assert_true(vx_unlock_hours_expect(&bad, at(MONDAY, 0, 0), DAY_S) == 0);
    bad = good, bad.moments[0].day = INT32_MIN;
    assert_true(vx_unlock_hours_expect(&bad, at(MONDAY, 0, 0), DAY_S) == 0);
}

static void without_history_all_hours_are_alike_and_nothing_is_expected(void **state)
{
    (void)state;
    const vx_unlock_hours none = {0};
    for (double hour = 0; hour <= 24; hour += 0.25)
        assert_true(fabs(vx_unlock_hours_density(&none, at(MONDAY, 9, 0), VX_DAY_WORKING, hour) - 1 / 24.0) < 1e-15);
    assert_true(vx_unlock_hours_expect(&none, at(MONDAY, 9, 0), WEEK_S) == 0);
    assert_int_equal(vx_unlock_hours_next(&none, at(MONDAY, 9, 0), 900, 10, 1e-6), -1);
}

/* ---- density ----------------------------------------------------------------------------------------------------- */

static void the_density_is_that_of_the_long_way_round(void **state)
{
    (void)state;
    print_message("# seeds 1 to 6\n");
    for (uint32_t seed = 1; seed <= 6; seed++) {
        const vx_unlock_hours hours = random_hours(seed, (int)(seed * 85), MONDAY);
        for (int c = VX_DAY_WORKING; c <= VX_DAY_WEEKEND; c++) {
            double integral = 0;
            for (int quarter = 0; quarter < 96; quarter++) {
                const double hour = quarter / 4.0;
                const double got = vx_unlock_hours_density(&hours, at(MONDAY, 1, 0), (vx_day_class)c, hour);
                const double want = ref_density(&hours, MONDAY, c == VX_DAY_WEEKEND, hour);
                if (!(fabs(got - want) <= 1e-12 * want))
                    fail_msg("seed %u, class %d, hour %g: %.15g, want %.15g", seed, c, hour, got, want);
                integral += got / 4;
            }
            /* A sum over a period of so smooth a function is its integral to all digits. */
            assert_true(fabs(integral - 1) < 1e-9);
        }
    }
}

static void hours_wrap_at_midnight(void **state)
{
    (void)state;
    vx_unlock_hours hours = {0};
    add_habit(&hours, MONDAY, 28, VX_DAY_WORKING, 23, 50);
    const vx_wall_time now = at(MONDAY, 12, 0);
    const double before = vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 23.5),
                 after = vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 1 / 6.0); /* 20 minutes each */
    assert_true(fabs(before - after) < 1e-9);
    assert_true(before > 0.3);
    assert_true(fabs(vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 0) -
                     vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 24)) < 1e-12);
    /* Half an hour around 23:50 of one working day into the next holds as much as one inside a day would. */
    vx_unlock_hours noon = {0};
    add_habit(&noon, MONDAY, 28, VX_DAY_WORKING, 12, 0);
    const double across = vx_unlock_hours_expect(&hours, at(MONDAY, 23, 35), 1800),
                 inside = vx_unlock_hours_expect(&noon, at(MONDAY, 11, 45), 1800);
    assert_true(fabs(across - inside) < 1e-9 && across > 0.2);
}

static void little_history_is_smoothed_and_much_is_not(void **state)
{
    (void)state;
    double last = 1 / 24.0;
    for (int days = 2; days <= 128; days *= 2) {
        vx_unlock_hours hours = {0};
        add_habit(&hours, TUESDAY, days, VX_DAY_WORKING, 9, 0);
        const double peak = vx_unlock_hours_density(&hours, at(TUESDAY, 9, 0), VX_DAY_WORKING, 9);
        assert_true(peak > last);
        last = peak;
    }
    assert_true(last > 0.7 && last < 0.798); /* 1 / (0.5 * sqrt(2 pi)) is the kernel's own */
}

static void working_days_say_nothing_of_weekends(void **state)
{
    (void)state;
    vx_unlock_hours hours = {0};
    add_habit(&hours, MONDAY, 56, VX_DAY_WORKING, 9, 0);
    add_habit(&hours, MONDAY, 56, VX_DAY_WEEKEND, 11, 30);
    const vx_wall_time now = at(MONDAY, 0, 0);
    assert_true(vx_unlock_hours_density(&hours, now, VX_DAY_WEEKEND, 11.5) > 0.5);
    assert_true(vx_unlock_hours_density(&hours, now, VX_DAY_WEEKEND, 9) < 0.02);
    assert_true(vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 9) > 0.6);
    assert_true(vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 11.5) < 0.02);
}

static void old_habits_are_outweighed(void **state)
{
    (void)state;
    vx_unlock_hours hours = {0};
    add_habit(&hours, MONDAY - 35, 84, VX_DAY_WORKING, 9, 0); /* until five weeks ago */
    add_habit(&hours, MONDAY, 35, VX_DAY_WORKING, 18, 0);
    const vx_wall_time now = at(MONDAY, 0, 0), much_later = at(MONDAY + 400, 0, 0);
    assert_true(vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 18) >
                2 * vx_unlock_hours_density(&hours, now, VX_DAY_WORKING, 9));
    /* One half-life later everything weighs half, and against the uniform share it stands for half as much. */
    vx_unlock_hours one = {0};
    vx_unlock_hours_add(&one, at(MONDAY, 9, 0));
    const double kernel = 1 / (0.5 * sqrt(2 * acos(-1.0)));
    assert_true(fabs(vx_unlock_hours_density(&one, at(MONDAY, 23, 0), VX_DAY_WORKING, 9) - (kernel + 2 / 24.0) / 3) <
                1e-9);
    assert_true(fabs(vx_unlock_hours_density(&one, at(MONDAY + 21, 9, 0), VX_DAY_WORKING, 9) -
                     (kernel / 2 + 2 / 24.0) / 2.5) < 1e-9);
    assert_true(fabs(vx_unlock_hours_density(&hours, much_later, VX_DAY_WORKING, 9) - 1 / 24.0) < 1e-12);
    assert_true(vx_unlock_hours_expect(&hours, much_later, WEEK_S) == 0);
}

/* ---- expecting --------------------------------------------------------------------------------------------------- */

static void what_is_expected_is_the_density_added_up(void **state)
{
    (void)state;
    static const struct {
        int32_t day;
        int hour, minute, window_s;
    } rows[] = {
        {MONDAY, 9, 0, 900},        {MONDAY, 0, 0, DAY_S},       {MONDAY, 23, 55, 600}, {FRIDAY, 20, 0, 6 * 3600},
        {SUNDAY, 22, 30, 4 * 3600}, {TUESDAY, 7, 13, 3 * DAY_S}, {SATURDAY, 5, 0, 60},  {FRIDAY, 12, 0, WEEK_S},
    };
    print_message("# seeds 1 to 3\n");
    for (uint32_t seed = 1; seed <= 3; seed++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            /* The long way round takes a second for a week of 512 unlocks. */
            const int n = rows[i].window_s > DAY_S ? 20 : 200;
            const vx_wall_time now = at(rows[i].day, rows[i].hour, rows[i].minute);
            const vx_unlock_hours hours = random_hours(seed, n, rows[i].day);
            const double got = vx_unlock_hours_expect(&hours, now, rows[i].window_s),
                         want = ref_expect(&hours, now, rows[i].window_s);
            if (!(fabs(got - want) <= 5e-5 * want))
                fail_msg("seed %u, row %zu: %.9g, want %.9g", seed, i, got, want);
        }
}

static void a_daily_habit_is_expected_more_with_each_week(void **state)
{
    (void)state;
    double last = 0;
    for (int weeks = 1; weeks <= 16; weeks *= 2) {
        vx_unlock_hours hours = {0};
        add_habit(&hours, MONDAY, 7 * weeks, VX_DAY_WORKING, 9, 0);
        const double a_day = vx_unlock_hours_expect(&hours, at(MONDAY, 0, 0), DAY_S);
        assert_true(a_day > last && a_day < 1);
        last = a_day;
        assert_true(vx_unlock_hours_expect(&hours, at(SATURDAY, 0, 0), DAY_S) == 0);
    }
    assert_true(last > 0.8);
}

static void the_model_is_there_before_the_usual_time(void **state)
{
    (void)state;
    vx_unlock_hours hours = {0};
    add_habit(&hours, MONDAY, 56, VX_DAY_WORKING, 9, 0);
    static const struct {
        int32_t day;
        int hour, minute;
        int32_t from_day; /* it should come on this day between a quarter past eight and nine */
    } rows[] = {
        {MONDAY, 0, 0, MONDAY},      {MONDAY, 8, 0, MONDAY},       {MONDAY, 12, 0, TUESDAY},
        {FRIDAY, 9, 45, MONDAY + 7}, {SATURDAY, 9, 0, MONDAY + 7}, {SUNDAY, 23, 59, MONDAY + 7},
    };
    enum { WINDOW_S = 900, LEAD_S = 20 };
    const double expected = 0.1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const vx_wall_time now = at(rows[i].day, rows[i].hour, rows[i].minute);
        const int in_s = vx_unlock_hours_next(&hours, now, WINDOW_S, LEAD_S, expected);
        const int when = (now.day - rows[i].from_day) * DAY_S + now.second + in_s;
        if (in_s < 1 || when < 8 * 3600 + 900 || when > 9 * 3600)
            fail_msg("row %zu: in %d s", i, in_s);
        /* The window is busy enough, the one a step earlier is not. */
        const int start = when + LEAD_S;
        assert_int_equal(start % 300, 0);
        const vx_wall_time window = {.day = rows[i].from_day, .second = start},
                           earlier = {.day = rows[i].from_day, .second = start - 300};
        if (rows[i].day == rows[i].from_day) { /* weights are those of the same day */
            assert_true(vx_unlock_hours_expect(&hours, window, WINDOW_S) >= expected);
            assert_true(vx_unlock_hours_expect(&hours, earlier, WINDOW_S) < expected);
        }
    }
    /* In the busy hour it is told at each step, and never "now": nobody who asks again at once spins. */
    const vx_wall_time busy = at(MONDAY, 8, 58);
    assert_int_equal(vx_unlock_hours_next(&hours, busy, WINDOW_S, 0, expected), 120);
    assert_int_equal(vx_unlock_hours_next(&hours, at(MONDAY, 9, 0), WINDOW_S, 0, expected), 300);
    /* More than ever comes, and what any minute holds. */
    assert_int_equal(vx_unlock_hours_next(&hours, busy, WINDOW_S, 0, 5), -1);
    assert_int_equal(vx_unlock_hours_next(&hours, busy, WINDOW_S, 0, 1e-9), 120);
    /* Lengths out of their range are taken as the nearest. */
    assert_true(vx_unlock_hours_next(&hours, busy, 0, -5, 1e-9) == 120);
    assert_true(vx_unlock_hours_next(&hours, busy, INT32_MAX, INT32_MAX, 1e-9) > 0);
}

/* Every window of the week, one after the other, by the long way round. */
static void the_next_time_is_the_first_that_qualifies(void **state)
{
    (void)state;
    print_message("# seeds 1 to 4\n");
    for (uint32_t seed = 1; seed <= 4; seed++) {
        const vx_unlock_hours hours = random_hours(seed, 12, FRIDAY);
        const vx_wall_time now = {.day = FRIDAY, .second = (int32_t)(seed * 20011)};
        static double step[2][288];
        for (int c = 0; c < 2; c++)
            for (int s = 0; s < 288; s++) {
                step[c][s] = 0;
                for (int m = 0; m < 5; m++)
                    step[c][s] += ref_per_day(&hours, FRIDAY, c == 1) *
                                  ref_density(&hours, FRIDAY, c == 1, (s * 300 + m * 60 + 30) / 3600.0) / 60;
            }
        for (double expected = 0.001; expected < 0.2; expected *= 1.7) {
            int want = -1;
            for (int start = now.second / 300 + 1; want < 0 && start <= now.second / 300 + 2016; start++) {
                double sum = 0;
                for (int s = start; s < start + 3; s++)
                    sum += step[ref_is_weekend(now.day + s / 288)][s % 288];
                if (sum >= expected)
                    want = start * 300 - now.second;
            }
            const int got = vx_unlock_hours_next(&hours, now, 900, 0, expected);
            if (got != want)
                fail_msg("seed %u, expected %g: %d, want %d", seed, expected, got, want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_time_becomes_a_day_and_a_second),
        cmocka_unit_test(impossible_dates_are_refused),
        cmocka_unit_test(a_full_history_forgets_what_came_first),
        cmocka_unit_test(what_a_store_gives_back_is_examined),
        cmocka_unit_test(without_history_all_hours_are_alike_and_nothing_is_expected),
        cmocka_unit_test(the_density_is_that_of_the_long_way_round),
        cmocka_unit_test(hours_wrap_at_midnight),
        cmocka_unit_test(little_history_is_smoothed_and_much_is_not),
        cmocka_unit_test(working_days_say_nothing_of_weekends),
        cmocka_unit_test(old_habits_are_outweighed),
        cmocka_unit_test(what_is_expected_is_the_density_added_up),
        cmocka_unit_test(a_daily_habit_is_expected_more_with_each_week),
        cmocka_unit_test(the_model_is_there_before_the_usual_time),
        cmocka_unit_test(the_next_time_is_the_first_that_qualifies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
