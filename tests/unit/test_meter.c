/* test_meter.c - the picture of a level, and when it is drawn: on a terminal, and where there is none. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/meter.h"

static size_t count(const char *text, char wanted)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == wanted;
    return n;
}

static void the_bar_is_as_long_as_the_sound_is_loud(void **state)
{
    (void)state;
    static const struct {
        double dbfs;
        bool speech;
        size_t full;
        const char *part;
    } cases[] = {
        {-120, false, 0, "-120 dBFS"},      {-60, false, 0, " -60 dBFS"},
        {-58, false, 1, " -58 dBFS"},       {-42, true, 9, " -42 dBFS  speech"},
        {-30, true, 15, "speech"},          {-6, true, 27, "speech"}, /* exactly at the bound: not yet */
        {-5.9, true, 27, "too loud"},       {0, false, 30, "   0 dBFS  too loud"},
        {12, true, 30, "too loud"},         {1e300, true, 30, "99 dBFS"}, /* no line is ever longer than a terminal */
        {-HUGE_VAL, false, 0, "-120 dBFS"}, {NAN, false, 0, "-120 dBFS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[VX_METER_CAP];
        const vx_vad_frame frame = {.level_dbfs = cases[i].dbfs, .speech = cases[i].speech};
        vx_meter_picture(&frame, line);
        if (count(line, '#') != cases[i].full || count(line, '#') + count(line, '.') != VX_METER_CELLS ||
            !strstr(line, cases[i].part) || strlen(line) > 60)
            fail_msg("case %zu: '%s'", i, line);
    }
}

/* What n frames write, the e-th of them (from 0) with START; -1: none. A terminal is a pseudo-terminal, elsewhere a pipe. */
static size_t written(bool terminal, int n, int e, bool clear, char *ret, size_t cap)
{
    int ends[2] = {-1, -1};
    if (terminal) {
        ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
        assert_true(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
        ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
    } else {
        assert_int_equal(pipe(ends), 0);
    }
    assert_true(ends[1] >= 0);
    vx_meter meter = vx_meter_on(ends[1]);
    assert_int_equal(meter.terminal, terminal);
    vx_meter_frame(&meter, NULL);
    for (int i = 0; i < n; i++) {
        const vx_vad_frame frame = {.level_dbfs = -30, .event = i == e ? VX_VAD_START : VX_VAD_SILENCE};
        vx_meter_frame(&meter, &frame);
    }
    if (clear) {
        vx_meter_clear(&meter);
        vx_meter_clear(&meter);
    }
    assert_true(write(ends[1], "|", 1) == 1);
    size_t len = 0;
    while (len < cap - 1 && !(len > 0 && ret[len - 1] == '|')) {
        const ssize_t got = read(ends[0], ret + len, cap - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
    }
    ret[len - 1] = '\0';
    close(ends[0]);
    close(ends[1]);
    return len - 1;
}

static void a_terminal_gets_ten_pictures_a_second_on_one_line(void **state)
{
    (void)state;
    char text[4096];
    (void)written(true, 100, 50, false, text, sizeof text);
    assert_int_equal(count(text, '\r'), 10);
    assert_int_equal(count(text, '\n'), 0);
    (void)written(true, 1, -1, true, text, sizeof text);
    assert_int_equal(count(text, '\r'), 2);
    assert_string_equal(text + strlen(text) - 4, "\r\033[K"); /* cleared, and once */
    assert_int_equal(written(true, 0, -1, true, text, sizeof text), 0);
}

static void elsewhere_one_line_says_that_speech_began(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(written(false, 100, -1, true, text, sizeof text), 0);
    (void)written(false, 100, 50, true, text, sizeof text);
    assert_string_equal(text, "      hearing you\n");
}

static void after_clearing_the_next_utterance_is_told_anew(void **state)
{
    (void)state;
    char text[256];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    vx_meter meter = vx_meter_on(ends[1]);
    const vx_vad_frame start = {.level_dbfs = -30, .event = VX_VAD_START};
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            vx_meter_clear(&meter);
        vx_meter_frame(&meter, &start);
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], text, sizeof text - 1);
    assert_true(got > 0);
    text[got] = '\0';
    assert_int_equal(count(text, '\n'), 2);
    close(ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bar_is_as_long_as_the_sound_is_loud),
        cmocka_unit_test(a_terminal_gets_ten_pictures_a_second_on_one_line),
        cmocka_unit_test(elsewhere_one_line_says_that_speech_began),
        cmocka_unit_test(after_clearing_the_next_utterance_is_told_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
