/* place.c - folders and files that only the user can reach, and the lock of the one agent. */
#include "edge/agent/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/file.h"

static vx_err err_of(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR: return VX_ERR_NOT_FOUND;
    case EEXIST: return VX_ERR_EXISTS;
    case EACCES:
    case EPERM:
    case ELOOP: return VX_ERR_PERMISSION;
    case ENOMEM: return VX_ERR_NOMEM;
    default: return VX_ERR_IO;
    }
}

vx_err vx_agent_failed(const char *path, const char *doing, vx_errinfo *info)
{
    const int reason = errno;
    return vx_errinfo_set_at(info, err_of(reason), path, -1, 0, "cannot %s: %s", doing, strerror(reason));
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */

#ifndef __APPLE__
/* A variable's value when it is an absolute path, as the XDG specification wants it; else NULL. */
static const char *absolute(char *const *environ_, const char *name)
{
    const size_t len = strlen(name);
    for (; environ_ && *environ_; environ_++)
        if (strncmp(*environ_, name, len) == 0 && (*environ_)[len] == '=')
            return (*environ_)[len + 1] == '/' ? *environ_ + len + 1 : NULL;
    return NULL;
}
#endif

vx_err vx_agent_folder(char *const *environ_, const char *data_folder, char *ret_path, size_t cap, vx_errinfo *info)
{
#ifdef __APPLE__
    const char *runtime = NULL;
    (void)environ_;
#else
    const char *runtime = absolute(environ_, "XDG_RUNTIME_DIR");
#endif
    const vx_err err =
        runtime ? vx_path_join(runtime, "voxlock", ret_path, cap) : vx_path_join(data_folder, "", ret_path, cap);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "the path of the agent's folder is too long");
}

static vx_err check_private(const struct stat *st, const char *path, const char *mode, vx_errinfo *info)
{
    if (st->st_uid != geteuid())
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it belongs to another user");
    if ((st->st_mode & 077) != 0)
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0,
                                 "it is open to other users (mode %03o); run: chmod %s %.160s",
                                 (unsigned)st->st_mode & 0777, mode, path);
    return VX_OK;
}

vx_err vx_agent_take_folder(const char *folder, vx_errinfo *info)
{
    char path[PATH_MAX];
    struct stat st;
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') /* lstat would follow a link with a slash behind it */
        len--;
    if (len == 0 || len >= sizeof path)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, folder, -1, 0, "the folder's path is empty or too long");
    for (size_t n = 1; n <= len; n++) {
        if (n < len && folder[n] != '/')
            continue;
        memcpy(path, folder, n);
        path[n] = '\0';
        if (stat(path, &st) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
            return vx_agent_failed(path, "make", info);
    }
    if (lstat(path, &st) != 0)
        return vx_agent_failed(path, "examine", info);
    if (!S_ISDIR(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it is not a folder");
    return check_private(&st, path, "700", info);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

vx_err vx_agent_open(const char *path, int flags, int *ret_fd, vx_errinfo *info)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO in the file's place would hold the open until somebody writes to it. */
    const int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return vx_agent_failed(path, "open", info);
    vx_err err = VX_OK;
    if (fstat(fd, &st) != 0)
        err = vx_agent_failed(path, "examine", info);
    else if (!S_ISREG(st.st_mode))
        err = vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it is not a regular file");
    else
        err = check_private(&st, path, "600", info);
    if (err != VX_OK) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return VX_OK;
}

/* ---- the one agent ---------------------------------------------------------------------------------------------- */

static pid_t read_pid(int fd)
{
    char text[16] = "";
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    const long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    return pid > 0 && pid < INT_MAX ? (pid_t)pid : 0;
}

vx_err vx_agent_take_lock(const char *folder, int *ret_fd, vx_errinfo *info)
{
    char path[PATH_MAX], text[16];
    int fd = -1;
    if (vx_path_join(folder, VX_AGENT_LOCK, path, sizeof path) != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, folder, -1, 0, "the folder's path is too long");
    vx_err err = vx_agent_open(path, O_RDWR | O_CREAT, &fd, info);
    if (err != VX_OK)
        return err;
    const int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        err = errno == EWOULDBLOCK
                  ? vx_errinfo_set_at(info, VX_ERR_EXISTS, path, -1, 0,
                                      "an agent of this user runs already (process %ld)", (long)read_pid(fd))
                  : vx_agent_failed(path, "lock", info);
    /* The file stays when the agent ends: to remove it would let two agents lock two files of one name. */
    else if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        err = vx_agent_failed(path, "write", info);
    if (err != VX_OK) {
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return VX_OK;
}

pid_t vx_agent_holder(const char *folder)
{
    char path[PATH_MAX];
    int fd = -1;
    pid_t pid = 0;
    if (vx_path_join(folder, VX_AGENT_LOCK, path, sizeof path) != VX_OK ||
        vx_agent_open(path, O_RDONLY, &fd, NULL) != VX_OK)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        pid = read_pid(fd);
    close(fd);
    return pid;
}
