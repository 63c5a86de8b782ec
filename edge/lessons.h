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

typedef struct {
    vx_pava_baseline baseline;
    vx_fingerprint *heard; /* [n_heard] owned */
    size_t n_heard;
} vx_lessons;

/* Errors: STORE_*, IO, NOMEM. ret_lessons [out] vx_lessons_done */
VX_MUST_CHECK vx_err vx_lessons_load(vx_store *store, int64_t speaker, vx_lessons *ret_lessons, vx_errinfo *info);
/* All-zero is fine. */
void vx_lessons_done(vx_lessons *lessons);
/* As PAVA takes it; borrows from lessons. */
vx_pava_known vx_lessons_known(const vx_lessons *lessons);

/* After an attempt by microphone.
 * strong [in] it was surely the owner
 * Errors STORE_*, IO, NOMEM */
VX_MUST_CHECK vx_err vx_lessons_take(vx_store *store, int64_t speaker, const vx_pava_report *report, int64_t when_ms,
                                     bool strong, vx_errinfo *info);

/* The same of a recording to be enrolled: judged, remembered, learned from.
 * samples [in] n, the whole recording with its room before and after the words */
VX_MUST_CHECK vx_err vx_lessons_enrol(vx_store *store, int64_t speaker, const float *samples, size_t n, int64_t when_ms,
                                      vx_errinfo *info);

/* Learns from the recordings that are kept of a speaker, for profiles that were made before there was anything to learn;
 * where something is known nothing is done. What is kept is the voice without its room, so no room is learned. */
VX_MUST_CHECK vx_err vx_lessons_from_profile(vx_store *store, int64_t speaker, vx_errinfo *info);

#endif
