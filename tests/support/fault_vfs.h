/* fault_vfs.h - a disk that fills up, fails, tears a write or loses its power at a chosen moment, below SQLite.
 * Owns:   a VFS over the system's, and what of each file would be on the disk if the power went now.
 *         Does not: touch files that are not opened through SQLite. One connection at a time, one thread.
 *
 * Writes go to the real files at once, so that everything reads its own writes; beside them stands what the last sync
 * of each file made durable. After a power cut fault_vfs_settle writes to the files what a disk could hold then: of
 * everything since the last sync all, nothing, or any subset of sectors, in any order.
 */
#ifndef VX_TESTS_FAULT_VFS_H
#define VX_TESTS_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    FAULT_NONE,
    FAULT_FULL,  /* the disk is full from that call on */
    FAULT_TORN,  /* half of that write reaches the file, then the disk is full */
    FAULT_IOERR, /* that one call fails; a write or truncation does nothing, a sync leaves open what it saved */
    FAULT_POWER, /* a write still reaches the disk's cache, then nothing does anything any more */
} fault_kind;

/* What becomes of what was written and not synced. */
typedef enum { FAULT_DROP, FAULT_KEEP, FAULT_MIX } fault_rest;

/* Registers the VFS when it is not; its name, for vx_store_options. Fails the cmocka test when it cannot. */
const char *fault_vfs(void);
/* From now on the k-th write, sync, truncation or removal of a file is struck; 0: it is so at once. FAULT_NONE mends
 * everything. Starts counting anew. */
void fault_vfs_arm(fault_kind kind, size_t k);
/* Such calls since then, the one struck included, none after a power cut. */
size_t fault_vfs_count(void);
bool fault_vfs_struck(void);
/* Leaves in the files what a disk could hold after a power cut, and garbage in shared-memory files. Everything must be
 * closed. Forgets the files, and mends everything. */
void fault_vfs_settle(fault_rest rest, uint64_t seed);
/* Forgets the files and mends everything, where there was no power cut. Everything must be closed. */
void fault_vfs_forget(void);

#endif
