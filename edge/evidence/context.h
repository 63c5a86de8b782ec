/* context.h - is this computer where, and as, its owner usually speaks to it?
 * Owns:   the places learned (network, sound device, dock), and the confidence they give. Does not: look at the system
 *         (surroundings.h), store.
 */
#ifndef VX_EDGE_EVIDENCE_CONTEXT_H
#define VX_EDGE_EVIDENCE_CONTEXT_H

#include "edge/types.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

enum { VX_PLACES_MAX = 32, VX_PLACE_KEY = 16 };

/* What can be seen of the place. Names are never kept, only keyed hashes of them. */
typedef struct {
    bool has_network;              /* false: offline, or the system does not tell */
    uint8_t network[VX_PLACE_KEY]; /* hash of the gateway's hardware address, or of the SSID */
    bool has_device;
    uint8_t device[VX_PLACE_KEY]; /* hash of the microphone's name */
    int displays;                 /* -1: unknown */
    double since_lock_s;          /* -1: unknown */
} vx_surroundings;

/* All-zero is no history. Plain data. */
typedef struct {
    uint32_t n;                 /* strong acceptances learned from */
    uint8_t salt[VX_PLACE_KEY]; /* of the hashes; set by vx_places_init */
    struct {
        uint8_t key[VX_PLACE_KEY];
        uint8_t kind;  /* 0 free, 1 network, 2 device, 3 number of displays */
        double weight; /* decayed count */
    } places[VX_PLACES_MAX];
} vx_places;

/* A fresh salt. Errors: INTERNAL (no randomness). */
VX_MUST_CHECK vx_err vx_places_init(vx_places *places);

void vx_context_judge(const vx_places *places, const vx_surroundings *now, vx_evidence *ret_evidence);
void vx_places_learn(vx_places *places, const vx_surroundings *now);
VX_MUST_CHECK vx_err vx_places_encode(const vx_places *places, vx_buf *out);
VX_MUST_CHECK vx_err vx_places_decode(const void *data, size_t len, vx_places *ret, vx_errinfo *info);

/* Looks at the system: default route and its gateway's address (/proc/net, or sysctl on macOS), displays (/sys/class/drm,
 * or CoreGraphics). What cannot be had is left unknown; takes a few ms and starts no program.
 * microphone [in] what the system calls it, "" when unknown */
void vx_surroundings_read(const vx_places *salted, const char *microphone, vx_surroundings *ret);

#endif
