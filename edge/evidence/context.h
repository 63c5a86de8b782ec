/* context.h - is this computer where, and as, its owner usually speaks to it?
 * Owns:   the places learned (network, microphone, displays), and the confidence they give. Does not: look at the system
 *         (surroundings.h), store.
 *
 * What the confidence means. Each thing that is seen says how usual it is: 0.50 when it was never seen before, and
 * 0.50 + 0.45 w / (w + 1) when it was, w strong acceptances with it ago, each later one of its kind taking 3 % off: 0.73
 * after one, 0.88 after five, 0.94 for what is always there. A screen locked an hour ago or less says 0.85, sinking to 0.50
 * at three days. The log odds of these are averaged with the weights 0.50 network, 0.25 microphone, 0.15 displays, 0.10
 * lock. What cannot be seen, or is of a kind of which fewer than VX_PLACE_KIND_MIN have been learned, stays at
 * VX_HABITS_NEUTRAL and so takes nothing away. Everything new is 0.52: context alone stops nobody, and lets nobody in.
 */
#ifndef VX_EDGE_EVIDENCE_CONTEXT_H
#define VX_EDGE_EVIDENCE_CONTEXT_H

#include "edge/types.h"
#include "shared/base/bytes.h"
#include "shared/base/err.h"

enum { VX_PLACES_MAX = 32, VX_PLACE_KEY = 16, VX_PLACE_KIND_MIN = 3 };

/* What can be seen of the place. Names are never kept, only keyed hashes of them. */
typedef struct {
    bool has_network;              /* false: offline, or the system does not tell */
    uint8_t network[VX_PLACE_KEY]; /* hash of the gateway's hardware address */
    bool has_device;
    uint8_t device[VX_PLACE_KEY]; /* hash of the microphone's name */
    int displays;                 /* -1: unknown */
    double since_lock_s;          /* -1: unknown */
} vx_surroundings;

typedef enum { VX_PLACE_FREE, VX_PLACE_NETWORK, VX_PLACE_DEVICE, VX_PLACE_DISPLAYS, VX_N_PLACE_KINDS } vx_place_kind;

/* All-zero is no history. Plain data. */
typedef struct {
    uint32_t n;                 /* strong acceptances learned from */
    uint8_t salt[VX_PLACE_KEY]; /* of the hashes; set by vx_places_init */
    struct {
        uint8_t key[VX_PLACE_KEY];
        uint8_t kind;        /* vx_place_kind */
        double weight;       /* decayed count */
    } places[VX_PLACES_MAX]; /* the free ones last */
} vx_places;

/* A fresh salt. Errors: INTERNAL (no randomness). */
VX_MUST_CHECK vx_err vx_places_init(vx_places *places);

/* NEUTRAL before VX_HABITS_MIN strong acceptances, or when nothing that was learned can be seen now; else VALID. Never
 * fails. */
void vx_context_judge(const vx_places *places, const vx_surroundings *now, vx_evidence *ret_evidence);
/* One strong acceptance, by the same rule as vx_habits_learn. A place that was not seen again for some hundred
 * acceptances is forgotten; the rarest makes room when there are too many. */
void vx_places_learn(vx_places *places, const vx_surroundings *now);

/* The form in which places are kept: versioned, little-endian. Errors: NOMEM, OVERFLOW (out is full). */
VX_MUST_CHECK vx_err vx_places_encode(const vx_places *places, vx_buf *out);
/* Errors: STORE_CORRUPT (not that form, or a value outside its range). ret is untouched on failure. */
VX_MUST_CHECK vx_err vx_places_decode(const void *data, size_t len, vx_places *ret, vx_errinfo *info);

/* Looks at the system: default route and its gateway's hardware address, displays. What cannot be had is left unknown;
 * takes a few ms and starts no program. since_lock_s is left unknown: the caller may know.
 * microphone [in] what the system calls it, "" when unknown */
void vx_surroundings_read(const vx_places *salted, const char *microphone, vx_surroundings *ret);

#endif
