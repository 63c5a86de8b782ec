/* json_parse.c - JSON text to jansson values (RFC 8259, strict).
 * Owns:   the grammar, the limits, the place and sentence of an error. Does not: look at what the values mean.
 * Why not json_loadb: jansson 2.14 takes 1.8 ms for the 128,000 base64 characters of a 3 s clip, this parser 20 us, and
 *         the whole request may take 400. Tests and fuzzing compare the two.
 */
#include "shared/base/json.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/utf8.h"

/* A frame of the recursion takes about 200 bytes; threads may have 256 KiB. */
#define VX_JSON_DEPTH_CAP  512
/* No number a computer can hold needs more; bounds the copy that strtod reads. */
#define VX_JSON_NUMBER_CAP 400

typedef struct {
    const char *text;
    const char *at;
    const char *end;
    size_t depth_left;
    size_t values_left;
    vx_buf scratch; /* decoded form of the last key or escaped string */
    vx_errinfo *info;
} parser;

static vx_err parse_value(parser *p, json_t **ret);

static vx_err fail(parser *p, vx_err err, const char *at, const char *what)
{
    int line = 1;

    for (const char *c = p->text; (c = memchr(c, '\n', (size_t)(at - c))) != NULL; c++)
        line++;
    return vx_errinfo_set_at(p->info, err, NULL, at - p->text, line, "%s at byte %zu, line %d", what,
                             (size_t)(at - p->text), line);
}

static vx_err fail_syntax(parser *p, const char *what)
{
    return fail(p, VX_ERR_JSON_SYNTAX, p->at, p->at < p->end ? what : "the text ends too early");
}

static vx_err fail_memory(parser *p)
{
    return vx_errinfo_set(p->info, VX_ERR_NOMEM, "not enough memory to parse JSON");
}

/* The next character that is not white space, or 0 at the end (a zero byte is an error wherever this is asked). */
static char peek(parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
        p->at++;
    return p->at < p->end ? *p->at : 0;
}

static vx_err count_value(parser *p)
{
    if (p->values_left == 0)
        return fail(p, VX_ERR_JSON_LIMIT, p->at, "too many values");
    p->values_left--;
    return VX_OK;
}

/* ---- strings -------------------------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* First character at or behind c that is not plain ASCII inside a string. Eight at a time: the text is mostly base64.
 * The word test may stop early behind a hit within the same word, never late; the byte loop then decides. */
static const char *skip_plain(const char *c, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;

    while (end - c >= 8) {
        uint64_t w;
        memcpy(&w, c, 8);
        uint64_t quote = w ^ (ones * '"'), backslash = w ^ (ones * '\\');
        if (((w - ones * 0x20) | (quote - ones) | (backslash - ones) | w) & tops)
            break;
        c += 8;
    }
    while (c < end && is_plain(*c))
        c++;
    return c;
}

static int hex4(const char *c, const char *end)
{
    int value = 0;

    if (end - c < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char d = c[i];
        if (d >= '0' && d <= '9')
            value = value * 16 + (d - '0');
        else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
            value = value * 16 + ((d | 0x20) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

/* One \uXXXX, or two that form a surrogate pair; at stands behind the first 'u'. */
static vx_err parse_unicode_escape(parser *p, uint32_t *ret_code)
{
    int high = hex4(p->at, p->end);
    if (high < 0)
        return fail_syntax(p, "four hex digits were expected");
    if (high == 0)
        return fail_syntax(p, "\\u0000 is not accepted");
    if ((high & 0xfc00) == 0xd800 && p->end - p->at >= 6 && p->at[4] == '\\' && p->at[5] == 'u') {
        int low = hex4(p->at + 6, p->end);
        if (low >= 0 && (low & 0xfc00) == 0xdc00) {
            *ret_code = 0x10000u + (((uint32_t)high & 0x3ff) << 10) + ((uint32_t)low & 0x3ff);
            p->at += 10;
            return VX_OK;
        }
    }
    if ((high & 0xf800) == 0xd800)
        return fail_syntax(p, "a surrogate escape without its pair");
    *ret_code = (uint32_t)high;
    p->at += 4;
    return VX_OK;
}

/* at stands on the backslash. */
static vx_err parse_escape(parser *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t bytes[4];
    size_t n_bytes = 1;
    const char *hit;

    if (++p->at < p->end && *p->at == 'u') {
        uint32_t code = 0;
        p->at++;
        vx_err err = parse_unicode_escape(p, &code);
        if (err != VX_OK)
            return err;
        n_bytes = vx_utf8_put(code, bytes);
    } else if (p->at < p->end && (hit = memchr(from, *p->at, sizeof from - 1)) != NULL) {
        bytes[0] = (uint8_t)to[hit - from];
        p->at++;
    } else {
        return fail_syntax(p, "unknown escape");
    }
    return vx_buf_append(&p->scratch, bytes, n_bytes) == VX_OK ? VX_OK : fail_memory(p);
}

/* The text between two quotes; at stands on the opening one. *ret points into the text where nothing is escaped, else
 * into scratch, and is good until the next string. */
static vx_err parse_text(parser *p, const char **ret, size_t *ret_len)
{
    const char *start = ++p->at;
    bool copied = false;

    p->scratch.len = 0;
    for (;;) {
        p->at = skip_plain(p->at, p->end);
        if (p->at == p->end)
            return fail_syntax(p, "");
        if (*p->at == '"' || *p->at == '\\') {
            /* Everything since start is valid text: the copy goes piece by piece, from escape to escape. */
            if (*p->at == '\\' || copied) {
                if (vx_buf_append(&p->scratch, start, (size_t)(p->at - start)) != VX_OK)
                    return fail_memory(p);
                copied = true;
            }
            if (*p->at == '"')
                break;
            vx_err err = parse_escape(p);
            if (err != VX_OK)
                return err;
            start = p->at;
            continue;
        }
        uint32_t code;
        size_t n_bytes = vx_utf8_next((const uint8_t *)p->at, (size_t)(p->end - p->at), &code);
        if (n_bytes <= 1)
            return fail_syntax(p, n_bytes == 1 ? "a control character in a string" : "invalid UTF-8");
        p->at += n_bytes;
    }
    *ret = copied ? (const char *)p->scratch.data : start;
    *ret_len = copied ? p->scratch.len : (size_t)(p->at - start);
    p->at++;
    return VX_OK;
}

/* ---- numbers -------------------------------------------------------------------------------------------------- */

static const char *skip_digits(const char *c, const char *end)
{
    while (c < end && *c >= '0' && *c <= '9')
        c++;
    return c;
}

/* strtod obeys the process's locale, which is not ours to change: it is given the decimal point that it wants. */
static bool read_real(const char *text, size_t len, const char *point, double *ret)
{
    char copy[VX_JSON_NUMBER_CAP + 16];
    const char *radix = nl_langinfo(RADIXCHAR);
    size_t n_radix = strlen(radix), head = len;

    if (point) {
        if (n_radix >= 16)
            return false;
        head = (size_t)(point - text);
        memcpy(copy + head, radix, n_radix);
        memcpy(copy + head + n_radix, point + 1, len - head - 1);
        copy[len - 1 + n_radix] = '\0';
    } else {
        copy[len] = '\0';
    }
    memcpy(copy, text, head);
    double value = strtod(copy, NULL);
    if (!isfinite(value))
        return false;
    *ret = value;
    return true;
}

static bool read_integer(const char *c, const char *end, json_int_t *ret)
{
    bool negative = *c == '-';
    json_int_t value = 0;

    /* Summed below zero, where two's complement has one number more. */
    for (c += negative; c < end; c++) {
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *c - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow((json_int_t)0, value, &value))
        return false;
    *ret = value;
    return true;
}

static vx_err parse_number(parser *p, json_t **ret)
{
    const char *start = p->at, *c = start, *point = NULL;
    bool whole = true;

    c += *c == '-';
    const char *digits = c;
    p->at = c = skip_digits(c, p->end);
    if (c == digits || (*digits == '0' && c - digits > 1))
        return p->at = digits, fail_syntax(p, "a digit was expected, and no zero in front of others");
    if (c < p->end && *c == '.') {
        whole = false;
        point = c++;
        p->at = skip_digits(c, p->end);
        if (p->at == c)
            return fail_syntax(p, "a digit was expected behind the point");
        c = p->at;
    }
    if (c < p->end && (*c | 0x20) == 'e') {
        whole = false;
        c++;
        c += c < p->end && (*c == '+' || *c == '-');
        p->at = skip_digits(c, p->end);
        if (p->at == c)
            return fail_syntax(p, "a digit was expected in the exponent");
    }

    json_int_t integer = 0;
    double real = 0;
    size_t len = (size_t)(p->at - start);
    if (len > VX_JSON_NUMBER_CAP)
        return fail(p, VX_ERR_JSON_LIMIT, start, "a number with too many digits");
    if (whole ? !read_integer(start, p->at, &integer) : !read_real(start, len, point, &real))
        return fail(p, VX_ERR_JSON_SYNTAX, start, "a number out of range");
    *ret = whole ? json_integer(integer) : json_real(real);
    return *ret ? VX_OK : fail_memory(p);
}

/* ---- containers ----------------------------------------------------------------------------------------------- */

/* After an element: true on a comma (and stands behind it), false on the closing bracket (likewise). */
static vx_err parse_separator(parser *p, char close, bool *ret_more)
{
    char c = peek(p);

    if (c != ',' && c != close)
        return fail_syntax(p, close == ']' ? "a comma or ']' was expected" : "a comma or '}' was expected");
    p->at++;
    *ret_more = c == ',';
    return VX_OK;
}

static vx_err parse_array(parser *p, json_t *array)
{
    bool more = true;

    p->at++;
    if (peek(p) == ']') {
        p->at++;
        return VX_OK;
    }
    while (more) {
        json_t *value = NULL;
        vx_err err = parse_value(p, &value);
        if (err != VX_OK)
            return err;
        if (json_array_append_new(array, value) != 0)
            return fail_memory(p);
        if ((err = parse_separator(p, ']', &more)) != VX_OK)
            return err;
    }
    return VX_OK;
}

/* One "key": value of an object. The key is copied, because scratch is used again by the value. */
static vx_err parse_member(parser *p, json_t *object)
{
    json_t *value = NULL;
    char *key = NULL;
    const char *text = NULL;
    size_t len = 0;

    if (peek(p) != '"')
        return fail_syntax(p, "a key in double quotes was expected");
    vx_err err = count_value(p);
    const char *start = p->at;
    if (err != VX_OK || (err = parse_text(p, &text, &len)) != VX_OK)
        return err;
    if (!(key = malloc(len + 1)))
        return fail_memory(p);
    memcpy(key, text, len);
    key[len] = '\0';
    if (json_object_get(object, key)) {
        err = fail(p, VX_ERR_JSON_SYNTAX, start, "a key that the object already has");
        goto out;
    }
    if (peek(p) != ':') {
        err = fail_syntax(p, "a colon was expected");
        goto out;
    }
    p->at++;
    if ((err = parse_value(p, &value)) == VX_OK && json_object_set_new_nocheck(object, key, value) != 0)
        err = fail_memory(p);
out:
    free(key);
    return err;
}

static vx_err parse_object(parser *p, json_t *object)
{
    bool more = true;

    p->at++;
    if (peek(p) == '}') {
        p->at++;
        return VX_OK;
    }
    while (more) {
        vx_err err = parse_member(p, object);
        if (err != VX_OK || (err = parse_separator(p, '}', &more)) != VX_OK)
            return err;
    }
    return VX_OK;
}

static vx_err parse_container(parser *p, json_t **ret)
{
    bool is_array = *p->at == '[';

    if (p->depth_left == 0)
        return fail(p, VX_ERR_JSON_LIMIT, p->at, "too many arrays and objects inside each other");
    json_t *container = is_array ? json_array() : json_object();
    if (!container)
        return fail_memory(p);
    p->depth_left--;
    vx_err err = is_array ? parse_array(p, container) : parse_object(p, container);
    p->depth_left++;
    if (err != VX_OK) {
        json_decref(container);
        return err;
    }
    *ret = container;
    return VX_OK;
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static vx_err parse_literal(parser *p, json_t **ret)
{
    static const struct {
        const char *name;
        json_t *(*make)(void);
    } literals[] = {{"true", json_true}, {"false", json_false}, {"null", json_null}};

    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        size_t len = strlen(literals[i].name);
        if ((size_t)(p->end - p->at) >= len && memcmp(p->at, literals[i].name, len) == 0) {
            p->at += len;
            *ret = literals[i].make();
            return VX_OK;
        }
    }
    return fail_syntax(p, "a value was expected");
}

static vx_err parse_string(parser *p, json_t **ret)
{
    const char *text = NULL;
    size_t len = 0;
    vx_err err = parse_text(p, &text, &len);

    if (err != VX_OK)
        return err;
    *ret = json_stringn_nocheck(text, len);
    return *ret ? VX_OK : fail_memory(p);
}

static vx_err parse_value(parser *p, json_t **ret)
{
    char c = peek(p);
    vx_err err = count_value(p);

    if (err != VX_OK)
        return err;
    if (c == '[' || c == '{')
        return parse_container(p, ret);
    if (c == '"')
        return parse_string(p, ret);
    if (c == '-' || (c >= '0' && c <= '9'))
        return parse_number(p, ret);
    return parse_literal(p, ret);
}

vx_err vx_json_parse(const char *text, size_t len, vx_json_limits limits, json_t **ret_root, vx_errinfo *info)
{
    parser p = {.text = text,
                .at = text,
                .end = text + len,
                .depth_left = limits.max_depth < VX_JSON_DEPTH_CAP ? limits.max_depth : VX_JSON_DEPTH_CAP,
                .values_left = limits.max_values,
                .info = info};
    json_t *root = NULL;

    vx_err err = parse_value(&p, &root);
    if (err != VX_OK)
        goto out;
    peek(&p);
    if (p.at < p.end) {
        err = fail_syntax(&p, "something follows the JSON text");
        goto out;
    }
    *ret_root = root;
    root = NULL;
out:
    json_decref(root);
    vx_buf_wipe_done(&p.scratch);
    return err;
}
