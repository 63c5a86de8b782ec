/* behaviour.c - habits: what an hour and a pause say, and the form in which habits are kept.
 * Owns:   the mapping from densities to a confidence (behaviour.h states it). Does not: estimate densities
 *         (unlock_hours.c).
 */
#include "edge/evidence/behaviour.h"

#include <math.h>
#include <stdio.h>

#include "shared/base/packed.h"

/* ---- what the numbers decide ---- */

#define HABIT          0.95
#define CHANCE         0.50
#define NEVER          0.42
/* The tenth of his unlocks that come at his rarest hours costs the owner something, the others nothing. Of a simulated
 * office worker's unlocks 2 to 7 % then fall below 0.65, where a good voice is asked once more; with a quarter it was 7 to
 * 12 %, and four strangers more of a hundred. */
#define RARE_SHARE     0.10
/* Unlocks, weighted, after which habits count half. */
#define HALF_BELIEVED  3.0
/* Days of his mean, added to each class: without them the first weekend would be an hour at which he never comes. */
#define SMOOTHING_DAYS 2.0
/* Weighted unlocks below which what is left of old habits is none. */
#define FADED          1.0
#define PAUSE_COST     0.10
#define FAILURE_KEEPS  0.90
enum { FAILURES_MAX = 5 };
/* Per learned interval; half of it is forgotten after 34. */
#define INTERVAL_DECAY 0.98

/* Half an hour is the standard deviation of the density's kernel: finer steps would only cost time. */
enum { SLOT_S = 1800, SLOTS = 86400 / SLOT_S };

static double logit(double p)
{
    return log(p / (1 - p));
}

/* ---- hours ---- */

/* Unlocks an hour, through a working day and a day of the weekend. */
struct week {
    double rate[2][SLOTS];
    double mean;    /* over all hours of all days */
    double unlocks; /* weighted */
};

static void fill_week(const vx_unlock_hours *hours, vx_wall_time now, struct week *ret_week)
{
    const vx_unlock_tally tallies[2] = {vx_unlock_hours_tally(hours, now.day, VX_DAY_WORKING),
                                        vx_unlock_hours_tally(hours, now.day, VX_DAY_WEEKEND)};
    ret_week->unlocks = tallies[0].unlocks + tallies[1].unlocks;
    ret_week->mean = ret_week->unlocks / (24 * (tallies[0].days + tallies[1].days));
    for (int c = 0; c < 2; c++)
        for (int s = 0; s < SLOTS; s++) {
            const double density = vx_unlock_hours_density(hours, now, (vx_day_class)c, (s + 0.5) * 24 / SLOTS);
            ret_week->rate[c][s] =
                (tallies[c].unlocks * density + SMOOTHING_DAYS * ret_week->mean) / (tallies[c].days + SMOOTHING_DAYS);
        }
}

static double rate_at(const struct week *week, vx_wall_time when)
{
    return week->rate[vx_day_class_of(when.day)][when.second / SLOT_S];
}

struct hour {
    double times_mean; /* how busy */
    double rank;       /* share of the owner's unlocks at hours no busier */
    double bits;       /* what his hours tell on average: 0 for somebody who comes at any hour */
};

static struct hour place_hour(const vx_unlock_hours *hours, const struct week *week, vx_wall_time now)
{
    const double rate = rate_at(week, now);
    double no_busier = 0, bits = 0;
    for (uint32_t i = 0; i < hours->n; i++) {
        const double weight = vx_unlock_hours_weight(hours->moments[i].day, now.day);
        if (weight == 0)
            continue;
        const double other = rate_at(week, hours->moments[i]);
        no_busier += other <= rate ? weight : 0;
        bits += weight * log2(other / week->mean);
    }
    return (struct hour){rate / week->mean, no_busier / week->unlocks, bits / week->unlocks};
}

/* Continuous at the mean, where both sides are CHANCE. */
static double hour_confidence(const struct hour *hour)
{
    if (hour->times_mean < 1)
        return NEVER + (CHANCE - NEVER) * hour->times_mean;
    const double usual = fmin(hour->rank / RARE_SHARE, 1) * fmin(log2(hour->times_mean), 1);
    return CHANCE + (HABIT - CHANCE) * usual;
}

/* ---- pauses ---- */

/* -1: the clock was set back, or there was no unlock before. */
static int interval_bin(const vx_habits *habits, int64_t when_ms)
{
    if (habits->n == 0 || when_ms < habits->last_ms)
        return -1;
    const double minutes = ((double)when_ms - (double)habits->last_ms) / 60000;
    return minutes < 2 ? 0 : (int)fmin(log2(minutes), VX_INTERVAL_BINS - 1);
}

/* With half of its neighbours, so that a pause of 31 and one of 33 minutes are no strangers. */
static double interval_count(const vx_habits *habits, int bin)
{
    const double *counts = habits->intervals;
    return counts[bin] + 0.5 * ((bin > 0 ? counts[bin - 1] : 0) + (bin < VX_INTERVAL_BINS - 1 ? counts[bin + 1] : 0));
}

/* What the pause leaves of a confidence: 1 when it is like others, down to 1 - PAUSE_COST. */
static double pause_factor(const vx_habits *habits, int64_t when_ms)
{
    const int bin = interval_bin(habits, when_ms);
    double all = 0, no_commoner = 0;
    if (bin < 0)
        return 1;
    for (int i = 0; i < VX_INTERVAL_BINS; i++) {
        all += habits->intervals[i];
        if (interval_count(habits, i) <= interval_count(habits, bin))
            no_commoner += habits->intervals[i];
    }
    if (all == 0)
        return 1;
    return 1 - PAUSE_COST * all / (all + HALF_BELIEVED) * (1 - fmin(no_commoner / all / RARE_SHARE, 1));
}

/* ---- judging and learning ---- */

static void explain(const struct hour *hour, double pause, int failures, const vx_wall_time *now, vx_evidence *evidence)
{
    const char *what = hour->times_mean < 1 && hour->rank == 0 ? "an hour without any unlock so far"
                       : hour_confidence(hour) < 0.6           ? "an unusual hour"
                                                               : "a usual hour";
    char attempts[48] = "";
    if (failures > 0)
        (void)snprintf(attempts, sizeof attempts, ", after %d rejected attempt%s", failures, failures > 1 ? "s" : "");
    (void)snprintf(evidence->reason, sizeof evidence->reason, "at %02d:%02d on a %s, %s%s%s", (int)(now->second / 3600),
                   (int)(now->second / 60 % 60),
                   vx_day_class_of(now->day) == VX_DAY_WEEKEND ? "weekend" : "working day", what,
                   pause < 1 - PAUSE_COST / 2 ? ", after an unusual pause" : "", attempts);
}

void vx_behaviour_judge(const vx_habits *habits, const vx_moment *now, vx_evidence *ret_evidence)
{
    struct week week;
    vx_evidence evidence = {.status = VX_EVIDENCE_NEUTRAL};
    if (habits->n < VX_HABITS_MIN) {
        (void)snprintf(evidence.reason, sizeof evidence.reason,
                       "no habits yet: %u of the %d unlocks they are learned from", habits->n, VX_HABITS_MIN);
        *ret_evidence = evidence;
        return;
    }
    fill_week(&habits->hours, now->local, &week);
    if (week.unlocks < FADED) {
        (void)snprintf(evidence.reason, sizeof evidence.reason, "no habits of the last months");
        *ret_evidence = evidence;
        return;
    }
    const struct hour hour = place_hour(&habits->hours, &week, now->local);
    const double believed = week.unlocks / (week.unlocks + HALF_BELIEVED) * fmin(fmax(hour.bits, 0), 1);
    const double odds = logit(VX_HABITS_NEUTRAL) * (1 - believed) + logit(hour_confidence(&hour)) * believed;
    const double pause = pause_factor(habits, now->when_ms);
    const int failures = now->failures < 0 ? 0 : now->failures;
    evidence.status = VX_EVIDENCE_VALID;
    evidence.confidence =
        pause * pow(FAILURE_KEEPS, failures < FAILURES_MAX ? failures : FAILURES_MAX) / (1 + exp(-odds));
    explain(&hour, pause, failures, &now->local, &evidence);
    *ret_evidence = evidence;
}

void vx_habits_learn(vx_habits *habits, const vx_moment *now)
{
    const int bin = interval_bin(habits, now->when_ms);
    if (bin >= 0) {
        for (int i = 0; i < VX_INTERVAL_BINS; i++)
            habits->intervals[i] *= INTERVAL_DECAY;
        habits->intervals[bin] += 1;
    }
    vx_unlock_hours_add(&habits->hours, now->local);
    habits->last_ms = now->when_ms;
    habits->n += habits->n < UINT32_MAX;
}

/* ---- the form in which habits are kept ----
 * "vxh1" | n 4 | last_ms 8 | intervals 16 x 8 | number of moments 4 | oldest 4 | moments, each day 4 and second 4 */

static const char MAGIC[4] = {'v', 'x', 'h', '1'};
enum { FIXED_BYTES = 4 + 4 + 8 + 8 * VX_INTERVAL_BINS + 4 + 4, MOMENT_BYTES = 8 };

vx_err vx_habits_encode(const vx_habits *habits, vx_buf *out)
{
    const size_t len = FIXED_BYTES + (size_t)MOMENT_BYTES * habits->hours.n;
    vx_err err = vx_buf_reserve(out, len);
    if (err != VX_OK)
        return err;
    uint8_t *p = vx_put_bytes(out->data + out->len, MAGIC, sizeof MAGIC);
    p = vx_put_le32(p, habits->n);
    p = vx_put_le64(p, (uint64_t)habits->last_ms);
    for (int i = 0; i < VX_INTERVAL_BINS; i++)
        p = vx_put_real(p, habits->intervals[i]);
    p = vx_put_le32(p, habits->hours.n);
    p = vx_put_le32(p, habits->hours.oldest);
    for (uint32_t i = 0; i < habits->hours.n; i++) {
        p = vx_put_le32(p, (uint32_t)habits->hours.moments[i].day);
        p = vx_put_le32(p, (uint32_t)habits->hours.moments[i].second);
    }
    out->len += len;
    return VX_OK;
}

static vx_err corrupt(vx_errinfo *info, const char *what)
{
    return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "the stored habits cannot be read: %s", what);
}

vx_err vx_habits_decode(const void *data, size_t len, vx_habits *ret, vx_errinfo *info)
{
    /* The sum of all INTERVAL_DECAY^i, and room for rounding. */
    const double count_max = 1 / (1 - INTERVAL_DECAY) + 1;
    const uint8_t *p = data;
    vx_habits habits = {0};
    if (len < FIXED_BYTES || memcmp(p, MAGIC, sizeof MAGIC) != 0)
        return corrupt(info, "they are not of a form that this version writes");
    habits.n = vx_le32(p + 4);
    habits.last_ms = (int64_t)vx_le64(p + 8);
    p += 16;
    for (int i = 0; i < VX_INTERVAL_BINS; i++, p += 8) {
        habits.intervals[i] = vx_get_real(p);
        if (!(habits.intervals[i] >= 0 && habits.intervals[i] <= count_max))
            return corrupt(info, "a count of intervals is out of range");
    }
    habits.hours.n = vx_le32(p);
    habits.hours.oldest = vx_le32(p + 4);
    p += 8;
    if (habits.hours.n > VX_UNLOCK_HOURS_MAX || len != FIXED_BYTES + (size_t)MOMENT_BYTES * habits.hours.n)
        return corrupt(info, "their length is wrong");
    for (uint32_t i = 0; i < habits.hours.n; i++, p += MOMENT_BYTES)
        habits.hours.moments[i] = (vx_wall_time){(int32_t)vx_le32(p), (int32_t)vx_le32(p + 4)};
    if (!vx_unlock_hours_is_sound(&habits.hours) || habits.n < habits.hours.n)
        return corrupt(info, "a moment is out of range");
    *ret = habits;
    return VX_OK;
}
