/* test_guide.c - one utterance for a command: from which source, what is heard, and what ends it. A recording stands in for
 * the microphone; tests/e2e/test_live_enroll.sh has a real one.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "edge/guide.h"
#include "shared/audio/audio.h"
#include "tests/support/alloc_fail.h"

#define RECORDING "tests/data/audio/reader1_d.flac"
enum { FIRST = 2 }; /* where the flags stand in this test's command */

static vx_options *options;

static int load_options(void **state)
{
    (void)state;
    char *none[] = {NULL};
    const char *operands[1];
    int n_operands = 0;
    return vx_options_load(VX_FOR_EDGE, none, 0, NULL, NULL, operands, &n_operands, &options, NULL) == VX_OK ? 0 : -1;
}

static int drop_options(void **state)
{
    (void)state;
    vx_options_destroy(options);
    return 0;
}

static vx_cmd_call call_of(const char *source, const char *device, const char *path)
{
    static char *const environment[] = {NULL};
    vx_cmd_call call = {.options = options, .environment = environment};
    call.values[FIRST + VX_GUIDE_SOURCE] = source;
    call.values[FIRST + VX_GUIDE_DEVICE] = device;
    call.values[FIRST + VX_GUIDE_FILE] = path;
    return call;
}

static void flags_choose_one_source(void **state)
{
    (void)state;
    static const struct {
        const char *source, *device, *path;
        vx_err err;
        const char *part;
    } cases[] = {
        {"pulse", NULL, RECORDING, VX_ERR_OPTION_VALUE, "leave --source out"},
        {NULL, "Built-in", RECORDING, VX_ERR_OPTION_VALUE, "leave --device out"},
        {"file", NULL, NULL, VX_ERR_OPTION_VALUE, "--file PATH"},
        {"nonsense", NULL, NULL, VX_ERR_OPTION_VALUE, "nonsense"},
        {NULL, NULL, "gone.wav", VX_ERR_NOT_FOUND, ""},
        {NULL, NULL, "tests/data/audio/README.md", VX_ERR_AUDIO_FORMAT, ""},
        {NULL, NULL, RECORDING, VX_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const vx_cmd_call call = call_of(cases[i].source, cases[i].device, cases[i].path);
        vx_guide guide;
        vx_errinfo info = {0};
        const vx_err err = vx_guide_open(&call, FIRST, 0, &guide, &info);
        if (err != cases[i].err || !strstr(info.text, cases[i].part))
            fail_msg("case %zu: %s: '%s'", i, vx_err_code(err), info.text);
        if (err == VX_OK)
            vx_guide_close(&guide);
    }
}

static void an_utterance_is_heard_and_then_the_end(void **state)
{
    (void)state;
    const vx_cmd_call call = call_of(NULL, NULL, RECORDING);
    vx_guide guide;
    vx_heard heard = {0}, more = {0};
    char microphone[VX_MICROPHONE_CAP] = "untouched";
    vx_errinfo info = {0};
    assert_int_equal(vx_guide_open(&call, FIRST, 900, &guide, NULL), VX_OK);
    assert_true(guide.a_file && !guide.aloud && guide.sign == -1);
    vx_guide_prompt(&guide, "", "Speak now."); /* nothing of a recording is skipped for it */
    assert_int_equal(vx_guide_hear(&guide, &heard, microphone, &info), VX_OK);
    assert_true(heard.end - heard.begin > VX_AUDIO_RATE);
    assert_string_equal(microphone, ""); /* a file is no microphone that a profile could have a variant of */
    assert_false(heard.playback);
    vx_heard_done(&heard);
    vx_err err = VX_OK;
    for (int i = 0; i < 5 && err == VX_OK; i++) {
        vx_heard_done(&more);
        err = vx_guide_hear(&guide, &more, microphone, &info);
    }
    assert_int_equal(err, VX_ERR_CLOSED);
    vx_heard_done(&more);
    vx_guide_close(&guide);
}

static vx_err open_and_close(void *ctx)
{
    vx_guide guide;
    const vx_err err = vx_guide_open(ctx, FIRST, 0, &guide, NULL);
    if (err == VX_OK)
        vx_guide_close(&guide);
    return err;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    vx_cmd_call call = call_of(NULL, NULL, RECORDING);
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(open_and_close, &call);
}

/* The last: who has had enough has had it for the rest of the program. */
static void a_signal_ends_the_listening(void **state)
{
    (void)state;
    const vx_cmd_call call = call_of(NULL, NULL, RECORDING);
    vx_guide guide;
    vx_heard heard = {0};
    char microphone[VX_MICROPHONE_CAP];
    struct sigaction now;
    assert_int_equal(vx_guide_open(&call, FIRST, 0, &guide, NULL), VX_OK);
    assert_false(vx_guide_interrupted());
    assert_int_equal(raise(SIGINT), 0);
    assert_true(vx_guide_interrupted());
    vx_errinfo info = {0};
    assert_int_equal(vx_guide_hear(&guide, &heard, microphone, &info), VX_ERR_CLOSED);
    assert_null(heard.samples);
    /* A second one does what it does everywhere. */
    assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    vx_guide_close(&guide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_choose_one_source),
        cmocka_unit_test(an_utterance_is_heard_and_then_the_end),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_signal_ends_the_listening),
    };
    return cmocka_run_group_tests(tests, load_options, drop_options);
}
