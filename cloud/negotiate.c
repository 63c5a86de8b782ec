/* negotiate.c - content negotiation. A header is parsed whole before any of it counts: one that breaks the grammar is
 * treated as absent, which RFC 9110 allows and which never answers 406 to a client that meant no harm.
 */
#include "cloud/negotiate.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Browsers send up to ten. */
#define MAX_ELEMENTS 32
#define INVALID      (-1)
#define FULL_Q       1000 /* q is kept in thousandths, its precision in the grammar */

#define BLANKS       " \t"
#define TOKEN_CHARS  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

typedef struct {
    const char *text;
    size_t len;
} span;

/* A media range or a coding, with its weight: "text/html;q=0.5", "gzip;q=0.5". */
typedef struct {
    span type;
    span subtype; /* empty in a coding */
    int q;
    bool has_parameters; /* other than q */
} element;

static bool is(span s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.text, name, s.len) == 0;
}

/* ---- grammar --------------------------------------------------------------------------------------------------- */

static void skip_blanks(const char **at)
{
    *at += strspn(*at, BLANKS);
}

static span take_token(const char **at)
{
    span token = {*at, strspn(*at, TOKEN_CHARS)};
    *at += token.len;
    return token;
}

static bool skip_quoted(const char **at)
{
    const char *p = *at + 1;
    for (; *p != '"'; p++) {
        if (*p == '\\')
            p++;
        if ((unsigned char)*p < ' ' && *p != '\t') /* the end of the text, too */
            return false;
    }
    *at = p + 1;
    return true;
}

/* "0", "0.25", "1.000"; INVALID for anything else. */
static int read_q(span s)
{
    if (s.len == 0 || s.len > 5 || (s.text[0] != '0' && s.text[0] != '1') || (s.len > 1 && s.text[1] != '.'))
        return INVALID;
    int q = (s.text[0] - '0') * FULL_Q;
    int unit = FULL_Q / 10;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.text[i] < '0' || s.text[i] > '9')
            return INVALID;
        q += unit * (s.text[i] - '0');
    }
    return q <= FULL_Q ? q : INVALID;
}

/* *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] ) */
static bool take_parameters(const char **at, element *e)
{
    bool has_q = false;
    for (skip_blanks(at); **at == ';'; skip_blanks(at)) {
        ++*at;
        skip_blanks(at);
        span name = take_token(at), value = {NULL, 0};
        if (name.len == 0)
            continue;
        if (**at != '=')
            return false;
        ++*at;
        bool quoted = **at == '"';
        if (!quoted)
            value = take_token(at);
        if (quoted ? !skip_quoted(at) : value.len == 0)
            return false;
        if (!is(name, "q")) {
            e->has_parameters = true;
            continue;
        }
        e->q = read_q(value); /* one in quotes is none */
        if (has_q || e->q == INVALID)
            return false;
        has_q = true;
    }
    return true;
}

static bool take_element(const char **at, bool is_media, element *ret)
{
    element e = {.q = FULL_Q, .type = take_token(at)};
    if (e.type.len == 0)
        return false;
    if (is_media) {
        if (**at != '/')
            return false;
        ++*at;
        e.subtype = take_token(at);
        if (e.subtype.len == 0 || (is(e.type, "*") && !is(e.subtype, "*")))
            return false;
    }
    if (!take_parameters(at, &e))
        return false;
    *ret = e;
    return true;
}

/* Number of elements, or INVALID. Empty ones between commas do not count. */
static int parse(const char *at, bool is_media, element ret[MAX_ELEMENTS])
{
    int n = 0;
    for (;;) {
        at += strspn(at, BLANKS ",");
        if (*at == '\0')
            return n;
        if (n == MAX_ELEMENTS || !take_element(&at, is_media, &ret[n]))
            return INVALID;
        n++;
        if (*at != ',' && *at != '\0')
            return INVALID;
    }
}

/* ---- choice ---------------------------------------------------------------------------------------------------- */

/* How exactly an element names an offer; the most exact one decides, whatever the others say. */
typedef enum { NO_MATCH, MATCH_ALL, MATCH_TYPE, MATCH_WITH_PARAMETERS, MATCH_EXACT } match;

static match match_type(const element *e, const char *offer)
{
    size_t type_len = strcspn(offer, "/");
    if (is(e->type, "*"))
        return MATCH_ALL;
    if (e->type.len != type_len || strncasecmp(e->type.text, offer, type_len) != 0)
        return NO_MATCH;
    if (is(e->subtype, "*"))
        return MATCH_TYPE;
    if (!is(e->subtype, offer + type_len + 1))
        return NO_MATCH;
    return e->has_parameters ? MATCH_WITH_PARAMETERS : MATCH_EXACT;
}

static match match_coding(const element *e, const char *offer)
{
    if (is(e->type, "*"))
        return MATCH_ALL;
    bool same = is(e->type, offer) || (is(e->type, "x-gzip") && strcmp(offer, "gzip") == 0);
    return same ? MATCH_EXACT : NO_MATCH;
}

typedef match match_fn(const element *e, const char *offer);

typedef struct {
    match match;
    int q;
    int place; /* in the header */
} rating;

static rating rate(const element *elements, int n, match_fn *matches, const char *offer)
{
    rating best = {NO_MATCH, 0, 0};
    for (int i = 0; i < n; i++) {
        match m = matches(&elements[i], offer);
        if (m > best.match)
            best = (rating){m, elements[i].q, i};
    }
    return best;
}

static bool is_better(rating a, rating b)
{
    if (a.q != b.q)
        return a.q > b.q;
    if (a.match != b.match)
        return a.match > b.match;
    return a.place < b.place;
}

static int choose(const element *elements, int n, match_fn *matches, const char *const *offers, int n_offers)
{
    int chosen = VX_NEGOTIATE_NONE;
    rating best = {NO_MATCH, 0, 0};
    for (int i = 0; i < n_offers; i++) {
        rating r = rate(elements, n, matches, offers[i]);
        if (r.q > 0 && is_better(r, best)) {
            chosen = i;
            best = r;
        }
    }
    return chosen;
}

int vx_negotiate_type(const char *accept, const char *const *offers, int n_offers)
{
    element elements[MAX_ELEMENTS];
    int n = accept ? parse(accept, true, elements) : INVALID;
    return n > 0 ? choose(elements, n, match_type, offers, n_offers) : 0;
}

int vx_negotiate_coding(const char *accept_encoding, const char *const *offers, int n_offers)
{
    element elements[MAX_ELEMENTS];
    int n = accept_encoding ? parse(accept_encoding, false, elements) : 0;
    if (n == INVALID)
        n = 0;
    int chosen = choose(elements, n, match_coding, offers, n_offers);
    for (int i = 0; chosen == VX_NEGOTIATE_NONE && i < n_offers; i++) {
        if (strcmp(offers[i], "identity") == 0 && rate(elements, n, match_coding, offers[i]).match == NO_MATCH)
            chosen = i;
    }
    return chosen;
}

/* ---- content --------------------------------------------------------------------------------------------------- */

static bool ends(span s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len > n && strncasecmp(s.text + s.len - n, suffix, n) == 0;
}

vx_content vx_content_of(const char *content_type)
{
    if (!content_type || content_type[strspn(content_type, BLANKS)] == '\0')
        return VX_CONTENT_UNSAID;
    const char *at = content_type;
    skip_blanks(&at);
    span type = take_token(&at);
    if (type.len == 0 || *at != '/')
        return VX_CONTENT_OTHER;
    at++;
    span subtype = take_token(&at);
    skip_blanks(&at);
    if (subtype.len == 0 || (*at != ';' && *at != '\0'))
        return VX_CONTENT_OTHER;
    bool application = is(type, "application");
    if (application && is(subtype, "x-www-form-urlencoded"))
        return VX_CONTENT_UNSAID;
    if (((application || is(type, "text")) && is(subtype, "json")) || ends(subtype, "+json"))
        return VX_CONTENT_JSON;
    if (is(type, "audio") || (application && is(subtype, "octet-stream")))
        return VX_CONTENT_RAW;
    return VX_CONTENT_OTHER;
}

vx_coding vx_coding_of(const char *content_encoding)
{
    element elements[MAX_ELEMENTS];
    int n = content_encoding ? parse(content_encoding, false, elements) : 0;
    vx_coding coding = n == INVALID ? VX_CODING_OTHER : VX_CODING_IDENTITY;
    for (int i = 0; i < n; i++) {
        if (is(elements[i].type, "identity"))
            continue;
        bool gzip = coding == VX_CODING_IDENTITY && match_coding(&elements[i], "gzip") == MATCH_EXACT;
        coding = gzip ? VX_CODING_GZIP : VX_CODING_OTHER;
    }
    return coding;
}
