/* pool.h - a fixed set of worker threads behind a bounded queue.
 * Owns:   threads and queue. Does not: know deadlines or what a task is.
 */
#ifndef VX_BASE_POOL_H
#define VX_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

typedef struct vx_pool vx_pool;
/* A task. worker is the index of the running thread, 0 .. n_workers - 1. */
typedef void vx_task_fn(void *arg, int worker);

/* n_workers threads (at least 1) and room for queue_cap waiting tasks (0: a task is taken only by an idle worker).
 * Threads get a 1 MiB stack and block all signals but those a fault raises (SIGSEGV, SIGBUS, ...). Where the OS refuses
 * some of the threads, the pool runs with those it got. Errors: NOMEM, ARG, INTERNAL (no thread could be started). */
VX_MUST_CHECK vx_err vx_pool_create(int n_workers, size_t queue_cap, vx_pool **ret_pool);
/* Queues a task; never blocks. Errors: BUSY (queue full), CLOSED. The task has then not been taken.
 * Threads: any. First in, first out. */
VX_MUST_CHECK vx_err vx_pool_submit(vx_pool *pool, vx_task_fn *fn, void *arg);
/* Tasks waiting, and tasks running, at this moment. */
size_t vx_pool_waiting(vx_pool *pool);
size_t vx_pool_running(vx_pool *pool);
/* Threads that run. */
int vx_pool_workers(const vx_pool *pool);
/* Refuses new tasks, runs those already taken to their end, joins the threads and frees. NULL is fine. */
void vx_pool_destroy(vx_pool *pool);

#endif
