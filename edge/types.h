/* types.h - what the parts of the edge tell each other: sources, evidence, verdicts, measures of a recording.
 * Plain data; the parts (capture, pava, evidence, decide, route, store, unlock) know this header and not each other.
 */
#ifndef VX_EDGE_TYPES_H
#define VX_EDGE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The four sources that are fused, in the order in which people read them. */
typedef enum { VX_SOURCE_ML, VX_SOURCE_PHYSICS, VX_SOURCE_BEHAVIOUR, VX_SOURCE_CONTEXT, VX_N_SOURCES } vx_source;

/* What became of one source. A number counts only with VALID; whatever failed, timed out or is not finite is a status.
 * Zero is UNAVAILABLE, so that evidence nobody filled in is no evidence. */
typedef enum {
    VX_EVIDENCE_UNAVAILABLE,  /* could not be computed, or not in time */
    VX_EVIDENCE_INCONCLUSIVE, /* was computed and cannot judge this recording */
    VX_EVIDENCE_NEUTRAL,      /* nothing has been learned yet (behaviour, context) */
    VX_EVIDENCE_VALID,
} vx_evidence_status;

enum { VX_REASON_CAP = 200 };
typedef struct {
    vx_evidence_status status;
    double confidence;          /* 0 to 1 that it is the owner, alive and here; meaningless unless VALID */
    double elapsed_ms;          /* what it took */
    char reason[VX_REASON_CAP]; /* one sentence for the owner: why this status, or what the number rests on */
} vx_evidence;

/* "ml", "physics", "behavior", "context": the names of the settings and of the older system, in JSON and on flags. */
const char *vx_source_name(vx_source source);
/* "unavailable", "inconclusive", "neutral", "valid". */
const char *vx_evidence_status_name(vx_evidence_status status);

/* What an attempt came to. The first four are decisions; the others are states in which nothing was decided, and are
 * never shown as a match of 0 %. */
typedef enum {
    VX_AUTHENTICATE,
    VX_CHALLENGE,
    VX_REJECT,
    VX_ESCALATE,
    VX_NOT_ENROLLED, /* there is no such profile to compare with */
    VX_NOT_READY,    /* no model on the device and no cloud, or the profile is of another model */
    VX_NO_AUDIO,     /* the recording holds no usable voice */
    VX_NO_EVIDENCE,  /* "UNAVAILABLE": neither voice nor physics came back */
    VX_WAIT,         /* too many rejections: nothing is compared until the pause is over */
    VX_N_VERDICTS
} vx_verdict;
/* "AUTHENTICATE", ..., "NOT_ENROLLED", "NOT_READY", "NO_AUDIO", "UNAVAILABLE", "WAIT". */
const char *vx_verdict_name(vx_verdict verdict);
static inline bool vx_verdict_is_decision(vx_verdict verdict)
{
    return verdict <= VX_ESCALATE;
}

/* Measures of one recording; capture/quality.h takes them. Levels in dB re full scale 1.0. */
typedef struct {
    double seconds;       /* whole recording */
    double speech_s;      /* frames with speech, together */
    double speech_share;  /* of the time from first to last word */
    double speech_dbfs;   /* RMS of the speech frames, -120 at the lowest */
    double noise_dbfs;    /* RMS of the other frames; -120 when there are none */
    double snr_db;        /* speech above noise, noise taken off the speech; at most 60 */
    double clipped_share; /* of the samples */
    double score;         /* 0 to 1, all of it: which of two recordings to keep */
} vx_quality;

/* Samples [begin, end) of a recording. */
typedef struct {
    size_t begin, end;
} vx_span;

enum {
    VX_NAME_CAP = 65,       /* a speaker's name, 1 to 64 bytes of UTF-8, zero-terminated */
    VX_MICROPHONE_CAP = 97, /* what the system calls an input device; "" is unknown */
};

#endif
