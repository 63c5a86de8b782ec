/* fingerprint.h - is this the very recording that was heard before, however it was recoded, delayed or filtered?
 * Owns:   landmarks of a recording, finding one recording among many. Does not: keep them (store/utterances.h).
 * Source: A. Wang, An industrial-strength audio search algorithm, 2003: pairs of spectral peaks, whose time differences
 *         agree in a true match and scatter in a false one. Two utterances of the same words by the same person do not
 *         agree to the hundredth of a second; a replay does.
 */
#ifndef VX_EDGE_PAVA_FINGERPRINT_H
#define VX_EDGE_PAVA_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/pava/spectrogram.h"

/* A pair of peaks: their frequencies and distance, packed, and when the first one was. */
typedef struct {
    uint32_t pair;
    uint16_t frame;
} vx_landmark;

typedef struct {
    vx_landmark *landmarks; /* rising by pair, then frame; owned */
    size_t n;
} vx_fingerprint;

/* Errors: NOT_FOUND (too few peaks to tell recordings apart: silence, a tone), NOMEM. */
VX_MUST_CHECK vx_err vx_fingerprint_take(const vx_spectrogram *spectrogram, vx_fingerprint *ret, vx_errinfo *info);
void vx_fingerprint_done(vx_fingerprint *fingerprint);

/* As bytes for the store, little-endian; the length is that of n landmarks. */
size_t vx_fingerprint_size(const vx_fingerprint *fingerprint);
void vx_fingerprint_pack(const vx_fingerprint *fingerprint, uint8_t *ret_bytes);
/* Bytes are hostile. Errors: STORE_CORRUPT, NOMEM. */
VX_MUST_CHECK vx_err vx_fingerprint_unpack(const uint8_t *bytes, size_t n, vx_fingerprint *ret);

/* How well two recordings agree: the landmarks that agree on one delay, beyond what chance explains.
 * evidence [out] rises with agreement; a replay is at or above VX_FINGERPRINT_SAME */
typedef struct {
    double evidence;
    int n_agreeing;   /* landmarks on the best delay */
    int delay_frames; /* of the second against the first */
} vx_fingerprint_match;
#define VX_FINGERPRINT_SAME 1.0 /* evidence is scaled so: docs/pava.md has the rates */
void vx_fingerprint_compare(const vx_fingerprint *a, const vx_fingerprint *b, vx_fingerprint_match *ret);

#endif
