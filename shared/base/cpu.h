/* cpu.h - what this machine offers: usable CPUs under the container's quota, and instruction sets. */
#ifndef VX_BASE_CPU_H
#define VX_BASE_CPU_H

#include <stdbool.h>

/* CPUs this process may use: the smallest of the host's cores, the scheduling mask, and the cgroup (v1 or v2) quota
 * rounded up; at least 1. */
int vx_cpu_count(void);
/* The same from given files, for tests. cgroup_root: folder that plays /sys/fs/cgroup; self_cgroup: file that plays
 * /proc/self/cgroup; host: CPUs before the quota. */
int vx_cpu_count_from(const char *cgroup_root, const char *self_cgroup, int host);

/* Instruction-set levels that kernels are written for, in rising order within an architecture. A level is everything
 * that its line names and nothing else: what VOXLOCK_ISA forces is exactly what runs, whatever else the machine has. */
typedef enum {
    VX_ISA_SCALAR = 0,
    VX_ISA_NEON,        /* AArch64 Advanced SIMD */
    VX_ISA_NEON_DOT,    /* NEON and the 8-bit dot products of ARMv8.2 */
    VX_ISA_AVX2,        /* AVX2 and FMA */
    VX_ISA_AVX_VNNI,    /* AVX2 and AVX-VNNI */
    VX_ISA_AVX512,      /* AVX-512 F, BW, DQ, VL */
    VX_ISA_AVX512_VNNI, /* AVX512 and its VNNI */
    VX_ISA_AVX512_BF16, /* AVX512_VNNI and BF16 */
    VX_ISA_AMX,         /* AVX512_BF16 and AMX: tiles of bf16 and of bytes */
    VX_ISA_LAST = VX_ISA_AMX,
} vx_isa;

/* True if this machine and operating system can run the level (state saving by the OS included). Where the processor has
 * AMX, Linux is asked for the permission to use it, for the whole process; without it the level is not there. */
bool vx_isa_available(vx_isa isa);
/* The highest level available. */
vx_isa vx_isa_best(void);
/* The level of the same vectors without the extensions that only matrix products use: SCALAR, NEON, AVX2 or AVX512. */
vx_isa vx_isa_base(vx_isa isa);
const char *vx_isa_name(vx_isa isa);
/* AVX-512 VBMI besides VX_ISA_AVX512, for byte permutes. */
bool vx_cpu_has_avx512vbmi(void);

/* Resident set of this process in bytes, now and at its peak; 0 where the OS does not tell. */
unsigned long long vx_rss_bytes(void);
unsigned long long vx_rss_peak_bytes(void);
/* Gives pages of freed memory back to the system where the C library keeps them (glibc); elsewhere does nothing. Takes
 * milliseconds: for after a model, not after a clip. */
void vx_heap_trim(void);

#endif
