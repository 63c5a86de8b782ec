/* fbank_neon.c - the feature kernels for AArch64 NEON, with fused multiply-add. */
#define LANES 4
#include "shared/audio/fbank_simd.h"

const vx_fbank_kernel vx_fbank_neon = {
    .fft = &vx_fft_neon,
    .peak_bits = peak_bits,
    .log2 = log2_all,
    .frames = frames,
    .finish = finish,
};
