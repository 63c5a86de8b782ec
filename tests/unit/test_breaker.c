/* test_breaker.c - every transition of the circuit breaker, by a clock that the test turns. */
#include "shared/resilience/breaker.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "shared/base/team.h"
#include "tests/support/alloc_fail.h"

enum { FAILURES = 3, OPEN_NS = 100 };

static uint64_t read_turned(void *ctx)
{
    return atomic_load((atomic_uint_fast64_t *)ctx);
}

static vx_breaker *new_breaker(atomic_uint_fast64_t *now_ns)
{
    vx_breaker *breaker = NULL;
    vx_clock clock = {.now_ns = read_turned, .ctx = now_ns};
    assert_int_equal(vx_breaker_create(FAILURES, OPEN_NS, clock, &breaker), VX_OK);
    return breaker;
}

/* ---- scripts ----------------------------------------------------------------------------------------------------- */

/* A script is words:
 *   aN       leave is given, and the ticket kept as number N      rN   refused, to come back in N ns
 *   sN fN nN ticket N is reported: succeeded, failed, neutral     s f n  the same for an attempt made just now
 *   +N       N ns pass         =C =O =H  the state         xN  failures in a row         oN  times it has opened */
typedef struct {
    vx_breaker *breaker;
    atomic_uint_fast64_t now_ns;
    uint64_t tickets[10];
} stage;

static vx_attempt attempt_of(char word)
{
    return word == 's' ? VX_ATTEMPT_SUCCEEDED : word == 'f' ? VX_ATTEMPT_FAILED : VX_ATTEMPT_NEUTRAL;
}

static void expect_refusal(stage *st, const vx_breaker_view *view, uint64_t retry_ns)
{
    uint64_t ticket = 77, retry = 0;
    assert_false(vx_breaker_allow(st->breaker, &ticket, &retry));
    assert_int_equal(retry, retry_ns);
    assert_int_equal(ticket, 77);
    assert_int_equal(view->retry_ns, view->state == VX_BREAKER_OPEN ? retry_ns : 0);
}

static void play_word(stage *st, const char *word)
{
    const uint64_t n = strtoull(word + 1, NULL, 10);
    uint64_t ticket = 0, retry = 77;
    vx_breaker_view view;
    if (strchr("r=xo", word[0]) != NULL) /* the rest must not depend on somebody looking */
        vx_breaker_get(st->breaker, &view);
    switch (word[0]) {
    case '+': atomic_fetch_add(&st->now_ns, n); break;
    case 'r': expect_refusal(st, &view, n); break;
    case 'a':
        assert_true(vx_breaker_allow(st->breaker, &st->tickets[n], &retry));
        assert_int_equal(retry, 77);
        break;
    case 's':
    case 'f':
    case 'n':
        ticket = st->tickets[n];
        if (word[1] == '\0')
            assert_true(vx_breaker_allow(st->breaker, &ticket, &retry));
        vx_breaker_report(st->breaker, ticket, attempt_of(word[0]));
        break;
    case '=': assert_int_equal(vx_breaker_name(view.state)[0], word[1]); break;
    case 'x': assert_int_equal(view.failures_in_row, n); break;
    case 'o': assert_int_equal(view.opened_count, n); break;
    default: fail_msg("no such word: %s", word);
    }
}

static void transitions(void **state)
{
    (void)state;
    static const struct {
        const char *what, *script;
    } cases[] = {
        {"starts closed", "=C x0 o0 s =C"},
        {"one failure too few", "f f =C x2 o0"},
        {"opens at the third in a row", "f f f =O x3 o1 r100"},
        {"a success breaks the row", "f f s x0 f f =C x2 f =O"},
        {"neutral neither breaks nor counts", "f n f n x2 =C n n f =O x3"},
        {"order of reports counts, not of leave", "a0 a1 a2 a3 f0 f1 s2 f3 =C x1"},
        {"refuses until the very end", "f f f +40 r60 =O +59 r1 =O +1 =H"},
        {"half-open without anyone looking", "f f f +100 a0 =H"},
        {"half-open long after", "f f f +1000000 =H a0 s0 =C"},
        {"one probe only", "f f f +100 a0 r100 +30 r70 =H"},
        {"a successful probe closes", "f f f +100 a0 +5 s0 =C x0 o1 f f =C f =O o2"},
        {"a failed probe opens for a whole pause", "f f f +100 a0 +5 f0 =O x4 o2 r100 +99 r1 +1 =H"},
        {"fails again and again", "f f f +100 f =O +100 f =O +100 f o4 x6 +100 s =C x0"},
        {"a neutral probe is given back", "f f f +100 a0 n0 =H x3 o1 a1 r100 s1 =C"},
        {"a probe given back is void", "f f f +100 a0 n0 f0 =H s0 =H a1 f0 s0 =H s1 =C"},
        {"an unreported probe fails at its end", "f f f +100 a0 +99 r1 =H +1 =O x4 o2 r100"},
        {"its pause starts then, not at the look", "f f f +100 a0 +130 r70 +70 =H o2"},
        {"both over at the look", "f f f +100 a0 +200 =H x4 o2 a1 s1 =C"},
        {"a probe reported in time", "f f f +100 a0 +99 s0 =C"},
        {"a probe reported too late", "f f f +100 a0 +100 s0 =O o2 +100 a1 s0 =H f0 =H s1 =C"},
        {"slow success from before", "a0 f f f s0 =O x3 r100 +100 s0 =H a1 s0 =H s1 =C"},
        {"slow failure from before", "a0 f f f f0 =O x3 o1 +100 s =C f0 x0 =C f f =C"},
        {"a ticket of zeros is nobody's", "f0 f0 f0 =C x0 f f f +100 a1 f0 s0 =H"},
        {"a probe's time starts when it sets out", "f f f +100 =H +50 a0 r100 +99 r1 s0 =C"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stage st = {.now_ns = 1000};
        char script[160], *rest = NULL;
        st.breaker = new_breaker(&st.now_ns);
        (void)snprintf(script, sizeof script, "%s", cases[i].script);
        print_message("# %s\n", cases[i].what);
        for (char *word = strtok_r(script, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
            play_word(&st, word);
        vx_breaker_destroy(st.breaker);
    }
}

/* Injected clocks may do what the real one never does; nothing may then stay shut for ever, or wrap around. */
static void odd_clocks(void **state)
{
    (void)state;
    stage st = {.now_ns = 1000};
    st.breaker = new_breaker(&st.now_ns);
    for (int i = 0; i < FAILURES; i++)
        play_word(&st, "f");
    atomic_store(&st.now_ns, 10);
    play_word(&st, "r100");
    atomic_store(&st.now_ns, UINT64_MAX);
    play_word(&st, "a0");
    play_word(&st, "r100");
    play_word(&st, "s0");
    play_word(&st, "=C");
    vx_breaker_destroy(st.breaker);
}

static void longest_pause(void **state)
{
    (void)state;
    atomic_uint_fast64_t now_ns = 7;
    vx_breaker *breaker = NULL;
    uint64_t ticket, retry = 0;
    assert_int_equal(vx_breaker_create(1, UINT64_MAX, (vx_clock){read_turned, &now_ns}, &breaker), VX_OK);
    assert_true(vx_breaker_allow(breaker, &ticket, &retry));
    vx_breaker_report(breaker, ticket, VX_ATTEMPT_FAILED);
    atomic_store(&now_ns, 9);
    assert_false(vx_breaker_allow(breaker, &ticket, &retry));
    assert_int_equal(retry, UINT64_MAX - 2);
    vx_breaker_destroy(breaker);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { N_THREADS = 6, N_ROUNDS = 300 };

typedef struct {
    stage st;
    vx_team *team;
    int granted[N_ROUNDS]; /* written by the one who got leave: two would be a race for ThreadSanitizer */
} crowd;

/* Each round everybody asks a half-open breaker, and whoever has the probe lets it fail. */
static void ask_together(void *arg, int rank)
{
    crowd *c = arg;
    for (int round = 0; round < N_ROUNDS; round++) {
        uint64_t ticket = 0, retry = 0;
        vx_team_barrier(c->team);
        bool leave = vx_breaker_allow(c->st.breaker, &ticket, &retry);
        if (leave)
            c->granted[round]++;
        vx_team_barrier(c->team);
        if (leave)
            vx_breaker_report(c->st.breaker, ticket, VX_ATTEMPT_FAILED);
        vx_team_barrier(c->team);
        if (rank == 0)
            atomic_fetch_add(&c->st.now_ns, OPEN_NS);
    }
}

static void many_threads_one_probe(void **state)
{
    (void)state;
    crowd c = {.st.now_ns = 5};
    c.st.breaker = new_breaker(&c.st.now_ns);
    for (int i = 0; i < FAILURES; i++)
        play_word(&c.st, "f");
    play_word(&c.st, "+100");
    assert_int_equal(vx_team_create(N_THREADS, &c.team), VX_OK);
    vx_team_run(c.team, ask_together, &c);
    vx_team_destroy(c.team);
    for (int round = 0; round < N_ROUNDS; round++)
        assert_int_equal(c.granted[round], 1);
    vx_breaker_view view;
    vx_breaker_get(c.st.breaker, &view);
    assert_int_equal(view.opened_count, 1 + N_ROUNDS);
    vx_breaker_destroy(c.st.breaker);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void names(void **state)
{
    (void)state;
    assert_string_equal(vx_breaker_name(VX_BREAKER_CLOSED), "CLOSED");
    assert_string_equal(vx_breaker_name(VX_BREAKER_OPEN), "OPEN");
    assert_string_equal(vx_breaker_name(VX_BREAKER_HALF_OPEN), "HALF_OPEN");
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    vx_breaker *const mark = (vx_breaker *)&mark;
    vx_breaker *breaker = mark;
    assert_int_equal(vx_breaker_create(0, 1, vx_clock_monotonic(), &breaker), VX_ERR_ARG);
    assert_int_equal(vx_breaker_create(1, 0, vx_clock_monotonic(), &breaker), VX_ERR_ARG);
    assert_int_equal(vx_breaker_create(1, 1, (vx_clock){0}, &breaker), VX_ERR_ARG);
    assert_ptr_equal(breaker, mark);
    vx_breaker_destroy(NULL);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_breaker *const mark = (vx_breaker *)&mark;
    vx_breaker *breaker = mark;
    vx_err err = vx_breaker_create(1, 1, vx_clock_monotonic(), &breaker);
    if (err == VX_OK)
        vx_breaker_destroy(breaker);
    else
        assert_ptr_equal(breaker, mark);
    return err;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transitions),
        cmocka_unit_test(odd_clocks),
        cmocka_unit_test(longest_pause),
        cmocka_unit_test(many_threads_one_probe),
        cmocka_unit_test(names),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
