/* learned.h - what is learned of a speaker and of this computer, as the store keeps it.
 * Owns:   the names and forms of those values. Does not: learn (evidence/, decide/prior.h, voxlock calibrate).
 */
#ifndef VX_EDGE_LEARNED_H
#define VX_EDGE_LEARNED_H

#include "edge/evidence/behaviour.h"
#include "edge/evidence/context.h"
#include "edge/pava/pava.h"
#include "edge/store/store.h"
#include "shared/engine/score.h"

/* Habits of a speaker; none yet is all-zero. Errors: STORE_*, IO, NOMEM. */
VX_MUST_CHECK vx_err vx_learned_habits(vx_store *store, int64_t speaker, vx_habits *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_learned_save_habits(vx_store *store, int64_t speaker, const vx_habits *habits,
                                            vx_errinfo *info);
/* Places of a speaker; none yet has a fresh salt. Errors: as above, INTERNAL. */
VX_MUST_CHECK vx_err vx_learned_places(vx_store *store, int64_t speaker, vx_places *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_learned_save_places(vx_store *store, int64_t speaker, const vx_places *places,
                                            vx_errinfo *info);
/* The prior of a speaker, `unlearned` when nothing moved it. */
VX_MUST_CHECK vx_err vx_learned_prior(vx_store *store, int64_t speaker, double unlearned, double *ret,
                                      vx_errinfo *info);
VX_MUST_CHECK vx_err vx_learned_save_prior(vx_store *store, int64_t speaker, double prior, vx_errinfo *info);
/* Throat and rooms of a speaker; none yet is all-zero. */
VX_MUST_CHECK vx_err vx_learned_baseline(vx_store *store, int64_t speaker, vx_pava_baseline *ret, vx_errinfo *info);
VX_MUST_CHECK vx_err vx_learned_save_baseline(vx_store *store, int64_t speaker, const vx_pava_baseline *baseline,
                                              vx_errinfo *info);
/* The user's own calibration of a model. Errors: NOT_FOUND when there is none. */
VX_MUST_CHECK vx_err vx_learned_calibration(vx_store *store, const vx_model_digest *model, vx_calibration *ret,
                                            vx_errinfo *info);
/* NULL takes it away. */
VX_MUST_CHECK vx_err vx_learned_save_calibration(vx_store *store, const vx_model_digest *model,
                                                 const vx_calibration *calibration, vx_errinfo *info);

#endif
