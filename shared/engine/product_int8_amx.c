/* product_int8_amx.c - int8 products by AMX, which adds 16 x 16 sums of 64 products at a time: signed weights with unsigned
 * activations. The blocks of product_bf16_amx.c. Run under emulation only: see docs/models.md. */
#define PRODUCT_NAME  "amx"
#define PRODUCT_ISA   VX_ISA_AMX
#define PRODUCT_TABLE vx_int8_amx
#define LANES         16
#define TILE_VECS     1
#define K_BLOCK       256
#define ROW_BLOCK     512
#define add_products  _tile_dpbsud
#include "shared/engine/product_int8.h"

#include "shared/engine/product_amx.h"
