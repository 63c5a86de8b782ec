/* manual.c - voxlock(1), written from the tables, so that it cannot fall behind them. */
#include "edge/help.h"
#include "shared/base/text.h"

/* Text between two pieces of markup: what would be an escape or a request of man's own is made harmless. */
static void say(vx_text *page, const char *before, const char *text, const char *after)
{
    vx_text_put(page, "%s", before);
    if (*text == '.' || *text == '\'')
        vx_text_put(page, "\\&");
    for (; *text; text++) {
        if (*text == '\\' || *text == '-')
            vx_text_put(page, *text == '-' ? "\\-" : "\\e");
        else
            vx_text_char(page, *text);
    }
    vx_text_put(page, "%s", after);
}

static void put_flags(vx_text *page, const vx_cmd *cmd)
{
    for (size_t i = 0; i < VX_CMD_MAX_FLAGS && cmd->flags[i].name; i++) {
        say(page, ".RS\n.TP\n\\fB", cmd->flags[i].name, "\\fR ");
        say(page, "", cmd->flags[i].value ? cmd->flags[i].value : "", "\n");
        say(page, "", cmd->flags[i].help, "\n.RE\n");
    }
}

static void put_commands(vx_text *page)
{
    vx_text_put(page, ".SH COMMANDS\n");
    for (size_t i = 0; vx_commands[i]; i++) {
        say(page, ".TP\n\\fB", vx_commands[i]->name, "\\fR ");
        say(page, "", vx_commands[i]->usage, "\n");
        say(page, "", vx_commands[i]->help, "\n");
        put_flags(page, vx_commands[i]);
    }
}

static void put_settings(vx_text *page)
{
    size_t n;
    const vx_option *table = vx_settings_table(&n);
    vx_text_put(page, ".SH SETTINGS\nA flag goes before the environment, which goes before the file of \\fIname\\fR = "
                      "\\fIvalue\\fR lines named by \\fB\\-\\-config\\fR.\n");
    for (size_t i = 0; i < n; i++) {
        if (!(table[i].programs & VX_FOR_EDGE))
            continue;
        say(page, ".TP\n\\fB", table[i].name, "\\fR");
        if (table[i].flag)
            say(page, ", \\fB", table[i].flag, "\\fR");
        say(page, "\n", table[i].help, "\n");
        if (table[i].choices)
            say(page, "One of ", table[i].choices, ".\n");
        if (*table[i].def)
            say(page, "Default: ", table[i].def, ".\n");
    }
}

static void put_exit_codes(vx_text *page)
{
    static const struct {
        const char *value, *meaning;
    } codes[] = {
#define EXIT_ROW(name, value, meaning) {#value, meaning},
        VX_EXIT_LIST(EXIT_ROW)
#undef EXIT_ROW
    };
    vx_text_put(page, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        say(page, ".TP\n", codes[i].value, "\n");
        say(page, "", codes[i].meaning, "\n");
    }
}

vx_err vx_manual(vx_buf *out)
{
    vx_text page = {.out = out};
    vx_text_put(&page,
                ".TH VOXLOCK 1 \"\" \"voxlock %s\"\n"
                ".SH NAME\nvoxlock \\- unlock the screen by voice, and compute speaker embeddings\n"
                ".SH SYNOPSIS\n\\fBvoxlock\\fR \\fICOMMAND\\fR [\\fIoperands\\fR] [\\fIsettings\\fR]\n",
                VX_VERSION);
    put_commands(&page);
    put_settings(&page);
    put_exit_codes(&page);
    return page.err;
}
