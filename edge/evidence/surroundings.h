/* surroundings.h - what the system tells of the place, before it is hashed.
 * Owns:   nothing; the sight of one moment. Does not: leave edge/evidence, but for tests and the fuzzer. Whoever holds a
 *         vx_sight wipes it: a hardware address says where somebody is.
 */
#ifndef VX_EDGE_EVIDENCE_SURROUNDINGS_H
#define VX_EDGE_EVIDENCE_SURROUNDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VX_HARDWARE_ADDRESS = 6 };

typedef struct {
    bool has_gateway;
    uint8_t gateway[VX_HARDWARE_ADDRESS]; /* of the default route that is used first */
    int displays;                         /* -1: unknown */
} vx_sight;

/* This computer, now: surroundings_proc.c, or surroundings_macos.c. Never fails; what cannot be had is unknown. */
void vx_sight_take(vx_sight *ret);

/* Borrowed text; all-zero is none. */
typedef struct {
    const char *text;
    size_t len;
} vx_proc_text;

/* The gateway from /proc/net/route, arp and ipv6_route; false when they do not tell. Of several default routes the one of
 * least metric whose hardware address is known: a tunnel has none, and the network below it is the place. The kernel lists
 * neighbours of IPv4 only, so where there is no other route a gateway's IPv6 address is used if it holds its hardware
 * address (modified EUI-64, RFC 4291), which is then the same one that IPv4 would show. */
bool vx_gateway_from_proc(vx_proc_text route, vx_proc_text arp, vx_proc_text route6,
                          uint8_t ret_gateway[VX_HARDWARE_ADDRESS]);
/* Connected displays by folder/<connector>/status; -1 when no connector tells. */
int vx_displays_from_drm(const char *folder);
/* Whether it can name one device: neither zero, nor a group's, nor the 02:00:00:00:00:00 that systems show to programs that
 * may not know. */
bool vx_hardware_address_tells(const uint8_t address[VX_HARDWARE_ADDRESS]);

#endif
