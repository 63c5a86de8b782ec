/* gemm_plugin.c - finds and loads a product plugin. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "shared/base/exe.h"
#include "shared/engine/gemm.h"

/* Beside the program; beside its parent (test and bench programs lie a folder deeper); where an install puts it. */
static const char *const places[] = {"", "/..", "/../lib/voxlock"};

vx_err vx_gemm_plugin_load(const char *name, const vx_gemm_plugin **ret_plugin, vx_errinfo *info)
{
    char folder[PATH_MAX / 2], path[PATH_MAX];
    vx_err err = vx_exe_folder(folder, sizeof folder);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "cannot find the program's own folder to load vx_gemm_%s.so from", name);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s%s/vx_gemm_%s.so", folder, places[i], name);
        if (access(path, R_OK) != 0)
            continue;
        /* Never closed: libraries with thread pools of their own (OpenMP) do not survive it. */
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_GEMM=%s: %s", name, dlerror());
        const vx_gemm_plugin *plugin = dlsym(handle, VX_GEMM_PLUGIN_SYMBOL);
        if (!plugin || plugin->abi != VX_GEMM_PLUGIN_ABI)
            return vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, path, -1, 0, "not a plugin of this version");
        *ret_plugin = plugin;
        return VX_OK;
    }
    return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                          "VOXLOCK_GEMM=%s: this build has no vx_gemm_%s.so; install the library and build again, or "
                          "use simd",
                          name, name);
}
