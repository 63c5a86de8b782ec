/* golden.c - reads the golden recordings. */
#include "tests/support/golden.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/file.h"

#define GOLDEN   "tests/data/golden"
#define MAX_FILE ((size_t)1 << 20)

bool golden_load(golden_clip ret_clips[GOLDEN_CLIPS])
{
    static const char *const names[GOLDEN_CLIPS] = {"a", "b", "c"};
    memset(ret_clips, 0, GOLDEN_CLIPS * sizeof *ret_clips);
    for (int i = 0; i < GOLDEN_CLIPS; i++) {
        char path[64];
        vx_buf file = {0};
        vx_errinfo info = {0};
        ret_clips[i].name = names[i];
        snprintf(path, sizeof path, GOLDEN "/%s.wav", names[i]);
        vx_err err = vx_file_read(path, MAX_FILE, &file, &info);
        if (err == VX_OK)
            err = vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &ret_clips[i].audio, &info);
        vx_buf_done(&file);
        if (err != VX_OK) {
            fprintf(stderr, "%s: %s\n", path, vx_errinfo_text(&info, err));
            return false;
        }
        snprintf(path, sizeof path, GOLDEN "/%s.embedding.npy", names[i]);
        if (!npy_load(path, &ret_clips[i].embedding))
            return false;
    }
    return true;
}

void golden_done(golden_clip clips[GOLDEN_CLIPS])
{
    for (int i = 0; i < GOLDEN_CLIPS; i++) {
        vx_audio_done(&clips[i].audio);
        npy_done(&clips[i].embedding);
    }
}

double golden_cosine(const golden_clip *clip, const vx_embedding *embedding)
{
    double dot = 0, length = 0;
    if ((size_t)embedding->dim != clip->embedding.n_values)
        return -2;
    for (size_t i = 0; i < clip->embedding.n_values; i++) {
        dot += (double)embedding->values[i] * clip->embedding.data[i];
        length += (double)clip->embedding.data[i] * clip->embedding.data[i];
    }
    return dot / sqrt(length);
}
