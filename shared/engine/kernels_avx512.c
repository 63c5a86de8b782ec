/* kernels_avx512.c - the native engine's kernels for AVX-512: 8 x 3 accumulators, 3 inputs and a broadcast fill 28
 * of 32 registers; a panel's block of 192 x 48 floats takes 36 KiB of the 48 KiB L1. */
#include "shared/engine/kernels_simd_tables.h"

#define VX_SIMD_NAME  "avx512"
#define VX_SIMD_ISA   VX_ISA_AVX512
#define VX_SIMD_TABLE vx_kernels_avx512
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     3
#define K_BLOCK       192
#define ROW_BLOCK     512
#include "shared/engine/kernels_simd.h"
