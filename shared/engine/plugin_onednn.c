/* plugin_onednn.c - oneDNN's f32 product as a plugin. dnnl_sgemm is the same in the 2.x and the 3.x API. */
#include <dnnl.h>
#include <omp.h>

#include "shared/engine/gemm.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

static void set_threads(int threads)
{
    omp_set_num_threads(threads);
}

static int sgemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                 size_t ldc)
{
    return (int)dnnl_sgemm('N', 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, a, (dnnl_dim_t)lda, b,
                           (dnnl_dim_t)ldb, 0.0f, c, (dnnl_dim_t)ldc);
}

VX_GEMM_PLUGIN_EXPORT = {
    .abi = VX_GEMM_PLUGIN_ABI,
    .library = "oneDNN " TEXT(DNNL_VERSION_MAJOR) "." TEXT(DNNL_VERSION_MINOR) "." TEXT(DNNL_VERSION_PATCH),
    .set_threads = set_threads,
    .sgemm = sgemm,
};
