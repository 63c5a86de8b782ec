/* listen.h - the listening socket.
 * Owns:   choosing the address family. Opened here and not by the HTTP library, so that a port in use is one clear
 *         sentence, and port 0 tells what it became.
 */
#ifndef VX_CLOUD_LISTEN_H
#define VX_CLOUD_LISTEN_H

#include "shared/base/err.h"

/* Listens without blocking.
 * address  "" for every interface, IPv6 and IPv4 where the system has both; else a numeric address or a host name
 * port     0: any free one
 * ret_fd   [out] owned by the caller
 * ret_port [out] the port in use
 * Errors   IO (info says address and reason) */
VX_MUST_CHECK vx_err vx_listen(const char *address, int port, int *ret_fd, int *ret_port, vx_errinfo *info);

#endif
