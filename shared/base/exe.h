/* exe.h - where the running program lies, for the files that are installed beside it. */
#ifndef VX_BASE_EXE_H
#define VX_BASE_EXE_H

#include <stddef.h>

#include "shared/base/err.h"

/* Folder of the running executable, without a trailing slash. Errors: UNSUPPORTED, RANGE (longer than cap). */
VX_MUST_CHECK vx_err vx_exe_folder(char *ret_folder, size_t cap);

#endif
