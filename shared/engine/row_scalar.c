/* row_scalar.c - the row kernels for any machine: vectors of four floats, which every compiler can
 * lower to what it has, and products rounded before they are added (-ffp-contract=off). */
#define LANES     4
#define ROW_TABLE vx_row_scalar
#define ROW_ISA   VX_ISA_SCALAR
#include "shared/engine/row_simd.h"
