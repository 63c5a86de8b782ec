/* bake_check.h - voxlock-cloud bake-check: verifies a baked model folder again, on this machine, without Python.
 * Owns:   the verdict on each artefact, the table and the JSON it is told in (docs/models.md). Does not: judge times.
 */
#ifndef VX_CLOUD_BAKE_CHECK_H
#define VX_CLOUD_BAKE_CHECK_H

#include <stdbool.h>

#include "shared/base/err.h"
#include "shared/base/options.h"

/* Proves every artefact's digest, runs each that this build can on the folder's clips, one thread, one engine at a
 * time, and tells on standard output what came of it and what `auto` takes.
 * options   [in]  the engine's settings apply; a preferred strategy limits the check to that artefact
 * ret_holds [out] nothing failed, and something was run
 * Errors    what keeps from checking at all (folder, manifest, clips, settings), IO (standard output), NOMEM; nothing was
 *           printed then */
VX_MUST_CHECK vx_err vx_bake_check(const vx_options *options, const char *folder, bool json, bool *ret_holds,
                                   vx_errinfo *info);

#endif
