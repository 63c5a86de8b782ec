/* row_neon.c - the row kernels for AArch64. Run under emulation only: see docs/macos.md. */
#define LANES     4
#define ROW_TABLE vx_row_neon
#define ROW_ISA   VX_ISA_NEON
#include "shared/engine/row_simd.h"
