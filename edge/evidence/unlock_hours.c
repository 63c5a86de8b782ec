/* unlock_hours.c - a circular kernel density over the hour of the day. */
#include "edge/evidence/unlock_hours.h"

#include <math.h>

enum { DAY_S = 86400, WEEK_S = 7 * DAY_S };

/* A habit is "about nine": half an hour of standard deviation keeps unlocks of one habit together and habits two hours
 * apart separate. Fixed, since rules that take it from the spread of the data see the day as one habit and blur it. */
#define KERNEL_S        1800.0
/* Two weeks of holiday leave a habit standing; a new job has outweighed the old one after a month. */
#define HALF_LIFE_DAYS  21.0
/* By then a day weighs 1/172000. Bounds the loops, too. */
#define MAX_AGE_DAYS    365
/* What little history is smoothed with: unlocks at any hour, days without any. */
#define UNIFORM_UNLOCKS 2.0
#define EMPTY_DAYS      2.0

#define STEP_S          300
enum { STEPS_OF_DAY = DAY_S / STEP_S, STEPS_OF_WEEK = WEEK_S / STEP_S };

/* ---- calendar ---- */

/* Days since 1970-01-01 of the Gregorian calendar, counted from March so that a leap day ends its year. */
static int32_t day_number(int year, int month, int day_of_month)
{
    const int y = month <= 2 ? year - 1 : year, era = y / 400, year_of_era = y % 400;
    const int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day_of_month - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static int month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return lengths[month - 1] + (month == 2 && leap);
}

bool vx_wall_time_of(const struct tm *local, vx_wall_time *ret_time)
{
    /* Years within four digits keep the sums below small. */
    if (local->tm_year < 0 || local->tm_year > 8099 || local->tm_mon < 0 || local->tm_mon > 11)
        return false;
    const int year = local->tm_year + 1900, month = local->tm_mon + 1;
    if (local->tm_mday < 1 || local->tm_mday > month_length(year, month) || local->tm_hour < 0 || local->tm_hour > 23 ||
        local->tm_min < 0 || local->tm_min > 59 || local->tm_sec < 0 || local->tm_sec > 60)
        return false;
    const int second = local->tm_sec == 60 ? 59 : local->tm_sec;
    *ret_time = (vx_wall_time){.day = day_number(year, month, local->tm_mday),
                               .second = local->tm_hour * 3600 + local->tm_min * 60 + second};
    return true;
}

vx_day_class vx_day_class_of(int32_t day)
{
    const int weekday = (int)(((int64_t)day % 7 + 7 + 4) % 7); /* 0 is Sunday; 1970-01-01 was a Thursday */
    return weekday == 0 || weekday == 6 ? VX_DAY_WEEKEND : VX_DAY_WORKING;
}

/* ---- history ---- */

bool vx_unlock_hours_is_sound(const vx_unlock_hours *hours)
{
    if (hours->n > VX_UNLOCK_HOURS_MAX || hours->oldest >= VX_UNLOCK_HOURS_MAX)
        return false;
    for (uint32_t i = 0; i < hours->n; i++)
        if (hours->moments[i].second < 0 || hours->moments[i].second >= DAY_S)
            return false;
    return hours->n == VX_UNLOCK_HOURS_MAX || hours->oldest == 0;
}

void vx_unlock_hours_add(vx_unlock_hours *hours, vx_wall_time when)
{
    if (hours->n < VX_UNLOCK_HOURS_MAX) {
        hours->moments[hours->n++] = when;
        return;
    }
    hours->moments[hours->oldest] = when;
    hours->oldest = (hours->oldest + 1) % VX_UNLOCK_HOURS_MAX;
}

/* Yet to come is what lies ahead by more than the day that a change of time zone makes. */
double vx_unlock_hours_weight(int32_t day, int32_t today)
{
    const int64_t age = (int64_t)today - day;
    if (age < -1 || age > MAX_AGE_DAYS)
        return 0;
    return age <= 0 ? 1 : exp2(-(double)age / HALF_LIFE_DAYS);
}

static double weight_in(const vx_wall_time *moment, int32_t today, vx_day_class day_class)
{
    return vx_day_class_of(moment->day) == day_class ? vx_unlock_hours_weight(moment->day, today) : 0;
}

vx_unlock_tally vx_unlock_hours_tally(const vx_unlock_hours *hours, int32_t today, vx_day_class day_class)
{
    vx_unlock_tally tally = {0};
    int32_t first = today;
    for (uint32_t i = 0; i < hours->n; i++) {
        const vx_wall_time *moment = &hours->moments[i];
        tally.unlocks += weight_in(moment, today, day_class);
        if (moment->day < first && vx_unlock_hours_weight(moment->day, today) > 0)
            first = moment->day;
    }
    for (int32_t day = first; day <= today; day++)
        if (vx_day_class_of(day) == day_class)
            tally.days += vx_unlock_hours_weight(day, today);
    return tally;
}

/* ---- density ---- */

/* Of one unlock at `center`, the share that its kernel puts between midnight and `until`; both in seconds of the day.
 * The kernel is wrapped once around each end of the day, beyond which it is 0 in double precision. */
static double share_until(double center, double until)
{
    double share = 0;
    for (int turn = -1; turn <= 1; turn++) {
        const double from = (turn * (double)DAY_S - center) / (KERNEL_S * M_SQRT2);
        share += 0.5 * (erf(from + until / (KERNEL_S * M_SQRT2)) - erf(from));
    }
    return share;
}

double vx_unlock_hours_density(const vx_unlock_hours *hours, vx_wall_time now, vx_day_class day_class, double hour)
{
    double sum = UNIFORM_UNLOCKS / 24, total = UNIFORM_UNLOCKS;
    for (uint32_t i = 0; i < hours->n; i++) {
        const double weight = weight_in(&hours->moments[i], now.day, day_class);
        total += weight;
        for (int turn = -1; turn <= 1; turn++) {
            const double z = (hour * 3600 - hours->moments[i].second + turn * (double)DAY_S) / KERNEL_S;
            sum += weight * exp(-0.5 * z * z) * 3600 / (KERNEL_S * sqrt(2 * M_PI));
        }
    }
    return sum / total;
}

/* ---- what is to be expected ---- */

/* One class of days, as of today. */
struct habit {
    const vx_unlock_hours *hours;
    int32_t today;
    vx_day_class day_class;
    double scale; /* from sums of shares to unlocks expected on such a day */
};

static struct habit habit_of(const vx_unlock_hours *hours, int32_t today, vx_day_class day_class)
{
    const vx_unlock_tally tally = vx_unlock_hours_tally(hours, today, day_class);
    const double a_day = tally.unlocks / (tally.days + EMPTY_DAYS);
    return (struct habit){hours, today, day_class, a_day / (tally.unlocks + UNIFORM_UNLOCKS)};
}

/* Unlocks expected on such a day from midnight until some second of it. */
static double expect_until(const struct habit *habit, int second)
{
    double sum = UNIFORM_UNLOCKS * second / DAY_S;
    for (uint32_t i = 0; i < habit->hours->n; i++) {
        const vx_wall_time *moment = &habit->hours->moments[i];
        const double weight = weight_in(moment, habit->today, habit->day_class);
        if (weight > 0)
            sum += weight * share_until(moment->second, second);
    }
    return habit->scale * sum;
}

double vx_unlock_hours_expect(const vx_unlock_hours *hours, vx_wall_time now, int window_s)
{
    const struct habit habits[] = {habit_of(hours, now.day, VX_DAY_WORKING), habit_of(hours, now.day, VX_DAY_WEEKEND)};
    double sum = 0;
    int left = window_s < WEEK_S ? window_s : WEEK_S;
    for (int day = now.day, from = now.second; left > 0; day++, from = 0) {
        const struct habit *habit = &habits[vx_day_class_of(day)];
        const int until = left < DAY_S - from ? from + left : DAY_S;
        sum += expect_until(habit, until) - expect_until(habit, from);
        left -= until - from;
    }
    return sum;
}

/* Of each step of a day of one class. */
static void expect_steps(const vx_unlock_hours *hours, int32_t today, vx_day_class day_class, double ret[STEPS_OF_DAY])
{
    const struct habit habit = habit_of(hours, today, day_class);
    double before = 0;
    for (int s = 0; s < STEPS_OF_DAY; s++) {
        const double until = expect_until(&habit, (s + 1) * STEP_S);
        ret[s] = until - before;
        before = until;
    }
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

int vx_unlock_hours_next(const vx_unlock_hours *hours, vx_wall_time now, int window_s, int lead_s, double expected)
{
    double steps[2][STEPS_OF_DAY];
    expect_steps(hours, now.day, VX_DAY_WORKING, steps[VX_DAY_WORKING]);
    expect_steps(hours, now.day, VX_DAY_WEEKEND, steps[VX_DAY_WEEKEND]);

    const int lead = clamp(lead_s, 0, DAY_S), span = (clamp(window_s, STEP_S, DAY_S) + STEP_S - 1) / STEP_S;
    const int first = (now.second + lead) / STEP_S + 1; /* steps are counted from today's midnight on */
    for (int start = first; start < first + STEPS_OF_WEEK; start++) {
        double sum = 0;
        for (int s = start; s < start + span; s++)
            sum += steps[vx_day_class_of(now.day + s / STEPS_OF_DAY)][s % STEPS_OF_DAY];
        if (sum >= expected)
            return start * STEP_S - lead - now.second;
    }
    return -1;
}
