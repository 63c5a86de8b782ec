/* file.h - whole files: read into memory with a bound, or mapped read-only.
 * Owns:   vx_map. Does not: interpret content.
 */
#ifndef VX_BASE_FILE_H
#define VX_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* A file mapped read-only. Pages are shared with every process that maps the same file. */
typedef struct {
    const uint8_t *data;
    size_t len;
} vx_map;

/* Maps a regular file. Errors: NOT_FOUND, PERMISSION, IO (not a regular file, empty, read error), NOMEM. */
VX_MUST_CHECK vx_err vx_map_open(const char *path, vx_map *ret_map, vx_errinfo *info);
/* Gives resident pages back to the system, which reads them again from the file where they are touched. */
void vx_map_relax(const vx_map *map);
/* Unmaps; all-zero is fine. */
void vx_map_close(vx_map *map);

/* Reads a whole file of at most max_bytes, appended to ret_buf ("-" is standard input).
 * Errors: NOT_FOUND, PERMISSION, IO, RANGE (larger than max_bytes, or than the limit of ret_buf), NOMEM.
 * ret_buf keeps what it held before on failure. */
VX_MUST_CHECK vx_err vx_file_read(const char *path, size_t max_bytes, vx_buf *ret_buf, vx_errinfo *info);
/* Fills info with what the system says (errno) of doing something ("open", "make") to a file, and returns the error that
 * it is: NOT_FOUND, EXISTS, PERMISSION, NOMEM, else IO. */
vx_err vx_file_failed(const char *path, const char *doing, vx_errinfo *info);
/* "folder/name" into ret_path[cap]. Errors: RANGE when it does not fit. */
VX_MUST_CHECK vx_err vx_path_join(const char *folder, const char *name, char *ret_path, size_t cap);

#endif
