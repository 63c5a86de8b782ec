/* grains.h - a voice taken apart into its glottal cycles and put together again.
 * Owns:   cutting two cycles around each mark, their new places, overlap-add. Does not: say what they are changed to.
 */
#ifndef VX_TESTS_BENCH_SPOOF_GRAINS_H
#define VX_TESTS_BENCH_SPOOF_GRAINS_H

#include "tests/bench/spoof/voice.h"

enum { GRAIN = 1024, GRAIN_MARK = GRAIN / 2 }; /* samples of a row, and where in it the mark is */

/* Changes one windowed grain in place. */
typedef void grain_change(void *ctx, float grain[GRAIN]);

/* ret [out] [v->n]; factor: of the melody, 0.5 to 2; change may be NULL. With factor 1 and no change the samples come
 * back. */
void grains_move(const voice *v, double factor, grain_change *change, void *ctx, float *ret);

#endif
