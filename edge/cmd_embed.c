/* cmd_embed.c - voxlock embed: recordings to speaker embeddings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "shared/base/bytes.h"
#include "shared/base/json.h"

enum { FLAG_JSON = 1, FLAG_NPY = 2 };

/* One line of JSON for one file; a failure is a line too, so that lines and files stay in step. */
static vx_err print_json(const char *path, vx_err result, const vx_errinfo *info, const vx_embedding *embedding,
                         const vx_audio *audio)
{
    json_t *root = NULL;
    vx_buf line = {0};
    if (result == VX_OK) {
        char model[VX_DIGEST_TEXT];
        vx_model_digest_text(&embedding->model, model);
        root = json_pack("{s:o, s:o, s:s, s:f, s:i, s:f, s:f}", "file", vx_json_shown(path), "embedding",
                         vx_json_from_floats(embedding->values, (size_t)embedding->dim), "model", model, "seconds",
                         audio->seconds, "sample_rate", audio->source_rate, "level_dbfs", audio->level_dbfs,
                         "clipped_share", audio->clipped_share);
    } else {
        root = json_pack("{s:o, s:s, s:o}", "file", vx_json_shown(path), "code", vx_err_code(result), "error",
                         vx_json_shown(vx_errinfo_text(info, result)));
    }
    vx_err err = root ? vx_json_write(root, &line) : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = vx_buf_append(&line, "\n", 1);
    if (err == VX_OK && fwrite(line.data, 1, line.len, stdout) != line.len)
        err = VX_ERR_IO;
    json_decref(root);
    vx_buf_wipe_done(&line);
    return err;
}

/* NumPy's format 1.0: magic, header padded to 64 bytes, then [files, dim] little-endian float32. */
static vx_err print_npy(const float *rows, size_t n_rows, size_t dim)
{
    char header[128];
    int n =
        snprintf(header, sizeof header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", n_rows, dim);
    const int padded = 118; /* 10 bytes of preamble and the header end at a multiple of 64 */
    memset(header + n, ' ', (size_t)(padded - 1 - n));
    header[padded - 1] = '\n';
    const uint8_t preamble[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)padded, 0};
    if (fwrite(preamble, 1, sizeof preamble, stdout) != sizeof preamble ||
        fwrite(header, 1, (size_t)padded, stdout) != (size_t)padded ||
        fwrite(rows, sizeof *rows, n_rows * dim, stdout) != n_rows * dim)
        return VX_ERR_IO;
    return VX_OK;
}

/* The first recording, which is decoded before the engine is there and embedded while its weights are being proven. Not one
 * from standard input: the engine opens while that still comes. */
typedef struct {
    bool is_read;
    vx_engine_first clip;
    vx_audio audio;
    vx_errinfo info;
    vx_err err;
} first_file;

static void read_first(const char *path, first_file *ret)
{
    ret->is_read = strcmp(path, "-") != 0;
    if (!ret->is_read)
        return;
    ret->err = vx_cmd_read_audio(path, &ret->audio, &ret->info);
    ret->clip.clip = (vx_clip){ret->audio.samples, ret->audio.n};
}

/* What vx_cmd_embed_file would have said of it. */
static vx_err take_first(const first_file *first, vx_embedding *ret_embedding, vx_audio *ret_audio, vx_errinfo *info)
{
    if (first->err != VX_OK) {
        *info = first->info;
        return first->err;
    }
    *info = first->clip.info;
    *ret_embedding = first->clip.embedding;
    *ret_audio = first->audio;
    ret_audio->samples = NULL;
    return first->clip.err;
}

static vx_err embed_file(vx_engine *engine, const first_file *first, const char *const *paths, int i,
                         vx_embedding *ret_embedding, vx_audio *ret_audio, vx_errinfo *info)
{
    return i == 0 && first->is_read ? take_first(first, ret_embedding, ret_audio, info)
                                    : vx_cmd_embed_file(engine, paths[i], ret_embedding, ret_audio, info);
}

/* A line for each file, as soon as it is done. A file that fails does not stop the others. */
static int embed_lines(vx_engine *engine, const first_file *first, bool json, const char *const *paths, int n_paths)
{
    int code = VX_EXIT_OK;
    for (int i = 0; i < n_paths; i++) {
        vx_embedding embedding = {0};
        vx_audio audio = {0};
        vx_errinfo info = {0};
        vx_err result = embed_file(engine, first, paths, i, &embedding, &audio, &info), written = VX_OK;
        if (result != VX_OK)
            code = vx_cmd_fail(paths[i], result, &info);
        if (json)
            written = print_json(paths[i], result, &info, &embedding, &audio);
        else if (result == VX_OK)
            printf("%s: %d numbers from %.2f s at %.1f dBFS; --json or --npy prints them\n", paths[i], embedding.dim,
                   audio.seconds, audio.level_dbfs);
        vx_embedding_wipe(&embedding);
        if (written != VX_OK)
            return vx_cmd_fail("writing the answer", written, NULL);
    }
    return code;
}

/* One array of all files, or nothing. */
static int embed_npy(vx_engine *engine, const first_file *first, size_t dim, const char *const *paths, int n_paths)
{
    const size_t n_values = dim * (size_t)n_paths;
    float *rows = calloc(n_values, sizeof *rows);
    if (!rows)
        return vx_cmd_fail(NULL, VX_ERR_NOMEM, NULL);
    int code = VX_EXIT_OK;
    for (int i = 0; i < n_paths && code == VX_EXIT_OK; i++) {
        vx_embedding embedding = {0};
        vx_audio audio = {0};
        vx_errinfo info = {0};
        vx_err err = embed_file(engine, first, paths, i, &embedding, &audio, &info);
        if (err == VX_OK)
            memcpy(rows + (size_t)i * dim, embedding.values, dim * sizeof *rows);
        else
            code = vx_cmd_fail(paths[i], err, &info);
        vx_embedding_wipe(&embedding);
    }
    if (code == VX_EXIT_OK) {
        vx_err err = print_npy(rows, (size_t)n_paths, dim);
        if (err != VX_OK)
            code = vx_cmd_fail("writing the answer", err, NULL);
    }
    vx_wipe(rows, n_values * sizeof *rows);
    free(rows);
    return code;
}

static int run(const vx_cmd_call *call)
{
    vx_engine *engine = NULL;
    vx_errinfo info = {0};
    if (call->flags == (FLAG_JSON | FLAG_NPY)) {
        vx_err err = vx_errinfo_set(&info, VX_ERR_OPTION_VALUE, "use --json or --npy, not both");
        return vx_cmd_fail("embed", err, &info);
    }
    first_file first = {0};
    read_first(call->operands[0], &first);
    vx_err err =
        vx_cmd_open_engine(call->options, first.is_read && first.err == VX_OK ? &first.clip : NULL, &engine, &info);
    int code;
    if (err != VX_OK) {
        code = vx_cmd_fail(NULL, err, &info);
    } else {
        vx_engine_info about;
        vx_engine_get_info(engine, &about);
        code = call->flags & FLAG_NPY
                   ? embed_npy(engine, &first, (size_t)about.dim, call->operands, call->n_operands)
                   : embed_lines(engine, &first, call->flags & FLAG_JSON, call->operands, call->n_operands);
    }
    vx_engine_close(engine);
    vx_audio_done(&first.audio);
    vx_embedding_wipe(&first.clip.embedding);
    return code;
}

const vx_cmd vx_cmd_embed = {
    .name = "embed",
    .usage = "FILE... [--json | --npy]",
    .help = "Compute the speaker embedding of each recording (WAV, FLAC, OGG, MP3; - is standard input).",
    .flags = {{"--json", "one JSON object a line for each file: file, embedding, model, seconds", NULL},
              {"--npy", "one NumPy array [files, numbers] of float32; nothing is written if a file fails", NULL}},
    .min_operands = 1,
    .max_operands = -1,
    .run = run,
};
