/* http_plugin.h - HTTP as somebody else's library speaks it: what the plugin on libcurl exports.
 * Owns:   the one C interface that http.c and the plugin include; the plugin links its libraries and nothing of ours.
 *         Does not: judge addresses, hold deadlines or bound answers: http.c does.
 *
 * Why a plugin: libcurl brings 28 libraries with it. Linked in, they cost every start of the program 5 ms and 4 MB in a
 * throw-away measurement (no program here repeats it), and most starts ask nobody anything.
 */
#ifndef VX_EDGE_ROUTE_HTTP_PLUGIN_H
#define VX_EDGE_ROUTE_HTTP_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

#define VX_HTTP_PLUGIN_ABI    1
#define VX_HTTP_PLUGIN_SYMBOL "vx_http_plugin_table"

/* What a URL says, read by the parser that will connect to it. */
typedef struct {
    bool is_url; /* https or http, with a host; the rest is of no meaning otherwise */
    bool https, has_user;
    char host[256]; /* an IPv6 address in brackets */
} vx_http_place;

/* One connection. */
typedef struct vx_http_wire vx_http_wire;

/* Borrowed for the call. */
typedef struct {
    const char *url;
    bool https; /* else http, and no proxy */
    const char *ca_file;
    const char *const *headers;
    const void *body; /* NULL: GET */
    size_t len;
    long timeout_ms; /* at least 1 */
    /* What comes, piece by piece; the body decompressed. False: it is more than may come, or memory is out. */
    bool (*on_head)(void *arg, const char *data, size_t n);
    bool (*on_body)(void *arg, const char *data, size_t n);
    void *arg;
} vx_http_exchange;

typedef struct {
    int abi;
    const char *library; /* "libcurl/7.88.1 ..." */
    /* Errors: NOMEM. */
    vx_err (*take_apart)(const char *url, vx_http_place *ret_place);
    vx_err (*open)(vx_http_wire **ret_wire);
    /* ret_text [out] on failure: one sentence without a newline, cut at cap
     * Threads  one at a time for each wire
     * Errors   DEADLINE, NETWORK, OPTION_VALUE (CA file), RANGE (a callback said false), NOMEM */
    vx_err (*exchange)(vx_http_wire *wire, const vx_http_exchange *exchange, int *ret_status, char *ret_text,
                       size_t cap);
    /* NULL is fine. */
    void (*close)(vx_http_wire *wire);
} vx_http_plugin;

#endif
