/* guide.h - somebody speaks to a command: prompts, a level meter, one utterance at a time.
 * Owns:   microphone, detector, meter, the sign that keeps the agent away, Ctrl-C. Does not: judge what was heard.
 * Part of the command line: it talks on standard error, and once it is open SIGINT and SIGTERM end the listening.
 */
#ifndef VX_EDGE_GUIDE_H
#define VX_EDGE_GUIDE_H

#include "edge/capture/listen.h"
#include "edge/cmd.h"
#include "edge/meter.h"
#include "edge/types.h"

/* The flags that choose a microphone, one behind the other in a command's table. */
enum { VX_GUIDE_SOURCE, VX_GUIDE_DEVICE, VX_GUIDE_FILE, VX_GUIDE_N_FLAGS };
#define VX_GUIDE_FLAGS                                                                                                 \
    {"--source", "sound system: auto, pulse, alsa, coreaudio", "NAME"},                                                \
        {"--device", "microphone, as voxlock listen --devices names it", "NAME"},                                      \
    {                                                                                                                  \
        "--file",                                                                                                      \
            "speech from a recording in place of the microphone, or - for standard input (WAV, or raw int16 "          \
            "at 16 kHz)",                                                                                              \
            "PATH"                                                                                                     \
    }

typedef struct {
    vx_capture *capture;
    vx_vad *vad;
    vx_meter meter;
    int sign;    /* -1: none is held */
    bool aloud;  /* VOXLOCK_SPEAK=on: prompts are said, too */
    bool a_file; /* what is heard is a recording: nobody is prompted aloud, and nothing of it may be skipped */
} vx_guide;

/* first_flag [in] index of VX_GUIDE_FLAGS among the command's
 * hang_ms    [in] silence that ends an utterance; 0: the detector's own
 * Errors     OPTION_VALUE (flags that do not go together), BUSY (another command listens), those of vx_capture_open, NOMEM */
VX_MUST_CHECK vx_err vx_guide_open(const vx_cmd_call *call, int first_flag, int hang_ms, vx_guide *ret_guide,
                                   vx_errinfo *info);
/* One that was opened. */
void vx_guide_close(vx_guide *guide);

/* A prompt: `label` and `text` on one line, and aloud the text alone. What was heard before its end is forgotten. That a
 * synthesiser fails is said once, and costs nothing: the prompt was shown. */
void vx_guide_prompt(vx_guide *guide, const char *label, const char *text);
/* One utterance, with half a second of the room before it.
 * ret_microphone [out] what it was heard with; "" for a recording
 * Errors  those of vx_hear; CLOSED: the recording is at its end, or vx_guide_interrupted */
VX_MUST_CHECK vx_err vx_guide_hear(vx_guide *guide, vx_heard *ret_heard, char ret_microphone[VX_MICROPHONE_CAP],
                                   vx_errinfo *info);
/* Ctrl-C, or SIGTERM. A second one ends the program as usual. */
bool vx_guide_interrupted(void);

#endif
