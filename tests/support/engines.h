/* engines.h - engines for tests: opened, or refused for a reason.
 * Owns:   nothing. Every function fails the cmocka test where it does not come out so.
 */
#ifndef VX_TESTS_ENGINES_H
#define VX_TESTS_ENGINES_H

#include "shared/engine/engine.h"

/* By our own kernels at one level. */
vx_engine_options options_for(const char *strategy, vx_precision precision, vx_isa isa);
vx_engine *open_engine(const char *folder, vx_engine_options options);
/* mention: in the text of the error. */
void expect_refusal(const char *folder, vx_engine_options options, vx_err want, const char *mention);

#endif
