/* log_file.c - rotation by rename, and dup2 onto the descriptor that everybody writes to. */
#include "edge/agent/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "shared/base/file.h"

struct vx_log_file {
    int fd;
    size_t max_bytes;
    char path[PATH_MAX];
};

enum { OPEN_FLAGS = O_WRONLY | O_APPEND | O_CREAT };

vx_err vx_log_file_open(const char *path, size_t max_bytes, vx_log_file **ret_file, vx_errinfo *info)
{
    /* Room for ".3". */
    if (strlen(path) + 2 >= PATH_MAX)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, path, -1, 0, "the path is too long");
    vx_log_file *file = calloc(1, sizeof *file);
    if (!file)
        return VX_ERR_NOMEM;
    file->max_bytes = max_bytes ? max_bytes : VX_LOG_FILE_BYTES;
    memcpy(file->path, path, strlen(path) + 1);
    const vx_err err = vx_agent_open(path, OPEN_FLAGS, &file->fd, info);
    if (err != VX_OK) {
        free(file);
        return err;
    }
    *ret_file = file;
    return VX_OK;
}

void vx_log_file_close(vx_log_file *file)
{
    if (!file)
        return;
    close(file->fd);
    free(file);
}

int vx_log_file_fd(const vx_log_file *file)
{
    return file->fd;
}

/* "path" for 0, "path.2" for 2. */
static void name_of(const vx_log_file *file, int number, char ret[PATH_MAX + 16])
{
    if (number == 0)
        snprintf(ret, PATH_MAX + 16, "%s", file->path);
    else
        snprintf(ret, PATH_MAX + 16, "%s.%d", file->path, number);
}

static vx_err put_away(const vx_log_file *file, vx_errinfo *info)
{
    char from[PATH_MAX + 16], to[PATH_MAX + 16];
    for (int i = VX_LOG_FILES_KEPT; i > 0; i--) {
        name_of(file, i - 1, from);
        name_of(file, i, to);
        if (rename(from, to) != 0 && errno != ENOENT)
            return vx_file_failed(from, "rename", info);
    }
    return VX_OK;
}

static vx_err begin_anew(vx_log_file *file, vx_errinfo *info)
{
    int fd = -1;
    vx_err err = vx_agent_open(file->path, OPEN_FLAGS, &fd, info);
    if (err != VX_OK)
        return err;
    /* dup2 changes at once what the number means: a write goes whole to the one file or the other. It clears the flag
     * that keeps the file from programs that the agent starts; a program started right now inherits a log to append to,
     * of its own user, and no more. */
    if (dup2(fd, file->fd) < 0 || fcntl(file->fd, F_SETFD, FD_CLOEXEC) != 0)
        err = vx_file_failed(file->path, "switch to", info);
    close(fd);
    return err;
}

vx_err vx_log_file_tend(vx_log_file *file, vx_errinfo *info)
{
    struct stat open_one, named;
    if (fstat(file->fd, &open_one) != 0)
        return vx_file_failed(file->path, "examine", info);
    const bool is_there =
        lstat(file->path, &named) == 0 && named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev;
    if (!is_there)
        return begin_anew(file, info);
    if (open_one.st_size < 0 || (size_t)open_one.st_size < file->max_bytes)
        return VX_OK;
    const vx_err err = put_away(file, info);
    return err == VX_OK ? begin_anew(file, info) : err;
}
