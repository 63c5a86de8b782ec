/* proof.h - proves that a mapped file has the digest that the manifest states, on a thread of its own, while the caller
 * already makes something of the bytes.
 * Owns:   that thread, and the verdict. Does not: map the file, or hold back what was made of it: who starts a proof lets
 *         nothing out before vx_proof_end said VX_OK, and feeds the bytes only to what withstands any bytes.
 */
#ifndef VX_ENGINE_PROOF_H
#define VX_ENGINE_PROOF_H

#include "shared/base/err.h"
#include "shared/base/file.h"
#include "shared/engine/manifest.h"

typedef struct vx_proof vx_proof;

/* Compares the size at once, and starts to compute the digest; where the system has no thread for it, vx_proof_end does.
 * map, artefact [borrow] until vx_proof_end
 * path          [in] for messages; copied
 * Errors        MODEL_HASH (the size), NOMEM */
VX_MUST_CHECK vx_err vx_proof_start(const vx_map *map, const vx_artefact *artefact, const char *path,
                                    vx_proof **ret_proof, vx_errinfo *info);
/* Waits for the verdict, and frees the proof, which is not NULL.
 * Errors: MODEL_HASH (info says both digests), INTERNAL (no digest could be computed) */
VX_MUST_CHECK vx_err vx_proof_end(vx_proof *proof, vx_errinfo *info);

#endif
