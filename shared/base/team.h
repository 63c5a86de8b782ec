/* team.h - a few threads that run one function together and meet at barriers.
 * Owns:   the threads between runs. Does not: queue or steal; that is pool.h.
 */
#ifndef VX_BASE_TEAM_H
#define VX_BASE_TEAM_H

#include "shared/base/err.h"

typedef struct vx_team vx_team;
/* rank is 0 .. size - 1; the caller of vx_team_run is rank 0. */
typedef void vx_team_fn(void *arg, int rank);

/* size members (1 .. 256), of which size - 1 are new threads that sleep until needed. Errors: ARG, NOMEM, INTERNAL. */
VX_MUST_CHECK vx_err vx_team_create(int size, vx_team **ret_team);
/* No run may be going on. NULL is fine. */
void vx_team_destroy(vx_team *team);
int vx_team_size(const vx_team *team);

/* Runs fn once in every member and returns when all have returned. One run at a time. Members that wake on one core move
 * apart (cores.h); the caller stays. */
void vx_team_run(vx_team *team, vx_team_fn *fn, void *arg);
/* Called by every member inside a run: returns when all have arrived; writes before it are seen after it. */
void vx_team_barrier(vx_team *team);

#endif
