/* sources.c - sources by name: our own, and those of a plugin that brings its sound system's library. */
#include <stdio.h>
#include <string.h>

#include "edge/capture/capture_private.h"
#include "shared/base/plugin.h"

/* PulseAudio first: it mixes and follows the user's choice, and PipeWire speaks its protocol. ALSA below either of them
 * would take the device away, or find it taken. */
static const char *const automatic[] = {
#if defined(__APPLE__)
    "coreaudio",
#else
    "pulse",
    "alsa",
#endif
    NULL,
};

const char *vx_capture_auto_name(size_t i)
{
    return i < sizeof automatic / sizeof *automatic ? automatic[i] : NULL;
}

static vx_err load(const char *name, const vx_capture_source **ret_source, vx_errinfo *info)
{
    char file[32];
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    snprintf(file, sizeof file, "vx_capture_%s", name);
    const vx_err err = vx_plugin_load(file, VX_CAPTURE_PLUGIN_SYMBOL, &symbol, &cause);
    if (err != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, cause.path, -1, 0, "%s", vx_errinfo_text(&cause, err));
    const vx_capture_source *source = symbol;
    if (source->abi != VX_CAPTURE_ABI)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "%s.so is of another version", file);
    *ret_source = source;
    return VX_OK;
}

vx_err vx_capture_find_source(const char *name, const vx_capture_source **ret_source, vx_errinfo *info)
{
    if (strcmp(name, "file") == 0) {
        *ret_source = &vx_capture_file;
        return VX_OK;
    }
    if (strcmp(name, "pulse") == 0 || strcmp(name, "alsa") == 0)
        return load(name, ret_source, info);
    if (strcmp(name, "coreaudio") != 0)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE,
                              "there is no source '%.40s': auto, pulse, alsa, coreaudio or file", name);
    const vx_capture_source *source = vx_capture_coreaudio();
    if (source == NULL)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "coreaudio is for macOS alone");
    *ret_source = source;
    return VX_OK;
}

vx_err vx_capture_devices(vx_capture_device_fn *fn, void *arg, vx_errinfo *info)
{
    char tried[200] = "";
    vx_err first = VX_ERR_UNSUPPORTED;
    for (size_t i = 0; vx_capture_auto_name(i) != NULL; i++) {
        const vx_capture_source *source = NULL;
        vx_errinfo cause = {0};
        vx_err err = vx_capture_find_source(vx_capture_auto_name(i), &source, &cause);
        if (source != NULL)
            err = source->devices(fn, arg, &cause);
        /* An error without a word is the caller's own. */
        if (err == VX_OK || cause.code == VX_OK)
            return err;
        if (err != VX_ERR_UNSUPPORTED)
            first = VX_ERR_NOT_FOUND;
        const size_t len = strlen(tried);
        snprintf(tried + len, sizeof tried - len, "%s%s: %.120s", len > 0 ? "; " : "", vx_capture_auto_name(i),
                 cause.text);
    }
    return vx_errinfo_set(info, first, "no sound system answers: %s", tried);
}
