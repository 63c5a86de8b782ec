/* prior.c - one step of the prior. */
#include "edge/decide/prior.h"

#include <math.h>

#include "edge/decide/decide.h"

#define STEP 0.01

double vx_prior_after(double prior, bool owner)
{
    if (!(prior >= VX_PRIOR_LEAST && prior <= VX_PRIOR_MOST)) /* NaN, too */
        prior = VX_DECIDE_PRIOR;
    prior += STEP * ((owner ? 1 : 0) - prior);
    return fmin(fmax(prior, VX_PRIOR_LEAST), VX_PRIOR_MOST);
}
