/* product_int8_amx_emulated.c - the product's own source, on tiles in C. */
#if defined(__x86_64__)
#define AMX_EMULATED_INTRINSICS
#include "tests/support/amx_emulated.h"

#define vx_int8_amx vx_int8_amx_emulated
#include "shared/engine/product_int8_amx.c"
#endif
