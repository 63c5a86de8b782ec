/* http.h - one bounded HTTP exchange at a time, on libcurl, which is loaded when it is first needed.
 * Owns:   the connection (kept between exchanges, HTTP/2 where offered), verification, bounds, deadlines.
 *         Does not: repeat a request, follow redirects, know what is asked.
 */
#ifndef VX_EDGE_ROUTE_HTTP_H
#define VX_EDGE_ROUTE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* https anywhere, http to this computer alone (localhost, 127.0.0.0/8, ::1), without user and password. what names it in
 * the error ("VOXLOCK_CLOUD_ENDPOINT"). Errors: OPTION_VALUE, UNSUPPORTED (this build cannot speak HTTP), NOMEM. */
VX_MUST_CHECK vx_err vx_http_check_url(const char *what, const char *url, vx_errinfo *info);

typedef struct vx_http vx_http;

/* ca_file [in] certificates that servers are checked against, copied; NULL: the system's. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_http_create(const char *ca_file, vx_http **ret_http);
/* NULL is fine. */
void vx_http_destroy(vx_http *http);

/* Borrowed for the call. */
typedef struct {
    const char *url;
    const char *const *headers; /* "Name: value", NULL at the end; may be NULL */
    const void *body;           /* NULL: GET, else POST; set Content-Type */
    size_t len;
    uint64_t deadline_ns; /* by vx_now_ns(), for all of it: name, connection, TLS, answer */
    size_t max_bytes;     /* of the body, decompressed */
    bool metadata;        /* Google's metadata server, which speaks plain http to a machine inside and needs no proxy */
} vx_http_request;

typedef struct {
    int status;
    vx_buf head; /* of the last answer (not of a 100 before it), its lines as they came */
    vx_buf body; /* decompressed, a zero behind it that is not counted */
} vx_http_answer;
/* Wipes and frees; all-zero is fine. */
void vx_http_answer_done(vx_http_answer *answer);
/* A header's value without blanks around it, the last one of that name. False when there is none or it does not fit. */
bool vx_http_header(const vx_http_answer *answer, const char *name, char *ret_value, size_t cap);
/* The server's clock (Date), seconds since 1970; -1 when it does not tell. */
int64_t vx_http_date_s(const vx_http_answer *answer);

/* One exchange; any status is an answer. A connection kept from before that turns out dead is replaced once, by libcurl.
 * ret_answer [out] to be given to vx_http_answer_done
 * Threads    one at a time for each vx_http
 * Errors     DEADLINE, NETWORK (name, connection, certificate, cut off; info says which), RANGE (body or head too large),
 *            OPTION_VALUE (URL, CA file), UNSUPPORTED (as above), NOMEM. info never holds headers or bodies */
VX_MUST_CHECK vx_err vx_http_ask(vx_http *http, const vx_http_request *request, vx_http_answer *ret_answer,
                                 vx_errinfo *info);

#endif
