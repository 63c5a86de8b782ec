/* socket.c - one thread that accepts and sleeps otherwise, one for each connection while it lasts.
 * Threads, because whoever answers listens to a person for seconds; there are at most 16, and none at rest but the first.
 */
#include "edge/agent/socket.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/agent/peer.h"
#include "edge/agent/place.h"
#include "edge/agent/reply.h"
#include "edge/agent/request.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "shared/base/json.h"

enum { DEFAULT_REQUEST_MS = 2000, SEND_MS = 1000, PAUSE_MS = 50 };

/* One connection, and the thread that serves it. */
typedef struct {
    vx_agent_socket *owner;
    int fd;
    enum { SLOT_FREE, SLOT_BUSY, SLOT_DONE } state; /* guarded by owner->lock; DONE: the thread is to be joined */
    pthread_t thread;
    vx_asker asker;
    atomic_bool dead; /* it cannot be written to any more */
} slot;

struct vx_agent_socket {
    const vx_agent_calls *calls;
    int request_ms;
    int listen_fd;
    int wake[2]; /* a byte in it ends the accepting thread */
    char path[PATH_MAX];
    struct stat file; /* what bind made: another agent's file is not removed */
    pthread_t thread;
    bool has_thread, has_lock;
    atomic_bool stopping;
    pthread_mutex_t lock; /* guards slots[].state, and fd against closing */
    slot slots[VX_AGENT_CONNECTIONS];
};

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* A client that does not read what it asked for is cut off after a second. */
static bool send_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    const uint64_t due_ns = vx_now_ns() + (uint64_t)SEND_MS * 1000000u;
    while (len > 0) {
        const ssize_t n = send(fd, at, len, VX_PEER_SEND);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (vx_now_ns() >= due_ns || (poll(&p, 1, PAUSE_MS) < 0 && errno != EINTR))
            return false;
    }
    return true;
}

/* Takes the reference. A line that cannot be made, or is longer than a client reads, becomes an error. */
static bool send_line(int fd, json_t *root)
{
    static const char no_memory[] =
        "{\"error\":{\"code\":\"out_of_memory\",\"sentence\":\"the agent has no memory\"}}\n";
    static const char too_long[] = "{\"error\":{\"code\":\"internal\",\"sentence\":\"the answer is too long\"}}\n";
    vx_buf line = {0};
    bool sent;
    if (!root || vx_json_write(root, &line) != VX_OK || vx_buf_append(&line, "\n", 1) != VX_OK)
        sent = send_all(fd, no_memory, sizeof no_memory - 1);
    else if (line.len >= VX_AGENT_LINE_CAP)
        sent = send_all(fd, too_long, sizeof too_long - 1);
    else
        sent = send_all(fd, line.data, line.len);
    json_decref(root);
    vx_buf_wipe_done(&line);
    return sent;
}

static bool send_error(int fd, vx_err err, const vx_errinfo *info)
{
    return send_line(fd, json_pack("{s:{s:s, s:o}}", "error", "code", vx_err_code(err), "sentence",
                                   vx_json_shown(vx_errinfo_text(info, err))));
}

/* ---- one question ----------------------------------------------------------------------------------------------- */

static void say(vx_asker *asker, const char *sentence)
{
    slot *s = asker->arg;
    if (!atomic_load(&s->dead) && !send_line(s->fd, json_pack("{s:o}", "say", vx_json_shown(sentence))))
        atomic_store(&s->dead, true);
}

/* There is nothing that a client could say behind its question: the end of the stream or a byte both mean that it does
 * not wait. */
static bool hung_up(int fd)
{
    char byte;
    const ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

static bool gone(vx_asker *asker)
{
    slot *s = asker->arg;
    return atomic_load(&s->owner->stopping) || atomic_load(&s->dead) || vx_now_ns() >= asker->deadline_ns ||
           hung_up(s->fd);
}

static json_t *work(slot *s, const vx_agent_request *r)
{
    const vx_agent_calls *calls = s->owner->calls;
    s->asker =
        (vx_asker){.arg = s, .say = say, .gone = gone, .deadline_ns = vx_now_ns() + (uint64_t)r->timeout_ms * 1000000u};
    switch (r->op) {
    case VX_ASK_UNLOCK: return calls->unlock(calls->arg, r->purpose, &s->asker);
    case VX_ASK_RELOAD: calls->reload(calls->arg); return json_pack("{s:b}", "reloaded", 1);
    default: return calls->status(calls->arg);
    }
}

/* Reads up to the first newline. *ret_len is the request's length without it. */
static vx_err read_request(const slot *s, char text[VX_AGENT_REQUEST_CAP], size_t *ret_len, vx_errinfo *info)
{
    size_t len = 0;
    const uint64_t due_ns = vx_now_ns() + (uint64_t)s->owner->request_ms * 1000000u;
    while (len < VX_AGENT_REQUEST_CAP) {
        const ssize_t n = recv(s->fd, text + len, VX_AGENT_REQUEST_CAP - len, 0);
        if (n > 0) {
            const char *stop = memchr(text + len, '\n', (size_t)n);
            len += (size_t)n;
            if (!stop)
                continue;
            *ret_len = (size_t)(stop - text);
            return VX_OK;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return VX_ERR_CLOSED;
        const uint64_t now = vx_now_ns();
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (atomic_load(&s->owner->stopping) || now >= due_ns)
            return vx_errinfo_set(info, VX_ERR_DEADLINE, "the request did not arrive in time");
        /* The end of the agent shuts the socket down, which ends this too. */
        if (poll(&p, 1, (int)((due_ns - now) / 1000000u) + 1) < 0 && errno != EINTR)
            return VX_ERR_IO;
    }
    return vx_errinfo_set(info, VX_ERR_JSON_LIMIT, "a request is one line of less than %d bytes", VX_AGENT_REQUEST_CAP);
}

static void serve(slot *s)
{
    char text[VX_AGENT_REQUEST_CAP];
    size_t len = 0;
    vx_agent_request r;
    vx_errinfo info = {0};
    vx_err err = read_request(s, text, &len, &info);
    if (err == VX_ERR_CLOSED || err == VX_ERR_IO)
        return;
    if (err == VX_OK)
        err = vx_agent_request_parse(text, len, &r, &info);
    if (err != VX_OK) {
        (void)send_error(s->fd, err, &info);
        return;
    }
    json_t *answer = work(s, &r);
    if (!atomic_load(&s->dead))
        (void)send_line(s->fd, answer ? json_pack("{s:o}", "answer", answer) : NULL);
    else
        json_decref(answer);
}

static void *connection_thread(void *arg)
{
    slot *s = arg;
    serve(s);
    pthread_mutex_lock(&s->owner->lock);
    close(s->fd);
    s->fd = -1;
    s->state = SLOT_DONE;
    pthread_mutex_unlock(&s->owner->lock);
    return NULL;
}

/* ---- connections ------------------------------------------------------------------------------------------------ */

/* A place for a connection, with the thread that had it before joined; NULL when all are busy. Only the accepting thread
 * calls this, so what is not BUSY stays so. */
static slot *free_slot(vx_agent_socket *a)
{
    slot *found = NULL;
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < VX_AGENT_CONNECTIONS && !found; i++)
        if (a->slots[i].state != SLOT_BUSY)
            found = &a->slots[i];
    const bool join = found && found->state == SLOT_DONE;
    if (found)
        found->state = SLOT_FREE;
    pthread_mutex_unlock(&a->lock);
    if (join)
        pthread_join(found->thread, NULL);
    return found;
}

/* The user's own programs, and root: PAM stacks run as root in the programs that let people in. */
static bool may_ask(int fd)
{
    uid_t who;
    return vx_peer_uid(fd, &who) && (who == geteuid() || who == 0);
}

static void take_connection(vx_agent_socket *a, int fd)
{
    vx_errinfo info = {0};
    if (!vx_peer_prepare(fd) || !may_ask(fd)) {
        (void)vx_errinfo_set(&info, VX_ERR_PERMISSION, "this agent answers its own user and root");
        (void)send_error(fd, VX_ERR_PERMISSION, &info);
        close(fd);
        return;
    }
    slot *s = free_slot(a);
    if (s) {
        s->owner = a;
        s->fd = fd;
        s->state = SLOT_BUSY; /* nobody else looks at a slot that has no thread */
        atomic_store(&s->dead, false);
        if (pthread_create(&s->thread, NULL, connection_thread, s) == 0)
            return;
        s->state = SLOT_FREE;
    }
    (void)vx_errinfo_set(&info, VX_ERR_BUSY, "the agent has as many questions under way as it may; try again shortly");
    (void)send_error(fd, VX_ERR_BUSY, &info);
    close(fd);
}

static void *accepting_thread(void *arg)
{
    vx_agent_socket *a = arg;
    struct pollfd p[2] = {{.fd = a->listen_fd, .events = POLLIN}, {.fd = a->wake[0], .events = POLLIN}};
    while (!atomic_load(&a->stopping)) {
        if (poll(p, 2, -1) < 0 || !(p[0].revents & POLLIN))
            continue;
        const int fd = accept(a->listen_fd, NULL, NULL);
        if (fd >= 0)
            take_connection(a, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            (void)poll(p + 1, 1, PAUSE_MS); /* it stays ready: without a pause this would take a core */
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

/* Removes a socket file that nobody listens on. */
static vx_err clear_place(const char *path, const struct sockaddr_un *at, vx_errinfo *info)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? VX_OK : vx_file_failed(path, "examine", info);
    if (!S_ISSOCK(st.st_mode))
        return vx_errinfo_set_at(info, VX_ERR_EXISTS, path, -1, 0, "it is no socket, and in the agent's way");
    const int probe = socket(AF_UNIX, SOCK_STREAM, 0);
    if (probe < 0)
        return vx_file_failed(path, "make a socket for", info);
    const bool prepared = vx_peer_prepare(probe);
    const bool dead = prepared && connect(probe, (const struct sockaddr *)at, sizeof *at) != 0 && errno == ECONNREFUSED;
    close(probe);
    if (!dead)
        return vx_errinfo_set_at(info, VX_ERR_EXISTS, path, -1, 0, "an agent answers there already");
    return unlink(path) == 0 || errno == ENOENT ? VX_OK : vx_file_failed(path, "remove", info);
}

/* No umask is set for this: it belongs to the whole process, and other threads make files. The folder lets nobody in, so
 * that it does not matter with what mode the file comes to be. */
static vx_err open_socket(vx_agent_socket *a, const char *folder, vx_errinfo *info)
{
    struct sockaddr_un at;
    if (vx_path_join(folder, VX_AGENT_SOCKET, a->path, sizeof a->path) != VX_OK || !vx_peer_address(a->path, &at))
        return vx_errinfo_set_at(info, VX_ERR_RANGE, folder, -1, 0, "the path is too long for a socket");
    const vx_err err = clear_place(a->path, &at, info);
    if (err != VX_OK)
        return err;
    a->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (a->listen_fd < 0 || !vx_peer_prepare(a->listen_fd) ||
        bind(a->listen_fd, (const struct sockaddr *)&at, sizeof at) != 0)
        return vx_file_failed(a->path, "make", info);
    if (lstat(a->path, &a->file) != 0 || chmod(a->path, 0600) != 0 || listen(a->listen_fd, VX_AGENT_CONNECTIONS) != 0)
        return vx_file_failed(a->path, "listen on", info);
    return VX_OK;
}

static vx_err start(vx_agent_socket *a, vx_errinfo *info)
{
    if (pipe(a->wake) != 0)
        return vx_file_failed(a->path, "make a pipe for", info);
    for (int i = 0; i < 2; i++)
        if (fcntl(a->wake[i], F_SETFD, FD_CLOEXEC) != 0)
            return vx_file_failed(a->path, "make a pipe for", info);
    a->has_lock = pthread_mutex_init(&a->lock, NULL) == 0;
    a->has_thread = a->has_lock && pthread_create(&a->thread, NULL, accepting_thread, a) == 0;
    return a->has_thread ? VX_OK : vx_errinfo_set(info, VX_ERR_NOMEM, "no thread can be started");
}

vx_err vx_agent_socket_create(const char *folder, const vx_agent_calls *calls, vx_agent_socket_options options,
                              vx_agent_socket **ret_socket, vx_errinfo *info)
{
    vx_agent_socket *a = calloc(1, sizeof *a);
    if (!a)
        return VX_ERR_NOMEM;
    a->calls = calls;
    a->request_ms = options.request_ms > 0 ? options.request_ms : DEFAULT_REQUEST_MS;
    a->listen_fd = a->wake[0] = a->wake[1] = -1;
    vx_err err = open_socket(a, folder, info);
    if (err == VX_OK)
        err = start(a, info);
    if (err != VX_OK) {
        vx_agent_socket_destroy(a);
        return err;
    }
    *ret_socket = a;
    return VX_OK;
}

static void end_threads(vx_agent_socket *a)
{
    atomic_store(&a->stopping, true);
    while (write(a->wake[1], "", 1) < 0 && errno == EINTR) {
    }
    pthread_join(a->thread, NULL);
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < VX_AGENT_CONNECTIONS; i++)
        if (a->slots[i].state == SLOT_BUSY)
            shutdown(a->slots[i].fd, SHUT_RD); /* ends a wait for the request; an answer still goes out */
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < VX_AGENT_CONNECTIONS; i++) {
        pthread_mutex_lock(&a->lock);
        const bool join = a->slots[i].state != SLOT_FREE;
        pthread_mutex_unlock(&a->lock);
        if (join)
            pthread_join(a->slots[i].thread, NULL);
    }
}

void vx_agent_socket_destroy(vx_agent_socket *a)
{
    struct stat now;
    if (!a)
        return;
    if (a->has_thread)
        end_threads(a);
    /* Before the socket is closed: from then on another agent may put its own file there. */
    if (a->file.st_ino != 0 && lstat(a->path, &now) == 0 && now.st_ino == a->file.st_ino &&
        now.st_dev == a->file.st_dev)
        (void)unlink(a->path);
    if (a->listen_fd >= 0)
        close(a->listen_fd);
    for (int i = 0; i < 2; i++)
        if (a->wake[i] >= 0)
            close(a->wake[i]);
    if (a->has_lock)
        pthread_mutex_destroy(&a->lock);
    free(a);
}
