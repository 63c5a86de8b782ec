/* advice.c - what the owner of a microphone should do when nothing comes out of it. */
#include <stdio.h>

#include "edge/capture/capture_private.h"

void vx_capture_advise(const vx_capture_state *state, bool live, bool lost, bool muted, const char *program,
                       char *ret_advice, size_t cap)
{
    const char *device = state->device[0] != '\0' ? state->device : "the microphone";
    if (cap > 0)
        ret_advice[0] = '\0';
    if (lost)
        snprintf(ret_advice, cap, "%s is gone: plug it in, or choose another one", device);
    else if (!state->forced_silence)
        return;
    else if (!live)
        snprintf(ret_advice, cap, "the recording holds nothing but zeros: it was made without a microphone");
    else if (muted)
        snprintf(ret_advice, cap, "%s is muted: unmute it in the settings of sound, or by its key", device);
    else if (program != NULL)
        /* The device's name is left out: the sentence must name the program whole. */
        snprintf(ret_advice, cap,
                 "macOS gives silence because '%.60s' has no permission: allow it in System Settings > Privacy & "
                 "Security > Microphone, and start it again",
                 program);
    else
        snprintf(
            ret_advice, cap,
            "%s gives nothing but zeros: it is switched off, or no microphone; voxlock listen --device tries another",
            device);
}
