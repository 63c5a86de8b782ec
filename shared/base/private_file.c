/* private_file.c - mode 0700, and the questions before something in a place is trusted. */
#include "shared/base/private_file.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/file.h"

vx_err vx_private_folder_make(const char *folder, vx_errinfo *info)
{
    char path[PATH_MAX];
    const size_t len = strlen(folder);
    if (len == 0 || len >= sizeof path)
        return vx_errinfo_set_at(info, VX_ERR_RANGE, folder, -1, 0, "the folder's path is empty or too long");
    for (size_t n = 1; n <= len; n++) {
        struct stat st;
        if (folder[n] != '/' && folder[n] != '\0')
            continue;
        memcpy(path, folder, n);
        path[n] = '\0';
        /* What is there already may be refused in other ways than EEXIST: "/" is, on macOS. */
        if (stat(path, &st) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
            return vx_file_failed(path, "make", info);
    }
    return VX_OK;
}

vx_err vx_private_check(const struct stat *st, const char *path, vx_errinfo *info)
{
    if (st->st_uid != geteuid())
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0, "it belongs to another user");
    if ((st->st_mode & 077) != 0)
        return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0,
                                 "it is open to other users (mode %03o); run: chmod %s %.160s",
                                 (unsigned)st->st_mode & 0777, S_ISDIR(st->st_mode) ? "700" : "600", path);
    return VX_OK;
}
