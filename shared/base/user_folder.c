/* user_folder.c - HOME, the XDG base folders, and Apple's Application Support. */
#include "shared/base/user_folder.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *vx_user_path_variable(char *const *environ_, const char *name)
{
    const size_t len = strlen(name);
    for (; environ_ && *environ_; environ_++)
        if (strncmp(*environ_, name, len) == 0 && (*environ_)[len] == '=')
            return (*environ_)[len + 1] == '/' ? *environ_ + len + 1 : NULL;
    return NULL;
}

static vx_err put(char *ret_path, size_t cap, vx_errinfo *info, const char *folder, const char *below)
{
    char path[1024];
    const int len = snprintf(path, sizeof path, "%s%s", folder, below);
    if (len < 0 || (size_t)len >= sizeof path || (size_t)len >= cap)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the path of the home folder is too long");
    memcpy(ret_path, path, (size_t)len + 1);
    return VX_OK;
}

static vx_err below_home(char *const *environ_, const char *below, char *ret_path, size_t cap, vx_errinfo *info)
{
    struct passwd record, *found = NULL;
    char text[4096];
    const char *home = vx_user_path_variable(environ_, "HOME");
    if (!home && getpwuid_r(getuid(), &record, text, sizeof text, &found) == 0 && found && *found->pw_dir == '/')
        home = found->pw_dir;
    if (!home)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                              "no home folder is known: set HOME, or name a folder with --data");
    return put(ret_path, cap, info, home, below);
}

#ifdef __APPLE__
vx_err vx_user_data_folder(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info)
{
    return below_home(environ_, "/Library/Application Support/voxlock", ret_path, cap, info);
}

vx_err vx_user_config_file(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info)
{
    return below_home(environ_, "/Library/Application Support/voxlock/voxlock.conf", ret_path, cap, info);
}
#else
vx_err vx_user_data_folder(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info)
{
    const char *data = vx_user_path_variable(environ_, "XDG_DATA_HOME");
    return data ? put(ret_path, cap, info, data, "/voxlock")
                : below_home(environ_, "/.local/share/voxlock", ret_path, cap, info);
}

vx_err vx_user_config_file(char *const *environ_, char *ret_path, size_t cap, vx_errinfo *info)
{
    const char *config = vx_user_path_variable(environ_, "XDG_CONFIG_HOME");
    return config ? put(ret_path, cap, info, config, "/voxlock/voxlock.conf")
                  : below_home(environ_, "/.config/voxlock/voxlock.conf", ret_path, cap, info);
}
#endif
