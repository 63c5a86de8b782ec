/* safetensors.h - reads the public safetensors format from a mapped file, trusting nothing in it.
 * Owns:   the header's index. Does not: copy tensors; they stay in the mapping.
 * Source: github.com/huggingface/safetensors, README "Format".
 */
#ifndef VX_ENGINE_SAFETENSORS_H
#define VX_ENGINE_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

#define VX_TENSOR_MAX_DIMS 4

typedef enum {
    VX_DTYPE_F32,
    VX_DTYPE_F16,
    VX_DTYPE_BF16,
    VX_DTYPE_I8,
    VX_DTYPE_U8,
    VX_DTYPE_I16,
    VX_DTYPE_I32,
    VX_DTYPE_I64
} vx_dtype;

typedef struct {
    const char *name; /* owned by the file object */
    vx_dtype dtype;
    int n_dims;
    size_t shape[VX_TENSOR_MAX_DIMS];
    size_t n_values;  /* product of shape; 1 for a scalar */
    const void *data; /* in the mapping; aligned to the value size (checked) */
    size_t bytes;
} vx_tensor;

typedef struct vx_safetensors vx_safetensors;

/* Indexes a file that lies in memory.
 * data [borrow] n bytes that outlive the object
 * Errors MODEL_CORRUPT (info: offset and what is wrong: header over 16 MiB, not JSON, unknown dtype or key, over 16,384
 *        tensors, more than 4 dimensions, size overflow, offsets outside the file, overlapping or with gaps,
 *        misaligned, duplicate names), NOMEM */
VX_MUST_CHECK vx_err vx_safetensors_open(const void *data, size_t n, vx_safetensors **ret_file, vx_errinfo *info);
void vx_safetensors_close(vx_safetensors *file);

/* NULL when there is no tensor of that name. Borrowed. */
const vx_tensor *vx_safetensors_find(const vx_safetensors *file, const char *name);
size_t vx_safetensors_count(const vx_safetensors *file);
/* The i-th tensor in order of its data. */
const vx_tensor *vx_safetensors_at(const vx_safetensors *file, size_t i);

#endif
