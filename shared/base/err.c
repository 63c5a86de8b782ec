/* err.c - names and sentences of the error codes, and filling a vx_errinfo.
 * Owns:   the lookup and the rule that the first error wins. Does not: allocate, print, or exit.
 */
#include "shared/base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *vx_err_code(vx_err err)
{
    switch (err) {
    case VX_OK: return "ok";
#define VX_ERR_CODE(name, value, code, sentence)                                                                       \
    case VX_ERR_##name: return code;
        VX_ERR_LIST(VX_ERR_CODE)
#undef VX_ERR_CODE
    }
    return vx_err_code(VX_ERR_INTERNAL);
}

const char *vx_err_sentence(vx_err err)
{
    switch (err) {
    case VX_OK: return "no error";
#define VX_ERR_SENTENCE(name, value, code, sentence)                                                                   \
    case VX_ERR_##name: return sentence;
        VX_ERR_LIST(VX_ERR_SENTENCE)
#undef VX_ERR_SENTENCE
    }
    return vx_err_sentence(VX_ERR_INTERNAL);
}

/* Drops the UTF-8 sequence that a cut left unfinished at the end: half a character would make the whole sentence
 * invalid JSON further up. */
static void drop_half_character(char *text)
{
    size_t len = strlen(text);
    size_t tail = 0; /* continuation bytes at the end */
    while (tail < len && tail < 3 && ((unsigned char)text[len - 1 - tail] & 0xC0) == 0x80)
        tail++;
    if (tail == len)
        return;
    unsigned char lead = (unsigned char)text[len - 1 - tail];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (tail < need)
        text[len - 1 - tail] = '\0';
}

static void set_text(char *field, size_t cap, const char *fmt, va_list args) VX_PRINTF(3, 0);
static void set_text(char *field, size_t cap, const char *fmt, va_list args)
{
    int n = vsnprintf(field, cap, fmt, args);
    if (n < 0)
        field[0] = '\0';
    else if ((size_t)n >= cap)
        drop_half_character(field);
}

static void set_path(char *field, size_t cap, const char *path)
{
    size_t len = strlen(path);
    bool cut = len >= cap;
    if (cut)
        len = cap - 1;
    memcpy(field, path, len);
    field[len] = '\0';
    if (cut)
        drop_half_character(field);
}

static void set_info(vx_errinfo *info, vx_err code, const char *path, int64_t offset, int line, const char *fmt,
                     va_list args) VX_PRINTF(6, 0);
static void set_info(vx_errinfo *info, vx_err code, const char *path, int64_t offset, int line, const char *fmt,
                     va_list args)
{
    if (info == NULL || info->code != VX_OK)
        return;
    info->code = code;
    info->offset = offset;
    info->line = line;
    set_path(info->path, sizeof info->path, path ? path : "");
    set_text(info->text, sizeof info->text, fmt, args);
}

vx_err vx_errinfo_set(vx_errinfo *info, vx_err code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_info(info, code, NULL, -1, 0, fmt, args);
    va_end(args);
    return code;
}

vx_err vx_errinfo_set_at(vx_errinfo *info, vx_err code, const char *path, int64_t offset, int line, const char *fmt,
                         ...)
{
    va_list args;
    va_start(args, fmt);
    set_info(info, code, path, offset, line, fmt, args);
    va_end(args);
    return code;
}

const char *vx_errinfo_text(const vx_errinfo *info, vx_err err)
{
    if (info != NULL && info->code != VX_OK && info->text[0] != '\0')
        return info->text;
    return vx_err_sentence(err);
}

void vx_errinfo_line(const vx_errinfo *info, vx_err err, char *ret_line, size_t cap)
{
    const char *text = vx_errinfo_text(info, err);
    if (!info || !info->path[0])
        snprintf(ret_line, cap, "%s", text);
    else if (info->line > 0)
        snprintf(ret_line, cap, "%s:%d: %s", info->path, info->line, text);
    else
        snprintf(ret_line, cap, "%s: %s", info->path, text);
}
