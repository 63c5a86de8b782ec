/* pava.h - physics-aware voice authentication: is the voice that of a living throat in this room, or a machine's?
 * Owns:   the seven layers and their combination. Does not: know whose voice it is, or keep what it learns (learned.h,
 *         store/utterances.h).
 */
#ifndef VX_EDGE_PAVA_PAVA_H
#define VX_EDGE_PAVA_PAVA_H

#include <stdbool.h>
#include <stddef.h>

#include "edge/pava/fingerprint.h"
#include "edge/types.h"

typedef enum {
    VX_LAYER_REPLAY,     /* the same recording as before */
    VX_LAYER_SYNTHETIC,  /* text to speech, vocoders */
    VX_LAYER_PLAYBACK,   /* a loudspeaker, and a room in the room */
    VX_LAYER_CONVERSION, /* formants and pitch no throat makes together */
    VX_LAYER_LIVENESS,   /* jitter, shimmer, breath */
    VX_LAYER_DEEPFAKE,   /* artefacts over time */
    VX_LAYER_PHYSICS,    /* length of the tract, rooms, movement */
    VX_N_LAYERS
} vx_pava_layer;

enum { VX_PAVA_MEASURES = 12 /* of one layer, at most */, VX_PAVA_ROOMS = 8, VX_PAVA_BASELINE_BYTES = 256 };

/* What is known of a speaker from recordings that were surely his. All-zero: nothing. */
typedef struct {
    int n_tract;                      /* recordings that tract_cm rests on */
    double tract_cm, tract_spread_cm; /* mean, standard deviation between recordings */
    int n_pitch;
    double pitch_mean, pitch_spread; /* of ln F0 (Hz): means of the recordings' medians, their deviation */
    int n_rooms;
    double room_rt60_s[VX_PAVA_ROOMS]; /* latest last */
} vx_pava_baseline;

/* What the layers may compare with. */
typedef struct {
    vx_pava_baseline baseline;
    const vx_fingerprint *heard; /* [n_heard] of every utterance there ever was, borrowed */
    size_t n_heard;
    size_t n_other; /* of these, not let in: what they repeat accuses, but they acquit nobody */
    /* VTL_DEVIATION_THRESHOLD, DOUBLE_REVERB_THRESHOLD; 0: default. From there on layer physics remarks on it, no more. */
    double tract_threshold_cm, double_reverb_threshold;
    bool own_speaker; /* this computer's loudspeaker was playing meanwhile, as far as the system tells */
} vx_pava_known;

typedef struct {
    vx_evidence_status status; /* VALID, INCONCLUSIVE (and why), UNAVAILABLE */
    double llr;   /* natural logarithm of how much likelier its measures are from a machine than from a living voice */
    double spoof; /* 1 / (1 + e^-llr): likelihood that it is no living voice, 0 to 1, 0.5 tells nothing; with VALID */
    double reliability; /* 0 to 1: how far this layer tells attacks it never saw from people: 0 carries no weight */
    double measures[VX_PAVA_MEASURES];
    char reason[VX_REASON_CAP]; /* why not VALID; with it a remark, or nothing */
} vx_layer_finding;

typedef struct {
    vx_layer_finding layers[VX_N_LAYERS];
    bool analysed;   /* the layers were asked */
    double risk;     /* 0 to 1; the physics confidence is 1 - risk */
    double measured; /* 0 to 1: the risk by what could be measured alone, with analysed; also of what is INCONCLUSIVE */
    double elapsed_ms;
    bool has_fingerprint;
    vx_fingerprint fingerprint; /* of this recording, for the next time; owned */
    bool has_tract, has_pitch, has_room;
    double tract_cm, pitch_ln_hz, rt60_s;
} vx_pava_report;

/* "replay", "synthetic", ... */
const char *vx_pava_layer_name(vx_pava_layer layer);
/* The names of a layer's measures with units; NULL after the last. */
const char *const *vx_pava_measure_names(vx_pava_layer layer);

/* 0 to 1: how far it is relied on; and whether it is at all. docs/pava.md has the measurements. */
double vx_pava_layer_reliability(vx_pava_layer layer);
bool vx_pava_layer_has_say(vx_pava_layer layer);

/* Judges.
 * samples      [in]  n, 16 kHz mono, the whole recording with its room before and after the words; anything: what cannot
 *                    be judged is INCONCLUSIVE
 * known        [in]  borrowed for the call
 * deadline_ns  [in]  of vx_now_ns's clock, 0: none; a layer whose analysis is not done by then has not judged
 * ret_report   [out] vx_pava_report_done
 * ret_evidence [out] the physics of the fusion: VALID, INCONCLUSIVE, or UNAVAILABLE when memory is out
 * Threads      any */
void vx_pava_judge(const float *samples, size_t n, const vx_pava_known *known, uint64_t deadline_ns,
                   vx_pava_report *ret_report, vx_evidence *ret_evidence);
void vx_pava_report_done(vx_pava_report *report);
/* The fingerprint alone, in a fifth of the time, also of what cannot be judged: clipped, long, short, half silent.
 * ret    [out] vx_fingerprint_done
 * Errors NOT_FOUND and RANGE (there is none to take), NOMEM
 * Threads any */
VX_MUST_CHECK vx_err vx_pava_fingerprint(const float *samples, size_t n, vx_fingerprint *ret, vx_errinfo *info);

/* What a recording that was surely the owner's teaches: an enrolment, or a strong acceptance. */
void vx_pava_baseline_learn(vx_pava_baseline *baseline, const vx_pava_report *report);
/* As bytes for the store. */
void vx_pava_baseline_pack(const vx_pava_baseline *baseline, uint8_t ret_bytes[VX_PAVA_BASELINE_BYTES]);
/* Bytes are hostile. Errors: STORE_CORRUPT. */
VX_MUST_CHECK vx_err vx_pava_baseline_unpack(const uint8_t *bytes, size_t n, vx_pava_baseline *ret);

#endif
