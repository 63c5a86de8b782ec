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
#include "shared/base/private_file.h"
#include "shared/base/user_folder.h"

/* ---- folders ---------------------------------------------------------------------------------------------------- */

vx_err vx_agent_folder(char *const *environ_, const char *data_folder, char *ret_path, size_t cap, vx_errinfo *info)
{
#ifdef __APPLE__
    const char *runtime = NULL;
    (void)environ_;
#else
    const char *runtime = vx_user_path_variable(environ_, "XDG_RUNTIME_DIR");
#endif
    const vx_err err =
        runtime ? vx_path_join(runtime, "voxlock", ret_path, cap) : vx_path_join(data_folder, "", ret_path, cap);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "the path of the agent's folder is too long");
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
    memcpy(path, folder, len);
    path[len] = '\0';
    vx_err err = vx_private_folder_make(path, info);
    if (err != VX_OK)
        return err;
    if (lstat(path, &st) != 0)
        return vx_file_failed(path, "examine", info);
    if (!S_ISDIR(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it is not a folder");
    return vx_private_check(&st, path, info);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

vx_err vx_agent_open(const char *path, int flags, int *ret_fd, vx_errinfo *info)
{
    struct stat st;
    /* O_NONBLOCK: a FIFO in the file's place would hold the open until somebody writes to it. */
    const int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return vx_file_failed(path, "open", info);
    vx_err err = VX_OK;
    if (fstat(fd, &st) != 0)
        err = vx_file_failed(path, "examine", info);
    else if (!S_ISREG(st.st_mode))
        err = vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it is not a regular file");
    else
        err = vx_private_check(&st, path, info);
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
                  : vx_file_failed(path, "lock", info);
    /* The file stays when the agent ends: to remove it would let two agents lock two files of one name. */
    else if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        err = vx_file_failed(path, "write", info);
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
