/* cli.c - posix_spawn of voxlock, with files for its streams. */
#include "tests/support/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PROGRAM VX_BUILD_DIR "/voxlock"

enum { MAX_ARGS = 64, MAX_ENV = 512 };

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

static vx_buf read_all(FILE *file)
{
    vx_buf all = {0};
    char piece[4096];
    size_t n;
    rewind(file);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        assert_int_equal(vx_buf_append(&all, piece, n), VX_OK);
    assert_int_equal(vx_buf_reserve(&all, 1), VX_OK);
    all.data[all.len] = '\0';
    fclose(file);
    return all;
}

/* Where the program keeps its files; no test may touch those of who runs it. */
static char home[512] = "HOME=/nonexistent";

void cli_set_home(const char *folder)
{
    (void)snprintf(home, sizeof home, "HOME=%s", folder ? folder : "/nonexistent");
}

/* A setting, or something that leads to the user's own files and keys. */
static bool is_personal(const char *entry)
{
    static const char *const names[] = {"VOXLOCK_",      "ECAPA_", "BAYESIAN_", "VBI_",
                                        "VOICE_UNLOCK_", "HOME=",  "XDG_",      "DBUS_"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The environment without settings, and those of the test. */
static void make_environment(const char *env, const char *ret_envp[MAX_ENV])
{
    size_t n = 0;
    for (char **entry = environ; *entry && n < MAX_ENV - 4; entry++) {
        if (!is_personal(*entry))
            ret_envp[n++] = *entry;
    }
    ret_envp[n++] = home;
    if (!env || strncmp(env, "ECAPA_CACHE_DIR=", 16) != 0)
        ret_envp[n++] = "ECAPA_CACHE_DIR=models/starter";
    if (env)
        ret_envp[n++] = env;
    ret_envp[n] = NULL;
}

cli_result cli_run_with(const char *const args[], const char *env, const char *input, const char *out_path)
{
    const char *argv[MAX_ARGS + 2] = {PROGRAM}, *envp[MAX_ENV];
    for (int i = 0; args[i] && i < MAX_ARGS; i++)
        argv[i + 1] = args[i];
    make_environment(env, envp);
    FILE *out = tmpfile(), *err = tmpfile();
    assert_true(out && err);
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input ? input : "/dev/null", O_RDONLY, 0);
    if (out_path)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path, O_WRONLY, 0);
    else
        posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fileno(err), STDERR_FILENO);
    assert_int_equal(posix_spawn(&pid, PROGRAM, &actions, NULL, (char **)argv, (char **)envp), 0);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    cli_result r = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
    r.out = read_all(out);
    r.err = read_all(err);
    if (strstr(cli_text(&r.err), "Sanitizer:") || strstr(cli_text(&r.err), "runtime error:"))
        fail_msg("%s", cli_text(&r.err));
    return r;
}

cli_result cli_run(const char *const args[])
{
    return cli_run_with(args, NULL, NULL, NULL);
}

void cli_result_done(cli_result *r)
{
    vx_buf_done(&r->out);
    vx_buf_done(&r->err);
}

const char *cli_text(const vx_buf *stream)
{
    return (const char *)stream->data;
}

size_t cli_count_lines(const vx_buf *stream)
{
    size_t n = 0;
    for (size_t i = 0; i < stream->len; i++)
        n += stream->data[i] == '\n';
    return n;
}
