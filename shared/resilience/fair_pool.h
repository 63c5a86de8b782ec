/* fair_pool.h - a worker pool whose queue is shared fairly: who sends much waits behind himself, not before others.
 * Owns:   a queue for each client that has something waiting, served in turn. Does not: know who a client is, or run
 *         threads of its own (pool.h does).
 */
#ifndef VX_RESILIENCE_FAIR_POOL_H
#define VX_RESILIENCE_FAIR_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/pool.h"

typedef struct vx_fair_pool vx_fair_pool;

/* n_workers threads; at most queue_cap tasks wait in all, and at most per_client wait or run for one client (0: no such
 * limit). Errors: NOMEM, ARG, INTERNAL. */
VX_MUST_CHECK vx_err vx_fair_pool_create(int n_workers, size_t queue_cap, size_t per_client, vx_fair_pool **ret_pool);
/* Queues a task for a client (any 64-bit hash of who it is). Never blocks. Tasks of one client run in the order in
 * which they came; clients take turns.
 * fn    runs on a worker
 * then  follows fn on the same thread when the task no longer counts against its client; may be NULL. What tells the
 *       client that it is done belongs here: told any earlier, its next task may meet a limit that it is not at
 * Errors   BUSY (the queue is full), LIMIT (this client has as many as it may), CLOSED, NOMEM. The task has then not
 *          been taken
 * Threads  any. O(1) */
VX_MUST_CHECK vx_err vx_fair_pool_submit(vx_fair_pool *pool, uint64_t client_id, vx_task_fn *fn, vx_task_fn *then,
                                         void *arg);
size_t vx_fair_pool_waiting(vx_fair_pool *pool);
size_t vx_fair_pool_running(vx_fair_pool *pool);
size_t vx_fair_pool_clients(vx_fair_pool *pool); /* clients with something waiting or running */
int vx_fair_pool_workers(const vx_fair_pool *pool);
/* Refuses new tasks, runs those taken to their end, joins, frees. NULL is fine. */
void vx_fair_pool_destroy(vx_fair_pool *pool);

#endif
