/* cmd_config.c - voxlock config: every setting in force, and where it comes from. */
#include <limits.h>

#include "edge/cmd.h"
#include "edge/runtime.h"
#include "shared/base/json.h"
#include "shared/base/user_folder.h"

enum { FLAG_JSON = 1 << 0 };

static json_t *path_or_null(vx_err err, const char *path)
{
    return err == VX_OK ? vx_json_shown(path) : json_null();
}

static json_t *folders(const vx_cmd_call *call)
{
    char data[PATH_MAX], config[PATH_MAX], model[PATH_MAX];
    vx_engine_options engine;
    const vx_err data_err = vx_runtime_data_folder(call->options, call->environment, data, sizeof data, NULL);
    const vx_err config_err = vx_user_config_file(call->environment, config, sizeof config, NULL);
    const vx_err model_err = vx_cmd_engine_options(call->options, &engine, model, sizeof model, NULL);
    return json_pack("{s:o, s:o, s:o}", "data", path_or_null(data_err, data), "settings",
                     path_or_null(config_err, config), "model", path_or_null(model_err, model));
}

static int run(const vx_cmd_call *call)
{
    const vx_option *option;
    const char *value, *origin;
    json_t *list = json_array();
    for (size_t i = 0; (option = vx_option_at(call->options, i, &value, &origin)); i++)
        if (json_array_append_new(list,
                                  json_pack("{s:s, s:o, s:s, s:o}", "name", option->name, "value", vx_json_shown(value),
                                            "unit", option->unit, "origin", vx_json_shown(origin))) != 0) {
            json_decref(list);
            return vx_cmd_fail(NULL, VX_ERR_NOMEM, NULL);
        }
    return vx_cmd_print(json_pack("{s:o, s:o}", "files", folders(call), "settings", list), call->flags & FLAG_JSON);
}

const vx_cmd vx_cmd_config = {
    .name = "config",
    .usage = "[--json]",
    .help = "Print every setting in force and where it comes from, and where files lie; secrets are masked.",
    .flags = {{"--json", "one JSON object: files, settings", NULL}},
    .max_operands = 0,
    .run = run,
};
