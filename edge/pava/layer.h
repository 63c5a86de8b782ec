/* layer.h - what a layer of anti-spoofing is.
 * Owns:   the type, and the list of layers. Does not: say what measures mean (likelihood.h).
 *
 * A layer turns analyses into at most VX_PAVA_MEASURES named numbers. One that this recording does not give stays NAN,
 * whatever the reason, and likelihood.h sees to it that this neither accuses nor acquits: a layer makes no rule of its own
 * for what it lacks. One that has nothing to go by abstains, and says why. A physical quantity that cannot be is a failed
 * measurement: it never accuses.
 */
#ifndef VX_EDGE_PAVA_LAYER_H
#define VX_EDGE_PAVA_LAYER_H

#include "edge/pava/scene.h"

typedef struct {
    const char *name;
    const char *measures[VX_PAVA_MEASURES + 1]; /* with their unit, "rt60_s", in the order of the numbers; NULL ends */
    /* ret_measures [out] as many as there are names, finite or NAN
     * ret_reason   [out] when it abstains (false); otherwise a remark, or what it was */
    bool (*measure)(const vx_scene *scene, double *ret_measures, char ret_reason[VX_REASON_CAP]);
} vx_layer;

/* In the order of vx_pava_layer. */
extern const vx_layer vx_layer_replay, vx_layer_synthetic, vx_layer_playback, vx_layer_conversion, vx_layer_liveness,
    vx_layer_deepfake, vx_layer_physics;

#endif
