/* api.c - the loopback sockets, and the plugin that serves on them. */
#include "edge/agent/api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edge/agent/api_plugin.h"
#include "edge/agent/api_route.h"
#include "shared/base/bytes.h"
#include "shared/base/plugin.h"

enum { N_ADDRESSES = 2 };

struct vx_api {
    const vx_api_plugin *plugin;
    vx_api_front front;
    char *origins;
    atomic_bool stopping;
    vx_api_listener *listeners[N_ADDRESSES];
};

static void on_request(void *arg, const vx_api_request *request, vx_api_reply *ret_reply)
{
    const vx_api *api = arg;
    vx_api_route(&api->front, request, ret_reply);
}

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

static socklen_t loopback(bool v6, int port, address *ret)
{
    *ret = (address){0};
    if (v6) {
        ret->v6 = (struct sockaddr_in6){
            .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        return sizeof ret->v6;
    }
    ret->v4 = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return sizeof ret->v4;
}

/* -1 with errno on failure. */
static int listen_on(bool v6, int port)
{
    address at;
    const socklen_t len = loopback(v6, port, &at);
    const int on = 1, fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, &at.any, len) == 0 &&
        listen(fd, VX_API_CONNECTIONS) == 0)
        return fd;
    const int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static int port_of(int fd)
{
    address at = {0};
    socklen_t len = sizeof at;
    return getsockname(fd, &at.any, &len) == 0 ? ntohs(at.v4.sin_port) : 0;
}

static vx_err serve_on(vx_api *api, int i, int fd, vx_errinfo *info)
{
    const vx_err err = api->plugin->open(fd, VX_API_CONNECTIONS, VX_API_BODY_CAP, on_request, api, &api->listeners[i]);
    return err == VX_OK ? VX_OK : vx_errinfo_set(info, err, "the HTTP library could not start");
}

/* The second socket takes the port that the first was given. A machine without IPv6 has no ::1, and needs none; where
 * another program has that port on ::1, nobody who asks there must reach it instead of us. */
static vx_err listen_all(vx_api *api, int port, vx_errinfo *info)
{
    const int v4 = listen_on(false, port);
    if (v4 < 0)
        return vx_errinfo_set(info, VX_ERR_IO, "cannot listen on 127.0.0.1 port %d: %s", port, strerror(errno));
    api->front.port = port_of(v4);
    const int v6 = listen_on(true, api->front.port);
    if (v6 < 0 && errno == EADDRINUSE) {
        close(v4);
        return vx_errinfo_set(info, VX_ERR_IO, "cannot listen on ::1 port %d: another program does", api->front.port);
    }
    vx_err err = serve_on(api, 0, v4, info);
    if (v6 >= 0 && err == VX_OK)
        err = serve_on(api, 1, v6, info);
    else if (v6 >= 0)
        close(v6);
    return err;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static vx_err load(vx_api *api, vx_errinfo *info)
{
    const void *symbol = NULL;
    vx_errinfo cause = {0};
    const vx_err err = vx_plugin_load("vx_loopback_http", VX_API_PLUGIN_SYMBOL, &symbol, &cause);
    if (err != VX_OK)
        return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, cause.path, -1, 0, "the HTTP API cannot be served: %s",
                                 vx_errinfo_text(&cause, err));
    api->plugin = symbol;
    if (api->plugin->abi == VX_API_PLUGIN_ABI)
        return VX_OK;
    api->plugin = NULL;
    return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "vx_loopback_http.so is of another version");
}

vx_err vx_api_create(const char *data_folder, const vx_agent_calls *calls, const vx_api_options *options,
                     vx_api **ret_api, int *ret_port, vx_errinfo *info)
{
    vx_api *api = calloc(1, sizeof *api);
    if (!api)
        return VX_ERR_NOMEM;
    vx_err err = VX_OK;
    api->origins = strdup(options->origins ? options->origins : "");
    if (!api->origins)
        err = VX_ERR_NOMEM;
    api->front.calls = calls;
    api->front.origins = api->origins;
    api->front.stopping = &api->stopping;
    if (err == VX_OK)
        err = load(api, info);
    if (err == VX_OK)
        err = vx_api_token(data_folder, api->front.token, info);
    if (err == VX_OK)
        err = listen_all(api, options->port, info);
    if (err != VX_OK) {
        vx_api_destroy(api);
        return err;
    }
    *ret_api = api;
    *ret_port = api->front.port;
    return VX_OK;
}

void vx_api_destroy(vx_api *api)
{
    if (!api)
        return;
    atomic_store(&api->stopping, true);
    for (int i = 0; api->plugin && i < N_ADDRESSES; i++)
        api->plugin->close(api->listeners[i]);
    free(api->origins);
    vx_wipe(api->front.token, sizeof api->front.token);
    free(api);
}
