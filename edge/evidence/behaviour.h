/* behaviour.h - does this attempt fit the owner's own history?
 * Owns:   the habits learned from past unlocks (hours, intervals), and the confidence they give. Does not: store
 *         (the caller keeps the encoded form), read a clock, count failures.
 *
 * What the confidence means. How busy the hour is (unlocks an hour, by hour of the day and working day or weekend) is
 * compared with the owner's mean over the week and with the hours of his own past unlocks:
 *     0.95  as busy as nine of ten of his unlocks, and at least twice his mean: in the middle of a habit
 *     0.50  as busy as his mean: no more likely than any other hour
 *     0.42  an hour at which he never comes
 * It never falls as an hour becomes busier. That is believed in so far as there is something to believe: the log odds
 * move from those of VX_HABITS_NEUTRAL to those of the above by n / (n + 3), n unlocks each weighted by its age, times
 * how much the hours tell at all (1 from one bit on; 0 for somebody who comes at any hour). A pause since the last unlock
 * unlike the usual ones takes at most a tenth off, each rejected attempt of the last hour a tenth, five at most.
 *
 * An odd hour alone stays above 0.35, below which the verdict would see sources that contradict each other: it makes the
 * owner prove himself, it calls no alarm. An odd hour after rejected attempts does.
 */
#ifndef VX_EDGE_EVIDENCE_BEHAVIOUR_H
#define VX_EDGE_EVIDENCE_BEHAVIOUR_H

#include "edge/evidence/unlock_hours.h"
#include "edge/types.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* Fewer strong acceptances than this are no history: the evidence is NEUTRAL. */
enum { VX_HABITS_MIN = 5, VX_INTERVAL_BINS = 16 };
/* Where confidence starts: what the verdict takes for a NEUTRAL source. */
#define VX_HABITS_NEUTRAL 0.70

/* All-zero is no history. Plain data. */
typedef struct {
    vx_unlock_hours hours;
    uint32_t n;                         /* strong acceptances learned from */
    int64_t last_ms;                    /* wall time of the last one */
    double intervals[VX_INTERVAL_BINS]; /* decayed counts of time between unlocks, by octaves of a minute */
} vx_habits;

typedef struct {
    int64_t when_ms;    /* wall time */
    vx_wall_time local; /* the same by the clock on the wall, as vx_wall_time_of tells it */
    int failures;       /* rejected attempts in the last hour */
} vx_moment;

/* VALID with a confidence from hour, interval and failures, or NEUTRAL without history (none, or none of the last
 * months); reason names what weighed most ("at 03:10 on a working day, an hour without any unlock so far").
 * Never fails. */
void vx_behaviour_judge(const vx_habits *habits, const vx_moment *now, vx_evidence *ret_evidence);
/* One strong acceptance (P >= 0.90, ML and physics measured, or a passed challenge): the only thing habits are learned
 * from, so that nobody teaches the lock his own hours. The caller keeps that rule. */
void vx_habits_learn(vx_habits *habits, const vx_moment *now);

/* The form in which habits are kept: versioned, little-endian. Errors: NOMEM, OVERFLOW (out is full). */
VX_MUST_CHECK vx_err vx_habits_encode(const vx_habits *habits, vx_buf *out);
/* Errors: STORE_CORRUPT (not that form, or a value outside its range). ret is untouched on failure. */
VX_MUST_CHECK vx_err vx_habits_decode(const void *data, size_t len, vx_habits *ret, vx_errinfo *info);

#endif
