/* api_plugin.h - an HTTP server as somebody else's library is one: what the plugin on libmicrohttpd exports.
 * Owns:   the one C interface that api.c and the plugin include; the plugin links its library and nothing of ours.
 *         Does not: judge requests: api_route.c does.
 *
 * Why a plugin: libmicrohttpd brings GnuTLS and seven more libraries. Only the agent serves, and only if it is asked to.
 */
#ifndef VX_EDGE_AGENT_API_PLUGIN_H
#define VX_EDGE_AGENT_API_PLUGIN_H

#include <stddef.h>

#include "shared/base/err.h"

#define VX_API_PLUGIN_ABI    1
#define VX_API_PLUGIN_SYMBOL "vx_api_plugin_table"

/* One request whose body has come whole. Borrowed for the call; a header that was not sent is NULL. */
typedef struct {
    const char *method, *path;
    const char *host, *origin, *authorization, *content_type;
    const char *body;
    size_t len;
    int body_too_large; /* it was over the most, and is not here */
    int fd;             /* the connection, to see whether the client still waits; -1: unknown */
} vx_api_request;

enum { VX_API_REPLY_HEADERS = 4 };
typedef struct {
    int status;
    const char *content_type; /* static text */
    /* Static texts; name NULL: no more. */
    struct {
        const char *name, *value;
    } headers[VX_API_REPLY_HEADERS];
    char *body; /* from malloc; the plugin frees it */
    size_t len;
} vx_api_reply;

typedef struct vx_api_listener vx_api_listener;

typedef struct {
    int abi;
    const char *library; /* "libmicrohttpd 0.9.75" */
    /* Serves on a listening socket, which it owns from then on, with a thread for each connection.
     * answer [in] called by those threads; fills what is all-zero. Errors: INTERNAL (the socket is then closed) */
    vx_err (*open)(int fd, int n_connections, size_t body_cap,
                   void (*answer)(void *arg, const vx_api_request *request, vx_api_reply *ret_reply), void *arg,
                   vx_api_listener **ret_listener);
    /* Waits for the calls under way. NULL is fine. */
    void (*close)(vx_api_listener *listener);
} vx_api_plugin;

#endif
