/* pool.c - worker threads behind a bounded first-in-first-out ring.
 * Owns:   threads, ring, and the one lock. Does not: cancel tasks or grow.
 */
#include "shared/base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "shared/base/bytes.h"

/* glibc takes thread-local storage out of the stack, and GCC's ThreadSanitizer keeps more than 700 KiB there. */
#if defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)2 << 20)
#else
#define STACK_BYTES ((size_t)1 << 20)
#endif

typedef struct {
    vx_task_fn *fn;
    void *arg;
} task;

typedef struct {
    vx_pool *pool;
    pthread_t thread;
    int index;
} worker;

struct vx_pool {
    pthread_mutex_t lock;     /* guards the fields down to `closing` */
    pthread_cond_t work_come; /* a task was queued, or closing was set */
    task *ring;               /* [cap], room for all threads asked for */
    size_t head;              /* oldest waiting task */
    size_t n_waiting;
    size_t n_running;
    bool closing;

    /* Constant once create has returned. */
    size_t cap;    /* tasks in the house, waiting and running together */
    int n_workers; /* threads that started */
    worker *workers;
};

/* Called with the lock held. */
static task take_oldest(vx_pool *pool)
{
    task oldest = pool->ring[pool->head];
    pool->head = (pool->head + 1) % pool->cap;
    pool->n_waiting--;
    pool->n_running++;
    return oldest;
}

static void *worker_main(void *arg)
{
    const worker *self = arg;
    vx_pool *pool = self->pool;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->n_waiting == 0 && !pool->closing)
            pthread_cond_wait(&pool->work_come, &pool->lock);
        if (pool->n_waiting == 0)
            break;
        task next = take_oldest(pool);
        pthread_mutex_unlock(&pool->lock);
        next.fn(next.arg, self->index);
        pthread_mutex_lock(&pool->lock);
        pool->n_running--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Everything but the signals that a fault raises in the thread itself: blocked, those would end the process without
 * the report of a crash handler or sanitizer. */
static void signals_to_block(sigset_t *ret_set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigfillset(ret_set);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(ret_set, faults[i]);
}

/* Starts up to n threads and counts those that run in pool->n_workers. They inherit the mask of their creator, so it
 * is blocked before they exist: a signal in between would otherwise land on a worker. */
static void start_threads(vx_pool *pool, int n)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return;
    sigset_t block, before;
    signals_to_block(&block);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    if (pthread_attr_setstacksize(&attr, STACK_BYTES) == 0) {
        for (; pool->n_workers < n; pool->n_workers++) {
            worker *next = &pool->workers[pool->n_workers];
            *next = (worker){.pool = pool, .index = pool->n_workers};
            if (pthread_create(&next->thread, &attr, worker_main, next) != 0)
                break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

static void free_pool(vx_pool *pool)
{
    free(pool->ring);
    free(pool->workers);
    free(pool);
}

/* The pool's memory and lock, no thread yet. A task is refused when cap are in the house: with every worker idle that
 * is one for each of them and queue_cap behind; a task that no worker has woken up for yet takes no queue room. */
static vx_err alloc_pool(int n_workers, size_t queue_cap, vx_pool **ret_pool)
{
    size_t cap, ring_bytes;
    if (!vx_size_add(queue_cap, (size_t)n_workers, &cap) || !vx_size_mul(cap, sizeof(task), &ring_bytes))
        return VX_ERR_ARG;
    vx_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return VX_ERR_NOMEM;

    vx_err err = VX_ERR_NOMEM;
    pool->cap = cap;
    pool->ring = malloc(ring_bytes);
    pool->workers = calloc((size_t)n_workers, sizeof *pool->workers);
    if (pool->ring == NULL || pool->workers == NULL)
        goto out;
    if (pthread_mutex_init(&pool->lock, NULL) != 0)
        goto out;
    if (pthread_cond_init(&pool->work_come, NULL) != 0) {
        pthread_mutex_destroy(&pool->lock);
        goto out;
    }
    *ret_pool = pool;
    return VX_OK;
out:
    free_pool(pool);
    return err;
}

vx_err vx_pool_create(int n_workers, size_t queue_cap, vx_pool **ret_pool)
{
    if (n_workers < 1)
        return VX_ERR_ARG;
    vx_pool *pool;
    vx_err err = alloc_pool(n_workers, queue_cap, &pool);
    if (err != VX_OK)
        return err;
    start_threads(pool, n_workers);
    if (pool->n_workers == 0) {
        vx_pool_destroy(pool);
        return VX_ERR_INTERNAL;
    }
    pool->cap = queue_cap + (size_t)pool->n_workers; /* no worker reads it before the first task */
    *ret_pool = pool;
    return VX_OK;
}

vx_err vx_pool_submit(vx_pool *pool, vx_task_fn *fn, void *arg)
{
    vx_err err = VX_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->closing) {
        err = VX_ERR_CLOSED;
    } else if (pool->n_waiting + pool->n_running >= pool->cap) {
        err = VX_ERR_BUSY;
    } else {
        pool->ring[(pool->head + pool->n_waiting) % pool->cap] = (task){.fn = fn, .arg = arg};
        pool->n_waiting++;
        pthread_cond_signal(&pool->work_come);
    }
    pthread_mutex_unlock(&pool->lock);
    return err;
}

size_t vx_pool_waiting(vx_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_waiting;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

size_t vx_pool_running(vx_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_running;
    pthread_mutex_unlock(&pool->lock);
    return n;
}

int vx_pool_workers(const vx_pool *pool)
{
    return pool->n_workers;
}

void vx_pool_destroy(vx_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work_come);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_workers; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->work_come);
    pthread_mutex_destroy(&pool->lock);
    free_pool(pool);
}
