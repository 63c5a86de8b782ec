/* capture.h - sound from a microphone, a file or standard input, as 16 kHz mono, whatever the device speaks.
 * Owns:   opening, following format changes and unplugged devices, resampling, telling silence by force from silence.
 *         Does not: detect speech (vad.h), judge quality.
 *
 * Libraries of sound systems are loaded on demand (vx_capture_pulse.so, vx_capture_alsa.so; AudioQueue is linked on
 * macOS): a program that reads files maps none.
 */
#ifndef VX_EDGE_CAPTURE_CAPTURE_H
#define VX_EDGE_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "edge/types.h"
#include "shared/base/err.h"

typedef struct {
    const char
        *source; /* "auto" (NULL too): pulse, else alsa (macOS: coreaudio); "pulse", "alsa", "coreaudio", "file" */
    const char *device; /* what the system calls it; NULL or "": the default one, followed when it changes */
    const char
        *path; /* of source "file": a recording, or "-" for standard input (raw int16 at 16 kHz, or a WAV stream) */
    bool real_time; /* of source "file": give it at the speed of sound, as a microphone does */
} vx_capture_options;

/* What is known of the device now; changes while it is open. */
typedef struct {
    const char *source;             /* static */
    char device[VX_MICROPHONE_CAP]; /* "Built-in Microphone" */
    int native_rate, native_channels;
    uint64_t n_samples;  /* given since open */
    int n_changes;       /* of format or device */
    int n_gaps;          /* overruns, and device losses survived */
    bool forced_silence; /* a second and more of nothing but zeros: no microphone does that by itself */
    bool playback;       /* this computer's own loudspeaker is sounding, where the system tells */
    bool has_playback;   /* whether it tells */
    char advice[256]; /* what its owner should do ("macOS gives silence because ... has no permission: ..."), or "" */
} vx_capture_state;

typedef struct vx_capture vx_capture;

/* Errors: NOT_FOUND (no such device, or no sound system answers; info names what was tried), PERMISSION, UNSUPPORTED (the
 * source is not in this build), OPTION_VALUE, those of decoding a file, NOMEM. A source or file that is asked for by name
 * is never replaced by another. */
VX_MUST_CHECK vx_err vx_capture_open(const vx_capture_options *options, vx_capture **ret_capture, vx_errinfo *info);
/* NULL is fine. Wipes what was heard. Not while somebody reads: vx_capture_stop first, and wait for the reader. */
void vx_capture_close(vx_capture *capture);
/* A read under way, within 50 ms, and every later one: CLOSED. From any thread, and from a signal handler. */
void vx_capture_stop(vx_capture *capture);
/* The next n samples at 16 kHz, full scale 1.0, or as many as there are by the deadline.
 * deadline_ns [in] of vx_now_ns(); in the past: what is there already
 * ret_n   [out] fewer than n only at the deadline, the end of a file, or when the device is gone
 * Errors  DEADLINE (nothing came), CLOSED (end of the file, or stopped), NOT_FOUND (the device is gone, and for 5 s none
 *         has taken its place: told every 5 s), IO. After NOT_FOUND the caller may go on reading: it comes back when a
 *         device does.
 * Threads one reader */
VX_MUST_CHECK vx_err vx_capture_read(vx_capture *capture, float *ret_samples, size_t n, uint64_t deadline_ns,
                                     size_t *ret_n, vx_errinfo *info);
/* Any thread. */
void vx_capture_get_state(vx_capture *capture, vx_capture_state *ret_state);
/* vx_now_ns() when a sample was in the air, counted as n_samples counts; of a file that is not read in real time, as if
 * the last block read had just been spoken. 0: nobody knows. For the reader. */
uint64_t vx_capture_time_ns(const vx_capture *capture, uint64_t sample);

/* Names of the input devices, for doctor and for choosing. Called for each; anything but VX_OK ends it, and is returned.
 * Errors: NOT_FOUND (no sound system answers; info names what was tried), UNSUPPORTED (none is in this build). */
typedef vx_err vx_capture_device_fn(void *arg, const char *source, const char *device, bool is_default);
VX_MUST_CHECK vx_err vx_capture_devices(vx_capture_device_fn *fn, void *arg, vx_errinfo *info);

#endif
