/* test_doctor.c - voxlock doctor on computers with something wrong: each fault is found, named, and mended where that
 * can be.
 */
#include <jansson.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/file.h"
#include "tests/support/cli.h"
#include "tests/support/model_copy.h"
#include "tests/support/scratch.h"
#include "tests/support/service.h"
#include "tests/support/token_endpoint.h"

#define AUDIO  "tests/data/audio/"
#define FOLDER ".local/share/voxlock"
#define STORE  FOLDER "/voxlock.db"

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
    cli_set_home(NULL);
    scratch_done(&home);
    return service_reap(state);
}

/* A microphone that no computer has: what the tests find must not hang on who runs them. */
#define NO_MICROPHONE "--source", "alsa", "--device", "voxlock-test-has-none"

/* Runs the doctor with --json, wants that exit code, and gives what it printed (freed by the caller). */
static json_t *examine(int status, const char *const args[])
{
    cli_result r = cli_run(args);
    if (r.status != status)
        fail_msg("exit code %d, not %d: %s%s", r.status, status, cli_text(&r.out), cli_text(&r.err));
    json_error_t error;
    json_t *root = json_loads(cli_text(&r.out), 0, &error);
    if (!root)
        fail_msg("%s: %s", error.text, cli_text(&r.out));
    assert_int_equal(json_is_true(json_object_get(root, "ok")), status == CLI_OK);
    cli_result_done(&r);
    return root;
}

static const json_t *check_of(const json_t *report, const char *name)
{
    size_t i;
    const json_t *check;
    json_array_foreach(json_object_get(report, "checks"), i, check)
    {
        if (strcmp(json_string_value(json_object_get(check, "name")), name) == 0)
            return check;
    }
    fail_msg("no check '%s'", name);
    return NULL;
}

/* The result of one check, and words of its sentence and advice together. */
static void found(const json_t *report, const char *name, const char *result, const char *part)
{
    const json_t *check = check_of(report, name);
    const char *got = json_string_value(json_object_get(check, "result"));
    const char *advice = json_string_value(json_object_get(check, "advice"));
    char text[1200];
    snprintf(text, sizeof text, "%s; %s", json_string_value(json_object_get(check, "sentence")), advice ? advice : "");
    if (strcmp(got, result) != 0 || !strstr(text, part))
        fail_msg("%s: %s, '%s'; expected %s, '%s'", name, got, text, result, part);
}

static const char *text_of(const json_t *report, const char *name, const char *field)
{
    return json_string_value(json_object_get(check_of(report, name), field));
}

static bool is_set(const json_t *report, const char *name, const char *field)
{
    return json_is_true(json_object_get(check_of(report, name), field));
}

static void enrol_anna(void)
{
    cli_result r = cli_run(CLI_ARGS("enroll", "anna", AUDIO "reader1_a.flac", AUDIO "reader1_b.flac",
                                    AUDIO "reader1_c.flac", "--keyring", "file"));
    if (r.status != CLI_OK)
        fail_msg("%s", cli_text(&r.err));
    cli_result_done(&r);
}

static void spoil(const char *name, mode_t mode)
{
    char path[256];
    assert_int_equal(chmod(scratch_path(&home, name, path, sizeof path), mode), 0);
}

/* ---- a computer where nobody has enrolled ----------------------------------------------------------------------- */

static void a_new_computer_has_warnings_alone(void **state)
{
    (void)state;
    json_t *report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json"));
    found(report, "settings", "ok", "settings, 1 of them changed");
    found(report, "model", "warning", "starter model");
    found(report, "model_files", "ok", "digests");
    found(report, "engine", "ok", "self-test");
    found(report, "data_folder", "warning", "does not exist yet");
    assert_true(is_set(report, "data_folder", "fixable") && !is_set(report, "data_folder", "fixed"));
    static const char *const skipped[] = {"store", "integrity", "audit_log", "profiles", "token", "cloud"};
    for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
        found(report, skipped[i], "skipped", "");
    /* What a live unlock needs is each computer's own business; none of it fails for want of a microphone. */
    static const char *const live[] = {"phrase", "speech", "desktop", "keyring", "pam", "agent"};
    for (size_t i = 0; i < sizeof live / sizeof *live; i++)
        assert_string_not_equal(text_of(report, live[i], "result"), "failed");
    found(report, "microphone", "warning", "voxlock listen --devices");
    found(report, "clock", "ok", "sane year");
    assert_false(scratch_has(&home, FOLDER)); /* looking changes nothing */
    json_decref(report);

    report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--fix"));
    found(report, "data_folder", "ok", "its owner's alone");
    assert_true(is_set(report, "data_folder", "fixed") && !is_set(report, "data_folder", "fixable"));
    assert_int_equal(scratch_mode(&home, FOLDER), 0700);
    json_decref(report);
}

static void a_person_gets_one_line_a_check(void **state)
{
    (void)state;
    json_t *report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json"));
    const size_t n = json_array_size(json_object_get(report, "checks"));
    cli_result r = cli_run(CLI_ARGS("doctor", NO_MICROPHONE));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(cli_count_lines(&r.out), n + 1);
    assert_non_null(strstr(cli_text(&r.out), "  data folder  warning  "));
    assert_int_equal(r.err.len, 0);
    cli_result_done(&r);
    json_decref(report);
}

static void settings_that_do_not_fit_each_other_are_found(void **state)
{
    (void)state;
    cli_result r =
        cli_run_with(CLI_ARGS("doctor", NO_MICROPHONE, "--json"), "BAYESIAN_REJECT_THRESHOLD=0.9", NULL, NULL);
    assert_int_equal(r.status, CLI_FAILED);
    json_t *report = json_loads(cli_text(&r.out), 0, NULL);
    found(report, "settings", "failed", "BAYESIAN_");
    assert_non_null(strstr(cli_text(&r.err), "1 of "));
    json_decref(report);
    cli_result_done(&r);
    r = cli_run(CLI_ARGS("doctor", NO_MICROPHONE, "--mend"));
    assert_int_equal(r.status, CLI_USAGE);
    cli_result_done(&r);
}

/* ---- the model -------------------------------------------------------------------------------------------------- */

static void a_damaged_model_is_found(void **state)
{
    (void)state;
    model_copy copy = model_copy_of("models/starter");
    model_copy_flip(&copy, MODEL_WEIGHTS, 5000);
    json_t *report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--model", copy.path));
    found(report, "model_files", "failed", MODEL_WEIGHTS);
    found(report, "engine", "failed", MODEL_WEIGHTS);
    json_decref(report);
    model_copy_drop(&copy, MODEL_MANIFEST);
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--model", copy.path));
    found(report, "model", "failed", MODEL_MANIFEST);
    found(report, "model_files", "skipped", "manifest");
    json_decref(report);
    model_copy_done(&copy);
}

/* ---- the store -------------------------------------------------------------------------------------------------- */

static void a_store_in_order_is_told_so(void **state)
{
    (void)state;
    enrol_anna();
    json_t *report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
    found(report, "data_folder", "ok", "alone");
    found(report, "store", "warning", "key");
    found(report, "integrity", "ok", "whole");
    found(report, "audit_log", "ok", "entries");
    found(report, "profiles", "ok", "1 profiles, 0 of them armed");
    json_decref(report);

    cli_result r = cli_run(CLI_ARGS("profiles", "arm", "anna", "--accept-starter-model", "--keyring", "file"));
    if (r.status != CLI_OK)
        fail_msg("%s", cli_text(&r.err));
    cli_result_done(&r);
    report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
    found(report, "profiles", "warning", "anna can unlock with the starter model");
    json_decref(report);
}

static void files_that_others_can_read_are_closed_to_them(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mode_t mode, right;
    } cases[] = {{FOLDER, 0755, 0700}, {STORE, 0644, 0600}, {FOLDER "/key", 0640, 0600}};
    enrol_anna();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        spoil(cases[i].name, cases[i].mode);
        json_t *report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
        found(report, "data_folder", "failed", "is open to other users; run voxlock doctor --fix");
        found(report, "store", "failed", "chmod");
        assert_int_equal(scratch_mode(&home, cases[i].name), (int)cases[i].mode);
        json_decref(report);
        report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file", "--fix"));
        found(report, "data_folder", "ok", "alone");
        assert_true(is_set(report, "data_folder", "fixed"));
        found(report, "integrity", "ok", "whole");
        assert_int_equal(scratch_mode(&home, cases[i].name), (int)cases[i].right);
        json_decref(report);
    }
}

/* A link in the store's place leads to a file that is none of the doctor's business. */
static void what_a_link_leads_to_is_left_alone(void **state)
{
    (void)state;
    char elsewhere[256], key[256];
    enrol_anna();
    scratch_write(&home, "elsewhere", "mine", 4);
    spoil("elsewhere", 0644);
    unlink(scratch_path(&home, FOLDER "/key", key, sizeof key));
    assert_int_equal(symlink(scratch_path(&home, "elsewhere", elsewhere, sizeof elsewhere), key), 0);
    json_t *report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file", "--fix"));
    found(report, "data_folder", "failed", "is not a regular file");
    assert_false(is_set(report, "data_folder", "fixable"));
    assert_int_equal(scratch_mode(&home, "elsewhere"), 0644);
    json_decref(report);
}

static void run_sql(const char *sql)
{
    char path[256], *text = NULL;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(scratch_path(&home, STORE, path, sizeof path), &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s", text);
    assert_true(sqlite3_changes(db) > 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void what_somebody_changed_in_the_store_is_found(void **state)
{
    (void)state;
    enrol_anna();
    run_sql("UPDATE audit SET kind = 'removed' WHERE n = 1");
    json_t *report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
    found(report, "audit_log", "failed", "before you trust a profile");
    found(report, "integrity", "ok", "whole");
    json_decref(report);
    run_sql("UPDATE embeddings SET vector = zeroblob(length(vector))");
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
    found(report, "integrity", "failed", "restore a backup");
    json_decref(report);
    scratch_write(&home, STORE, "no database", 11);
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--keyring", "file"));
    found(report, "store", "failed", "voxlock.db");
    found(report, "profiles", "skipped", "no store");
    json_decref(report);
}

/* ---- the cloud -------------------------------------------------------------------------------------------------- */

/* A settings file with these lines; ret_path is what --config takes. */
static void write_settings(const char *lines, char ret_path[256])
{
    scratch_write(&home, "voxlock.conf", lines, strlen(lines));
    scratch_path(&home, "voxlock.conf", ret_path, 256);
}

static void the_cloud_is_asked(void **state)
{
    (void)state;
    char url[64], config[256];
    service *cloud = service_start_ready(NULL);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", cloud->port);
    json_t *report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url));
    found(report, "token", "skipped", "without a token");
    found(report, "cloud", "ok", "has the model that is used here");
    found(report, "clock", "ok", "agrees");
    json_decref(report);

    write_settings("VOXLOCK_CLOUD_AUTH = command\nVOXLOCK_CLOUD_COMMAND = echo a.token\n", config);
    report = examine(CLI_OK, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url, "--config", config));
    found(report, "token", "ok", "command");
    json_decref(report);
    write_settings("VOXLOCK_CLOUD_AUTH = command\nVOXLOCK_CLOUD_COMMAND = false\n", config);
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url, "--config", config));
    found(report, "token", "failed", "'false' ended with status 1");
    found(report, "cloud", "failed", "'false' ended with status 1");
    json_decref(report);

    assert_int_equal(service_stop(cloud), 0);
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url));
    found(report, "cloud", "failed", "the device computes alone");
    found(report, "clock", "ok", "sane year"); /* all that can be known */
    json_decref(report);
    report = examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", "http://example.com"));
    found(report, "cloud", "failed", "must start with https");
    json_decref(report);
}

static void a_clock_that_is_wrong_is_found(void **state)
{
    (void)state;
    static const struct {
        int64_t off_s;
        const char *result, *part;
    } cases[] = {
        {7200, "warning", "behind the cloud's"}, {-7200, "warning", "ahead of the cloud's"}, {0, "ok", "agrees"}};
    token_endpoint *server = token_endpoint_start();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        token_endpoint_rule(server, (token_rules){.clock_off_s = cases[i].off_s});
        json_t *report =
            examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", token_endpoint_url(server)));
        found(report, "clock", cases[i].result, cases[i].part);
        found(report, "cloud", "failed", "");
        json_decref(report);
    }
    token_endpoint_stop(server);
}

static void a_key_file_that_others_can_read_is_closed_to_them(void **state)
{
    (void)state;
    char lines[512], config[256], key[256];
    token_endpoint *server = token_endpoint_start();
    token_endpoint_write_key(server, scratch_path(&home, "key.json", key, sizeof key));
    spoil("key.json", 0644);
    snprintf(lines, sizeof lines,
             "VOXLOCK_CLOUD_AUTH = key-file\nVOXLOCK_CLOUD_KEY_FILE = %s\nVOXLOCK_CLOUD_AUDIENCE = %s\n", key,
             TOKEN_AUDIENCE);
    write_settings(lines, config);
    const char *url = token_endpoint_url(server);
    json_t *report =
        examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url, "--config", config));
    found(report, "token", "failed", "run voxlock doctor --fix");
    assert_int_equal(scratch_mode(&home, "key.json"), 0644);
    json_decref(report);
    report =
        examine(CLI_FAILED, CLI_ARGS("doctor", NO_MICROPHONE, "--json", "--cloud", url, "--config", config, "--fix"));
    found(report, "token", "ok", "key-file");
    assert_true(is_set(report, "token", "fixed"));
    assert_int_equal(scratch_mode(&home, "key.json"), 0600);
    json_decref(report);
    token_endpoint_stop(server);
}

/* ---- a Mac ------------------------------------------------------------------------------------------------------- */

static void the_list_for_a_mac_is_the_same_for_people_and_programs(void **state)
{
    (void)state;
    cli_result text = cli_run(CLI_ARGS("doctor", "--macos")), json = cli_run(CLI_ARGS("doctor", "--macos", "--json"));
    assert_int_equal(text.status, CLI_OK);
    assert_int_equal(json.status, CLI_OK);
    /* And on paper. */
    vx_buf page = {0};
    assert_int_equal(vx_file_read("docs/macos.md", 1 << 20, &page, NULL), VX_OK);
    assert_non_null(strstr(cli_text(&page), cli_text(&text.out)));
    vx_buf_done(&page);
    json_t *root = json_loads(cli_text(&json.out), 0, NULL);
    const json_t *steps = json_object_get(root, "steps"), *step;
    assert_true(json_array_size(steps) >= 15);
    size_t i;
    const char *at = cli_text(&text.out);
    json_array_foreach(steps, i, step)
    {
        char number[32];
        snprintf(number, sizeof number, "\n%2zu. ", i + 1);
        at = strstr(at, number);
        assert_non_null(at);
        at += strlen(number);
        const char *act = json_string_value(json_object_get(step, "act"));
        assert_int_equal(strncmp(at, act, strlen(act)), 0);
        assert_non_null(strstr(at, json_string_value(json_object_get(step, "expect"))));
    }
    assert_non_null(strstr(at, "To report:"));
    json_decref(root);
    cli_result_done(&text);
    cli_result_done(&json);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_home, remove_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_computer_has_warnings_alone),
        TEST(a_person_gets_one_line_a_check),
        TEST(settings_that_do_not_fit_each_other_are_found),
        TEST(a_damaged_model_is_found),
        TEST(a_store_in_order_is_told_so),
        TEST(files_that_others_can_read_are_closed_to_them),
        TEST(what_a_link_leads_to_is_left_alone),
        TEST(what_somebody_changed_in_the_store_is_found),
        TEST(the_cloud_is_asked),
        TEST(a_clock_that_is_wrong_is_found),
        TEST(a_key_file_that_others_can_read_is_closed_to_them),
        TEST(the_list_for_a_mac_is_the_same_for_people_and_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
