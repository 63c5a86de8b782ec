/* test_behaviour.c - what an hour is worth: the mapping's fixed points, owners of several kinds and strangers at any hour,
 * pauses, failures, and the form in which habits are kept.
 */
#include "edge/evidence/behaviour.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "edge/decide/decide.h"
#include "tests/support/alloc_fail.h"

enum { MONDAY = 20458, SATURDAY = 20463, DAY_MS = 86400000 }; /* 2026-01-05 */

/* Hours before 0 and from 24 on belong to the day before and the day after. */
static vx_moment at(int32_t day, double hour)
{
    day += (int32_t)floor(hour / 24);
    hour -= 24 * floor(hour / 24);
    const int32_t second = (int32_t)(hour * 3600);
    return (vx_moment){.when_ms = (int64_t)day * DAY_MS + second * 1000LL, .local = {.day = day, .second = second}};
}

static double confidence(const vx_habits *habits, vx_moment now)
{
    vx_evidence evidence = {0};
    vx_behaviour_judge(habits, &now, &evidence);
    if (evidence.status != VX_EVIDENCE_VALID)
        fail_msg("%s: %s", vx_evidence_status_name(evidence.status), evidence.reason);
    assert_true(evidence.reason[0] != '\0');
    return evidence.confidence;
}

/* On each of so many working days before `today`. */
static vx_habits daily(int32_t today, int days, double hour)
{
    vx_habits habits = {0};
    for (int32_t day = today - days; day < today; day++)
        if (vx_day_class_of(day) == VX_DAY_WORKING) {
            const vx_moment now = at(day, hour);
            vx_habits_learn(&habits, &now);
        }
    return habits;
}

/* ---- the fixed points -------------------------------------------------------------------------------------------- */

static void it_starts_where_the_verdict_puts_neutral_sources(void **state)
{
    (void)state;
    assert_true(VX_HABITS_NEUTRAL == VX_DECIDE_NEUTRAL);
}

static void without_history_it_is_neutral_and_says_why(void **state)
{
    (void)state;
    vx_habits habits = {0};
    const vx_moment now = at(MONDAY, 9);
    for (int n = 0; n < VX_HABITS_MIN; n++) {
        vx_evidence evidence = {.confidence = 7};
        vx_behaviour_judge(&habits, &now, &evidence);
        assert_int_equal(evidence.status, VX_EVIDENCE_NEUTRAL);
        assert_non_null(strstr(evidence.reason, "no habits yet"));
        vx_habits_learn(&habits, &now);
    }
    assert_true(confidence(&habits, now) > VX_HABITS_NEUTRAL);

    /* What was learned long ago, or under a clock that was ahead, is no history either. */
    static const int32_t days[] = {MONDAY + 400, MONDAY + 120, MONDAY - 50};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        const vx_moment then = at(days[i], 9);
        vx_evidence evidence = {0};
        vx_behaviour_judge(&habits, &then, &evidence);
        assert_int_equal(evidence.status, VX_EVIDENCE_NEUTRAL);
        assert_non_null(strstr(evidence.reason, "last months"));
    }
}

static void the_middle_of_a_habit_and_three_in_the_morning(void **state)
{
    (void)state;
    const vx_habits habits = daily(MONDAY, 56, 9);
    const double usual = confidence(&habits, at(MONDAY, 9)), night = confidence(&habits, at(MONDAY, 3.2)),
                 weekend = confidence(&habits, at(SATURDAY, 9));
    print_message("# 9:00 %.3f, 3:12 %.3f, Saturday 9:00 %.3f\n", usual, night, weekend);
    assert_true(usual > 0.92 && usual <= 0.95);
    assert_true(night > 0.40 && night < 0.49);
    assert_true(weekend > 0.40 && weekend < 0.55);
    /* By the words of the specification: voice 0.92, signs of life 0.90, context 0.70, and the verdict asks again. */
    vx_evidence evidence[VX_N_SOURCES];
    const double confidences[VX_N_SOURCES] = {0.92, 0.90, night, 0.70};
    for (int i = 0; i < VX_N_SOURCES; i++)
        evidence[i] = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = confidences[i]};
    const vx_decide_options options = vx_decide_options_default();
    vx_decision decision;
    vx_decide(evidence, &options, &decision);
    assert_int_equal(decision.verdict, VX_CHALLENGE);
}

static void the_reason_names_the_hour(void **state)
{
    (void)state;
    const vx_habits habits = daily(MONDAY, 56, 9);
    vx_moment now = at(MONDAY, 3 + 1 / 6.0);
    vx_evidence evidence = {0};
    vx_behaviour_judge(&habits, &now, &evidence);
    assert_string_equal(evidence.reason, "at 03:10 on a working day, an hour without any unlock so far");
    now.failures = 2;
    vx_behaviour_judge(&habits, &now, &evidence);
    assert_non_null(strstr(evidence.reason, "after 2 rejected attempts"));
    now = at(SATURDAY, 23.9999);
    vx_behaviour_judge(&habits, &now, &evidence);
    assert_non_null(strstr(evidence.reason, "at 23:59 on a weekend, "));
    now = at(MONDAY, 9);
    vx_behaviour_judge(&habits, &now, &evidence);
    assert_string_equal(evidence.reason, "at 09:00 on a working day, a usual hour");
}

/* The longer the habit, the more it says, either way. */
static void confidence_grows_with_evidence(void **state)
{
    (void)state;
    double usual = VX_HABITS_NEUTRAL, night = VX_HABITS_NEUTRAL;
    for (int weeks = 1; weeks <= 16; weeks *= 2) {
        const vx_habits habits = daily(MONDAY, 7 * weeks, 9);
        const double more = confidence(&habits, at(MONDAY, 9)), less = confidence(&habits, at(MONDAY, 3));
        if (!(more > usual && less < night))
            fail_msg("%d weeks: %.4f after %.4f, %.4f after %.4f", weeks, more, usual, less, night);
        usual = more;
        night = less;
    }
    /* And fades, when its owner stays away. */
    const vx_habits habits = daily(MONDAY, 56, 9);
    assert_true(confidence(&habits, at(MONDAY + 42, 9)) < confidence(&habits, at(MONDAY, 9)) - 0.02);
    assert_true(confidence(&habits, at(MONDAY + 42, 3)) > confidence(&habits, at(MONDAY, 3)));
}

/* One Saturday without an unlock does not prove that there never is one. */
static void the_first_weekend_is_no_stranger_yet(void **state)
{
    (void)state;
    const vx_habits week = daily(SATURDAY, 5, 9), months = daily(SATURDAY + 56, 61, 9);
    const double first = confidence(&week, at(SATURDAY, 9)), ninth = confidence(&months, at(SATURDAY + 56, 9));
    print_message("# first Saturday %.3f, ninth %.3f\n", first, ninth);
    assert_true(first > 0.55 && first < VX_HABITS_NEUTRAL && ninth < 0.49);
}

/* Who comes at most hours of the day is told from others less by one of them than who comes at nine. */
static void a_wide_habit_says_less_than_a_narrow_one(void **state)
{
    (void)state;
    vx_habits wide = {0};
    for (int32_t day = MONDAY - 28; day < MONDAY; day++)
        for (int hour = 8; hour < 22; hour++) {
            const vx_moment now = at(day, hour + 0.5);
            vx_habits_learn(&wide, &now);
        }
    const vx_habits narrow = daily(MONDAY, 56, 14.5);
    vx_moment now = at(MONDAY, 14.5);
    now.when_ms = wide.last_ms + 3600000;
    const double of_wide = confidence(&wide, now);
    now.when_ms = narrow.last_ms + 3 * (int64_t)DAY_MS;
    const double of_narrow = confidence(&narrow, now);
    print_message("# wide %.3f, narrow %.3f\n", of_wide, of_narrow);
    assert_true(of_wide > VX_HABITS_NEUTRAL && of_wide < 0.85 && of_narrow > 0.92);
}

/* A habit of one peak: away from it, both ways around the clock, the confidence never rises. */
static void it_never_falls_towards_a_habit(void **state)
{
    (void)state;
    const vx_habits habits = daily(MONDAY, 56, 22.75);
    for (int way = -1; way <= 1; way += 2) {
        double last = 1;
        for (int step = 0; step < 24; step++) {
            vx_moment now = at(MONDAY, 22.75 + way * 0.5 * step);
            now.local.day = MONDAY; /* the same day of the calendar around the clock */
            now.when_ms = habits.last_ms - 1;
            const double c = confidence(&habits, now);
            if (!(c <= last + 1e-12))
                fail_msg("%+g hours: %.6f after %.6f", way * 0.5 * step, c, last);
            last = c;
        }
    }
}

/* ---- owners and strangers ---------------------------------------------------------------------------------------- */

static uint32_t seed;

static double uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / 16777216.0;
}

/* Normal enough: twelve uniform ones. */
static double around(double mean, double deviation)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return mean + deviation * sum;
}

static int office_worker(int32_t day, double hours[8])
{
    if (vx_day_class_of(day) == VX_DAY_WEEKEND)
        return 0;
    hours[0] = around(9, 0.4);
    hours[1] = around(10.5, 0.5);
    hours[2] = around(13, 0.3);
    hours[3] = around(15.5, 0.7);
    return 4;
}

/* A week early, a week late, a week at night. */
static int shift_worker(int32_t day, double hours[8])
{
    const double start = (const double[]){6, 14, 22}[day / 7 % 3];
    if (day % 7 >= 5)
        return 0;
    hours[0] = around(start, 0.3);
    hours[1] = around(start + 4, 0.4);
    hours[2] = around(start + 7, 0.4);
    return 3;
}

static int night_owl(int32_t day, double hours[8])
{
    int n = 0;
    if (vx_day_class_of(day) == VX_DAY_WEEKEND)
        hours[n++] = around(15, 1);
    hours[n++] = around(22, 0.7);
    hours[n++] = around(24.5, 0.8);
    return n;
}

static int at_any_hour(int32_t day, double hours[8])
{
    (void)day;
    for (int i = 0; i < 3; i++)
        hours[i] = 24 * uniform();
    return 3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { WATCHED_DAYS = 14, SAMPLES_MAX = WATCHED_DAYS * 24 };

struct outcome {
    double owner[SAMPLES_MAX], stranger[SAMPLES_MAX];
    int n_owner, n_stranger;
};

static double mean_of(const double *values, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += values[i];
    return sum / n;
}

/* Probability that the owner's number is above the stranger's. */
static double separation(const struct outcome *o)
{
    double wins = 0;
    for (int i = 0; i < o->n_owner; i++)
        for (int j = 0; j < o->n_stranger; j++)
            wins += o->owner[i] > o->stranger[j] ? 1 : o->owner[i] == o->stranger[j] ? 0.5 : 0;
    return wins / o->n_owner / o->n_stranger;
}

/* An owner for 60 days, then watched for two weeks, in which a stranger tries every second hour. */
static void watch(int (*kind)(int32_t, double *), struct outcome *o)
{
    vx_habits habits = {0};
    *o = (struct outcome){0};
    for (int32_t day = MONDAY; day < MONDAY + 60 + WATCHED_DAYS; day++) {
        double hours[8];
        const int n = kind(day, hours);
        qsort(hours, (size_t)n, sizeof *hours, by_value);
        for (int i = 0; i < n; i++) {
            const vx_moment now = at(day, hours[i]);
            if (day >= MONDAY + 60)
                o->owner[o->n_owner++] = confidence(&habits, now);
            vx_habits_learn(&habits, &now);
        }
        for (int hour = 1; day >= MONDAY + 60 && hour < 24; hour += 2)
            o->stranger[o->n_stranger++] = confidence(&habits, at(day, hour));
    }
}

static void owners_are_told_from_strangers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int (*kind)(int32_t, double *);
        double owner_least, owner_most, stranger_most, separation_least, separation_most;
    } rows[] = {
        {"office worker", office_worker, 0.86, 0.95, 0.65, 0.74, 1.00},
        {"night owl", night_owl, 0.83, 0.95, 0.65, 0.68, 1.00},
        {"shift worker", shift_worker, 0.64, 0.90, 0.68, 0.58, 1.00},
        /* Somebody without habits is neither helped nor punished: he stays near neutral, and so does a stranger. */
        {"at any hour", at_any_hour, 0.62, 0.74, 0.74, 0.38, 0.62},
    };
    static struct outcome o;
    print_message("# seeds 1 to %zu\n", sizeof rows / sizeof *rows);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        seed = (uint32_t)i + 1;
        watch(rows[i].kind, &o);
        const double owner = mean_of(o.owner, o.n_owner), stranger = mean_of(o.stranger, o.n_stranger),
                     apart = separation(&o);
        print_message("# %-13s owner %.2f, stranger at any hour %.2f, owner above stranger %.2f\n", rows[i].name, owner,
                      stranger, apart);
        if (owner < rows[i].owner_least || owner > rows[i].owner_most || stranger > rows[i].stranger_most ||
            apart < rows[i].separation_least || apart > rows[i].separation_most)
            fail_msg("%s", rows[i].name);
        for (int j = 0; j < o.n_stranger; j++)
            assert_true(o.stranger[j] > 0.35 && o.stranger[j] <= 0.95); /* no alarm for the hour alone */
    }
}

/* ---- pauses and failures ----------------------------------------------------------------------------------------- */

static void an_unusual_pause_takes_at_most_a_tenth(void **state)
{
    (void)state;
    /* Every day at nine: 24 hours, and 72 over the weekend. */
    const vx_habits habits = daily(MONDAY, 56, 9);
    const double usual = confidence(&habits, at(MONDAY, 9));
    vx_moment now = at(MONDAY, 9);
    now.when_ms = habits.last_ms + 60000; /* as if he had just been here: never happened */
    const double hasty = confidence(&habits, now);
    assert_true(hasty < 0.95 * usual && hasty >= 0.90 * usual);
    vx_evidence evidence = {0};
    vx_behaviour_judge(&habits, &now, &evidence);
    assert_non_null(strstr(evidence.reason, "unusual pause"));

    now.when_ms = habits.last_ms - 1; /* the clock was set back: nothing is said */
    assert_true(fabs(confidence(&habits, now) - usual) < 1e-12);
    now.when_ms = INT64_MAX;
    assert_true(confidence(&habits, now) < usual);
    now.when_ms = INT64_MIN;
    assert_true(fabs(confidence(&habits, now) - usual) < 1e-12);
}

static void rejected_attempts_take_a_tenth_each(void **state)
{
    (void)state;
    const vx_habits habits = daily(MONDAY, 56, 9);
    vx_moment now = at(MONDAY, 9);
    const double usual = confidence(&habits, now);
    for (int failures = -3; failures <= 12; failures++) {
        now.failures = failures;
        const int counted = failures < 0 ? 0 : failures > 5 ? 5 : failures;
        assert_true(fabs(confidence(&habits, now) - usual * pow(0.9, counted)) < 1e-12);
    }
    /* An odd hour makes one prove oneself; an odd hour after three rejections contradicts a good voice. */
    vx_moment night = at(MONDAY, 3);
    assert_true(confidence(&habits, night) > 0.35);
    night.failures = 3;
    assert_true(confidence(&habits, night) < 0.35);
}

/* ---- kept -------------------------------------------------------------------------------------------------------- */

static vx_habits rich_habits(int n)
{
    vx_habits habits = {0};
    seed = 5;
    for (int i = 0; i < n; i++) {
        const vx_moment now = at(MONDAY + i / 3, 24 * uniform());
        vx_habits_learn(&habits, &now);
    }
    return habits;
}

static void habits_come_back_as_they_were(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 7, VX_UNLOCK_HOURS_MAX, VX_UNLOCK_HOURS_MAX + 100, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const vx_habits habits = rich_habits(sizes[i]);
        vx_habits again;
        vx_buf form = {0};
        memset(&again, 0xa5, sizeof again);
        assert_int_equal(vx_habits_encode(&habits, &form), VX_OK);
        uint8_t *exact = malloc(form.len);
        assert_non_null(exact);
        memcpy(exact, form.data, form.len);
        assert_int_equal(vx_habits_decode(exact, form.len, &again, NULL), VX_OK);
        assert_int_equal(again.n, habits.n);
        assert_true(again.last_ms == habits.last_ms);
        assert_memory_equal(again.intervals, habits.intervals, sizeof habits.intervals);
        assert_memory_equal(&again.hours, &habits.hours, sizeof habits.hours);
        free(exact);
        vx_buf_done(&form);
    }
}

/* The rounding of a count that is fed and faded for years must not leave the range that is read back. */
static void habits_of_years_can_be_read_back(void **state)
{
    (void)state;
    vx_habits habits = {0}, again;
    vx_buf form = {0};
    for (int i = 0; i < 20000; i++) {
        const vx_moment now = at(MONDAY + i, 9);
        vx_habits_learn(&habits, &now);
    }
    assert_int_equal(vx_habits_encode(&habits, &form), VX_OK);
    assert_int_equal(vx_habits_decode(form.data, form.len, &again, NULL), VX_OK);
    vx_buf_done(&form);
}

/* The form is a promise to those who upgrade: these are its bytes. */
static void the_form_is_the_documented_one(void **state)
{
    (void)state;
    vx_habits habits = {.n = 0x01020304, .last_ms = -2, .hours = {.n = 1, .moments = {{-1, 86399}}}};
    vx_buf form = {0};
    habits.intervals[15] = 1.5;
    assert_int_equal(vx_habits_encode(&habits, &form), VX_OK);
    assert_int_equal(form.len, 4 + 4 + 8 + 128 + 4 + 4 + 8);
    assert_memory_equal(form.data, "vxh1\x04\x03\x02\x01\xfe\xff\xff\xff\xff\xff\xff\xff", 16);
    assert_memory_equal(form.data + 16 + 120, "\0\0\0\0\0\0\xf8\x3f\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\x7f\x51\x01\0",
                        24);
    vx_buf_done(&form);
}

static void what_a_store_gives_back_is_examined(void **state)
{
    (void)state;
    enum { INTERVALS = 16, HOURS = 16 + 128 };
    const vx_habits habits = rich_habits(20);
    vx_buf form = {0};
    assert_int_equal(vx_habits_encode(&habits, &form), VX_OK);
    static const struct {
        const char *what;
        size_t at;
        uint8_t bytes[8];
        size_t n;
    } rows[] = {
        {"magic", 0, {'V'}, 1},
        {"version", 3, {'2'}, 1},
        {"fewer learned than moments", 4, {19, 0, 0, 0}, 4},
        {"NaN", INTERVALS, {0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, 8},
        {"infinite", INTERVALS + 8, {0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, 8},
        {"negative", INTERVALS + 16, {0, 0, 0, 0, 0, 0, 0xf0, 0xbf}, 8},
        {"more than decay allows", INTERVALS + 24, {0, 0, 0, 0, 0, 0, 0x59, 0x40}, 8}, /* 100 */
        {"one moment more", HOURS, {21}, 1},
        {"one less", HOURS, {19}, 1},
        {"far more", HOURS, {0xff, 0xff, 0xff, 0xff}, 4},
        {"a length that wraps around", HOURS, {0, 0, 0, 0x20}, 4},
        {"a ring that is not full", HOURS + 4, {1}, 1},
        {"second", HOURS + 12, {0x80, 0x51, 1, 0}, 4}, /* 86400 */
        {"second below 0", HOURS + 12, {0xff, 0xff, 0xff, 0xff}, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_habits again;
        vx_errinfo info = {0};
        uint8_t *bad = malloc(form.len);
        assert_non_null(bad);
        memcpy(bad, form.data, form.len);
        memcpy(bad + rows[i].at, rows[i].bytes, rows[i].n);
        memset(&again, 0xa5, sizeof again);
        if (vx_habits_decode(bad, form.len, &again, &info) != VX_ERR_STORE_CORRUPT || info.text[0] == '\0')
            fail_msg("%s", rows[i].what);
        for (size_t b = 0; b < sizeof again; b++)
            assert_int_equal(((const uint8_t *)&again)[b], 0xa5);
        free(bad);
    }
    for (size_t len = 0; len < form.len; len++) {
        vx_habits again;
        uint8_t *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, form.data, len);
        assert_int_equal(vx_habits_decode(cut, len, &again, NULL), VX_ERR_STORE_CORRUPT);
        free(cut);
    }
    vx_buf_done(&form);
}

static vx_err encode_once(void *ctx)
{
    vx_buf form = {0};
    vx_err err = vx_habits_encode(ctx, &form);
    if (err != VX_OK)
        assert_int_equal(form.len, 0);
    vx_buf_done(&form);
    return err;
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    vx_habits habits = rich_habits(20);
    vx_alloc_fail_each(encode_once, &habits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_where_the_verdict_puts_neutral_sources),
        cmocka_unit_test(without_history_it_is_neutral_and_says_why),
        cmocka_unit_test(the_middle_of_a_habit_and_three_in_the_morning),
        cmocka_unit_test(the_reason_names_the_hour),
        cmocka_unit_test(confidence_grows_with_evidence),
        cmocka_unit_test(the_first_weekend_is_no_stranger_yet),
        cmocka_unit_test(a_wide_habit_says_less_than_a_narrow_one),
        cmocka_unit_test(it_never_falls_towards_a_habit),
        cmocka_unit_test(owners_are_told_from_strangers),
        cmocka_unit_test(an_unusual_pause_takes_at_most_a_tenth),
        cmocka_unit_test(rejected_attempts_take_a_tenth_each),
        cmocka_unit_test(habits_come_back_as_they_were),
        cmocka_unit_test(habits_of_years_can_be_read_back),
        cmocka_unit_test(the_form_is_the_documented_one),
        cmocka_unit_test(what_a_store_gives_back_is_examined),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
