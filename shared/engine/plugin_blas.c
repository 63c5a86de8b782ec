/* plugin_blas.c - a BLAS as a plugin: Accelerate on macOS, OpenBLAS elsewhere (there also the way to test the path
 * that macOS takes). */
#if defined(__APPLE__)
#include <Accelerate/Accelerate.h>
#define LIBRARY "Accelerate"
#else
#include <cblas.h>
#define LIBRARY "OpenBLAS"
#endif

#include "shared/engine/gemm.h"

static void set_threads(int threads)
{
#if defined(__APPLE__)
    (void)threads; /* Accelerate decides for itself */
#else
    openblas_set_num_threads(threads);
#endif
}

static int sgemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                 size_t ldc)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a, (int)lda, b, (int)ldb, 0.0f,
                c, (int)ldc);
    return 0;
}

VX_GEMM_PLUGIN_EXPORT = {
    .abi = VX_GEMM_PLUGIN_ABI,
    .library = LIBRARY,
    .set_threads = set_threads,
    .sgemm = sgemm,
};
