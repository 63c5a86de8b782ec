/* fair_pool.c - clients in turn, on top of a pool that knows no clients.
 * Owns:   which task is next. Does not: have threads, or a bound on the queue of its own.
 *
 * For each task the pool is given one token, all of them the same: the worker that runs it takes the next task of the
 * next client. So the pool's bound and its shutdown hold for ours too. Lock order: this lock, then the pool's.
 */
#include "shared/resilience/fair_pool.h"

#include <pthread.h>
#include <stdlib.h>

/* One bucket for each task that can wait, but no more than 2^16 of them (512 KiB). */
#define MAX_BUCKET_BITS 16

typedef struct task {
    struct task *next; /* of the same client */
    vx_task_fn *fn, *then;
    void *arg;
} task;

/* A client who has something waiting or running. */
typedef struct client {
    struct client *next;      /* in the same bucket */
    struct client *next_turn; /* who is served after this one */
    uint64_t id;
    size_t n_tasks;        /* waiting and running */
    task *oldest, *latest; /* waiting; with any, the client is in the list of turns */
} client;

struct vx_fair_pool {
    pthread_mutex_t lock;           /* guards the fields down to `n_clients`, and what they point to */
    client **buckets;               /* [1 << bucket_bits] */
    client *first_turn, *last_turn; /* clients with something waiting, in the order of service */
    size_t n_clients;

    /* Constant once create has returned. */
    vx_pool *workers;
    size_t per_client; /* SIZE_MAX: no limit */
    unsigned bucket_bits;
};

/* ---- called with the lock held ----------------------------------------------------------------------------------- */

/* The link that points to the client of that id, or the one at the end of his bucket. Multiplying by 2^64 over the
 * golden ratio spreads ids that count up; whoever crafts ids that meet is stopped by the queue's bound, since only
 * clients with a task here have a record. */
static client **client_link(const vx_fair_pool *pool, uint64_t id)
{
    client **link = &pool->buckets[id * 0x9e3779b97f4a7c15u >> (64 - pool->bucket_bits)];
    while (*link != NULL && (*link)->id != id)
        link = &(*link)->next;
    return link;
}

static void join_turns(vx_fair_pool *pool, client *c)
{
    c->next_turn = NULL;
    if (pool->first_turn == NULL)
        pool->first_turn = c;
    else
        pool->last_turn->next_turn = c;
    pool->last_turn = c;
}

static void add_task(vx_fair_pool *pool, client *c, task *t)
{
    c->n_tasks++;
    if (c->oldest != NULL) {
        c->latest->next = t;
    } else {
        c->oldest = t;
        join_turns(pool, c);
    }
    c->latest = t;
}

/* There is one: tokens and waiting tasks are equally many. */
static task *take_task(vx_fair_pool *pool, client **ret_client)
{
    client *c = pool->first_turn;
    task *t = c->oldest;
    pool->first_turn = c->next_turn;
    c->oldest = t->next;
    if (c->oldest != NULL)
        join_turns(pool, c);
    *ret_client = c;
    return t;
}

static void end_task(vx_fair_pool *pool, client *c)
{
    if (--c->n_tasks > 0)
        return;
    *client_link(pool, c->id) = c->next;
    pool->n_clients--;
    free(c);
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static void run_next_task(void *arg, int worker)
{
    vx_fair_pool *pool = arg;
    client *c;
    pthread_mutex_lock(&pool->lock);
    task *t = take_task(pool, &c);
    pthread_mutex_unlock(&pool->lock);

    t->fn(t->arg, worker);

    pthread_mutex_lock(&pool->lock);
    end_task(pool, c);
    pthread_mutex_unlock(&pool->lock);

    if (t->then != NULL)
        t->then(t->arg, worker);
    free(t);
}

/* ---- public functions -------------------------------------------------------------------------------------------- */

vx_err vx_fair_pool_create(int n_workers, size_t queue_cap, size_t per_client, vx_fair_pool **ret_pool)
{
    vx_fair_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return VX_ERR_NOMEM;
    pool->per_client = per_client > 0 ? per_client : SIZE_MAX;
    pool->bucket_bits = 1;
    while (pool->bucket_bits < MAX_BUCKET_BITS && (size_t)1 << pool->bucket_bits < queue_cap)
        pool->bucket_bits++;

    vx_err err = VX_ERR_NOMEM;
    pool->buckets = calloc((size_t)1 << pool->bucket_bits, sizeof(client *));
    if (pool->buckets == NULL || pthread_mutex_init(&pool->lock, NULL) != 0)
        goto out;
    err = vx_pool_create(n_workers, queue_cap, &pool->workers);
    if (err != VX_OK) {
        pthread_mutex_destroy(&pool->lock);
        goto out;
    }
    *ret_pool = pool;
    return VX_OK;
out:
    free(pool->buckets);
    free(pool);
    return err;
}

vx_err vx_fair_pool_submit(vx_fair_pool *pool, uint64_t client_id, vx_task_fn *fn, vx_task_fn *then, void *arg)
{
    vx_err err = VX_ERR_NOMEM;
    client *new_client = NULL;
    task *t = malloc(sizeof *t);
    if (t == NULL)
        return err;
    *t = (task){.fn = fn, .then = then, .arg = arg};

    pthread_mutex_lock(&pool->lock);
    client **link = client_link(pool, client_id);
    client *c = *link;
    if (c == NULL) {
        c = new_client = calloc(1, sizeof *c);
        if (c == NULL)
            goto out;
        c->id = client_id;
    }
    if (c->n_tasks >= pool->per_client) {
        err = VX_ERR_LIMIT;
        goto out;
    }
    err = vx_pool_submit(pool->workers, run_next_task, pool); /* the worker that takes it waits for this lock */
    if (err != VX_OK)
        goto out;
    if (new_client != NULL) {
        *link = new_client;
        pool->n_clients++;
    }
    add_task(pool, c, t);
    new_client = NULL;
    t = NULL;
out:
    pthread_mutex_unlock(&pool->lock);
    free(new_client);
    free(t);
    return err;
}

size_t vx_fair_pool_waiting(vx_fair_pool *pool)
{
    return vx_pool_waiting(pool->workers);
}

size_t vx_fair_pool_running(vx_fair_pool *pool)
{
    return vx_pool_running(pool->workers);
}

size_t vx_fair_pool_clients(vx_fair_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_clients;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

int vx_fair_pool_workers(const vx_fair_pool *pool)
{
    return vx_pool_workers(pool->workers);
}

void vx_fair_pool_destroy(vx_fair_pool *pool)
{
    if (pool == NULL)
        return;
    vx_pool_destroy(pool->workers);
    pthread_mutex_destroy(&pool->lock);
    free(pool->buckets);
    free(pool);
}
