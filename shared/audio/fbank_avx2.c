/* fbank_avx2.c - the feature kernels for AVX2 and FMA. */
#define LANES 8
#include "shared/audio/fbank_simd.h"

const vx_fbank_kernel vx_fbank_avx2 = {
    .fft = &vx_fft_avx2,
    .peak_bits = peak_bits,
    .log2 = log2_all,
    .frames = frames,
    .finish = finish,
};
