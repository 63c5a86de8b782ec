/* product_f32_scalar.c - f32 products for any machine: vectors of four floats, which every compiler can lower
 * to what it has, and products rounded before they are added (-ffp-contract=off). */
#define PRODUCT_NAME  "scalar"
#define PRODUCT_ISA   VX_ISA_SCALAR
#define PRODUCT_TABLE vx_f32_scalar
#define LANES         4
#define TILE_ROWS     4
#define TILE_VECS     2
#define K_BLOCK       256
#define ROW_BLOCK     256
#include "shared/engine/product_f32.h"
#include "shared/engine/product_simd.h"
