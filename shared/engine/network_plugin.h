/* network_plugin.h - a network run by somebody else's library: what a plugin (libtorch, ONNX Runtime) exports.
 * Owns:   the one C interface that both plugins and hosted.c include; a plugin links its library and nothing of ours.
 *         Does not: compute features, hash files, normalise: hosted.c does, the same for every library.
 *
 * No exception and no signal of a library leaves a plugin: each failure is a vx_err with the library's own text.
 */
#ifndef VX_ENGINE_NETWORK_PLUGIN_H
#define VX_ENGINE_NETWORK_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VX_NETWORK_PLUGIN_ABI    1
#define VX_NETWORK_PLUGIN_SYMBOL "vx_network_plugin_table"

/* One loaded network. */
typedef struct vx_network vx_network;

typedef struct {
    const void *data;   /* the artefact, whose digest has been proven; may go away when open returns */
    size_t len;         /* bytes */
    const char *device; /* "cpu", "cuda", "mps" */
    bool bf16;          /* products in bfloat16 where the library may (autocast); else f32 throughout */
    int threads;        /* cores that one run may use */
    size_t bands, dim;  /* what goes in and must come out */
} vx_network_request;

typedef struct {
    int abi;
    const char *library; /* "libtorch 1.13.1" */
    /* Reads the network and proves on one short clip of zeros that it takes [1, frames, bands] and gives [1, dim].
     * ret_text [out] on failure: one sentence, no newline, cut at cap
     * Errors   MODEL_CORRUPT (not a network of this kind), MODEL_SHAPE (other inputs or outputs than asked for), ENGINE
     *          (it threw), UNSUPPORTED (no such device, or no bf16), NOMEM */
    vx_err (*open)(const vx_network_request *request, vx_network **ret_network, char *ret_text, size_t cap);
    /* One batch of clips of one length.
     * features [in]  [n_clips, n_frames, bands], row-major, contiguous
     * ret_raw  [out] [n_clips, dim], not normalised; untouched on failure
     * Threads  any number of callers
     * Errors   ENGINE (ret_text as above), NOMEM */
    vx_err (*run)(vx_network *network, const float *features, size_t n_clips, size_t n_frames, float *ret_raw,
                  char *ret_text, size_t cap);
    /* No run may be going on. The library itself stays loaded. NULL is fine. */
    void (*close)(vx_network *network);
} vx_network_plugin;

#ifdef __cplusplus
}
#endif

#endif
