/* peer.h - who is at the other end of a Unix socket, as the kernel says; Linux and the BSDs ask differently. */
#ifndef VX_EDGE_AGENT_PEER_H
#define VX_EDGE_AGENT_PEER_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

/* The effective user at the time of connect or listen. */
static inline bool vx_peer_uid(int fd, uid_t *ret)
{
#ifdef __linux__
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || len != sizeof who)
        return false;
    *ret = who.uid;
    return true;
#else
    gid_t group;
    return getpeereid(fd, ret, &group) == 0;
#endif
}

/* False when the path does not fit: 108 bytes on Linux, 104 on macOS, its zero included. */
static inline bool vx_peer_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof ret->sun_path)
        return false;
    memcpy(ret->sun_path, path, strlen(path) + 1);
    return true;
}

/* A socket that does not block, is not inherited, and raises no signal where writes can be told so only on the socket
 * (macOS); elsewhere MSG_NOSIGNAL does it. */
static inline bool vx_peer_prepare(int fd)
{
#ifdef SO_NOSIGPIPE
    const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0)
        return false;
#endif
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

#ifdef MSG_NOSIGNAL
enum { VX_PEER_SEND = MSG_NOSIGNAL };
#else
enum { VX_PEER_SEND = 0 };
#endif

#endif
