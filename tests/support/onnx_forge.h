/* onnx_forge.h - tiny ONNX networks for tests: one that is right, and others that are wrong in one way.
 * Owns:   as much of ONNX's protobuf as these take. Does not: run one, need any library.
 *
 * The right one: embedding[clip, j] = sum over bands b of max over frames(features[clip, :, b]) * weight(b, j).
 */
#ifndef VX_TESTS_ONNX_FORGE_H
#define VX_TESTS_ONNX_FORGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"

enum { ONNX_FLOAT = 1, ONNX_INT64 = 7, ONNX_DOUBLE = 11 };

/* All zero but bands and dim: the right network. */
typedef struct {
    size_t bands, dim;
    const char *input, *output, *operation; /* NULL: "features", "embedding", "MatMul" */
    int64_t clips, frames;                  /* sizes that the input declares; 0: any */
    int type;                               /* of all numbers; 0: ONNX_FLOAT */
    bool flat;                              /* the input has no dimension of clips */
    bool two_inputs, two_outputs;
    bool burnt_in;         /* says any number of clips and computes with one */
    bool looks_at_31st;    /* fails on fewer than 31 frames */
    int64_t opset;         /* 0: 13 */
    const char *elsewhere; /* a file that holds the weights; NULL: they are here */
} onnx_forge;

/* The file's bytes, appended. Fails the cmocka test when memory runs out. */
void onnx_forge_write(const onnx_forge *forge, vx_buf *ret_file);
float onnx_forge_weight(const onnx_forge *forge, size_t band, size_t j);
/* What the right network gives for one clip. ret [out] [dim] */
void onnx_forge_expected(const onnx_forge *forge, const float *features, size_t n_frames, float *ret);

#endif
