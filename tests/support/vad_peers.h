/* vad_peers.h - other detectors of speech behind one interface, to measure vx_vad beside them in one run.
 * Owns:   an energy detector, a statistical one, and WebRTC's where its library is at hand. Does not: measure, or ship.
 */
#ifndef VX_TESTS_VAD_PEERS_H
#define VX_TESTS_VAD_PEERS_H

#include <stddef.h>
#include <stdint.h>

typedef struct vad_peer vad_peer;

typedef enum {
    VAD_PEER_ENERGY, /* dB over the floor, which falls at once and rises 4 dB a second */
    VAD_PEER_SOHN,   /* log likelihood ratio after a hidden Markov model of speech and pause */
    VAD_PEER_WEBRTC, /* 0 or 1 */
} vad_peer_kind;

/* library [in] path of a shared libfvad and mode 0 to 3, for WEBRTC only. NULL when the peer cannot be had. */
vad_peer *vad_peer_create(vad_peer_kind kind, int mode, const char *library);
void vad_peer_destroy(vad_peer *peer);
/* Scores of n_frames of 160 samples from a fresh start; higher is more like speech. */
void vad_peer_score(vad_peer *peer, const int16_t *samples, size_t n_frames, double *ret_scores);

#endif
