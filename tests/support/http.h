/* http.h - what tests need of a client: ordinary requests through libcurl, and sockets for those that no client sends.
 * Owns:   connections to the loopback and the answers read from them. Does not: know the service's paths.
 * Every function that has no answer to give fails the cmocka test, unless it says otherwise.
 */
#ifndef VX_TESTS_HTTP_H
#define VX_TESTS_HTTP_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/base/bytes.h"

typedef struct {
    const char *method; /* NULL: POST with a body, else GET */
    const char *path;
    const char *const *headers; /* "Name: value", NULL at the end; NULL: libcurl's own. "Name:" takes one away */
    const void *body;
    size_t len;
} http_request;

typedef struct {
    int status;
    vx_buf head; /* status line and header lines, a zero behind */
    vx_buf body; /* a zero behind, not counted */
} http_reply;

/* Frees and zeroes; all-zero is fine. */
void http_reply_done(http_reply *reply);
/* Value of a header into ret[cap]; false when there is none. */
bool http_header(const http_reply *reply, const char *name, char *ret, size_t cap);
/* True when the header is there and its value starts with `value`. */
bool http_header_is(const http_reply *reply, const char *name, const char *value);
/* The body as a JSON object or array. New reference. */
json_t *http_json(const http_reply *reply);

/* ---- through libcurl -------------------------------------------------------------------------------------------- */

/* Prepares a libcurl handle for one request; ret_headers must live until the transfer is over.
 * reply [out] filled while the transfer runs */
void http_prepare(CURL *curl, int port, const http_request *request, http_reply *reply,
                  struct curl_slist **ret_headers);
/* One request on a connection of its own. */
http_reply http_call(int port, http_request request);
/* One request on a handle that keeps its connection. */
http_reply http_call_on(CURL *curl, int port, http_request request);
http_reply http_get(int port, const char *path);
/* POST with Content-Type: application/json. */
http_reply http_post(int port, const char *path, const char *json);

/* ---- by hand ---------------------------------------------------------------------------------------------------- */

/* A connected socket whose reads give up after PATIENCE_MS. */
int raw_open(int port);
/* The same; -1 when the service takes no connection. */
int raw_try(int port);
void raw_close(int *fd);
/* False when the service no longer takes bytes. */
bool raw_send(int fd, const void *data, size_t len);
bool raw_say(int fd, const char *text);
/* True when there is something to read, or the end, within timeout_ms. */
bool raw_readable(int fd, int timeout_ms);
/* Ends this side of the connection; the answer can still be read. 0, or -1. */
int raw_finish(int fd);
/* A whole POST with a JSON body, sent but not waited for. */
int raw_post(int port, const char *path, const char *json);
/* The same with any body. lines: header lines, each ending in "\r\n". */
int raw_post_with(int port, const char *path, const char *lines, const void *body, size_t len);
/* One answer with a Content-Length; what follows it stays unread. False when the stream ends or stalls before. */
bool raw_reply(int fd, bool has_body, http_reply *ret);
/* Reads to the end of the stream. False when the service keeps it open for PATIENCE_MS; a reset is an end. */
bool raw_ended(int fd, vx_buf *ret_rest);

#endif
