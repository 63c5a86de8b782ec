/* choose.h - which strategies `auto` takes, and in what order: by what bake measured, not by preference.
 * Owns:   the rule. Does not: open anything, know plugins.
 */
#ifndef VX_ENGINE_CHOOSE_H
#define VX_ENGINE_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/engine/manifest.h"

/* A strategy whose embeddings stray further than this from the f32 reference on any clip is never taken by itself. */
#define VX_CHOOSE_COSINE 0.999

/* What auto makes of one artefact. */
typedef enum {
    VX_CHOOSE_ALLOWED,
    VX_CHOOSE_UNMEASURED, /* nobody has shown that it computes the model's embeddings */
    VX_CHOOSE_STRAYING,   /* below VX_CHOOSE_COSINE */
} vx_choose_verdict;
/* "allowed", "not measured", "strays". Static. */
const char *vx_choose_verdict_name(vx_choose_verdict verdict);
/* The reference `native` is always allowed. */
vx_choose_verdict vx_choose_judge(const vx_artefact *artefact);

/* Puts the manifest's artefacts in the order in which they should be tried, fastest first.
 * Artefacts that are allowed go by inference time; equals stay in the manifest's order. `native`, the reference itself,
 * needs no proof, and stands last if it was not measured. The others are left out.
 * optimized [in]  false: the reference `native` first whatever was measured (ECAPA_USE_OPTIMIZED)
 * ret_order [out] artefacts, borrowed from the manifest
 * Returns how many; at least 1 since every manifest has `native`. */
int vx_choose(const vx_manifest *manifest, bool optimized, const vx_artefact *ret_order[VX_MANIFEST_MAX_ARTEFACTS]);

/* Why the first stands first, in one sentence: "auto: fastest by the manifest (jit 48.1 ms, native 61.0 ms)". Cut at
 * cap. */
void vx_choose_reason(const vx_artefact *const *order, int n, bool optimized, char *ret_text, size_t cap);

#endif
