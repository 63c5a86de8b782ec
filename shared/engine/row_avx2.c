/* row_avx2.c - the row kernels for AVX2 with FMA. */
#define LANES     8
#define ROW_TABLE vx_row_avx2
#define ROW_ISA   VX_ISA_AVX2
#include "shared/engine/row_simd.h"
