/* behaviour.h - does this attempt fit the owner's own history?
 * Owns:   the habits learned from past unlocks (hours, intervals), and the confidence they give. Does not: store
 *         (the caller keeps the encoded form), read a clock, count failures.
 */
#ifndef VX_EDGE_EVIDENCE_BEHAVIOUR_H
#define VX_EDGE_EVIDENCE_BEHAVIOUR_H

#include "edge/evidence/unlock_hours.h"
#include "edge/types.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* Fewer strong acceptances than this are no history: the evidence is NEUTRAL. */
enum { VX_HABITS_MIN = 5, VX_INTERVAL_BINS = 16 };

/* All-zero is no history. Plain data. */
typedef struct {
    vx_unlock_hours hours;
    uint32_t n;                         /* strong acceptances learned from */
    int64_t last_ms;                    /* wall time of the last one */
    double intervals[VX_INTERVAL_BINS]; /* decayed counts of time between unlocks, by octaves of a minute */
} vx_habits;

typedef struct {
    int64_t when_ms;    /* wall time */
    vx_wall_time local; /* the same by the clock on the wall */
    int failures;       /* rejected attempts in the last hour */
} vx_moment;

/* VALID with a confidence from hour, interval and failures, or NEUTRAL without history; reason names what weighed most
 * ("at 03:10, when this computer was never unlocked"). Never fails. */
void vx_behaviour_judge(const vx_habits *habits, const vx_moment *now, vx_evidence *ret_evidence);
/* One strong acceptance (P >= 0.90, ML and physics measured, or a passed challenge): the only thing habits are learned
 * from, so that nobody teaches the lock his own hours. */
void vx_habits_learn(vx_habits *habits, const vx_moment *now);

/* The form in which habits are kept: versioned, little-endian. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_habits_encode(const vx_habits *habits, vx_buf *out);
/* Errors: STORE_CORRUPT (not that form, or a value outside its range). ret is untouched on failure. */
VX_MUST_CHECK vx_err vx_habits_decode(const void *data, size_t len, vx_habits *ret, vx_errinfo *info);

#endif
