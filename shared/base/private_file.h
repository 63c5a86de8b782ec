/* private_file.h - folders and files that must be the user's alone.
 * Owns:   making folders, and the rule of what is private. Does not: write files (store/durable.h), make them private.
 */
#ifndef VX_BASE_PRIVATE_FILE_H
#define VX_BASE_PRIVATE_FILE_H

#include <sys/stat.h>

#include "shared/base/err.h"

/* Makes a folder of mode 0700, with the folders above it. One that is there stays as it is.
 * Errors: RANGE (empty, too long), PERMISSION, IO. */
VX_MUST_CHECK vx_err vx_private_folder_make(const char *folder, vx_errinfo *info);

/* Whether it is this user's and closed to everybody else.
 * st [in] of it; path [in] for the sentence, which says what to run
 * Errors PERMISSION */
VX_MUST_CHECK vx_err vx_private_check(const struct stat *st, const char *path, vx_errinfo *info);

#endif
