/* service.c - the service's file, and systemctl or launchctl. */
#include "edge/agent/service.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/exe.h"
#include "shared/base/file.h"
#include "shared/base/user_folder.h"

extern char **environ;

enum { MAX_FILE = 64 * 1024 };

static vx_err failed(const char *path, const char *doing, vx_errinfo *info)
{
    const int reason = errno;
    const vx_err err = reason == EACCES || reason == EPERM ? VX_ERR_PERMISSION : VX_ERR_IO;
    return vx_errinfo_set_at(info, err, path, -1, 0, "cannot %s: %s", doing, strerror(reason));
}

/* ---- the system's own program ----------------------------------------------------------------------------------- */

static vx_err run_program(void *arg, char *const argv[], int *ret_status, vx_errinfo *info)
{
    posix_spawn_file_actions_t quiet;
    pid_t pid = 0;
    int status = 0;
    (void)arg;
    if (posix_spawn_file_actions_init(&quiet) != 0)
        return VX_ERR_NOMEM;
    int reason = posix_spawn_file_actions_addopen(&quiet, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int fd = STDOUT_FILENO; reason == 0 && fd <= STDERR_FILENO; fd++)
        reason = posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_WRONLY, 0);
    if (reason == 0)
        reason = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (reason != 0)
        return vx_errinfo_set(info, reason == ENOENT ? VX_ERR_NOT_FOUND : VX_ERR_IO, "cannot run %s: %s", argv[0],
                              strerror(reason));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return vx_errinfo_set(info, VX_ERR_IO, "%s was lost: %s", argv[0], strerror(errno));
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return VX_OK;
}

/* What the system is told, as one line that a person can run too. */
static bool tell(const vx_service *s, char *line)
{
    char *argv[8];
    char *rest = NULL;
    int n = 0, status = 0;
    for (char *word = strtok_r(line, " ", &rest); word && n < 7; word = strtok_r(NULL, " ", &rest))
        argv[n++] = word;
    argv[n] = NULL;
    return s->run(s->run_arg, argv, &status, NULL) == VX_OK && status == 0;
}

/* ---- where ------------------------------------------------------------------------------------------------------ */

/* Takes `levels` names off the end of a path. */
static void go_up(char *path, int levels)
{
    for (; levels > 0; levels--) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
    }
}

/* The folders are those that user_folder.c knows: settings lie in CONFIG/voxlock/voxlock.conf on Linux, and in
 * ~/Library/Application Support/voxlock/voxlock.conf on macOS. */
static vx_err find_file(char *const *environ_, vx_service *s, vx_errinfo *info)
{
    char folder[PATH_MAX];
    const bool launchd = s->kind == VX_SERVICE_LAUNCHD;
    const vx_err err = vx_user_config_file(environ_, folder, sizeof folder, info);
    if (err != VX_OK)
        return err;
    go_up(folder, launchd ? 3 : 2);
    const char *below = launchd ? "LaunchAgents/" VX_SERVICE_LABEL ".plist" : "systemd/user/" VX_SERVICE_UNIT;
    return vx_path_join(folder, below, s->file, sizeof s->file);
}

vx_err vx_service_here(char *const *environ_, const char *config, vx_service *ret, vx_errinfo *info)
{
    char folder[PATH_MAX];
#ifdef __APPLE__
    const vx_service_kind kind = VX_SERVICE_LAUNCHD;
#else
    const vx_service_kind kind = VX_SERVICE_SYSTEMD;
#endif
    vx_service s = {.kind = kind, .uid = (unsigned)getuid(), .run = run_program};
    vx_err err = vx_exe_folder(folder, sizeof folder);
    if (err == VX_OK)
        err = vx_path_join(folder, "voxlock", s.program, sizeof s.program);
    if (err != VX_OK)
        return vx_errinfo_set(info, err, "the program's own place cannot be found");
    err = find_file(environ_, &s, info);
    if (err != VX_OK)
        return err;
    if (config && !realpath(config, s.config))
        return failed(config, "find", info);
    *ret = s;
    return VX_OK;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static vx_err make_folders(const char *file, vx_errinfo *info)
{
    char path[PATH_MAX];
    for (const char *slash = strchr(file + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(slash - file), file);
        if (mkdir(path, 0755) != 0 && errno != EEXIST && access(path, F_OK) != 0)
            return failed(path, "make", info);
    }
    return VX_OK;
}

static bool write_all(int fd, const vx_buf *text)
{
    for (size_t at = 0; at < text->len;) {
        const ssize_t n = write(fd, text->data + at, text->len - at);
        if (n < 0 && errno != EINTR)
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

static vx_err write_file(const char *path, const vx_buf *text, vx_errinfo *info)
{
    char fresh[PATH_MAX + 8];
    vx_err err = make_folders(path, info);
    if (err != VX_OK)
        return err;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    (void)unlink(fresh); /* of an install that was cut short */
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return failed(fresh, "make", info);
    if (!write_all(fd, text))
        err = failed(fresh, "write", info);
    close(fd);
    if (err == VX_OK && rename(fresh, path) != 0)
        err = failed(path, "replace", info);
    if (err != VX_OK)
        (void)unlink(fresh);
    return err;
}

/* Whether the file is there, and whether it says what install would write. */
static vx_err compare(const vx_service *s, const vx_buf *wanted, vx_service_state *ret, vx_errinfo *info)
{
    vx_buf there = {0};
    vx_errinfo cause = {0};
    const vx_err err = vx_file_read(s->file, MAX_FILE, &there, &cause);
    if (err == VX_OK || err == VX_ERR_RANGE || err == VX_ERR_NOT_FOUND) {
        ret->installed = err != VX_ERR_NOT_FOUND;
        ret->current = err == VX_OK && there.len == wanted->len && memcmp(there.data, wanted->data, wanted->len) == 0;
    } else if (info && info->code == VX_OK)
        *info = cause;
    vx_buf_done(&there);
    return err == VX_ERR_RANGE || err == VX_ERR_NOT_FOUND ? VX_OK : err;
}

/* ---- install, remove, look -------------------------------------------------------------------------------------- */

enum { LINE_CAP = 256 };

/* A plist's path may hold blanks, and is given as a word of its own. */
static bool tell_launchd_to_load(const vx_service *s)
{
    char domain[32];
    int status = 0;
    snprintf(domain, sizeof domain, "gui/%u", s->uid);
    char program[] = "launchctl", verb[] = "bootstrap", file[PATH_MAX];
    memcpy(file, s->file, sizeof file);
    char *const argv[] = {program, verb, domain, file, NULL};
    return s->run(s->run_arg, argv, &status, NULL) == VX_OK && status == 0;
}

static bool start(const vx_service *s)
{
    char line[LINE_CAP];
    if (s->kind == VX_SERVICE_LAUNCHD) {
        /* What is loaded keeps the old text. Nothing is loaded at the first install. */
        snprintf(line, sizeof line, "launchctl bootout gui/%u/" VX_SERVICE_LABEL, s->uid);
        (void)tell(s, line);
        return tell_launchd_to_load(s);
    }
    snprintf(line, sizeof line, "systemctl --user daemon-reload");
    if (!tell(s, line))
        return false;
    snprintf(line, sizeof line, "systemctl --user enable " VX_SERVICE_UNIT);
    if (!tell(s, line))
        return false;
    /* Not "enable --now": an agent that runs would go on with the old text. */
    snprintf(line, sizeof line, "systemctl --user restart " VX_SERVICE_UNIT);
    return tell(s, line);
}

vx_err vx_service_install(const vx_service *service, bool *ret_changed, vx_errinfo *info)
{
    vx_buf text = {0};
    vx_service_state state = {0};
    vx_err err = vx_service_text(service, &text, info);
    if (err == VX_OK)
        err = compare(service, &text, &state, info);
    if (err == VX_OK && !state.current)
        err = write_file(service->file, &text, info);
    vx_buf_done(&text);
    if (err != VX_OK)
        return err;
    if (!start(service))
        return vx_errinfo_set_at(info, VX_ERR_UNSUPPORTED, service->file, -1, 0,
                                 "written, but the system did not start it; in the desktop session run: %s",
                                 service->kind == VX_SERVICE_SYSTEMD
                                     ? "systemctl --user enable --now " VX_SERVICE_UNIT
                                     : "launchctl bootstrap gui/$(id -u) with this file");
    *ret_changed = !state.current;
    return VX_OK;
}

vx_err vx_service_remove(const vx_service *service, bool *ret_changed, vx_errinfo *info)
{
    char line[LINE_CAP];
    /* Whether it listens or not, the file goes: without it nothing is started at the next login. */
    if (service->kind == VX_SERVICE_SYSTEMD)
        snprintf(line, sizeof line, "systemctl --user disable --now " VX_SERVICE_UNIT);
    else
        snprintf(line, sizeof line, "launchctl bootout gui/%u/" VX_SERVICE_LABEL, service->uid);
    (void)tell(service, line);
    const bool removed = unlink(service->file) == 0;
    if (!removed && errno != ENOENT)
        return failed(service->file, "remove", info);
    if (removed && service->kind == VX_SERVICE_SYSTEMD) {
        snprintf(line, sizeof line, "systemctl --user daemon-reload");
        (void)tell(service, line);
    }
    *ret_changed = removed;
    return VX_OK;
}

vx_err vx_service_look(const vx_service *service, vx_service_state *ret, vx_errinfo *info)
{
    char line[LINE_CAP];
    vx_buf text = {0};
    vx_service_state state = {0};
    vx_err err = vx_service_text(service, &text, info);
    if (err == VX_OK)
        err = compare(service, &text, &state, info);
    vx_buf_done(&text);
    if (err != VX_OK)
        return err;
    if (service->kind == VX_SERVICE_SYSTEMD)
        snprintf(line, sizeof line, "systemctl --user is-active " VX_SERVICE_UNIT);
    else
        snprintf(line, sizeof line, "launchctl print gui/%u/" VX_SERVICE_LABEL, service->uid);
    state.running = tell(service, line);
    *ret = state;
    return VX_OK;
}
