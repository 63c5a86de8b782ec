/* countermeasure_features.c - what the countermeasure is shown of recordings, for models/train_countermeasure.py.
 * Usage:  countermeasure_features <LIST >FEATURES, one path a line, absolute or from here.
 *         For each path in turn, native byte order: uint32 frames, float32 [frames][1 + rows]: whether the frame holds
 *         speech (1 or 0), then the rows before their bands are levelled. 0 frames: unusable, and stderr says why.
 * Owns:   nothing that the device does not do. Does not: train.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/countermeasure_features.h"
#include "shared/audio/decode.h"
#include "shared/base/file.h"

#define MAX_FILE_BYTES ((size_t)1 << 28)
#define PATH_CAP       4096

static bool write_frames(const vx_spectrogram *s, const vx_trace_stretch *stretch, const float *rows)
{
    const uint32_t n = (uint32_t)stretch->n;
    bool ok = fwrite(&n, sizeof n, 1, stdout) == 1;
    for (size_t t = 0; ok && t < stretch->n; t++) {
        float column[1 + VX_TRACE_ROWS];
        column[0] = s->speech[stretch->first + t] ? 1.0F : 0.0F;
        for (size_t row = 0; row < VX_TRACE_ROWS; row++)
            column[1 + row] = rows[row * stretch->n + t];
        ok = fwrite(column, sizeof column, 1, stdout) == 1;
    }
    return ok;
}

static vx_err measure(const char *path, bool *ret_written)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    vx_spectrogram spectrogram = {0};
    vx_trace_stretch stretch;
    float *rows = NULL;
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, NULL);
    if (err == VX_OK)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL);
    if (err == VX_OK)
        err = vx_spectrogram_compute(audio.samples, audio.n, &spectrogram);
    if (err == VX_OK)
        err = vx_trace_choose(&spectrogram, &stretch);
    if (err == VX_OK && (rows = calloc(stretch.n, VX_TRACE_ROWS * sizeof *rows)) == NULL)
        err = VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_trace_measure(audio.samples, audio.n, &spectrogram, &stretch, rows, stretch.n);
    if (err == VX_OK)
        *ret_written = write_frames(&spectrogram, &stretch, rows);
    free(rows);
    vx_spectrogram_done(&spectrogram);
    vx_audio_done(&audio);
    vx_buf_done(&file);
    return err;
}

int main(void)
{
    static char path[PATH_CAP];
    bool written = true;
    while (written && fgets(path, sizeof path, stdin) != NULL) {
        path[strcspn(path, "\n")] = '\0';
        const vx_err err = measure(path, &written);
        if (err != VX_OK) {
            const uint32_t none = 0;
            fprintf(stderr, "countermeasure_features: %s: %s\n", path, vx_err_sentence(err));
            written = fwrite(&none, sizeof none, 1, stdout) == 1;
        }
    }
    if (!written || fflush(stdout) != 0) {
        perror("countermeasure_features");
        return 1;
    }
    return 0;
}
