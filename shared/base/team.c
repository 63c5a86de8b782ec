/* team.c - fork-join with a barrier that spins for a moment and then gives way.
 * A network pass meets about forty times in a few milliseconds, so sleeping at each barrier would cost more than the
 * work between two. Between runs members sleep on a condition variable and cost nothing.
 */
#include "shared/base/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "shared/base/cores.h"

/* About 20 microseconds of pauses: longer than members of one pass are apart on a machine with a core for each. */
enum { SPINS = 1000 };
enum { MAX_SIZE = 256 };

struct member {
    vx_team *team;
    pthread_t thread;
    int rank;
    atomic_int core; /* where it began this run; -1: it has not yet */
};

struct vx_team {
    int size;
    int started; /* threads that exist, for destroy of a half-built team */

    pthread_mutex_t lock; /* guards round, stop, fn, arg */
    pthread_cond_t wake;
    unsigned round; /* counts runs; a change starts one */
    bool stop;
    vx_team_fn *fn;
    void *arg;

    atomic_int arrived;
    atomic_uint generation; /* counts barriers passed */
    struct member members[];
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void vx_team_barrier(vx_team *team)
{
    unsigned generation = atomic_load_explicit(&team->generation, memory_order_acquire);
    if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) + 1 == team->size) {
        atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&team->generation, 1, memory_order_release);
        return;
    }
    for (int i = 0; atomic_load_explicit(&team->generation, memory_order_acquire) == generation; i++) {
        if (i < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
}

/* A member that woke on another's core goes to a free one. It looks again after each move: of two that moved at the same
 * moment the later one to say where it is sees the other. */
static void spread_out(vx_team *team, struct member *self)
{
    int taken[MAX_SIZE];
    for (int tries = 0; tries < team->size; tries++) {
        const int here = vx_core_here();
        bool together = false;
        atomic_store(&self->core, here);
        for (int i = 0; i < team->size; i++) {
            taken[i] = &team->members[i] == self ? -1 : atomic_load(&team->members[i].core);
            together |= here >= 0 && taken[i] == here;
        }
        if (!together || !vx_core_leave(taken, (size_t)team->size))
            return;
    }
}

static void *member_main(void *arg)
{
    struct member *self = arg;
    vx_team *team = self->team;
    unsigned seen = 0;
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (!team->stop && team->round == seen)
            pthread_cond_wait(&team->wake, &team->lock);
        if (team->stop)
            break;
        seen = team->round;
        vx_team_fn *fn = team->fn;
        void *fn_arg = team->arg;
        pthread_mutex_unlock(&team->lock);
        spread_out(team, self);
        fn(fn_arg, self->rank);
        vx_team_barrier(team);
        pthread_mutex_lock(&team->lock);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

vx_err vx_team_create(int size, vx_team **ret_team)
{
    if (size < 1 || size > MAX_SIZE)
        return VX_ERR_ARG;
    vx_team *team = calloc(1, sizeof *team + (size_t)size * sizeof *team->members);
    if (!team)
        return VX_ERR_NOMEM;
    team->size = size;
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);

    /* Signals belong to the program's own threads. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    vx_err err = VX_OK;
    for (int rank = 1; rank < size && err == VX_OK; rank++) {
        struct member *m = &team->members[rank];
        *m = (struct member){.team = team, .rank = rank};
        if (pthread_create(&m->thread, NULL, member_main, m) != 0)
            err = VX_ERR_INTERNAL;
        else
            team->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err != VX_OK) {
        vx_team_destroy(team);
        return err;
    }
    *ret_team = team;
    return VX_OK;
}

void vx_team_destroy(vx_team *team)
{
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->stop = true;
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->lock);
    for (int i = 1; i <= team->started; i++)
        pthread_join(team->members[i].thread, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->lock);
    free(team);
}

int vx_team_size(const vx_team *team)
{
    return team->size;
}

void vx_team_run(vx_team *team, vx_team_fn *fn, void *arg)
{
    if (team->size > 1) {
        pthread_mutex_lock(&team->lock);
        team->fn = fn;
        team->arg = arg;
        team->round++;
        for (int rank = 1; rank < team->size; rank++)
            atomic_store(&team->members[rank].core, -1);
        atomic_store(&team->members[0].core, vx_core_here());
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->lock);
        /* Members that woke on this core get it for the moment in which they leave it. */
        sched_yield();
    }
    fn(arg, 0);
    vx_team_barrier(team);
}
