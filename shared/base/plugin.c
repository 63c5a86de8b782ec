/* plugin.c - finds and loads a plugin. */
#include "shared/base/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/exe.h"

/* Beside the program; beside its parent (test and bench programs lie a folder deeper); where an install puts it. */
static const char *const places[] = {"", "/..", "/../lib/voxlock"};

/* A program may have been unpacked where others can put a file beside it, /tmp say: what they put there would run as us.
 */
static bool is_ours(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) && (st.st_mode & S_IWOTH) == 0;
}

vx_err vx_plugin_load(const char *file, const char *symbol, const void **ret_symbol, vx_errinfo *info)
{
    char folder[PATH_MAX / 2], path[PATH_MAX];
    vx_err err = vx_exe_folder(folder, sizeof folder);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "cannot find the program's own folder to load %s.so from", file);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s/%s.so", folder, places[i], file);
        if (access(path, R_OK) != 0)
            continue;
        if (!is_ours(path))
            return vx_errinfo_set_at(info, VX_ERR_PERMISSION, path, -1, 0,
                                     "not loaded: it belongs to another user, or others may write to it");
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, path, -1, 0, "%s", dlerror());
        const void *found = dlsym(handle, symbol);
        if (!found)
            return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, path, -1, 0, "not a plugin of this version");
        *ret_symbol = found;
        return VX_OK;
    }
    return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "this build has no %s.so", file);
}
