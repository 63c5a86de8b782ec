/* test_listen_cli.c - voxlock listen on recordings: its events, its lines, its exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/cli.h"
#include "tests/support/clip.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CLIP         "tests/data/audio/reader1_a.flac"
enum { MAX_EVENTS = 16 };

/* The lines as JSON; their number. */
static size_t events_of(const cli_result *r, json_t *ret_events[MAX_EVENTS])
{
    size_t n = 0;
    for (const char *line = cli_text(&r->out); *line != '\0' && n < MAX_EVENTS; n++) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        ret_events[n] = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(ret_events[n]);
        line = end + 1;
    }
    return n;
}

static const char *name_of(const json_t *event)
{
    return json_string_value(json_object_get(event, "event"));
}

static double number_of(const json_t *event, const char *key)
{
    return json_number_value(json_object_get(event, key));
}

static void a_recording_gives_its_events(void **state)
{
    (void)state;
    static const char *const names[] = {"open", "start", "end", "closed"};
    json_t *events[MAX_EVENTS];
    cli_result r = cli_run(CLI_ARGS("listen", "--json", "--file", CLIP));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.err.len, 0);
    const size_t n = events_of(&r, events);
    assert_int_equal(n, COUNT(names));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(name_of(events[i]), names[i]);
    assert_int_equal((int)number_of(events[0], "sample_rate"), 16000);
    assert_true(number_of(events[1], "begin_s") == number_of(events[2], "begin_s"));
    assert_true(number_of(events[2], "end_s") <= number_of(events[3], "seconds"));
    assert_true(number_of(events[2], "level_dbfs") > number_of(events[2], "noise_dbfs") + 20);
    assert_int_equal((int)number_of(events[3], "utterances"), 1);
    for (size_t i = 0; i < n; i++)
        json_decref(events[i]);
    cli_result_done(&r);
}

static void people_get_a_line(void **state)
{
    (void)state;
    cli_result r = cli_run(CLI_ARGS("listen", "--file", CLIP));
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(cli_count_lines(&r.out), 1);
    assert_non_null(strstr(cli_text(&r.out), "of speech at -"));
    /* No meter where nobody looks. */
    assert_null(strchr(cli_text(&r.err), '\r'));
    assert_non_null(strstr(cli_text(&r.err), "16000 Hz"));
    cli_result_done(&r);
}

static void standard_input_and_its_end(void **state)
{
    (void)state;
    json_t *events[MAX_EVENTS];
    cli_result r = cli_run_with(CLI_ARGS("listen", "--json", "--file", "-", "--seconds", "1.5"), NULL,
                                "tests/data/audio/reader1_a_44k_stereo.wav", NULL);
    assert_int_equal(r.status, CLI_OK);
    const size_t n = events_of(&r, events);
    assert_true(n >= 2);
    assert_int_equal((int)number_of(events[0], "sample_rate"), 44100);
    assert_int_equal((int)number_of(events[0], "channels"), 2);
    assert_string_equal(name_of(events[n - 1]), "closed");
    assert_true(number_of(events[n - 1], "seconds") >= 1.5 && number_of(events[n - 1], "seconds") < 1.52);
    for (size_t i = 0; i < n; i++)
        json_decref(events[i]);
    cli_result_done(&r);
}

static void zeros_are_told(void **state)
{
    (void)state;
    scratch home = scratch_make();
    char path[100];
    static const char zeros[100000];
    scratch_write(&home, "zeros.raw", zeros, sizeof zeros);
    cli_result r = cli_run_with(CLI_ARGS("listen", "--file", "-"), NULL,
                                scratch_path(&home, "zeros.raw", path, sizeof path), NULL);
    assert_int_equal(r.status, CLI_OK);
    assert_int_equal(r.out.len, 0);
    assert_non_null(strstr(cli_text(&r.err), "nothing but zeros"));
    cli_result_done(&r);
    scratch_done(&home);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *args[8];
        int status;
        const char *word;
    } cases[] = {
        {{"listen", "--file", "none.wav"}, CLI_BAD_FILE, "none.wav"},
        {{"listen", "--file", "tests/data/audio/README.md"}, CLI_BAD_AUDIO, "README.md"},
        {{"listen", "--file", CLIP, "--seconds", "0"}, CLI_USAGE, "--seconds"},
        {{"listen", "--file", CLIP, "--seconds", "1e99"}, CLI_USAGE, "--seconds"},
        {{"listen", "--file", CLIP, "--seconds", "x"}, CLI_USAGE, "--seconds"},
        {{"listen", "--file", CLIP, "--source", "pulse"}, CLI_USAGE, "--file"},
        {{"listen", "--source", "jack"}, CLI_USAGE, "'jack'"},
        {{"listen", "--source", "file"}, CLI_USAGE, "file"},
        {{"listen", "operand"}, CLI_USAGE, "usage"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        cli_result r = cli_run(cases[i].args);
        assert_int_equal(r.status, cases[i].status);
        assert_non_null(strstr(cli_text(&r.err), cases[i].word));
        assert_int_equal(r.out.len, 0);
        cli_result_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recording_gives_its_events), cmocka_unit_test(people_get_a_line),
        cmocka_unit_test(standard_input_and_its_end),   cmocka_unit_test(zeros_are_told),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
