/* backup_private.h - the bytes of a backup file, for backup.c and its tests.
 * Owns:   the format, version 1: "VXBACKUP" | version | log2 N | r | p | salt 16 | nonce 12 | ciphertext | tag 16. The first
 *         40 bytes are the header, which is authenticated with what follows. Plain: key_id (32 hex digits) | key 32 |
 *         database. Does not: read or write files.
 */
#ifndef VX_EDGE_STORE_BACKUP_PRIVATE_H
#define VX_EDGE_STORE_BACKUP_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "edge/store/keyring.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* scrypt's N = 2^17, r = 8, p = 1: 128 MiB and a third of a second a guess. */
enum { VX_BACKUP_LOG2_N = 17, VX_BACKUP_HEAD = 40, VX_BACKUP_TAG = 16, VX_BACKUP_KEY = 2 * VX_KEY_BYTES };
/* Sealed and opened in memory: ten years of attempts fit. */
enum { VX_BACKUP_FILE_MAX = 1 << 30 };

/* What it costs to try a passphrase. */
typedef struct {
    int log2_n, r, p;
} vx_backup_cost;

typedef struct {
    char key_id[VX_KEY_ID_CAP];
    uint8_t key[VX_KEY_BYTES];
    vx_buf database; /* bytes of a SQLite file */
} vx_backup;
/* Wipes and frees; all-zero is fine. */
void vx_backup_done(vx_backup *backup);

/* Seals; ret_file [in,out] appended to. Errors: RANGE (passphrase, database too large), NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_backup_seal(const vx_backup *backup, const char *passphrase, int log2_n, vx_buf *ret_file,
                                    vx_errinfo *info);
/* Reads a header and holds its cost against bounds: a hostile file must not take the memory or the afternoon.
 * Errors: STORE_CORRUPT (no backup, cut off, a cost out of bounds), STORE_VERSION (a later version's). */
VX_MUST_CHECK vx_err vx_backup_read_head(const void *file, size_t len, vx_backup_cost *ret_cost, vx_errinfo *info);
/* Opens. Errors: those of vx_backup_read_head, STORE_CORRUPT (damaged, or the passphrase is wrong), NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_backup_open(const void *file, size_t len, const char *passphrase, vx_backup *ret_backup,
                                    vx_errinfo *info);

#endif
