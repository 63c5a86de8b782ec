/* json_write.c - jansson values to compact JSON text.
 * Owns:   the number format. Does not: parse (json_parse.c).
 * Why not json_dumps: an answer is mostly one vector of floats, and printf's %.9g took a sixth of the service's time for
 *         an answer from the cache; nine digits by one multiplication take a tenth of that.
 */
#include "shared/base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Nine significant digits are the fewest that tell every float32 apart. */
#define DIGITS    9
#define LARGEST   1000000000u /* 10^DIGITS */
/* A printf number of DIGITS digits: sign, point, exponent, zero, with room to spare. */
#define REAL_CAP  32
#define DEPTH_CAP 512 /* what json_parse.c accepts; ours nest 5 deep */

static vx_err write_value(const json_t *value, int depth, vx_buf *out);

static vx_err put(vx_buf *out, const char *text)
{
    return vx_buf_append(out, text, strlen(text));
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

/* All exact as double. */
static const double powers[] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7, 1e8,
                                1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16};

/* The decimal exponent of x in [1e-5, 1e9). */
static int exponent_of(double x)
{
    int e = -5;
    while (e < DIGITS - 1 && x >= (e < -1 ? 1 / powers[-e - 1] : powers[e + 1]))
        e++;
    return e;
}

/* x in [1e-5, 1e9) with nine significant digits and no exponent, trailing zeros removed, at least one digit behind the
 * point. One rounding of the product and one of the digits: off by less than 1e-8 of x, where float32's half step is
 * 3e-8, so a float32 reads back as itself. Returns the length. */
static size_t format_plain(double x, char *text)
{
    int e = exponent_of(x);
    uint64_t digits = (uint64_t)(x * powers[DIGITS - 1 - e] + 0.5);
    if (digits >= LARGEST) { /* 0.9999999999 became 1.00000000 */
        digits /= 10;
        e++;
    }
    char reversed[DIGITS + 8] = {0};
    int n = 0, behind = DIGITS - 1 - e; /* digits behind the point */
    for (; behind > 1 && digits % 10 == 0; behind--)
        digits /= 10;
    for (int i = 0; digits > 0 || i <= behind; i++) {
        if (i == behind && behind > 0)
            reversed[n++] = '.';
        reversed[n++] = (char)('0' + digits % 10);
        digits /= 10;
    }
    for (int i = 0; i < n; i++)
        text[i] = reversed[n - 1 - i];
    if (behind == 0) { /* nine digits in front */
        text[n++] = '.';
        text[n++] = '0';
    }
    return (size_t)n;
}

static vx_err write_real(double x, vx_buf *out)
{
    char text[REAL_CAP];
    size_t n = 0;
    if (!isfinite(x))
        return VX_ERR_RANGE;
    if (x == 0)
        return put(out, signbit(x) ? "-0.0" : "0.0");
    if (fabs(x) >= 1e-5 && fabs(x) < 1e9 / (1 + 1e-9)) {
        if (x < 0)
            text[n++] = '-';
        n += format_plain(fabs(x), text + n);
        return vx_buf_append(out, text, n);
    }
    /* Rare. printf writes the locale's decimal point; JSON has one. */
    int printed = snprintf(text, sizeof text, "%.*e", DIGITS - 1, x);
    for (int i = 0; i < printed; i++) {
        bool number = strchr("0123456789+-e", text[i]) != NULL;
        if (number || n == 0 || text[n - 1] != '.') /* a point may be several bytes */
            text[n++] = number ? text[i] : '.';
    }
    return vx_buf_append(out, text, n);
}

/* ---- strings -------------------------------------------------------------------------------------------------- */

/* jansson's strings are valid UTF-8 without zeros: only what JSON reserves needs an escape. */
static vx_err write_string(const char *text, size_t len, vx_buf *out)
{
    vx_err err = put(out, "\"");
    for (size_t i = 0, start = 0; err == VX_OK && i <= len; i++) {
        const unsigned char c = i < len ? (unsigned char)text[i] : '"';
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        err = vx_buf_append(out, text + start, i - start);
        start = i + 1;
        if (err != VX_OK || i == len)
            continue;
        if (c == '"' || c == '\\')
            err = vx_buf_append(out, (const char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            err = put(out, "\\n");
        else
            err = vx_buf_printf(out, "\\u%04x", c);
    }
    return err == VX_OK ? put(out, "\"") : err;
}

/* ---- containers ----------------------------------------------------------------------------------------------- */

static vx_err write_array(const json_t *array, int depth, vx_buf *out)
{
    vx_err err = put(out, "[");
    for (size_t i = 0; err == VX_OK && i < json_array_size(array); i++) {
        if (i > 0)
            err = put(out, ",");
        if (err == VX_OK)
            err = write_value(json_array_get(array, i), depth, out);
    }
    return err == VX_OK ? put(out, "]") : err;
}

static vx_err write_object(const json_t *object, int depth, vx_buf *out)
{
    const char *key, *separator = "{";
    json_t *value;
    vx_err err = VX_OK;
    json_object_foreach((json_t *)object, key, value)
    {
        err = put(out, separator);
        separator = ",";
        if (err == VX_OK)
            err = write_string(key, strlen(key), out);
        if (err == VX_OK)
            err = put(out, ":");
        if (err == VX_OK)
            err = write_value(value, depth, out);
        if (err != VX_OK)
            return err;
    }
    return put(out, *separator == '{' ? "{}" : "}");
}

static vx_err write_value(const json_t *value, int depth, vx_buf *out)
{
    if (depth > DEPTH_CAP)
        return VX_ERR_RANGE;
    switch (json_typeof(value)) {
    case JSON_OBJECT: return write_object(value, depth + 1, out);
    case JSON_ARRAY: return write_array(value, depth + 1, out);
    case JSON_STRING: return write_string(json_string_value(value), json_string_length(value), out);
    case JSON_INTEGER: return vx_buf_printf(out, "%lld", (long long)json_integer_value(value));
    case JSON_REAL: return write_real(json_real_value(value), out);
    case JSON_TRUE: return put(out, "true");
    case JSON_FALSE: return put(out, "false");
    case JSON_NULL: return put(out, "null");
    }
    return VX_ERR_INTERNAL;
}

vx_err vx_json_write(const json_t *root, vx_buf *out)
{
    const size_t start = out->len;
    vx_err err = root ? write_value(root, 0, out) : VX_ERR_ARG;
    if (err != VX_OK)
        out->len = start;
    return err;
}
