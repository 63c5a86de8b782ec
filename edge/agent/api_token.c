/* api_token.c - the secret that programs of this user show to the HTTP API. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "edge/agent/api.h"
#include "edge/agent/place.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"

enum { TOKEN_BYTES = VX_API_TOKEN_CHARS / 2 };

static vx_err read_token(const char *path, char ret[VX_API_TOKEN_CHARS + 1], vx_errinfo *info)
{
    char text[VX_API_TOKEN_CHARS + 2];
    uint8_t bytes[TOKEN_BYTES];
    int fd = -1;
    vx_err err = vx_agent_open(path, O_RDONLY, &fd, info);
    if (err != VX_OK)
        return err;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n == VX_API_TOKEN_CHARS + 1 && text[n - 1] == '\n')
        n--;
    if (n == VX_API_TOKEN_CHARS && vx_unhex(text, TOKEN_BYTES, bytes)) {
        memcpy(ret, text, VX_API_TOKEN_CHARS);
        ret[VX_API_TOKEN_CHARS] = '\0';
    } else
        err = vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0,
                                "it does not hold 64 hexadecimal digits; remove it, and a new one is made");
    vx_wipe(text, sizeof text);
    vx_wipe(bytes, sizeof bytes);
    return err;
}

/* Under another name until it is whole: a token cut short by a full disk would lock everybody out. */
static vx_err write_token(const char *path, const char *token, vx_errinfo *info)
{
    char fresh[PATH_MAX + 8];
    int fd = -1;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    (void)unlink(fresh);
    vx_err err = vx_agent_open(fresh, O_WRONLY | O_CREAT | O_EXCL, &fd, info);
    if (err != VX_OK)
        return err;
    if (write(fd, token, VX_API_TOKEN_CHARS) != VX_API_TOKEN_CHARS || fsync(fd) != 0)
        err = vx_file_failed(fresh, "write", info);
    close(fd);
    if (err == VX_OK && rename(fresh, path) != 0)
        err = vx_file_failed(path, "make", info);
    if (err != VX_OK)
        (void)unlink(fresh);
    return err;
}

vx_err vx_api_token(const char *data_folder, char ret[VX_API_TOKEN_CHARS + 1], vx_errinfo *info)
{
    char path[PATH_MAX], token[VX_API_TOKEN_CHARS + 1];
    uint8_t bytes[TOKEN_BYTES];
    vx_errinfo cause = {0};
    if (vx_path_join(data_folder, VX_API_TOKEN_FILE, path, sizeof path) != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, data_folder, -1, 0, "the folder's path is too long");
    vx_err err = read_token(path, ret, &cause);
    if (err != VX_ERR_NOT_FOUND) {
        if (err != VX_OK && info && info->code == VX_OK)
            *info = cause;
        return err;
    }
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return vx_errinfo_set(info, VX_ERR_INTERNAL, "the system gives no randomness for a token");
    vx_hex(bytes, sizeof bytes, token);
    err = write_token(path, token, info);
    if (err == VX_OK)
        memcpy(ret, token, sizeof token);
    vx_wipe(bytes, sizeof bytes);
    vx_wipe(token, sizeof token);
    return err;
}
