/* golden.h - the recordings of tests/data/golden, and what SpeechBrain's own code makes of them.
 * Owns:   reading them. Does not: run an engine.
 */
#ifndef VX_TESTS_GOLDEN_H
#define VX_TESTS_GOLDEN_H

#include <stdbool.h>

#include "shared/audio/decode.h"
#include "shared/engine/embedding.h"
#include "tests/support/npy.h"

enum { GOLDEN_CLIPS = 3 };

typedef struct {
    const char *name; /* "a" */
    vx_audio audio;   /* 3, 0.62 and 7.31 s */
    npy embedding;    /* [192], before L2 normalisation */
} golden_clip;

/* False, with the reason on stderr, if one of them cannot be read; golden_done then frees the others. */
bool golden_load(golden_clip ret_clips[GOLDEN_CLIPS]);
void golden_done(golden_clip clips[GOLDEN_CLIPS]);
/* Cosine of an embedding to SpeechBrain's; -2 when it has another dimension. */
double golden_cosine(const golden_clip *clip, const vx_embedding *embedding);

#endif
