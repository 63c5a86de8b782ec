/* test_team.c - members run together, and barriers order what they write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/base/team.h"
#include "tests/support/alloc_fail.h"

enum { SIZE = 4, STEPS = 200 };

struct relay {
    vx_team *team;
    int cells[SIZE]; /* plain ints: only the barriers keep this from being a data race */
    int wrong;
};

/* Each step every member reads its neighbour's cell of the step before. */
static void relay(void *arg, int rank)
{
    struct relay *r = arg;
    for (int step = 1; step <= STEPS; step++) {
        int neighbour = r->cells[(rank + 1) % SIZE];
        vx_team_barrier(r->team);
        if (neighbour != step - 1)
            r->wrong = 1;
        r->cells[rank] = step;
        vx_team_barrier(r->team);
    }
}

static void test_barriers_order_writes(void **state)
{
    (void)state;
    struct relay r = {0};
    assert_int_equal(vx_team_create(SIZE, &r.team), VX_OK);
    assert_int_equal(vx_team_size(r.team), SIZE);
    for (int run = 0; run < 20; run++) {
        for (int i = 0; i < SIZE; i++)
            r.cells[i] = 0;
        vx_team_run(r.team, relay, &r);
        for (int i = 0; i < SIZE; i++)
            assert_int_equal(r.cells[i], STEPS);
        assert_int_equal(r.wrong, 0);
    }
    vx_team_destroy(r.team);
}

static void mark(void *arg, int rank)
{
    ((int *)arg)[rank]++;
}

static void test_every_member_runs_once(void **state)
{
    (void)state;
    for (int size = 1; size <= 5; size++) {
        vx_team *team;
        int marks[5] = {0};
        assert_int_equal(vx_team_create(size, &team), VX_OK);
        for (int run = 1; run <= 50; run++) {
            vx_team_run(team, mark, marks);
            for (int i = 0; i < 5; i++)
                assert_int_equal(marks[i], i < size ? run : 0);
        }
        vx_team_destroy(team);
    }
}

static void test_bad_sizes(void **state)
{
    (void)state;
    vx_team *team = NULL;
    assert_int_equal(vx_team_create(0, &team), VX_ERR_ARG);
    assert_int_equal(vx_team_create(257, &team), VX_ERR_ARG);
    assert_null(team);
    vx_team_destroy(NULL);
}

static vx_err attempt(void *ctx)
{
    (void)ctx;
    vx_team *team = NULL;
    vx_err err = vx_team_create(3, &team);
    vx_team_destroy(team);
    return err;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(attempt, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_runs_once),
        cmocka_unit_test(test_barriers_order_writes),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
