/* http.h - one request and its reply, as routes see them.
 * Owns:   the two structs and the helpers that fill a reply. Does not: know the HTTP library (exchange.c does) or which
 *         routes exist (routes.c does).
 */
#ifndef VX_CLOUD_HTTP_H
#define VX_CLOUD_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"
#include "shared/base/err.h"

#define VX_REQUEST_ID_CAP  65 /* 64 characters of [A-Za-z0-9._-] and the zero */
#define VX_REPLY_HEADERS   10
#define VX_REPLY_VALUE_CAP 192

/* What a body is said to be. Values are bits, so that a route can accept several. */
typedef enum { VX_BODY_NONE = 0, VX_BODY_JSON = 1, VX_BODY_RAW = 2 } vx_body_kind;

/* Times are vx_now_ns(). A handler may not change a request, except that it may wipe and free the body early. */
typedef struct {
    char id[VX_REQUEST_ID_CAP];
    uint64_t arrived_ns;  /* the request line was read */
    uint64_t complete_ns; /* the last byte of the body was read */
    uint64_t started_ns;  /* a worker took it, or complete_ns on the I/O thread */
    uint64_t deadline_ns;
    vx_body_kind kind;
    vx_buf body;
    const char *format;      /* query arguments of a raw body; NULL when absent */
    const char *sample_rate; /* borrowed for the life of the request */
    bool wants_octets;       /* Accept names application/octet-stream first */
} vx_request;

typedef struct {
    const char *name; /* static */
    char value[VX_REPLY_VALUE_CAP];
} vx_header;

typedef struct {
    int status;
    const char *content_type; /* static */
    vx_buf body;              /* owned; wiped when it was sent */
    const uint8_t *fixed;     /* instead of body: bytes that live as long as the program */
    size_t fixed_len;
    const char *code;  /* of a problem; NULL otherwise. Static */
    int retry_after_s; /* 0: no such header */
    vx_header headers[VX_REPLY_HEADERS];
    int n_headers;
} vx_reply;

/* Length of what will be sent as the body. */
size_t vx_reply_len(const vx_reply *reply);
/* Wipes and zeroes; all-zero is fine. */
void vx_reply_done(vx_reply *reply);
/* Adds a header; a value that does not fit is cut, one header too many is an INTERNAL error. */
VX_MUST_CHECK vx_err vx_reply_header(vx_reply *reply, const char *name, const char *fmt, ...) VX_PRINTF(3, 4);
/* Status, content type and JSON body. Takes root, also on failure; NULL root is NOMEM. */
VX_MUST_CHECK vx_err vx_reply_json(vx_reply *reply, int status, const char *content_type, json_t *root);

/* A new id: 128 random bits in hex. */
void vx_request_id_make(char ret_id[VX_REQUEST_ID_CAP]);
/* The client's own id, when it is 1 to 64 characters of [A-Za-z0-9._-]; else, and for NULL, ret_id is left alone. */
void vx_request_id_take(const char *from_client, char ret_id[VX_REQUEST_ID_CAP]);

#endif
