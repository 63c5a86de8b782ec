/* test_pam.c - pam_voxlock.so in real PAM stacks, driven by libpam as lock screens do it: agents that say yes, no, nothing
 * or nonsense, people who press a key, signals, far-away users; and what the module leaves behind.
 * The stacks lie in a folder of the test's own (pam_start_confdir), so that nothing of the system is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#if defined(__linux__) && __has_include(<security/pam_appl.h>)

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "edge/agent/socket.h"
#include "shared/base/clock.h"
#include "tests/support/agent_double.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SERVICE      "voxlock-test"

typedef struct {
    scratch place;
    agent_double agent;
    vx_agent_calls calls;
    vx_agent_socket *socket; /* NULL: no agent */
    char module[PATH_MAX];
    char user[64];
} fixture;

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&t, NULL);
}

static void wait_for(atomic_int *count, int least)
{
    for (int i = 0; i < 500 && atomic_load(count) < least; i++)
        pause_ms(10);
    assert_true(atomic_load(count) >= least);
}

/* A stack of one service: our module, and what comes behind it. */
static void write_stack(const fixture *f, const char *service, const char *control, const char *options,
                        const char *rest)
{
    char text[3 * PATH_MAX], path[PATH_MAX];
    scratch_path(&f->place, VX_AGENT_SOCKET, path, sizeof path);
    const int n = snprintf(text, sizeof text, "auth %s %s socket=%s %s\n%s\n", control, f->module, path, options, rest);
    scratch_write(&f->place, service, text, (size_t)n);
}

static void begin(fixture *f, const agent_script *script, const char *options)
{
    *f = (fixture){.place = scratch_make()};
    assert_non_null(realpath(VX_BUILD_DIR "/pam_voxlock.so", f->module));
    const struct passwd *me = getpwuid(geteuid());
    assert_non_null(me);
    snprintf(f->user, sizeof f->user, "%s", me->pw_name);
    if (script) {
        f->agent.script = *script;
        f->calls = agent_double_calls(&f->agent);
        assert_int_equal(
            vx_agent_socket_create(f->place.path, &f->calls, (vx_agent_socket_options){0}, &f->socket, NULL), VX_OK);
    }
    write_stack(f, SERVICE, "required", options, "");
}

static void end(fixture *f)
{
    vx_agent_socket_destroy(f->socket);
    scratch_done(&f->place);
}

/* ---- an application --------------------------------------------------------------------------------------------- */

typedef struct {
    int n_said;
    char said[8][256];
} person;

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *arg)
{
    person *p = arg;
    *ret = calloc((size_t)n, sizeof **ret);
    for (int i = 0; *ret && i < n; i++)
        if (messages[i]->msg_style == PAM_TEXT_INFO && p->n_said < (int)COUNT(p->said))
            snprintf(p->said[p->n_said++], sizeof p->said[0], "%s", messages[i]->msg);
    return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

/* What an application says of itself; NULL: nothing. */
typedef struct {
    const char *service, *user, *tty, *rhost, *env;
    int flags;
} application;

static int authenticate_as(const fixture *f, application a, person *p)
{
    pam_handle_t *pamh = NULL;
    person nobody = {0};
    const struct pam_conv conv = {.conv = converse, .appdata_ptr = p ? p : &nobody};
    int result =
        pam_start_confdir(a.service ? a.service : SERVICE, a.user ? a.user : f->user, &conv, f->place.path, &pamh);
    assert_int_equal(result, PAM_SUCCESS);
    if (a.tty)
        assert_int_equal(pam_set_item(pamh, PAM_TTY, a.tty), PAM_SUCCESS);
    if (a.rhost)
        assert_int_equal(pam_set_item(pamh, PAM_RHOST, a.rhost), PAM_SUCCESS);
    if (a.env)
        assert_int_equal(pam_putenv(pamh, a.env), PAM_SUCCESS);
    result = pam_authenticate(pamh, a.flags);
    if (result == PAM_SUCCESS)
        assert_int_equal(pam_setcred(pamh, PAM_ESTABLISH_CRED), PAM_SUCCESS);
    assert_int_equal(pam_end(pamh, result), PAM_SUCCESS);
    return result;
}

static int authenticate(const fixture *f, person *p)
{
    return authenticate_as(f, (application){.tty = ":0"}, p);
}

/* ---- the agent's answers ---------------------------------------------------------------------------------------- */

static void yes_lets_in_and_no_does_not(void **state)
{
    (void)state;
    static const struct {
        agent_script script;
        int result;
    } cases[] = {
        {{.verdict = "AUTHENTICATE", .may_unlock = true}, PAM_SUCCESS},
        {{.verdict = "AUTHENTICATE", .may_unlock = false}, PAM_AUTH_ERR},
        {{.verdict = "CHALLENGE", .may_unlock = true}, PAM_AUTH_ERR},
        {{.verdict = "REJECT"}, PAM_AUTH_ERR},
        {{.verdict = "NO_AUDIO"}, PAM_AUTH_ERR},
        {{.verdict = "AUTHENTICATE", .may_unlock = true, .no_memory = true}, PAM_AUTHINFO_UNAVAIL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        fixture f;
        begin(&f, &cases[i].script, "timeout=5");
        assert_int_equal(authenticate(&f, NULL), cases[i].result);
        assert_int_equal(atomic_load(&f.agent.n_for_pam), 1);
        end(&f);
    }
}

static void what_the_agent_says_is_shown_unless_quiet(void **state)
{
    (void)state;
    const agent_script script = {
        .says = {"Say: 4 7 1", "\x1b]0;x\aagain"}, .verdict = "AUTHENTICATE", .sentence = "Hello.", .may_unlock = true};
    fixture f;
    person p = {0}, silent = {0}, quiet = {0};
    begin(&f, &script, "timeout=5");
    assert_int_equal(authenticate(&f, &p), PAM_SUCCESS);
    assert_int_equal(p.n_said, 3);
    assert_string_equal(p.said[0], "Say: 4 7 1");
    assert_string_equal(p.said[1], " ]0;x again");
    assert_string_equal(p.said[2], "Hello.");
    assert_int_equal(authenticate_as(&f, (application){.tty = ":0", .flags = (int)PAM_SILENT}, &silent), PAM_SUCCESS);
    assert_int_equal(silent.n_said, 0);
    write_stack(&f, SERVICE, "required", "timeout=5 quiet debug", "");
    assert_int_equal(authenticate(&f, &quiet), PAM_SUCCESS);
    assert_int_equal(quiet.n_said, 0);
    end(&f);
}

static void without_an_answer_the_stack_goes_on_to_the_password(void **state)
{
    (void)state;
    const agent_script yes = {.verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    begin(&f, NULL, "timeout=5");
    assert_int_equal(authenticate(&f, NULL), PAM_AUTHINFO_UNAVAIL);
    write_stack(&f, SERVICE, "sufficient", "timeout=5", "auth required pam_permit.so");
    assert_int_equal(authenticate(&f, NULL), PAM_SUCCESS);
    write_stack(&f, SERVICE, "sufficient", "timeout=5", "auth required pam_deny.so");
    assert_int_not_equal(authenticate(&f, NULL), PAM_SUCCESS);
    end(&f);
    begin(&f, &yes, "");
    write_stack(&f, SERVICE, "sufficient", "timeout=5", "auth required pam_deny.so");
    assert_int_equal(authenticate(&f, NULL), PAM_SUCCESS);
    end(&f);
}

static void a_silent_agent_is_waited_for_no_longer_than_said(void **state)
{
    (void)state;
    const agent_script waits = {.verdict = "REJECT", .waits = true};
    fixture f;
    begin(&f, &waits, "timeout=1");
    const uint64_t start = vx_now_ns();
    /* The agent is told of the time, and says no just before it is over. */
    assert_int_equal(authenticate(&f, NULL), PAM_AUTH_ERR);
    assert_true(vx_ms_since(start) >= 700);
    assert_int_equal(atomic_load(&f.agent.n_gone), 1);
    end(&f);
}

/* ---- agents that are none --------------------------------------------------------------------------------------- */

typedef struct {
    int listen_fd;
    const char *text;
    bool hangs_up;
} fake;

static void *fake_thread(void *arg)
{
    const fake *k = arg;
    char request[512];
    const int fd = accept(k->listen_fd, NULL, NULL);
    if (fd < 0)
        return NULL;
    (void)!read(fd, request, sizeof request);
    (void)!send(fd, k->text, strlen(k->text), MSG_NOSIGNAL);
    if (!k->hangs_up)
        while (read(fd, request, sizeof request) > 0) {
        }
    close(fd);
    return NULL;
}

static const struct {
    const char *text;
    bool hangs_up;
    int result;
} fakes[] = {
    {"", true, PAM_AUTHINFO_UNAVAIL},
    {"", false, PAM_AUTHINFO_UNAVAIL}, /* after the timeout */
    {"yes\n", false, PAM_AUTHINFO_UNAVAIL},
    {"{\"answer\":{\"may_unlock\":true,\"verdict\":\"AUTHENTICATE\"}}", true, PAM_AUTHINFO_UNAVAIL},
    {"{\"answer\":true}\n", false, PAM_AUTHINFO_UNAVAIL},
    {"{\"answer\":{}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":true}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":1,\"verdict\":\"AUTHENTICATE\"}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":\"true\",\"verdict\":\"AUTHENTICATE\"}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":true,\"verdict\":\"AUTHENTICATED\"}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":true,\"may_unlock\":true,\"verdict\":\"AUTHENTICATE\"}}\n", false, PAM_AUTH_ERR},
    {"{\"answer\":{\"may_unlock\":true,\"verdict\":\"AUTHENTICATE\"}}\n", false, PAM_SUCCESS},
};

static void nonsense_lets_nobody_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fakes); i++) {
        fixture f;
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        pthread_t thread;
        begin(&f, NULL, "timeout=1");
        scratch_path(&f.place, VX_AGENT_SOCKET, at.sun_path, sizeof at.sun_path);
        fake k = {.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                  .text = fakes[i].text,
                  .hangs_up = fakes[i].hangs_up};
        assert_int_equal(bind(k.listen_fd, (const struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(k.listen_fd, 1), 0);
        assert_int_equal(pthread_create(&thread, NULL, fake_thread, &k), 0);
        const int result = authenticate(&f, NULL);
        if (result != fakes[i].result)
            fail_msg("%s: %d", fakes[i].text, result);
        pthread_join(thread, NULL);
        close(k.listen_fd);
        end(&f);
    }
}

/* ---- when nobody is asked --------------------------------------------------------------------------------------- */

static void the_agent_is_not_asked_for_those_who_are_not_here(void **state)
{
    (void)state;
    static const struct {
        application app;
        bool asks;
    } cases[] = {
        {{.tty = ":0"}, true},
        {{.tty = "/dev/tty1"}, true},
        {{.env = "DISPLAY=:1"}, true},
        {{.env = "WAYLAND_DISPLAY=wayland-0"}, true},
        {{.tty = "/dev/pts/3", .rhost = "host.example"}, false},
        {{.tty = "/dev/pts/3", .env = "SSH_CONNECTION=10.0.0.2 1 10.0.0.1 22"}, false},
        {{.tty = "localhost:10.0"}, false},
        {{.tty = "/dev/pts/3", .env = "DISPLAY=localhost:10.0"}, false},
        {{0}, false}, /* neither terminal nor screen */
        {{.tty = ":0", .service = "sudo"}, false},
        {{.tty = ":0", .service = "su"}, false},
        {{.tty = ":0", .service = "polkit-1"}, false},
        {{.tty = ":0", .user = "no-such-user-as-this"}, false},
    };
    const agent_script yes = {.verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    begin(&f, &yes, "timeout=5");
    write_stack(&f, "sudo", "required", "timeout=5", "");
    write_stack(&f, "su", "required", "timeout=5", "");
    write_stack(&f, "polkit-1", "required", "timeout=5", "");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const int before = atomic_load(&f.agent.n_unlocks);
        const int result = authenticate_as(&f, cases[i].app, NULL);
        if ((result == PAM_SUCCESS) != cases[i].asks)
            fail_msg("case %zu: %d", i, result);
        assert_int_equal(atomic_load(&f.agent.n_unlocks) - before, cases[i].asks);
    }
    /* Whoever wants a voice to be enough for root says so. */
    write_stack(&f, "sudo", "required", "timeout=5 elevate", "");
    assert_int_equal(authenticate_as(&f, (application){.tty = ":0", .service = "sudo"}, NULL), PAM_SUCCESS);
    /* A program that was started over ssh, whatever it says of itself. */
    assert_int_equal(setenv("SSH_CONNECTION", "10.0.0.2 1 10.0.0.1 22", 1), 0);
    assert_int_equal(authenticate(&f, NULL), PAM_AUTHINFO_UNAVAIL);
    assert_int_equal(unsetenv("SSH_CONNECTION"), 0);
    end(&f);
}

static void another_users_agent_is_not_believed(void **state)
{
    (void)state;
    const agent_script yes = {.verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    begin(&f, &yes, "timeout=5");
    const char *other = strcmp(f.user, "daemon") == 0 ? "nobody" : "daemon";
    assert_int_equal(authenticate_as(&f, (application){.tty = ":0", .user = other}, NULL), PAM_AUTHINFO_UNAVAIL);
    assert_int_equal(atomic_load(&f.agent.n_unlocks), 0);
    end(&f);
}

static void a_closed_lid_asks_nobody(void **state)
{
    (void)state;
    const agent_script yes = {.verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    char folder[PATH_MAX], options[PATH_MAX + 32];
    begin(&f, &yes, "");
    scratch_path(&f.place, "lids", folder, sizeof folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(options, sizeof options, "timeout=5 lid=%s", folder);
    write_stack(&f, SERVICE, "required", options, "");
    assert_int_equal(authenticate(&f, NULL), PAM_SUCCESS); /* no lid at all */
    scratch_path(&f.place, "lids/LID0", folder, sizeof folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    scratch_write(&f.place, "lids/LID0/state", "state:      open\n", 17);
    assert_int_equal(authenticate(&f, NULL), PAM_SUCCESS);
    scratch_write(&f.place, "lids/LID0/state", "state:      closed\n", 19);
    assert_int_equal(authenticate(&f, NULL), PAM_AUTHINFO_UNAVAIL);
    write_stack(&f, SERVICE, "required", "timeout=5 lid=none", "");
    assert_int_equal(authenticate(&f, NULL), PAM_SUCCESS);
    end(&f);
}

static void a_slip_of_the_pen_lets_nobody_in(void **state)
{
    (void)state;
    static const char *const options[] = {"timeout=0", "timeout=61", "timeout=",       "timeout=5s",
                                          "tmeout=5",  "nullok",     "socket=relative"};
    const agent_script yes = {.verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    begin(&f, &yes, "");
    for (size_t i = 0; i < COUNT(options); i++) {
        write_stack(&f, SERVICE, "required", options[i], "");
        assert_int_equal(authenticate(&f, NULL), PAM_AUTHINFO_UNAVAIL);
    }
    assert_int_equal(atomic_load(&f.agent.n_unlocks), 0);
    end(&f);
}

/* ---- a terminal ------------------------------------------------------------------------------------------------- */

/* What a child that authenticates at a terminal of its own ends with: the result, or that the terminal was changed. */
enum { CHILD_CHANGED_TERMINAL = 100 };

static pid_t authenticate_at_terminal(const fixture *f, int *ret_master)
{
    const pid_t pid = forkpty(ret_master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct termios before, after;
    (void)tcgetattr(STDIN_FILENO, &before);
    const int result = authenticate(f, NULL);
    (void)tcgetattr(STDIN_FILENO, &after);
    _exit(before.c_lflag == after.c_lflag ? result : CHILD_CHANGED_TERMINAL);
}

static bool has_echo(int master)
{
    struct termios now;
    assert_int_equal(tcgetattr(master, &now), 0);
    return (now.c_lflag & (tcflag_t)ECHO) != 0;
}

static void a_key_ends_the_wait(void **state)
{
    (void)state;
    const agent_script waits = {.verdict = "AUTHENTICATE", .may_unlock = true, .waits = true};
    fixture f;
    int master = -1, status = 0;
    begin(&f, &waits, "timeout=20");
    const pid_t pid = authenticate_at_terminal(&f, &master);
    wait_for(&f.agent.n_waiting, 1);
    assert_false(has_echo(master)); /* a password typed too early is not shown */
    const uint64_t start = vx_now_ns();
    assert_int_equal(write(master, "p", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), PAM_AUTHINFO_UNAVAIL);
    assert_true(vx_ms_since(start) < 10000);
    assert_true(has_echo(master));
    wait_for(&f.agent.n_gone, 1);
    close(master);
    end(&f);
}

static void a_signal_does_its_work_and_the_terminal_is_as_it_was(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < COUNT(signals); i++) {
        const agent_script waits = {.verdict = "REJECT", .waits = true};
        fixture f;
        int master = -1, status = 0;
        begin(&f, &waits, "timeout=20");
        const pid_t pid = authenticate_at_terminal(&f, &master);
        wait_for(&f.agent.n_waiting, 1);
        const uint64_t start = vx_now_ns();
        if (signals[i] == SIGINT)
            assert_int_equal(write(master, "\x03", 1), 1); /* as a person sends it */
        else
            assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
        assert_true(vx_ms_since(start) < 10000); /* half of what it would wait otherwise */
        assert_true(has_echo(master));
        close(master);
        end(&f);
    }
}

/* ---- what is left ----------------------------------------------------------------------------------------------- */

static int count_entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

typedef struct {
    int n_files, n_threads;
    sigset_t mask;
    struct sigaction actions[NSIG];
} traces;

static void take_traces(traces *ret)
{
    *ret = (traces){0};
    ret->n_files = count_entries("/proc/self/fd");
    ret->n_threads = count_entries("/proc/self/task");
    pthread_sigmask(SIG_SETMASK, NULL, &ret->mask);
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, NULL, &ret->actions[i]);
}

static void assert_same_traces(const traces *a, const traces *b)
{
    assert_int_equal(a->n_files, b->n_files);
    assert_int_equal(a->n_threads, b->n_threads);
    for (int i = 1; i < NSIG; i++) {
        assert_int_equal(sigismember(&a->mask, i), sigismember(&b->mask, i));
        assert_true(a->actions[i].sa_handler == b->actions[i].sa_handler);
    }
}

/* The agent is another process, so that its threads and descriptors are not taken for the module's. */
static pid_t agent_process(const fixture *f, const agent_script *script, int *ret_pipe)
{
    int ends[2];
    char byte = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        agent_double agent = {.script = *script};
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        const vx_agent_calls calls = agent_double_calls(&agent);
        vx_agent_socket *socket = NULL;
        if (vx_agent_socket_create(f->place.path, &calls, (vx_agent_socket_options){0}, &socket, NULL) != VX_OK)
            _exit(1);
        (void)!write(ends[1], "r", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[1]);
    *ret_pipe = ends[0];
    return pid;
}

static void nothing_is_left_in_the_program(void **state)
{
    (void)state;
    static const agent_script scripts[] = {
        {.verdict = "AUTHENTICATE", .may_unlock = true, .says = {"a", "b"}}, {.verdict = "REJECT"}, {.waits = true}};
    for (size_t i = 0; i < COUNT(scripts); i++) {
        fixture f;
        traces before, after;
        int ready = -1;
        begin(&f, NULL, "timeout=1");
        const pid_t pid = agent_process(&f, &scripts[i], &ready);
        (void)authenticate(&f, NULL); /* what libpam and libc load at the first call stays */
        take_traces(&before);
        (void)authenticate(&f, NULL);
        take_traces(&after);
        assert_same_traces(&before, &after);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(ready);
        end(&f);
    }
}

/* ---- at the same time ------------------------------------------------------------------------------------------- */

enum { THREADS = 6, ROUNDS = 5 };

typedef struct {
    const fixture *f;
    int n_in;
} caller;

static void *authenticate_often(void *arg)
{
    caller *c = arg;
    for (int i = 0; i < ROUNDS; i++)
        c->n_in += authenticate(c->f, NULL) == PAM_SUCCESS;
    return NULL;
}

static void several_applications_at_once(void **state)
{
    (void)state;
    const agent_script yes = {.says = {"hello"}, .verdict = "AUTHENTICATE", .may_unlock = true};
    fixture f;
    pthread_t threads[THREADS];
    caller callers[THREADS];
    begin(&f, &yes, "timeout=20");
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (caller){.f = &f};
        assert_int_equal(pthread_create(&threads[i], NULL, authenticate_often, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].n_in, ROUNDS);
    }
    assert_int_equal(atomic_load(&f.agent.n_for_pam), THREADS * ROUNDS);
    end(&f);
}

/* The test itself may have been started over ssh, or from a desktop. */
static int forget_where_we_are(void **state)
{
    static const char *const names[] = {"SSH_CONNECTION", "SSH_CLIENT", "DISPLAY", "WAYLAND_DISPLAY"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        (void)unsetenv(names[i]);
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0)
        return -1;
    close(nothing);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yes_lets_in_and_no_does_not),
        cmocka_unit_test(what_the_agent_says_is_shown_unless_quiet),
        cmocka_unit_test(without_an_answer_the_stack_goes_on_to_the_password),
        cmocka_unit_test(a_silent_agent_is_waited_for_no_longer_than_said),
        cmocka_unit_test(nonsense_lets_nobody_in),
        cmocka_unit_test(the_agent_is_not_asked_for_those_who_are_not_here),
        cmocka_unit_test(another_users_agent_is_not_believed),
        cmocka_unit_test(a_closed_lid_asks_nobody),
        cmocka_unit_test(a_slip_of_the_pen_lets_nobody_in),
        cmocka_unit_test(a_key_ends_the_wait),
        cmocka_unit_test(a_signal_does_its_work_and_the_terminal_is_as_it_was),
        cmocka_unit_test(nothing_is_left_in_the_program),
        cmocka_unit_test(several_applications_at_once),
    };
    return cmocka_run_group_tests(tests, forget_where_we_are, NULL);
}

#else

static void pam_voxlock(void **state)
{
    (void)state;
    skip(); /* no PAM headers where this was built */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pam_voxlock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
