/* cmd.c - what the commands share: exit codes, the engine by settings, a recording to an embedding. */
#include "edge/cmd.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/audio/decode.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/engine/engine_settings.h"

/* A minute of 8-channel float audio at 192 kHz is 369 MB; nothing larger can be accepted anyway. */
#define MAX_FILE_BYTES ((size_t)384 << 20)

int vx_exit_code(vx_err err)
{
    switch (err) {
    case VX_OK: return VX_EXIT_OK;
    case VX_ERR_OPTION_UNKNOWN:
    case VX_ERR_OPTION_VALUE: return VX_EXIT_USAGE;
    case VX_ERR_AUDIO_FORMAT:
    case VX_ERR_AUDIO_CORRUPT:
    case VX_ERR_AUDIO_EMPTY:
    case VX_ERR_AUDIO_SHORT:
    case VX_ERR_AUDIO_LONG:
    case VX_ERR_AUDIO_SILENT:
    case VX_ERR_AUDIO_NOT_FINITE:
    case VX_ERR_AUDIO_SCALE:
    case VX_ERR_AUDIO_RATE: return VX_EXIT_AUDIO;
    case VX_ERR_MODEL_MISSING:
    case VX_ERR_MODEL_CORRUPT:
    case VX_ERR_MODEL_HASH:
    case VX_ERR_MODEL_SHAPE:
    case VX_ERR_MODEL_MISMATCH: return VX_EXIT_MODEL;
    case VX_ERR_IO:
    case VX_ERR_NOT_FOUND:
    case VX_ERR_PERMISSION: return VX_EXIT_IO;
    default: return VX_EXIT_FAILED;
    }
}

int vx_cmd_fail(const char *what, vx_err err, const vx_errinfo *info)
{
    char line[VX_ERRINFO_LINE];
    vx_errinfo_line(info, err, line, sizeof line);
    /* An error about the file itself names it already. */
    if (what && !(info && strcmp(info->path, what) == 0))
        dprintf(STDERR_FILENO, "voxlock: %s: %s\n", what, line);
    else
        dprintf(STDERR_FILENO, "voxlock: %s\n", line);
    return vx_exit_code(err);
}

vx_err vx_cmd_engine_options(const vx_options *options, vx_engine_options *ret_engine, char *ret_folder,
                             size_t folder_cap, vx_errinfo *info)
{
    vx_engine_options engine;
    vx_err err = vx_engine_settings(options, &engine, ret_folder, folder_cap, info);
    if (err != VX_OK)
        return err;
    engine.threads = (int)vx_option_int(options, "VOXLOCK_THREADS");
    if (engine.threads == 0)
        engine.threads = vx_cpu_count();
    *ret_engine = engine;
    return VX_OK;
}

vx_err vx_cmd_open_engine(const vx_options *options, vx_engine **ret_engine, vx_errinfo *info)
{
    char folder[PATH_MAX];
    vx_engine_options engine;
    vx_engine_info about;
    vx_err err = vx_cmd_engine_options(options, &engine, folder, sizeof folder, info);
    if (err == VX_OK)
        err = vx_engine_open(folder, &engine, ret_engine, info);
    if (err != VX_OK)
        return err;
    vx_engine_get_info(*ret_engine, &about);
    if (about.degraded)
        dprintf(STDERR_FILENO, "voxlock: warning: %s\n", about.reason);
    return VX_OK;
}

vx_err vx_cmd_embed_file(vx_engine *engine, const char *path, vx_embedding *ret_embedding, vx_audio *ret_audio,
                         vx_errinfo *info)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, info);
    if (err == VX_OK)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, info);
    if (err == VX_OK)
        err = vx_engine_embed(engine, audio.samples, audio.n, ret_embedding, NULL, info);
    if (err == VX_OK) {
        *ret_audio = audio;
        ret_audio->samples = NULL;
    }
    vx_audio_done(&audio);
    vx_buf_wipe_done(&file);
    return err;
}
