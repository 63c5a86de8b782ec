/* test_agent_socket.c - the agent's socket and its client: who may ask, what comes back, who is cut off, what a fake or
 * broken agent can do to a client. And the folder, the lock, the reader of replies.
 */
#include "edge/agent/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "edge/agent/client.h"
#include "edge/agent/peer.h"
#include "edge/agent/place.h"
#include "edge/agent/request.h"
#include "shared/base/clock.h"
#include "tests/support/agent_double.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct {
    scratch place;
    agent_double agent;
    vx_agent_calls calls;
    vx_agent_socket *socket;
    char path[PATH_MAX];
} fixture;

static void begin(fixture *f, agent_script script, vx_agent_socket_options options)
{
    *f = (fixture){.place = scratch_make(), .agent.script = script};
    vx_errinfo info = {0};
    f->calls = agent_double_calls(&f->agent);
    scratch_path(&f->place, VX_AGENT_SOCKET, f->path, sizeof f->path);
    if (vx_agent_socket_create(f->place.path, &f->calls, options, &f->socket, &info) != VX_OK)
        fail_msg("%s", info.text);
}

static void end(fixture *f)
{
    vx_agent_socket_destroy(f->socket);
    assert_false(scratch_has(&f->place, VX_AGENT_SOCKET));
    scratch_done(&f->place);
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void)nanosleep(&t, NULL);
}

/* Waits until a count is reached, up to 5 s. */
static void wait_for(atomic_int *count, int least)
{
    for (int i = 0; i < 500 && atomic_load(count) < least; i++)
        pause_ms(10);
    assert_true(atomic_load(count) >= least);
}

/* ---- the client's side ------------------------------------------------------------------------------------------ */

typedef struct {
    int n_said;
    char last[VX_AGENT_SENTENCE_CAP];
    atomic_int give_up;
} listener;

static void on_say(void *arg, const char *sentence)
{
    listener *l = arg;
    l->n_said++;
    snprintf(l->last, sizeof l->last, "%s", sentence);
}

static bool on_give_up(void *arg)
{
    listener *l = arg;
    return atomic_load(&l->give_up) != 0;
}

static vx_agent_question question(const char *path, const char *op, uint64_t ms, listener *l)
{
    return (vx_agent_question){.socket_path = path,
                               .owner = geteuid(),
                               .op = op,
                               .purpose = strcmp(op, "unlock") == 0 ? "pam" : NULL,
                               .deadline_ns = vx_now_ns() + ms * 1000000u,
                               .say = on_say,
                               .give_up = on_give_up,
                               .arg = l};
}

static vx_err ask(const char *path, const char *op, uint64_t ms, listener *l, vx_agent_answer *ret, vx_errinfo *info)
{
    const vx_agent_question q = question(path, op, ms, l);
    return vx_agent_ask(&q, ret, info);
}

static void a_question_is_answered_with_what_was_said_before(void **state)
{
    (void)state;
    fixture f;
    listener l = {0};
    vx_agent_answer a = {0};
    vx_errinfo info = {0};
    bool may = false;
    char text[64];
    begin(&f, (agent_script){.says = {"Say: 4 7 1", "\x1b[2JAgain"}, .verdict = "AUTHENTICATE", .may_unlock = true},
          (vx_agent_socket_options){0});
    if (ask(f.path, "unlock", 5000, &l, &a, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_int_equal(l.n_said, 2);
    assert_string_equal(l.last, " [2JAgain"); /* no escape sequence reaches a terminal */
    assert_true(vx_agent_reply_flag(a.json, a.len, "may_unlock", &may) && may);
    assert_true(vx_agent_reply_field(a.json, a.len, "verdict", text, sizeof text));
    assert_string_equal(text, "AUTHENTICATE");
    assert_int_equal(atomic_load(&f.agent.n_for_pam), 1);

    assert_int_equal(ask(f.path, "status", 5000, &l, &a, &info), VX_OK);
    assert_true(vx_agent_reply_field(a.json, a.len, "state", text, sizeof text));
    assert_string_equal(text, "idle");
    assert_int_equal(ask(f.path, "reload", 5000, &l, &a, &info), VX_OK);
    assert_int_equal(atomic_load(&f.agent.n_reloads), 1);
    end(&f);
}

static void an_agent_without_memory_says_so(void **state)
{
    (void)state;
    fixture f;
    listener l = {0};
    vx_agent_answer a = {.len = 77};
    vx_errinfo info = {0};
    begin(&f, (agent_script){.no_memory = true}, (vx_agent_socket_options){0});
    assert_int_equal(ask(f.path, "status", 5000, &l, &a, &info), VX_ERR_NOMEM);
    assert_string_equal(info.text, "the agent has no memory");
    assert_int_equal(a.len, 77); /* untouched */
    end(&f);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *line;
    vx_err err;
    vx_agent_op op;
    const char *purpose;
    int timeout_ms;
} requests[] = {
    {"{\"op\":\"status\"}", VX_OK, VX_ASK_STATUS, NULL, VX_AGENT_DEFAULT_MS},
    {"{\"op\":\"reload\",\"new_field\":[1]}", VX_OK, VX_ASK_RELOAD, NULL, VX_AGENT_DEFAULT_MS},
    {"{\"op\":\"unlock\"}", VX_OK, VX_ASK_UNLOCK, "screen", VX_AGENT_DEFAULT_MS},
    {"{\"op\":\"unlock\",\"purpose\":\"pam\",\"timeout_ms\":100}", VX_OK, VX_ASK_UNLOCK, "pam", 100},
    {"{\"op\":\"unlock\",\"purpose\":\"screen\",\"timeout_ms\":60000}", VX_OK, VX_ASK_UNLOCK, "screen", 60000},
    {"{\"op\":\"unlock\",\"purpose\":\"door\"}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"unlock\",\"purpose\":1}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"unlock\",\"timeout_ms\":99}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"unlock\",\"timeout_ms\":60001}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"unlock\",\"timeout_ms\":\"15\"}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"Unlock\"}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"{\"op\":\"unlock\",\"op\":\"status\"}", VX_ERR_JSON_SYNTAX, 0, NULL, 0},
    {"{}", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"[\"unlock\"]", VX_ERR_JSON_FIELD, 0, NULL, 0},
    {"unlock", VX_ERR_JSON_SYNTAX, 0, NULL, 0},
    {"", VX_ERR_JSON_SYNTAX, 0, NULL, 0},
    {"{\"op\":[[[[[1]]]]]}", VX_ERR_JSON_LIMIT, 0, NULL, 0},
};

static void requests_are_what_the_protocol_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(requests); i++) {
        vx_agent_request r = {.timeout_ms = -7};
        vx_errinfo info = {0};
        const vx_err err = vx_agent_request_parse(requests[i].line, strlen(requests[i].line), &r, &info);
        if (err != requests[i].err)
            fail_msg("%s: %s", requests[i].line, vx_err_code(err));
        if (err != VX_OK) {
            assert_int_equal(r.timeout_ms, -7);
            continue;
        }
        assert_int_equal(r.op, requests[i].op);
        assert_int_equal(r.timeout_ms, requests[i].timeout_ms);
        assert_true((r.purpose == NULL) == (requests[i].purpose == NULL));
        if (r.purpose)
            assert_string_equal(r.purpose, requests[i].purpose);
    }
}

/* ---- by hand ---------------------------------------------------------------------------------------------------- */

static int raw_connect(const char *path)
{
    struct sockaddr_un at;
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0 && vx_peer_address(path, &at));
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Everything until the agent closes, up to 5 s. */
static void raw_hear(int fd, char *ret, size_t cap)
{
    size_t len = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (len + 1 < cap && poll(&p, 1, 5000) > 0) {
        const ssize_t n = read(fd, ret + len, cap - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    ret[len] = '\0';
    close(fd);
}

static void raw_talk(const char *path, const char *text, size_t len, char *ret, size_t cap)
{
    const int fd = raw_connect(path);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, text, len, VX_PEER_SEND), len);
    raw_hear(fd, ret, cap);
}

static void what_is_no_request_is_refused_in_one_line(void **state)
{
    (void)state;
    fixture f;
    char heard[1024], *big = calloc(1, 8192);
    begin(&f, (agent_script){0}, (vx_agent_socket_options){.request_ms = 200});
    raw_talk(f.path, "hello\n", 6, heard, sizeof heard);
    assert_non_null(strstr(heard, "\"code\":\"bad_json\""));
    raw_talk(f.path, "\0\n", 2, heard, sizeof heard);
    assert_non_null(strstr(heard, "bad_json"));
    raw_talk(f.path, "{\"op\":\"fly\"}\n", 13, heard, sizeof heard);
    assert_non_null(strstr(heard, "\"code\":\"bad_field\""));
    memset(big, ' ', 8192);
    raw_talk(f.path, big, VX_AGENT_REQUEST_CAP, heard, sizeof heard);
    assert_non_null(strstr(heard, "json_too_complex"));
    /* Without its end a request never comes: cut off after request_ms. */
    raw_talk(f.path, "{\"op\":\"status\"}", 15, heard, sizeof heard);
    assert_non_null(strstr(heard, "deadline_exceeded"));
    assert_int_equal(atomic_load(&f.agent.n_status), 0);
    free(big);
    end(&f);
}

static void to_close_the_connection_ends_the_work(void **state)
{
    (void)state;
    static const char line[] = "{\"op\":\"unlock\"}\n";
    fixture f;
    begin(&f, (agent_script){.waits = true}, (vx_agent_socket_options){0});
    int fd = raw_connect(f.path);
    assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
    wait_for(&f.agent.n_waiting, 1);
    assert_int_equal(atomic_load(&f.agent.n_gone), 0);
    close(fd);
    wait_for(&f.agent.n_gone, 1);
    /* So does to speak out of turn. */
    fd = raw_connect(f.path);
    assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
    wait_for(&f.agent.n_waiting, 1);
    assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
    wait_for(&f.agent.n_gone, 2);
    close(fd);
    end(&f);
}

static void the_asker_s_deadline_ends_the_work(void **state)
{
    (void)state;
    fixture f;
    char heard[1024];
    begin(&f, (agent_script){.waits = true}, (vx_agent_socket_options){0});
    raw_talk(f.path, "{\"op\":\"unlock\",\"timeout_ms\":150}\n", 33, heard, sizeof heard);
    assert_non_null(strstr(heard, "\"answer\""));
    assert_int_equal(atomic_load(&f.agent.n_gone), 1);
    end(&f);
}

static void the_seventeenth_is_told_that_the_agent_is_busy(void **state)
{
    (void)state;
    static const char line[] = "{\"op\":\"unlock\"}\n";
    fixture f;
    int fds[VX_AGENT_CONNECTIONS];
    listener l = {0};
    vx_agent_answer a;
    vx_errinfo info = {0};
    begin(&f, (agent_script){.waits = true}, (vx_agent_socket_options){0});
    for (int i = 0; i < VX_AGENT_CONNECTIONS; i++) {
        fds[i] = raw_connect(f.path);
        assert_int_equal(write(fds[i], line, sizeof line - 1), sizeof line - 1);
    }
    wait_for(&f.agent.n_waiting, VX_AGENT_CONNECTIONS);
    assert_int_equal(ask(f.path, "status", 5000, &l, &a, &info), VX_ERR_BUSY);
    for (int i = 0; i < VX_AGENT_CONNECTIONS; i++)
        close(fds[i]);
    wait_for(&f.agent.n_gone, VX_AGENT_CONNECTIONS);
    /* And there is room again. */
    vx_err err = VX_ERR_BUSY;
    for (int i = 0; i < 100 && err == VX_ERR_BUSY; i++) {
        err = ask(f.path, "status", 5000, &l, &a, NULL);
        if (err == VX_ERR_BUSY)
            pause_ms(10);
    }
    assert_int_equal(err, VX_OK);
    end(&f);
}

static void the_end_of_the_agent_ends_all_work(void **state)
{
    (void)state;
    static const char line[] = "{\"op\":\"unlock\",\"timeout_ms\":60000}\n";
    fixture f;
    begin(&f, (agent_script){.waits = true}, (vx_agent_socket_options){.request_ms = 60000});
    const int silent = raw_connect(f.path), waiting = raw_connect(f.path);
    assert_int_equal(write(waiting, line, sizeof line - 1), sizeof line - 1);
    wait_for(&f.agent.n_waiting, 1);
    const uint64_t start = vx_now_ns();
    end(&f);
    assert_true(vx_ms_since(start) < 5000);
    assert_int_equal(atomic_load(&f.agent.n_gone), 1);
    close(silent);
    close(waiting);
}

/* Another user is another process here: the test changes its own effective user in a child. */
static void another_user_is_refused_and_root_is_not(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip(); /* only root can become others */
        return;
    }
    fixture f;
    int status = 0;
    begin(&f, (agent_script){0}, (vx_agent_socket_options){0});
    /* The folder would keep others out already: what is tested is the check behind it. */
    assert_int_equal(chmod(f.place.path, 0755), 0);
    assert_int_equal(chmod(f.path, 0666), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        vx_agent_answer a;
        vx_agent_question q = {
            .socket_path = f.path, .owner = 0, .op = "status", .deadline_ns = vx_now_ns() + 5000000000u};
        if (setuid(65534) != 0)
            _exit(10);
        _exit(vx_agent_ask(&q, &a, NULL) == VX_ERR_PERMISSION ? 0 : 11);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(atomic_load(&f.agent.n_status), 0);
    assert_int_equal(chmod(f.place.path, 0700), 0);
    end(&f);
}

static void a_client_speaks_to_its_own_users_agent_alone(void **state)
{
    (void)state;
    fixture f;
    vx_agent_answer a;
    vx_errinfo info = {0};
    begin(&f, (agent_script){.verdict = "AUTHENTICATE", .may_unlock = true}, (vx_agent_socket_options){0});
    listener l = {0};
    vx_agent_question q = question(f.path, "unlock", 2000, &l);
    q.owner = geteuid() + 1;
    assert_int_equal(vx_agent_ask(&q, &a, &info), VX_ERR_PERMISSION);
    assert_int_equal(atomic_load(&f.agent.n_unlocks), 0);
    end(&f);
}

/* ---- agents that are none --------------------------------------------------------------------------------------- */

typedef struct {
    int listen_fd;
    const char *text; /* what it sends, whatever it is asked */
    bool drips;       /* and then a {"say"} every 20 ms */
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
    (void)send(fd, k->text, strlen(k->text), VX_PEER_SEND);
    while (k->drips && send(fd, "{\"say\":\"wait\"}\n", 15, VX_PEER_SEND) > 0)
        pause_ms(20);
    /* Until the client goes. */
    if (!k->hangs_up)
        while (read(fd, request, sizeof request) > 0) {
        }
    close(fd);
    return NULL;
}

static const struct {
    const char *text;
    bool drips, hangs_up;
    vx_err err;
} fakes[] = {
    {"", false, true, VX_ERR_IO},
    {"", false, false, VX_ERR_DEADLINE},
    {"", true, false, VX_ERR_DEADLINE},
    {"{\"answer\":{\"may_unlock\":true}}", false, true, VX_ERR_IO}, /* no end of line: cut off */
    {"yes\n", false, false, VX_ERR_JSON_SYNTAX},
    {"\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"answer\":true}\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"answer\":{},\"answer\":{}}\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"say\":\"a\",\"answer\":{}}\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"answer\":{}} {}\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"answer\":{\"a\":\"\xff\"}}\n", false, false, VX_ERR_JSON_SYNTAX},
    {"{\"error\":{}}\n", false, false, VX_ERR_INTERNAL},
    {"{\"error\":{\"code\":\"busy\",\"sentence\":\"later\"}}\n", false, false, VX_ERR_BUSY},
    {"{\"error\":{\"code\":\"ok\"}}\n", false, false, VX_ERR_INTERNAL},
    {"{\"say\":\"a\"}\n{\"answer\":{}}\n{\"error\":{}}\n", false, false, VX_OK},
};

static int listen_at(const char *path)
{
    struct sockaddr_un at;
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0 && vx_peer_address(path, &at));
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void a_client_survives_any_agent(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fakes); i++) {
        scratch s = scratch_make();
        char path[128];
        pthread_t thread;
        listener l = {0};
        vx_agent_answer a;
        vx_errinfo info = {0};
        scratch_path(&s, "fake.sock", path, sizeof path);
        fake k = {.listen_fd = listen_at(path),
                  .text = fakes[i].text,
                  .drips = fakes[i].drips,
                  .hangs_up = fakes[i].hangs_up};
        assert_int_equal(pthread_create(&thread, NULL, fake_thread, &k), 0);
        const uint64_t start = vx_now_ns();
        const vx_err err = ask(path, "unlock", 300, &l, &a, &info);
        if (err != fakes[i].err)
            fail_msg("%s: %s", fakes[i].text, vx_err_code(err));
        assert_true(err == VX_OK || info.code == err);
        if (err == VX_ERR_DEADLINE)
            assert_true(vx_ms_since(start) >= 299);
        pthread_join(thread, NULL);
        close(k.listen_fd);
        scratch_done(&s);
    }
}

static void a_line_without_end_is_cut_off(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char path[128], *text = calloc(1, VX_AGENT_LINE_CAP + 2);
    pthread_t thread;
    listener l = {0};
    vx_agent_answer a;
    memset(text, 'x', VX_AGENT_LINE_CAP + 1);
    scratch_path(&s, "fake.sock", path, sizeof path);
    fake k = {.listen_fd = listen_at(path), .text = text};
    assert_int_equal(pthread_create(&thread, NULL, fake_thread, &k), 0);
    assert_int_equal(ask(path, "status", 5000, &l, &a, NULL), VX_ERR_JSON_SYNTAX);
    pthread_join(thread, NULL);
    close(k.listen_fd);
    free(text);
    scratch_done(&s);
}

static void nobody_there_and_nobody_who_waits(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char path[PATH_MAX];
    listener l = {0};
    vx_agent_answer a;
    scratch_path(&s, "agent.sock", path, sizeof path);
    assert_int_equal(ask(path, "status", 1000, &l, &a, NULL), VX_ERR_NOT_FOUND);
    const int fd = listen_at(path);
    atomic_store(&l.give_up, 1);
    assert_int_equal(ask(path, "status", 5000, &l, &a, NULL), VX_ERR_CLOSED);
    atomic_store(&l.give_up, 0);
    assert_int_equal(ask(path, "status", 0, &l, &a, NULL), VX_ERR_DEADLINE);
    close(fd);
    assert_int_equal(ask(path, "status", 1000, &l, &a, NULL), VX_ERR_NOT_FOUND); /* stale */
    memset(path, 'a', 200);
    path[200] = '\0';
    assert_int_equal(ask(path, "status", 1000, &l, &a, NULL), VX_ERR_RANGE);
    scratch_done(&s);
}

/* An agent that takes no connections, with its queue full: connect would wait for ever. */
static void a_full_queue_does_not_hold_a_client(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char path[128];
    int fds[64], n = 0;
    listener l = {0};
    vx_agent_answer a;
    scratch_path(&s, "agent.sock", path, sizeof path);
    const int fd = listen_at(path);
    for (; n < (int)COUNT(fds); n++) {
        struct sockaddr_un at;
        fds[n] = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_true(vx_peer_prepare(fds[n]) && vx_peer_address(path, &at));
        if (connect(fds[n], (const struct sockaddr *)&at, sizeof at) != 0)
            break;
    }
    assert_true(n < (int)COUNT(fds));
    const vx_err err = ask(path, "status", 200, &l, &a, NULL);
    assert_true(err == VX_ERR_DEADLINE || err == VX_ERR_NOT_FOUND); /* macOS refuses instead */
    for (int i = 0; i <= n; i++)
        close(fds[i]);
    close(fd);
    scratch_done(&s);
}

/* ---- the place -------------------------------------------------------------------------------------------------- */

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    fixture f;
    vx_agent_socket *second = NULL;
    vx_errinfo info = {0};
    begin(&f, (agent_script){0}, (vx_agent_socket_options){0});
    assert_int_equal(scratch_mode(&f.place, VX_AGENT_SOCKET) & 0777, 0600);
    assert_int_equal(vx_agent_socket_create(f.place.path, &f.calls, (vx_agent_socket_options){0}, &second, &info),
                     VX_ERR_EXISTS);
    assert_null(second);
    listener l = {0};
    vx_agent_answer a;
    assert_int_equal(ask(f.path, "status", 5000, &l, &a, NULL), VX_OK);
    vx_agent_socket_destroy(f.socket);

    close(listen_at(f.path)); /* an agent that was killed */
    assert_int_equal(vx_agent_socket_create(f.place.path, &f.calls, (vx_agent_socket_options){0}, &f.socket, NULL),
                     VX_OK);
    assert_int_equal(ask(f.path, "status", 5000, &l, &a, NULL), VX_OK);
    vx_agent_socket_destroy(f.socket);

    /* What is no socket is not removed. */
    scratch_write(&f.place, VX_AGENT_SOCKET, "diary", 5);
    assert_int_equal(vx_agent_socket_create(f.place.path, &f.calls, (vx_agent_socket_options){0}, &f.socket, NULL),
                     VX_ERR_EXISTS);
    assert_true(scratch_holds(&f.place, VX_AGENT_SOCKET, "diary", 5));
    scratch_done(&f.place);
}

static void another_agents_socket_is_left_to_it(void **state)
{
    (void)state;
    fixture f;
    begin(&f, (agent_script){0}, (vx_agent_socket_options){0});
    assert_int_equal(unlink(f.path), 0);
    const int fd = listen_at(f.path);
    vx_agent_socket_destroy(f.socket);
    assert_true(scratch_has(&f.place, VX_AGENT_SOCKET));
    close(fd);
    scratch_done(&f.place);
}

static void folders_that_others_can_reach_are_refused(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char path[256], link[256];
    scratch_path(&s, "run/voxlock", path, sizeof path);
    assert_int_equal(vx_agent_take_folder(path, NULL), VX_OK);
    assert_int_equal(scratch_mode(&s, "run/voxlock") & 0777, 0700);
    assert_int_equal(scratch_mode(&s, "run") & 0777, 0700);
    assert_int_equal(vx_agent_take_folder(path, NULL), VX_OK);
    static const mode_t open_modes[] = {0701, 0710, 0770, 0777};
    for (size_t i = 0; i < COUNT(open_modes); i++) {
        vx_errinfo info = {0};
        assert_int_equal(chmod(path, open_modes[i]), 0);
        assert_int_equal(vx_agent_take_folder(path, &info), VX_ERR_PERMISSION);
        assert_non_null(strstr(info.text, "chmod 700"));
    }
    assert_int_equal(chmod(path, 0700), 0);
    scratch_path(&s, "link", link, sizeof link);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(vx_agent_take_folder(link, NULL), VX_ERR_PERMISSION);
    scratch_path(&s, "link/", link, sizeof link);
    assert_int_equal(vx_agent_take_folder(link, NULL), VX_ERR_PERMISSION);
    scratch_write(&s, "file", "x", 1);
    scratch_path(&s, "file", link, sizeof link);
    assert_int_equal(vx_agent_take_folder(link, NULL), VX_ERR_PERMISSION);
    assert_int_equal(vx_agent_take_folder("", NULL), VX_ERR_RANGE);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(vx_agent_take_folder(path, NULL), VX_ERR_PERMISSION);
    }
    scratch_done(&s);
}

static void one_agent_a_user_runs(void **state)
{
    (void)state;
    scratch s = scratch_make();
    int fd = -1, second = -1, status = 0;
    vx_errinfo info = {0};
    assert_int_equal(vx_agent_holder(s.path), 0);
    assert_int_equal(vx_agent_take_lock(s.path, &fd, NULL), VX_OK);
    assert_int_equal(scratch_mode(&s, VX_AGENT_LOCK) & 0777, 0600);
    assert_int_equal(vx_agent_holder(s.path), getpid());
    assert_int_equal(vx_agent_take_lock(s.path, &second, &info), VX_ERR_EXISTS);
    assert_non_null(strstr(info.text, "runs already (process"));
    assert_int_equal(second, -1);
    close(fd);
    assert_int_equal(vx_agent_holder(s.path), 0);
    /* An agent that was killed holds nothing, whatever its file says. */
    const pid_t pid = fork();
    if (pid == 0) {
        if (vx_agent_take_lock(s.path, &fd, NULL) != VX_OK)
            _exit(1);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(vx_agent_take_lock(s.path, &fd, NULL), VX_OK);
    close(fd);
    char path[256];
    scratch_path(&s, VX_AGENT_LOCK, path, sizeof path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(vx_agent_take_lock(s.path, &fd, NULL), VX_ERR_PERMISSION);
    scratch_done(&s);
}

static void the_folder_is_the_sessions_or_the_data_folder(void **state)
{
    (void)state;
    char session[] = "XDG_RUNTIME_DIR=/run/user/7", relative[] = "XDG_RUNTIME_DIR=run", path[64];
    char *with[] = {session, NULL}, *without[] = {relative, NULL};
    assert_int_equal(vx_agent_folder(with, "/home/a/data", path, sizeof path, NULL), VX_OK);
#ifndef __APPLE__
    assert_string_equal(path, "/run/user/7/voxlock");
#endif
    assert_int_equal(vx_agent_folder(without, "/home/a/data", path, sizeof path, NULL), VX_OK);
    assert_int_equal(strncmp(path, "/home/a/data", 12), 0);
    assert_int_equal(vx_agent_folder(without, "/home/a/data", path, 5, NULL), VX_ERR_RANGE);
}

/* ---- replies ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *object, *key, *text; /* text NULL: there is no such string */
} fields[] = {
    {"{\"a\":\"b\"}", "a", "b"},
    {" { \"x\" : [1, {\"a\":\"no\"}], \"a\" : \"yes\" } ", "a", "yes"},
    {"{\"a\":\"\\u0041\\ud83d\\ude00\\n\\\"\"}", "a", "A\xf0\x9f\x98\x80 \""},
    {"{\"a\":\"\\u001b[0m\"}", "a", " [0m"},
    {"{\"a\":\"\\u009b0m\"}", "a", " 0m"},
    {"{\"\\u0061\":\"escaped key\"}", "a", "escaped key"},
    {"{\"a\":\"b\",\"a\":\"c\"}", "a", NULL},
    {"{\"a\":1}", "a", NULL},
    {"{\"a\":\"b\"", "a", NULL},
    {"{\"a\":\"b\",}", "a", NULL},
    {"{,\"a\":\"b\"}", "a", NULL},
    {"{\"a\":\"b\"}x", "a", NULL},
    {"{\"a\":\"\\ud83d\"}", "a", NULL},
    {"{\"a\":\"\\u0000\"}", "a", NULL},
    {"{\"a\":\"\\x\"}", "a", NULL},
    {"{\"a\":\"tab\there\"}", "a", NULL},
    {"{\"a\":\"b\",\"n\":01}", "a", NULL},
    {"{\"a\":\"b\",\"n\":1.}", "a", NULL},
    {"{\"a\":\"b\",\"n\":-}", "a", NULL},
    {"{\"a\":\"b\",\"n\":-1.5e+3}", "a", "b"},
    {"{\"a\":\"b\",\"n\":truth}", "a", NULL},
    {"{\"a\":\"b\",\"n\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}", "a", NULL},
    {"[\"a\"]", "a", NULL},
    {"", "a", NULL},
};

static void fields_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(fields); i++) {
        char text[64] = "untouched";
        const bool found =
            vx_agent_reply_field(fields[i].object, strlen(fields[i].object), fields[i].key, text, sizeof text);
        if (found != (fields[i].text != NULL) || strcmp(text, found ? fields[i].text : "untouched") != 0)
            fail_msg("%s: '%s'", fields[i].object, text);
    }
    static const char two_byte_letters[] = "{\"a\":\"ab\\u00fc\\u00fcc\"}";
    char small[6];
    assert_true(vx_agent_reply_field(two_byte_letters, sizeof two_byte_letters - 1, "a", small, sizeof small));
    assert_string_equal(small, "ab\xc3\xbc"); /* cut between characters, and nothing behind the cut */
    bool flag = true;
    assert_false(vx_agent_reply_flag("{\"f\":\"true\"}", 12, "f", &flag));
    assert_false(vx_agent_reply_flag("{\"f\":1}", 7, "f", &flag));
    assert_true(vx_agent_reply_flag("{\"f\":false}", 11, "f", &flag) && !flag);
    assert_true(vx_agent_reply_flag("{\"f\":true}", 10, "f", &flag) && flag);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static vx_err open_and_close(void *ctx)
{
    fixture *f = ctx;
    vx_agent_socket *socket = NULL;
    const vx_err err = vx_agent_socket_create(f->place.path, &f->calls, (vx_agent_socket_options){0}, &socket, NULL);
    vx_agent_socket_destroy(socket);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    fixture f = {.place = scratch_make()};
    f.calls = agent_double_calls(&f.agent);
    vx_alloc_fail_each(open_and_close, &f);
    scratch_done(&f.place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_with_what_was_said_before),
        cmocka_unit_test(an_agent_without_memory_says_so),
        cmocka_unit_test(requests_are_what_the_protocol_says),
        cmocka_unit_test(what_is_no_request_is_refused_in_one_line),
        cmocka_unit_test(to_close_the_connection_ends_the_work),
        cmocka_unit_test(the_asker_s_deadline_ends_the_work),
        cmocka_unit_test(the_seventeenth_is_told_that_the_agent_is_busy),
        cmocka_unit_test(the_end_of_the_agent_ends_all_work),
        cmocka_unit_test(another_user_is_refused_and_root_is_not),
        cmocka_unit_test(a_client_speaks_to_its_own_users_agent_alone),
        cmocka_unit_test(a_client_survives_any_agent),
        cmocka_unit_test(a_line_without_end_is_cut_off),
        cmocka_unit_test(nobody_there_and_nobody_who_waits),
        cmocka_unit_test(a_full_queue_does_not_hold_a_client),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(another_agents_socket_is_left_to_it),
        cmocka_unit_test(folders_that_others_can_reach_are_refused),
        cmocka_unit_test(one_agent_a_user_runs),
        cmocka_unit_test(the_folder_is_the_sessions_or_the_data_folder),
        cmocka_unit_test(fields_are_read_strictly),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
