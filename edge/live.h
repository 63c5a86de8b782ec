/* live.h - one live attempt: somebody speaks, is judged, says digits if that is not enough, and the screen opens.
 * Owns:   the order from microphone to open screen, and when a command is over. Does not: open the microphone, decide
 *         (attempt.h), type (unlock.h), wait for a locked screen (wake.h).
 */
#ifndef VX_EDGE_LIVE_H
#define VX_EDGE_LIVE_H

#include "edge/attempt.h"
#include "edge/capture/listen.h"
#include "edge/challenge/challenge.h"
#include "edge/challenge/phrase_list.h"
#include "edge/unlock/unlock.h"

/* What is told to, and asked by, whoever waits. */
typedef struct {
    void *arg;
    void (*say)(void *arg, const char *sentence); /* shown; NULL: nobody can read it */
    bool (*gone)(void *arg);                      /* nobody waits any more: stop; NULL: somebody always does */
} vx_live_asker;

typedef struct {
    vx_runtime *runtime;
    vx_capture *capture;
    vx_vad *vad, *answer_vad;      /* of a command, and of digits, between which people pause for longer */
    vx_phrase *phrase;             /* NULL: nothing recognises digits, so that no challenge can be passed */
    const vx_phrase_list *phrases; /* with one of them a command is over; NULL: with silence */
    bool aloud;                    /* digits are asked for by voice, too */
    const vx_desktop *desktop;     /* NULL: nothing is opened here: the caller acts on may_unlock (PAM) */
    vx_unlock_options unlock;
    vx_secret_fn *secret; /* gives the password to a desktop that is typed into */
    void *secret_arg;
    vx_unlock_memory *memory; /* of failed unlocks; may be NULL */
    double wait_s;            /* for somebody to speak */
    bool from_file;           /* what is heard is a recording: nothing is learned from it */
} vx_live;

/* What a verdict took, in ms. */
typedef struct {
    double speech; /* from the last word on */
    double end;    /* of it, since it was known that this was the last word */
} vx_live_times;

typedef struct {
    vx_attempt_outcome attempt; /* the last one: of the digits, when they were asked for */
    bool challenged;
    bool digits_right;
    bool tried_to_open;
    vx_err unlock_err;             /* of writing that down */
    vx_unlock_outcome unlock;      /* with tried_to_open */
    vx_live_times command, answer; /* answer: of the last one, with challenged */
} vx_live_outcome;

/* A command that was heard. */
typedef struct {
    vx_heard heard;
    int phrase;        /* of live's phrases, or -1: none was said */
    vx_err phrase_err; /* of looking for it */
    uint64_t known_ns; /* when it was known to be over */
} vx_live_command;

/* Waits for live->wait_s for somebody to speak. A command is over once it holds one of the phrases and pauses, or with half
 * a second of silence.
 * Errors  as vx_live_run, those of the store apart */
VX_MUST_CHECK vx_err vx_live_hear(const vx_live *live, const vx_live_asker *asker, vx_live_command *ret_command,
                                  vx_errinfo *info);
/* Wipes and frees; all-zero is fine. */
void vx_live_command_done(vx_live_command *command);
/* Carries a command that was heard through to the end; it stays the caller's. The rest as vx_live_run. */
VX_MUST_CHECK vx_err vx_live_follow(const vx_live *live, const vx_live_command *heard, const char *command,
                                    const char *speaker, const vx_live_asker *asker, vx_live_outcome *ret_outcome,
                                    vx_errinfo *info);
/* Says a sentence aloud. What the microphone hears meanwhile, and before, is forgotten: it is nobody's word, or our own.
 * Errors: those of vx_speak */
VX_MUST_CHECK vx_err vx_live_say(const vx_live *live, const char *sentence, const vx_live_asker *asker,
                                 vx_errinfo *info);

/* Listens for one utterance and carries it through to the end.
 * speaker [in] who it must be; command [in] for the record
 * Errors  DEADLINE (nobody spoke), CLOSED (nobody waits any more, or the file is at its end), AUDIO_SILENT, those of the
 *         microphone, of the store, NOMEM */
VX_MUST_CHECK vx_err vx_live_run(const vx_live *live, const char *command, const char *speaker,
                                 const vx_live_asker *asker, vx_live_outcome *ret_outcome, vx_errinfo *info);
/* The outcome for a program: that of the attempt, with "challenged", "digits_right", "command_ms" and "answer_ms" ({"speech",
 * "end"}, or null) and "unlock" ({"result", "sentence", "elapsed_ms"} or null). New reference; NULL when memory is out. */
json_t *vx_live_json(const vx_live_outcome *outcome);

#endif
