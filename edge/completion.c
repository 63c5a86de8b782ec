/* completion.c - completion of bash and zsh, from the tables of commands and settings.
 * Names come from our own tables and are made of letters, digits and '-': nothing needs quoting but the descriptions that
 * zsh shows.
 */
#include "edge/help.h"
#include "shared/base/text.h"

/* A list with '|' between its words, as words. */
static void put_words(vx_text *script, const char *list)
{
    for (; *list; list++)
        vx_text_char(script, *list == '|' ? ' ' : *list);
}

/* settings="--data --model ..." */
static void put_setting_flags(vx_text *script)
{
    size_t n;
    const vx_option *table = vx_settings_table(&n);
    vx_text_put(script, "settings=\"");
    for (size_t i = 0; i < n; i++)
        if (table[i].programs & VX_FOR_EDGE && table[i].flag)
            vx_text_put(script, " %s", table[i].flag);
    vx_text_put(script, "\"\n");
}

/* A case for each setting's flag that takes one of a few words; sets `values`. */
static void put_choices(vx_text *script)
{
    size_t n;
    const vx_option *table = vx_settings_table(&n);
    vx_text_put(script, "case $before in\n");
    for (size_t i = 0; i < n; i++) {
        if (!(table[i].programs & VX_FOR_EDGE) || !table[i].flag || !table[i].choices)
            continue;
        vx_text_put(script, "%s) values=\"", table[i].flag);
        put_words(script, table[i].choices);
        vx_text_put(script, "\" ;;\n");
    }
    vx_text_put(script, "esac\n");
}

/* A case for each command; sets `flags` and `actions`. */
static void put_commands(vx_text *script)
{
    vx_text_put(script, "case $command in\n");
    for (size_t c = 0; vx_commands[c]; c++) {
        const vx_cmd *cmd = vx_commands[c];
        vx_text_put(script, "%s) flags=\"--help", cmd->name);
        for (size_t i = 0; i < VX_CMD_MAX_FLAGS && cmd->flags[i].name; i++)
            vx_text_put(script, " %s", cmd->flags[i].name);
        vx_text_put(script, "\" actions=\"");
        put_words(script, cmd->actions ? cmd->actions : "");
        vx_text_put(script, "\" ;;\n");
    }
    vx_text_put(script, "esac\n");
}

vx_err vx_completion_bash(vx_buf *out)
{
    vx_text script = {.out = out};
    vx_text_put(&script, "# bash completion of voxlock; source it, or put it into bash-completion's folder.\n"
                         "_voxlock() {\n"
                         "local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                         "local command=${COMP_WORDS[1]} flags= actions= values= ");
    put_setting_flags(&script);
    put_choices(&script);
    put_commands(&script);
    vx_text_put(&script, "if [ \"$COMP_CWORD\" -eq 1 ]; then\nvalues=\"--help --version");
    for (size_t c = 0; vx_commands[c]; c++)
        vx_text_put(&script, " %s", vx_commands[c]->name);
    vx_text_put(&script, "\"\n"
                         "elif [ -z \"$values\" ] && [[ $word == -* ]]; then\nvalues=\"$flags$settings\"\n"
                         "elif [ -z \"$values\" ] && [ \"$COMP_CWORD\" -eq 2 ]; then\nvalues=$actions\nfi\n"
                         "if [ -n \"$values\" ]; then\nmapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$word\")\n"
                         "else\nmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\nfi\n"
                         "}\n"
                         "complete -o filenames -F _voxlock voxlock\n");
    return script.err;
}

vx_err vx_completion_zsh(vx_buf *out)
{
    vx_text script = {.out = out};
    vx_text_put(&script, "#compdef voxlock\n"
                         "# zsh completion of voxlock; put it as _voxlock into a folder of fpath.\n"
                         "local before=${words[CURRENT-1]} command=${words[2]} flags= actions= values= ");
    put_setting_flags(&script);
    put_choices(&script);
    put_commands(&script);
    vx_text_put(&script, "if (( CURRENT == 2 )); then\nlocal -a commands=(\n");
    for (size_t c = 0; vx_commands[c]; c++) {
        vx_text_put(&script, "'%s:", vx_commands[c]->name);
        for (const char *h = vx_commands[c]->help; *h; h++) {
            if (*h == '\'')
                vx_text_put(&script, "'\\''");
            else
                vx_text_char(&script, *h);
        }
        vx_text_put(&script, "'\n");
    }
    vx_text_put(&script, ")\n_describe command commands\nreturn\nfi\n"
                         "if [[ -z $values && $PREFIX == -* ]]; then\nvalues=\"$flags$settings\"\n"
                         "elif [[ -z $values ]] && (( CURRENT == 3 )); then\nvalues=$actions\nfi\n"
                         "if [[ -n $values ]]; then\ncompadd -- ${=values}\nelse\n_files\nfi\n");
    return script.err;
}
