/* tract.h - length of the vocal tract from its resonances.
 * Owns:   the regression. Does not: know what length this speaker had before (layer_physics.c).
 * Source: a tube closed at one end resonates at F[n] = (2n - 1) c / 4L, c = 34,300 cm/s. One vowel is no such tube; over
 *         many the deviations average out (A. Lammert, S. Narayanan: On short-time estimation of vocal tract length from
 *         formant frequencies, 2015: higher formants deviate less).
 */
#ifndef VX_EDGE_PAVA_TRACT_H
#define VX_EDGE_PAVA_TRACT_H

#include "edge/pava/formants.h"

#define VX_TRACT_MIN_CM 12.0 /* of adults */
#define VX_TRACT_MAX_CM 20.0

typedef struct {
    double length_cm;               /* acoustic: it ends a little beyond the lips */
    double spread_cm;               /* standard deviation to expect of length_cm between recordings of one speaker */
    size_t n_frames;                /* that it rests on */
    double formant_hz[VX_FORMANTS]; /* medians; 0 of a formant that was not found */
} vx_tract;

/* ln of the length, cm, that one frame's formants fit best, whatever it is. False where F1, F2 or F3 is missing. */
bool vx_tract_of_frame(const float hz[VX_FORMANTS], double *ret_log_cm);

/* Errors: NOT_FOUND (too few frames with formants; formants that fit tracts of two lengths alike; or what comes out is no
 * adult's: then nothing is known, and info says which), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_tract_measure(const vx_formants *formants, vx_tract *ret, vx_errinfo *info);

#endif
