/* kernels_neon.c - the native engine's kernels for AArch64: 8 x 2 accumulators, 2 inputs and broadcasts in 32
 * registers; a panel's block of 256 x 8 floats takes 8 KiB. Not yet run on such a machine: see docs/macos.md. */
#include "shared/engine/kernels_simd_tables.h"

#define VX_SIMD_NAME  "neon"
#define VX_SIMD_ISA   VX_ISA_NEON
#define VX_SIMD_TABLE vx_kernels_neon
#define LANES         4
#define TILE_ROWS     8
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/kernels_simd.h"
