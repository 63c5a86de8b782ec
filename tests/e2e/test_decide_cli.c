/* test_decide_cli.c - voxlock decide as a user asks it "what if?": verdicts, exit codes, settings, mistakes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/cli.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_FLAGS = 10 };

/* One question; decide stands before its flags, --json behind them. */
static json_t *ask(const char *const flags[MAX_FLAGS], const char *env, int *ret_status)
{
    const char *args[MAX_FLAGS + 3] = {"decide"};
    int n = 1;
    for (int i = 0; i < MAX_FLAGS && flags[i]; i++)
        args[n++] = flags[i];
    args[n++] = "--json";
    cli_result r = cli_run_with(args, env, NULL, NULL);
    *ret_status = r.status;
    assert_int_equal(r.err.len, 0);
    assert_int_equal(cli_count_lines(&r.out), 1);
    json_t *root = json_loads(cli_text(&r.out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    cli_result_done(&r);
    return root;
}

static void answers_what_if(void **state)
{
    (void)state;
    static const struct {
        const char *flags[MAX_FLAGS];
        const char *env, *verdict;
        int status;
        double p; /* negative: null */
    } cases[] = {
        {{"--ml", "0.92", "--physics", "0.88", "--behavior", "0.95", "--context", "0.90"},
         NULL,
         "AUTHENTICATE",
         CLI_OK,
         0.91},
        {{"--ml=0.68", "--physics=0.92", "--behavior=0.96", "--context=0.90"}, NULL, "AUTHENTICATE", CLI_OK, 0.82},
        {{"--ml=0.72", "--physics=0.45", "--behavior=0.94", "--context=0.90"}, NULL, "CHALLENGE", CLI_CHALLENGE, 0.67},
        {{"--ml=0.89", "--physics=0.12", "--behavior=0.94", "--context=0.90"}, NULL, "ESCALATE", CLI_ESCALATE, 0.49},
        {{"--physics=0.88", "--behavior=0.95", "--context=0.90"}, NULL, "CHALLENGE", CLI_CHALLENGE, 0.91},
        {{"--physics=0.88", "--behavior=0.95", "--context=0.90"},
         "VOXLOCK_ALLOW_DEGRADED_UNLOCK=true",
         "AUTHENTICATE",
         CLI_OK,
         0.91},
        {{"--ml=0.92", "--physics=0.90", "--behavior=0.45", "--context=0.70"}, NULL, "CHALLENGE", CLI_CHALLENGE, 0.77},
        {{"--ml=0.2", "--physics=0.3", "--behavior=0.4", "--context=0.3"}, NULL, "REJECT", CLI_REJECT, 0.27},
        {{"--ml=0.95", "--physics=0.95"}, NULL, "AUTHENTICATE", CLI_OK, 0.87},
        {{"--ml=0.95", "--physics=0.95"}, "BAYESIAN_AUTH_THRESHOLD=0.9", "CHALLENGE", CLI_CHALLENGE, 0.87},
        {{"--ml=0.95", "--physics=0.95"}, "BAYESIAN_MIN_SOURCES=3", "CHALLENGE", CLI_CHALLENGE, 0.87},
        {{"--ml=0.95", "--physics=0.95"}, "BAYESIAN_BEHAVIORAL_WEIGHT=0", "AUTHENTICATE", CLI_OK, 0.91},
        {{"--ml=0.9", "--physics=0.9", "--behavior=0.9", "--prior", "0.5"}, NULL, "CHALLENGE", CLI_CHALLENGE, 0.56},
        {{"--ml=0.9", "--physics=0.9", "--behavior=0.9"},
         "BAYESIAN_PRIOR_AUTHENTIC=0.5",
         "CHALLENGE",
         CLI_CHALLENGE,
         0.56},
        {{"--ml=1", "--physics=1", "--behavior=1", "--context=1"}, NULL, "ESCALATE", CLI_ESCALATE, 1.00},
        {{"--behavior=0.9", "--context=0.9"}, NULL, "UNAVAILABLE", CLI_UNDECIDED, -1},
        {{NULL}, NULL, "UNAVAILABLE", CLI_UNDECIDED, -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int status;
        json_t *root = ask(cases[i].flags, cases[i].env, &status);
        const json_t *p = json_object_get(root, "probability");
        const char *verdict = json_string_value(json_object_get(root, "verdict"));
        if (strcmp(verdict, cases[i].verdict) != 0 || status != cases[i].status ||
            (cases[i].p < 0 ? !json_is_null(p) : fabs(json_real_value(p) - cases[i].p) > 0.005))
            fail_msg("case %zu: %s, exit %d, P %.4f", i, verdict, status, json_real_value(p));
        json_decref(root);
    }
}

static void what_is_left_out_is_missing(void **state)
{
    (void)state;
    static const char *const statuses[] = {"unavailable", "valid", "neutral", "neutral"};
    int status;
    json_t *root = ask((const char *[MAX_FLAGS]){"--physics", "0.9"}, NULL, &status);
    for (size_t i = 0; i < COUNT(statuses); i++) {
        const json_t *source = json_array_get(json_object_get(root, "evidence"), i);
        assert_string_equal(json_string_value(json_object_get(source, "status")), statuses[i]);
    }
    assert_true(json_is_true(json_object_get(root, "degraded")));
    json_decref(root);
}

static void a_person_gets_a_table(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("decide", "--ml", "0.89", "--physics", "0.12", "--behavior", "0.94"));
    assert_int_equal(r.status, CLI_ESCALATE);
    assert_int_equal(r.err.len, 0);
    assert_string_equal(
        cli_text(&r.out),
        "  source    status        measured  used  weight  reason\n"
        "  ml        valid             0.89  0.89    0.40  given\n"
        "  physics   valid             0.12  0.12    0.30  given\n"
        "  behavior  valid             0.94  0.94    0.20  given\n"
        "  context   neutral              -  0.70    0.10  not given\n"
        "\n"
        "  probability 0.482, threshold 0.85, anomaly: contradiction\n"
        "ESCALATE: The voice is right, but it does not come from a living throat: this looks like a "
        "recording. If it was you, type your password; if not, somebody holds a recording of your voice.\n");
    cli_result_done(&r);
}

static void mistakes_end_with_2(void **state)
{
    (void)state;
    static const struct {
        const char *args[5], *env, *says;
    } cases[] = {
        {{"--ml", "nan"}, NULL, "--ml"},
        {{"--physics", "inf"}, NULL, "--physics"},
        {{"--behavior", "1.01"}, NULL, "--behavior"},
        {{"--context", "-0.1"}, NULL, "--context"},
        {{"--ml", "0,9"}, NULL, "'0,9'"},
        {{"--ml", "0x1"}, NULL, "--ml"},
        {{"--ml", "90%"}, NULL, "'90%'"},
        {{"--ml", "0.9 0.8"}, NULL, "--ml"},
        {{"--ml", "\"0.9\""}, NULL, "--ml"},
        {{"--ml", "true"}, NULL, "--ml"},
        {{"--ml="}, NULL, "--ml"},
        {{"--ml"}, NULL, "--ml"},
        {{"--prior", "0.04"}, NULL, "0.05 to 0.95"},
        {{"--prior", "0.951"}, NULL, "0.05 to 0.95"},
        {{"--prior", "nan"}, NULL, "--prior"},
        {{"--behaviour", "0.9"}, NULL, "--behaviour"},
        {{"0.9"}, NULL, "usage: voxlock decide"},
        {{"--ml", "0.9"}, "BAYESIAN_REJECT_THRESHOLD=0.85", "BAYESIAN_REJECT_THRESHOLD"},
        {{"--ml", "0.9"}, "BAYESIAN_ML_WEIGHT=2", "BAYESIAN_ML_WEIGHT"},
        {{"--ml", "0.9"}, "BAYESIAN_MIN_SOURCES=0", "BAYESIAN_MIN_SOURCES"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const *a = cases[i].args;
        cli_result r = cli_run_with(CLI_ARGS("decide", a[0], a[1]), cases[i].env, NULL, NULL);
        if (r.status != CLI_USAGE || r.out.len > 0 || cli_count_lines(&r.err) != 1 ||
            !strstr(cli_text(&r.err), cases[i].says))
            fail_msg("%s %s: exit %d, said: %s", a[0], a[1] ? a[1] : "", r.status, cli_text(&r.err));
        cli_result_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_what_if),
        cmocka_unit_test(what_is_left_out_is_missing),
        cmocka_unit_test(a_person_gets_a_table),
        cmocka_unit_test(mistakes_end_with_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
