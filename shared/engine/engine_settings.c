/* engine_settings.c - settings to engine options. */
#include "shared/engine/engine_settings.h"

#include <string.h>

#include "shared/engine/model_folder.h"

static vx_err find_isa(const char *name, vx_isa *ret_isa, vx_errinfo *info)
{
    if (strcmp(name, "auto") == 0) {
        *ret_isa = vx_isa_best();
        return VX_OK;
    }
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++)
        if (strcmp(name, vx_isa_name((vx_isa)isa)) == 0 && vx_isa_available((vx_isa)isa)) {
            *ret_isa = (vx_isa)isa;
            return VX_OK;
        }
    return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "VOXLOCK_ISA=%s: this machine cannot run it; its best is %s", name,
                          vx_isa_name(vx_isa_best()));
}

static vx_precision find_precision(const char *name)
{
    for (int p = VX_PRECISION_AUTO; p <= VX_PRECISION_INT8; p++)
        if (strcmp(name, vx_precision_name((vx_precision)p)) == 0)
            return (vx_precision)p;
    return VX_PRECISION_AUTO; /* the table of settings lets no other name through */
}

vx_err vx_engine_settings(const vx_options *settings, vx_engine_options *ret_options, char *ret_folder,
                          size_t folder_cap, vx_errinfo *info)
{
    vx_engine_options options = vx_engine_options_default();
    options.strategy = vx_option_text(settings, "ECAPA_PREFERRED_STRATEGY");
    options.device = vx_option_text(settings, "ECAPA_DEVICE");
    options.precision = find_precision(vx_option_text(settings, "VOXLOCK_PRECISION"));
    options.reference_first = !vx_option_bool(settings, "ECAPA_USE_OPTIMIZED");
    options.gemm = vx_option_text(settings, "VOXLOCK_GEMM");
    vx_err err = find_isa(vx_option_text(settings, "VOXLOCK_ISA"), &options.isa, info);
    if (err == VX_OK)
        err = vx_model_folder(vx_option_text(settings, "ECAPA_CACHE_DIR"), ret_folder, folder_cap, info);
    if (err == VX_OK)
        *ret_options = options;
    return err;
}
