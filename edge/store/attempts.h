/* attempts.h - every attempt that was begun, also those that failed half-way.
 * Owns:   the record from begin to end. Does not: decide, or know what the evidence means.
 *
 * Attempts that were changed or taken away by something else than voxlock are STORE_CORRUPT to every function here: a
 * back-off is not evaded by editing what it rests on.
 */
#ifndef VX_EDGE_STORE_ATTEMPTS_H
#define VX_EDGE_STORE_ATTEMPTS_H

#include "edge/store/store.h"
#include "edge/types.h"

typedef struct {
    int64_t id;
    int64_t begun_ms;
    int64_t ended_ms;          /* 0: it never ended: the program or the computer went down in it */
    char command[16];          /* "verify", "identify", "unlock" */
    char speaker[VX_NAME_CAP]; /* who was claimed or found, "" for nobody */
    vx_verdict verdict;        /* VX_N_VERDICTS while not ended */
    bool has_probability;
    double probability;
    char detail[12288]; /* JSON: evidence, decision, quality, times; never audio, vectors, keys */
} vx_attempt_record;

/* Writes that an attempt has begun, before anything is computed. ret_id [out] names it to vx_attempt_end. */
VX_MUST_CHECK vx_err vx_attempt_begin(vx_store *store, const char *command, const char *speaker, int64_t when_ms,
                                      int64_t *ret_id, vx_errinfo *info);
/* Writes how it ended, with an audit entry ("attempt", or "alert" for ESCALATE), in one transaction. id, command and
 * begun_ms of record are ignored: the row has them. Errors: NOT_FOUND (id), EXISTS (it has ended already), RANGE. */
VX_MUST_CHECK vx_err vx_attempt_end(vx_store *store, int64_t id, const vx_attempt_record *record, vx_errinfo *info);

/* Called for each; anything but VX_OK ends the walk and is returned. Borrowed for the call. */
typedef vx_err vx_attempt_fn(void *arg, const vx_attempt_record *record);
/* The last `most` attempts (0: all) of a speaker (NULL: of everybody), newest first. */
VX_MUST_CHECK vx_err vx_attempt_walk(vx_store *store, const char *speaker, int64_t most, vx_attempt_fn *fn, void *arg,
                                     vx_errinfo *info);
/* Wall times of REJECT and ESCALATE since the last AUTHENTICATE of this speaker (NULL: of anybody), oldest first, the
 * newest `cap` of them. Attempts that never ended count as rejections, at the time they began: pulling the plug must not
 * save one. So do those that another program has under way at this moment, until they end: they cost a wait at most, never
 * a lock-out, since a wait is no rejection.
 * own    [in]  the attempt that asks, which does not count; 0: none asks
 * ret_ms [out] undefined on failure */
VX_MUST_CHECK vx_err vx_attempt_rejections(vx_store *store, const char *speaker, int64_t own, int64_t *ret_ms,
                                           size_t cap, size_t *ret_n, vx_errinfo *info);

#endif
