/* engine_settings.h - the engine as the settings ask for it; the same for both programs. */
#ifndef VX_ENGINE_ENGINE_SETTINGS_H
#define VX_ENGINE_ENGINE_SETTINGS_H

#include <stddef.h>

#include "shared/base/options.h"
#include "shared/engine/engine.h"

/* Strategy, device, precision, products, instruction set and model folder; threads stay 1 and self_test and fall_back
 * false, which each program decides.
 * ret_options [out] texts are borrowed from settings
 * Errors      OPTION_VALUE (info names the setting), those of vx_model_folder */
VX_MUST_CHECK vx_err vx_engine_settings(const vx_options *settings, vx_engine_options *ret_options, char *ret_folder,
                                        size_t folder_cap, vx_errinfo *info);

#endif
