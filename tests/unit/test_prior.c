/* test_prior.c - what outcomes do to the belief that whoever speaks is the owner. */
#include "edge/decide/prior.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/decide/decide.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void one_step(void **state)
{
    (void)state;
    static const struct {
        double prior;
        bool owner;
        double after;
    } cases[] = {
        {0.85, true, 0.8515},
        {0.85, false, 0.8415},
        {0.50, true, 0.505},
        {0.50, false, 0.495},
        {0.9499, true, 0.95},
        {0.95, true, 0.95},
        {0.95, false, 0.9405},
        {0.0501, false, 0.05},
        {0.05, false, 0.05},
        {0.05, true, 0.0595},
        /* What is no prior is the unlearned one. */
        {NAN, true, 0.8515},
        {INFINITY, false, 0.8415},
        {-INFINITY, true, 0.8515},
        {0.9500001, false, 0.8415},
        {0.0499999, true, 0.8515},
        {0, false, 0.8415},
        {1, true, 0.8515},
        {-0.5, true, 0.8515},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(fabs(vx_prior_after(cases[i].prior, cases[i].owner) - cases[i].after) < 1e-12);
}

/* Either way it takes many outcomes to get to the bound, and none to leave it. */
static void many_steps(void **state)
{
    (void)state;
    double up = VX_DECIDE_PRIOR, down = VX_DECIDE_PRIOR;
    int n_up = 0, n_down = 0;
    for (; up < VX_PRIOR_MOST && n_up < 1000; n_up++) {
        const double next = vx_prior_after(up, true);
        assert_true(next > up);
        up = next;
    }
    for (; down > VX_PRIOR_LEAST && n_down < 1000; n_down++) {
        const double next = vx_prior_after(down, false);
        assert_true(next < down);
        down = next;
    }
    assert_int_equal(n_up, 110);   /* 0.15 * 0.99^n <= 0.05 */
    assert_int_equal(n_down, 282); /* 0.85 * 0.99^n <= 0.05 */
    assert_true(up == VX_PRIOR_MOST && down == VX_PRIOR_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_step),
        cmocka_unit_test(many_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
