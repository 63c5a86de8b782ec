/* main.c - the program voxlock: picks the command, splits its own flags from the settings, runs it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "edge/help.h"
#include "shared/base/mute.h"
#include "shared/base/user_folder.h"

extern char **environ;

static const vx_cmd *find_command(const char *name)
{
    for (size_t i = 0; vx_commands[i]; i++)
        if (strcmp(vx_commands[i]->name, name) == 0)
            return vx_commands[i];
    return NULL;
}

/* Index of the command's flag that argument names, -1 for none; *ret_value what follows a "=", or NULL. */
static int find_flag(const vx_cmd *cmd, const char *argument, const char **ret_value)
{
    for (int f = 0; f < VX_CMD_MAX_FLAGS && cmd->flags[f].name; f++) {
        const size_t len = strlen(cmd->flags[f].name);
        if (strncmp(argument, cmd->flags[f].name, len) != 0 || (argument[len] != '\0' && argument[len] != '='))
            continue;
        *ret_value = argument[len] == '=' ? argument + len + 1 : NULL;
        return f;
    }
    return -1;
}

/* Takes the command's own flags out of argv; what stays is settings and operands. Returns the new argc, or -1 when a flag
 * was given wrongly, which has been said then. */
static int take_flags(const vx_cmd *cmd, int argc, char **argv, vx_cmd_call *call, bool *ret_help)
{
    int kept = 0;
    bool settings = true;
    for (int i = 0; i < argc; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--") == 0)
            settings = false;
        const int f = settings ? find_flag(cmd, argv[i], &value) : -1;
        if (f < 0) {
            if (settings && strcmp(argv[i], "--help") == 0)
                *ret_help = true;
            else
                argv[kept++] = argv[i];
            continue;
        }
        /* A forgotten value must not swallow the next flag. */
        if (cmd->flags[f].value && !value && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
            value = argv[++i];
        if ((cmd->flags[f].value != NULL) != (value != NULL)) {
            (void)vx_cmd_misused(value ? "%s takes no value" : "%s wants a value; voxlock %s --help",
                                 cmd->flags[f].name, cmd->name);
            return -1;
        }
        call->flags |= 1u << f;
        call->values[f] = value;
    }
    return kept;
}

/* Settings and operands, then the command. argv holds no flag of the command's own any more. */
static int run(const vx_cmd *cmd, int argc, char **argv, vx_cmd_call *call)
{
    int code;
    char config[PATH_MAX];
    /* Without a home folder there is no file of settings to find. */
    const bool home = vx_user_config_file(environ, config, sizeof config, NULL) == VX_OK;
    vx_options *options = NULL;
    vx_errinfo info = {0};
    const char **operands = calloc((size_t)argc + 1, sizeof *operands);
    if (!operands)
        return vx_cmd_fail(NULL, VX_ERR_NOMEM, NULL);
    vx_err err = vx_options_load(VX_FOR_EDGE, environ, argc, argv, home ? config : NULL, operands, &call->n_operands,
                                 &options, &info);
    call->options = options;
    call->environment = environ;
    call->operands = operands;
    if (err != VX_OK) {
        (void)vx_cmd_fail(NULL, err, &info);
        code = VX_EXIT_USAGE;
    } else if (call->n_operands < cmd->min_operands ||
               (cmd->max_operands >= 0 && call->n_operands > cmd->max_operands)) {
        code = vx_cmd_misused("usage: voxlock %s %s", cmd->name, cmd->usage);
    } else {
        vx_mute_stderr_stream();
        code = cmd->run(call);
        /* A verdict keeps its code: it was reached, and is on record. */
        if (fflush(stdout) != 0) {
            const int lost = vx_cmd_fail("standard output", VX_ERR_IO, NULL);
            code = code == VX_EXIT_OK ? lost : code;
        }
    }
    vx_options_destroy(options);
    free(operands);
    return code;
}

int main(int argc, char **argv)
{
    vx_mute_telemetry();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        vx_help_commands(argc < 2 ? stderr : stdout);
        return argc < 2 ? VX_EXIT_USAGE : VX_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("voxlock " VX_VERSION);
        return VX_EXIT_OK;
    }
    const vx_cmd *cmd = find_command(argv[1]);
    if (!cmd)
        return vx_cmd_misused("no command '%s'; voxlock --help lists them", argv[1]);
    vx_cmd_call call = {0};
    bool help = false;
    argc = take_flags(cmd, argc - 2, argv + 2, &call, &help);
    if (argc < 0)
        return VX_EXIT_USAGE;
    return help ? vx_help_command(cmd) : run(cmd, argc, argv + 2, &call);
}
