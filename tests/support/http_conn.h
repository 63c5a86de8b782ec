/* http_conn.h - one keep-alive HTTP/1.1 connection to this machine, driven by poll.
 * Owns:   the socket, sending one prepared request, reading one answer with a Content-Length. Does not: speak TLS,
 *         chunked coding or HTTP/2, pipeline, or retry. A load generator needs a client that costs less than the
 *         service it measures; tests of behaviour use libcurl.
 */
#ifndef VX_TESTS_HTTP_CONN_H
#define VX_TESTS_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/bytes.h"

typedef enum {
    HTTP_CLOSED,   /* no socket */
    HTTP_READY,    /* connected, nothing asked */
    HTTP_SENDING,  /* part of the request is not sent yet */
    HTTP_WAITING,  /* sent; the answer is not complete */
    HTTP_ANSWERED, /* status, retry_after_s and the body can be read */
    HTTP_BROKEN,   /* closed or senseless before the answer was complete */
} http_state;

typedef struct {
    http_state state; /* all-zero is a closed connection */
    int fd;           /* for poll, except when closed */
    vx_buf request;   /* filled by the caller in state READY */
    size_t sent;
    vx_buf answer;
    size_t head_len; /* 0 while the head is not complete */
    size_t body_len;
    int status;
    int retry_after_s; /* -1: no such header */
    bool closes;       /* the service will close after this answer */
} http_conn;

/* Connects to 127.0.0.1; the connection must be closed. False, with errno set, when nobody listens. */
bool http_open(http_conn *c, int port);
/* Starts sending c->request. */
void http_begin(http_conn *c);
/* What to poll for. */
short http_events(const http_conn *c);
/* Sends and reads as much as goes without waiting. */
void http_advance(http_conn *c);
/* After an answer was used: READY, or CLOSED when the service closes. */
void http_next(http_conn *c);
/* Closes the socket, keeps the buffers. */
void http_close(http_conn *c);
/* Closes and frees. */
void http_done(http_conn *c);

static inline const char *http_body(const http_conn *c)
{
    return (const char *)c->answer.data + c->head_len;
}

#endif
