/* utterances.h - fingerprints of what was ever said to this lock, so that a recording of it is known again.
 * Owns:   the table utterances: sealed, and bound under the key as a whole. Does not: know what a fingerprint is.
 *
 * Who edits the file without its key cannot make a replay unknown: a row that is changed, added, taken away, or put back to
 * what it once was, is noticed at the next read (STORE_CORRUPT), as with profiles.
 */
#ifndef VX_EDGE_STORE_UTTERANCES_H
#define VX_EDGE_STORE_UTTERANCES_H

#include <stddef.h>
#include <stdint.h>

#include "edge/store/store.h"

enum {
    VX_STORE_UTTERANCES = 4000, /* kept of a speaker; of more the oldest goes: ten a day for a year */
    VX_UTTERANCE_MAX = 16384,   /* bytes of one */
};

/* Remembers one, whole or not at all. What it costs does not grow with what is there.
 * bytes [in] n, 1 to VX_UTTERANCE_MAX
 * Errors RANGE, NOT_ENROLLED (no such speaker), STORE_*, AUDIT_BROKEN, IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_remember(vx_store *store, int64_t speaker, int64_t taken_ms, const void *bytes, size_t n,
                                       vx_errinfo *info);

/* Sees one; anything but VX_OK ends the walk and is returned. bytes [in] borrowed, wiped after the call. */
typedef vx_err vx_utterance_fn(void *arg, int64_t taken_ms, const uint8_t *bytes, size_t n);
/* All of a speaker, oldest first. That none is missing is known at the end: what was seen counts with VX_OK alone.
 * Errors: NOT_ENROLLED, STORE_*, AUDIT_BROKEN, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_store_utterances(vx_store *store, int64_t speaker, vx_utterance_fn *fn, void *arg,
                                         vx_errinfo *info);

#endif
