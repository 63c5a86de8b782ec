/* plugin.h - shared objects of this project that bring a library with them, so that a process that does not ask for the
 * library never maps it.
 * Owns:   where they are looked for. Does not: know what one exports; never closes one, since libraries with thread
 *         pools of their own do not survive it.
 */
#ifndef VX_BASE_PLUGIN_H
#define VX_BASE_PLUGIN_H

#include "shared/base/err.h"

/* Loads "<file>.so" from beside the program, its parent folder, or ../lib/voxlock, and finds a symbol in it. Loading one
 * twice gives the same.
 * file       [in]  "vx_gemm_onednn"
 * ret_symbol [out] what the plugin exports; lives as long as the process
 * Errors     NOT_FOUND (this build has no such plugin), PERMISSION (others could have put it there), UNSUPPORTED (a library that it needs is missing, or it is of
 *            another version: no such symbol); info says which, and the path */
VX_MUST_CHECK vx_err vx_plugin_load(const char *file, const char *symbol, const void **ret_symbol, vx_errinfo *info);

#endif
