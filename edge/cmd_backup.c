/* cmd_backup.c - voxlock backup and restore: everything in one file, under a passphrase. */
#include <string.h>

#include "edge/cmd.h"
#include "edge/runtime.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"

enum { PASSPHRASE = 0, MAX_PASSPHRASE = 65536 };

/* The first line of a file, so that the passphrase stands neither in the list of processes nor in a shell's history.
 * ret [out] zero-terminated; the caller wipes it */
static vx_err read_passphrase(const vx_cmd_call *call, vx_buf *ret, vx_errinfo *info)
{
    const char *path = call->values[PASSPHRASE] ? call->values[PASSPHRASE] : "-";
    vx_err err = vx_file_read(path, MAX_PASSPHRASE, ret, info);
    if (err == VX_OK)
        err = vx_buf_append(ret, "\n", 2);
    if (err != VX_OK)
        return err;
    uint8_t *end = memchr(ret->data, '\n', ret->len);
    if (end > ret->data && end[-1] == '\r')
        end--;
    *end = '\0';
    if (memchr(ret->data, '\0', ret->len) != end)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the passphrase holds a zero byte: choose one of text");
    return VX_OK;
}

static int run_backup(const vx_cmd_call *call)
{
    vx_runtime runtime;
    vx_buf passphrase = {0};
    vx_errinfo info = {0};
    vx_err err = vx_runtime_open(call->options, call->environment, VX_RUNTIME_STORE, &runtime, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);
    err = read_passphrase(call, &passphrase, &info);
    if (err == VX_OK)
        err = vx_store_backup(runtime.store, call->operands[0], (const char *)passphrase.data, &info);
    vx_buf_wipe_done(&passphrase);
    vx_runtime_close(&runtime);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, &info);
}

static int run_restore(const vx_cmd_call *call)
{
    char folder[1000];
    vx_buf passphrase = {0};
    vx_errinfo info = {0};
    vx_err err = vx_runtime_data_folder(call->options, call->environment, folder, sizeof folder, &info);
    if (err == VX_OK)
        err = read_passphrase(call, &passphrase, &info);
    if (err == VX_OK) {
        const vx_store_options store = {.folder = folder,
                                        .keyring = vx_keyring_kind_of(vx_option_text(call->options, "VOXLOCK_KEYRING")),
                                        .create = true,
                                        .busy_ms = VX_STORE_BUSY_MS};
        err = vx_store_restore(&store, call->operands[0], (const char *)passphrase.data, &info);
    }
    vx_buf_wipe_done(&passphrase);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, &info);
}

const vx_cmd vx_cmd_backup = {
    .name = "backup",
    .usage = "FILE [--passphrase-file PATH]",
    .help = "Write the whole profile store into one file under a passphrase, which is read from standard input.",
    .flags = {{"--passphrase-file", "its first line is the passphrase; - is standard input", "PATH"}},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_backup,
};

const vx_cmd vx_cmd_restore = {
    .name = "restore",
    .usage = "FILE [--passphrase-file PATH]",
    .help = "Make the profile store from a backup; the one that is there is kept beside it.",
    .flags = {{"--passphrase-file", "its first line is the passphrase; - is standard input", "PATH"}},
    .min_operands = 1,
    .max_operands = 1,
    .run = run_restore,
};
