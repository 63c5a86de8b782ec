/* quantise.h - makes an int8 or a bf16 artefact of an f32 model. int8: ranges of every channel from given clips, weights by
 * their largest.
 * Owns:   the plainest calibration there is, as an oracle for the engine. Does not: choose what stays f32, or be good at
 *         it; models/quantise.py and models/halve.py are for that.
 */
#ifndef VX_TESTS_QUANTISE_H
#define VX_TESTS_QUANTISE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/engine/engine.h"

#define QUANTISED_WEIGHTS "model_int8.safetensors"
#define HALVED_WEIGHTS    "model_bf16.safetensors"

/* Writes folder/model_int8.safetensors and names it in the manifest.
 * keep  [in] text: a convolution whose name holds it stays f32; NULL for none
 * Says on stderr what went wrong and returns false. */
bool quantise_folder(const char *folder, const vx_clip *clips, size_t n_clips, const char *keep);
/* The same for folder/model_bf16.safetensors and strategy half. */
bool halve_folder(const char *folder, const char *keep);

#endif
