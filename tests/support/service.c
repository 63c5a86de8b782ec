/* service.c - voxlock-cloud as a child process whose log is an unlinked file, which never fills up as a pipe would. */
#include "tests/support/service.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "shared/base/clock.h"

#define PROGRAM VX_BUILD_DIR "/voxlock-cloud"
enum { MAX_SERVICES = 64, MAX_ENV = 512, POLL_MS = 5, LOG_TAIL = 4000 };

#if defined(__APPLE__)
extern char **environ; /* no header declares it there */
#endif

/* A failing test jumps out of its function: only a list that outlives it lets the teardown end what it started. */
static service *services[MAX_SERVICES];

static const char *const defaults[] = {
    "PORT=0",
    "VOXLOCK_BIND=127.0.0.1",
    "ECAPA_CACHE_DIR=models/starter",
    "VOXLOCK_LOG_FORMAT=json",
    "VOXLOCK_LOG_LEVEL=debug",
};

/* ---- start ------------------------------------------------------------------------------------------------------ */

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_setting(const char *entry)
{
    return starts_with(entry, "PORT=") || starts_with(entry, "VOXLOCK_") || starts_with(entry, "ECAPA_");
}

static bool sets(const char *const settings[], const char *entry)
{
    const size_t name = strcspn(entry, "=") + 1;
    for (; settings && *settings; settings++) {
        if (strncmp(*settings, entry, name) == 0)
            return true;
    }
    return false;
}

/* The test's environment without settings, then the defaults that are not replaced, then the replacements. */
static void make_environment(const char *const settings[], const char *ret[MAX_ENV])
{
    size_t n = 0;
    for (char **entry = environ; *entry && n < MAX_ENV - 32; entry++) {
        if (!is_setting(*entry))
            ret[n++] = *entry;
    }
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        if (!sets(settings, defaults[i]))
            ret[n++] = defaults[i];
    }
    for (; settings && *settings && n < MAX_ENV - 1; settings++)
        ret[n++] = *settings;
    ret[n] = NULL;
}

static service *new_service(void)
{
    for (size_t i = 0; i < MAX_SERVICES; i++) {
        if (services[i])
            continue;
        services[i] = calloc(1, sizeof *services[i]);
        if (!services[i])
            fail_msg("out of memory");
        services[i]->log_fd = -1;
        return services[i];
    }
    fail_msg("more than %d services in one test", MAX_SERVICES);
    return NULL;
}

static int unlinked_file(void)
{
    FILE *file = tmpfile();
    const int fd = file ? dup(fileno(file)) : -1;
    if (file)
        fclose(file);
    return fd;
}

static service *spawn(const char *const settings[], const char *const args[])
{
    const char *env[MAX_ENV];
    const char *program = sets(settings, "VOXLOCK_TEST_FAULTS=") ? PROGRAM "-faults" : PROGRAM;
    const char *argv[16] = {program};
    for (size_t i = 0; args && args[i] && i < 14; i++)
        argv[i + 1] = args[i];
    make_environment(settings, env);
    service *s = new_service();
    s->log_fd = unlinked_file();
    posix_spawn_file_actions_t actions;
    if (s->log_fd < 0 || posix_spawn_file_actions_init(&actions) != 0)
        fail_msg("no file for the log: %s", strerror(errno));
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, s->log_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, s->log_fd, STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, s->log_fd);
    const int err = posix_spawn(&s->pid, program, &actions, NULL, (char **)argv, (char **)env);
    posix_spawn_file_actions_destroy(&actions);
    if (err) {
        s->pid = 0;
        fail_msg("cannot start %s: %s", program, strerror(err));
    }
    return s;
}

/* ---- log -------------------------------------------------------------------------------------------------------- */

char *service_log(const service *s)
{
    struct stat st;
    const size_t size = fstat(s->log_fd, &st) == 0 ? (size_t)st.st_size : 0;
    char *text = malloc(size + 1);
    if (!text) {
        fail_msg("out of memory");
        return NULL;
    }
    size_t got = 0;
    ssize_t n;
    while (got < size && (n = pread(s->log_fd, text + got, size - got, (off_t)got)) > 0)
        got += (size_t)n;
    text[got] = '\0';
    return text;
}

static void fail_with_log(const service *s, const char *what)
{
    char *text = service_log(s);
    const size_t len = strlen(text);
    print_error("%s; its log ends:\n%s\n", what, len > LOG_TAIL ? text + len - LOG_TAIL : text);
    free(text);
    fail_msg("%s", what);
}

static bool log_holds(const service *s, const char *what)
{
    char *text = service_log(s);
    const bool holds = strstr(text, what) != NULL;
    free(text);
    return holds;
}

bool service_says(service *s, const char *text)
{
    const uint64_t start = vx_now_ns();
    while (!log_holds(s, text)) {
        if (!service_running(s))
            return log_holds(s, text);
        if (vx_ms_since(start) > PATIENCE_MS)
            return false;
        poll(NULL, 0, POLL_MS);
    }
    return true;
}

void service_check_log(const service *s)
{
    char *text = service_log(s), *rest = text, *line;
    while ((line = strsep(&rest, "\n"))) {
        if (!*line)
            continue;
        json_error_t error;
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(object) || !json_is_string(json_object_get(object, "message")) ||
            !json_is_string(json_object_get(object, "severity")))
            fail_msg("not a JSON log line (%s): %.300s", error.text, line);
        json_decref(object);
    }
    free(text);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void note_end(service *s, int status)
{
    s->pid = 0;
    s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool service_running(service *s)
{
    int status;
    if (s->pid != 0 && waitpid(s->pid, &status, WNOHANG) == s->pid)
        note_end(s, status);
    return s->pid != 0;
}

static bool wait_end(service *s)
{
    const uint64_t start = vx_now_ns();
    while (service_running(s)) {
        if (vx_ms_since(start) > PATIENCE_MS)
            return false;
        poll(NULL, 0, POLL_MS);
    }
    return true;
}

/* NULL when the process behaved. */
static const char *complaint(const service *s)
{
    static const char *const reports[] = {"Sanitizer:", "runtime error:", "*** stack smashing",
                                          "buffer overflow detected"};
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
        if (log_holds(s, reports[i]))
            return "a sanitizer reported the service";
    }
    return s->status >= 128 && s->status != 128 + SIGKILL ? "the service crashed" : NULL;
}

service *service_start(const char *const settings[])
{
    return service_start_with(settings, NULL);
}

service *service_start_with(const char *const settings[], const char *const args[])
{
    service *s = spawn(settings, args);
    if (!service_says(s, "listening"))
        fail_with_log(s, "the service does not listen");
    char *text = service_log(s);
    const char *at = strstr(strstr(text, "listening"), "port");
    at = at ? at + strcspn(at, "0123456789") : "";
    s->port = atoi(at);
    free(text);
    assert_in_range(s->port, 1, 65535);
    return s;
}

service *service_start_ready(const char *const settings[])
{
    service *s = service_start(settings);
    if (!service_says(s, "model ready"))
        fail_with_log(s, "the service does not get ready");
    return s;
}

service *service_run(const char *const settings[], const char *const args[])
{
    service *s = spawn(settings, args);
    service_wait(s);
    return s;
}

long service_rss_kib(const service *s)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)s->pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

void service_signal(const service *s, int signal_no)
{
    if (s->pid != 0)
        kill(s->pid, signal_no);
}

int service_wait(service *s)
{
    if (!wait_end(s))
        fail_with_log(s, "the service does not end");
    if (complaint(s))
        fail_with_log(s, complaint(s));
    return s->status;
}

int service_stop(service *s)
{
    service_signal(s, SIGTERM);
    return service_wait(s);
}

int service_reap(void **state)
{
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < MAX_SERVICES; i++) {
        service *s = services[i];
        if (!s)
            continue;
        service_signal(s, SIGTERM);
        if (s->pid != 0 && !wait_end(s)) {
            print_error("the service did not end\n");
            service_signal(s, SIGKILL);
            wait_end(s);
            bad = -1;
        }
        if (s->log_fd >= 0 && complaint(s)) {
            char *text = service_log(s);
            print_error("%s:\n%s\n", complaint(s), text);
            free(text);
            bad = -1;
        }
        if (s->log_fd >= 0)
            close(s->log_fd);
        free(s);
        services[i] = NULL;
    }
    return bad;
}
