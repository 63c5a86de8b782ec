/* option_value.c - text to the value of one setting, and what a setting takes in words.
 * Owns:   number, boolean and choice syntax. Does not: know where text comes from (options.c).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/options_private.h"

/* An integer of so many digits, and ten to so many places, are exact as double: their quotient is rounded once. */
#define VX_REAL_DIGITS 15
#define VX_REAL_PLACES 22

static bool is_bytes(const vx_option *option)
{
    return option->unit && strcmp(option->unit, "bytes") == 0;
}

/* Digits with an optional minus, and a decimal or binary suffix where `bytes`. */
static bool read_int(const char *text, bool bytes, int64_t *ret)
{
    static const struct {
        const char *name;
        int64_t scale;
    } suffixes[] = {{"KB", 1000},
                    {"MB", 1000000},
                    {"GB", 1000000000},
                    {"KiB", (int64_t)1 << 10},
                    {"MiB", (int64_t)1 << 20},
                    {"GiB", (int64_t)1 << 30}};
    bool negative = *text == '-';
    int64_t value = 0, scale = 1;

    text += negative;
    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
            return false;
    }
    for (size_t i = 0; bytes && *text && i < sizeof suffixes / sizeof *suffixes; i++) {
        if (strcmp(text, suffixes[i].name) == 0) {
            scale = suffixes[i].scale;
            text = "";
        }
    }
    if (*text || __builtin_mul_overflow(value, scale, &value))
        return false;
    *ret = negative ? -value : value;
    return true;
}

/* Not strtod, which obeys the locale and takes "nan", "0x1p3" and " 1". */
static bool read_real(const char *text, double *ret)
{
    bool negative = *text == '-', after_point = false, any = false;
    double value = 0, scale = 1;
    int digits = 0, places = 0;

    for (text += negative; *text; text++) {
        if (*text == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (!isdigit((unsigned char)*text))
            return false;
        any = true;
        value = value * 10 + (*text - '0');
        scale *= after_point ? 10 : 1;
        digits += value > 0;
        places += after_point;
    }
    if (!any || digits > VX_REAL_DIGITS || places > VX_REAL_PLACES)
        return false;
    *ret = negative ? -value / scale : value / scale;
    return true;
}

static bool read_bool(const char *text, bool *ret)
{
    static const char *const words[2][4] = {{"false", "0", "no", "off"}, {"true", "1", "yes", "on"}};

    for (int truth = 0; truth < 2; truth++) {
        for (int i = 0; i < 4; i++) {
            if (strcasecmp(text, words[truth][i]) == 0) {
                *ret = truth;
                return true;
            }
        }
    }
    return false;
}

/* The choice as the table spells it: *ret points into choices. */
static bool read_choice(const char *choices, const char *text, const char **ret, size_t *ret_len)
{
    size_t len = strlen(text);

    for (const char *c = choices;; c++) {
        size_t n = strcspn(c, "|");
        if (n == len && strncasecmp(c, text, len) == 0) {
            *ret = c;
            *ret_len = len;
            return true;
        }
        c += n;
        if (!*c)
            return false;
    }
}

void vx_option_describe(const vx_option *option, char *ret_text, size_t cap)
{
    const char *unit = option->unit ? option->unit : "", *space = *unit ? " " : "";

    switch (option->type) {
    case VX_OPT_INT:
        (void)snprintf(ret_text, cap, "a whole number from %lld to %lld%s%s%s", (long long)option->min,
                       (long long)option->max, space, unit,
                       is_bytes(option) ? " (KB, MB, GB, KiB, MiB, GiB allowed)" : "");
        return;
    case VX_OPT_REAL:
        (void)snprintf(ret_text, cap, "a number from %g to %g%s%s", option->min, option->max, space, unit);
        return;
    case VX_OPT_BOOL: (void)snprintf(ret_text, cap, "true or false"); return;
    case VX_OPT_CHOICE:
        (void)snprintf(ret_text, cap, "%s%s", strchr(option->choices, '|') ? "one of " : "", option->choices);
        return;
    case VX_OPT_PATH: (void)snprintf(ret_text, cap, "a path"); return;
    case VX_OPT_TEXT: break;
    }
    (void)snprintf(ret_text, cap, "text");
}

static vx_err refuse(const vx_option *option, const char *text, const char *origin, vx_errinfo *info)
{
    char takes[160];

    vx_option_describe(option, takes, sizeof takes);
    if (option->secret)
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s must be %s (%s)", option->name, takes, origin);
    return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "%s must be %s, not '%.40s' (%s)", option->name, takes, text,
                          origin);
}

char *vx_option_copy(const char *text, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

vx_err vx_option_parse(const vx_option *option, const char *text, const char *origin, vx_setting *ret, vx_errinfo *info)
{
    char canonical[32];
    const char *kept = text;
    size_t len = strlen(text);
    int64_t num = 0;
    double real = 0;
    bool truth = false, good = true;

    switch (option->type) {
    case VX_OPT_INT:
        good = read_int(text, is_bytes(option), &num) && (double)num >= option->min && (double)num <= option->max;
        (void)snprintf(canonical, sizeof canonical, "%lld", (long long)num);
        kept = canonical;
        len = strlen(canonical);
        break;
    case VX_OPT_REAL: good = read_real(text, &real) && real >= option->min && real <= option->max; break;
    case VX_OPT_BOOL:
        good = read_bool(text, &truth);
        num = truth;
        kept = truth ? "true" : "false";
        len = strlen(kept);
        break;
    case VX_OPT_CHOICE: good = read_choice(option->choices, text, &kept, &len); break;
    case VX_OPT_TEXT:
    case VX_OPT_PATH: break;
    }
    if (!good)
        return refuse(option, text, origin, info);

    char *copy = vx_option_copy(kept, len);
    if (!copy)
        return vx_errinfo_set(info, VX_ERR_NOMEM, "not enough memory for settings");
    ret->text = copy;
    ret->num = num;
    ret->real = real;
    return VX_OK;
}
