/* live.h - one live attempt: somebody speaks, is judged, says digits if that is not enough, and the screen opens.
 * Owns:   the order from microphone to open screen. Does not: open the microphone, decide (attempt.h), type (unlock.h).
 */
#ifndef VX_EDGE_LIVE_H
#define VX_EDGE_LIVE_H

#include "edge/attempt.h"
#include "edge/capture/listen.h"
#include "edge/challenge/challenge.h"
#include "edge/challenge/phrase.h"
#include "edge/unlock/unlock.h"

/* What is told to, and asked by, whoever waits. */
typedef struct {
    void *arg;
    void (*say)(void *arg, const char *sentence); /* shown and spoken; NULL: to nobody */
    bool (*gone)(void *arg);                      /* nobody waits any more: stop; NULL: somebody always does */
} vx_live_asker;

typedef struct {
    vx_runtime *runtime;
    vx_capture *capture;
    vx_vad *vad;
    vx_phrase *phrase;         /* NULL: nothing recognises digits, so that no challenge can be passed */
    const vx_desktop *desktop; /* NULL: nothing is opened here: the caller acts on may_unlock (PAM) */
    vx_unlock_options unlock;
    vx_secret_fn *secret; /* gives the password to a desktop that is typed into */
    void *secret_arg;
    vx_unlock_memory *memory; /* of failed unlocks; may be NULL */
    double wait_s;            /* for somebody to speak */
    bool from_file;           /* what is heard is a recording: nothing is learned from it */
} vx_live;

typedef struct {
    vx_attempt_outcome attempt; /* the last one: of the digits, when they were asked for */
    bool challenged;
    bool digits_right;
    bool tried_to_open;
    vx_err unlock_err;           /* of writing that down */
    vx_unlock_outcome unlock;    /* with tried_to_open */
    double speech_to_verdict_ms; /* from the last word to the verdict */
} vx_live_outcome;

/* Listens for one utterance and carries it through to the end.
 * speaker [in] who it must be; command [in] for the record
 * Errors  DEADLINE (nobody spoke), CLOSED (nobody waits any more, or the file is at its end), AUDIO_SILENT, those of the
 *         microphone, of the store, NOMEM */
VX_MUST_CHECK vx_err vx_live_run(const vx_live *live, const char *command, const char *speaker,
                                 const vx_live_asker *asker, vx_live_outcome *ret_outcome, vx_errinfo *info);
/* The outcome for a program: that of the attempt, with "challenged", "digits_right", "speech_to_verdict_ms" and "unlock"
 * ({"result", "sentence", "elapsed_ms"} or null). New reference; NULL when memory is out. */
json_t *vx_live_json(const vx_live_outcome *outcome);

#endif
