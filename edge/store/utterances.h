/* utterances.h - fingerprints of what was ever said to this lock, so that a recording of it is known again.
 * Owns:   the table utterances: sealed, and bound under the key as a whole. Does not: know what a fingerprint is.
 *
 * Who edits the file without its key cannot make a replay unknown: a row that is changed, added, taken away, or put back to
 * what it once was, is noticed at the next read (STORE_CORRUPT), as with profiles. Nor can who may only try: what was let in
 * and what was not are kept apart, and no number of attempts that fail pushes out what the owner said.
 */
#ifndef VX_EDGE_STORE_UTTERANCES_H
#define VX_EDGE_STORE_UTTERANCES_H

#include <stddef.h>
#include <stdint.h>

#include "edge/store/store.h"

/* Written to the file; never renumbered. */
typedef enum {
    VX_UTTERANCE_OWN,   /* of an enrolment, or of an attempt that was accepted */
    VX_UTTERANCE_OTHER, /* of any other attempt */
    VX_N_UTTERANCE_KINDS
} vx_utterance_kind;

/* Kept of a speaker; of more the oldest of its kind goes. Own: ten acceptances a day for a year. Others: what the owner said
 * in vain is in danger of these alone. A thousand outlast his own failures; against who wants them gone no number helps, and
 * each costs its share of every later comparison. */
enum { VX_STORE_UTTERANCES_OWN = 4000, VX_STORE_UTTERANCES_OTHER = 1000 };
enum { VX_UTTERANCE_MAX = 16384 /* bytes of one */, VX_UTTERANCE_TAG = 16 };

/* Remembers one, whole or not at all. What it costs does not grow with what is there.
 * bytes [in] n, 1 to VX_UTTERANCE_MAX
 * Errors RANGE, NOT_ENROLLED (no such speaker), STORE_*, AUDIT_BROKEN, IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_remember(vx_store *store, int64_t speaker, vx_utterance_kind kind, int64_t taken_ms,
                                       const void *bytes, size_t n, vx_errinfo *info);

typedef struct {
    vx_utterance_kind kind;
    int64_t n; /* of its kind: 1, 2, ... in the order of writing */
    int64_t taken_ms;
    const uint8_t *bytes; /* [len] borrowed, wiped after the call */
    size_t len;
} vx_utterance;
/* Sees one; anything but VX_OK ends the walk and is returned. */
typedef vx_err vx_utterance_fn(void *arg, const vx_utterance *utterance);
/* All of a speaker, its own first, of each kind the oldest first. That none is missing is known at the end: what was seen
 * counts with VX_OK alone. Errors: NOT_ENROLLED, STORE_*, AUDIT_BROKEN, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_store_utterances(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg,
                                         vx_errinfo *info);

/* How far somebody has read, so that he need not read it again. All-zero: nothing yet. */
typedef struct {
    int64_t first, last; /* numbers that there are of a kind; last < first: none */
    uint8_t tag[VX_UTTERANCE_TAG];
} vx_heard_end;
typedef struct {
    vx_heard_end ends[VX_N_UTTERANCE_KINDS];
} vx_heard_mark;
/* The same without those that were seen up to `mark`, which becomes the present: what was seen before, has at least the
 * number ends[kind].first, and what is seen now, together are what there is. What was seen is not read again, so whoever
 * deletes it is noticed only by who reads all.
 * mark   [in,out] of an earlier call for the same speaker; untouched on failure
 * Errors also STORE_CORRUPT where the mark is of another past than the file's */
VX_MUST_CHECK vx_err vx_store_utterances_since(vx_store *store, int64_t speaker, vx_heard_mark *mark,
                                               vx_utterance_fn *fn, void *arg, vx_errinfo *info);

#endif
