/* cores.h - keeps threads that work side by side for a few milliseconds on cores of their own.
 * Owns:   moving the calling thread. Does not: pin; where the scheduler wants a thread afterwards is its own affair.
 *
 * Linux likes to wake a thread on the core of the one that woke it, which here goes on working. The scheduler's balance
 * mends that at its next tick, some milliseconds later: longer than most embeddings take.
 */
#ifndef VX_BASE_CORES_H
#define VX_BASE_CORES_H

#include <stdbool.h>
#include <stddef.h>

/* The core that the calling thread is on at this moment; -1 where the system does not tell. */
int vx_core_here(void);
/* Moves the calling thread to a core that it may use and that is none of `taken`, idle or not. False where there is none,
 * where the system refuses, and on other systems than Linux: then it stays.
 * It does so by the thread's scheduling mask, which is put back. A mask that somebody else gives the thread in the same
 * microseconds is lost, and from then on the thread has a mask of its own: cores that its container gets later are not
 * for it.
 * taken [in] n cores; numbers below 0 are none */
bool vx_core_leave(const int *taken, size_t n);

#endif
