/* cores.c - the calling thread's core, by the scheduling mask. */
#include "shared/base/cores.h"

#if defined(__linux__)
#include <sched.h>

int vx_core_here(void)
{
    return sched_getcpu();
}

bool vx_core_leave(const int *taken, size_t n)
{
    /* The mask of more than CPU_SETSIZE cores does not fit, and such a thread stays where it is. */
    cpu_set_t allowed, free_cores;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return false;
    free_cores = allowed;
    for (size_t i = 0; i < n; i++)
        if (taken[i] >= 0 && taken[i] < CPU_SETSIZE)
            CPU_CLR((size_t)taken[i], &free_cores);
    /* A mask without the core that a thread is on moves it at once. */
    if (CPU_COUNT(&free_cores) == 0 || sched_setaffinity(0, sizeof free_cores, &free_cores) != 0)
        return false;
    /* Refused only while the container's cores change, which is over by the next attempt. */
    if (sched_setaffinity(0, sizeof allowed, &allowed) != 0)
        (void)sched_setaffinity(0, sizeof allowed, &allowed);
    return true;
}

#else

int vx_core_here(void)
{
    return -1;
}

bool vx_core_leave(const int *taken, size_t n)
{
    (void)taken;
    (void)n;
    return false;
}

#endif
