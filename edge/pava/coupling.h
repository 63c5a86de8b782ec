/* coupling.h - do pitch and resonances belong to one throat, and do they move as one?
 * Owns:   measures of the relation between F0 and the formants, and of how the formants behave. Does not: judge; what the
 *         measures mean is learned from voices that were converted.
 * Source: larynx and tract grow together (W. T. Fitch, J. Giedd, Morphology and development of the human vocal tract,
 *         1999), so that who shifts the one and not the other leaves the crowd of living people.
 */
#ifndef VX_EDGE_PAVA_COUPLING_H
#define VX_EDGE_PAVA_COUPLING_H

#include "edge/pava/formants.h"

typedef struct {
    double pitch_excess;     /* ln F0 (median) beyond what people with these formants speak at; they deviate by 0.21 */
    double pitch_range;      /* deviation of ln F0, robust */
    double follow[3];        /* correlation of the movements of F0 over 50 ms with those of F1, F2, F3: -1 to 1 */
    double bandwidth_hz[3];  /* of F1, F2, F3: medians */
    double bandwidth_spread; /* octaves between 20th and 80th percentile of a bandwidth, mean of F1 to F3 */
    double bent;             /* share of frames whose F2 / F1 or F3 / F2 is that of two in a hundred frames of people */
    double unsteady;         /* |ln| of the ratio of a formant to itself 10 ms before: medians, mean of F1 to F3 */
    double tracked;          /* share of the voiced frames that have F1 to F3 */
} vx_coupling;

/* Every number is finite. pitch, formants [in] of the same recording.
 * Errors: NOT_FOUND (fewer than 25 movements of 50 ms can be followed), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_coupling_measure(const vx_pitch *pitch, const vx_formants *formants, vx_coupling *ret,
                                         vx_errinfo *info);

#endif
