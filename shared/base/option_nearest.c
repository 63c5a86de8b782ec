/* option_nearest.c - what a name that is not in the table was meant to be.
 * Owns:   the nearest known name, and the names that Kubernetes makes up. Does not: decide what is an error.
 */
#include <ctype.h>
#include <string.h>

#include "shared/base/options_private.h"

/* Longer than any name or flag; what is beyond does not count. */
#define NAME_CAP 64

/* Levenshtein distance without regard to case. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_CAP + 1], n_a = strnlen(a, NAME_CAP), n_b = strnlen(b, NAME_CAP);

    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
            size_t best = diagonal + !same;
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n_b];
}

static const char *strip_prefix(const char *name)
{
    static const char *const prefixes[] = {"VOXLOCK_", "ECAPA_"};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return name + strlen(prefixes[i]);
    }
    return name;
}

const char *vx_option_nearest(vx_option_table table, int program, const char *name, bool flags)
{
    const char *nearest = "";
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < table.count; i++) {
        const vx_option *option = &table.options[i];
        const char *known = flags ? option->flag : option->name;
        if (!known || (flags && !(option->programs & program)))
            continue;
        /* A wrong prefix is one mistake, not eight: VOXLOCK_PORT was meant as PORT, not as VOXLOCK_BIND. */
        size_t whole = distance(name, known), stripped = 1 + distance(strip_prefix(name), strip_prefix(known));
        size_t d = whole < stripped ? whole : stripped;
        if (d < least) {
            least = d;
            nearest = known;
        }
    }
    return nearest;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

/* "8010_TCP", "8010_TCP_ADDR" and their like: what stands behind X_PORT_. */
static bool is_port_detail(const char *text)
{
    static const char *const protocols[] = {"_TCP", "_UDP", "_SCTP"};
    static const char *const details[] = {"", "_ADDR", "_PORT", "_PROTO"};
    size_t digits = strspn(text, "0123456789");

    for (size_t i = 0; digits > 0 && i < sizeof protocols / sizeof *protocols; i++) {
        size_t n = strlen(protocols[i]);
        if (strncmp(text + digits, protocols[i], n) != 0)
            continue;
        for (size_t j = 0; j < sizeof details / sizeof *details; j++) {
            if (strcmp(text + digits + n, details[j]) == 0)
                return true;
        }
    }
    return false;
}

bool vx_option_from_kubernetes(const char *name, const char *value)
{
    if (ends_with(name, "_SERVICE_HOST") || ends_with(name, "_SERVICE_PORT"))
        return true;
    const char *named_port = strstr(name, "_SERVICE_PORT_");
    if (named_port && named_port[strlen("_SERVICE_PORT_")] != '\0')
        return true;
    if (ends_with(name, "_PORT") && strstr(value, "://"))
        return true;
    for (const char *port = name; (port = strstr(port, "_PORT_")) != NULL; port++) {
        if (is_port_detail(port + strlen("_PORT_")))
            return true;
    }
    return false;
}
