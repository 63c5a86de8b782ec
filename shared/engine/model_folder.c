/* model_folder.c - the default model folder. */
#include "shared/engine/model_folder.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/exe.h"
#include "shared/base/file.h"

#define STARTER_FROM_PROGRAM "../../models/starter"

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static vx_err put(const char *path, char *ret_folder, size_t cap, vx_errinfo *info)
{
    size_t len = strlen(path);
    if (len >= cap)
        return vx_errinfo_set(info, VX_ERR_RANGE, "the path of the model folder is longer than %zu characters",
                              cap - 1);
    memcpy(ret_folder, path, len + 1);
    return VX_OK;
}

vx_err vx_model_folder(const char *configured, char *ret_folder, size_t cap, vx_errinfo *info)
{
    if (configured && configured[0])
        return put(configured, ret_folder, cap, info);
    if (is_folder(VX_MODEL_FOLDER_IMAGE))
        return put(VX_MODEL_FOLDER_IMAGE, ret_folder, cap, info);
    char program[PATH_MAX], path[PATH_MAX + sizeof STARTER_FROM_PROGRAM + 1], resolved[PATH_MAX];
    if (vx_exe_folder(program, sizeof program) || vx_path_join(program, STARTER_FROM_PROGRAM, path, sizeof path))
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "no model folder: set ECAPA_CACHE_DIR or --model");
    /* Resolved, so that logs show where the model really is; as written when it does not exist. */
    return put(realpath(path, resolved) ? resolved : path, ret_folder, cap, info);
}
