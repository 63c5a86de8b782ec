/* kernels_scalar.c - the native engine's kernels for any machine: vectors of four floats, which every compiler can
 * lower to what it has, and products rounded before they are added (-ffp-contract=off). */
#include "shared/engine/kernels_simd_tables.h"

#define VX_SIMD_NAME  "scalar"
#define VX_SIMD_ISA   VX_ISA_SCALAR
#define VX_SIMD_TABLE vx_kernels_scalar
#define LANES         4
#define TILE_ROWS     4
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/kernels_simd.h"
