/* self_test.h - proves that an opened engine computes what the model's makers computed: a wrong vector is worse than no
 * service.
 * Owns:   the test signal, which is defined in whole numbers so that any language makes the same samples, and the
 *         verdict. The expected embedding stands in the manifest; models/self_test.py puts it there, by PyTorch.
 */
#ifndef VX_ENGINE_SELF_TEST_H
#define VX_ENGINE_SELF_TEST_H

#include <stddef.h>

#include "shared/base/err.h"
#include "shared/engine/engine.h"

/* What the manifest's self_test names. */
#define VX_SELF_TEST_SIGNAL      "voxlock-1"
#define VX_SELF_TEST_SAMPLES     16000
/* Strategies of lower precision are admitted from 0.999 (docs/models.md); a wrong front end or layer gives below 0.9. */
#define VX_SELF_TEST_COSINE      0.999
/* int8 is calibrated on speech, which this signal is not. */
#define VX_SELF_TEST_COSINE_INT8 0.98

/* One second, 16 kHz mono, full scale 1.0: a 130 Hz sawtooth whose level moves, and noise. */
void vx_self_test_signal(float ret_samples[VX_SELF_TEST_SAMPLES]);

/* Runs the engine once on the signal.
 * ret_cosine [out] to the manifest's embedding; -2 when the manifest has none, and only "finite, and another vector for
 *            another signal" was proven; untouched on failure
 * Errors     ENGINE (info says how far off), those of vx_engine_embed */
VX_MUST_CHECK vx_err vx_engine_self_test(vx_engine *engine, double *ret_cosine, vx_errinfo *info);

#endif
