/* product_f32_neon.c - f32 products for AArch64: 8 x 2 sums, 2 inputs and broadcasts in 32 registers; a
 * panel's block of 256 x 8 floats takes 8 KiB. Run under emulation only: see docs/macos.md. */
#define PRODUCT_NAME  "neon"
#define PRODUCT_ISA   VX_ISA_NEON
#define PRODUCT_TABLE vx_f32_neon
#define LANES         4
#define TILE_ROWS     8
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_f32.h"
#include "shared/engine/product_simd.h"
