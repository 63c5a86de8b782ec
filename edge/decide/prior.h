/* prior.h - what is believed before anybody speaks, and how outcomes move it.
 * Owns:   the step and its bounds. Does not: store.
 */
#ifndef VX_EDGE_DECIDE_PRIOR_H
#define VX_EDGE_DECIDE_PRIOR_H

#include <stdbool.h>

#define VX_PRIOR_LEAST 0.05
#define VX_PRIOR_MOST  0.95

/* The prior after one verified outcome: 1 % of the way to 1 (it was the owner: unlocked and confirmed) or to 0 (it was
 * not: an alert that the owner confirmed), within [VX_PRIOR_LEAST, VX_PRIOR_MOST]. A prior that is not finite or out of
 * bounds is the unlearned one. */
double vx_prior_after(double prior, bool owner);

#endif
