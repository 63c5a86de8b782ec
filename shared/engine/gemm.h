/* gemm.h - matrix products from a library, for machines or comparisons where our own kernels are not wanted.
 * Owns:   loading a plugin. A plugin is a shared object of ours that links one library (oneDNN, Accelerate, OpenBLAS),
 *         so that a process that does not ask for it never maps it.
 */
#ifndef VX_ENGINE_GEMM_H
#define VX_ENGINE_GEMM_H

#include <stddef.h>

#include "shared/base/err.h"

#define VX_GEMM_PLUGIN_ABI    1
#define VX_GEMM_PLUGIN_SYMBOL "vx_gemm_plugin_table"

/* What a plugin exports under VX_GEMM_PLUGIN_SYMBOL. */
typedef struct {
    int abi;
    const char *library; /* "oneDNN 2.6.3" */
    /* Cores that products of the calling thread may use from now on (some libraries: of the whole process). */
    void (*set_threads)(int threads);
    /* Row-major c[m, n] = a[m, k] * b[k, n]; row strides lda, ldb, ldc. Returns 0, or the library's error. */
    int (*sgemm)(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                 size_t ldc);
} vx_gemm_plugin;

/* Defines the table in a plugin: VX_GEMM_PLUGIN_EXPORT = { ... }; */
#define VX_GEMM_PLUGIN_EXPORT                                                                                          \
    extern const vx_gemm_plugin vx_gemm_plugin_table __attribute__((visibility("default")));                           \
    const vx_gemm_plugin vx_gemm_plugin_table

/* Loads vx_gemm_<name>.so from beside the program, its parent folder, or ../lib/voxlock. It stays loaded.
 * Errors: OPTION_VALUE when this build has no such plugin or its library is missing; info says which. */
VX_MUST_CHECK vx_err vx_gemm_plugin_load(const char *name, const vx_gemm_plugin **ret_plugin, vx_errinfo *info);

#endif
