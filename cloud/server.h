/* server.h - HTTP in front of the service, on libmicrohttpd.
 * Owns:   connections and draining; with exchange.c, which owns single requests, all that knows the library.
 *         Does not: know what a route does.
 */
#ifndef VX_CLOUD_SERVER_H
#define VX_CLOUD_SERVER_H

#include "cloud/service.h"

typedef struct vx_server vx_server;

/* Listens and answers at once; limits come from the service's options.
 * service  [borrow] must outlive the server
 * ret_port [out] the port in use
 * Errors   OPTION_VALUE and those of vx_auth_create (info names the setting), IO (info says why it cannot listen), NOMEM,
 *          INTERNAL */
VX_MUST_CHECK vx_err vx_server_start(vx_service *service, vx_server **ret_server, int *ret_port, vx_errinfo *info);

/* Refuses new connections and answers what has arrived, each answer with Connection: close. Returns when nothing is in
 * flight or after drain_ms. Again is fine. */
void vx_server_drain(vx_server *server, uint64_t drain_ms);
/* Closes every connection and frees. The service must have been closed first (vx_service_close): no worker may hold a
 * request. NULL is fine. */
void vx_server_destroy(vx_server *server);

#endif
