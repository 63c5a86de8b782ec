/* cmd_help.c - voxlock help: the commands, one of them, the man page, the completion of shells. */
#include <string.h>

#include "edge/cmd.h"
#include "edge/help.h"

enum { FLAG_MAN = 1, FLAG_BASH = 2, FLAG_ZSH = 4 };

void vx_help_commands(FILE *out)
{
    int width = 0;
    for (size_t i = 0; vx_commands[i]; i++) {
        const int w = (int)(strlen(vx_commands[i]->name) + 1 + strlen(vx_commands[i]->usage));
        width = w > width && w < 44 ? w : width;
    }
    fputs("usage: voxlock COMMAND [operands] [settings]\n\n", out);
    for (size_t i = 0; vx_commands[i]; i++) {
        const vx_cmd *cmd = vx_commands[i];
        const int w = fprintf(out, "  %s %s", cmd->name, cmd->usage) - 2;
        fprintf(out, w > width ? "\n  %*s  %s\n" : "%*s  %s\n", w > width ? width : width - w, "", cmd->help);
    }
    fputs("\nvoxlock COMMAND --help lists a command's flags and all settings; voxlock help --man is the manual; "
          "voxlock --version names the version.\n",
          out);
}

int vx_help_command(const vx_cmd *cmd)
{
    printf("usage: voxlock %s %s [settings]\n%s\n\n", cmd->name, cmd->usage, cmd->help);
    for (size_t i = 0; i < VX_CMD_MAX_FLAGS && cmd->flags[i].name; i++) {
        const char *value = cmd->flags[i].value ? cmd->flags[i].value : "";
        printf("  %s %-*s %s\n", cmd->flags[i].name,
               (int)(strlen(cmd->flags[i].name) < 18 ? 18 - strlen(cmd->flags[i].name) : 0), value, cmd->flags[i].help);
    }
    vx_buf text = {0};
    vx_err err = vx_options_help(VX_FOR_EDGE, &text);
    if (err == VX_OK)
        printf("\nSettings, by flag or environment:\n%.*s", (int)text.len, (const char *)text.data);
    vx_buf_done(&text);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail(NULL, err, NULL);
}

static int help_on(const char *name)
{
    for (size_t i = 0; vx_commands[i]; i++)
        if (strcmp(vx_commands[i]->name, name) == 0)
            return vx_help_command(vx_commands[i]);
    return vx_cmd_misused("no command '%s'; voxlock help lists them", name);
}

static int run(const vx_cmd_call *call)
{
    static const struct {
        unsigned flag;
        vx_err (*write)(vx_buf *out);
    } documents[] = {{FLAG_MAN, vx_manual}, {FLAG_BASH, vx_completion_bash}, {FLAG_ZSH, vx_completion_zsh}};
    if (call->flags == 0 && call->n_operands == 1)
        return help_on(call->operands[0]);
    if (call->flags == 0) {
        vx_help_commands(stdout);
        return VX_EXIT_OK;
    }
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        if (call->flags != documents[i].flag)
            continue;
        vx_buf text = {0};
        vx_err err = documents[i].write(&text);
        if (err == VX_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
            err = VX_ERR_IO;
        vx_buf_done(&text);
        return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail("writing the text", err, NULL);
    }
    return vx_cmd_misused("use one of --man, --bash and --zsh");
}

const vx_cmd vx_cmd_help = {
    .name = "help",
    .usage = "[COMMAND | --man | --bash | --zsh]",
    .help = "List the commands, explain one, or print the manual or a shell's completion.",
    .flags = {{"--man", "voxlock(1) for man: voxlock help --man | man -l -", NULL},
              {"--bash", "completion for bash: source <(voxlock help --bash)", NULL},
              {"--zsh", "completion for zsh: voxlock help --zsh > a folder of fpath/_voxlock", NULL}},
    .max_operands = 1,
    .run = run,
};
