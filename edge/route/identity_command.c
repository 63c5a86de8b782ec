/* identity_command.c - a program that prints a token, run without a shell, bounded in time and output.
 * Owns:   the process and its group. Does not: judge the program, which is the user's own choice.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edge/route/identity_private.h"
#include "shared/base/clock.h"

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

/* STEP_MS: how late the end of a program is noticed whose children keep its pipes open. */
enum { MAX_WORDS = 32, MAX_OUTPUT = 2 * VX_TOKEN_MAX, MAX_SAID = 1024, STEP_MS = 20 };

typedef struct {
    pid_t pid;
    int out, err;       /* what we read: its standard output and standard error; -1 at the end */
    vx_buf token, said; /* of both */
    bool too_much;      /* more output than any token has */
} program;

/* ---- start ------------------------------------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Neither end may leak into another program that a thread beside this one starts. */
static bool make_pipe(int ret_ends[2])
{
#if defined(__linux__)
    return pipe2(ret_ends, O_CLOEXEC) == 0;
#else
    return pipe(ret_ends) == 0 && fcntl(ret_ends[0], F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(ret_ends[1], F_SETFD, FD_CLOEXEC) == 0;
#endif
}

/* A group of its own, so that all of it can be killed; signals as at login, whatever this thread blocks. */
static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, usual;
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    int err = posix_spawnattr_setflags(attr, flags);
    err = err ? err : posix_spawnattr_setpgroup(attr, 0);
    err = err ? err : posix_spawnattr_setsigmask(attr, &none);
    return err ? err : posix_spawnattr_setsigdefault(attr, &usual);
}

static int set_streams(posix_spawn_file_actions_t *actions, int out, int err_fd)
{
    int err = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    err = err ? err : posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    return err ? err : posix_spawn_file_actions_adddup2(actions, err_fd, STDERR_FILENO);
}

static int spawn(char *const argv[], int out, int err_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int err = posix_spawn_file_actions_init(&actions);
    if (err)
        return err;
    err = posix_spawnattr_init(&attr);
    if (err) {
        posix_spawn_file_actions_destroy(&actions);
        return err;
    }
    err = set_attributes(&attr);
    err = err ? err : set_streams(&actions, out, err_fd);
    err = err ? err : posix_spawnp(ret_pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

static vx_err start(char *const argv[], program *ret, vx_errinfo *info)
{
    int out[2] = {-1, -1}, said[2] = {-1, -1};
    program p = {.out = -1, .err = -1};
    int err = make_pipe(out) && make_pipe(said) ? 0 : errno;
    if (!err)
        err = spawn(argv, out[1], said[1], &p.pid);
    close_fd(&out[1]);
    close_fd(&said[1]);
    if (err) {
        close_fd(&out[0]);
        close_fd(&said[0]);
        if (err == ENOMEM)
            return VX_ERR_NOMEM;
        return vx_errinfo_set(info, VX_ERR_TOKEN, "VOXLOCK_CLOUD_COMMAND: '%.100s' cannot be started: %s", argv[0],
                              err == ENOENT ? "there is no such program" : "the system refuses to run it");
    }
    p.out = out[0];
    p.err = said[0];
    *ret = p;
    return VX_OK;
}

/* ---- listen ----------------------------------------------------------------------------------------------------- */

/* Reads once what poll said is there. What a talkative program says on standard error is read and forgotten. */
static vx_err take(program *p, int *fd, vx_buf *buf, size_t max)
{
    uint8_t chunk[4096];
    vx_err err = VX_OK;
    const ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n > 0) {
        const size_t room = max - buf->len, some = (size_t)n < room ? (size_t)n : room;
        err = vx_buf_append(buf, chunk, some);
        p->too_much = p->too_much || (buf == &p->token && some < (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        close_fd(fd);
    }
    vx_wipe(chunk, sizeof chunk);
    return err;
}

/* Waits for output up to timeout_ms. ret_any [out] whether there was some, or an end of it. */
static vx_err listen_once(program *p, int timeout_ms, bool *ret_any)
{
    struct pollfd fds[2] = {{.fd = p->out, .events = POLLIN}, {.fd = p->err, .events = POLLIN}};
    vx_err err = VX_OK;
    const bool any = poll(fds, 2, timeout_ms) > 0;
    if (any && fds[0].revents)
        err = take(p, &p->out, &p->token, MAX_OUTPUT);
    if (any && fds[1].revents && err == VX_OK)
        err = take(p, &p->err, &p->said, MAX_SAID);
    *ret_any = any;
    return err;
}

/* Leaves the process to be waited for: until then nobody else gets its number, and with it its group. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Until the program ends; a child of its own that holds on to the pipes is not waited for. */
static vx_err listen_to(program *p, uint64_t deadline_ns)
{
    bool any = false;
    vx_err err = VX_OK;
    while (err == VX_OK && !p->too_much && !has_ended(p->pid)) {
        if (vx_now_ns() >= deadline_ns)
            return VX_ERR_DEADLINE;
        err = listen_once(p, p->out < 0 && p->err < 0 ? 1 : STEP_MS, &any);
    }
    for (any = true; err == VX_OK && !p->too_much && any && (p->out >= 0 || p->err >= 0);)
        err = listen_once(p, 0, &any);
    return err;
}

/* Returns its exit status; 128 and the signal's number after a signal, -1 when somebody else waited for it. */
static int finish(program *p)
{
    int status = 0;
    pid_t ended;
    (void)kill(-p->pid, SIGKILL);
    do
        ended = waitpid(p->pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    close_fd(&p->out);
    close_fd(&p->err);
    if (ended < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- judge ------------------------------------------------------------------------------------------------------ */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static vx_err judge(const char *name, const program *p, int status, vx_buf *ret_token, vx_errinfo *info)
{
    char said[VX_IDENTITY_SHOWN_CAP];
    if (p->too_much)
        return vx_errinfo_set(info, VX_ERR_TOKEN, "VOXLOCK_CLOUD_COMMAND: '%.60s' printed more than a token", name);
    if (status != 0) {
        vx_identity_shown(p->said.len ? (const char *)p->said.data : "", p->said.len, said);
        return vx_errinfo_set(info, VX_ERR_TOKEN, "VOXLOCK_CLOUD_COMMAND: '%.60s' ended with status %d%s%s", name,
                              status, said[0] ? ": " : "", said);
    }
    const uint8_t *token = p->token.data;
    size_t len = p->token.len;
    while (len > 0 && is_blank(token[len - 1]))
        len--;
    for (; len > 0 && is_blank(*token); token++)
        len--;
    if (!vx_token_well_formed((const char *)token, len))
        return vx_errinfo_set(info, VX_ERR_TOKEN, "VOXLOCK_CLOUD_COMMAND: '%.60s' printed no token", name);
    return vx_buf_append(ret_token, token, len);
}

/* Words of command, in place. False when there are none, or too many. */
static bool split(char *command, char *ret_argv[MAX_WORDS + 1])
{
    size_t n = 0;
    char *rest = NULL;
    for (char *word = strtok_r(command, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (n == MAX_WORDS)
            return false;
        ret_argv[n++] = word;
    }
    ret_argv[n] = NULL;
    return ret_argv[0] != NULL;
}

vx_err vx_identity_run(const char *command, uint64_t deadline_ns, vx_buf *ret_token, vx_errinfo *info)
{
    char *argv[MAX_WORDS + 1];
    program p = {.out = -1, .err = -1};
    char *words = strdup(command);
    if (!words)
        return VX_ERR_NOMEM;
    vx_err err = VX_ERR_TOKEN;
    if (split(words, argv))
        err = start(argv, &p, info);
    else
        (void)vx_errinfo_set(info, err, "VOXLOCK_CLOUD_COMMAND is empty or has more than %d words", (int)MAX_WORDS);
    if (err == VX_OK) {
        err = listen_to(&p, deadline_ns);
        const int status = finish(&p);
        if (err == VX_OK)
            err = judge(argv[0], &p, status, ret_token, info);
        else if (err == VX_ERR_DEADLINE)
            (void)vx_errinfo_set(info, err, "VOXLOCK_CLOUD_COMMAND: '%.60s' printed no token in time", argv[0]);
        vx_buf_wipe_done(&p.token);
        vx_buf_wipe_done(&p.said);
    }
    free(words);
    return err;
}
