/* binding.h - what ties the plain rows of the store to each other under its key, for the files of the store.
 * Owns:   the sealed head, the MAC of a profile, the roster of profiles, the MAC of an attempt. Does not: seal values
 *         (vault.h), prove the entries of the audit log (audit.c).
 *
 * Somebody who can write to the file but has no key must not be able to make one person's profile another's. So:
 *
 *   sealed head  ->  number and MAC of the last audit entry, number of attempts, roster
 *   roster       =   MAC over the number and MAC of every profile, over the last numbers given, and over every value that
 *                    is nobody's (values.c)
 *   profile      =   MAC over the row of the speaker, the rows of all its recordings and of all their voiceprints, both ends
 *                    of each chain of utterances heard of it (utterances.c), and every value learned of it
 *   attempt      =   MAC over its row
 *
 * A row that is edited does not fit its MAC; a row that is added, taken away, handed to another, or put back to what it
 * once was does not fit the MAC that covers it. What is left is to put back everything, head included: an older file.
 *
 * The discipline: a change begins with a proof and ends with a bind, in one transaction; what is read is proven first, of
 * the same moment (vx_store_hold). Else the next bind would make good what somebody had changed before.
 */
#ifndef VX_EDGE_STORE_BINDING_H
#define VX_EDGE_STORE_BINDING_H

#include "edge/store/store_private.h"
#include "edge/store/utterances.h"

enum { VX_MAC = VX_SHA256_BYTES };

/* Whose value a name names, in SQL: the number of the speaker, or what is nobody's. */
#define VX_VALUE_OWNER(name) "substr(" name ", instr(" name ", '/') + 1)"

/* ---- head (head.c) ------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t n_entries;   /* of the audit log */
    uint8_t mac[VX_MAC]; /* of the last entry; zeros: there is none */
    int64_t n_attempts;  /* begun: their numbers are 1 to this */
    uint8_t roster[VX_MAC];
} vx_head;

/* The head of a new file, inside the transaction that makes its tables. */
VX_MUST_CHECK vx_err vx_head_found(vx_store *store, vx_errinfo *info);
/* Errors: AUDIT_BROKEN (missing, or changed), IO, NOMEM. */
VX_MUST_CHECK vx_err vx_head_read(vx_store *store, vx_head *ret_head, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_head_write(vx_store *store, const vx_head *head, vx_errinfo *info);
/* Reads it, and holds the ends of both logs against it: an old head beside newer logs shows here, and so does a log that
 * was cut off. Entries in the middle: vx_audit_verify, vx_attempts_prove. Errors: AUDIT_BROKEN, STORE_CORRUPT, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_head_prove(vx_store *store, vx_head *ret_head, vx_errinfo *info);

/* ---- rows (binding.c) --------------------------------------------------------------------------------------------- */

/* MAC over the first n columns of a row; label tells uses apart. Errors: NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_row_mac(vx_store *store, const char *label, sqlite3_stmt *row, int n, uint8_t ret_mac[VX_MAC]);
/* Whether a column holds this MAC. */
bool vx_row_has_mac(sqlite3_stmt *row, int column, const uint8_t mac[VX_MAC]);

/* Head and roster, then one profile; or all of them. In a transaction or under vx_store_hold.
 * Errors: STORE_CORRUPT (info names the profile), AUDIT_BROKEN, NOT_ENROLLED (no such speaker), IO, NOMEM. */
VX_MUST_CHECK vx_err vx_profile_prove(vx_store *store, int64_t speaker, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_profiles_prove(vx_store *store, vx_errinfo *info);
/* Head and roster alone: which profiles there are, not what is in them. */
VX_MUST_CHECK vx_err vx_roster_prove(vx_store *store, vx_errinfo *info);

/* Writes the MACs anew after a change to one profile, to all of them, or to which there are. In the transaction of the
 * change, which has begun with the proof that belongs to it. */
VX_MUST_CHECK vx_err vx_profile_bind(vx_store *store, int64_t speaker, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_profiles_bind(vx_store *store, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_roster_bind(vx_store *store, vx_errinfo *info);
/* What fits its MACs of an older form. All-zero: nothing. */
typedef struct {
    bool roster;
    vx_buf profiles; /* of int64_t: their numbers; none where the roster does not fit */
} vx_fitting;
/* Of a file of form 1 or 2 whose tables were just brought to form 3, in the transaction of that.
 * ret_fitting [out] vx_buf_done(&ret_fitting->profiles), also after a failure
 * Errors      IO, NOMEM, INTERNAL */
VX_MUST_CHECK vx_err vx_profiles_prove_old(vx_store *store, vx_fitting *ret_fitting, vx_errinfo *info);
/* MACs of the present form for all of it, behind the last step: an earlier one has not the columns that they cover. What did
 * not fit fits nothing from then on, and whoever reads it says so, as before; a profile among others can be removed. Values,
 * which no old MAC covers, are taken as they are. Errors: IO, NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_profiles_rebind(vx_store *store, const vx_fitting *fitting, vx_errinfo *info);
/* Of forms 1 and 2, in the same transaction: seals every value for its place of form 3 (values.c). Errors: IO, NOMEM. */
VX_MUST_CHECK vx_err vx_values_reseal(vx_store *store, vx_errinfo *info);
/* The roster as the tables are now. */
VX_MUST_CHECK vx_err vx_roster_mac(vx_store *store, uint8_t ret_mac[VX_MAC], vx_errinfo *info);

/* ---- utterances (utterances.c) ------------------------------------------------------------------------------------ */

/* That the utterances of every speaker are those that were heard, and open; under vx_store_hold, behind
 * vx_profiles_prove. Errors: STORE_CORRUPT, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_utterances_prove(vx_store *store, vx_errinfo *info);

/* vx_store_remember with a bound of its own, at least 1, for tests. */
VX_MUST_CHECK vx_err vx_store_remember_most(vx_store *store, int64_t speaker, vx_utterance_kind kind, int64_t taken_ms,
                                            const void *bytes, size_t n, int64_t most, vx_errinfo *info);

/* ---- attempts (attempts.c) ---------------------------------------------------------------------------------------- */

/* Every attempt, and that none is missing; under vx_store_hold. Errors: STORE_CORRUPT, AUDIT_BROKEN, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_attempts_prove(vx_store *store, vx_errinfo *info);
/* Gives the attempts of one name another; in a transaction. Errors: STORE_CORRUPT, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_attempts_rename(vx_store *store, const char *name, const char *new_name, vx_errinfo *info);

#endif
