/* listen.h - one utterance from a source: waits for speech, and for its end.
 * Owns:   capture and detector together, the samples heard. Does not: open the source, judge the voice.
 */
#ifndef VX_EDGE_CAPTURE_LISTEN_H
#define VX_EDGE_CAPTURE_LISTEN_H

#include "edge/capture/capture.h"
#include "edge/capture/vad.h"
#include "shared/base/err.h"

/* Told every 10 ms of sound: a level meter; and, where no sound comes, every 0.1 s with NULL. Returning false stops
 * listening (CLOSED). */
typedef bool vx_listen_fn(void *arg, const vx_vad_frame *frame);
/* Told once in every pause of an utterance, with what was heard of it so far. Returning true ends it there: whoever said
 * all that there is to say need not be waited for. It should take less than a second. */
typedef bool vx_pause_fn(void *arg, const float *samples, size_t n);

/* Longer than the closure of a stop consonant within a word, which would ask for nothing. Noticed as much later as the
 * detector looks ahead. */
enum { VX_LISTEN_PAUSE_MS = 150 };

typedef struct {
    double wait_s;   /* for speech to begin, counted in sound; by the clock where none comes */
    double most_s;   /* an utterance that goes on is cut off here; with before_s at most 58 */
    double before_s; /* of the room kept before the first word: what PAVA measures echoes and noise by; at most 30 */
    vx_listen_fn *meter; /* NULL: none */
    void *meter_arg;
    vx_pause_fn *pause; /* NULL: none; a pause is VX_LISTEN_PAUSE_MS without speech */
    void *pause_arg;
} vx_listen_options;

typedef struct {
    float *samples; /* [n], 16 kHz mono, owned: room before, utterance, room behind; wiped by vx_heard_done */
    size_t n;
    size_t begin, end; /* the utterance in it */
    bool playback;     /* this computer's own loudspeaker sounded since the utterance began, where the system tells */
    uint64_t ended_ns; /* vx_now_ns() when the speaker fell silent (not when that was noticed) */
} vx_heard;

/* Errors: DEADLINE (nobody spoke within wait_s), CLOSED (end of the file before anybody spoke, or the meter said stop),
 * AUDIO_SILENT (nothing but zeros, all the time; info holds the capture's advice), those of vx_capture_read, NOMEM. Sound
 * that stops coming for a second ends an utterance. */
VX_MUST_CHECK vx_err vx_hear(vx_capture *capture, vx_vad *vad, const vx_listen_options *options, vx_heard *ret_heard,
                             vx_errinfo *info);
/* Wipes and frees; all-zero is fine. */
void vx_heard_done(vx_heard *heard);

#endif
