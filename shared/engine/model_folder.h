/* model_folder.h - which folder the model is read from when nobody names one. */
#ifndef VX_ENGINE_MODEL_FOLDER_H
#define VX_ENGINE_MODEL_FOLDER_H

#include <stddef.h>

#include "shared/base/err.h"

/* The folder of the container image. */
#define VX_MODEL_FOLDER_IMAGE "/opt/ecapa_cache"

/* configured, unless it is empty or NULL; else VX_MODEL_FOLDER_IMAGE if that is a folder; else models/starter of the
 * checkout that the running program was built in (the program lies in build/<mode>/).
 * ret_folder [out] path; that the last candidate exists is not checked: opening the model says so better
 * Errors     RANGE (longer than cap), NOT_FOUND (the system does not tell where the program lies) */
VX_MUST_CHECK vx_err vx_model_folder(const char *configured, char *ret_folder, size_t cap, vx_errinfo *info);

#endif
