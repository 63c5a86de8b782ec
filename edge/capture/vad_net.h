/* vad_net.h - the probability that somebody speaks, from 25 ms of sound and what came before. For vad.c only.
 * Owns:   spectrum, features, the network and its state. Does not: decide, or keep samples.
 */
#ifndef VX_EDGE_CAPTURE_VAD_NET_H
#define VX_EDGE_CAPTURE_VAD_NET_H

#include "shared/base/err.h"

enum { VX_VAD_WINDOW = 400 }; /* samples */

typedef struct vx_vad_net vx_vad_net;

/* Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_vad_net_create(vx_vad_net **ret_net);
/* NULL is fine. */
void vx_vad_net_destroy(vx_vad_net *net);
/* Forgets everything, as after create. */
void vx_vad_net_reset(vx_vad_net *net);
/* window [in] VX_VAD_WINDOW samples, each call 10 ms on from the one before; finite, at most VX_AUDIO_PEAK_MAX
 * ret_power [out] mean square above 80 Hz, of this window
 * Returns the probability that there is speech VX_VAD_DELAY - 1 windows before this one. */
float vx_vad_net_push(vx_vad_net *net, const float *window, float *ret_power);

#endif
