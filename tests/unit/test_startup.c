/* test_startup.c - the start-up state machine: every step, the history it leaves, and who waits for its end. */
#include "cloud/startup.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/clock.h"

#define FOR_EVER UINT64_MAX
#define MS       1000000u

enum { N_STATES = VX_STARTUP_FAILED + 1 };

/* How each state is reached from PENDING, one letter a step. */
static const char *const ways[N_STATES] = {
    [VX_STARTUP_PENDING] = "",   [VX_STARTUP_INITIALIZING] = "I", [VX_STARTUP_RETRYING] = "IT",
    [VX_STARTUP_READY] = "ITIR", [VX_STARTUP_DEGRADED] = "ID",    [VX_STARTUP_FAILED] = "IF",
};

static vx_startup_state state_of(char letter)
{
    static const char letters[] = "PITRDF";
    return (vx_startup_state)(strchr(letters, letter) - letters);
}

static void walk(vx_startup *startup, const char *way)
{
    for (; *way; way++)
        assert_true(vx_startup_move(startup, state_of(*way), "to %c", *way));
}

static void start_at(vx_startup *startup, vx_startup_state state)
{
    assert_int_equal(vx_startup_init(startup), VX_OK);
    walk(startup, ways[state]);
    assert_int_equal(vx_startup_now(startup), state);
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

/* All 36, so that a step added by mistake is noticed as one that is lost. */
static void every_step_is_allowed_or_refused(void **state)
{
    (void)state;
    static const bool legal[N_STATES][N_STATES] = {
        /* to:               P  I  T  R  D  F */
        [VX_STARTUP_PENDING] = {0, 1, 0, 0, 0, 0},  [VX_STARTUP_INITIALIZING] = {0, 0, 1, 1, 1, 1},
        [VX_STARTUP_RETRYING] = {0, 1, 0, 0, 0, 0}, [VX_STARTUP_READY] = {0, 0, 0, 0, 0, 0},
        [VX_STARTUP_DEGRADED] = {0, 0, 0, 0, 0, 0}, [VX_STARTUP_FAILED] = {0, 0, 0, 0, 0, 0},
    };
    for (int from = 0; from < N_STATES; from++) {
        for (int to = 0; to < N_STATES; to++) {
            vx_startup startup;
            vx_startup_event before[VX_STARTUP_EVENTS], after[VX_STARTUP_EVENTS];
            start_at(&startup, (vx_startup_state)from);
            const int n = vx_startup_history(&startup, before);
            const bool moved = vx_startup_move(&startup, (vx_startup_state)to, "next");
            if (moved != legal[from][to])
                fail_msg("%s -> %s: %d", vx_startup_name((vx_startup_state)from), vx_startup_name((vx_startup_state)to),
                         moved);
            assert_int_equal(vx_startup_now(&startup), moved ? to : from);
            assert_int_equal(vx_startup_history(&startup, after), n + moved);
            assert_memory_equal(after, before, (size_t)n * sizeof *before);
            vx_startup_done(&startup);
        }
    }
}

static void names_and_meaning_of_the_states(void **state)
{
    (void)state;
    static const char *const names[N_STATES] = {"PENDING", "INITIALIZING", "RETRYING", "READY", "DEGRADED", "FAILED"};
    for (int i = 0; i < N_STATES; i++) {
        assert_string_equal(vx_startup_name((vx_startup_state)i), names[i]);
        assert_int_equal(vx_startup_serves((vx_startup_state)i), i == VX_STARTUP_READY || i == VX_STARTUP_DEGRADED);
    }
}

/* ---- history --------------------------------------------------------------------------------------------------- */

static void history_tells_what_happened_when_and_why(void **state)
{
    (void)state;
    static const struct {
        vx_startup_state state;
        int attempt;
        const char *reason;
    } expected[] = {
        {VX_STARTUP_PENDING, 0, ""},          {VX_STARTUP_INITIALIZING, 1, "to I"}, {VX_STARTUP_RETRYING, 1, "to T"},
        {VX_STARTUP_INITIALIZING, 2, "to I"}, {VX_STARTUP_READY, 2, "to R"},
    };
    vx_startup startup;
    vx_startup_event events[VX_STARTUP_EVENTS];
    start_at(&startup, VX_STARTUP_READY);
    assert_int_equal(vx_startup_history(&startup, events), 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(events[i].state, expected[i].state);
        assert_int_equal(events[i].attempt, expected[i].attempt);
        assert_string_equal(events[i].reason, expected[i].reason);
        assert_true(i == 0 ? events[i].at_ms == 0 : events[i].at_ms >= events[i - 1].at_ms);
    }
    assert_true(vx_startup_ms(&startup) == events[4].at_ms); /* and stands still from there */
    vx_startup_done(&startup);
}

/* The most attempts that the settings allow make more events than there is room for. How it began and how it went last
 * is kept, and every attempt is still counted. */
static void a_full_history_keeps_its_beginning_and_its_end(void **state)
{
    (void)state;
    enum { ATTEMPTS = 20, KEPT = 4 };
    vx_startup startup;
    vx_startup_event first[VX_STARTUP_EVENTS], events[VX_STARTUP_EVENTS];
    assert_int_equal(vx_startup_init(&startup), VX_OK);
    for (int n = 1; n <= ATTEMPTS; n++) {
        assert_true(vx_startup_move(&startup, VX_STARTUP_INITIALIZING, "begin %d", n));
        assert_true(vx_startup_move(&startup, n < ATTEMPTS ? VX_STARTUP_RETRYING : VX_STARTUP_FAILED, "end %d", n));
        if (n == 3)
            assert_int_equal(vx_startup_history(&startup, first), 7);
    }
    assert_int_equal(vx_startup_history(&startup, events), VX_STARTUP_EVENTS);
    assert_memory_equal(events, first, KEPT * sizeof *events);
    for (int i = KEPT; i < VX_STARTUP_EVENTS; i++) {
        const int back = VX_STARTUP_EVENTS - 1 - i, attempt = ATTEMPTS - back / 2;
        char reason[32];
        snprintf(reason, sizeof reason, "%s %d", back % 2 ? "begin" : "end", attempt);
        assert_string_equal(events[i].reason, reason);
        assert_int_equal(events[i].attempt, attempt);
        assert_true(events[i].at_ms >= events[i - 1].at_ms);
    }
    assert_int_equal(events[VX_STARTUP_EVENTS - 1].state, VX_STARTUP_FAILED);
    vx_startup_done(&startup);
}

static void a_long_reason_is_cut(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vx_startup startup;
    vx_startup_event events[VX_STARTUP_EVENTS];
    assert_int_equal(vx_startup_init(&startup), VX_OK);
    assert_true(vx_startup_move(&startup, VX_STARTUP_INITIALIZING, "%s", text));
    assert_int_equal(vx_startup_history(&startup, events), 2);
    assert_int_equal(strlen(events[1].reason), sizeof events[1].reason - 1);
    vx_startup_done(&startup);
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static void what_ends_a_wait_at_once(void **state)
{
    (void)state;
    static const struct {
        vx_startup_state at;
        vx_err err;
        const char *says;
    } rows[] = {
        {VX_STARTUP_PENDING, VX_ERR_NOT_READY, "still loading"},
        {VX_STARTUP_INITIALIZING, VX_ERR_NOT_READY, "still loading"},
        {VX_STARTUP_RETRYING, VX_ERR_NOT_READY, "still loading"},
        {VX_STARTUP_READY, VX_OK, ""},
        {VX_STARTUP_DEGRADED, VX_OK, ""},
        {VX_STARTUP_FAILED, VX_ERR_NOT_READY, "could not be loaded"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_startup startup;
        vx_errinfo info = {0};
        start_at(&startup, rows[i].at);
        assert_int_equal(vx_startup_wait(&startup, 0, &info), rows[i].err);
        assert_int_equal(info.code, rows[i].err);
        assert_non_null(strstr(info.text, rows[i].says));
        assert_int_equal(vx_startup_wait(&startup, 0, NULL), rows[i].err);
        vx_startup_done(&startup);
    }
}

static void a_deadline_ends_a_wait(void **state)
{
    (void)state;
    vx_startup startup;
    start_at(&startup, VX_STARTUP_INITIALIZING);
    const uint64_t deadline = vx_now_ns() + 20 * MS;
    assert_int_equal(vx_startup_wait(&startup, deadline, NULL), VX_ERR_NOT_READY);
    assert_true(vx_now_ns() >= deadline);
    vx_startup_done(&startup);
}

typedef struct {
    vx_startup *startup;
    vx_err err;
    pthread_t thread;
} waiter;

static void *wait_for_the_end(void *arg)
{
    waiter *w = arg;
    w->err = vx_startup_wait(w->startup, FOR_EVER, NULL);
    return NULL;
}

static void *pause_for_ever(void *arg)
{
    waiter *w = arg;
    w->err = vx_startup_pause(w->startup, UINT32_MAX) ? VX_OK : VX_ERR_CLOSED;
    return NULL;
}

/* way: steps after PENDING that are taken while all wait; "." stops the machine. */
static void everyone_hears_of_the_end(void **state)
{
    (void)state;
    enum { N = 8 };
    static const struct {
        const char *way;
        vx_err err;
    } rows[] = {
        {"IR", VX_OK},          {"ID", VX_OK},        {"ITITIR", VX_OK}, {"ITIF", VX_ERR_NOT_READY},
        {"IT.", VX_ERR_CLOSED}, {".", VX_ERR_CLOSED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_startup startup;
        waiter waiters[N];
        assert_int_equal(vx_startup_init(&startup), VX_OK);
        for (int k = 0; k < N; k++) {
            waiters[k] = (waiter){.startup = &startup, .err = VX_ERR_INTERNAL};
            assert_int_equal(pthread_create(&waiters[k].thread, NULL, wait_for_the_end, &waiters[k]), 0);
        }
        for (const char *step = rows[i].way; *step; step++) {
            if (*step == '.')
                vx_startup_stop(&startup);
            else
                assert_true(vx_startup_move(&startup, state_of(*step), "step"));
        }
        for (int k = 0; k < N; k++) {
            pthread_join(waiters[k].thread, NULL);
            assert_int_equal(waiters[k].err, rows[i].err);
        }
        vx_startup_done(&startup);
    }
}

/* Also for those who come later, and though the model may be there: the program ends. */
static void after_a_stop_nobody_waits(void **state)
{
    (void)state;
    for (int at = 0; at < N_STATES; at++) {
        vx_startup startup;
        start_at(&startup, (vx_startup_state)at);
        vx_startup_stop(&startup);
        assert_int_equal(vx_startup_wait(&startup, FOR_EVER, NULL), VX_ERR_CLOSED);
        assert_false(vx_startup_pause(&startup, UINT32_MAX));
        assert_int_equal(vx_startup_now(&startup), at);
        vx_startup_done(&startup);
    }
}

static void a_pause_lasts_its_time_or_until_the_end(void **state)
{
    (void)state;
    vx_startup startup;
    start_at(&startup, VX_STARTUP_RETRYING);
    const uint64_t start = vx_now_ns();
    assert_true(vx_startup_pause(&startup, 20));
    assert_true(vx_now_ns() - start >= 20 * MS);
    waiter w = {.startup = &startup, .err = VX_ERR_INTERNAL};
    assert_int_equal(pthread_create(&w.thread, NULL, pause_for_ever, &w), 0);
    /* Steps wake the thread, and are no reason to end the pause. */
    for (int i = 0; i < 20; i++) {
        walk(&startup, i % 2 ? "T" : "I");
        poll(NULL, 0, 1);
    }
    vx_startup_stop(&startup);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.err, VX_ERR_CLOSED);
    vx_startup_done(&startup);
}

static void time_runs_until_start_up_is_over(void **state)
{
    (void)state;
    vx_startup startup;
    start_at(&startup, VX_STARTUP_INITIALIZING);
    const double before = vx_startup_ms(&startup);
    assert_true(vx_startup_pause(&startup, 2));
    const double later = vx_startup_ms(&startup);
    assert_true(later >= before + 2);
    walk(&startup, "F");
    const double end = vx_startup_ms(&startup);
    assert_true(end >= later);
    assert_true(vx_startup_pause(&startup, 2));
    assert_true(vx_startup_ms(&startup) == end);
    vx_startup_done(&startup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_is_allowed_or_refused),
        cmocka_unit_test(names_and_meaning_of_the_states),
        cmocka_unit_test(history_tells_what_happened_when_and_why),
        cmocka_unit_test(a_full_history_keeps_its_beginning_and_its_end),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(what_ends_a_wait_at_once),
        cmocka_unit_test(a_deadline_ends_a_wait),
        cmocka_unit_test(everyone_hears_of_the_end),
        cmocka_unit_test(after_a_stop_nobody_waits),
        cmocka_unit_test(a_pause_lasts_its_time_or_until_the_end),
        cmocka_unit_test(time_runs_until_start_up_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
