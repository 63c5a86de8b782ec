/* kernels_avx2.c - the native engine's kernels for AVX2 with FMA: 4 x 3 accumulators, 3 inputs and a broadcast
 * fill all 16 registers; a panel's block of 192 x 24 floats takes 18 KiB of a 32 KiB L1. */
#include "shared/engine/kernels_simd_tables.h"

#define VX_SIMD_NAME  "avx2"
#define VX_SIMD_ISA   VX_ISA_AVX2
#define VX_SIMD_TABLE vx_kernels_avx2
#define LANES         8
#define TILE_ROWS     4
#define TILE_VECS     3
#define K_BLOCK       192
#define ROW_BLOCK     256
#include "shared/engine/kernels_simd.h"
