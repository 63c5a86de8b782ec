/* fake_source.h - a microphone, or a file, that gives what a script says.
 * Owns:   the place in the script, which closing and opening keep: a device that is gone comes back further on.
 *         Does not: judge. One script at a time.
 */
#ifndef VX_TESTS_FAKE_SOURCE_H
#define VX_TESTS_FAKE_SOURCE_H

#include "edge/capture/capture_private.h"

typedef struct {
    int rate, channels;
    const char *device;
    const float *samples; /* [n_frames, channels], borrowed */
    size_t n_frames;
    bool gap, muted, playback;
    vx_err err;       /* read fails with it, once; the rest does not count then */
    int n_no_opening; /* with err: so many tries to open fail after it */
} fake_step;

/* From now on.
 * piece [in] frames of a block at most; 0: a step is a block */
void fake_play(const fake_step *steps, size_t n_steps, size_t piece);
/* How often it was opened and closed since fake_play. */
int fake_n_opened(void);
int fake_n_closed(void);

/* Behind the script a device is silent without end, a file is at its end. */
extern const vx_capture_source fake_device, fake_file;

#endif
