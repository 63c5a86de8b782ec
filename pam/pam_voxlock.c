/* pam_voxlock.c - PAM: lets the user in when his own agent has heard him; otherwise the stack goes on to the password.
 * Owns:   when not to ask at all, the options, the keys of a terminal while it waits. Does not: judge a voice (the agent
 *         does), keep anything, log more than the result.
 *
 * It runs inside sudo-like programs and lock screens: no thread, no signal handler, no descriptor and no memory is left
 * behind, no library is needed but libpam, and nothing outside is believed but what the kernel says of the peer.
 * docs/agent.md, "PAM", says how to put it into a stack, and into which ones it should not be put.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#include "edge/agent/client.h"
#include "shared/base/clock.h"

#define EXPORT __attribute__((visibility("default")))

enum { DEFAULT_S = 35, MOST_S = 60 };

extern char **environ;

typedef struct {
    int timeout_s;
    bool debug, quiet, elevate;
    const char *socket; /* NULL: where the user's agent listens */
    const char *lids;   /* folder of lid switches; NULL: none are looked at */
} settings;

/* ---- settings --------------------------------------------------------------------------------------------------- */

static const char *after(const char *text, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* False when one is not known: a stack with a slip of the pen must not become a weaker one. */
static bool read_settings(pam_handle_t *pamh, int flags, int argc, const char **argv, settings *ret)
{
    settings s = {
        .timeout_s = DEFAULT_S, .lids = "/proc/acpi/button/lid", .quiet = ((unsigned)flags & PAM_SILENT) != 0};
    for (int i = 0; i < argc; i++) {
        const char *value;
        char *end = NULL;
        if (strcmp(argv[i], "debug") == 0)
            s.debug = true;
        else if (strcmp(argv[i], "quiet") == 0)
            s.quiet = true;
        else if (strcmp(argv[i], "elevate") == 0)
            s.elevate = true;
        else if ((value = after(argv[i], "socket=")) && *value == '/')
            s.socket = value;
        else if ((value = after(argv[i], "lid=")))
            s.lids = strcmp(value, "none") == 0 ? NULL : value;
        else if ((value = after(argv[i], "timeout="))) {
            const long seconds = strtol(value, &end, 10);
            if (end == value || *end != '\0' || seconds < 1 || seconds > MOST_S) {
                pam_syslog(pamh, LOG_ERR, "timeout= takes 1 to %d seconds", MOST_S);
                return false;
            }
            s.timeout_s = (int)seconds;
        } else {
            pam_syslog(pamh, LOG_ERR, "option %d is not known", i + 1);
            return false;
        }
    }
    *ret = s;
    return true;
}

/* ---- when not to ask -------------------------------------------------------------------------------------------- */

static const char *item(pam_handle_t *pamh, int type)
{
    const void *value = NULL;
    return pam_get_item(pamh, type, &value) == PAM_SUCCESS && value ? value : "";
}

/* A variable of the PAM handle, or of the program: either can only make us refuse, or show that a screen is here. */
static const char *variable(pam_handle_t *pamh, const char *name)
{
    const char *value = pam_getenv(pamh, name);
    for (char **at = environ; !value && at && *at; at++) {
        value = after(*at, name);
        value = value && *value == '=' ? value + 1 : NULL;
    }
    return value ? value : "";
}

/* ":0" is a screen of this computer, "localhost:10.0" one at the other end of ssh. */
static bool is_remote_screen(const char *display)
{
    const char *colon = strchr(display, ':');
    return colon && colon != display && *display != '/';
}

/* Somebody far away speaks into another microphone: whoever is near this one would answer for him. */
static bool is_remote(pam_handle_t *pamh)
{
    return *item(pamh, PAM_RHOST) || *variable(pamh, "SSH_CONNECTION") || *variable(pamh, "SSH_CLIENT") ||
           is_remote_screen(item(pamh, PAM_TTY)) || is_remote_screen(item(pamh, PAM_XDISPLAY)) ||
           is_remote_screen(variable(pamh, "DISPLAY"));
}

/* Neither a terminal nor a screen: a job of the night asks, and nobody is there to speak. */
static bool is_nobody_here(pam_handle_t *pamh)
{
    return !*item(pamh, PAM_TTY) && !*item(pamh, PAM_XDISPLAY) && !*variable(pamh, "DISPLAY") &&
           !*variable(pamh, "WAYLAND_DISPLAY") && !isatty(STDIN_FILENO);
}

/* The socket belongs to the user, so any program of the user's can answer on it. A lock screen guards no more than such a
 * program has already; these guard more. */
static bool gives_more_rights(pam_handle_t *pamh)
{
    static const char *const services[] = {"sudo", "sudo-i", "su", "su-l", "polkit-1", "doas", "runuser", "runuser-l"};
    const char *service = item(pamh, PAM_SERVICE);
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (strcmp(service, services[i]) == 0)
            return true;
    return false;
}

static bool says_closed(const char *path)
{
    char text[64] = "";
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && strstr(text, "closed");
}

static bool is_lid_closed(const char *folder)
{
    char path[PATH_MAX];
    bool closed = false;
    DIR *dir = folder ? opendir(folder) : NULL;
    if (!dir)
        return false;
    for (const struct dirent *entry; !closed && (entry = readdir(dir));) {
        const int n = snprintf(path, sizeof path, "%s/%s/state", folder, entry->d_name);
        closed = entry->d_name[0] != '.' && n > 0 && (size_t)n < sizeof path && says_closed(path);
    }
    closedir(dir);
    return closed;
}

/* NULL when there is no reason against asking. */
static const char *reason_against(pam_handle_t *pamh, const settings *s)
{
    if (gives_more_rights(pamh) && !s->elevate)
        return "this service gives more rights than the user has";
    if (is_remote(pamh))
        return "the user is not at this computer";
    if (is_nobody_here(pamh))
        return "there is neither a terminal nor a screen";
    if (is_lid_closed(s->lids))
        return "the lid is closed";
    return NULL;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

/* A terminal while we wait: no echo, so that a password typed too early is not shown, and no waiting for Return. */
typedef struct {
    pam_handle_t *pamh;
    bool quiet;
    bool has_keys;
    struct termios before;
    sigset_t mask_before;
} front;

/* Signals that would leave the terminal as we made it. They are held back, not handled: give_up sees them waiting, and
 * they do their work once the terminal is as it was. */
static void stopping_signals(sigset_t *ret)
{
    static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};
    sigemptyset(ret);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(ret, numbers[i]);
}

static void begin_keys(front *f)
{
    struct termios quiet;
    sigset_t hold;
    f->has_keys =
        isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &f->before) == 0;
    if (!f->has_keys)
        return;
    stopping_signals(&hold);
    pthread_sigmask(SIG_BLOCK, &hold, &f->mask_before);
    quiet = f->before;
    quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    quiet.c_cc[VMIN] = 0;
    quiet.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
}

/* The key that was pressed is thrown away with what came behind it: half a password is of no use to the next prompt. */
static void end_keys(const front *f)
{
    if (!f->has_keys)
        return;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &f->before);
    pthread_sigmask(SIG_SETMASK, &f->mask_before, NULL);
}

static bool is_signal_waiting(void)
{
    sigset_t stopping, waiting;
    stopping_signals(&stopping);
    if (sigpending(&waiting) != 0)
        return false;
    for (int number = 1; number < NSIG; number++)
        if (sigismember(&stopping, number) == 1 && sigismember(&waiting, number) == 1)
            return true;
    return false;
}

static bool give_up(void *arg)
{
    const front *f = arg;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return f->has_keys && (poll(&p, 1, 0) > 0 || is_signal_waiting());
}

static void say(void *arg, const char *sentence)
{
    const front *f = arg;
    if (!f->quiet)
        (void)pam_info(f->pamh, "%s", sentence);
}

/* ---- the question ----------------------------------------------------------------------------------------------- */

/* Where the agents of a user listen: as edge/agent/place.c puts them, with the folders that a session has by default. */
static vx_err ask_agent(const settings *s, const struct passwd *user, vx_agent_question *q, vx_agent_answer *ret,
                        vx_errinfo *info)
{
    char paths[2][PATH_MAX];
    int n = snprintf(paths[0], sizeof paths[0], "/run/user/%lu/voxlock/agent.sock", (unsigned long)user->pw_uid);
    vx_err err = VX_ERR_NOT_FOUND;
    if (n < 0)
        return VX_ERR_INTERNAL;
    n = snprintf(paths[1], sizeof paths[1], "%s/.local/share/voxlock/agent.sock", user->pw_dir);
    if (n < 0 || (size_t)n >= sizeof paths[1])
        paths[1][0] = '\0';
    if (s->socket) {
        q->socket_path = s->socket;
        return vx_agent_ask(q, ret, info);
    }
    for (size_t i = 0; i < 2 && err == VX_ERR_NOT_FOUND && paths[i][0]; i++) {
        *info = (vx_errinfo){0};
        q->socket_path = paths[i];
        err = vx_agent_ask(q, ret, info);
    }
    return err;
}

/* Both, and each of its own type: an answer that is not quite one lets nobody in. */
static bool lets_in(const vx_agent_answer *a)
{
    char verdict[32];
    bool may = false;
    return vx_agent_reply_flag(a->json, a->len, "may_unlock", &may) && may &&
           vx_agent_reply_field(a->json, a->len, "verdict", verdict, sizeof verdict) &&
           strcmp(verdict, "AUTHENTICATE") == 0;
}

static int judge(pam_handle_t *pamh, front *f, const settings *s, const vx_agent_answer *a)
{
    char sentence[VX_AGENT_SENTENCE_CAP], verdict[32] = "none";
    const bool in = lets_in(a);
    if (vx_agent_reply_field(a->json, a->len, "sentence", sentence, sizeof sentence) && *sentence)
        say(f, sentence);
    (void)vx_agent_reply_field(a->json, a->len, "verdict", verdict, sizeof verdict);
    pam_syslog(pamh, LOG_NOTICE, "%s", in ? "let in by voice" : "not let in by voice");
    if (s->debug)
        pam_syslog(pamh, LOG_DEBUG, "verdict %s", verdict);
    return in ? PAM_SUCCESS : PAM_AUTH_ERR;
}

static int ask(pam_handle_t *pamh, const settings *s, const struct passwd *user)
{
    front f = {.pamh = pamh, .quiet = s->quiet};
    vx_agent_answer answer;
    vx_errinfo info = {0};
    vx_agent_question q = {
        .owner = user->pw_uid,
        .op = "unlock",
        .purpose = "pam",
        .deadline_ns = vx_now_ns() + (uint64_t)s->timeout_s * 1000000000u,
        .say = say,
        .give_up = give_up,
        .arg = &f,
    };
    begin_keys(&f);
    if (f.has_keys)
        say(&f, "Say your phrase, or press a key to type your password.");
    const vx_err err = ask_agent(s, user, &q, &answer, &info);
    end_keys(&f);
    if (err == VX_OK)
        return judge(pamh, &f, s, &answer);
    if (s->debug)
        pam_syslog(pamh, LOG_DEBUG, "the agent was not asked, or did not answer: %s", vx_err_code(err));
    return PAM_AUTHINFO_UNAVAIL;
}

/* ---- what PAM calls --------------------------------------------------------------------------------------------- */

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    settings s;
    const char *name = NULL;
    if (!read_settings(pamh, flags, argc, argv, &s))
        return PAM_AUTHINFO_UNAVAIL;
    const char *against = reason_against(pamh, &s);
    if (against) {
        if (s.debug)
            pam_syslog(pamh, LOG_DEBUG, "not asked: %s", against);
        return PAM_AUTHINFO_UNAVAIL;
    }
    if (pam_get_user(pamh, &name, NULL) != PAM_SUCCESS || !name || !*name)
        return PAM_AUTHINFO_UNAVAIL;
    const struct passwd *user = pam_modutil_getpwnam(pamh, name);
    if (!user)
        return PAM_USER_UNKNOWN;
    /* su and its like ask for somebody else: then the digits would be shown to one person and another's microphone be
     * listened to. Root's programs, lock screens among them, ask for whoever sits there. */
    if (getuid() != 0 && getuid() != user->pw_uid)
        return PAM_AUTHINFO_UNAVAIL;
    return ask(pamh, &s, user);
}

/* A voice gives no credentials. SUCCESS, because libpam counts IGNORE of a sufficient module against the stack. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)pamh, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}
