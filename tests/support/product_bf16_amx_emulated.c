/* product_bf16_amx_emulated.c - the product's own source, on tiles in C. */
#if defined(__x86_64__)
#define AMX_EMULATED_INTRINSICS
#include "tests/support/amx_emulated.h"

#define vx_bf16_amx vx_bf16_amx_emulated
#include "shared/engine/product_bf16_amx.c"
#endif
