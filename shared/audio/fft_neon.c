/* fft_neon.c - the batched DFT for AArch64 NEON, with fused multiply-add. */
#define LANES 4
#include "shared/audio/fft_simd.h"

const vx_fft_kernel vx_fft_neon = {.isa = VX_ISA_NEON, .lanes = LANES, .forward = forward};
