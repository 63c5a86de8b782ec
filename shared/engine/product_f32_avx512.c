/* product_f32_avx512.c - f32 products by AVX-512: 8 x 3 sums, 3 inputs and a broadcast fill 28 of 32 registers. A panel's
 * block of 256 x 48 floats is as large as the 48 KiB of L1; 192, which leaves room beside it, took 1 % longer. */
#define PRODUCT_NAME  "avx512"
#define PRODUCT_ISA   VX_ISA_AVX512
#define PRODUCT_TABLE vx_f32_avx512
#define LANES         16
#define TILE_ROWS     8
#define TILE_VECS     3
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_f32.h"
#include "shared/engine/product_simd.h"
