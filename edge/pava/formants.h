/* formants.h - resonances of the vocal tract over time, from linear prediction.
 * Owns:   prediction, its poles, the path of F1 to F4 through them, checks of bandwidth. Does not: infer a length
 *         (tract.h).
 */
#ifndef VX_EDGE_PAVA_FORMANTS_H
#define VX_EDGE_PAVA_FORMANTS_H

#include <stddef.h>

#include "edge/pava/pitch.h"

enum { VX_FORMANTS = 4, VX_LPC_MAX = 24 };

/* Linear prediction by Levinson and Durbin. r [in] [order + 1] autocorrelation, r[0] > 0; ret_a [out] [order + 1],
 * ret_a[0] = 1, a polynomial with its zeros within the unit circle. False when r is none of a signal. */
bool vx_lpc_solve(const double *r, int order, double *ret_a, double *ret_error);
/* The zeros of 1 + a[1] z^-1 + ... in the upper half plane, by angle.
 * Returns their number, at most order / 2; -1 when the search did not converge. */
int vx_lpc_poles(const double *a, int order, double *ret_re, double *ret_im);

typedef struct {
    size_t n_frames;
    float (*hz)[VX_FORMANTS];        /* [n_frames] 0: not found in this frame */
    float (*bandwidth)[VX_FORMANTS]; /* Hz */
    size_t n_tracked;                /* voiced frames that have F1 to F3 at least */
} vx_formants;

/* Errors: NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_formants_track(const float *samples, size_t n, const vx_pitch *pitch, vx_formants *ret);
void vx_formants_done(vx_formants *formants);

#endif
