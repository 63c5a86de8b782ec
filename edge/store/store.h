/* store.h - the one file of a user's profiles: opened, migrated, backed up, checked.
 * Owns:   the database (SQLite, WAL, synchronous=FULL, mode 0600 in a folder of 0700), its schema and migrations.
 *         What lies in it: profiles.h, attempts.h, audit.h. Does not: compare voices, decide, know models.
 *
 * What a function here reported as done is on the disk and survives a power cut; a transaction that was cut off is as if
 * it had not begun. Audio, embeddings, habits and calibration are sealed (vault.h); names, times and verdicts can be read
 * by whoever has the file, but not changed: what is plain is bound under the same key, and proven when it is read
 * (binding.h, docs/store.md).
 */
#ifndef VX_EDGE_STORE_STORE_H
#define VX_EDGE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "edge/store/keyring.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

typedef struct vx_store vx_store;

#define VX_STORE_FILE "voxlock.db"
enum { VX_STORE_BUSY_MS = 15000 /* what a program waits for another that writes */ };
enum { VX_STORE_SCHEMA = 3 }; /* version of the schema that this program writes */

typedef struct {
    const char *folder; /* holds voxlock.db and, where no keyring is, key */
    vx_keyring_kind keyring;
    bool create;     /* make folder, file and key when there are none; else NOT_FOUND */
    int busy_ms;     /* how long to wait for another process that writes; VX_STORE_BUSY_MS in programs */
    const char *vfs; /* SQLite VFS; NULL is the system's. For tests of full disks and power cuts */
} vx_store_options;

/* Opens, takes the key, migrates an older schema (inside one transaction, after a backup beside the file,
 * voxlock.db.before-N), and checks that the key is the one the file was made with.
 * Threads: the store may be used by any number of threads; one statement runs at a time.
 * Errors: NOT_FOUND, PERMISSION (file or folder open to others), STORE_KEY, STORE_CORRUPT, STORE_VERSION, STORE_LOCKED,
 *         IO (disk full and the like), NOMEM; info names the file and what to do */
VX_MUST_CHECK vx_err vx_store_open(const vx_store_options *options, vx_store **ret_store, vx_errinfo *info);
/* NULL is fine. */
void vx_store_close(vx_store *store);

typedef struct {
    char path[1024];
    int schema;
    const char *key_source; /* static */
    char key_warning[256];
    int64_t bytes; /* of the database file */
    int n_speakers, n_samples;
    int64_t n_attempts, n_audit;
} vx_store_view;
VX_MUST_CHECK vx_err vx_store_get_view(vx_store *store, vx_store_view *ret_view, vx_errinfo *info);

/* SQLite's integrity check, foreign keys, that profiles and attempts are as voxlock left them, and that every sealed value
 * opens; the audit log has a proof of its own (vx_audit_verify). Errors: STORE_CORRUPT (info: the first fault),
 * AUDIT_BROKEN (the log's head does not open, or the log ends elsewhere). */
VX_MUST_CHECK vx_err vx_store_check(vx_store *store, vx_errinfo *info);

/* Writes everything into one new file of mode 0600 that restore reads: the database, sealed under a passphrase (scrypt,
 * AES-256-GCM), with the store's key in it, since a copy that only this computer's keyring opens is no backup.
 * passphrase [in] at least 8 bytes
 * Errors     EXISTS (path), RANGE (passphrase), PERMISSION, IO, NOMEM, INTERNAL */
VX_MUST_CHECK vx_err vx_store_backup(vx_store *store, const char *path, const char *passphrase, vx_errinfo *info);
/* Makes a store from a backup; what was in the folder is kept as voxlock.db.replaced-TIME. The file is proven whole
 * before anything is replaced.
 * Errors: NOT_FOUND, STORE_CORRUPT (damaged, or the passphrase is wrong), STORE_VERSION, STORE_LOCKED (a voxlock has the
 * profiles open), STORE_KEY (the keyring cannot take the key, or holds another one for that store), PERMISSION, IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_restore(const vx_store_options *options, const char *path, const char *passphrase,
                                      vx_errinfo *info);

/* Small sealed values by name: "prior/3", "habits/3", "places/3", "calibration/<digest>". At most 64 KiB. What is behind
 * the stroke says whose it is: a value of speaker 3 is bound with the profile, any other with the list of profiles. One that
 * was changed, taken away or put back to what it once was is noticed at the next read of any (binding.h).
 * Errors of all three: STORE_*, AUDIT_BROKEN, RANGE (the name), IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_put(vx_store *store, const char *name, const void *value, size_t len, vx_errinfo *info);
/* Appended to ret_value, to be wiped by the caller. Errors: NOT_FOUND (there is none, and that is proven) too. */
VX_MUST_CHECK vx_err vx_store_get(vx_store *store, const char *name, vx_buf *ret_value, vx_errinfo *info);
/* Absent is no error. */
VX_MUST_CHECK vx_err vx_store_drop(vx_store *store, const char *name, vx_errinfo *info);

/* Several changes, or a read and the change that follows from it, as one: nobody else writes between. Takes the store's
 * lock and begins; transactions inside each other are one. Every begin that succeeded has one end; `err` is what came of the
 * work: VX_OK commits, anything else rolls back and is returned. A commit that fails is rolled back, and its error
 * returned. Errors: STORE_LOCKED, IO, NOMEM */
VX_MUST_CHECK vx_err vx_store_begin(vx_store *store, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_store_end(vx_store *store, vx_err err, vx_errinfo *info);

#endif
