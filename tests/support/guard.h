/* guard.h - buffers that end where memory ends: one byte too far is a crash, in every build mode.
 * Owns:   pages. Does not: find writes before the start.
 */
#ifndef VX_TESTS_GUARD_H
#define VX_TESTS_GUARD_H

#include <stddef.h>

typedef struct {
    void *data; /* the last byte of data + bytes is the last that may be touched */
    void *map;
    size_t map_bytes;
} guard;

/* Fails the cmocka test when memory is out. */
guard guard_alloc(size_t bytes);
void guard_free(guard *g);

#endif
