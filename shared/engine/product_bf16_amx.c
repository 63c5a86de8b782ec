/* product_bf16_amx.c - bf16 products by AMX, which adds 16 x 16 sums of 32 products at a time. A pair of panels' k block
 * of 256 x 32 lanes takes 32 KiB of the 48 KiB L1. Run under emulation only: see docs/models.md. */
#define PRODUCT_NAME  "amx"
#define PRODUCT_ISA   VX_ISA_AMX
#define PRODUCT_TABLE vx_bf16_amx
#define LANES         16
#define TILE_VECS     1
#define K_BLOCK       256
#define ROW_BLOCK     512
#define add_products  _tile_dpbf16ps
#include "shared/engine/product_bf16.h"

#include "shared/engine/product_amx.h"
