/* amx_trap.h - runs compiled AMX instructions on processors that do not know them: each traps, and the model of
 * amx_emulated.h does what it says. So the program's own machine code is what is tested, compiler and all.
 * Owns:   the decoding of the instructions that kernels use, and SIGILL while one of them multiplies, so one at a time.
 * Does not: AVX-512, which the rest of those kernels needs. Linux on x86-64 only.
 */
#ifndef VX_TESTS_AMX_TRAP_H
#define VX_TESTS_AMX_TRAP_H

#include <stddef.h>

#include "shared/engine/kernels.h"

/* vx_bf16_amx or vx_int8_amx, trapped; NULL where that cannot be done, or where the processor has AMX itself. */
const vx_product *amx_trapped(vx_number number);
/* Instructions trapped so far. */
size_t amx_trap_count(void);

#endif
