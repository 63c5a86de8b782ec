/* test_cores.c - threads that work side by side do not share a core, and what they may use stays as it was.
 * The scheduler may move any thread at any moment, so what it decides is asked of most tries, not of each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "shared/base/cores.h"
#include "shared/base/team.h"

#if defined(__linux__)
#include <sched.h>

enum { TRIES = 40 };

static cpu_set_t allowed(void)
{
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    return set;
}

/* A sandbox may refuse the mask, or only pretend to take it. */
static void needs_two_cores(void)
{
    const cpu_set_t set = allowed();
    if (CPU_COUNT(&set) < 2 || sched_setaffinity(0, sizeof set, &set) != 0)
        skip();
}

static void leaves_a_taken_core(void **state)
{
    (void)state;
    needs_two_cores();
    const cpu_set_t before = allowed();
    int left = 0;
    for (int i = 0; i < TRIES; i++) {
        const int here = vx_core_here();
        assert_true(vx_core_leave((const int[]){-1, here, 1 << 20}, 3));
        left += vx_core_here() != here;
    }
    const cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&before, &after));
    assert_true(left > TRIES / 2);
}

/* Nowhere to go: it stays, with all that it may use. */
static void stays_where_all_are_taken(void **state)
{
    (void)state;
    const cpu_set_t before = allowed();
    int all[CPU_SETSIZE];
    for (int i = 0; i < CPU_SETSIZE; i++)
        all[i] = i;
    assert_false(vx_core_leave(all, CPU_SETSIZE));
    cpu_set_t after = allowed();
    assert_true(CPU_EQUAL(&before, &after));

    const int here = vx_core_here();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)here, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_false(vx_core_leave(&here, 1));
    after = allowed();
    assert_true(CPU_EQUAL(&one, &after));
    assert_int_equal(vx_core_here(), here);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

static void note_core(void *arg, int rank)
{
    ((int *)arg)[rank] = vx_core_here();
}

/* After a pause, when Linux would wake the second on the core of the first. */
static void members_of_a_team_are_apart(void **state)
{
    (void)state;
    needs_two_cores();
    vx_team *team;
    assert_int_equal(vx_team_create(2, &team), 0);
    int apart = 0;
    for (int i = 0; i < TRIES; i++) {
        int cores[2];
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        vx_team_run(team, note_core, cores);
        apart += cores[0] != cores[1];
    }
    vx_team_destroy(team);
    assert_true(apart > TRIES / 2);
}

#else

static void leaves_a_taken_core(void **state)
{
    (void)state;
    assert_int_equal(vx_core_here(), -1);
    assert_false(vx_core_leave((const int[]){0}, 1));
}
static void stays_where_all_are_taken(void **state)
{
    (void)state;
    skip();
}
static void members_of_a_team_are_apart(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_a_taken_core),
        cmocka_unit_test(stays_where_all_are_taken),
        cmocka_unit_test(members_of_a_team_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
