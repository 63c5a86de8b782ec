/* audit.h - a log that shows when it was changed: each entry's MAC covers the one before, and a sealed head counts them
 * (binding.h).
 * Owns:   entries, their order and the proof. Does not: decide what is worth an entry (profiles.c, attempts.c and
 *         commands write them, each inside the transaction of what it tells of).
 *
 * Entry n: mac_n = HMAC-SHA-256(key, mac_(n-1) | n | time | kind | subject | detail), fields with their lengths before
 * them; mac_0 is 32 zero bytes. Without the store's key no entry can be forged, and cutting off the end shows at the head.
 * What does not show is an older copy of the whole file, put back: a file cannot tell of itself that it is not the newest.
 */
#ifndef VX_EDGE_STORE_AUDIT_H
#define VX_EDGE_STORE_AUDIT_H

#include <stdint.h>

#include "edge/store/store.h"

typedef struct {
    int64_t n; /* 1, 2, ... without gaps */
    int64_t when_ms;
    char kind[24];    /* "enrolled", "removed", "attempt", "alert", "migrated", "armed", "restored", ... */
    char subject[65]; /* a speaker's name, or "" */
    char detail[512]; /* JSON, cut off nowhere: writers keep below it; never audio, vectors, keys */
} vx_audit_entry;

/* Appends one entry in a transaction of its own, or in the one that is open. Errors: RANGE (a field too long),
 * AUDIT_BROKEN (there is no head to append to), STORE_LOCKED, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_audit_add(vx_store *store, const char *kind, const char *subject, const char *detail,
                                  vx_errinfo *info);
/* Walks the whole chain. ret_n [out] entries proven, also on failure. Errors: AUDIT_BROKEN (info: the first entry that
 * does not fit, or that the head counts more), STORE_CORRUPT, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_audit_verify(vx_store *store, int64_t *ret_n, vx_errinfo *info);

/* Called for each entry; anything but VX_OK ends the walk and is returned. entry is borrowed for the call. */
typedef vx_err vx_audit_fn(void *arg, const vx_audit_entry *entry);
/* The last `most` entries (0: all), oldest first. */
VX_MUST_CHECK vx_err vx_audit_walk(vx_store *store, int64_t most, vx_audit_fn *fn, void *arg, vx_errinfo *info);

#endif
