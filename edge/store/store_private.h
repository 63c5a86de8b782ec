/* store_private.h - what the files of the store share: the connection, the lock, statements, transactions, places. */
#ifndef VX_EDGE_STORE_STORE_PRIVATE_H
#define VX_EDGE_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "edge/store/store.h"
#include "edge/store/vault.h"

struct vx_store {
    sqlite3 *db;
    vx_vault *vault;
    pthread_mutex_t lock; /* recursive; guards db: held by every function of the headers from its first statement on */
    int depth;            /* transactions inside each other: only the outermost begins and commits */
    vx_err failed;        /* what an inner one failed with: the outermost rolls back, and returns it */
    int claim;            /* descriptor of the folder, locked against vx_store_restore (vx_store_claim); -1: none */
    char path[1024], folder[1000];
    vx_keyring_kind keyring;
    char key_id[VX_KEY_ID_CAP];
    const char *key_source;
    char key_warning[256];
};

/* ---- statements and transactions (statement.c) -------------------------------------------------------------------- */

/* Fills info with what SQLite says of its last call and maps it: BUSY and LOCKED to STORE_LOCKED, CORRUPT, NOTADB and
 * ERROR (a table that is not there) to STORE_CORRUPT, NOMEM to NOMEM, PERM, READONLY, CANTOPEN and AUTH to PERMISSION, a
 * value that must be unique to EXISTS, the others (FULL, IOERR) to IO. doing [in] "write the attempt" */
vx_err vx_store_failed(vx_store *store, const char *doing, vx_errinfo *info);

/* For reading alone: only the lock. Writing: vx_store_begin (store.h). */
void vx_store_lock(vx_store *store);
void vx_store_unlock(vx_store *store);
/* The lock and one moment: what is read until the release is the file as it is now, though other processes write. */
VX_MUST_CHECK vx_err vx_store_hold(vx_store *store, sqlite3_stmt **ret_hold, vx_errinfo *info);
void vx_store_release(vx_store *store, sqlite3_stmt *hold);

/* A statement, with values bound to ?1, ?2, ... by a format: i int64_t, d double, t text (borrowed, NULL is NULL),
 * b const void * and size_t (borrowed; NULL is NULL). *ret_statement is finalized by the caller. */
VX_MUST_CHECK vx_err vx_store_prepare(vx_store *store, sqlite3_stmt **ret_statement, vx_errinfo *info, const char *sql,
                                      const char *format, ...);
/* Runs one to its end; it may not return rows. */
VX_MUST_CHECK vx_err vx_store_run(vx_store *store, vx_errinfo *info, const char *sql, const char *format, ...);
/* The next row: *ret_row false at the end. */
VX_MUST_CHECK vx_err vx_store_step(vx_store *store, sqlite3_stmt *statement, bool *ret_row, vx_errinfo *info);

/* ---- schema (schema.c) -------------------------------------------------------------------------------------------- */

enum { VX_STORE_APPLICATION = 0x766f784c }; /* "voxL", SQLite's application_id */

/* Step i brings version i to i + 1. */
typedef struct {
    const char *const *steps; /* [version] */
    int version;
} vx_schema;
const vx_schema *vx_schema_current(void);

/* Brings the schema to VX_STORE_SCHEMA; inside a transaction of the caller. */
VX_MUST_CHECK vx_err vx_schema_migrate(vx_store *store, int from, vx_errinfo *info);
/* The same by other steps, for tests of the machinery. */
VX_MUST_CHECK vx_err vx_schema_migrate_by(vx_store *store, const vx_schema *schema, int from, vx_errinfo *info);
/* vx_store_open by other steps. */
VX_MUST_CHECK vx_err vx_store_open_as(const vx_store_options *options, const vx_schema *schema, vx_store **ret_store,
                                      vx_errinfo *info);

/* ---- values of the file itself (values.c) ------------------------------------------------------------------------- */

#define VX_META_KEY_ID     "key_id"     /* text: the name of its key */
#define VX_META_KEY_PROOF  "key_proof"  /* sealed: opens with the right key alone */
#define VX_META_AUDIT_HEAD "audit_head" /* sealed: how much there is, see binding.h */
#define VX_PLACE_KEY_PROOF "meta/key_proof"

/* Appended to ret_value. Errors: STORE_CORRUPT (every file has them), IO, NOMEM. */
VX_MUST_CHECK vx_err vx_meta_get(vx_store *store, const char *name, vx_buf *ret_value, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_meta_put(vx_store *store, const char *name, const void *value, size_t len, vx_errinfo *info);

/* ---- folder and file (place.c) ------------------------------------------------------------------------------------ */

enum { VX_STORE_POLL_MS = 10 }; /* between two tries for a lock that cannot be waited for */

/* Opens and locks (flock) the folder: shared by every open store, alone by who replaces or migrates the file below them
 * (vx_store_restore), so that nobody goes on writing into a file that has been put away. Waits up to busy_ms. The lock
 * ends with close(*ret_fd). Errors: NOT_FOUND, PERMISSION (open to others, or another's; info says chmod), STORE_LOCKED,
 * IO. */
VX_MUST_CHECK vx_err vx_store_claim(const char *folder, bool alone, int busy_ms, int *ret_fd, vx_errinfo *info);
/* Changes the lock; for a moment there is none, and after a failure there may be none. */
VX_MUST_CHECK vx_err vx_store_lock_folder(int fd, bool alone, int busy_ms, const char *folder, vx_errinfo *info);
/* Makes folder and empty file where they may be made, checks whose they are, and fills folder, path and claim. */
VX_MUST_CHECK vx_err vx_store_take_place(vx_store *store, const vx_store_options *options, vx_errinfo *info);
/* The sentence for a folder without profiles. */
vx_err vx_store_no_profiles(const char *folder, vx_errinfo *info);

/* ---- places of sealed values, the same wherever they are sealed, opened and checked ------------------------------- */

enum { VX_PLACE_CAP = 160, VX_VALUE_NAME_CAP = 129 };
/* Since form 3, which binds values. What was sealed for forms 1 and 2 opens at vx_place_old_value alone, so that no file of
 * theirs lends this one a value, nor this one them. */
static inline const char *vx_place_value(char ret_place[VX_PLACE_CAP], const char *name)
{
    snprintf(ret_place, VX_PLACE_CAP, "value-3/%.*s", VX_VALUE_NAME_CAP - 1, name);
    return ret_place;
}
static inline const char *vx_place_old_value(char ret_place[VX_PLACE_CAP], const char *name)
{
    snprintf(ret_place, VX_PLACE_CAP, "value/%.*s", VX_VALUE_NAME_CAP - 1, name);
    return ret_place;
}
static inline const char *vx_place_audio(char ret_place[VX_PLACE_CAP], int64_t speaker, int64_t sample)
{
    snprintf(ret_place, VX_PLACE_CAP, "speaker/%lld/sample/%lld/audio", (long long)speaker, (long long)sample);
    return ret_place;
}
/* of: the chain, "utterance" or "other"; before: the tag of the one before it (utterances.c). */
static inline const char *vx_place_utterance(char ret_place[VX_PLACE_CAP], int64_t speaker, const char *of, int64_t n,
                                             int64_t taken_ms, const uint8_t before[16])
{
    char hex[33];
    vx_hex(before, 16, hex);
    snprintf(ret_place, VX_PLACE_CAP, "speaker/%lld/%s/%lld/%lld/%s", (long long)speaker, of, (long long)n,
             (long long)taken_ms, hex);
    return ret_place;
}
static inline const char *vx_place_vector(char ret_place[VX_PLACE_CAP], int64_t speaker, int64_t sample,
                                          const uint8_t model[32])
{
    char hex[65];
    vx_hex(model, 32, hex);
    snprintf(ret_place, VX_PLACE_CAP, "speaker/%lld/sample/%lld/embedding/%s", (long long)speaker, (long long)sample,
             hex);
    return ret_place;
}

#endif
