/* test_identity_command.c - programs that print a token, and programs that do anything else. */
#include <fcntl.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/route/identity_private.h"
#include "shared/base/clock.h"
#include "tests/support/service.h"
#include "tests/support/token_endpoint.h"

typedef struct {
    char folder[64], script[96], note[96];
} stage;

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

/* Puts a script where st->script says; NOTE in it is st->note. */
static void write_script(const stage *st, const char *lines)
{
    FILE *file = fopen(st->script, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\nNOTE=%s\n%s\n", st->note, lines) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(st->script, 0700), 0);
}

static void expect_failure(const char *command, uint64_t timeout_ms, vx_err code, const char *part)
{
    vx_buf token = {0};
    vx_errinfo info = {0};
    const vx_err err = vx_identity_run(command, in_ms(timeout_ms), &token, &info);
    if (err != code || info.code != code || !strstr(info.text, part))
        fail_msg("'%s': %s, '%s', where '%s' was expected", command, vx_err_code(err), info.text, part);
    assert_null(strstr(info.text, "eyJ"));
    assert_int_equal(token.len, 0);
    vx_buf_done(&token);
}

static void expect_token(const char *command, const char *expected)
{
    vx_buf token = {0};
    vx_errinfo info = {0};
    if (vx_identity_run(command, in_ms(PATIENCE_MS), &token, &info) != VX_OK)
        fail_msg("'%s': %s", command, info.text);
    assert_int_equal(token.len, strlen(expected));
    assert_memory_equal(token.data, expected, token.len);
    vx_buf_wipe_done(&token);
}

static void the_word_that_it_prints_is_the_token(void **state)
{
    const stage *st = *state;
    expect_token("echo a.b-c_d", "a.b-c_d");
    expect_token("  echo\t token  ", "token");
    expect_token("printf token", "token");
    write_script(st, "echo to talk about it >&2; printf '\\n  token \\r\\n'");
    expect_token(st->script, "token");
    write_script(st, "printf '%s-%s-%s' \"$#\" \"$1\" \"$2\"");
    vx_buf command = {0};
    assert_int_equal(vx_buf_printf(&command, "%s $HOME ;false", st->script), VX_OK);
    expect_failure((const char *)command.data, PATIENCE_MS, VX_ERR_TOKEN, "printed no token"); /* no shell: "$", ";" */
    vx_buf_done(&command);
}

static void what_is_wrong_with_it_is_told(void **state)
{
    const stage *st = *state;
    static const struct {
        const char *lines, *part;
    } cases[] = {
        {"echo 'ERROR: (gcloud) no account' >&2; echo next >&2; exit 3",
         "ended with status 3: ERROR: (gcloud) no account"},
        {"echo token; exit 1", "ended with status 1"},
        {"echo 'token eyJhbGciOiJSUzI1NiJ9.e30.c2ln' >&2; exit 1", "ended with status 1"},
        {"kill -TERM $$", "ended with status 143"},
        {"exit 0", "printed no token"},
        {"cat", "printed no token"}, /* standard input is empty, not the terminal */
        {"echo two words", "printed no token"},
        {"echo '<html>'", "printed no token"},
        {"exec tr '\\0' a </dev/zero", "printed more than a token"},
        {"head -c 9000 /dev/zero | tr '\\0' a", "printed no token"},
        {"head -c 200000 /dev/zero | tr '\\0' a >&2; exit 7", "ended with status 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_script(st, cases[i].lines);
        expect_failure(st->script, PATIENCE_MS, VX_ERR_TOKEN, cases[i].part);
    }
    expect_failure("/nonexistent/gcloud auth", PATIENCE_MS, VX_ERR_TOKEN, "no such program");
    expect_failure("/tmp", PATIENCE_MS, VX_ERR_TOKEN, "refuses to run it");
    expect_failure(" \t ", PATIENCE_MS, VX_ERR_TOKEN, "empty");
    expect_failure("a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a a", PATIENCE_MS, VX_ERR_TOKEN,
                   "more than 32 words");
}

/* True when every process that had the pipe open for writing is gone. */
static bool all_gone(int reader)
{
    struct pollfd fd = {.fd = reader, .events = POLLIN};
    return poll(&fd, 1, PATIENCE_MS) > 0 && (fd.revents & POLLHUP);
}

static void at_the_deadline_it_dies_with_all_that_it_started(void **state)
{
    const stage *st = *state;
    static const char *const scripts[] = {
        "exec 3>$NOTE; sleep 600 & echo started >&3; sleep 600",
        "trap '' TERM INT HUP; exec 3>$NOTE; echo started >&3; while :; do sleep 1; done",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char said[16];
        bool started = false;
        assert_int_equal(mkfifo(st->note, 0600), 0);
        const int reader = open(st->note, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(reader >= 0);
        write_script(st, scripts[i]);
        /* A busy machine may take longer to start it. */
        for (uint64_t timeout_ms = 200; !started && timeout_ms < PATIENCE_MS; timeout_ms *= 2) {
            expect_failure(st->script, timeout_ms, VX_ERR_DEADLINE, "printed no token in time");
            started = read(reader, said, sizeof said) > 0;
        }
        assert_true(started);
        assert_true(all_gone(reader));
        close(reader);
        unlink(st->note);
    }
    expect_failure("sleep 600", 0, VX_ERR_DEADLINE, "in time");
}

/* The program has ended; what it left in the background holds on to its standard output. */
static void what_it_left_behind_is_not_waited_for(void **state)
{
    const stage *st = *state;
    write_script(st, "sleep 600 & echo token");
    expect_token(st->script, "token");
}

/* Threads of a pool block every signal, and a program that inherits that cannot be ended by anybody. */
static void it_gets_the_signals_of_a_login(void **state)
{
    const stage *st = *state;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    write_script(st, "kill -TERM $$; echo token");
    expect_failure(st->script, PATIENCE_MS, VX_ERR_TOKEN, "status 143");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* How often the script has run. */
static long runs(const stage *st)
{
    struct stat s;
    return stat(st->note, &s) == 0 ? (long)s.st_size : 0;
}

/* Programs keep tokens themselves, and no server's clock comes with them. */
static void a_token_with_an_expiry_is_kept(void **state)
{
    const stage *st = *state;
    static const struct {
        int64_t left_s;
        long runs; /* for two requests */
    } cases[] = {{3600, 1}, {400, 1}, {200, 2}, {-100, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vx_buf script = {0}, claims = {0}, coded = {0}, header = {0};
        assert_int_equal(vx_buf_printf(&claims, "{\"exp\":%lld}", (long long)time(NULL) + (long long)cases[i].left_s),
                         VX_OK);
        assert_int_equal(vx_base64url_encode(claims.data, claims.len, &coded), VX_OK);
        assert_int_equal(
            vx_buf_printf(&script, "printf x >>$NOTE; echo eyJ.%.*s.c2ln", (int)coded.len, (const char *)coded.data),
            VX_OK);
        write_script(st, (const char *)script.data);
        vx_identity *id = NULL;
        const vx_identity_options options = {.kind = VX_IDENTITY_COMMAND, .command = st->script};
        assert_int_equal(vx_identity_create(&options, &id, NULL), VX_OK);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(vx_identity_header(id, false, in_ms(PATIENCE_MS), &header, NULL), VX_OK);
            assert_int_equal(strncmp((const char *)header.data, "Bearer eyJ.", 11), 0);
        }
        assert_int_equal(runs(st), cases[i].runs);
        vx_identity_destroy(id);
        unlink(st->note);
        vx_buf_done(&script);
        vx_buf_done(&claims);
        vx_buf_done(&coded);
        vx_buf_wipe_done(&header);
    }
}

static int set_up(void **state)
{
    static stage st;
    st = (stage){.folder = "/tmp/voxlock-command-XXXXXX"};
    assert_non_null(mkdtemp(st.folder));
    snprintf(st.script, sizeof st.script, "%s/token.sh", st.folder);
    snprintf(st.note, sizeof st.note, "%s/note", st.folder);
    *state = &st;
    return 0;
}

static int tear_down(void **state)
{
    const stage *st = *state;
    unlink(st->script);
    unlink(st->note);
    rmdir(st->folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_word_that_it_prints_is_the_token),
        cmocka_unit_test(what_is_wrong_with_it_is_told),
        cmocka_unit_test(at_the_deadline_it_dies_with_all_that_it_started),
        cmocka_unit_test(what_it_left_behind_is_not_waited_for),
        cmocka_unit_test(it_gets_the_signals_of_a_login),
        cmocka_unit_test(a_token_with_an_expiry_is_kept),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
