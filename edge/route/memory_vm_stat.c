/* memory_vm_stat.c - runs vm_stat, without a shell, for as long as it may take.
 * Owns:   the process and its pipe. Does not: understand what it prints (memory.c).
 *
 * Plain POSIX, so that it is tested where there is no vm_stat.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "edge/route/memory.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

/* Its output has 22 lines of 50 bytes. */
enum { OUTPUT_MAX = 1 << 14, READ_STEP = 4096 };

static int ms_until(uint64_t deadline_ns)
{
    const uint64_t now = vx_now_ns();
    if (now >= deadline_ns)
        return 0;
    const uint64_t ms = (deadline_ns - now + 999999) / 1000000;
    return ms < 60000 ? (int)ms : 60000;
}

/* Its standard output goes to fd, its environment is empty but for the language. */
static bool start(const char *program, int fd, pid_t *ret_pid)
{
    char name[] = "vm_stat", language[] = "LC_ALL=C";
    char *const argv[] = {name, NULL}, *const environment[] = {language, NULL};
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    const bool started = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0 &&
                         posix_spawn_file_actions_adddup2(&actions, fd, 1) == 0 &&
                         posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0 &&
                         posix_spawn(ret_pid, program, &actions, NULL, argv, environment) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    return started;
}

/* Until the end of the output. */
static vx_err read_output(int fd, uint64_t deadline_ns, vx_buf *out, vx_errinfo *info)
{
    for (;;) {
        const int ms = ms_until(deadline_ns);
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (ms == 0)
            return vx_errinfo_set(info, VX_ERR_DEADLINE, "vm_stat did not answer in time");
        if (poll(&ready, 1, ms) <= 0)
            continue; /* late, or interrupted: both are seen above */
        vx_err err = vx_buf_reserve(out, READ_STEP);
        if (err != VX_OK)
            return err == VX_ERR_NOMEM ? err : vx_errinfo_set(info, VX_ERR_RANGE, "vm_stat does not stop to talk");
        const ssize_t n = read(fd, out->data + out->len, READ_STEP);
        if (n == 0)
            return VX_OK;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            return vx_errinfo_set(info, VX_ERR_IO, "the output of vm_stat cannot be read");
    }
}

/* Waits for its end until the deadline, kills it then, and leaves no zombie. */
static vx_err finish(pid_t pid, uint64_t deadline_ns, vx_errinfo *info)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && ms_until(deadline_ns) > 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    if (ended == 0) {
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        return vx_errinfo_set(info, VX_ERR_DEADLINE, "vm_stat did not end in time");
    }
    if (ended != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return vx_errinfo_set(info, VX_ERR_IO, "vm_stat ended with an error");
    return VX_OK;
}

vx_err vx_memory_ask_vm_stat(const char *program, uint64_t deadline_ns, uint64_t total_bytes, vx_memory *ret,
                             vx_errinfo *info)
{
    int ends[2];
    pid_t pid;
    vx_buf out = {.limit = OUTPUT_MAX};
    if (pipe(ends) != 0)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "no pipe for vm_stat");
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const bool started = start(program, ends[1], &pid);
    close(ends[1]); /* or the end of the output would never be seen */
    vx_err err = VX_ERR_UNSUPPORTED;
    if (!started) {
        (void)vx_errinfo_set(info, err, "%s cannot be started", program);
        goto out;
    }
    err = read_output(ends[0], deadline_ns, &out, info);
    const vx_err ended = finish(pid, err == VX_OK ? deadline_ns : 0, err == VX_OK ? info : NULL);
    if (err == VX_OK)
        err = ended;
    if (err == VX_OK)
        err = vx_memory_from_vm_stat((const char *)out.data, out.len, total_bytes, ret, info);
out:
    close(ends[0]);
    vx_buf_done(&out);
    return err;
}
