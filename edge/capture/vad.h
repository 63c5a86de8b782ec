/* vad.h - where in a stream of sound somebody speaks: one decision for each 10 ms.
 * Owns:   the detector's state, its noise floor, start and end of an utterance. Does not: capture, resample, allocate
 *         after create.
 */
#ifndef VX_EDGE_CAPTURE_VAD_H
#define VX_EDGE_CAPTURE_VAD_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

enum {
    VX_VAD_FRAME = 160, /* samples of 16 kHz: 10 ms */
    /* Frames that are heard before one is judged: a push tells of the frame pushed so many before, and the last are got by
     * pushing silence. */
    VX_VAD_DELAY = 10,
};

typedef struct {
    double threshold; /* probability of speech from which a frame counts, 0 to 1 */
    int start_ms;     /* so much speech begins an utterance: a click does not */
    int hang_ms;      /* so much silence ends it: a pause between words does not */
    int padding_ms;   /* kept before the first and behind the last word */
} vx_vad_params;
vx_vad_params vx_vad_params_default(void);

typedef enum { VX_VAD_SILENCE, VX_VAD_START, VX_VAD_SPEECH, VX_VAD_END } vx_vad_event;

typedef struct {
    double probability;            /* that this frame holds speech */
    bool speech;                   /* within an utterance: with hang-over */
    double level_dbfs, noise_dbfs; /* RMS above 80 Hz, of this frame and of what is no speech; -120 at the lowest */
    vx_vad_event event;            /* START and END are told once each; END when hang_ms have passed */
    size_t begin, end;             /* with START the begin, with END both: with padding, in samples since reset */
} vx_vad_frame;

typedef struct vx_vad vx_vad;

/* Errors: NOMEM, RANGE (a parameter outside its range). */
VX_MUST_CHECK vx_err vx_vad_create(const vx_vad_params *params, vx_vad **ret_vad);
/* NULL is fine. */
void vx_vad_destroy(vx_vad *vad);
/* Forgets everything, as after create. */
void vx_vad_reset(vx_vad *vad);
/* The next 10 ms. samples [in] VX_VAD_FRAME, full scale 1.0; what is not finite counts as silence.
 * ret_frame [out] of the frame before VX_VAD_DELAY others; all silence while there is none
 * Threads: one vx_vad per thread. */
void vx_vad_push(vx_vad *vad, const float *samples, vx_vad_frame *ret_frame);

#endif
