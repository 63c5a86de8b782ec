/* test_logind.c - a Linux desktop over a real D-Bus: a bus of the test's own, and a logind of ours behind it that is told
 * what to be: locked, open, remote, another user's, silent, gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/unlock/logind_plugin.h"
#include "edge/unlock/unlock.h"
#include "tests/support/child.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
enum { ANSWER_MS = 10000 };

static struct {
    child bus, logind;
    vx_desktop desktop;
    bool has_desktop;
    char why_not[300]; /* nothing is tested, because of this */
} here;

static bool start_bus(void)
{
    char *const argv[] = {"dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", NULL};
    const char *address = NULL;
    if (!child_start(argv, CHILD_STDOUT, &here.bus) || !child_hear(&here.bus, ANSWER_MS, &address)) {
        snprintf(here.why_not, sizeof here.why_not, "dbus-daemon does not start: is it installed?");
        return false;
    }
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
    return true;
}

static bool start_logind(void)
{
    char uid[24], path[] = VX_BUILD_DIR "/tools/logind_mock";
    snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
    char *const argv[] = {path, uid, NULL};
    const char *line = NULL;
    return child_start(argv, CHILD_STDOUT, &here.logind) && child_hear(&here.logind, ANSWER_MS, &line) &&
           strcmp(line, "ready") == 0;
}

static int begin(void **state)
{
    (void)state;
    vx_errinfo info = {0};
    here.has_desktop = vx_desktop_open(&here.desktop, &info) == VX_OK;
    if (!here.has_desktop)
        snprintf(here.why_not, sizeof here.why_not, "%s", info.text);
    else if (start_bus() && !start_logind())
        snprintf(here.why_not, sizeof here.why_not, "logind_mock does not start");
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (here.has_desktop)
        here.desktop.close(here.desktop.arg);
    (void)child_end(&here.logind, 1000);
    (void)child_end(&here.bus, 100);
    return 0;
}

/* Several words, separated by commas, each a line to logind. */
static void tell(const char *lines)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", lines);
    for (char *line; (line = strsep(&rest, ","));) {
        const char *answer = NULL;
        assert_true(child_say(&here.logind, line));
        assert_true(child_hear(&here.logind, ANSWER_MS, &answer));
        assert_string_equal(answer, "ok");
    }
}

static int requests(void)
{
    const char *answer = NULL;
    int n = -1;
    assert_true(child_say(&here.logind, "requests"));
    assert_true(child_hear(&here.logind, ANSWER_MS, &answer));
    assert_int_equal(sscanf(answer, "requests %d", &n), 1);
    assert_true(child_hear(&here.logind, ANSWER_MS, &answer));
    return n;
}

/* A locked session of ours in front of the screen, and a desktop that listens. */
static void need_session(void)
{
    if (here.why_not[0]) {
        print_message("# %s\n", here.why_not);
        skip();
    }
    char own[40];
    snprintf(own, sizeof own, "User %u", (unsigned)getuid());
    tell("speak,listen,allow,Id 2,Type wayland,Class user,State active,Seat seat0,Active 1,Remote 0,LockedHint 1");
    tell(own);
}

static vx_unlock_outcome run(vx_unlock_memory *memory)
{
    vx_unlock_options options = vx_unlock_options_default();
    options.verify_ms = 100;
    vx_unlock_outcome o;
    vx_unlock_run(&here.desktop, &options, NULL, NULL, memory, &o);
    return o;
}

static void sessions_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        vx_lock_state state;
        const char *why;
    } cases[] = {
        {"LockedHint 1", VX_LOCK_LOCKED, ""},
        {"LockedHint 0", VX_LOCK_UNLOCKED, ""},
        {"Type x11", VX_LOCK_LOCKED, ""},
        {"Remote 1", VX_LOCK_UNKNOWN, "remote"},
        {"Remote 1,LockedHint 0", VX_LOCK_UNKNOWN, "remote"},
        {"User 12345", VX_LOCK_UNKNOWN, "another user's"},
        {"Active 0", VX_LOCK_UNKNOWN, "not the one in front"},
        {"State online", VX_LOCK_UNKNOWN, "not the one in front"},
        {"State closing", VX_LOCK_UNKNOWN, "ending"},
        {"Type tty", VX_LOCK_UNKNOWN, "not a graphical"},
        {"Type unspecified", VX_LOCK_UNKNOWN, "not a graphical"},
        {"Class greeter", VX_LOCK_UNKNOWN, "not a graphical"},
        {"Seat", VX_LOCK_UNKNOWN, "no screen and keyboard"},
        {"Id", VX_LOCK_UNKNOWN, "no graphical session"},
        {"Type a-type-of-session-with-a-very-long-name", VX_LOCK_UNKNOWN, "not a graphical"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char why[VX_DESKTOP_WHY_CAP] = "untouched";
        need_session();
        tell(cases[i].told);
        const vx_lock_state seen = here.desktop.state(here.desktop.arg);
        const vx_unlock_method method = here.desktop.method(here.desktop.arg, why);
        if (seen != cases[i].state || !strstr(why, cases[i].why) ||
            method != (seen == VX_LOCK_UNKNOWN ? VX_UNLOCK_NONE : VX_UNLOCK_ASK))
            fail_msg("%s: state %d, method %d, %s", cases[i].told, (int)seen, (int)method, why);
    }
}

static void a_locked_session_is_unlocked(void **state)
{
    (void)state;
    need_session();
    const int before = requests();
    vx_unlock_memory memory = {0};
    assert_int_equal(run(&memory).result, VX_UNLOCKED);
    assert_int_equal(requests(), before + 1);
    assert_int_equal(here.desktop.state(here.desktop.arg), VX_LOCK_UNLOCKED);
    assert_int_equal(run(&memory).result, VX_WAS_UNLOCKED);
    assert_int_equal(requests(), before + 1);
    assert_int_equal(memory.failures, 0);
}

static void what_does_not_open_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        vx_unlock_result result;
        int n_requests;
        const char *says;
    } cases[] = {
        {"deaf", VX_STAYED_LOCKED, 2, "does not listen"},
        {"refuse", VX_CANNOT, 1, "Permission denied"},
        {"Remote 1", VX_CANNOT, 0, "remote"},
        {"User 12345", VX_CANNOT, 0, "another user's"},
        {"Active 0", VX_CANNOT, 0, "in front"},
        {"hush", VX_CANNOT, 0, "does not answer"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        need_session();
        const int before = requests();
        vx_unlock_memory memory = {0};
        tell(cases[i].told);
        const vx_unlock_outcome o = run(&memory);
        tell("speak");
        if (o.result != cases[i].result || requests() != before + cases[i].n_requests ||
            !strstr(o.sentence, cases[i].says))
            fail_msg("%s: %s, %d requests: %s", cases[i].told, vx_unlock_result_name(o.result), requests() - before,
                     o.sentence);
        assert_int_equal(memory.failures, cases[i].n_requests > 0);
    }
}

static void a_bus_that_comes_back_is_found_again(void **state)
{
    (void)state;
    char why[VX_DESKTOP_WHY_CAP] = "";
    need_session();
    assert_int_equal(here.desktop.state(here.desktop.arg), VX_LOCK_LOCKED);

    /* logind alone ends, and comes back. */
    assert_int_equal(child_end(&here.logind, 5000), 0);
    assert_int_equal(here.desktop.state(here.desktop.arg), VX_LOCK_UNKNOWN);
    assert_int_equal(here.desktop.method(here.desktop.arg, why), VX_UNLOCK_NONE);
    assert_non_null(strstr(why, "systemd-logind: "));
    assert_int_equal(run(NULL).result, VX_CANNOT);
    assert_true(start_logind());
    tell("LockedHint 1");
    assert_int_equal(here.desktop.state(here.desktop.arg), VX_LOCK_LOCKED);

    /* The bus with it. */
    (void)child_end(&here.logind, 5000);
    (void)child_end(&here.bus, 0);
    assert_int_equal(here.desktop.state(here.desktop.arg), VX_LOCK_UNKNOWN);
    assert_int_equal(run(NULL).result, VX_CANNOT);
    assert_true(start_bus() && start_logind());
    tell("LockedHint 1");
    assert_int_equal(run(NULL).result, VX_UNLOCKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_are_told_apart),
        cmocka_unit_test(a_locked_session_is_unlocked),
        cmocka_unit_test(what_does_not_open_is_said),
        cmocka_unit_test(a_bus_that_comes_back_is_found_again),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
