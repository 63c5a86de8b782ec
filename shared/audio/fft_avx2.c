/* fft_avx2.c - the batched DFT for AVX2 and FMA. */
#define LANES 8
#include "shared/audio/fft_simd.h"

const vx_fft_kernel vx_fft_avx2 = {.isa = VX_ISA_AVX2, .lanes = LANES, .forward = forward};
