/* alloc_fail.h - makes the k-th allocation of the code under test fail, and counts allocations.
 * Owns:   malloc, calloc, realloc, posix_memalign, aligned_alloc, strdup and strndup as called by this project's own
 *         objects in a unit-test program. Does not: see what a library allocates for itself. jansson is brought in by
 *         json_set_alloc_funcs(malloc, free) in a test: those names then mean the counted ones.
 *
 * Works by the linker's --wrap (see UNIT_WRAP in the Makefile), so the sanitizers' own allocator stays underneath.
 * Apple's linker has no --wrap: vx_alloc_fail_works() is false there and the loop below skips its test, visibly.
 */
#ifndef VX_TESTS_ALLOC_FAIL_H
#define VX_TESTS_ALLOC_FAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

bool vx_alloc_fail_works(void);

/* From now on the k-th allocation of any thread fails, once; 0: none. Starts counting anew. */
void vx_alloc_fail_at(size_t k);
/* Allocations since then, the failed one included. */
size_t vx_alloc_count(void);

/* One run of a create or load function: makes the object, destroys it again, and returns the error of making it. */
typedef vx_err vx_alloc_attempt(void *ctx);

/* Runs attempt with the 1st, 2nd, ... allocation failing until one run reaches no failure. Fails the cmocka test if a
 * failed allocation does not come back as VX_ERR_NOMEM, if the last run is not VX_OK, or if nothing was allocated at
 * all. Leaks and writes past the end are ASan's to find. */
void vx_alloc_fail_each(vx_alloc_attempt *attempt, void *ctx);

#endif
