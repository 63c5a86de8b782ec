/* kernels.c - which kernels a level runs, and which level a machine gets. */
#include "shared/engine/kernels.h"

#include "shared/engine/kernel_tables.h"

/* Best first; the last runs anywhere. bf16 without its instruction would be f32 arithmetic with the widening on top. */
static const vx_kernels sets[] = {
#if defined(__x86_64__)
    {"amx", VX_ISA_AMX, &vx_row_avx512, {&vx_f32_avx512, &vx_bf16_amx, &vx_int8_amx}},
    {"avx512bf16", VX_ISA_AVX512_BF16, &vx_row_avx512, {&vx_f32_avx512, &vx_bf16_avx512bf16, &vx_int8_avx512vnni}},
    {"avx512vnni", VX_ISA_AVX512_VNNI, &vx_row_avx512, {&vx_f32_avx512, NULL, &vx_int8_avx512vnni}},
    {"avx512", VX_ISA_AVX512, &vx_row_avx512, {&vx_f32_avx512, NULL, &vx_int8_avx512}},
    {"avxvnni", VX_ISA_AVX_VNNI, &vx_row_avx2, {&vx_f32_avx2, NULL, &vx_int8_avxvnni}},
    {"avx2", VX_ISA_AVX2, &vx_row_avx2, {&vx_f32_avx2, NULL, &vx_int8_avx2}},
#elif defined(__aarch64__)
    {"neondot", VX_ISA_NEON_DOT, &vx_row_neon, {&vx_f32_neon, NULL, &vx_int8_neondot}},
    {"neon", VX_ISA_NEON, &vx_row_neon, {&vx_f32_neon, NULL, &vx_int8_neon}},
#endif
    {"scalar", VX_ISA_SCALAR, &vx_row_scalar, {&vx_f32_scalar, NULL, &vx_int8_scalar}},
};
enum { N_SETS = sizeof sets / sizeof *sets };

const vx_kernels *vx_kernels_for(vx_isa isa)
{
    for (size_t i = 0; i < N_SETS; i++)
        if (sets[i].isa <= isa)
            return &sets[i];
    return &sets[N_SETS - 1];
}

size_t vx_kernels_all(const vx_kernels *ret_all[], size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SETS && n < cap; i++)
        if (vx_isa_available(sets[i].isa))
            ret_all[n++] = &sets[i];
    return n;
}
