/* fingerprint.h - is this the very recording that was heard before, however it was recoded, delayed or filtered?
 * Owns:   landmarks of a recording, finding one recording among many. Does not: keep them (store/utterances.h).
 * Source: A. Wang, An industrial-strength audio search algorithm, 2003: where the spectrum peaks survives noise, filters
 *         and codecs, and in a true match the peaks agree on one delay. His are pairs of peaks, which make an index of
 *         millions of songs possible; for thousands of utterances single peaks, each voting for delays, find in noise in
 *         which hardly a pair is whole, and nothing has to be indexed beforehand. Two utterances of the same words by the
 *         same person do not agree to 5 ms over a second; a replay does.
 */
#ifndef VX_EDGE_PAVA_FINGERPRINT_H
#define VX_EDGE_PAVA_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/pava/spectrogram.h"

enum {
    VX_LANDMARK_STEPS = 4,          /* of a frame in time (2.5 ms), of a bin in frequency (7.8 Hz) */
    VX_LANDMARK_FRAMES = 6000,      /* a minute; what comes later is not looked at */
    VX_FINGERPRINT_LANDMARKS = 1024 /* at most: 13 s at full density, the strongest of longer ones */
};

/* A peak of the spectrum: when and where, in steps. */
typedef struct {
    uint16_t time, frequency;
} vx_landmark;

typedef struct {
    vx_landmark *landmarks; /* rising by frequency, then time; owned */
    size_t n;
    int end; /* steps: behind the last time */
} vx_fingerprint;

/* Errors: NOT_FOUND (too few peaks to tell recordings apart: silence, a tone), NOMEM. Threads: any. */
VX_MUST_CHECK vx_err vx_fingerprint_take(const vx_spectrogram *spectrogram, vx_fingerprint *ret, vx_errinfo *info);
/* Wipes and frees; all-zero is fine. */
void vx_fingerprint_done(vx_fingerprint *fingerprint);

/* As bytes for the store, little-endian; the length is that of n landmarks. */
size_t vx_fingerprint_size(const vx_fingerprint *fingerprint);
void vx_fingerprint_pack(const vx_fingerprint *fingerprint, uint8_t *ret_bytes);
/* Bytes are hostile. Errors: STORE_VERSION (taken by another version: nothing to compare with), STORE_CORRUPT, NOMEM. */
VX_MUST_CHECK vx_err vx_fingerprint_unpack(const uint8_t *bytes, size_t n, vx_fingerprint *ret);

/* How well two recordings agree: the landmarks that agree on one delay, beyond what chance explains, at the same speed or up
 * to 6 % from it.
 * evidence [out] rises with agreement; a replay is at or above VX_FINGERPRINT_SAME */
typedef struct {
    double evidence;
    int n_agreeing;   /* landmarks on the best delay that count */
    int delay_frames; /* of the second against the first; played at another speed, against the first so played */
} vx_fingerprint_match;
#define VX_FINGERPRINT_SAME 1.0 /* evidence is scaled so: docs/pava.md has the rates */
void vx_fingerprint_compare(const vx_fingerprint *a, const vx_fingerprint *b, vx_fingerprint_match *ret);
/* The best of many: the same as vx_fingerprint_compare(asked, &heard[i]) for each i, at a quarter of the time.
 * heard     [in]  [n], borrowed; n may be 0: then there is no evidence, and *ret_which is 0
 * ret_which [out] the one that agrees best; the first of equals */
void vx_fingerprint_find(const vx_fingerprint *asked, const vx_fingerprint *heard, size_t n,
                         vx_fingerprint_match *ret_best, size_t *ret_which);
/* The same, as far as the time goes: until deadline_ns of vx_now_ns's clock, 0: no end.
 * Returns false where the time was over before all were compared at all speeds; ret_* then tell the best so far. */
bool vx_fingerprint_search(const vx_fingerprint *asked, const vx_fingerprint *heard, size_t n, uint64_t deadline_ns,
                           vx_fingerprint_match *ret_best, size_t *ret_which);

#endif
