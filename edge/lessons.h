/* lessons.h - what the lock knows of a speaker's throat, rooms and past utterances, and how it comes to know.
 * Owns:   when something is learned, and from what. Does not: measure (pava/), keep (store/utterances.h, learned.h).
 *
 * An utterance is remembered as a fingerprint whatever came of it, so that a recording of it is known again; throat and
 * rooms are learned only from what was surely the owner's: enrolment, and strong acceptances.
 */
#ifndef VX_EDGE_LESSONS_H
#define VX_EDGE_LESSONS_H

#include "edge/pava/pava.h"
#include "edge/store/store.h"
#include "edge/store/utterances.h"

/* Read once, and then kept up to date for as long as it is kept (vx_lessons_load). All-zero: nothing was read. */
typedef struct {
    int64_t speaker; /* 0: nobody's */
    vx_pava_baseline baseline;
    vx_buf heard;       /* of vx_fingerprint, owned */
    vx_buf heard_at;    /* which utterances these are */
    vx_buf unread_at;   /* those that another version took, which cannot be compared with */
    vx_heard_mark mark; /* how far the store has been read */
} vx_lessons;

/* What is known of a speaker now. Of what `lessons` holds from an earlier call for the same speaker only the rest is read:
 * less than half a millisecond, where all takes ten. What does not fit the store any more is read anew.
 * lessons [in,out] vx_lessons_done; nobody's after a failure
 * Errors  STORE_*, AUDIT_BROKEN, NOT_ENROLLED, IO, NOMEM */
VX_MUST_CHECK vx_err vx_lessons_load(vx_store *store, int64_t speaker, vx_lessons *lessons, vx_errinfo *info);
/* Wipes and frees; all-zero is fine. */
void vx_lessons_done(vx_lessons *lessons);
/* As PAVA takes it; borrows from lessons. */
vx_pava_known vx_lessons_known(const vx_lessons *lessons);
/* Past utterances that no recording can be compared with. */
size_t vx_lessons_unread(const vx_lessons *lessons);

/* A recording, and what it may teach. */
typedef struct {
    const float *samples;         /* [n] the whole of it, borrowed */
    size_t n;                     /* 0: there is none */
    const vx_pava_report *report; /* of it, borrowed; NULL: it was not examined, or not in time */
    int64_t when_ms;
    bool accepted; /* the attempt was, or it is an enrolment's */
    bool strong;   /* it was surely the owner: with a report, throat and rooms are learned */
} vx_lesson;
/* Whole or not at all, and as if nobody else learned meanwhile. The fingerprint is the report's, or else taken here: a
 * recording that could not be judged, or not in time, is known again none the less. One without any teaches none.
 * Errors STORE_*, AUDIT_BROKEN, NOT_ENROLLED, IO, NOMEM */
VX_MUST_CHECK vx_err vx_lessons_take(vx_store *store, int64_t speaker, const vx_lesson *lesson, vx_errinfo *info);

/* What a recording to be enrolled teaches. Worked out first, written then: to judge fifty long ones takes seconds, for which
 * an attempt that begins meanwhile would not find the store free. All-zero: nothing. */
typedef struct {
    vx_pava_report report; /* owned */
    vx_buf print;          /* its fingerprint as the store has it; empty: it has none */
    int64_t when_ms;
} vx_taught;
/* samples    [in]  n, the whole recording with its room before and after the words
 * ret_taught [out] vx_taught_done
 * Errors     NOMEM */
VX_MUST_CHECK vx_err vx_lessons_judge(const float *samples, size_t n, int64_t when_ms, vx_taught *ret_taught);
/* Remembered and learned from, whole or not at all. Errors: STORE_*, AUDIT_BROKEN, NOT_ENROLLED, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_lessons_write(vx_store *store, int64_t speaker, const vx_taught *taught, vx_errinfo *info);
/* Wipes and frees; all-zero is fine. */
void vx_taught_done(vx_taught *taught);

/* Learns from the recordings that are kept of a speaker, for profiles that were made before there was anything to learn;
 * where something of the speaker's own is known nothing is done. What is kept is the voice without its room, so no room is
 * learned. */
VX_MUST_CHECK vx_err vx_lessons_from_profile(vx_store *store, int64_t speaker, vx_errinfo *info);

#endif
