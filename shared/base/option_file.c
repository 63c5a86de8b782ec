/* option_file.c - the syntax of a config file.
 * Owns:   NAME = value lines, comments, double quotes, the byte-order mark. Does not: know any name.
 *
 *   file  = [BOM] *line
 *   line  = [NAME = value] [# comment]           white space around each part is free
 *   value = text without " #" | "text"           in quotes, \" is a quote and \\ a backslash
 */
#include <string.h>

#include "shared/base/options_private.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *skip_blanks(char *c)
{
    while (is_blank(*c))
        c++;
    return c;
}

static bool at_line_end(const char *c)
{
    return *c == '\0' || *c == '#';
}

/* Cuts the next line out of the text and ends it with a zero. NULL at the end of the text. A zero or control character
 * inside means that this is no text file; *ret_clean is then false. */
static char *next_line(vx_config_reader *reader, bool *ret_clean)
{
    char *line = reader->at;
    size_t left = (size_t)(reader->end - line);

    if (left == 0)
        return NULL;
    char *newline = memchr(line, '\n', left);
    char *end = newline ? newline : reader->end;
    *ret_clean = true;
    for (const char *c = line; c < end; c++) {
        unsigned char byte = (unsigned char)*c;
        if ((byte < ' ' && !is_blank(*c)) || byte == 0x7f)
            *ret_clean = false;
    }
    *end = '\0';
    reader->at = newline ? newline + 1 : reader->end;
    reader->line++;
    return line;
}

/* Undoes quoting in place. NULL when the closing quote is missing or more than a comment follows it. */
static char *unquote(char *value)
{
    char *from = value + 1, *to = value;

    for (; *from != '"'; from++) {
        if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
        if (*from == '\0')
            return NULL;
        *to++ = *from;
    }
    if (!at_line_end(skip_blanks(from + 1)))
        return NULL;
    *to = '\0';
    return value;
}

/* A comment needs white space before it, so that values may hold a '#'. */
static char *trim(char *value)
{
    char *end = value;

    while (*end && !(*end == '#' && (end == value || is_blank(end[-1]))))
        end++;
    while (end > value && is_blank(end[-1]))
        end--;
    *end = '\0';
    return value;
}

vx_config_reader vx_config_reader_init(char *text, size_t len)
{
    size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    return (vx_config_reader){.at = text + mark, .end = text + len};
}

bool vx_config_next(vx_config_reader *reader, const char **ret_name, const char **ret_value, const char **ret_fault)
{
    char *line;
    bool clean;

    *ret_fault = NULL;
    while ((line = next_line(reader, &clean)) != NULL) {
        if (!clean) {
            *ret_fault = "a control character";
            return false;
        }
        line = skip_blanks(line);
        if (at_line_end(line))
            continue;
        char *name_end = line + strcspn(line, " \t\r=#");
        char *equals = skip_blanks(name_end);
        if (name_end == line || *equals != '=') {
            *ret_fault = "NAME = value was expected";
            return false;
        }
        char *value = skip_blanks(equals + 1);
        *name_end = '\0';
        value = *value == '"' ? unquote(value) : trim(value);
        if (!value) {
            *ret_fault = "a quoted value must end with a quote, and only a comment may follow";
            return false;
        }
        *ret_name = line;
        *ret_value = value;
        return true;
    }
    return false;
}
