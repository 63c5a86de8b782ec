/* media.c - media types. */
#include "cloud/media.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Length of "type/subtype" at the front, without parameters and blanks; *text is moved past leading blanks. */
static size_t essence(const char **text)
{
    *text += strspn(*text, " \t");
    return strcspn(*text, ";, \t");
}

static bool equals(const char *text, size_t len, const char *name)
{
    return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

static bool starts(const char *text, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len > n && strncasecmp(text, prefix, n) == 0;
}

static bool ends(const char *text, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len > n && strncasecmp(text + len - n, suffix, n) == 0;
}

vx_media vx_media_of(const char *content_type)
{
    if (!content_type)
        return VX_MEDIA_UNSAID;
    size_t len = essence(&content_type);
    if (len == 0 || equals(content_type, len, "application/x-www-form-urlencoded"))
        return VX_MEDIA_UNSAID;
    if (equals(content_type, len, "application/json") || equals(content_type, len, "text/json") ||
        ends(content_type, len, "+json"))
        return VX_MEDIA_JSON;
    if (starts(content_type, len, "audio/") || equals(content_type, len, "application/octet-stream"))
        return VX_MEDIA_RAW;
    return VX_MEDIA_OTHER;
}

bool vx_media_prefers_octets(const char *accept)
{
    if (!accept)
        return false;
    size_t len = essence(&accept);
    return equals(accept, len, "application/octet-stream");
}
