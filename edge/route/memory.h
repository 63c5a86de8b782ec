/* memory.h - how much of the computer's memory is in use, as far as it hurts.
 * Owns:   reading /proc/meminfo and PSI (Linux), vm_stat (macOS), and the share they amount to. Does not: decide.
 */
#ifndef VX_EDGE_ROUTE_MEMORY_H
#define VX_EDGE_ROUTE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef struct {
    uint64_t total_bytes, available_bytes;
    double
        pressure; /* share in use, 0 to 1: 1 - available / total; at least 0.95 while PSI says that all wait for it */
    double psi_full; /* % of the last 10 s in which every task waited for memory; -1: the kernel does not tell */
} vx_memory;

/* From recorded texts: fields by name, in any order, among any others. psi may be NULL. ret is untouched on failure.
 * Errors: RANGE (a field is missing, there twice, or senseless; info names it). */
VX_MUST_CHECK vx_err vx_memory_from_meminfo(const char *meminfo, size_t len, const char *psi, size_t psi_len,
                                            vx_memory *ret, vx_errinfo *info);
/* vm_stat's output, the page size from its heading; free + inactive + speculative + purgeable are available.
 * total_bytes [in] hw.memsize. Errors: as above. */
VX_MUST_CHECK vx_err vx_memory_from_vm_stat(const char *text, size_t len, uint64_t total_bytes, vx_memory *ret,
                                            vx_errinfo *info);
/* The same from a program that prints it, which is killed at the deadline (by vx_now_ns()).
 * Errors: as above, UNSUPPORTED (cannot be started), DEADLINE, IO (ended with an error), NOMEM. */
VX_MUST_CHECK vx_err vx_memory_ask_vm_stat(const char *program, uint64_t deadline_ns, uint64_t total_bytes,
                                           vx_memory *ret, vx_errinfo *info);
/* Of this computer, now. Takes well below a millisecond on Linux, some on macOS, a second at the very most.
 * Errors: IO, NOT_FOUND, PERMISSION, RANGE, UNSUPPORTED, DEADLINE, NOMEM. */
VX_MUST_CHECK vx_err vx_memory_read(vx_memory *ret, vx_errinfo *info);

#endif
