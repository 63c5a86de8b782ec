/* show.c - headings, rows and tables. */
#include "edge/show.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/tame.h"

enum { CELL_CAP = 1024, MAX_COLUMNS = 12 };

/* Columns on a terminal: characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void label(const char *key, char ret_cell[CELL_CAP])
{
    snprintf(ret_cell, CELL_CAP, "%s", key);
    for (char *c = ret_cell; *c; c++)
        if (*c == '_')
            *c = ' ';
    vx_tame(ret_cell);
}

static void cell(const json_t *value, char ret_cell[CELL_CAP])
{
    if (json_is_string(value))
        snprintf(ret_cell, CELL_CAP, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret_cell, CELL_CAP, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(ret_cell, CELL_CAP, "%.6g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(ret_cell, CELL_CAP, "%s", json_is_true(value) ? "yes" : "no");
    else
        snprintf(ret_cell, CELL_CAP, "-");
    vx_tame(ret_cell);
}

/* A cell and what fills its column; the last of a line is not filled. */
static vx_err put(vx_buf *out, const char *text, size_t width, bool last)
{
    const size_t own = width_of(text);
    return vx_buf_printf(out, "  %s%*s%s", text, last || own >= width ? 0 : (int)(width - own), "", last ? "\n" : "");
}

static vx_err show_rows(const json_t *section, vx_buf *out)
{
    char text[CELL_CAP];
    const char *key;
    json_t *value;
    size_t width = 0;
    vx_err err = VX_OK;
    json_object_foreach((json_t *)section, key, value)
    {
        const size_t own = width_of(key);
        width = own > width ? own : width;
    }
    json_object_foreach((json_t *)section, key, value)
    {
        label(key, text);
        if (!err)
            err = put(out, text, width, false);
        cell(value, text);
        if (!err)
            err = put(out, text, 0, true);
    }
    return err;
}

typedef struct {
    const char *key; /* of the first object */
    size_t width;
} column;

static size_t find_columns(const json_t *list, column ret_columns[MAX_COLUMNS])
{
    char text[CELL_CAP];
    const char *key;
    json_t *value, *row;
    size_t n = 0, i;
    json_object_foreach(json_array_get(list, 0), key, value)
    {
        if (n < MAX_COLUMNS)
            ret_columns[n++] = (column){key, width_of(key)};
    }
    json_array_foreach(list, i, row)
    {
        for (size_t c = 0; c < n; c++) {
            cell(json_object_get(row, ret_columns[c].key), text);
            if (width_of(text) > ret_columns[c].width)
                ret_columns[c].width = width_of(text);
        }
    }
    return n;
}

/* One line of the table; row NULL: the columns' names. */
static vx_err show_line(const json_t *row, const column *columns, size_t n, vx_buf *out)
{
    char text[CELL_CAP];
    vx_err err = VX_OK;
    for (size_t c = 0; c < n && !err; c++) {
        if (row)
            cell(json_object_get(row, columns[c].key), text);
        else
            label(columns[c].key, text);
        err = put(out, text, columns[c].width, c + 1 == n);
    }
    return err;
}

static vx_err show_table(const json_t *list, vx_buf *out)
{
    column columns[MAX_COLUMNS];
    json_t *row;
    size_t i;
    if (json_array_size(list) == 0)
        return put(out, "none", 0, true);
    const size_t n = find_columns(list, columns);
    vx_err err = show_line(NULL, columns, n, out);
    json_array_foreach(list, i, row)
    {
        if (!err)
            err = show_line(row, columns, n, out);
    }
    return err;
}

vx_err vx_show(const json_t *root, vx_buf *out)
{
    char heading[CELL_CAP];
    const char *key;
    json_t *section;
    vx_err err = VX_OK;
    json_object_foreach((json_t *)root, key, section)
    {
        label(key, heading);
        if (!err)
            err = vx_buf_printf(out, "%s%s\n", out->len ? "\n" : "", heading);
        if (!err)
            err = json_is_array(section) ? show_table(section, out) : show_rows(section, out);
    }
    return err;
}
