/* kernels.c - which kernel set a machine gets. */
#include "shared/engine/kernels.h"

#include "shared/engine/kernels_simd_tables.h"

/* Best first; the last runs anywhere. */
static const vx_kernels *const sets[] = {
#if defined(__x86_64__)
    &vx_kernels_avx512,
    &vx_kernels_avx2,
#elif defined(__aarch64__)
    &vx_kernels_neon,
#endif
    &vx_kernels_scalar,
};
enum { N_SETS = sizeof sets / sizeof *sets };

const vx_kernels *vx_kernels_for(vx_isa isa)
{
    for (size_t i = 0; i < N_SETS; i++)
        if (sets[i]->isa <= isa)
            return sets[i];
    return sets[N_SETS - 1];
}

size_t vx_kernels_all(const vx_kernels *ret_all[], size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SETS && n < cap; i++)
        if (vx_isa_available(sets[i]->isa))
            ret_all[n++] = sets[i];
    return n;
}
