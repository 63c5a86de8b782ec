/* speak.c - starts a synthesiser, waits for its end, kills it when it may not go on. */
#include "edge/challenge/speak.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/bytes.h"
#include "shared/base/clock.h"

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

enum { MOST_MS = 15000, STEP_MS = 20 };

/* English, in which the digits are heard too, whatever the system speaks. "--" is the end of options for both; what is said
 * begins with a letter or digit all the same. */
static const vx_speak_program system_programs[] = {
#if defined(__APPLE__)
    {{"say"}},
#else
    {{"spd-say", "--wait", "--language", "en", "--"}},
    {{"espeak-ng", "-v", "en-us", "--"}},
#endif
};
enum { N_SYSTEM_PROGRAMS = sizeof system_programs / sizeof *system_programs };

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void vx_speak_clean(const char *text, char ret_text[VX_SPEAK_CAP])
{
    size_t n = 0;
    for (; *text && n < VX_SPEAK_CAP - 1; text++) {
        const bool said = is_letter_or_digit(*text) || (n > 0 && strchr(".,:;'!?-", *text) != NULL);
        if (said || n > 0)
            ret_text[n++] = said ? *text : ' ';
    }
    ret_text[n] = '\0';
}

/* ---- the process ---------------------------------------------------------------------------------------------------- */

/* A group of its own, so that all of it can be killed; signals as at login, whatever this thread blocks. */
static int set_attributes(posix_spawnattr_t *attr)
{
    sigset_t none, usual;
    short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
#if defined(POSIX_SPAWN_CLOEXEC_DEFAULT)
    flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE);
    int err = posix_spawnattr_setflags(attr, flags);
    err = err ? err : posix_spawnattr_setpgroup(attr, 0);
    err = err ? err : posix_spawnattr_setsigmask(attr, &none);
    return err ? err : posix_spawnattr_setsigdefault(attr, &usual);
}

static int set_streams(posix_spawn_file_actions_t *actions)
{
    int err = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    err = err ? err : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    return err ? err : posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, STDERR_FILENO);
}

/* Returns 0 or errno's number. */
static int start(char *const argv[], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int err = posix_spawn_file_actions_init(&actions);
    if (err)
        return err;
    err = posix_spawnattr_init(&attr);
    if (err) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return err;
    }
    err = set_attributes(&attr);
    err = err ? err : set_streams(&actions);
    err = err ? err : posix_spawnp(ret_pid, argv[0], &actions, &attr, argv, environ);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* Leaves the process to be waited for: until then nobody else gets its number, and with it its group. */
static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Ends what is left of it. True when it had ended by itself, and well. */
static bool finish(pid_t pid)
{
    int status = 0;
    pid_t ended;
    (void)kill(-pid, SIGKILL);
    do
        ended = waitpid(pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- speaking ------------------------------------------------------------------------------------------------------- */

static bool goes_on(vx_speak_fn *meanwhile, void *arg)
{
    return !meanwhile || meanwhile(arg);
}

static vx_err wait_for(pid_t pid, uint64_t due_ns, vx_speak_fn *meanwhile, void *arg)
{
    while (!has_ended(pid)) {
        if (vx_now_ns() >= due_ns)
            return VX_ERR_DEADLINE;
        if (!goes_on(meanwhile, arg))
            return VX_ERR_CLOSED;
        (void)nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    return VX_OK;
}

/* NOT_FOUND: it is not there, or it failed; the next one may do better. */
static vx_err speak_by_one(const vx_speak_program *program, char *text, uint64_t due_ns, vx_speak_fn *meanwhile,
                           void *arg)
{
    char *argv[VX_SPEAK_ARGS + 2] = {0};
    pid_t pid = 0;
    size_t n = 0;
    /* posix_spawn takes its arguments as char *, and changes none. */
    for (; n < VX_SPEAK_ARGS && program->args[n]; n++)
        memcpy(&argv[n], &program->args[n], sizeof argv[n]);
    argv[n] = text;
    const int failed = start(argv, &pid);
    if (failed)
        return failed == ENOMEM ? VX_ERR_NOMEM : VX_ERR_NOT_FOUND;
    const vx_err err = wait_for(pid, due_ns, meanwhile, arg);
    const bool said = finish(pid);
    return err == VX_OK && !said ? VX_ERR_NOT_FOUND : err;
}

vx_err vx_speak_by(const vx_speak_program *programs, size_t n, const char *text, int most_ms, vx_speak_fn *meanwhile,
                   void *arg, vx_errinfo *info)
{
    char said[VX_SPEAK_CAP];
    const uint64_t due_ns = vx_now_ns() + (uint64_t)most_ms * 1000000u;
    vx_speak_clean(text, said);
    if (said[0] == '\0')
        return vx_errinfo_set(info, VX_ERR_RANGE, "there is nothing to say");
    vx_err err = goes_on(meanwhile, arg) ? VX_ERR_NOT_FOUND : VX_ERR_CLOSED;
    for (size_t i = 0; i < n && err == VX_ERR_NOT_FOUND; i++)
        err = speak_by_one(&programs[i], said, due_ns, meanwhile, arg);
    vx_wipe(said, sizeof said); /* digits of a challenge */
    switch (err) {
    case VX_ERR_NOT_FOUND:
        return vx_errinfo_set(info, err, "no program speaks here: install espeak-ng, or set up speech-dispatcher");
    case VX_ERR_DEADLINE: return vx_errinfo_set(info, err, "the speech synthesiser does not end");
    case VX_ERR_CLOSED: return vx_errinfo_set(info, err, "nobody waits for what was being said");
    default: return err;
    }
}

vx_err vx_speak(const char *text, vx_speak_fn *meanwhile, void *arg, vx_errinfo *info)
{
    return vx_speak_by(system_programs, N_SYSTEM_PROGRAMS, text, MOST_MS, meanwhile, arg, info);
}
