/* fft_scalar.c - the batched DFT for any machine: four lanes, which become SSE2 or NEON where those are the
 * baseline and plain arithmetic elsewhere. Nothing is fused, so results are the same everywhere. */
#define LANES 4
#include "shared/audio/fft_simd.h"

const vx_fft_kernel vx_fft_scalar = {.isa = VX_ISA_SCALAR, .lanes = LANES, .forward = forward};
