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
        pressure; /* share in use, 0 to 1: 1 - available / total; at least 0.95 while PSI says that everything waits */
    double psi_full; /* % of the last 10 s in which every task waited for memory; -1: the kernel does not tell */
} vx_memory;

/* From recorded texts. psi may be NULL. Errors: RANGE (a field is missing or senseless; info names it). */
VX_MUST_CHECK vx_err vx_memory_from_meminfo(const char *meminfo, size_t len, const char *psi, size_t psi_len,
                                            vx_memory *ret, vx_errinfo *info);
/* vm_stat's output, every field by name, the page size from its heading; free + inactive + speculative + purgeable are
 * available. total_bytes [in] hw.memsize. Errors: as above. */
VX_MUST_CHECK vx_err vx_memory_from_vm_stat(const char *text, size_t len, uint64_t total_bytes, vx_memory *ret,
                                            vx_errinfo *info);
/* Of this computer, now. Errors: IO, NOT_FOUND, RANGE, UNSUPPORTED. */
VX_MUST_CHECK vx_err vx_memory_read(vx_memory *ret, vx_errinfo *info);

#endif
