/* gemm_plugin.c - loads a product plugin. */
#include <stdio.h>

#include "shared/base/plugin.h"
#include "shared/engine/gemm.h"

vx_err vx_gemm_plugin_load(const char *name, const vx_gemm_plugin **ret_plugin, vx_errinfo *info)
{
    char file[64];
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    snprintf(file, sizeof file, "vx_gemm_%.32s", name);
    vx_err err = vx_plugin_load(file, VX_GEMM_PLUGIN_SYMBOL, &symbol, &cause);
    if (err == VX_ERR_NOT_FOUND)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "VOXLOCK_GEMM=%s: %s; install the library and build again, or use simd", name,
                              cause.text);
    if (err != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_OPTION_VALUE, cause.path, -1, 0, "VOXLOCK_GEMM=%s: %s", name, cause.text);
    const vx_gemm_plugin *plugin = symbol;
    if (plugin->abi != VX_GEMM_PLUGIN_ABI)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_GEMM=%s: %s.so is of another version", name, file);
    *ret_plugin = plugin;
    return VX_OK;
}
