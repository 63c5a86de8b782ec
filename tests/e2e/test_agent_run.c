/* test_agent_run.c - voxlock agent run as its user meets it: one a user, asked over its socket, ended by a signal. No
 * microphone is there: what then can be answered is. With one: test_unlock_live.sh. */
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/agent/client.h"
#include "shared/base/clock.h"
#include "tests/support/child.h"
#include "tests/support/cli.h"
#include "tests/support/scratch.h"

#define AUDIO "tests/data/audio/"
#define DATA  ".local/share/voxlock"

static scratch home;
static child running;
static char socket_path[256];

/* The answer as JSON, freed by the caller; NULL with *ret_err where none came. */
static json_t *ask(const char *op, const char *purpose, vx_err *ret_err)
{
    static vx_agent_answer answer;
    const vx_agent_question question = {.socket_path = socket_path,
                                        .owner = getuid(),
                                        .op = op,
                                        .purpose = purpose,
                                        .deadline_ns = vx_now_ns() + 20 * 1000000000ull};
    *ret_err = vx_agent_ask(&question, &answer, NULL);
    return *ret_err == VX_OK ? json_loads(answer.json, 0, NULL) : NULL;
}

static int start_agent(void **state)
{
    (void)state;
    static char data[160], home_entry[160];
    home = scratch_make();
    cli_set_home(home.path);
    snprintf(data, sizeof data, "%s/" DATA, home.path);
    snprintf(home_entry, sizeof home_entry, "HOME=%s", home.path);
    scratch_path(&home, DATA "/agent.sock", socket_path, sizeof socket_path);
    char *const argv[] = {(char *)"env",
                          (char *)"-u",
                          (char *)"XDG_RUNTIME_DIR",
                          (char *)"-u",
                          (char *)"XDG_DATA_HOME",
                          (char *)"PULSE_SERVER=unix:/nonexistent",
                          home_entry,
                          (char *)VX_BUILD_DIR "/voxlock",
                          (char *)"agent",
                          (char *)"run",
                          (char *)"--model",
                          (char *)"models/starter",
                          (char *)"--keyring",
                          (char *)"file",
                          NULL};
    assert_true(child_start(argv, CHILD_STDERR, &running));
    for (int i = 0; i < 400 && access(socket_path, F_OK) != 0; i++)
        nanosleep(&(struct timespec){0, 25000000}, NULL);
    return access(socket_path, F_OK);
}

static int stop_agent(void **state)
{
    (void)state;
    if (running.pid > 0) {
        kill(running.pid, SIGTERM);
        (void)child_end(&running, 20000);
    }
    running = (child){0};
    cli_set_home(NULL);
    scratch_done(&home);
    return 0;
}

static void it_says_how_it_is(void **state)
{
    (void)state;
    vx_err err;
    json_t *root = ask("status", NULL, &err);
    assert_int_equal(err, VX_OK);
    assert_string_equal(json_string_value(json_object_get(root, "state")), "idle");
    assert_non_null(json_object_get(root, "model"));
    json_decref(root);
    cli_result r = cli_run(CLI_ARGS("agent", "status", "--json"));
    assert_int_equal(r.status, CLI_OK);
    assert_non_null(strstr(cli_text(&r.out), "\"answers\":true"));
    cli_result_done(&r);
    assert_int_equal(scratch_mode(&home, DATA "/agent.sock"), 0600);
    assert_int_equal(scratch_mode(&home, DATA "/agent.log"), 0600);
}

/* Nothing compared is never an acceptance, whatever is missing. */
static void what_it_cannot_do_is_a_state(void **state)
{
    (void)state;
    vx_err err;
    json_t *root = ask("unlock", "pam", &err);
    assert_int_equal(err, VX_OK);
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "NOT_ENROLLED");
    assert_true(json_is_false(json_object_get(root, "may_unlock")));
    json_decref(root);

    cli_result r =
        cli_run(CLI_ARGS("enroll", "anna", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac", AUDIO "reader1_c.flac"));
    assert_int_equal(r.status, CLI_OK);
    cli_result_done(&r);
    root = ask("unlock", "screen", &err);
    assert_int_equal(err, VX_OK);
    assert_true(json_is_false(json_object_get(root, "may_unlock")));
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "NOT_READY"); /* no microphone */
    json_decref(root);
}

static void there_is_one_a_user(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("agent", "run"));
    assert_int_equal(r.status, CLI_FAILED);
    assert_int_equal(cli_count_lines(&r.err), 1);
    cli_result_done(&r);
    vx_err err;
    json_t *root = ask("status", NULL, &err); /* and the first goes on */
    assert_int_equal(err, VX_OK);
    json_decref(root);
}

static void signals_reload_and_end_it(void **state)
{
    (void)state;
    vx_err err;
    assert_int_equal(kill(running.pid, SIGHUP), 0);
    json_t *root = ask("status", NULL, &err);
    assert_int_equal(err, VX_OK);
    json_decref(root);
    assert_int_equal(kill(running.pid, SIGTERM), 0);
    assert_int_equal(child_end(&running, 20000), 0);
    running = (child){0};
    assert_false(scratch_has(&home, DATA "/agent.sock"));
    root = ask("status", NULL, &err);
    assert_null(root);
    assert_int_equal(err, VX_ERR_NOT_FOUND);
    cli_result r = cli_run(CLI_ARGS("agent", "status"));
    assert_int_equal(r.status, CLI_FAILED);
    cli_result_done(&r);
}

int main(void)
{
#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, start_agent, stop_agent)
    const struct CMUnitTest tests[] = {
        WITH_AGENT(it_says_how_it_is),
        WITH_AGENT(what_it_cannot_do_is_a_state),
        WITH_AGENT(there_is_one_a_user),
        WITH_AGENT(signals_reload_and_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
