/* cmd.c - what the commands share: exit codes, output, the engine by settings, a recording to an embedding. */
#include "edge/cmd.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/show.h"
#include "shared/audio/decode.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"
#include "shared/base/json.h"
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
    case VX_ERR_AUDIO_RATE:
    case VX_ERR_AUDIO_NO_SPEECH:
    case VX_ERR_AUDIO_QUIET:
    case VX_ERR_AUDIO_CLIPPED:
    case VX_ERR_AUDIO_NOISY:
    case VX_ERR_ENROL_VOICE:
    case VX_ERR_ENROL_TAKEN: return VX_EXIT_AUDIO;
    case VX_ERR_MODEL_MISSING:
    case VX_ERR_MODEL_CORRUPT:
    case VX_ERR_MODEL_HASH:
    case VX_ERR_MODEL_SHAPE:
    case VX_ERR_MODEL_MISMATCH: return VX_EXIT_MODEL;
    case VX_ERR_IO:
    case VX_ERR_NOT_FOUND:
    case VX_ERR_PERMISSION: return VX_EXIT_IO;
    case VX_ERR_STORE_CORRUPT:
    case VX_ERR_STORE_KEY:
    case VX_ERR_STORE_VERSION:
    case VX_ERR_STORE_LOCKED:
    case VX_ERR_AUDIT_BROKEN: return VX_EXIT_STORE;
    case VX_ERR_NETWORK:
    case VX_ERR_CLOUD_REFUSED:
    case VX_ERR_CLOUD_ANSWER:
    case VX_ERR_CIRCUIT_OPEN:
    case VX_ERR_TOKEN: return VX_EXIT_CLOUD;
    case VX_ERR_NOT_ENROLLED: return VX_EXIT_UNDECIDED;
    default: return VX_EXIT_FAILED;
    }
}

int vx_exit_of_verdict(vx_verdict verdict)
{
    switch (verdict) {
    case VX_AUTHENTICATE: return VX_EXIT_OK;
    case VX_CHALLENGE: return VX_EXIT_CHALLENGE;
    case VX_REJECT: return VX_EXIT_REJECT;
    case VX_ESCALATE: return VX_EXIT_ESCALATE;
    default: return VX_EXIT_UNDECIDED;
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

int vx_cmd_misused(const char *fmt, ...)
{
    char text[VX_ERRINFO_LINE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    dprintf(STDERR_FILENO, "voxlock: %s\n", text);
    return VX_EXIT_USAGE;
}

int vx_cmd_print(json_t *root, bool json)
{
    vx_buf text = {0};
    vx_err err = root ? VX_OK : VX_ERR_NOMEM;
    if (err == VX_OK)
        err = json ? vx_json_write(root, &text) : vx_show(root, &text);
    if (err == VX_OK && json)
        err = vx_buf_append(&text, "\n", 1);
    if (err == VX_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        err = VX_ERR_IO;
    json_decref(root);
    vx_buf_done(&text);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail("writing the answer", err, NULL);
}

vx_err vx_cmd_share(const char *flag, const char *text, double *ret, vx_errinfo *info)
{
    json_t *number = NULL;
    double value = -1;
    /* JSON's numbers know no locale, no NaN and no hexadecimal. */
    if (vx_json_parse(text, strlen(text), (vx_json_limits){1, 1}, &number, NULL) == VX_OK && json_is_number(number))
        value = json_number_value(number);
    json_decref(number);
    if (!(value >= 0 && value <= 1))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s takes a number from 0 to 1, not '%.40s'", flag, text);
    *ret = value;
    return VX_OK;
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

vx_err vx_cmd_open_engine(const vx_options *options, vx_engine_first *first, vx_engine **ret_engine, vx_errinfo *info)
{
    char folder[PATH_MAX];
    vx_engine_options engine;
    vx_engine_info about;
    vx_err err = vx_cmd_engine_options(options, &engine, folder, sizeof folder, info);
    engine.first = first;
    if (err == VX_OK)
        err = vx_engine_open(folder, &engine, ret_engine, info);
    if (err != VX_OK)
        return err;
    vx_engine_get_info(*ret_engine, &about);
    if (about.degraded)
        dprintf(STDERR_FILENO, "voxlock: warning: %s\n", about.reason);
    return VX_OK;
}

vx_err vx_cmd_read_audio(const char *path, vx_audio *ret_audio, vx_errinfo *info)
{
    vx_buf file = {0};
    vx_err err = vx_file_read(path, MAX_FILE_BYTES, &file, info);
    if (err == VX_OK)
        err = vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, ret_audio, info);
    vx_buf_wipe_done(&file);
    return err;
}

vx_err vx_cmd_embed_file(vx_engine *engine, const char *path, vx_embedding *ret_embedding, vx_audio *ret_audio,
                         vx_errinfo *info)
{
    vx_audio audio = {0};
    vx_err err = vx_cmd_read_audio(path, &audio, info);
    if (err == VX_OK)
        err = vx_engine_embed(engine, audio.samples, audio.n, ret_embedding, NULL, info);
    if (err == VX_OK) {
        *ret_audio = audio;
        ret_audio->samples = NULL;
    }
    vx_audio_done(&audio);
    return err;
}
