/* child.c - posix_spawn with two pipes. */
#include "tests/support/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/clock.h"

enum { CHUNK = 16384, POLL_MS = 5 };
/* Unit of ru_maxrss. */
#if defined(__APPLE__)
#define MAXRSS_BYTES 1.0
#else
#define MAXRSS_BYTES 1024.0
#endif

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool keep_private(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

bool child_start(char *const argv[], int stream, child *ret)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    child c = {.to = -1, .from = -1};
    bool ok = pipe(in) == 0 && pipe(out) == 0 && keep_private(in[1]) && keep_private(out[0]) &&
              fcntl(out[0], F_SETFL, O_NONBLOCK) == 0;
    posix_spawn_file_actions_t actions;
    if (ok && (ok = posix_spawn_file_actions_init(&actions) == 0)) {
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, out[1], stream);
        posix_spawn_file_actions_addclose(&actions, in[0]);
        posix_spawn_file_actions_addclose(&actions, out[1]);
        const int err = posix_spawnp(&c.pid, argv[0], &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (err)
            errno = err;
        ok = err == 0;
    }
    const int saved = errno;
    close_end(&in[0]);
    close_end(&out[1]);
    c.to = in[1];
    c.from = out[0];
    if (!ok) {
        close_end(&c.to);
        close_end(&c.from);
        errno = saved;
        return false;
    }
    *ret = c;
    return true;
}

bool child_say(child *c, const char *text)
{
    const size_t len = strlen(text);
    return c->to >= 0 && write(c->to, text, len) == (ssize_t)len && write(c->to, "\n", 1) == 1;
}

/* Appends what can be read now. False when nothing came. */
static bool hear_more(child *c, int timeout_ms)
{
    struct pollfd fd = {.fd = c->from, .events = POLLIN};
    if (c->from < 0 || poll(&fd, 1, timeout_ms) <= 0 || vx_buf_reserve(&c->heard, CHUNK))
        return false;
    const ssize_t n = read(c->from, c->heard.data + c->heard.len, CHUNK);
    if (n > 0)
        c->heard.len += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_end(&c->from);
    return n > 0;
}

/* Drops the line that was handed out last: the buffer then starts behind its zero. */
static void forget_line(child *c)
{
    const uint8_t *end = c->heard.len ? memchr(c->heard.data, '\0', c->heard.len) : NULL;
    if (!end)
        return;
    const size_t used = (size_t)(end - c->heard.data) + 1;
    c->heard.len -= used;
    memmove(c->heard.data, c->heard.data + used, c->heard.len);
}

bool child_hear(child *c, int timeout_ms, const char **ret_line)
{
    const uint64_t start = vx_now_ns();
    forget_line(c);
    for (;;) {
        uint8_t *end = c->heard.len ? memchr(c->heard.data, '\n', c->heard.len) : NULL;
        if (end) {
            *end = '\0';
            *ret_line = (const char *)c->heard.data;
            return true;
        }
        const double left = timeout_ms - vx_ms_since(start);
        if (c->from < 0 || left <= 0)
            return false;
        hear_more(c, (int)left + 1);
    }
}

void child_ignore(child *c)
{
    do
        c->heard.len = 0;
    while (hear_more(c, 0));
}

int child_end(child *c, int timeout_ms)
{
    if (c->pid == 0)
        return 0;
    const uint64_t start = vx_now_ns();
    int status = 0;
    pid_t ended;
    struct rusage used = {0};
    close_end(&c->to);
    while ((ended = wait4(c->pid, &status, WNOHANG, &used)) == 0 && vx_ms_since(start) < timeout_ms) {
        child_ignore(c);
        poll(NULL, 0, POLL_MS);
    }
    if (ended == 0) {
        kill(c->pid, SIGKILL);
        wait4(c->pid, &status, 0, &used);
    }
    c->peak_rss_mb = (double)used.ru_maxrss * MAXRSS_BYTES / 1e6;
    close_end(&c->from);
    vx_buf_wipe_done(&c->heard);
    c->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
