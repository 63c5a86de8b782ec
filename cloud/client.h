/* client.h - who a request comes from, as far as fairness and logs are concerned.
 * Not an authentication: an address can be shared, and a header is only as good as the proxy that wrote it.
 */
#ifndef VX_CLOUD_CLIENT_H
#define VX_CLOUD_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#define VX_CLIENT_IP_CAP 64

/* The client's address by X-Forwarded-For, to which each proxy adds the address it was called from: hops entries from
 * the end, since what stands before those was written by the client itself. Left alone when the header is absent, has
 * fewer entries, or that entry is not an address by its characters. */
void vx_client_forwarded(const char *header, int hops, char ret_ip[VX_CLIENT_IP_CAP]);
/* A number for a name or an address (FNV-1a). Clients that meet in one number share one turn, no more. */
uint64_t vx_client_hash(const char *kind, const char *who);

#endif
