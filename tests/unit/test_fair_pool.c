/* test_fair_pool.c - turns, limits, bounds, shutdown and threads of the fair pool. */
#include "shared/resilience/fair_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/support/alloc_fail.h"
#include "tests/support/gate.h"
#include "tests/support/stats.h"

#define GATEKEEPER 1000 /* a client that no test gives other tasks */

static vx_fair_pool *new_pool(int n_workers, size_t queue_cap, size_t per_client)
{
    vx_fair_pool *pool = NULL;
    assert_int_equal(vx_fair_pool_create(n_workers, queue_cap, per_client, &pool), VX_OK);
    assert_int_equal(vx_fair_pool_workers(pool), n_workers);
    return pool;
}

static void await_idle(vx_fair_pool *pool)
{
    while (vx_fair_pool_waiting(pool) + vx_fair_pool_running(pool) > 0)
        sched_yield();
}

static void count_up(void *arg, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

enum { MAX_TASKS = 110 };

/* What one worker ran, in order, so no lock: the client's letter, and the number of the task among all submitted. */
typedef struct {
    int n;
    char clients[MAX_TASKS + 1];
    int numbers[MAX_TASKS];
} record;

typedef struct {
    record *ran;
    char client;
    int number;
} lettered_task;

static void note_turn(void *arg, int worker)
{
    (void)worker;
    const lettered_task *t = arg;
    t->ran->clients[t->ran->n] = t->client;
    t->ran->numbers[t->ran->n++] = t->number;
}

/* Submits one task for each letter while the only worker is held up, then lets it run. */
static void run_letters(const char *letters, record *ret_ran)
{
    gate g = GATE_CLOSED;
    lettered_task tasks[MAX_TASKS];
    vx_fair_pool *pool = new_pool(1, MAX_TASKS, 0);
    *ret_ran = (record){0};
    assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &g), VX_OK);
    await_inside(&g, 1);
    for (int i = 0; letters[i] != '\0'; i++) {
        tasks[i] = (lettered_task){.ran = ret_ran, .client = letters[i], .number = i};
        assert_int_equal(vx_fair_pool_submit(pool, (uint64_t)letters[i], note_turn, NULL, &tasks[i]), VX_OK);
    }
    open_gate(&g);
    vx_fair_pool_destroy(pool);
}

static void clients_take_turns(void **state)
{
    (void)state;
    static const struct {
        const char *submitted, *ran;
    } cases[] = {
        {"A", "A"},
        {"AAAA", "AAAA"},
        {"ABCD", "ABCD"},
        {"AABBCC", "ABCABC"},
        {"AAAAAABBB", "ABABABAAA"},
        {"AAAABCCB", "ABCABCAA"},
        {"CAAAABBD", "CABDABAA"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        record ran;
        run_letters(cases[i].submitted, &ran);
        assert_string_equal(ran.clients, cases[i].ran);
        for (int a = 0; a < ran.n; a++)
            for (int b = a + 1; b < ran.n; b++) /* each client's own in the order in which they came */
                assert_true(ran.clients[a] != ran.clients[b] || ran.numbers[a] < ran.numbers[b]);
    }
}

static void a_crowd_from_one_delays_others_little(void **state)
{
    (void)state;
    char letters[MAX_TASKS + 1] = {0};
    memset(letters, 'A', 100);
    memset(letters + 100, 'B', 3);
    record ran;
    run_letters(letters, &ran);
    assert_int_equal(ran.n, 103);
    assert_memory_equal(ran.clients, "ABABAB", 6);
}

typedef struct {
    vx_fair_pool *pool;
    lettered_task follower;
    lettered_task self;
} chain_task;

static void note_and_submit(void *arg, int worker)
{
    chain_task *t = arg;
    note_turn(&t->self, worker);
    assert_int_equal(vx_fair_pool_submit(t->pool, (uint64_t)t->follower.client, note_turn, NULL, &t->follower), VX_OK);
}

/* A client that comes back after each answer queues behind those who waited meanwhile, and ahead of their second. */
static void who_comes_back_waits_his_turn(void **state)
{
    (void)state;
    gate g = GATE_CLOSED;
    record ran = {0};
    vx_fair_pool *pool = new_pool(1, 20, 0);
    lettered_task many[4];
    chain_task back = {.pool = pool, .self = {&ran, 'A', 0}, .follower = {&ran, 'A', 1}};
    assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &g), VX_OK);
    await_inside(&g, 1);
    assert_int_equal(vx_fair_pool_submit(pool, 'A', note_and_submit, NULL, &back), VX_OK);
    for (int i = 0; i < 4; i++) {
        many[i] = (lettered_task){&ran, i < 3 ? 'B' : 'C', 2 + i};
        assert_int_equal(vx_fair_pool_submit(pool, (uint64_t)many[i].client, note_turn, NULL, &many[i]), VX_OK);
    }
    open_gate(&g);
    await_idle(pool); /* destroy would refuse the follower */
    vx_fair_pool_destroy(pool);
    assert_string_equal(ran.clients, "ABCABB");
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

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
        vx_fair_pool *pool = new_pool(cases[c].n_workers, cases[c].queue_cap, 0);
        for (int i = 0; i < cases[c].n_workers; i++)
            assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &g), VX_OK);
        /* All inside, or those who come now would have their turn before the gatekeeper's second. */
        await_inside(&g, cases[c].n_workers);
        for (size_t i = 0; i < cases[c].queue_cap; i++)
            assert_int_equal(vx_fair_pool_submit(pool, i, count_up, NULL, &ran), VX_OK);
        assert_int_equal(vx_fair_pool_submit(pool, 0, count_up, NULL, &ran), VX_ERR_BUSY);
        assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, count_up, NULL, &ran), VX_ERR_BUSY);
        assert_int_equal(vx_fair_pool_running(pool), cases[c].n_workers);
        assert_int_equal(vx_fair_pool_waiting(pool), cases[c].queue_cap);
        assert_int_equal(vx_fair_pool_clients(pool), 1 + cases[c].queue_cap); /* none for those refused */
        open_gate(&g);
        vx_fair_pool_destroy(pool);
        assert_int_equal(atomic_load(&ran), cases[c].queue_cap);
    }
}

static void limit_counts_waiting_and_running(void **state)
{
    (void)state;
    enum { A = 1, B = 2, LIMIT = 3 };
    gate g = GATE_CLOSED;
    atomic_int ran = 0;
    vx_fair_pool *pool = new_pool(1, 50, LIMIT);
    assert_int_equal(vx_fair_pool_submit(pool, A, wait_at_gate, NULL, &g), VX_OK);
    await_inside(&g, 1);
    assert_int_equal(vx_fair_pool_submit(pool, A, count_up, NULL, &ran), VX_OK);
    assert_int_equal(vx_fair_pool_submit(pool, A, count_up, NULL, &ran), VX_OK);
    assert_int_equal(vx_fair_pool_submit(pool, A, count_up, NULL, &ran), VX_ERR_LIMIT);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(vx_fair_pool_submit(pool, B, count_up, NULL, &ran), VX_OK);
    assert_int_equal(vx_fair_pool_submit(pool, B, count_up, NULL, &ran), VX_ERR_LIMIT);
    assert_int_equal(vx_fair_pool_clients(pool), 2);

    open_gate(&g);
    await_idle(pool);
    assert_int_equal(vx_fair_pool_clients(pool), 0);
    assert_int_equal(atomic_load(&ran), 5);
    assert_int_equal(vx_fair_pool_submit(pool, A, count_up, NULL, &ran), VX_OK);
    vx_fair_pool_destroy(pool);
    assert_int_equal(atomic_load(&ran), 6);
}

typedef struct {
    vx_fair_pool *pool;
    vx_err during, after; /* of submitting for the same client inside the task, and in what follows it */
    atomic_int ran;
} sequel;

static void try_during(void *arg, int worker)
{
    (void)worker;
    sequel *s = arg;
    s->during = vx_fair_pool_submit(s->pool, 1, count_up, NULL, &s->ran);
}

static void try_after(void *arg, int worker)
{
    (void)worker;
    sequel *s = arg;
    s->after = vx_fair_pool_submit(s->pool, 1, count_up, NULL, &s->ran);
}

/* A client who is told from there that his task is done can send the next at once. */
static void what_follows_a_task_counts_no_more(void **state)
{
    (void)state;
    sequel s = {.pool = new_pool(1, 5, 1)};
    assert_int_equal(vx_fair_pool_submit(s.pool, 1, try_during, try_after, &s), VX_OK);
    await_idle(s.pool);
    vx_fair_pool_destroy(s.pool);
    assert_int_equal(s.during, VX_ERR_LIMIT);
    assert_int_equal(s.after, VX_OK);
    assert_int_equal(atomic_load(&s.ran), 1);
}

/* Ids that count up, ids that differ in the upper bits only, and random ones, of which some surely share a bucket. */
static uint64_t patterned_id(int pattern, uint64_t i)
{
    return pattern == 0 ? i : pattern == 1 ? i << 48 : stats_random(&i);
}

/* Records that share buckets come and go without losing a neighbour. The second gate stops the one worker when all
 * clients have run one task: those who had only one are gone, and the others still count theirs. */
static void records_return_to_none(void **state)
{
    (void)state;
    enum { N_CLIENTS = 300, LIMIT = 2, N_TASKS = 2 * N_CLIENTS };
    for (int pattern = 0; pattern < 3; pattern++) {
        gate first = GATE_CLOSED, second = GATE_CLOSED;
        atomic_int ran = 0;
        vx_fair_pool *pool = new_pool(1, N_TASKS, LIMIT);
        assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &first), VX_OK);
        await_inside(&first, 1);
        for (uint64_t i = 1; i <= N_CLIENTS; i++)
            assert_int_equal(vx_fair_pool_submit(pool, patterned_id(pattern, i), count_up, NULL, &ran), VX_OK);
        assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &second), VX_OK);
        for (uint64_t i = 2; i <= N_CLIENTS; i += 2)
            assert_int_equal(vx_fair_pool_submit(pool, patterned_id(pattern, i), count_up, NULL, &ran), VX_OK);
        assert_int_equal(vx_fair_pool_clients(pool), N_CLIENTS + 1);

        open_gate(&first);
        await_inside(&second, 1);
        assert_int_equal(vx_fair_pool_clients(pool), N_CLIENTS / 2 + 1);
        for (uint64_t i = 2; i <= N_CLIENTS; i += 2) {
            assert_int_equal(vx_fair_pool_submit(pool, patterned_id(pattern, i), count_up, NULL, &ran), VX_OK);
            assert_int_equal(vx_fair_pool_submit(pool, patterned_id(pattern, i), count_up, NULL, &ran), VX_ERR_LIMIT);
        }
        open_gate(&second);
        await_idle(pool);
        assert_int_equal(vx_fair_pool_clients(pool), 0);
        vx_fair_pool_destroy(pool);
        assert_int_equal(atomic_load(&ran), N_TASKS);
    }
}

/* ---- shutdown ---------------------------------------------------------------------------------------------------- */

static void destroy_runs_what_was_taken(void **state)
{
    (void)state;
    enum { QUEUED = 500 };
    gate g = GATE_CLOSED;
    atomic_int ran = 0;
    vx_fair_pool *pool = new_pool(2, QUEUED, 0);
    assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &g), VX_OK);
    assert_int_equal(vx_fair_pool_submit(pool, GATEKEEPER, wait_at_gate, NULL, &g), VX_OK);
    await_inside(&g, 2);
    for (uint64_t i = 0; i < QUEUED; i++)
        assert_int_equal(vx_fair_pool_submit(pool, i % 7, count_up, NULL, &ran), VX_OK);
    assert_int_equal(atomic_load(&ran), 0);
    open_gate(&g);
    vx_fair_pool_destroy(pool);
    assert_int_equal(atomic_load(&ran), QUEUED);
    vx_fair_pool_destroy(NULL);
    vx_fair_pool_destroy(new_pool(3, 0, 1));
}

typedef struct {
    vx_fair_pool *pool;
    atomic_int *ran;
    vx_err last;
} late_task;

/* Submits until the pool refuses for good: it runs while another thread destroys the pool. */
static void submit_until_closed(void *arg, int worker)
{
    (void)worker;
    late_task *late = arg;
    do
        late->last = vx_fair_pool_submit(late->pool, 8, count_up, NULL, late->ran);
    while (late->last != VX_ERR_CLOSED && sched_yield() == 0);
}

static void closed_while_shutting_down(void **state)
{
    (void)state;
    atomic_int ran = 0;
    vx_fair_pool *pool = new_pool(1, 4, 0);
    late_task late = {.pool = pool, .ran = &ran};
    assert_int_equal(vx_fair_pool_submit(pool, 9, submit_until_closed, NULL, &late), VX_OK);
    while (vx_fair_pool_waiting(pool) < 4)
        sched_yield();
    vx_fair_pool_destroy(pool);
    assert_int_equal(late.last, VX_ERR_CLOSED);
    assert_int_equal(atomic_load(&ran), 4);
}

/* ---- many submitters --------------------------------------------------------------------------------------------- */

enum { N_SUBMITTERS = 5, N_EACH = 800, N_WORKERS = 3, N_CLIENTS_SHARED = 9, PER_CLIENT = 2 };

typedef struct crowd crowd;
typedef struct {
    crowd *owner;
    atomic_int at_work, ran;
} shared_client;

struct crowd {
    vx_fair_pool *pool;
    uint64_t seed;
    atomic_uint_fast64_t next_stream;
    atomic_int n_taken, n_over; /* n_over: times more than PER_CLIENT ran at once */
    int per_worker[N_WORKERS];  /* without atomics: each worker may touch only its own, which ThreadSanitizer checks */
    shared_client clients[N_CLIENTS_SHARED];
};

static void work_for_client(void *arg, int worker)
{
    shared_client *client = arg;
    if (atomic_fetch_add(&client->at_work, 1) >= PER_CLIENT)
        atomic_fetch_add(&client->owner->n_over, 1);
    client->owner->per_worker[worker]++;
    sched_yield();
    atomic_fetch_add(&client->ran, 1);
    atomic_fetch_sub(&client->at_work, 1);
}

static void *submit_many(void *arg)
{
    crowd *c = arg;
    uint64_t random = c->seed + atomic_fetch_add(&c->next_stream, 1);
    for (int i = 0; i < N_EACH;) {
        uint64_t id = stats_random(&random) % N_CLIENTS_SHARED;
        vx_err err = vx_fair_pool_submit(c->pool, id, work_for_client, NULL, &c->clients[id]);
        if (err == VX_OK) {
            atomic_fetch_add(&c->n_taken, 1);
            i++;
        } else if (err == VX_ERR_BUSY || err == VX_ERR_LIMIT) {
            sched_yield();
        } else {
            break;
        }
    }
    return NULL;
}

static void many_submitters_lose_nothing(void **state)
{
    (void)state;
    crowd c = {.pool = new_pool(N_WORKERS, 7, PER_CLIENT), .seed = 20240611};
    print_message("# seed %llu\n", (unsigned long long)c.seed);
    for (int i = 0; i < N_CLIENTS_SHARED; i++)
        c.clients[i].owner = &c;
    pthread_t threads[N_SUBMITTERS];
    for (int i = 0; i < N_SUBMITTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &c), 0);
    for (int i = 0; i < N_SUBMITTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    await_idle(c.pool);
    assert_int_equal(vx_fair_pool_clients(c.pool), 0);
    vx_fair_pool_destroy(c.pool);

    int by_client = 0, by_worker = 0;
    for (int i = 0; i < N_CLIENTS_SHARED; i++)
        by_client += atomic_load(&c.clients[i].ran);
    for (int i = 0; i < N_WORKERS; i++)
        by_worker += c.per_worker[i];
    assert_int_equal(by_client, N_SUBMITTERS * N_EACH);
    assert_int_equal(by_worker, by_client);
    assert_int_equal(atomic_load(&c.n_taken), by_client);
    assert_int_equal(atomic_load(&c.n_over), 0);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    vx_fair_pool *const mark = (vx_fair_pool *)&mark;
    vx_fair_pool *pool = mark;
    assert_int_equal(vx_fair_pool_create(0, 1, 0, &pool), VX_ERR_ARG);
    assert_int_equal(vx_fair_pool_create(-1, 1, 0, &pool), VX_ERR_ARG);
    assert_int_equal(vx_fair_pool_create(1, SIZE_MAX, 0, &pool), VX_ERR_ARG);
    assert_ptr_equal(pool, mark);
}

static vx_err create_once(void *ctx)
{
    (void)ctx;
    vx_fair_pool *const mark = (vx_fair_pool *)&mark;
    vx_fair_pool *pool = mark;
    vx_err err = vx_fair_pool_create(2, 8, 1, &pool);
    if (err == VX_OK)
        vx_fair_pool_destroy(pool);
    else
        assert_ptr_equal(pool, mark);
    return err;
}

typedef struct {
    vx_fair_pool *pool;
    atomic_int ran, expected;
} submission;

/* Two tasks of a client unknown so far: a refused one leaves no record and no token behind. */
static vx_err submit_twice(void *ctx)
{
    submission *s = ctx;
    for (int i = 0; i < 2; i++) {
        vx_err err = vx_fair_pool_submit(s->pool, 5, count_up, NULL, &s->ran);
        if (err != VX_OK)
            return err;
        atomic_fetch_add(&s->expected, 1);
        await_idle(s->pool);
        assert_int_equal(vx_fair_pool_clients(s->pool), 0);
    }
    return VX_OK;
}

static void failed_allocations_are_reported(void **state)
{
    (void)state;
    vx_alloc_fail_each(create_once, NULL);
    submission s = {.pool = new_pool(1, 4, 0)};
    vx_alloc_fail_each(submit_twice, &s);
    assert_int_equal(vx_fair_pool_clients(s.pool), 0);
    vx_fair_pool_destroy(s.pool);
    assert_int_equal(atomic_load(&s.ran), atomic_load(&s.expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_take_turns),
        cmocka_unit_test(a_crowd_from_one_delays_others_little),
        cmocka_unit_test(who_comes_back_waits_his_turn),
        cmocka_unit_test(busy_exactly_at_capacity),
        cmocka_unit_test(limit_counts_waiting_and_running),
        cmocka_unit_test(what_follows_a_task_counts_no_more),
        cmocka_unit_test(records_return_to_none),
        cmocka_unit_test(destroy_runs_what_was_taken),
        cmocka_unit_test(closed_while_shutting_down),
        cmocka_unit_test(many_submitters_lose_nothing),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(failed_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
