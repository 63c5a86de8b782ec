/* cors.c - origins that are allowed. */
#include "cloud/cors.h"

#include <string.h>

bool vx_cors_allows(const char *origins, const char *origin)
{
    if (!origin || !origin[0])
        return false;
    const size_t len = strlen(origin);
    for (const char *item = origins; *item;) {
        item += strspn(item, ", \t");
        size_t n = strcspn(item, ", \t");
        if ((n == len && memcmp(item, origin, len) == 0) || (n == 1 && *item == '*'))
            return true;
        item += n;
    }
    return false;
}
