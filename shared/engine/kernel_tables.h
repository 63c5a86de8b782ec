/* kernel_tables.h - the kernels a build may hold; kernels.c says which it does. */
#ifndef VX_ENGINE_KERNEL_TABLES_H
#define VX_ENGINE_KERNEL_TABLES_H

#include "shared/engine/kernels.h"

extern const vx_row_kernels vx_row_scalar, vx_row_neon, vx_row_avx2, vx_row_avx512;

extern const vx_product vx_f32_scalar, vx_f32_neon, vx_f32_avx2, vx_f32_avx512;
extern const vx_product vx_bf16_avx512bf16, vx_bf16_amx;
extern const vx_product vx_int8_scalar, vx_int8_neon, vx_int8_neondot, vx_int8_avx2, vx_int8_avxvnni, vx_int8_avx512,
    vx_int8_avx512vnni, vx_int8_amx;

#endif
