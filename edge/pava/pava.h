/* pava.h - is the voice that of a living throat in this room, or a machine's?
 * Owns:   the layers of anti-spoofing and their combination. Does not: know whose voice it is.
 *
 * This version measures nothing yet: every layer says inconclusive and why, so that no attempt gets beyond CHALLENGE.
 */
#ifndef VX_EDGE_PAVA_PAVA_H
#define VX_EDGE_PAVA_PAVA_H

#include <stddef.h>

#include "edge/types.h"

/* samples [in] n, 16 kHz mono, the whole recording with its room before and after the words. Never fails: what cannot be
 * judged is INCONCLUSIVE. Threads: any. */
void vx_pava_judge(const float *samples, size_t n, vx_evidence *ret_evidence);

#endif
