/* exchange.h - the life of one request between socket and worker. Private to server.c.
 *
 * The library calls back on its one I/O thread: with the request line, with the headers, with pieces of the body, and
 * when all is there. Nothing is computed on that thread: a request that needs work is suspended and given to a pool
 * worker, which fills in the reply and resumes it; the library then calls back once more and the reply is sent.
 *
 * An exchange belongs to the I/O thread, except between submit and resume, when it belongs to the worker.
 */
#ifndef VX_CLOUD_EXCHANGE_H
#define VX_CLOUD_EXCHANGE_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

#include "cloud/auth.h"
#include "cloud/flight.h"
#include "cloud/service.h"
#include "cloud/watchdog.h"

/* What all exchanges share; the server's. */
typedef struct {
    vx_service *service;
    vx_watchdog *dog;
    vx_flight flight;
    vx_auth *auth;
    /* Constant. Texts are the options'. */
    uint64_t max_body, deadline_ns, max_buffered;
    int forwarded_hops;
    const char *project, *cors_origins;
    _Atomic uint64_t buffered; /* bytes that bodies of all exchanges may take now */
} vx_front;

typedef struct vx_exchange vx_exchange;

/* At the request line: the clock starts. watch is the connection's. NULL when memory is out. */
vx_exchange *vx_exchange_begin(vx_front *front, struct MHD_Connection *connection, vx_watch *watch, const char *uri);
/* Each later call of the library for this request, in its terms; *ret_left becomes 0. MHD_NO drops the connection. */
enum MHD_Result vx_exchange_step(vx_exchange *x, const char *method, const char *data, size_t *ret_left);
/* When the answer was sent or the connection is gone: logs, counts, frees. */
void vx_exchange_end(vx_exchange *x);

#endif
