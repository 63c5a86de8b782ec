/* fbank_avx512.c - the feature kernels for AVX-512. */
#define LANES 16
#include "shared/audio/fbank_simd.h"

const vx_fbank_kernel vx_fbank_avx512 = {
    .fft = &vx_fft_avx512,
    .peak_bits = peak_bits,
    .log2 = log2_all,
    .frames = frames,
    .finish = finish,
};
