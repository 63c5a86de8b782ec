/* test_pool.c - order, exact bounds, shutdown and threads of the worker pool. */
#include "shared/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/gate.h"

static vx_pool *new_pool(int n_workers, size_t queue_cap)
{
    vx_pool *pool = NULL;
    assert_int_equal(vx_pool_create(n_workers, queue_cap, &pool), VX_OK);
    assert_int_equal(vx_pool_workers(pool), n_workers);
    return pool;
}

static void count_up(void *arg, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

typedef struct {
    int next, order[100];
} numbers;
typedef struct {
    numbers *seen;
    int number;
} ordered_task;

static void note_number(void *arg, int worker)
{
    (void)worker;
    const ordered_task *task = arg;
    task->seen->order[task->seen->next++] = task->number;
}

/* One worker, tasks queued while it is held up and again after, so that the ring wraps round. */
static void first_in_is_first_out(void **state)
{
    (void)state;
    numbers seen = {0};
    ordered_task tasks[100];
    vx_pool *pool = new_pool(1, 30);
    for (int start = 0; start < 100; start += 25) {
        gate g = GATE_CLOSED;
        assert_int_equal(vx_pool_submit(pool, wait_at_gate, &g), VX_OK);
        await_inside(&g, 1);
        for (int i = start; i < start + 25; i++) {
            tasks[i] = (ordered_task){.seen = &seen, .number = i};
            assert_int_equal(vx_pool_submit(pool, note_number, &tasks[i]), VX_OK);
        }
        gate done = GATE_CLOSED;
        assert_int_equal(vx_pool_submit(pool, wait_at_gate, &done), VX_OK);
        open_gate(&g);
        await_inside(&done, 1);
        open_gate(&done);
        while (vx_pool_running(pool) + vx_pool_waiting(pool) > 0) /* both gates are on this stack frame */
            sched_yield();
    }
    vx_pool_destroy(pool);
    assert_int_equal(seen.next, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen.order[i], i);
}

static void busy_exactly_at_capacity(void **state)
{
    (void)state;
    static const struct {
        int n_workers;
        size_t queue_cap;
    } cases[] = {{1, 0}, {3, 0}, {1, 1}, {2, 5}, {4, 3}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        gate g = GATE_CLOSED;
        atomic_int ran = 0;
        vx_pool *pool = new_pool(cases[c].n_workers, cases[c].queue_cap);

        /* At once, without giving the workers time to wake: each idle worker is good for one. */
        for (int i = 0; i < cases[c].n_workers; i++)
            assert_int_equal(vx_pool_submit(pool, wait_at_gate, &g), VX_OK);
        for (size_t i = 0; i < cases[c].queue_cap; i++)
            assert_int_equal(vx_pool_submit(pool, count_up, &ran), VX_OK);
        assert_int_equal(vx_pool_submit(pool, count_up, &ran), VX_ERR_BUSY);
        await_inside(&g, cases[c].n_workers);
        assert_int_equal(vx_pool_submit(pool, count_up, &ran), VX_ERR_BUSY);
        assert_int_equal(vx_pool_running(pool), cases[c].n_workers);
        assert_int_equal(vx_pool_waiting(pool), cases[c].queue_cap);

        open_gate(&g);
        vx_pool_destroy(pool);
        assert_int_equal(atomic_load(&ran), cases[c].queue_cap);
    }
}

static void room_returns_when_tasks_end(void **state)
{
    (void)state;
    vx_pool *pool = new_pool(2, 0);
    atomic_int ran = 0;
    for (int i = 0; i < 200;) {
        vx_err err = vx_pool_submit(pool, count_up, &ran);
        if (err == VX_OK)
            i++;
        else
            assert_int_equal(err, VX_ERR_BUSY);
    }
    vx_pool_destroy(pool);
    assert_int_equal(atomic_load(&ran), 200);
}

typedef struct {
    vx_pool *pool;
    atomic_int *ran;
    vx_err last;
} late_task;

/* Submits until the pool refuses for good: it runs while another thread destroys the pool. */
static void submit_until_closed(void *arg, int worker)
{
    (void)worker;
    late_task *late = arg;
    do
        late->last = vx_pool_submit(late->pool, count_up, late->ran);
    while (late->last != VX_ERR_CLOSED && sched_yield() == 0);
}

static void closed_while_shutting_down(void **state)
{
    (void)state;
    atomic_int ran = 0;
    vx_pool *pool = new_pool(1, 4);
    late_task late = {.pool = pool, .ran = &ran};
    assert_int_equal(vx_pool_submit(pool, submit_until_closed, &late), VX_OK);
    while (vx_pool_waiting(pool) < 4)
        sched_yield();
    vx_pool_destroy(pool);
    assert_int_equal(late.last, VX_ERR_CLOSED);
    assert_int_equal(atomic_load(&ran), 4);
}

static void destroy_runs_what_was_taken(void **state)
{
    (void)state;
    enum { QUEUED = 500 };
    gate g = GATE_CLOSED;
    atomic_int ran = 0;
    vx_pool *pool = new_pool(2, QUEUED);
    assert_int_equal(vx_pool_submit(pool, wait_at_gate, &g), VX_OK);
    assert_int_equal(vx_pool_submit(pool, wait_at_gate, &g), VX_OK);
    for (int i = 0; i < QUEUED; i++)
        assert_int_equal(vx_pool_submit(pool, count_up, &ran), VX_OK);
    assert_int_equal(atomic_load(&ran), 0);
    open_gate(&g);
    vx_pool_destroy(pool);
    assert_int_equal(atomic_load(&ran), QUEUED);
    vx_pool_destroy(NULL);
}

static void idle_pools_end(void **state)
{
    (void)state;
    vx_pool_destroy(new_pool(4, 10));
}

/* ---- many submitters ------------------------------------------------------------------------------------------- */

enum { N_SUBMITTERS = 6, N_EACH = 1500, N_WORKERS = 3 };

/* per_worker is written without atomics: each worker may touch only its own, which ThreadSanitizer checks. */
typedef struct {
    vx_pool *pool;
    int per_worker[N_WORKERS];
    atomic_int n_busy;
} crowd;

static void count_for_worker(void *arg, int worker)
{
    crowd *c = arg;
    c->per_worker[worker]++;
}

static void *submit_many(void *arg)
{
    crowd *c = arg;
    for (int i = 0; i < N_EACH; i++) {
        while (vx_pool_submit(c->pool, count_for_worker, c) == VX_ERR_BUSY) {
            atomic_fetch_add(&c->n_busy, 1);
            sched_yield();
        }
    }
    return NULL;
}

static void many_submitters_lose_nothing(void **state)
{
    (void)state;
    crowd c = {.pool = new_pool(N_WORKERS, 7)};
    pthread_t threads[N_SUBMITTERS];
    for (int i = 0; i < N_SUBMITTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &c), 0);
    for (int i = 0; i < N_SUBMITTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    vx_pool_destroy(c.pool);
    int sum = 0;
    for (int i = 0; i < N_WORKERS; i++)
        sum += c.per_worker[i];
    assert_int_equal(sum, N_SUBMITTERS * N_EACH);
}

/* ---- workers' surroundings ------------------------------------------------------------------------------------- */

static void read_mask(void *arg, int worker)
{
    (void)worker;
    pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void workers_block_signals_but_not_faults(void **state)
{
    (void)state;
    sigset_t none, before, after, worker;
    sigemptyset(&none);
    worker = none;
    pthread_sigmask(SIG_SETMASK, &none, &before);
    vx_pool *pool = new_pool(1, 1);
    pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_int_equal(vx_pool_submit(pool, read_mask, &worker), VX_OK);
    vx_pool_destroy(pool);

    static const int blocked[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGALRM};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++) {
        assert_int_equal(sigismember(&worker, blocked[i]), 1);
        assert_int_equal(sigismember(&after, blocked[i]), 0);
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        assert_int_equal(sigismember(&worker, faults[i]), 0);
}

/* More than half of the promised 1 MiB: the default for threads on macOS, 512 KiB, does not hold it. */
static void use_deep_stack(void *arg, int worker)
{
    (void)worker;
    volatile char block[640 * 1024];
    for (size_t i = 0; i < sizeof block; i += 1024)
        block[i] = (char)i;
    *(volatile char *)arg = block[1024];
}

static void stacks_are_a_mebibyte(void **state)
{
    (void)state;
    char sink = 1;
    vx_pool *pool = new_pool(1, 1);
    assert_int_equal(vx_pool_submit(pool, use_deep_stack, &sink), VX_OK);
    vx_pool_destroy(pool);
    assert_int_equal(sink, 0);
}

/* ---- failures -------------------------------------------------------------------------------------------------- */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    vx_pool *const mark = (vx_pool *)&mark;
    vx_pool *pool = mark;
    assert_int_equal(vx_pool_create(0, 1, &pool), VX_ERR_ARG);
    assert_int_equal(vx_pool_create(-1, 1, &pool), VX_ERR_ARG);
    assert_int_equal(vx_pool_create(1, SIZE_MAX, &pool), VX_ERR_ARG);
    assert_int_equal(vx_pool_create(1, SIZE_MAX / 2, &pool), VX_ERR_ARG);
    assert_ptr_equal(pool, mark);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_pool *const mark = (vx_pool *)&mark;
    vx_pool *pool = mark;
    vx_err err = vx_pool_create(2, 8, &pool);
    if (err == VX_OK)
        vx_pool_destroy(pool);
    else
        assert_ptr_equal(pool, mark);
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
        cmocka_unit_test(first_in_is_first_out),           cmocka_unit_test(busy_exactly_at_capacity),
        cmocka_unit_test(room_returns_when_tasks_end),     cmocka_unit_test(closed_while_shutting_down),
        cmocka_unit_test(destroy_runs_what_was_taken),     cmocka_unit_test(idle_pools_end),
        cmocka_unit_test(many_submitters_lose_nothing),    cmocka_unit_test(workers_block_signals_but_not_faults),
        cmocka_unit_test(stacks_are_a_mebibyte),           cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
