/* engine_rate.h - how many embeddings a second the engine alone makes, without a service around it.
 * Owns:   the threads that call the engine. Does not: open it, check embeddings.
 */
#ifndef VX_TESTS_ENGINE_RATE_H
#define VX_TESTS_ENGINE_RATE_H

#include "shared/engine/engine.h"
#include "tests/support/load_clients.h"

/* Each thread decodes and embeds the clips in turn for so long.
 * ret_per_second [out] of all threads together
 * Errors   of the engine; INTERNAL when a thread cannot be made */
VX_MUST_CHECK vx_err engine_rate(vx_engine *engine, const load_clip *clips, size_t n_clips, int threads, double seconds,
                                 double *ret_per_second);

#endif
