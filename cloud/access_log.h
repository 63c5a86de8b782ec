/* access_log.h - one log line and one count per request.
 * Owns:   what of a request may be logged: never its body, its query or its answer.
 */
#ifndef VX_CLOUD_ACCESS_LOG_H
#define VX_CLOUD_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "cloud/service.h"
#include "cloud/trace.h"

/* A client that went away before it was answered; nginx's number for it, which no client ever sees. */
#define VX_STATUS_CLIENT_GONE 499

/* Copies, since the library's own memory ends with the request. Longer text is cut. */
typedef struct {
    char method[16];
    char path[160]; /* as sent, without the query */
    char user_agent[160];
    char remote_ip[64];
    char origin[128];              /* of a web page that may call, or ""; not logged */
    char trace[VX_TRACE_NAME_CAP]; /* for Cloud Logging, or "" */
    const char *client;            /* name of the API key that was used, or "". Static as long as the service */
    const char *code;              /* of a problem, or NULL. Static */
    const char *request_id;
    const char *route; /* path of the table's row; NULL when none matched. Static */
    bool quiet;        /* success is worth a debug line only */
    int status;
    double seconds;
    size_t response_bytes;
} vx_access;

/* Makes the series that must be there before anything happens: voxlock_refused_total. */
void vx_access_begin(vx_service *service);
/* Writes the line and updates voxlock_requests_total, voxlock_request_seconds and voxlock_refused_total. */
void vx_access_write(vx_service *service, const vx_access *access);

#endif
