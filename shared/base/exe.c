/* exe.c - the executable's path from the system: /proc on Linux, dyld on macOS. */
#include "shared/base/exe.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

vx_err vx_exe_folder(char *ret_folder, size_t cap)
{
    char path[PATH_MAX];
#if defined(__linux__)
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0)
        return VX_ERR_UNSUPPORTED;
    path[n] = 0;
#elif defined(__APPLE__)
    char raw[PATH_MAX];
    uint32_t size = sizeof raw;
    if (_NSGetExecutablePath(raw, &size) != 0 || !realpath(raw, path))
        return VX_ERR_UNSUPPORTED;
#else
    return VX_ERR_UNSUPPORTED;
#endif
    char *slash = strrchr(path, '/');
    if (!slash)
        return VX_ERR_UNSUPPORTED;
    size_t len = (size_t)(slash - path);
    if (len + 1 > cap)
        return VX_ERR_RANGE;
    memcpy(ret_folder, path, len);
    ret_folder[len] = 0;
    return VX_OK;
}
