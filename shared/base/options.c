/* options.c - the settings in force, gathered from flags, environment, config file and defaults.
 * Owns:   which source wins, what is unknown, where a value came from. Does not: know the settings (settings.c), the
 *         syntax of values (option_value.c) or of the file (option_file.c).
 */
#include "shared/base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/file.h"
#include "shared/base/options_private.h"

/* A config file is a page of text; this bounds a wrong path. */
#define VX_CONFIG_CAP (256 * 1024)
#define VX_ORIGIN_CAP 320
#define VX_MASK       "********"

enum { RANK_UNSET, RANK_DEFAULT, RANK_FILE, RANK_ENVIRONMENT, RANK_FLAG };
enum { NONE = -1 };

struct vx_options {
    vx_option_table table;
    int program;
    const char **operands; /* until they are handed out: the caller's array stays untouched on failure */
    int n_operands;
    vx_setting settings[]; /* [table.count]; those of the other program stay all-zero */
};

static bool is_ours(const vx_options *o, int i)
{
    return (o->table.options[i].programs & o->program) != 0;
}

static int find_name(const vx_options *o, const char *name)
{
    for (size_t i = 0; i < o->table.count; i++) {
        if (strcmp(o->table.options[i].name, name) == 0)
            return (int)i;
    }
    return NONE;
}

static void setting_done(vx_setting *setting)
{
    if (setting->text)
        vx_wipe(setting->text, strlen(setting->text));
    free(setting->text);
    free(setting->origin);
}

/* Checks every value, also one that a stronger source overrides: a bad value is never ignored. */
static vx_err assign(vx_options *o, int i, const char *text, int rank, const char *origin, vx_errinfo *info)
{
    vx_setting *old = &o->settings[i], new = {.rank = rank, .file_line = old->file_line};
    vx_err err = vx_option_parse(&o->table.options[i], text, origin, &new, info);

    if (err != VX_OK)
        return err;
    if (rank < old->rank) {
        setting_done(&new);
        return VX_OK;
    }
    new.origin = vx_option_copy(origin, strlen(origin));
    if (!new.origin) {
        setting_done(&new);
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory for settings");
    }
    setting_done(old);
    *old = new;
    return VX_OK;
}

static vx_err unknown(const vx_options *o, const char *name, const char *origin, vx_errinfo *info)
{
    return vx_errinfo_set(info, VX_ERR_OPTION_UNKNOWN, "unknown setting %.60s (%s); the nearest known one is %s", name,
                          origin, vx_option_nearest(o->table, o->program, name, false));
}

/* ---- flags ---------------------------------------------------------------------------------------------------- */

static int find_flag(const vx_options *o, const char *flag, size_t len)
{
    for (size_t i = 0; i < o->table.count; i++) {
        const char *known = o->table.options[i].flag;
        if (known && is_ours(o, (int)i) && strlen(known) == len && strncmp(known, flag, len) == 0)
            return (int)i;
    }
    return NONE;
}

/* The flag that "--no-x" turns off, if there is one. */
static int find_negated(const vx_options *o, const char *flag, size_t len)
{
    for (size_t i = 0; i < o->table.count; i++) {
        const vx_option *option = &o->table.options[i];
        if (option->type == VX_OPT_BOOL && option->flag && is_ours(o, (int)i) && len == strlen(option->flag) + 3 &&
            strncmp(flag, "--no-", 5) == 0 && strncmp(flag + 5, option->flag + 2, len - 5) == 0)
            return (int)i;
    }
    return NONE;
}

/* The flag at argv[*at], and the value behind it where it takes one. */
static vx_err read_flag(vx_options *o, int argc, char *const *argv, int *at, vx_errinfo *info)
{
    const char *flag = argv[*at];
    int len = (int)strcspn(flag, "=");
    const char *value = flag[len] == '=' ? flag + len + 1 : NULL;
    int i = find_flag(o, flag, (size_t)len), negated = find_negated(o, flag, (size_t)len);
    bool is_switch = negated != NONE || (i != NONE && o->table.options[i].type == VX_OPT_BOOL);
    char origin[VX_ORIGIN_CAP];

    if (i == NONE && negated == NONE)
        return vx_errinfo_set(info, VX_ERR_OPTION_UNKNOWN, "unknown flag %.*s; the nearest known one is %s",
                              len < 60 ? len : 60, flag, vx_option_nearest(o->table, o->program, flag, true));
    if (is_switch && value)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%.*s takes no value; --no-... turns a flag off", len, flag);
    if (is_switch) {
        value = negated != NONE ? "false" : "true";
    } else if (!value) {
        /* A value may begin with one dash (a negative number, standard input), never with two: a forgotten value must
         * not swallow the next flag. */
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s needs a value", flag);
        value = argv[++*at];
    }
    (void)snprintf(origin, sizeof origin, "flag %.*s", len, flag);
    return assign(o, negated != NONE ? negated : i, value, RANK_FLAG, origin, info);
}

static vx_err read_flags(vx_options *o, int argc, char *const *argv, vx_errinfo *info)
{
    bool flags_end = false;

    for (int i = 0; i < argc; i++) {
        if (flags_end || argv[i][0] != '-' || argv[i][1] == '\0') {
            o->operands[o->n_operands++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            flags_end = true;
        } else {
            vx_err err = read_flag(o, argc, argv, &i, info);
            if (err != VX_OK)
                return err;
        }
    }
    return VX_OK;
}

/* ---- environment ---------------------------------------------------------------------------------------------- */

static vx_err read_variable(vx_options *o, const char *name, const char *value, vx_errinfo *info)
{
    int i = find_name(o, name);

    if (i != NONE)
        return is_ours(o, i) ? assign(o, i, value, RANK_ENVIRONMENT, "environment", info) : VX_OK;
    if (strncmp(name, "VOXLOCK_", 8) != 0 && strncmp(name, "ECAPA_", 6) != 0)
        return VX_OK;
    return vx_option_from_kubernetes(name, value) ? VX_OK : unknown(o, name, "environment", info);
}

static vx_err read_environment(vx_options *o, char *const *environ_, vx_errinfo *info)
{
    for (; *environ_; environ_++) {
        /* Names of ours and of Kubernetes are shorter; a longer one is cut, and judged by what is left. */
        char name[160];
        const char *value = strchr(*environ_, '=');
        /* Set to nothing is how shells and container files unset a variable. */
        if (!value || value[1] == '\0')
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)(value - *environ_), *environ_);
        vx_err err = read_variable(o, name, value + 1, info);
        if (err != VX_OK)
            return err;
    }
    return VX_OK;
}

/* ---- file ----------------------------------------------------------------------------------------------------- */

static vx_err set_from_file(vx_options *o, const char *path, int line, const char *name, const char *value,
                            vx_errinfo *info)
{
    int i = find_name(o, name);
    char origin[VX_ORIGIN_CAP];

    (void)snprintf(origin, sizeof origin, "file %.256s:%d", path, line);
    if (i == NONE)
        return unknown(o, name, origin, info);
    if (strcmp(name, "VOXLOCK_CONFIG") == 0)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s cannot be set in a config file (%s)", name, origin);
    if (o->settings[i].file_line > 0)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s is already set in line %d (%s)", name,
                              o->settings[i].file_line, origin);
    o->settings[i].file_line = line;
    return is_ours(o, i) ? assign(o, i, value, RANK_FILE, origin, info) : VX_OK;
}

static vx_err read_lines(vx_options *o, const char *path, vx_buf *text, vx_errinfo *info)
{
    const char *name, *value, *fault = NULL;
    vx_errinfo detail = {0};
    vx_err err = vx_buf_reserve(text, 1);

    if (err != VX_OK)
        return vx_errinfo_set(info, err, "not enough memory for %s", path);
    vx_config_reader reader = vx_config_reader_init((char *)text->data, text->len);
    while (err == VX_OK && vx_config_next(&reader, &name, &value, &fault))
        err = set_from_file(o, path, reader.line, name, value, &detail);
    if (fault)
        err = vx_errinfo_set(&detail, VX_ERR_OPTION_VALUE, "%s (file %.160s:%d)", fault, path, reader.line);
    if (err != VX_OK)
        vx_errinfo_set_at(info, err, path, -1, reader.line, "%s", detail.text);
    return err;
}

/* The file named by flag or environment must exist; one that the program looks for by itself need not. */
static vx_err read_file(vx_options *o, const char *path, vx_errinfo *info)
{
    int i = find_name(o, "VOXLOCK_CONFIG");
    bool named = i != NONE && o->settings[i].rank > RANK_UNSET;
    vx_errinfo detail = {0};
    vx_buf text = {0};

    if (named)
        path = o->settings[i].text;
    if (!path || *path == '\0')
        return VX_OK;
    vx_err err = vx_file_read(path, VX_CONFIG_CAP, &text, &detail);
    if (err == VX_OK)
        err = read_lines(o, path, &text, &detail);
    else if (err == VX_ERR_NOT_FOUND && !named)
        err = VX_OK;
    if (err != VX_OK && info && info->code == VX_OK)
        *info = detail;
    vx_buf_wipe_done(&text);
    return err;
}

/* ---- all together --------------------------------------------------------------------------------------------- */

static vx_err read_defaults(vx_options *o, vx_errinfo *info)
{
    for (size_t i = 0; i < o->table.count; i++) {
        if (!is_ours(o, (int)i) || o->settings[i].rank != RANK_UNSET)
            continue;
        vx_err err = assign(o, (int)i, o->table.options[i].def, RANK_DEFAULT, "default", info);
        if (err != VX_OK)
            return err;
    }
    return VX_OK;
}

static vx_options *create(vx_option_table table, int program, int argc)
{
    vx_options *o = calloc(1, sizeof *o + table.count * sizeof *o->settings);

    if (!o)
        return NULL;
    o->table = table;
    o->program = program;
    o->operands = calloc((size_t)argc + 1, sizeof *o->operands);
    if (!o->operands) {
        vx_options_destroy(o);
        return NULL;
    }
    return o;
}

vx_err vx_options_load_from(vx_option_table table, int program, char *const *environ_, int argc, char *const *argv,
                            const char *config_path, const char **ret_operands, int *ret_n_operands,
                            vx_options **ret_options, vx_errinfo *info)
{
    vx_options *o = create(table, program, argc);
    vx_err err;

    if (!o)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory for settings");
    /* Flags and environment first: they can name the file. */
    if ((err = read_flags(o, argc, argv, info)) != VX_OK || (err = read_environment(o, environ_, info)) != VX_OK ||
        (err = read_file(o, config_path, info)) != VX_OK || (err = read_defaults(o, info)) != VX_OK)
        goto out;
    for (int i = 0; i < o->n_operands; i++)
        ret_operands[i] = o->operands[i];
    *ret_n_operands = o->n_operands;
    *ret_options = o;
    o = NULL;
out:
    vx_options_destroy(o);
    return err;
}

vx_err vx_options_load(int program, char *const *environ_, int argc, char *const *argv, const char *config_path,
                       const char **ret_operands, int *ret_n_operands, vx_options **ret_options, vx_errinfo *info)
{
    vx_option_table table;

    table.options = vx_settings_table(&table.count);
    return vx_options_load_from(table, program, environ_, argc, argv, config_path, ret_operands, ret_n_operands,
                                ret_options, info);
}

void vx_options_destroy(vx_options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < options->table.count; i++)
        setting_done(&options->settings[i]);
    free(options->operands);
    free(options);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

static const vx_setting *get(const vx_options *o, const char *name, unsigned types)
{
    int i = find_name(o, name);

    if (i == NONE || !is_ours(o, i) || !(1u << o->table.options[i].type & types)) {
        /* A wrong name is a mistake in this program that no input can cause; going on would mean a made-up value. */
        (void)fprintf(stderr, "no setting '%s' of that type in this program\n", name);
        abort();
    }
    return &o->settings[i];
}

int64_t vx_option_int(const vx_options *options, const char *name)
{
    return get(options, name, 1u << VX_OPT_INT)->num;
}

double vx_option_real(const vx_options *options, const char *name)
{
    return get(options, name, 1u << VX_OPT_REAL)->real;
}

bool vx_option_bool(const vx_options *options, const char *name)
{
    return get(options, name, 1u << VX_OPT_BOOL)->num != 0;
}

const char *vx_option_text(const vx_options *options, const char *name)
{
    return get(options, name, 1u << VX_OPT_TEXT | 1u << VX_OPT_PATH | 1u << VX_OPT_CHOICE)->text;
}

const char *vx_option_origin(const vx_options *options, const char *name)
{
    return get(options, name, ~0u)->origin;
}

const vx_option *vx_option_at(const vx_options *options, size_t i, const char **ret_value, const char **ret_origin)
{
    for (size_t at = 0; at < options->table.count; at++) {
        if (!is_ours(options, (int)at) || i-- > 0)
            continue;
        const vx_option *option = &options->table.options[at];
        const vx_setting *setting = &options->settings[at];
        *ret_value = option->secret && *setting->text ? VX_MASK : setting->text;
        *ret_origin = setting->origin;
        return option;
    }
    return NULL;
}

static vx_err help_one(const vx_option *option, vx_buf *out)
{
    char takes[160];
    vx_err err = vx_buf_printf(out, "  %s", option->name);

    vx_option_describe(option, takes, sizeof takes);
    if (err == VX_OK && option->flag && option->type == VX_OPT_BOOL)
        err = vx_buf_printf(out, ", %s, --no-%s", option->flag, option->flag + 2);
    else if (err == VX_OK && option->flag)
        err = vx_buf_printf(out, ", %s VALUE", option->flag);
    if (err != VX_OK)
        return err;
    return vx_buf_printf(out, "\n      %s\n      Takes %s; default: %s.\n", option->help, takes,
                         *option->def ? option->def : "empty");
}

vx_err vx_options_help_from(vx_option_table table, int program, vx_buf *out)
{
    for (size_t i = 0; i < table.count; i++) {
        if (!(table.options[i].programs & program))
            continue;
        vx_err err = help_one(&table.options[i], out);
        if (err != VX_OK)
            return err;
    }
    return VX_OK;
}

vx_err vx_options_help(int program, vx_buf *out)
{
    vx_option_table table;

    table.options = vx_settings_table(&table.count);
    return vx_options_help_from(table, program, out);
}
