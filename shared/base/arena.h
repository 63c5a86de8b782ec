/* arena.h - a large block of memory reserved once, touched as far as it is used, and given back on request.
 * Owns:   the mapping. Does not: hand out pieces; its one user lays it out.
 */
#ifndef VX_BASE_ARENA_H
#define VX_BASE_ARENA_H

#include <stddef.h>

#include "shared/base/err.h"

typedef struct {
    void *data; /* page aligned; zero where never written */
    size_t bytes;
} vx_arena;

/* Reserves address space; memory is used only where it is written. Errors: NOMEM, ARG (0 bytes). */
VX_MUST_CHECK vx_err vx_arena_reserve(size_t bytes, vx_arena *ret_arena);
/* Gives the memory behind the first keep_bytes back to the system; its content is lost. */
void vx_arena_trim(vx_arena *arena, size_t keep_bytes);
/* Unmaps and zeroes the struct; all-zero is fine. The system clears the pages before anyone else sees them. */
void vx_arena_release(vx_arena *arena);

#endif
