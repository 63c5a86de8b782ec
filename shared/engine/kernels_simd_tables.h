/* kernels_simd_tables.h - the kernel sets a build may hold; kernels.c says which it does. */
#ifndef VX_ENGINE_KERNELS_SIMD_TABLES_H
#define VX_ENGINE_KERNELS_SIMD_TABLES_H

#include "shared/engine/kernels.h"

extern const vx_kernels vx_kernels_scalar, vx_kernels_neon, vx_kernels_avx2, vx_kernels_avx512;

#endif
