/* listen.c - opening the listening socket. */
#include "cloud/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* -1 with errno on failure. */
static int open_on(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
    if (fd < 0)
        return -1;
    bool ok = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
              set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* One IPv6 socket also takes IPv4 clients; systems differ in the default. */
    if (ok && at->ai_family == AF_INET6)
        ok = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (ok && bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

static bool port_of(int fd, int *ret_port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    socklen_t len = sizeof name;
    if (getsockname(fd, &name.any, &len) != 0)
        return false;
    *ret_port = ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
    return true;
}

/* The first address of the list that works; IPv6 first when every interface is asked for, because it takes both. */
static int open_any(const struct addrinfo *list, bool ipv6_first)
{
    int fd = -1;
    errno = EADDRNOTAVAIL;
    for (int pass = 0; pass < 2 && fd < 0; pass++) {
        for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
            if ((at->ai_family == AF_INET6) == (pass == (ipv6_first ? 0 : 1)))
                fd = open_on(at);
        }
    }
    return fd;
}

vx_err vx_listen(const char *address, int port, int *ret_fd, int *ret_port, vx_errinfo *info)
{
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(address[0] ? address : NULL, service, &hints, &list);
    if (failed)
        return vx_errinfo_set(info, VX_ERR_IO, "cannot listen on '%s': %s", address, gai_strerror(failed));
    int fd = open_any(list, !address[0]);
    int reason = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return vx_errinfo_set(info, VX_ERR_IO, "cannot listen on %s port %d: %s", address[0] ? address : "any address",
                              port, strerror(reason));
    if (!port_of(fd, ret_port)) {
        close(fd);
        return vx_errinfo_set(info, VX_ERR_IO, "the listening socket has no port");
    }
    *ret_fd = fd;
    return VX_OK;
}
