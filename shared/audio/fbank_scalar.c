/* fbank_scalar.c - the feature kernels for any machine; see fft_scalar.c. */
#define LANES 4
#include "shared/audio/fbank_simd.h"

const vx_fbank_kernel vx_fbank_scalar = {
    .fft = &vx_fft_scalar,
    .peak_bits = peak_bits,
    .log2 = log2_all,
    .frames = frames,
    .finish = finish,
};
