/* row_avx512.c - the row kernels for AVX-512. */
#define LANES     16
#define ROW_TABLE vx_row_avx512
#define ROW_ISA   VX_ISA_AVX512
#include "shared/engine/row_simd.h"
