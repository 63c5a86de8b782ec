/* fft_avx512.c - the batched DFT for AVX-512. */
#define LANES 16
#include "shared/audio/fft_simd.h"

const vx_fft_kernel vx_fft_avx512 = {.isa = VX_ISA_AVX512, .lanes = LANES, .forward = forward};
