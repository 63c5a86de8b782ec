/* test_speak.c - what is said aloud, by which program, and its end, by programs of our own that write down what they get. */
#include "edge/challenge/speak.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { N_NAMES = 3, LONG_MS = 10000 };

/* ---- programs ------------------------------------------------------------------------------------------------------- */

typedef struct {
    scratch folder;
    char paths[N_NAMES][128];
    vx_speak_program programs[N_NAMES];
    size_t n;
} stage;

static int stage_open(void **state)
{
    stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->folder = scratch_make();
    *state = s;
    return 0;
}

static int stage_close(void **state)
{
    stage *s = *state;
    scratch_done(&s->folder);
    free(s);
    return 0;
}

/* A script that runs in the folder. NULL: a program that is not there. */
static void add_program(stage *s, const char *body)
{
    char name[16], text[512];
    snprintf(name, sizeof name, "speaker%zu", s->n);
    scratch_path(&s->folder, name, s->paths[s->n], sizeof s->paths[s->n]);
    if (body) {
        snprintf(text, sizeof text, "#!/bin/sh\ncd '%s' || exit 1\n%s\n", s->folder.path, body);
        scratch_write(&s->folder, name, text, strlen(text));
        assert_int_equal(chmod(s->paths[s->n], 0700), 0);
    }
    s->programs[s->n] = (vx_speak_program){{s->paths[s->n], "--first", "--"}};
    s->n++;
}

static vx_err speak(stage *s, const char *text, int most_ms, vx_speak_fn *meanwhile, void *arg, vx_errinfo *info)
{
    return vx_speak_by(s->programs, s->n, text, most_ms, meanwhile, arg, info);
}

static void assert_file(const stage *s, const char *name, const char *content)
{
    vx_buf file = scratch_read(&s->folder, name);
    assert_int_equal(vx_buf_append(&file, "", 1), VX_OK);
    assert_string_equal((const char *)file.data, content);
    vx_buf_done(&file);
}

/* Whether somebody still writes into a file. */
static bool grows(const stage *s, const char *name)
{
    vx_buf before = scratch_read(&s->folder, name);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    vx_buf after = scratch_read(&s->folder, name);
    const bool grown = after.len > before.len;
    vx_buf_done(&before);
    vx_buf_done(&after);
    return grown;
}

#define BEAT       "while :; do echo >>beat; sleep 0.05; done"
#define WRITE_ARGS "for a; do printf '[%s]' \"$a\"; done >args\n"

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void text_is_made_harmless(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"Please say: four, seven.", "Please say: four, seven."},
        {"4 7 1 9 0", "4 7 1 9 0"},
        {"It's you - isn't it?", "It's you - isn't it?"},
        {"--help", "help"},
        {"-", ""},
        {" \t- -x", "x"},
        {"", ""},
        {"...", ""},
        {"a\nb\r\x1b[31mc\x7f", "a b   31mc "},
        {"$(touch x) `id` ; rm * | & > <", "touch x   id  ; rm          "},
        {"[[slnc 500]] <speak/> \\", "slnc 500    speak    "},
        {"\"quoted\" 'q'", "quoted  'q'"},
        {"Zo\xc3\xab says hi", "Zo   says hi"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char said[VX_SPEAK_CAP];
        vx_speak_clean(cases[i].text, said);
        assert_string_equal(said, cases[i].said);
    }
    char text[2 * VX_SPEAK_CAP], said[VX_SPEAK_CAP];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vx_speak_clean(text, said);
    assert_int_equal(strlen(said), VX_SPEAK_CAP - 1);
    for (int c = 1; c < 256; c++) { /* whatever comes first */
        const char bytes[] = {(char)c, '-', 'a', '\0'};
        vx_speak_clean(bytes, said);
        assert_true((said[0] >= '0' && said[0] <= '9') || (said[0] >= 'A' && said[0] <= 'Z') ||
                    (said[0] >= 'a' && said[0] <= 'z'));
    }
}

static void one_argument_holds_it(void **state)
{
    stage *s = *state;
    add_program(s, WRITE_ARGS);
    assert_int_equal(speak(s, "--rate Please say: four, seven. $HOME", LONG_MS, NULL, NULL, NULL), VX_OK);
    assert_file(s, "args", "[--first][--][rate Please say: four, seven.  HOME]");
}

static void it_returns_when_it_was_said(void **state)
{
    stage *s = *state;
    add_program(s, "sleep 0.2; " WRITE_ARGS);
    assert_int_equal(speak(s, "slow", LONG_MS, NULL, NULL, NULL), VX_OK);
    assert_true(scratch_has(&s->folder, "args"));
}

static void the_first_that_works_speaks(void **state)
{
    stage *s = *state;
    add_program(s, NULL);
    add_program(s, "exit 1");
    add_program(s, WRITE_ARGS);
    assert_int_equal(speak(s, "hello", LONG_MS, NULL, NULL, NULL), VX_OK);
    assert_file(s, "args", "[--first][--][hello]");
    scratch_write(&s->folder, "args", "", 0);
    s->n = 2;
    vx_errinfo info = {0};
    assert_int_equal(speak(s, "hello", LONG_MS, NULL, NULL, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "espeak-ng"));
    assert_file(s, "args", "");
    s->n = 0;
    assert_int_equal(speak(s, "hello", LONG_MS, NULL, NULL, NULL), VX_ERR_NOT_FOUND);
}

static void nothing_to_say_starts_nothing(void **state)
{
    stage *s = *state;
    add_program(s, WRITE_ARGS);
    assert_int_equal(speak(s, " -- \n", LONG_MS, NULL, NULL, NULL), VX_ERR_RANGE);
    assert_false(scratch_has(&s->folder, "args"));
}

/* Says no when asked for the n-th time. */
static bool so_often(void *arg)
{
    int *left = arg;
    return (*left)-- > 0;
}

static void who_waits_no_more_ends_it(void **state)
{
    stage *s = *state;
    int left = 0;
    add_program(s, "(" BEAT ") & wait"); /* with a child, which must end too */
    assert_int_equal(speak(s, "hello", LONG_MS, so_often, &left, NULL), VX_ERR_CLOSED);
    assert_false(scratch_has(&s->folder, "beat")); /* not even begun */
    left = 20;
    const uint64_t begun_ns = vx_now_ns();
    vx_errinfo info = {0};
    assert_int_equal(speak(s, "hello", LONG_MS, so_often, &left, &info), VX_ERR_CLOSED);
    assert_int_equal(info.code, VX_ERR_CLOSED);
    assert_true(vx_ms_since(begun_ns) < LONG_MS / 2);
    assert_true(scratch_has(&s->folder, "beat"));
    assert_false(grows(s, "beat"));
}

static void its_time_is_bounded(void **state)
{
    stage *s = *state;
    add_program(s, "trap '' TERM INT HUP; " BEAT);
    add_program(s, WRITE_ARGS); /* what hangs is not said again by another */
    assert_int_equal(speak(s, "hello", 500, NULL, NULL, NULL), VX_ERR_DEADLINE);
    assert_false(grows(s, "beat"));
    assert_false(scratch_has(&s->folder, "args"));
}

/* The agent blocks signals in all its threads; a synthesiser must not inherit that. */
static void it_has_signals_as_usual(void **state)
{
    stage *s = *state;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    add_program(s, "kill -TERM $$; echo survived >survived");
    assert_int_equal(speak(s, "hello", LONG_MS, NULL, NULL, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    assert_false(scratch_has(&s->folder, "survived"));
}

int main(void)
{
#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, stage_open, stage_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_made_harmless), ON_STAGE(one_argument_holds_it),
        ON_STAGE(it_returns_when_it_was_said),   ON_STAGE(the_first_that_works_speaks),
        ON_STAGE(nothing_to_say_starts_nothing), ON_STAGE(who_waits_no_more_ends_it),
        ON_STAGE(its_time_is_bounded),           ON_STAGE(it_has_signals_as_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
