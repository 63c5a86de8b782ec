/* client.c - who a request comes from. */
#include "cloud/client.h"

#include <string.h>

void vx_client_forwarded(const char *header, int hops, char ret_ip[VX_CLIENT_IP_CAP])
{
    if (!header || hops < 1)
        return;
    const char *end = header + strlen(header);
    const char *start = end;
    for (int hop = 1;; hop++) {
        while (start > header && start[-1] != ',')
            start--;
        if (hop == hops)
            break;
        if (start == header)
            return;
        end = --start;
    }
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t len = (size_t)(end - start);
    if (len == 0 || len >= VX_CLIENT_IP_CAP || strspn(start, "0123456789abcdefABCDEF.:[]") < len)
        return;
    memcpy(ret_ip, start, len);
    ret_ip[len] = '\0';
}

static uint64_t fnv_1a(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    return hash;
}

uint64_t vx_client_hash(const char *kind, const char *who)
{
    return fnv_1a(fnv_1a(0xcbf29ce484222325u, kind), who);
}
