/* lpc.h - linear prediction: the all-pole filter behind an autocorrelation, and its poles.
 * Owns:   the recursion and the root finder. Does not: window, pre-emphasise, or call a pole a formant (formants.c).
 */
#ifndef VX_EDGE_PAVA_LPC_H
#define VX_EDGE_PAVA_LPC_H

#include <stdbool.h>

enum { VX_LPC_MAX = 24 /* highest order */ };

/* Predictor of least error by Levinson and Durbin.
 * r         [in]  [order + 1] autocorrelation; order is 1 to VX_LPC_MAX
 * ret_a     [out] [order + 1] ret_a[0] = 1; a polynomial with its zeros within the unit circle
 * ret_error [out] power of what cannot be predicted, over r[0]: 0 to 1
 * False, with both untouched, when r is the autocorrelation of no signal, or of one that can be predicted exactly
 * (silence, DC, a pure tone): then there is no filter to speak of. */
bool vx_lpc_solve(const double *r, int order, double *ret_a, double *ret_error);

/* The zeros of 1 + a[1] z^-1 + ... + a[order] z^-order that lie above the real axis, by rising angle.
 * a      [in]  [order + 1] finite, a[0] = 1
 * ret_re [out] [order / 2], and ret_im; as many as are returned hold a zero
 * Returns their number, -1 when the search did not converge: then nothing is known of them.
 * Source Laguerre's method with deflation, each zero polished on the whole polynomial (J. H. Wilkinson, Rounding Errors
 *        in Algebraic Processes, 1963, chapter 2: deflate from the smallest zero upwards). */
int vx_lpc_poles(const double *a, int order, double *ret_re, double *ret_im);

#endif
