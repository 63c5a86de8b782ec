/* unlock_hours.h - the hours at which somebody unlocks this computer, learned from past unlocks.
 * Owns:   the moments, their density over the day (one for working days, one for weekends), and what they let one
 *         expect of the near future. Does not: read a clock, store or encrypt (a store saves the struct as it is), load
 *         a model, judge whether an unlock is suspicious.
 *
 * Habits follow the clock on the wall, so all times are local: year, month, day, hour as localtime_r() tells them. A
 * habit of 9:00 stays one of 9:00 when summer time begins or its owner moves to another zone. The price: a stretch of
 * time that spans such a change is an hour longer or shorter than what is said here, twice a year.
 */
#ifndef VX_EDGE_EVIDENCE_UNLOCK_HOURS_H
#define VX_EDGE_EVIDENCE_UNLOCK_HOURS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A moment by the clock on the wall. */
typedef struct {
    int32_t day;    /* days since 1970-01-01 of the calendar on the wall */
    int32_t second; /* since its midnight, 0 to 86399 */
} vx_wall_time;

/* False (ret untouched) when a field of date or time is out of its range. A leap second counts as the one before. */
bool vx_wall_time_of(const struct tm *local, vx_wall_time *ret_time);

/* Saturday and Sunday, and the others. */
typedef enum { VX_DAY_WORKING, VX_DAY_WEEKEND } vx_day_class;
vx_day_class vx_day_class_of(int32_t day);

/* Some months of unlocks: what is older hardly weighs. */
enum { VX_UNLOCK_HOURS_MAX = 512 };

/* All-zero is no history. Plain data. */
typedef struct {
    uint32_t n;      /* moments there are */
    uint32_t oldest; /* the one that makes room when it is full */
    vx_wall_time moments[VX_UNLOCK_HOURS_MAX];
} vx_unlock_hours;

/* Whether a struct that was saved once can be used; the functions below rely on it. */
bool vx_unlock_hours_is_sound(const vx_unlock_hours *hours);

/* Remembers one unlock, and forgets the one told first when it is full. */
void vx_unlock_hours_add(vx_unlock_hours *hours, vx_wall_time when);

/* What an unlock of one day counts today: half after three weeks, nothing after a year or when it is yet to come. */
double vx_unlock_hours_weight(int32_t day, int32_t today);

/* Unlocks of one class of days, and the days of that class from the first of all unlocks until today, those without an
 * unlock too; each by its weight. */
typedef struct {
    double unlocks, days;
} vx_unlock_tally;
vx_unlock_tally vx_unlock_hours_tally(const vx_unlock_hours *hours, int32_t today, vx_day_class day_class);

/* Where in a day of one class unlocks lie: the probability per hour of the hour of one unlock, whose integral over the
 * day is 1. A circular kernel density, each unlock weighted by its age as of `now` (half after three weeks), mixed with
 * the uniform density as if two unlocks had come at any hour: without history it is 1/24 everywhere.
 * hour  [in] 0 to 24, of the clock on the wall */
double vx_unlock_hours_density(const vx_unlock_hours *hours, vx_wall_time now, vx_day_class day_class, double hour);

/* Unlocks to be expected in the window_s seconds (at most a week) from now on: the density above times the unlocks of a
 * day of that class, counted as if two more days without any had been seen, so that it grows with evidence. 0 without
 * history. The probability of at least one is 1 - exp(-expected). */
double vx_unlock_hours_expect(const vx_unlock_hours *hours, vx_wall_time now, int window_s);

/* In how many seconds to load the model, so that it is there lead_s before the next window of window_s in which at
 * least `expected` unlocks (more than 0) are to be expected. At least 1, at most a week; -1 when no window of the week
 * to come is so busy. Windows are of five-minute steps, their length rounded up. In a busy hour each answer is the next
 * step, so that a caller who asks again and again is told every five minutes that the model should be there.
 * window_s, lead_s [in] at most a day */
int vx_unlock_hours_next(const vx_unlock_hours *hours, vx_wall_time now, int window_s, int lead_s, double expected);

#endif
