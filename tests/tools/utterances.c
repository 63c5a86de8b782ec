/* utterances.c - embeddings of recordings as enrolment and verification compute them.
 * Usage:  utterances MODEL_FOLDER FILE...
 *         Prints the lines of `voxlock embed --json`, of the utterance instead of the whole recording, and what was
 *         measured of it: {"file", "embedding", "model", "seconds", "speech_s", "snr_db"}.
 * Owns:   nothing that the device does not do: it decodes, finds the voice and embeds it with native f32.
 *         Does not: judge the quality.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "edge/capture/quality.h"
#include "shared/audio/decode.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
#include "shared/engine/engine.h"

#define MAX_FILE_BYTES ((size_t)1 << 28)
#define MIN_SAMPLES    ((size_t)(VX_AUDIO_MIN_S * VX_AUDIO_RATE))

static bool print_line(const char *path, const vx_embedding *embedding, const vx_audio *audio,
                       const vx_quality *quality)
{
    char model[VX_DIGEST_TEXT];
    vx_buf line = {0};
    vx_model_digest_text(&embedding->model, model);
    json_t *root = json_pack("{s:s, s:o, s:s, s:f, s:f, s:f}", "file", path, "embedding",
                             vx_json_from_floats(embedding->values, (size_t)embedding->dim), "model", model, "seconds",
                             audio->seconds, "speech_s", quality->speech_s, "snr_db", quality->snr_db);
    const bool ok = root && !vx_json_write(root, &line) && !vx_buf_append(&line, "\n", 1) &&
                    fwrite(line.data, 1, line.len, stdout) == line.len;
    json_decref(root);
    vx_buf_wipe_done(&line);
    return ok;
}

static bool embed(vx_engine *engine, const char *path)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    vx_errinfo info = {0};
    vx_span span;
    vx_quality quality;
    vx_embedding embedding = {0};
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, &info);
    if (!err)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, &info);
    if (!err)
        err = vx_quality_measure(audio.samples, audio.n, &span, &quality);
    if (!err && span.end - span.begin < MIN_SAMPLES)
        span = (vx_span){0, audio.n};
    if (!err)
        err = vx_engine_embed(engine, audio.samples + span.begin, span.end - span.begin, &embedding, NULL, &info);
    const bool ok = !err && print_line(path, &embedding, &audio, &quality);
    if (!ok)
        fprintf(stderr, "utterances: %s: %s\n", path, vx_errinfo_text(&info, err));
    vx_embedding_wipe(&embedding);
    vx_audio_done(&audio);
    vx_buf_wipe_done(&file);
    return ok;
}

int main(int argc, char **argv)
{
    vx_engine_options options = vx_engine_options_default();
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    bool ok = true;
    if (argc < 3) {
        fputs("usage: utterances MODEL_FOLDER FILE...\n", stderr);
        return 2;
    }
    options.strategy = "native";
    options.precision = VX_PRECISION_F32;
    const vx_err err = vx_engine_open(argv[1], &options, &engine, &info);
    if (err) {
        fprintf(stderr, "utterances: %s: %s\n", argv[1], vx_errinfo_text(&info, err));
        return 1;
    }
    for (int i = 2; i < argc && ok; i++)
        ok = embed(engine, argv[i]);
    vx_engine_close(engine);
    return ok ? 0 : 1;
}
