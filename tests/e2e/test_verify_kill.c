/* test_verify_kill.c - voxlock verify, killed at any moment of 200 attempts: no attempt that was reported is lost, none is
 * invented, the audit chain holds, the database is whole. */
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

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/child.h"
#include "tests/support/cli.h"
#include "tests/support/scratch.h"

#define AUDIO "tests/data/audio/"
/* Attempts that are cut off count as rejections, and after three the next is only told to wait: so each home sees four. */
#if defined(__SANITIZE_ADDRESS__)
enum { HOMES = 8 }; /* each start takes many times as long */
#else
enum { HOMES = 50 };
#endif
enum { ROUNDS = 4, SEED = 20261121 };

/* Ids that verify printed before it went. */
typedef struct {
    int64_t ids[ROUNDS];
    size_t n;
} reported;

static json_t *json_of(const char *const args[])
{
    cli_result r = cli_run(args);
    if (r.status != CLI_OK)
        fail_msg("%s: %s", args[0], cli_text(&r.err));
    json_t *root = json_loads(cli_text(&r.out), 0, NULL);
    assert_non_null(root);
    cli_result_done(&r);
    return root;
}

/* One verify, killed after delay_ns if it still runs. Returns the id it reported, or 0. */
static int64_t run_and_kill(const scratch *home, const char *name, uint64_t delay_ns)
{
    char folder[160];
    child c;
    const char *line = NULL;
    int64_t id = 0;
    snprintf(folder, sizeof folder, "%s/.local/share/voxlock", home->path);
    char *const argv[] = {(char *)VX_BUILD_DIR "/voxlock",
                          (char *)"verify",
                          (char *)name,
                          (char *)AUDIO "reader1_d.flac",
                          (char *)"--json",
                          (char *)"--data",
                          folder,
                          (char *)"--keyring",
                          (char *)"file",
                          (char *)"--model",
                          (char *)"models/starter",
                          NULL};
    assert_true(child_start(argv, CHILD_STDOUT, &c));
    nanosleep(&(struct timespec){(time_t)(delay_ns / 1000000000u), (long)(delay_ns % 1000000000u)}, NULL);
    kill(c.pid, SIGKILL);
    if (child_hear(&c, 5000, &line)) {
        json_t *root = json_loads(line, 0, NULL);
        id = json_integer_value(json_object_get(root, "id"));
        json_decref(root);
    }
    (void)child_end(&c, 5000);
    return id;
}

static const json_t *record_of(const json_t *attempts, int64_t id)
{
    size_t i;
    json_t *row;
    json_array_foreach(attempts, i, row)
    {
        if (json_integer_value(json_object_get(row, "id")) == id)
            return row;
    }
    return NULL;
}

/* What was reported is there and ended, nothing else is, the chain holds, the database is whole. */
static void check_home(const reported *told)
{
    json_t *root = json_of(CLI_ARGS("history", "--last", "0", "--json"));
    const json_t *attempts = json_object_get(root, "attempts");
    assert_true(json_array_size(attempts) <= ROUNDS);
    for (size_t i = 0; i < told->n; i++) {
        const json_t *row = record_of(attempts, told->ids[i]);
        assert_non_null(row);
        assert_string_not_equal(json_string_value(json_object_get(row, "verdict")), "UNFINISHED");
    }
    json_decref(root);
    root = json_of(CLI_ARGS("audit", "verify", "--json"));
    assert_true(json_is_true(json_object_get(json_object_get(root, "audit"), "whole")));
    json_decref(root);
    cli_result r = cli_run(CLI_ARGS("doctor"));
    if (r.status != CLI_OK)
        fail_msg("%s%s", cli_text(&r.out), cli_text(&r.err));
    cli_result_done(&r);
}

static void enroll_anna(const scratch *home)
{
    cli_set_home(home->path);
    cli_result r =
        cli_run(CLI_ARGS("enroll", "anna", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac", AUDIO "reader1_c.flac"));
    assert_int_equal(r.status, CLI_OK);
    cli_result_done(&r);
}

/* How long verify takes here when nobody kills it: under a sanitizer many times as long. */
static uint64_t time_of_a_whole_one(void)
{
    scratch home = scratch_make();
    enroll_anna(&home);
    const uint64_t start_ns = vx_now_ns();
    cli_result r = cli_run(CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac", "--json"));
    const uint64_t took_ns = vx_now_ns() - start_ns;
    assert_true(r.out.len > 0); /* whatever the verdict */
    cli_result_done(&r);
    cli_set_home(NULL);
    scratch_done(&home);
    return took_ns;
}

static void no_attempt_is_lost_and_none_invented(void **state)
{
    (void)state;
    size_t n_told = 0;
    uint64_t random = SEED, whole_ns = time_of_a_whole_one();
    print_message("seed %d\n", SEED);
    for (int h = 0; h < HOMES; h++) {
        scratch home = scratch_make();
        reported told = {0};
        enroll_anna(&home);
        for (int i = 0; i < ROUNDS; i++) {
            /* Up to half longer than the last one that got to its end, so that others do too. */
            random = random * 6364136223846793005u + 1442695040888963407u;
            const uint64_t delay_ns = (random >> 33) % (whole_ns + whole_ns / 2), start_ns = vx_now_ns();
            const int64_t id = run_and_kill(&home, "anna", delay_ns);
            if (id > 0) {
                told.ids[told.n++] = id;
                const uint64_t took_ns = vx_now_ns() - start_ns;
                whole_ns = took_ns < 10000000 ? 10000000 : took_ns;
            }
        }
        n_told += told.n;
        check_home(&told);
        cli_set_home(NULL);
        scratch_done(&home);
    }
    print_message("%zu of %d told their verdict\n", n_told, HOMES * ROUNDS);
    assert_true(n_told > 0 && n_told < HOMES * ROUNDS); /* both kinds were there to be tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_attempt_is_lost_and_none_invented)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
