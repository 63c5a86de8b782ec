/* test_edge.c - the commands around profiles, as a user types them: the real program, real recordings, a home of its own. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/child.h"
#include "tests/support/cli.h"
#include "tests/support/model_copy.h"
#include "tests/support/scratch.h"

#define AUDIO "tests/data/audio/"
#define STORE ".local/share/voxlock/voxlock.db"

static scratch home;

static int make_home(void **state)
{
    (void)state;
    home = scratch_make();
    cli_set_home(home.path);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    cli_set_home(NULL);
    scratch_done(&home);
    return 0;
}

/* Runs, wants that exit code, and gives the JSON on standard output (freed by the caller). */
static json_t *json_of(int status, const char *const args[])
{
    cli_result r = cli_run(args);
    if (r.status != status)
        fail_msg("%s: exit code %d, not %d: %s", args[0], r.status, status, cli_text(&r.err));
    json_error_t error;
    json_t *root = json_loads(cli_text(&r.out), 0, &error);
    if (!root)
        fail_msg("%s: %s: %s", args[0], error.text, cli_text(&r.out));
    cli_result_done(&r);
    return root;
}

/* Runs, wants that exit code, and those words on standard output and on standard error. */
static void says(int status, const char *out, const char *err, const char *const args[])
{
    cli_result r = cli_run(args);
    if (r.status != status || !strstr(cli_text(&r.out), out) || !strstr(cli_text(&r.err), err))
        fail_msg("%s: exit code %d, not %d\n--- out:\n%s--- err:\n%s", args[0], r.status, status, cli_text(&r.out),
                 cli_text(&r.err));
    cli_result_done(&r);
}

static const char *text_at(const json_t *root, const char *section, const char *key)
{
    const char *text = json_string_value(json_object_get(section ? json_object_get(root, section) : root, key));
    return text ? text : "";
}

static void enrol(const char *name, const char *a, const char *b, const char *c)
{
    says(CLI_OK, "recordings kept  3", "[3/3]", CLI_ARGS("enroll", name, a, b, c));
}
static void enrol_anna(void)
{
    enrol("anna", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac", AUDIO "reader1_c.flac");
}

/* ---- the main job --------------------------------------------------------------------------------------------------- */

static void a_voice_is_enrolled_and_verified(void **state)
{
    (void)state;
    enrol_anna();
    json_t *root = json_of(CLI_CHALLENGE, CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac", "--json"));
    assert_string_equal(text_at(root, NULL, "verdict"), "CHALLENGE"); /* the starter is not sure enough */
    assert_true(json_is_true(json_object_get(json_object_get(root, "voice"), "accepted")));
    assert_true(json_is_false(json_object_get(root, "may_unlock")));
    assert_true(json_is_true(json_object_get(root, "starter_model")));
    assert_int_equal(json_array_size(json_object_get(json_object_get(root, "decision"), "evidence")), 4);
    json_decref(root);
    /* A living voice that is another's: the evidence contradicts itself. */
    root = json_of(CLI_ESCALATE, CLI_ARGS("verify", "anna", AUDIO "reader3_a.flac", "--json"));
    assert_true(json_is_false(json_object_get(json_object_get(root, "voice"), "accepted")));
    json_decref(root);
    says(CLI_CHALLENGE, "the voice is accepted", "", CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"));
    says(CLI_ESCALATE, "physics   valid", "", CLI_ARGS("verify", "anna", AUDIO "reader4_b.flac"));

    root = json_of(CLI_OK, CLI_ARGS("history", "--json"));
    const json_t *attempts = json_object_get(root, "attempts");
    assert_int_equal(json_array_size(attempts), 4);
    assert_string_equal(text_at(json_array_get(attempts, 0), NULL, "verdict"), "ESCALATE");
    assert_string_equal(text_at(json_array_get(attempts, 3), NULL, "verdict"), "CHALLENGE");
    json_decref(root);
    says(CLI_OK, "entries proven  5", "", CLI_ARGS("audit", "verify"));
    says(CLI_OK, "enrolled", "", CLI_ARGS("audit"));
}

static void what_was_not_compared_is_no_match_of_zero(void **state)
{
    (void)state;
    enrol_anna();
    json_t *root = json_of(CLI_UNDECIDED, CLI_ARGS("verify", "nobody", AUDIO "reader1_d.flac", "--json"));
    assert_string_equal(text_at(root, NULL, "verdict"), "NOT_ENROLLED");
    assert_true(json_is_null(json_object_get(root, "voice")) && json_is_null(json_object_get(root, "decision")));
    json_decref(root);
    says(CLI_BAD_FILE, "", "gone.wav", CLI_ARGS("verify", "anna", "gone.wav"));
    /* A recording that cannot be used is an attempt, and on record; so is one on somebody whose name is no name. */
    says(CLI_UNDECIDED, "NO_AUDIO", "", CLI_ARGS("verify", "anna", AUDIO "README.md"));
    says(CLI_UNDECIDED, "NOT_ENROLLED", "", CLI_ARGS("verify", "\xff\xfe\x1b[2J", AUDIO "reader1_d.flac"));
    root = json_of(CLI_OK, CLI_ARGS("history", "--json"));
    assert_int_equal(json_array_size(json_object_get(root, "attempts")), 3);
    json_decref(root);
    says(CLI_OK, "NO_AUDIO", "", CLI_ARGS("history"));
    says(CLI_BAD_FILE, "(not UTF-8)", "", CLI_ARGS("embed", "--json", "\xff.flac", AUDIO "reader1_d.flac"));
    says(CLI_USAGE, "", "usage", CLI_ARGS("verify"));
    says(CLI_USAGE, "", "leave out one of the two", CLI_ARGS("verify", "anna", "x.wav", "--file", "y.wav"));
}

/* Speech that comes as a stream, from a file in a microphone's place; tests/e2e/test_live_enroll.sh has the microphone. */
static void what_is_heard_from_a_file_is_judged_as_if_spoken(void **state)
{
    (void)state;
    enrol_anna();
    const char *heard = AUDIO "reader1_d.flac";
    json_t *root = json_of(CLI_CHALLENGE, CLI_ARGS("verify", "anna", "--file", heard, "--json"));
    assert_true(json_is_true(json_object_get(json_object_get(root, "voice"), "accepted")));
    json_decref(root);
    says(CLI_ESCALATE, "physics   ", "Speak now.", CLI_ARGS("verify", "anna", "--file", AUDIO "reader3_a.flac"));
    says(CLI_BAD_FILE, "", "gone.wav", CLI_ARGS("verify", "anna", "--file", "gone.wav"));
    says(CLI_USAGE, "", "takes the place of a microphone",
         CLI_ARGS("verify", "anna", "--file", heard, "--source", "pulse"));
    /* One recording is not three; what it ends before is said, and nothing is kept. */
    says(CLI_BAD_AUDIO, "", "the recording ends after 1 good utterance",
         CLI_ARGS("enroll", "bob", "--file", heard, "--utterances", "3"));
    static const char *const counts[] = {"2", "11", "0", "-3", "3x", "", "99999999999999999999"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        says(CLI_USAGE, "", "takes 3 to 10", CLI_ARGS("enroll", "bob", "--file", heard, "--utterances", counts[i]));
    says(CLI_USAGE, "", "is for speech", CLI_ARGS("enroll", "bob", heard, "--utterances", "3"));
    root = json_of(CLI_OK, CLI_ARGS("profiles", "--json"));
    assert_int_equal(json_array_size(json_object_get(root, "profiles")), 1);
    json_decref(root);
}

static void profiles_are_listed_renamed_armed_and_removed(void **state)
{
    (void)state;
    enrol_anna();
    enrol("bob", AUDIO "reader2_a.flac", AUDIO "reader2_b.flac", AUDIO "reader2_d.flac");
    json_t *root = json_of(CLI_OK, CLI_ARGS("identify", AUDIO "reader2_c.flac", "--json"));
    assert_string_equal(text_at(json_array_get(json_object_get(root, "profiles"), 0), NULL, "name"), "bob");
    json_decref(root);
    root = json_of(CLI_OK, CLI_ARGS("identify", AUDIO "reader4_a.flac", "--json"));
    assert_true(json_is_null(json_object_get(json_object_get(root, "answer"), "speaker")));
    json_decref(root);

    says(CLI_OK, "anna", "", CLI_ARGS("profiles"));
    says(CLI_OK, "snr db", "", CLI_ARGS("profiles", "show", "anna"));
    says(CLI_UNDECIDED, "", "carla", CLI_ARGS("profiles", "show", "carla"));
    says(CLI_USAGE, "", "usage", CLI_ARGS("profiles", "destroy", "anna"));
    says(CLI_OK, "", "", CLI_ARGS("profiles", "rename", "bob", "robert"));
    says(CLI_FAILED, "", "anna", CLI_ARGS("profiles", "rename", "robert", "anna"));
    says(CLI_USAGE, "", "--accept-starter-model", CLI_ARGS("profiles", "arm", "anna"));
    says(CLI_OK, "", "", CLI_ARGS("profiles", "arm", "anna", "--accept-starter-model"));
    root = json_of(CLI_OK, CLI_ARGS("profiles", "--json"));
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(root, "profiles"), 0), "armed")));
    assert_true(json_is_false(json_object_get(json_array_get(json_object_get(root, "profiles"), 1), "armed")));
    json_decref(root);
    /* Adding leaves it armed, another voice in its place does not. */
    root = json_of(CLI_OK, CLI_ARGS("enroll", "anna", AUDIO "reader1_d.flac", "--json"));
    assert_true(json_is_true(json_object_get(json_object_get(root, "profile"), "armed")));
    json_decref(root);
    root = json_of(CLI_OK, CLI_ARGS("enroll", "anna", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac",
                                    AUDIO "reader1_c.flac", "--replace", "--json"));
    assert_true(json_is_false(json_object_get(json_object_get(root, "profile"), "armed")));
    json_decref(root);
    says(CLI_OK, "", "", CLI_ARGS("profiles", "remove", "robert"));
    says(CLI_OK, "armed", "", CLI_ARGS("audit", "list"));
    root = json_of(CLI_OK, CLI_ARGS("profiles", "--json"));
    assert_int_equal(json_array_size(json_object_get(root, "profiles")), 1);
    json_decref(root);
}

static void calibration_states_only_what_it_knows(void **state)
{
    (void)state;
    enrol_anna();
    says(CLI_OK, "cannot be stated without recordings of other people", "", CLI_ARGS("calibrate"));
    json_t *root = json_of(CLI_OK, CLI_ARGS("calibrate", "--json"));
    assert_true(json_is_null(json_object_get(root, "false_accepts")));
    assert_true(json_is_false(json_object_get(json_object_get(root, "calibration"), "fitted")));
    json_decref(root);
    root = json_of(CLI_OK, CLI_ARGS("calibrate", AUDIO "reader3_a.flac", AUDIO "reader4_a.flac", "--json"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "false_accepts"), "trials")), 2);
    assert_true(json_is_true(json_object_get(json_object_get(root, "calibration"), "saved")));
    json_decref(root);
    says(CLI_CHALLENGE, "the voice is accepted", "", CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"));
    says(CLI_USAGE, "", "goes alone", CLI_ARGS("calibrate", "--forget", "--dry-run"));
    says(CLI_OK, "forgotten", "", CLI_ARGS("calibrate", "--forget"));
    /* Her own recordings under the name of strangers would teach the opposite. */
    says(CLI_FAILED, "no better", "",
         CLI_ARGS("calibrate", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac", AUDIO "reader1_d.flac"));
}

/* Two at once: the second sees what the first has stored, and refuses another voice. */
static void enrolments_take_turns(void **state)
{
    (void)state;
    char data[160];
    child other = {0};
    const char *line;
    snprintf(data, sizeof data, "%s/.local/share/voxlock", home.path);
    enrol("zoe", AUDIO "reader2_a.flac", AUDIO "reader2_b.flac", AUDIO "reader2_d.flac"); /* the store is there */
    char *const argv[] = {(char *)VX_BUILD_DIR "/voxlock",
                          (char *)"enroll",
                          (char *)"anna",
                          (char *)AUDIO "reader1_a.flac",
                          (char *)AUDIO "reader1_b.flac",
                          (char *)AUDIO "reader1_c.flac",
                          (char *)"--data",
                          data,
                          (char *)"--keyring",
                          (char *)"file",
                          (char *)"--model",
                          (char *)"models/starter",
                          NULL};
    assert_true(child_start(argv, CHILD_STDOUT, &other));
    cli_result r = cli_run(CLI_ARGS("enroll", "anna", AUDIO "reader3_a.flac", AUDIO "reader3_b.flac",
                                    AUDIO "reader4_a.flac", AUDIO "reader4_b.flac"));
    while (child_hear(&other, 30000, &line))
        ;
    const int first = child_end(&other, 30000);
    /* One of the two voices, whichever came first; never both. (The other set may be refused for itself too.) */
    assert_true((first == CLI_OK) != (r.status == CLI_OK));
    cli_result_done(&r);
}

/* What was measured is told also when nothing is enrolled. */
static void a_refused_enrolment_says_what_it_measured(void **state)
{
    (void)state;
    json_t *root = json_of(CLI_BAD_AUDIO, CLI_ARGS("enroll", "bob", AUDIO "reader4_a.flac", AUDIO "reader4_b.flac",
                                                   AUDIO "reader1_a.flac", "--json"));
    assert_string_equal(text_at(root, NULL, "code"), "another_voice");
    assert_int_equal(json_array_size(json_object_get(root, "recordings")), 3);
    assert_true(json_is_null(json_object_get(root, "profile")));
    json_decref(root);
    says(CLI_UNDECIDED, "", "", CLI_ARGS("profiles", "show", "bob"));
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static void the_store_is_its_owners_alone(void **state)
{
    (void)state;
    enrol_anna();
    assert_int_equal(scratch_mode(&home, STORE), 0600);
    assert_int_equal(scratch_mode(&home, ".local/share/voxlock/key"), 0600);
    assert_int_equal(scratch_mode(&home, ".local/share/voxlock"), 0700);
    char path[256];
    assert_int_equal(0, access(scratch_path(&home, STORE, path, sizeof path), R_OK));
    scratch_write(&home, ".local/share/voxlock/key", "spoiled", 7);
    says(CLI_BAD_STORE, "", "key", CLI_ARGS("profiles"));
    assert_int_equal(unlink(scratch_path(&home, ".local/share/voxlock/key", path, sizeof path)), 0);
    says(CLI_BAD_STORE, "", "key", CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"));
}

static void a_backup_comes_back_on_another_computer(void **state)
{
    (void)state;
    enrol_anna();
    char backup[128], passphrase[128], wrong[128], zero[128];
    scratch_path(&home, "backup", backup, sizeof backup);
    scratch_path(&home, "passphrase", passphrase, sizeof passphrase);
    scratch_path(&home, "wrong", wrong, sizeof wrong);
    scratch_write(&home, "passphrase", "correct horse battery\n", 22);
    scratch_write(&home, "zero", "correct\0horse battery\n", 23);
    scratch_write(&home, "wrong", "correct horse batterz\n", 22);
    says(CLI_FAILED, "", "zero byte",
         CLI_ARGS("backup", backup, "--passphrase-file", scratch_path(&home, "zero", zero, sizeof zero)));
    says(CLI_OK, "", "", CLI_ARGS("backup", backup, "--passphrase-file", passphrase));
    assert_int_equal(scratch_mode(&home, "backup"), 0600);
    says(CLI_FAILED, "", "backup", CLI_ARGS("backup", backup, "--passphrase-file", passphrase)); /* never over a file */

    scratch other = scratch_make();
    cli_set_home(other.path);
    says(CLI_BAD_STORE, "", "passphrase", CLI_ARGS("restore", backup, "--passphrase-file", wrong));
    says(CLI_OK, "", "", CLI_ARGS("restore", backup, "--passphrase-file", passphrase));
    says(CLI_CHALLENGE, "the voice is accepted", "", CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"));
    says(CLI_OK, "whole           yes", "", CLI_ARGS("audit", "verify"));
    scratch_done(&other);
}

/* Another model: the same network with other weights, so that voiceprints do not compare. */
static void profiles_move_to_another_model(void **state)
{
    (void)state;
    enrol_anna();
    const char *const other = "ECAPA_CACHE_DIR=tests/data/golden/model";
    cli_result r = cli_run_with(CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"), other, NULL, NULL);
    assert_int_equal(r.status, CLI_UNDECIDED);
    assert_non_null(strstr(cli_text(&r.out), "NOT_READY"));
    assert_non_null(strstr(cli_text(&r.out), "voxlock migrate"));
    cli_result_done(&r);
    r = cli_run_with(CLI_ARGS("migrate", "--json"), other, NULL, NULL);
    assert_int_equal(r.status, CLI_OK);
    assert_non_null(strstr(cli_text(&r.out), "\"voiceprints_computed\":3"));
    cli_result_done(&r);
    /* That model has no calibration: a likeness is then no probability, and never a verdict by itself. */
    r = cli_run_with(CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"), other, NULL, NULL);
    assert_int_equal(r.status, CLI_CHALLENGE);
    assert_non_null(strstr(cli_text(&r.out), "ml        unavailable"));
    cli_result_done(&r);
    /* The first model's voiceprints are still there. */
    says(CLI_CHALLENGE, "the voice is accepted", "", CLI_ARGS("verify", "anna", AUDIO "reader1_d.flac"));
}

/* ---- help ----------------------------------------------------------------------------------------------------------- */

static void every_document_lists_every_command(void **state)
{
    (void)state;
    static const char *const commands[] = {"enroll",  "verify", "identify",  "profiles", "history", "decide",
                                           "status",  "config", "calibrate", "migrate",  "audit",   "backup",
                                           "restore", "embed",  "compare",   "help",     "doctor",  "unlock",
                                           "agent",   "listen", "password"};
    static const char *const documents[] = {NULL, "--man", "--bash", "--zsh"};
    for (size_t d = 0; d < sizeof documents / sizeof *documents; d++) {
        cli_result r = cli_run((const char *const[]){"help", documents[d], NULL});
        assert_int_equal(r.status, CLI_OK);
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            if (!strstr(cli_text(&r.out), commands[i]))
                fail_msg("help %s does not name %s", documents[d] ? documents[d] : "", commands[i]);
        cli_result_done(&r);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        says(CLI_OK, "Settings, by flag or environment", "", CLI_ARGS(commands[i], "--help"));
    says(CLI_OK, "usage: voxlock enroll", "", CLI_ARGS("help", "enroll"));
    says(CLI_USAGE, "", "no command 'nonsense'", CLI_ARGS("help", "nonsense"));
    says(CLI_USAGE, "", "wants a value", CLI_ARGS("history", "--last"));
    says(CLI_USAGE, "", "wants a value", CLI_ARGS("history", "--last", "--json"));
    says(CLI_USAGE, "", "takes no value", CLI_ARGS("history", "--json=yes"));
}

int main(void)
{
#define WITH_HOME(test) cmocka_unit_test_setup_teardown(test, make_home, remove_home)
    const struct CMUnitTest tests[] = {
        WITH_HOME(a_voice_is_enrolled_and_verified),
        WITH_HOME(what_was_not_compared_is_no_match_of_zero),
        WITH_HOME(what_is_heard_from_a_file_is_judged_as_if_spoken),
        WITH_HOME(profiles_are_listed_renamed_armed_and_removed),
        WITH_HOME(calibration_states_only_what_it_knows),
        WITH_HOME(enrolments_take_turns),
        WITH_HOME(a_refused_enrolment_says_what_it_measured),
        WITH_HOME(the_store_is_its_owners_alone),
        WITH_HOME(a_backup_comes_back_on_another_computer),
        WITH_HOME(profiles_move_to_another_model),
        WITH_HOME(every_document_lists_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
