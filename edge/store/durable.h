/* durable.h - files that are on the disk once a function here said so, whole or not at all.
 * Owns:   temporary file, sync, rename. Does not: know what is in them, or SQLite's own files.
 */
#ifndef VX_EDGE_STORE_DURABLE_H
#define VX_EDGE_STORE_DURABLE_H

#include <stddef.h>

#include "shared/base/err.h"

/* Makes a new file of mode 0600, whatever the umask; the caller closes *ret_fd. Errors: EXISTS, NOT_FOUND, PERMISSION,
 * IO. */
VX_MUST_CHECK vx_err vx_durable_create(const char *path, int *ret_fd, vx_errinfo *info);
/* Writes what a file is to hold in place of what it held: as "<path>.new", mode 0600, synced, then renamed.
 * Errors: RANGE (path), PERMISSION, IO. */
VX_MUST_CHECK vx_err vx_durable_write(const char *path, const void *data, size_t len, vx_errinfo *info);
/* Renames, and syncs the folder of both. */
VX_MUST_CHECK vx_err vx_durable_rename(const char *from, const char *to, vx_errinfo *info);
/* Waits until a file, or the names in a folder, are on the disk, through the drive's cache where the system can. */
VX_MUST_CHECK vx_err vx_durable_sync(const char *path, vx_errinfo *info);

#endif
