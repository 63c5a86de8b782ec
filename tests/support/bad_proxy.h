/* bad_proxy.h - a small HTTP/1.1 proxy on the loopback that spoils what goes through it, on demand and by seed.
 * Owns:   its threads, the connections from and to, the counts. Does not: speak TLS, HTTP/2 or chunked coding; test a
 *         client's requests.
 * A thread takes connections, each of them has a thread of its own. Every wait of theirs ends when the proxy is stopped.
 */
#ifndef VX_TESTS_BAD_PROXY_H
#define VX_TESTS_BAD_PROXY_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/bytes.h"

typedef enum {
    BAD_NOTHING,     /* passes request and answer */
    BAD_LATENCY,     /* passes the answer after ms */
    BAD_THROTTLE,    /* passes the answer, bytes_per_s */
    BAD_REFUSE,      /* resets the connection as soon as it is there */
    BAD_DROP,        /* takes the request and closes */
    BAD_RESET_KEPT,  /* answers once, and resets the connection at the next request on it */
    BAD_RESET_BODY,  /* passes half of the answer's body, then resets */
    BAD_TRUNCATE,    /* the same, then closes in good order */
    BAD_STALL,       /* takes the request and keeps silent */
    BAD_STALL_BODY,  /* passes half of the body and keeps silent */
    BAD_CORRUPT,     /* turns a bit in every 4th number of the body, in its exponent if it is float32 */
    BAD_ANSWER,      /* answers with bytes of its own; nothing is passed */
    BAD_ANSWER_ONCE, /* the first time it strikes; passes everything after */
} bad_kind;

typedef struct {
    bad_kind kind;
    int share;          /* % of requests that it strikes, drawn by seed and number; 0: all */
    int ms;             /* LATENCY */
    int bytes_per_s;    /* THROTTLE */
    const void *answer; /* ANSWER: head and body; copied */
    size_t len;
} bad_fault;

typedef struct {
    int connections; /* taken */
    int requests;    /* read to the end, or reset before */
    int passed;      /* to the service behind */
    int struck;      /* spoiled */
} bad_counts;

typedef struct bad_proxy bad_proxy;

/* to_port: the service behind; 0: there is none. Fails the cmocka test when it cannot listen. */
bad_proxy *bad_proxy_start(int to_port, uint64_t seed);
int bad_proxy_port(const bad_proxy *proxy);
/* From the next request on. */
void bad_proxy_set(bad_proxy *proxy, bad_fault fault);
bad_counts bad_proxy_count(bad_proxy *proxy);
/* A copy of the last request's head, a zero behind it; vx_buf_done. */
vx_buf bad_proxy_last_head(bad_proxy *proxy);
/* The same of its body. */
vx_buf bad_proxy_last_body(bad_proxy *proxy);
/* Ends threads and connections. NULL is fine. */
void bad_proxy_stop(bad_proxy *proxy);

/* "HTTP/1.1 <status>\r\n<lines>Content-Length: n\r\n\r\n<body>" appended to ret; lines each end in "\r\n". */
void bad_proxy_make(vx_buf *ret, const char *status, const char *lines, const void *body, size_t len);

#endif
