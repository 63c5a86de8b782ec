/* product_f32_avx2.c - f32 products by AVX2 with FMA: 4 x 3 sums, 3 inputs and a broadcast fill all 16
 * registers; a panel's block of 192 x 24 floats takes 18 KiB of a 32 KiB L1. */
#define PRODUCT_NAME  "avx2"
#define PRODUCT_ISA   VX_ISA_AVX2
#define PRODUCT_TABLE vx_f32_avx2
#define LANES         8
#define TILE_ROWS     4
#define TILE_VECS     3
#define K_BLOCK       192
#define ROW_BLOCK     256
#include "shared/engine/product_f32.h"
#include "shared/engine/product_simd.h"
