/* log.c - one log line, formatted on the stack and written at once.
 * Owns:   escaping, nesting of dotted keys, the cut of long lines. Does not: allocate or lock per line.
 */
#include "shared/base/log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/utf8.h"

#define VX_LOG_LINE_CAP   16384
/* Strings stop here, so that quotes, braces and the mark of a cut line always fit behind them. */
#define VX_LOG_TEXT_CAP   (VX_LOG_LINE_CAP - 512)
/* Keys are constants of the program; a longer one (or one nested deeper than the room for braces) is dropped as if the
 * line were full. A character takes at most 6 bytes escaped; a number at most 32. */
#define VX_LOG_KEY_CAP    128
#define VX_LOG_FIELD_ROOM (6 * VX_LOG_KEY_CAP + 64)

struct vx_log {
    int fd;
    vx_log_style style;
    vx_log_level least;
};

typedef struct {
    char text[VX_LOG_LINE_CAP];
    size_t len;
    bool cut;
} line;

static void put(line *l, const char *text, size_t len)
{
    if (len > sizeof l->text - l->len)
        len = sizeof l->text - l->len;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void put_str(line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* Characters that end a line, move a cursor, or turn the direction of text: what forged lines are made of. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* Characters as they stand between the quotes of a JSON string; without `quoted`, quotes stay as they are. */
static void put_escaped(line *l, const char *text, size_t len, bool quoted)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + len;

    while (at < end && !l->cut) {
        uint32_t code = 0xfffd;
        char escape[8];
        size_t n = vx_utf8_next(at, (size_t)(end - at), &code), n_escape = 0;
        if (code == '\n' || code == '\r' || code == '\t')
            n_escape = (size_t)snprintf(escape, sizeof escape, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
        else if (n == 0 || is_unsafe(code))
            n_escape = (size_t)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code & 0xffff);
        else if (code == '\\' || (quoted && code == '"'))
            n_escape = (size_t)snprintf(escape, sizeof escape, "\\%c", (char)code);
        size_t need = n_escape > 0 ? n_escape : n;
        l->cut = l->len + need > VX_LOG_TEXT_CAP;
        if (!l->cut)
            put(l, n_escape > 0 ? escape : (const char *)at, need);
        at += n > 0 ? n : 1;
    }
}

static void put_quoted(line *l, const char *text, size_t len)
{
    put_str(l, "\"");
    put_escaped(l, text, len, true);
    put_str(l, "\"");
}

/* printf writes the locale's decimal point, whatever its bytes are; a log line has a dot. */
static void put_real(line *l, double value)
{
    char text[64];
    bool in_number = true;

    if (!isfinite(value)) {
        put_str(l, "null");
        return;
    }
    (void)snprintf(text, sizeof text, "%.9g", value);
    for (const char *c = text; *c; c++) {
        bool ours = strchr("+-0123456789e", *c) != NULL;
        if (ours || in_number)
            put(l, ours ? c : ".", 1);
        in_number = ours;
    }
}

static void put_number(line *l, const vx_log_field *field)
{
    char text[32];

    if (field->kind == VX_FIELD_REAL) {
        put_real(l, field->real);
    } else if (field->kind == VX_FIELD_BOOL) {
        put_str(l, field->num ? "true" : "false");
    } else {
        (void)snprintf(text, sizeof text, "%lld", (long long)field->num);
        put_str(l, text);
    }
}

/* False, and the line marked as cut, where a field can no longer be written whole up to its value. */
static bool has_room(line *l, const vx_log_field *field)
{
    if (strlen(field->key) > VX_LOG_KEY_CAP || l->len + VX_LOG_FIELD_ROOM > VX_LOG_TEXT_CAP)
        l->cut = true;
    return !l->cut;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------- */

/* Bytes of the key that name enclosing objects, the last dot included. A key with a slash is one name, dots and all:
 * "logging.googleapis.com/trace" must stay as it is. */
static size_t path_len(const char *key)
{
    const char *dot = strchr(key, '/') ? NULL : strrchr(key, '.');
    return dot ? (size_t)(dot - key) + 1 : 0;
}

/* Closes the objects of `from` and opens those of `to` that the two do not share. */
static void walk(line *l, const char *from, const char *to)
{
    size_t from_len = path_len(from), to_len = path_len(to), same = 0;

    for (size_t i = 0; i < from_len && i < to_len && from[i] == to[i]; i++) {
        if (from[i] == '.')
            same = i + 1;
    }
    for (size_t i = same; i < from_len; i++) {
        if (from[i] == '.')
            put_str(l, "}");
    }
    /* What the caller writes next is a member: it needs a comma unless its object was just opened. */
    for (size_t start = same; start < to_len;) {
        size_t part = (size_t)((const char *)memchr(to + start, '.', to_len - start) - (to + start));
        put_str(l, l->text[l->len - 1] == '{' ? "" : ",");
        put_quoted(l, to + start, part);
        put_str(l, ":{");
        start += part + 1;
    }
}

static void put_key(line *l, const char *from, const char *key)
{
    walk(l, from, key);
    put_str(l, l->text[l->len - 1] == '{' ? "" : ",");
    key += path_len(key);
    put_quoted(l, key, strlen(key));
    put_str(l, ":");
}

static void format_json(line *l, vx_log_level level, const char *time, const char *message, const vx_log_field *fields,
                        size_t n_fields)
{
    static const char *const severity[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    const char *last = "";

    put_str(l, "{\"severity\":\"");
    put_str(l, severity[level]);
    put_str(l, "\",\"time\":\"");
    put_str(l, time);
    put_str(l, "\",\"message\":");
    put_quoted(l, message, strlen(message));
    for (size_t i = 0; i < n_fields && has_room(l, &fields[i]); i++) {
        put_key(l, last, fields[i].key);
        last = fields[i].key;
        if (fields[i].kind == VX_FIELD_STR)
            put_quoted(l, fields[i].str, strlen(fields[i].str));
        else
            put_number(l, &fields[i]);
    }
    walk(l, last, "");
    put_str(l, l->cut ? ",\"truncated\":true}\n" : "}\n");
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

/* True if a value can stand bare: visible ASCII that cannot be taken for a quote, an escape or the next field. */
static bool is_bare(const char *text)
{
    const char *c = text;

    while (*c > ' ' && *c < 0x7f && *c != '"' && *c != '\\' && *c != '=')
        c++;
    return c > text && *c == '\0';
}

static void format_text(line *l, vx_log_level level, const char *time, const char *message, const vx_log_field *fields,
                        size_t n_fields)
{
    static const char *const names[] = {" DEBUG ", " INFO  ", " WARN  ", " ERROR "};

    /* The date is left out: a person reads this line when it appears. */
    put(l, time + strlen("2026-01-31T"), strlen("12:34:56.789"));
    put_str(l, names[level]);
    put_escaped(l, message, strlen(message), false);
    for (size_t i = 0; i < n_fields && has_room(l, &fields[i]); i++) {
        put_str(l, i == 0 ? "  " : " ");
        put_escaped(l, fields[i].key, strlen(fields[i].key), true);
        put_str(l, "=");
        if (fields[i].kind != VX_FIELD_STR)
            put_number(l, &fields[i]);
        else if (is_bare(fields[i].str))
            put_escaped(l, fields[i].str, strlen(fields[i].str), true);
        else
            put_quoted(l, fields[i].str, strlen(fields[i].str));
    }
    put_str(l, l->cut ? " [cut]\n" : "\n");
}

/* ---- public --------------------------------------------------------------------------------------------------- */

vx_err vx_log_create(int fd, vx_log_style style, vx_log_level least, vx_log **ret_log)
{
    vx_log *log = malloc(sizeof *log);

    if (!log)
        return VX_ERR_NOMEM;
    *log = (vx_log){.fd = fd, .style = style, .least = least};
    *ret_log = log;
    return VX_OK;
}

void vx_log_destroy(vx_log *log)
{
    free(log);
}

/* One write for the whole line. The loop only ends a line that the system took in pieces; a reader that does not keep
 * up (EAGAIN) loses lines rather than stopping the program. */
static void write_line(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

void vx_log_write(vx_log *log, vx_log_level level, const char *message, const vx_log_field *fields, size_t n_fields)
{
    char time[VX_TIMESTAMP_CAP];
    line l;
    int saved = errno;

    if (!log || level < log->least)
        return;
    l.len = 0;
    l.cut = false;
    vx_timestamp(time);
    (log->style == VX_LOG_JSON ? format_json : format_text)(&l, level, time, message, fields, n_fields);
    write_line(log->fd, l.text, l.len);
    errno = saved;
}
