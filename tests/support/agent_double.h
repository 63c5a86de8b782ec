/* agent_double.h - an agent that hears nobody: answers as a test tells it, and remembers what it was asked.
 * Owns:   the calls of edge/agent/agent.h. Does not: listen on a socket.
 */
#ifndef VX_TESTS_AGENT_DOUBLE_H
#define VX_TESTS_AGENT_DOUBLE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "edge/agent/agent.h"

/* All-zero: REJECT at once, without a word. */
typedef struct {
    const char *says[3];
    const char *verdict;  /* NULL: "REJECT" */
    const char *sentence; /* NULL: "Not you." */
    bool may_unlock;
    bool waits;     /* until nobody waits for the answer */
    bool no_memory; /* answers NULL */
} agent_script;

typedef struct {
    agent_script script;
    atomic_int n_unlocks, n_for_pam, n_status, n_reloads;
    atomic_int n_waiting; /* now, in an unlock that waits */
    atomic_int n_gone;    /* unlocks that saw that nobody waited any more */
} agent_double;

/* arg is the double; borrowed for as long as the calls are used. */
vx_agent_calls agent_double_calls(agent_double *d);

#endif
