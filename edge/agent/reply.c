/* reply.c - a pull reader for JSON of a few kilobytes: every byte is looked at, nothing is copied but text asked for. */
#include "edge/agent/reply.h"

#include <stdint.h>
#include <string.h>

#include "shared/base/utf8.h"

/* The agent's answers nest three deep; a line that nests deeper is not one of them. */
enum { MAX_DEPTH = 16 };

typedef struct {
    const char *at, *end;
} cursor;

static void skip_blank(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r' || *c->at == '\n'))
        c->at++;
}

/* The character at the cursor, 0 at the end (a zero in the text is no JSON either). */
static char peek(const cursor *c)
{
    return c->at < c->end ? *c->at : '\0';
}

static bool take(cursor *c, char wanted)
{
    if (peek(c) != wanted)
        return false;
    c->at++;
    return true;
}

/* ---- strings ---------------------------------------------------------------------------------------------------- */

static bool take_hex4(cursor *c, uint32_t *ret)
{
    uint32_t code = 0;
    if (c->end - c->at < 4)
        return false;
    for (int i = 0; i < 4; i++, c->at++) {
        const char x = *c->at;
        const int digit = x >= '0' && x <= '9'   ? x - '0'
                          : x >= 'a' && x <= 'f' ? x - 'a' + 10
                          : x >= 'A' && x <= 'F' ? x - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return false;
        code = code << 4 | (uint32_t)digit;
    }
    *ret = code;
    return true;
}

/* Behind "\u": one code point, from two escapes where it needs them. */
static bool take_unicode(cursor *c, uint32_t *ret)
{
    uint32_t high, low;
    if (!take_hex4(c, &high) || high == 0 || (high >= 0xdc00 && high <= 0xdfff))
        return false;
    if (high >= 0xd800 && high <= 0xdbff) {
        if (!take(c, '\\') || !take(c, 'u') || !take_hex4(c, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    *ret = high;
    return true;
}

static bool take_escape(cursor *c, uint32_t *ret)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char letter = peek(c);
    if (take(c, 'u'))
        return take_unicode(c, ret);
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (!found)
        return false;
    c->at++;
    *ret = (uint32_t)meanings[found - letters];
    return true;
}

static bool take_character(cursor *c, uint32_t *ret)
{
    if (take(c, '\\'))
        return take_escape(c, ret);
    const size_t n = c->at < c->end ? vx_utf8_next((const uint8_t *)c->at, (size_t)(c->end - c->at), ret) : 0;
    c->at += n;
    return n > 0 && *ret >= 0x20;
}

/* Where the text of a string goes; one that was cut takes nothing more, however short. */
typedef struct {
    char *text; /* NULL: nowhere */
    size_t len, cap;
    bool cut;
} sink;

static void put(sink *s, uint32_t code)
{
    uint8_t bytes[4];
    const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
    const size_t n = vx_utf8_put(control ? ' ' : code, bytes);
    s->cut = s->cut || s->len + n >= s->cap;
    if (s->cut)
        return;
    memcpy(s->text + s->len, bytes, n);
    s->len += n;
}

static bool take_string(cursor *c, sink *s)
{
    uint32_t code = 0;
    if (!take(c, '"'))
        return false;
    while (!take(c, '"')) {
        if (!take_character(c, &code))
            return false;
        if (s->text)
            put(s, code);
    }
    return true;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static size_t take_digits(cursor *c)
{
    const char *from = c->at;
    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return (size_t)(c->at - from);
}

static bool take_number(cursor *c)
{
    (void)take(c, '-');
    const bool zero = peek(c) == '0';
    const size_t digits = take_digits(c);
    if (digits == 0 || (zero && digits > 1))
        return false;
    if (take(c, '.') && take_digits(c) == 0)
        return false;
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+'))
            (void)take(c, '-');
        return take_digits(c) > 0;
    }
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool skip_value(cursor *c, int depth);

/* NOLINTNEXTLINE(misc-no-recursion): depth is bounded */
static bool skip_members(cursor *c, char close, int depth)
{
    sink nowhere = {0};
    skip_blank(c);
    if (take(c, close))
        return true;
    do {
        skip_blank(c);
        if (close == '}') {
            if (!take_string(c, &nowhere))
                return false;
            skip_blank(c);
            if (!take(c, ':'))
                return false;
        }
        if (!skip_value(c, depth + 1))
            return false;
        skip_blank(c);
    } while (take(c, ','));
    return take(c, close);
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is bounded */
static bool skip_value(cursor *c, int depth)
{
    sink nowhere = {0};
    if (depth > MAX_DEPTH)
        return false;
    skip_blank(c);
    switch (peek(c)) {
    case '{': c->at++; return skip_members(c, '}', depth);
    case '[': c->at++; return skip_members(c, ']', depth);
    case '"': return take_string(c, &nowhere);
    case 't': return take_word(c, "true");
    case 'f': return take_word(c, "false");
    case 'n': return take_word(c, "null");
    default: return take_number(c);
    }
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

/* The next member of an object whose brace has been taken. False at its end and at a fault; *ok tells which. */
static bool next_member(cursor *c, bool first, char *ret_key, size_t cap, cursor *ret_value, bool *ok)
{
    sink key = {.text = ret_key, .cap = cap};
    skip_blank(c);
    if (take(c, '}')) {
        *ok = first; /* else there is a comma before it */
        return false;
    }
    *ok = take_string(c, &key);
    skip_blank(c);
    *ok = *ok && take(c, ':');
    skip_blank(c);
    ret_value->at = c->at;
    *ok = *ok && skip_value(c, 1);
    ret_value->end = c->at;
    /* A key that was cut is none that anybody asks for. */
    ret_key[key.cut ? 0 : key.len] = '\0';
    return *ok;
}

/* Walks an object once. True when the whole text is one object; how often the key is in it, how many members there are,
 * and the value of the last that has the key. */
static bool walk(cursor c, const char *key, int *ret_found, int *ret_members, cursor *ret_value)
{
    char name[64];
    cursor value;
    bool ok = true, more = true;
    *ret_found = *ret_members = 0;
    skip_blank(&c);
    if (!take(&c, '{'))
        return false;
    for (bool first = true; more; first = false) {
        if (!next_member(&c, first, name, sizeof name, &value, &ok))
            break;
        ++*ret_members;
        if (strcmp(name, key) == 0) {
            ++*ret_found;
            *ret_value = value;
        }
        skip_blank(&c);
        more = take(&c, ',');
        if (!more)
            ok = take(&c, '}');
    }
    skip_blank(&c);
    return ok && c.at == c.end;
}

/* The value of a key that is there once. */
static bool find(const char *object, size_t len, const char *key, int *ret_members, cursor *ret_value)
{
    int found;
    const cursor c = {.at = object, .end = object + len};
    return walk(c, key, &found, ret_members, ret_value) && found == 1;
}

vx_reply_kind vx_agent_reply_kind(const char *line, size_t len, const char **ret_value, size_t *ret_len)
{
    static const struct {
        const char *key;
        vx_reply_kind kind;
        char opens;
    } kinds[] = {{"say", VX_REPLY_SAY, '"'}, {"answer", VX_REPLY_ANSWER, '{'}, {"error", VX_REPLY_ERROR, '{'}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cursor value;
        int members;
        if (!find(line, len, kinds[i].key, &members, &value) || members != 1 || peek(&value) != kinds[i].opens)
            continue;
        *ret_value = value.at;
        *ret_len = (size_t)(value.end - value.at);
        return kinds[i].kind;
    }
    return VX_REPLY_BAD;
}

bool vx_agent_reply_text(const char *value, size_t len, char *ret, size_t cap)
{
    cursor c = {.at = value, .end = value + len}, look = c;
    sink nowhere = {0}, s = {.text = ret, .cap = cap};
    if (cap == 0 || !take_string(&look, &nowhere) || look.at != look.end)
        return false;
    (void)take_string(&c, &s);
    ret[s.len] = '\0';
    return true;
}

bool vx_agent_reply_field(const char *object, size_t len, const char *key, char *ret, size_t cap)
{
    cursor value;
    int members;
    return find(object, len, key, &members, &value) &&
           vx_agent_reply_text(value.at, (size_t)(value.end - value.at), ret, cap);
}

bool vx_agent_reply_flag(const char *object, size_t len, const char *key, bool *ret)
{
    cursor value;
    int members;
    if (!find(object, len, key, &members, &value))
        return false;
    const bool yes = take_word(&value, "true");
    if (!yes && !take_word(&value, "false"))
        return false;
    *ret = yes;
    return true;
}
