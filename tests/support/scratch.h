/* scratch.h - a private folder for one test, and the files in it.
 * Owns:   the folder, mode 0700, and everything below it when it goes. Does not: know what a file means.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_SCRATCH_H
#define VX_TESTS_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/bytes.h"

typedef struct {
    char path[64];
} scratch;

scratch scratch_make(void);
/* Removes it with all that lies in it; all-zero is fine. */
void scratch_done(scratch *s);

/* "folder/name" into ret_path[cap]; returns ret_path. */
const char *scratch_path(const scratch *s, const char *name, char *ret_path, size_t cap);
bool scratch_has(const scratch *s, const char *name);
/* Permissions, as 0600. */
int scratch_mode(const scratch *s, const char *name);
/* Content; empty where there is no such file. Freed by the caller. */
vx_buf scratch_read(const scratch *s, const char *name);
/* Makes or replaces, mode 0600. */
void scratch_write(const scratch *s, const char *name, const void *data, size_t len);
void scratch_copy(const scratch *s, const char *from, const char *to);
/* Whether a file holds these bytes anywhere; a file that is not there holds nothing. */
bool scratch_holds(const scratch *s, const char *name, const void *data, size_t len);

#endif
