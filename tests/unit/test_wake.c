/* test_wake.c - when the microphone may be open, whose turn it is, and the phrases of a setting. With a microphone, a
 * desktop and voices: tests/e2e/test_agent_wake.sh. */
#include "edge/wake.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/challenge/phrase_list.h"
#include "shared/base/clock.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/scratch.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t in_ms(uint64_t ms)
{
    return vx_now_ns() + ms * 1000000u;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* ---- the microphone ------------------------------------------------------------------------------------------------- */

/* All there is: 3 states of the lock, and 8 combinations of the rest. One opens it. */
static void only_a_locked_screen_opens_it(void **state)
{
    (void)state;
    static const vx_lock_state locks[] = {VX_LOCK_UNKNOWN, VX_LOCK_LOCKED, VX_LOCK_UNLOCKED, (vx_lock_state)7};
    int n_open = 0;
    for (size_t l = 0; l < COUNT(locks); l++)
        for (int bits = 0; bits < 8; bits++) {
            const vx_wake_facts facts = {.lock = locks[l],
                                         .has_owner = bits & 1,
                                         .command = bits & 2,
                                         .resting = bits & 4,
                                         .no_lock = "no lock",
                                         .no_owner = "no owner",
                                         .rest = "rest"};
            const char *why = NULL;
            const bool open = vx_wake_may_listen(&facts, &why);
            n_open += open;
            assert_int_equal(open, locks[l] == VX_LOCK_LOCKED && bits == 1);
            assert_int_equal(open, why[0] == '\0'); /* what is closed says why */
        }
    assert_int_equal(n_open, 1);
}

static void what_is_in_the_way_is_said(void **state)
{
    (void)state;
    static const struct {
        vx_wake_facts facts;
        const char *why;
    } cases[] = {
        {{.lock = VX_LOCK_UNLOCKED, .no_owner = "nobody"}, "the screen is not locked"},
        {{.lock = VX_LOCK_UNKNOWN, .no_lock = "remote"}, "remote"},
        {{.lock = VX_LOCK_LOCKED, .command = true, .no_owner = "nobody"}, "nobody"},
        {{.lock = VX_LOCK_LOCKED, .has_owner = true, .command = true, .resting = true}, "a command of yours listens"},
        {{.lock = VX_LOCK_LOCKED, .has_owner = true, .resting = true, .rest = "pause"}, "pause"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *why = NULL;
        assert_false(vx_wake_may_listen(&cases[i].facts, &why));
        assert_string_equal(why, cases[i].why);
    }
}

static void a_lost_microphone_is_tried_less_and_less(void **state)
{
    (void)state;
    static const int ms[] = {1000, 1000, 2000, 4000, 8000, 8000, 8000};
    for (int i = 0; i < (int)COUNT(ms); i++)
        assert_int_equal(vx_wake_retry_ms(i), ms[i]);
    assert_int_equal(vx_wake_retry_ms(1 << 30), 8000);
}

/* ---- turns ---------------------------------------------------------------------------------------------------------- */

static void one_at_a_time(void **state)
{
    (void)state;
    vx_turn t;
    assert_true(vx_turn_init(&t));
    assert_true(vx_turn_take(&t, 0));
    assert_false(vx_turn_take(&t, in_ms(60000))); /* another was asked before: told at once */
    assert_false(vx_turn_take_free(&t));
    vx_turn_give(&t);
    assert_true(vx_turn_take_free(&t));
    assert_false(vx_turn_take_free(&t));
    assert_false(vx_turn_wanted(&t));
    assert_false(vx_turn_take(&t, in_ms(20))); /* a wake loop that does not let go */
    assert_false(vx_turn_wanted(&t));
    vx_turn_give(&t);
    assert_true(vx_turn_take(&t, 0));
    vx_turn_give(&t);
    vx_turn_done(&t);
}

/* What the wake loop does: holds the turn as often as it may, and lets go when somebody wants it. */
typedef struct {
    vx_turn turn;
    atomic_bool ends;
    atomic_int n_taken;
    atomic_int inside; /* who has the turn at this moment: never more than one */
} crowd;

static void *wakes(void *arg)
{
    crowd *c = arg;
    while (!atomic_load(&c->ends)) {
        if (!vx_turn_take_free(&c->turn))
            continue;
        assert_int_equal(atomic_fetch_add(&c->inside, 1), 0);
        atomic_fetch_add(&c->n_taken, 1);
        while (!atomic_load(&c->ends) && !vx_turn_wanted(&c->turn))
            sleep_ms(1);
        assert_int_equal(atomic_fetch_sub(&c->inside, 1), 1);
        vx_turn_give(&c->turn);
    }
    return NULL;
}

static void who_asks_goes_first(void **state)
{
    (void)state;
    crowd c = {0};
    pthread_t thread;
    assert_true(vx_turn_init(&c.turn));
    assert_int_equal(pthread_create(&thread, NULL, wakes, &c), 0);
    while (atomic_load(&c.n_taken) == 0)
        sleep_ms(1);
    for (int i = 0; i < 100; i++) {
        assert_true(vx_turn_take(&c.turn, in_ms(60000)));
        assert_int_equal(atomic_fetch_add(&c.inside, 1), 0);
        assert_int_equal(atomic_fetch_sub(&c.inside, 1), 1);
        vx_turn_give(&c.turn);
    }
    const int before = atomic_load(&c.n_taken);
    for (int i = 0; i < 1000 && atomic_load(&c.n_taken) == before; i++)
        sleep_ms(1); /* and the wake loop has it again */
    atomic_store(&c.ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    vx_turn_done(&c.turn);
}

/* ---- the sign between programs --------------------------------------------------------------------------------------- */

static void a_command_is_seen_while_it_listens(void **state)
{
    (void)state;
    scratch s = scratch_make();
    int fd = -1, other = -1;
    vx_errinfo info = {0};
    assert_false(vx_sign_held(s.path)); /* no file yet */
    assert_int_equal(vx_sign_hold(s.path, &fd, &info), VX_OK);
    assert_true(fd >= 0);
    assert_true(vx_sign_held(s.path));
    assert_int_equal(vx_sign_hold(s.path, &other, &info), VX_ERR_BUSY);
    assert_int_equal(info.code, VX_ERR_BUSY);
    assert_int_equal(other, -1);
    assert_int_equal(close(fd), 0);
    assert_false(vx_sign_held(s.path));
    assert_int_equal(scratch_mode(&s, "listening.lock"), 0600);
    scratch_done(&s);
}

typedef struct {
    const char *folder;
    atomic_bool ends;
} looker;

static void *looks(void *arg)
{
    looker *l = arg;
    while (!atomic_load(&l->ends))
        (void)vx_sign_held(l->folder);
    return NULL;
}

/* That the agent looks right now is no reason to refuse a command. */
static void looking_holds_nobody_up(void **state)
{
    (void)state;
    scratch s = scratch_make();
    looker l = {.folder = s.path};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, looks, &l), 0);
    for (int i = 0; i < 200; i++) {
        int fd = -1;
        assert_int_equal(vx_sign_hold(s.path, &fd, NULL), VX_OK);
        assert_int_equal(close(fd), 0);
    }
    atomic_store(&l.ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    scratch_done(&s);
}

/* Where no agent can be, there is nobody to tell. */
static void without_a_folder_a_command_goes_on(void **state)
{
    (void)state;
    scratch s = scratch_make();
    char folder[128];
    int fd = 7;
    scratch_write(&s, "file", "", 0);
    scratch_path(&s, "file/voxlock", folder, sizeof folder);
    assert_int_equal(vx_sign_hold(folder, &fd, NULL), VX_OK);
    assert_int_equal(fd, -1);
    assert_false(vx_sign_held(folder));
    scratch_done(&s);
}

/* ---- phrases -------------------------------------------------------------------------------------------------------- */

static void phrases_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vx_err err;
        size_t n;
        const char *phrases[3];
    } cases[] = {
        {"unlock my screen", VX_OK, 1, {"unlock my screen"}},
        {" Unlock  my\tSCREEN ,open sesame", VX_OK, 2, {"unlock my screen", "open sesame"}},
        {"it's me", VX_OK, 1, {"it's me"}},
        {"a,b,c,d,e,f,g,h", VX_OK, 8, {"a", "b", "c"}},
        {"a,b,c,d,e,f,g,h,i", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {" , unlock", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"unlock,", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"unlock 4 me", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"unlock(2) me", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"~unlock me", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"unlock\nme", VX_ERR_OPTION_VALUE, 0, {NULL}},
        {"\xc3\xa9 clair", VX_ERR_OPTION_VALUE, 0, {NULL}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        vx_phrase_list list = {.n = 77};
        vx_errinfo info = {0};
        assert_int_equal(vx_phrase_list_read(cases[i].text, &list, &info), cases[i].err);
        assert_int_equal(info.code, cases[i].err);
        assert_int_equal(list.n, cases[i].err == VX_OK ? cases[i].n : 77);
        for (size_t k = 0; k < COUNT(cases[i].phrases) && cases[i].phrases[k]; k++)
            assert_string_equal(list.texts[k], cases[i].phrases[k]);
    }
    char longest[VX_PHRASE_CAP + 1];
    vx_phrase_list list;
    memset(longest, 'a', VX_PHRASE_CAP);
    longest[VX_PHRASE_CAP] = '\0';
    assert_int_equal(vx_phrase_list_read(longest, &list, NULL), VX_ERR_OPTION_VALUE);
    longest[VX_PHRASE_CAP - 1] = '\0';
    assert_int_equal(vx_phrase_list_read(longest, &list, NULL), VX_OK);
    assert_string_equal(list.texts[0], longest);
}

/* ---- starting -------------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_options *settings;
    vx_answering answering; /* as far as a loop that does not start looks at it */
} quiet_agent;

static quiet_agent quiet_agent_make(const char *setting)
{
    quiet_agent q = {0};
    char entry[64];
    const char *operands[1];
    char *const argv[] = {NULL};
    char *const env[] = {entry, NULL};
    int n = 0;
    snprintf(entry, sizeof entry, "%s", setting);
    assert_int_equal(vx_options_load(VX_FOR_EDGE, env, 0, argv, NULL, operands, &n, &q.settings, NULL), VX_OK);
    q.answering.settings = q.settings;
    assert_int_equal(pthread_mutex_init(&q.answering.lock, NULL), 0);
    return q;
}

static void quiet_agent_done(quiet_agent *q)
{
    (void)pthread_mutex_destroy(&q->answering.lock);
    vx_options_destroy(q->settings);
}

static vx_err start_and_end(void *ctx)
{
    quiet_agent *q = ctx;
    vx_wake *wake = NULL;
    const vx_err err = vx_wake_create(&q->answering, "/nonexistent", &wake, NULL);
    vx_wake_destroy(wake);
    return err;
}

static void switched_off_it_says_so(void **state)
{
    (void)state;
    quiet_agent q = quiet_agent_make("VOXLOCK_WAKE=false");
    assert_int_equal(start_and_end(&q), VX_OK);
    assert_int_equal(q.answering.wake.state, VX_WAKE_OFF);
    assert_string_equal(q.answering.wake.why, "VOXLOCK_WAKE is false");
    if (vx_alloc_fail_works())
        vx_alloc_fail_each(start_and_end, &q);
    quiet_agent_done(&q);
}

static void phrases_that_are_none_end_it(void **state)
{
    (void)state;
    quiet_agent q = quiet_agent_make("VOXLOCK_PHRASES=unlock,,");
    vx_wake *wake = NULL;
    vx_errinfo info = {0};
    assert_int_equal(vx_wake_create(&q.answering, "/nonexistent", &wake, &info), VX_ERR_OPTION_VALUE);
    assert_non_null(strstr(info.text, "VOXLOCK_PHRASES"));
    assert_null(wake);
    quiet_agent_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_locked_screen_opens_it),
        cmocka_unit_test(what_is_in_the_way_is_said),
        cmocka_unit_test(a_lost_microphone_is_tried_less_and_less),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(who_asks_goes_first),
        cmocka_unit_test(a_command_is_seen_while_it_listens),
        cmocka_unit_test(looking_holds_nobody_up),
        cmocka_unit_test(without_a_folder_a_command_goes_on),
        cmocka_unit_test(phrases_are_read),
        cmocka_unit_test(switched_off_it_says_so),
        cmocka_unit_test(phrases_that_are_none_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
