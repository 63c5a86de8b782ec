/* store_private.h - what the files of the store share: the connection, the lock, statements, transactions. */
#ifndef VX_EDGE_STORE_STORE_PRIVATE_H
#define VX_EDGE_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "edge/store/store.h"
#include "edge/store/vault.h"

struct vx_store {
    sqlite3 *db;
    vx_vault *vault;
    pthread_mutex_t lock; /* recursive; guards db: held by every function of the headers from its first statement on */
    int depth;            /* transactions inside each other: only the outermost begins and commits */
    bool failed;          /* an inner one failed: the outermost rolls back */
    char path[1024], folder[1000];
    vx_keyring_kind keyring;
    char key_id[VX_KEY_ID_CAP];
    const char *key_source;
    char key_warning[256];
};

/* Fills info with what SQLite says of its last call and maps it: BUSY and LOCKED to STORE_LOCKED, CORRUPT and NOTADB to
 * STORE_CORRUPT, NOMEM to NOMEM, PERM, READONLY, CANTOPEN and AUTH to PERMISSION, the others (FULL, IOERR) to IO. */
vx_err vx_store_failed(vx_store *store, const char *doing, vx_errinfo *info);

/* Takes the lock and begins (IMMEDIATE). Every begin has one end; `err` is what came of the work: VX_OK commits, anything
 * else rolls back and is returned. A commit that fails is rolled back, and its error returned. */
VX_MUST_CHECK vx_err vx_store_begin(vx_store *store, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_store_end(vx_store *store, vx_err err, vx_errinfo *info);
/* For reading alone: only the lock. */
void vx_store_lock(vx_store *store);
void vx_store_unlock(vx_store *store);

/* A statement, with values bound to ?1, ?2, ... by a format: i int64_t, d double, t text (borrowed, NULL is NULL),
 * b const void * and size_t (borrowed; NULL is NULL). *ret_statement is finalized by the caller. */
VX_MUST_CHECK vx_err vx_store_prepare(vx_store *store, sqlite3_stmt **ret_statement, vx_errinfo *info, const char *sql,
                                      const char *format, ...);
/* Runs one to its end; it may not return rows. */
VX_MUST_CHECK vx_err vx_store_run(vx_store *store, vx_errinfo *info, const char *sql, const char *format, ...);
/* The next row: *ret_row false at the end. */
VX_MUST_CHECK vx_err vx_store_step(vx_store *store, sqlite3_stmt *statement, bool *ret_row, vx_errinfo *info);

/* Brings the schema to VX_STORE_SCHEMA (schema.c); inside a transaction of the caller. */
VX_MUST_CHECK vx_err vx_schema_migrate(vx_store *store, int from, vx_errinfo *info);

#endif
