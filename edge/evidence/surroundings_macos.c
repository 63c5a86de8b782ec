/* surroundings_macos.c - gateway and displays as macOS tells them: the routing table by sysctl, and CoreGraphics.
 * Owns:   those two. Does not: hash. Compiled to nothing elsewhere.
 */
#include "edge/evidence/surroundings.h"

#if defined(__APPLE__)

#include <CoreGraphics/CoreGraphics.h>
#include <net/if_dl.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysctl.h>

#include "shared/base/bytes.h"

/* As on Linux: what is larger belongs to a router. */
enum { TABLE_MAX = 1 << 18 };

/* Routes of one family that have all of `flags`, one message after the other. NULL when there are none, or too many. */
static uint8_t *read_routes(int family, int flags, size_t *ret_len)
{
    int mib[] = {CTL_NET, PF_ROUTE, 0, family, NET_RT_FLAGS, flags};
    size_t len = 0;
    if (sysctl(mib, 6, NULL, &len, NULL, 0) != 0 || len == 0 || len > TABLE_MAX)
        return NULL;
    len += len / 8; /* the table may grow between the two calls */
    uint8_t *table = malloc(len);
    if (table && sysctl(mib, 6, table, &len, NULL, 0) != 0) {
        free(table);
        return NULL;
    }
    *ret_len = len;
    return table;
}

/* The next message of a table; false past the last whole one. */
static bool next_route(const uint8_t *table, size_t len, size_t *at, struct rt_msghdr *ret_header,
                       const uint8_t **ret_begin)
{
    if (len - *at < sizeof *ret_header)
        return false;
    memcpy(ret_header, table + *at, sizeof *ret_header);
    if (ret_header->rtm_msglen < sizeof *ret_header || ret_header->rtm_msglen > len - *at)
        return false;
    *ret_begin = table + *at;
    *at += ret_header->rtm_msglen;
    return true;
}

/* One of the addresses behind the header, copied into ret (zeroes behind it); false when it is not there. Each address
 * begins with its length, which is rounded up to 4; 0 means 4. */
static bool address_of(const struct rt_msghdr *header, const uint8_t *begin, int which, uint8_t *ret, size_t cap)
{
    const uint8_t *p = begin + sizeof *header, *end = begin + header->rtm_msglen;
    for (int i = 0; i < RTAX_MAX && p < end; i++) {
        if (!(header->rtm_addrs & (1 << i)))
            continue;
        const size_t len = p[0], step = len > 0 ? (len + 3) / 4 * 4 : 4;
        if (len > (size_t)(end - p))
            return false;
        if (i == which) {
            memset(ret, 0, cap);
            memcpy(ret, p, len < cap ? len : cap);
            return true;
        }
        p += step < (size_t)(end - p) ? step : (size_t)(end - p);
    }
    return false;
}

/* The bytes of the address itself inside a sockaddr of that family. The kernel writes the number of the interface into
 * link-local addresses of IPv6, into both tables alike, so that bytes can be compared. */
static const uint8_t *bytes_of(int family, const uint8_t *address)
{
    return address +
           (family == AF_INET ? offsetof(struct sockaddr_in, sin_addr) : offsetof(struct sockaddr_in6, sin6_addr));
}

static bool same(int family, const uint8_t *a, const uint8_t *b)
{
    const size_t len = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
    return memcmp(bytes_of(family, a), bytes_of(family, b), len) == 0;
}

enum { ADDRESS_CAP = sizeof(struct sockaddr_storage) };

/* The gateway of the default route that is not bound to an interface: the one that packets take. */
static bool find_gateway(int family, uint8_t ret_gateway[ADDRESS_CAP])
{
    static const uint8_t any[ADDRESS_CAP] = {0};
    size_t len = 0, at = 0;
    uint8_t *table = read_routes(family, RTF_GATEWAY, &len);
    struct rt_msghdr header;
    const uint8_t *begin;
    bool found = false;
    while (table && !found && next_route(table, len, &at, &header, &begin)) {
        uint8_t to[ADDRESS_CAP], mask[ADDRESS_CAP] = {0};
        if (!(header.rtm_flags & RTF_UP) || header.rtm_flags & (RTF_IFSCOPE | RTF_HOST) ||
            !address_of(&header, begin, RTAX_DST, to, sizeof to))
            continue;
        (void)address_of(&header, begin, RTAX_NETMASK, mask, sizeof mask); /* none is that of the default route, too */
        found = same(family, to, any) && same(family, mask, any) &&
                address_of(&header, begin, RTAX_GATEWAY, ret_gateway, ADDRESS_CAP) && ret_gateway[1] == family;
    }
    free(table);
    return found;
}

/* The neighbour of that address: ARP for IPv4, neighbour discovery for IPv6, both are routes to a link address. */
static bool find_neighbour(int family, const uint8_t gateway[ADDRESS_CAP], uint8_t ret_address[VX_HARDWARE_ADDRESS])
{
    size_t len = 0, at = 0;
    uint8_t *table = read_routes(family, RTF_LLINFO, &len);
    struct rt_msghdr header;
    const uint8_t *begin;
    bool found = false;
    while (table && !found && next_route(table, len, &at, &header, &begin)) {
        uint8_t to[ADDRESS_CAP], link[ADDRESS_CAP];
        if (!address_of(&header, begin, RTAX_DST, to, sizeof to) ||
            !address_of(&header, begin, RTAX_GATEWAY, link, sizeof link) || link[1] != AF_LINK ||
            !same(family, to, gateway))
            continue;
        const size_t name_len = link[offsetof(struct sockaddr_dl, sdl_nlen)],
                     address_len = link[offsetof(struct sockaddr_dl, sdl_alen)],
                     begins = offsetof(struct sockaddr_dl, sdl_data) + name_len;
        if (address_len != VX_HARDWARE_ADDRESS || begins + VX_HARDWARE_ADDRESS > sizeof link ||
            !vx_hardware_address_tells(link + begins))
            continue;
        memcpy(ret_address, link + begins, VX_HARDWARE_ADDRESS);
        found = true;
    }
    if (table)
        vx_wipe(table, len);
    free(table);
    return found;
}

/* Displays that are drawn to. 0 also stands for a session without a screen (ssh), where it is not known. */
static int count_displays(void)
{
    uint32_t n = 0;
    return CGGetActiveDisplayList(0, NULL, &n) == kCGErrorSuccess && n > 0 && n < 64 ? (int)n : -1;
}

void vx_sight_take(vx_sight *ret)
{
    vx_sight sight = {.displays = count_displays()};
    static const int families[] = {AF_INET, AF_INET6};
    for (int i = 0; i < 2 && !sight.has_gateway; i++) {
        uint8_t gateway[ADDRESS_CAP];
        sight.has_gateway = find_gateway(families[i], gateway) && find_neighbour(families[i], gateway, sight.gateway);
    }
    *ret = sight;
}

#endif
