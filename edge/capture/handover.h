/* handover.h - blocks of a device from the thread that the system calls back on to the thread that reads.
 * Owns:   the samples between the two. Does not: know a sound system.
 */
#ifndef VX_EDGE_CAPTURE_HANDOVER_H
#define VX_EDGE_CAPTURE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"

typedef struct vx_handover vx_handover;

/* Room for cap samples. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_handover_create(size_t cap, vx_handover **ret_handover);
/* NULL is fine. Wipes. Not while somebody uses it. */
void vx_handover_destroy(vx_handover *handover);

/* Gives n samples; those that find no room are lost, all of them, and the next taking says so. From the system's thread: waits only for a
 * copy under way. */
void vx_handover_put(vx_handover *handover, const float *samples, size_t n);
/* Wakes whoever waits: there is news. */
void vx_handover_wake(vx_handover *handover);
/* Up to cap samples, a whole number of `frame` of them; waits until there is one frame, or news, or due_ns.
 * ret_gap [out] some were lost since the last time
 * Returns samples taken */
size_t vx_handover_take(vx_handover *handover, float *ret_samples, size_t cap, size_t frame, uint64_t due_ns,
                        bool *ret_gap);

#endif
