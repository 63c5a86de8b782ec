/* main.c - the program voxlock: picks the command, splits its own switches from the settings, runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/cmd.h"
#include "shared/base/bytes.h"
#include "shared/base/mute.h"

extern char **environ;

static const vx_cmd *const commands[] = {&vx_cmd_embed, &vx_cmd_compare, &vx_cmd_status};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_commands(FILE *out)
{
    fputs("usage: voxlock COMMAND [operands] [settings]\n\n", out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-8s %-26s %s\n", commands[i]->name, commands[i]->usage, commands[i]->help);
    fputs(
        "\nvoxlock COMMAND --help lists a command's switches and all settings; voxlock --version names the version.\n",
        out);
}

static int print_help(const vx_cmd *cmd)
{
    printf("usage: voxlock %s %s [settings]\n%s\n\n", cmd->name, cmd->usage, cmd->help);
    for (size_t i = 0; i < VX_CMD_MAX_FLAGS && cmd->flags[i].name; i++)
        printf("  %-10s %s\n", cmd->flags[i].name, cmd->flags[i].help);
    vx_buf text = {0};
    vx_err err = vx_options_help(VX_FOR_EDGE, &text);
    if (err == VX_OK)
        printf("\nSettings, by flag or environment:\n%.*s", (int)text.len, (const char *)text.data);
    vx_buf_done(&text);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, NULL);
}

static const vx_cmd *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/* Takes the command's own switches out of argv; what stays is settings and operands. Returns the new argc. */
static int take_switches(const vx_cmd *cmd, int argc, char **argv, unsigned *ret_flags, bool *ret_help)
{
    int kept = 0;
    bool settings = true;
    for (int i = 0; i < argc; i++) {
        bool taken = false;
        if (strcmp(argv[i], "--") == 0)
            settings = false;
        if (settings && strcmp(argv[i], "--help") == 0)
            taken = *ret_help = true;
        for (unsigned f = 0; settings && f < VX_CMD_MAX_FLAGS && cmd->flags[f].name; f++)
            if (strcmp(argv[i], cmd->flags[f].name) == 0) {
                *ret_flags |= 1u << f;
                taken = true;
            }
        if (!taken)
            argv[kept++] = argv[i];
    }
    return kept;
}

int main(int argc, char **argv)
{
    vx_mute_telemetry();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_commands(argc < 2 ? stderr : stdout);
        return argc < 2 ? VX_EXIT_USAGE : VX_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("voxlock " VX_VERSION);
        return VX_EXIT_OK;
    }
    const vx_cmd *cmd = find_command(argv[1]);
    if (!cmd) {
        fprintf(stderr, "voxlock: no command '%s'; voxlock --help lists them\n", argv[1]);
        return VX_EXIT_USAGE;
    }
    unsigned flags = 0;
    bool help = false;
    argc = take_switches(cmd, argc - 2, argv + 2, &flags, &help);
    if (help)
        return print_help(cmd);

    const char **operands = calloc((size_t)argc + 1, sizeof *operands);
    if (!operands)
        return vx_cmd_fail(NULL, VX_ERR_NOMEM, NULL);
    int n_operands = 0, code;
    vx_options *options = NULL;
    vx_errinfo info = {0};
    vx_err err = vx_options_load(VX_FOR_EDGE, environ, argc, argv + 2, NULL, operands, &n_operands, &options, &info);
    if (err != VX_OK) {
        (void)vx_cmd_fail(NULL, err, &info);
        code = VX_EXIT_USAGE;
    } else if (n_operands < cmd->min_operands || (cmd->max_operands >= 0 && n_operands > cmd->max_operands)) {
        fprintf(stderr, "voxlock: usage: voxlock %s %s\n", cmd->name, cmd->usage);
        code = VX_EXIT_USAGE;
    } else {
        vx_mute_stderr_stream();
        code = cmd->run(options, flags, operands, n_operands);
        if (fflush(stdout) != 0 && code == VX_EXIT_OK)
            code = vx_cmd_fail("standard output", VX_ERR_IO, NULL);
    }
    vx_options_destroy(options);
    free(operands);
    return code;
}
