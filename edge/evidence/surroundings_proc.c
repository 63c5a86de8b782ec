/* surroundings_proc.c - gateway and displays from the texts of /proc/net and /sys/class/drm.
 * Owns:   those formats. Does not: hash. The readers of text are plain C and tested everywhere; only vx_sight_take at the
 *         end is Linux's (and that of a system without either, where everything is unknown).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <string.h>

#include "edge/evidence/surroundings.h"
#include "shared/base/bytes.h"
#include "shared/base/file.h"

/* A laptop's tables have a few hundred bytes; a machine whose tables do not fit is a router, and at no place. */
enum { TABLE_MAX = 1 << 18, STATUS_MAX = 64, FIELDS_MAX = 12 };
enum { ROUTE_UP = 1, ROUTE_GATEWAY = 2, ARP_COMPLETE = 2, ARP_ETHERNET = 1 };

/* ---- lines and their fields ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The fields of the next line, further ones left out; false past the last line. */
static bool next_line(vx_proc_text *rest, vx_proc_text ret_fields[FIELDS_MAX], int *ret_n)
{
    if (rest->len == 0)
        return false;
    const char *newline = memchr(rest->text, '\n', rest->len);
    const char *p = rest->text, *end = newline ? newline : p + rest->len;
    int n = 0;
    while (n < FIELDS_MAX) {
        while (p < end && is_blank(*p))
            p++;
        const char *begin = p;
        while (p < end && !is_blank(*p))
            p++;
        if (p == begin)
            break;
        ret_fields[n++] = (vx_proc_text){begin, (size_t)(p - begin)};
    }
    *ret_n = n;
    rest->len -= (size_t)(end - rest->text) + (newline != NULL);
    rest->text = newline ? newline + 1 : end;
    return true;
}

static bool same(vx_proc_text a, vx_proc_text b)
{
    return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

/* The whole field as a number of 32 bits, after an optional "0x" when the base is 16. */
static bool number_of(vx_proc_text field, unsigned base, uint32_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    const size_t skipped = base == 16 && field.len > 2 && memcmp(field.text, "0x", 2) == 0 ? 2 : 0;
    uint64_t number = 0;
    for (size_t i = skipped; i < field.len; i++) {
        const char c = field.text[i] >= 'A' && field.text[i] <= 'F' ? (char)(field.text[i] + 'a' - 'A') : field.text[i];
        const char *digit = memchr(digits, c, base);
        if (!digit)
            return false;
        number = number * base + (uint64_t)(digit - digits);
        if (number > UINT32_MAX)
            return false;
    }
    *ret = (uint32_t)number;
    return field.len > 0;
}

static bool ipv4_of(vx_proc_text field, struct in_addr *ret)
{
    char text[INET_ADDRSTRLEN];
    if (field.len >= sizeof text)
        return false;
    memcpy(text, field.text, field.len);
    text[field.len] = '\0';
    return inet_pton(AF_INET, text, ret) == 1;
}

/* "aa:bb:cc:dd:ee:ff", and one that can name a device. */
static bool hardware_address_of(vx_proc_text field, uint8_t ret[VX_HARDWARE_ADDRESS])
{
    uint8_t address[VX_HARDWARE_ADDRESS];
    if (field.len != 3 * VX_HARDWARE_ADDRESS - 1)
        return false;
    for (int i = 0; i < VX_HARDWARE_ADDRESS; i++)
        if ((i > 0 && field.text[3 * i - 1] != ':') || !vx_unhex(field.text + 3 * (size_t)i, 1, &address[i]))
            return false;
    if (!vx_hardware_address_tells(address))
        return false;
    memcpy(ret, address, sizeof address);
    return true;
}

/* ---- routes and neighbours ---- */

/* "192.168.1.1  0x1  0x2  aa:bb:cc:dd:ee:ff  *  eth0": address, type, flags, hardware address, mask, interface. */
static bool find_in_arp(vx_proc_text arp, struct in_addr gateway, vx_proc_text interface,
                        uint8_t ret_address[VX_HARDWARE_ADDRESS])
{
    vx_proc_text f[FIELDS_MAX];
    for (int n; next_line(&arp, f, &n);) {
        uint32_t type, flags;
        struct in_addr address;
        if (n >= 6 && ipv4_of(f[0], &address) && address.s_addr == gateway.s_addr && number_of(f[1], 16, &type) &&
            type == ARP_ETHERNET && number_of(f[2], 16, &flags) && (flags & ARP_COMPLETE) && same(f[5], interface) &&
            hardware_address_of(f[3], ret_address))
            return true;
    }
    return false;
}

static bool is_gateway(uint32_t flags)
{
    return (flags & (ROUTE_UP | ROUTE_GATEWAY)) == (ROUTE_UP | ROUTE_GATEWAY);
}

/* "eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0": interface, destination, gateway, flags, references, uses, metric,
 * mask. Addresses are the bytes in memory read as one number of this machine, so that no byte is turned here. */
static bool gateway_of_ipv4(vx_proc_text route, vx_proc_text arp, uint8_t ret_address[VX_HARDWARE_ADDRESS])
{
    vx_proc_text f[FIELDS_MAX];
    uint32_t best = 0;
    bool found = false;
    for (int n; next_line(&route, f, &n);) {
        uint32_t to, via, flags, metric, mask;
        if (n < 8 || !number_of(f[1], 16, &to) || !number_of(f[2], 16, &via) || !number_of(f[3], 16, &flags) ||
            !number_of(f[6], 10, &metric) || !number_of(f[7], 16, &mask) || to != 0 || mask != 0 ||
            !is_gateway(flags) || (found && metric >= best))
            continue;
        if (find_in_arp(arp, (struct in_addr){.s_addr = via}, f[0], ret_address)) {
            best = metric;
            found = true;
        }
    }
    return found;
}

/* The hardware address in the lower half of a link-local address; false when it holds none. */
static bool address_of_eui64(vx_proc_text hex, uint8_t ret_address[VX_HARDWARE_ADDRESS])
{
    uint8_t ip[16];
    if (hex.len != 2 * sizeof ip || !vx_unhex(hex.text, sizeof ip, ip) || ip[0] != 0xfe || (ip[1] & 0xc0) != 0x80 ||
        ip[11] != 0xff || ip[12] != 0xfe)
        return false;
    const uint8_t found[VX_HARDWARE_ADDRESS] = {ip[8] ^ 2, ip[9], ip[10], ip[13], ip[14], ip[15]};
    if (!vx_hardware_address_tells(found))
        return false;
    memcpy(ret_address, found, sizeof found);
    return true;
}

/* Destination and its prefix, source and its, next hop, metric, references, uses, flags, interface; all in hexadecimal. */
static bool gateway_of_ipv6(vx_proc_text route6, uint8_t ret_address[VX_HARDWARE_ADDRESS])
{
    vx_proc_text f[FIELDS_MAX];
    uint32_t best = 0;
    bool found = false;
    for (int n; next_line(&route6, f, &n);) {
        uint32_t prefix, metric, flags;
        if (n < 10 || !number_of(f[1], 16, &prefix) || !number_of(f[5], 16, &metric) || !number_of(f[8], 16, &flags) ||
            prefix != 0 || !is_gateway(flags) || (found && metric >= best))
            continue;
        if (address_of_eui64(f[4], ret_address)) {
            best = metric;
            found = true;
        }
    }
    return found;
}

bool vx_gateway_from_proc(vx_proc_text route, vx_proc_text arp, vx_proc_text route6,
                          uint8_t ret_gateway[VX_HARDWARE_ADDRESS])
{
    return gateway_of_ipv4(route, arp, ret_gateway) || gateway_of_ipv6(route6, ret_gateway);
}

/* ---- displays ---- */

int vx_displays_from_drm(const char *folder)
{
    DIR *dir = opendir(folder);
    int connected = -1;
    if (!dir)
        return -1;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char connector[PATH_MAX], path[PATH_MAX];
        vx_buf status = {0};
        /* "card0-HDMI-A-1" has a status, "card0" and "version" have none. */
        if (entry->d_name[0] == '.' || vx_path_join(folder, entry->d_name, connector, sizeof connector) != VX_OK ||
            vx_path_join(connector, "status", path, sizeof path) != VX_OK ||
            vx_file_read(path, STATUS_MAX, &status, NULL) != VX_OK)
            continue;
        static const char yes[] = "connected\n";
        connected = connected < 0 ? 0 : connected;
        connected += status.len == sizeof yes - 1 && memcmp(status.data, yes, sizeof yes - 1) == 0;
        vx_buf_done(&status);
    }
    closedir(dir);
    return connected;
}

#if !defined(__APPLE__)
void vx_sight_take(vx_sight *ret)
{
    static const char *const paths[] = {"/proc/net/route", "/proc/net/arp", "/proc/net/ipv6_route"};
    enum { N = sizeof paths / sizeof *paths };
    vx_buf tables[N] = {{0}};
    vx_proc_text texts[N];
    for (int i = 0; i < N; i++) {
        (void)!vx_file_read(paths[i], TABLE_MAX, &tables[i], NULL); /* unknown is empty */
        texts[i] = (vx_proc_text){(const char *)tables[i].data, tables[i].len};
    }
    vx_sight sight = {.displays = vx_displays_from_drm("/sys/class/drm")};
    sight.has_gateway = vx_gateway_from_proc(texts[0], texts[1], texts[2], sight.gateway);
    for (int i = 0; i < N; i++)
        vx_buf_wipe_done(&tables[i]);
    *ret = sight;
}
#endif
