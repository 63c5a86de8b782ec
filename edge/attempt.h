/* attempt.h - one attempt, from a recording to a recorded verdict. The one path through the edge.
 * Owns:   the order of things, and that every attempt is on record before anything is computed and when it has ended.
 *         Does not: capture, unlock, or know what a source's number means.
 */
#ifndef VX_EDGE_ATTEMPT_H
#define VX_EDGE_ATTEMPT_H

#include <jansson.h>

#include "edge/decide/decide.h"
#include "edge/route/router.h"
#include "edge/runtime.h"
#include "edge/types.h"
#include "shared/engine/score.h"

typedef struct {
    const char *command;  /* "verify", "unlock": for the record */
    const char *speaker;  /* who it is said to be */
    const float *samples; /* borrowed for the call: 16 kHz mono, full scale 1.0; NULL: nothing could be heard */
    const char *unheard;  /* why, with samples NULL */
    size_t n;
    double clipped_share;   /* of the source's samples, as the decoder counted; negative: count here */
    const char *microphone; /* "" when unknown */
    bool own_speaker;       /* this computer's loudspeaker was playing meanwhile, or at its end */
    bool live;              /* spoken here and now: habits and places are learned from a strong acceptance */
    bool answered; /* the recording holds the digits that were just asked for: where the verdict would be CHALLENGE,
                      the voice alone is accepted, and physics has measured and does not speak for a machine, it is
                      AUTHENTICATE */
} vx_attempt_request;

typedef struct {
    int64_t id; /* of the record */
    vx_verdict verdict;
    bool may_unlock;       /* AUTHENTICATE, and the profile is armed */
    bool challenge_passed; /* AUTHENTICATE because the digits were said */
    bool starter;          /* judged by the starter model: say how good it is */
    char speaker[VX_NAME_CAP];
    char sentence[VX_SENTENCE_CAP];
    vx_evidence evidence[VX_N_SOURCES];
    bool examined;        /* PAVA's layers were asked, in time */
    vx_pava_report pava;  /* with that; without its fingerprint */
    vx_decision decision; /* meaningful when vx_verdict_is_decision(verdict) */
    vx_quality quality;   /* meaningful from NO_AUDIO on */
    bool voice_compared;
    bool voice_accepted; /* the voice alone is over the calibration's threshold */
    vx_score score;      /* with voice_compared */
    vx_route_report route;
    int64_t wait_ms;  /* with WAIT */
    vx_err learn_err; /* of writing what a live strong acceptance taught */
    double elapsed_ms;
} vx_attempt_outcome;

/* Runs it. What goes wrong with a source is evidence with a status, what goes wrong before is a verdict of its own; only an
 * attempt that cannot be recorded is an error, and then nothing was decided.
 * Threads any number at once on one runtime
 * Errors  those of the store, NOMEM */
VX_MUST_CHECK vx_err vx_attempt_run(vx_runtime *runtime, const vx_attempt_request *request,
                                    vx_attempt_outcome *ret_outcome, vx_errinfo *info);

/* Measured, and rather a living voice than not: what may be learned of, a throat, a room. */
bool vx_attempt_is_alive(const vx_attempt_outcome *outcome);
/* The same where physics is on, and true where its owner has switched it off: what an answer has to be besides right, for
 * another microphone or a better prior to be learned of it. */
bool vx_attempt_is_proved(const vx_runtime *runtime, const vx_attempt_outcome *outcome);

/* The outcome for a program: {"id", "verdict", "sentence", "speaker", "may_unlock", "voice": {...} or null, "decision":
 * {...} or null, "quality", "route", "wait_s", "elapsed_ms"}. New reference; NULL when memory is out. */
json_t *vx_attempt_json(const vx_attempt_outcome *outcome);
/* The same for a person: the measures, the table of evidence, verdict and sentence. Errors: NOMEM. */
VX_MUST_CHECK vx_err vx_attempt_show(const vx_attempt_outcome *outcome, vx_buf *out);

#endif
